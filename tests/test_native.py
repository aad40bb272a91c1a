"""The native engine against the reference: the same class of result everywhere, values within a few ulp."""

from __future__ import annotations

import itertools
import math
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import TIMES, arity, precise
from random_texts import random_tree, text_of
from test_engine import ROSENBROCK, points, random_arrays

import optcli
from optcli import library
from optcli.autograd.gradient import gradient, jacobian_vector_product
from optcli.autograd.graph import Builder, Graph
from optcli.autograd.ops import OPS, Op
from optcli.build import build
from optcli.engine.native.plan import DOUBTS, NativePlan
from optcli.engine.native.program import BLOCK
from optcli.engine.numpy_engine import evaluate

llvm = pytest.importorskip("optcli.engine.native.llvm")
EPS = 2.0**-52
# ulp between a function of the C library, also in its variants for vectors, and numpy's
ULP = {"gamma": 16.0, "loggamma": 16.0, "erfc": 8.0, "tan": 8.0, "polygamma": 16.0}
USUAL_ULP = 6.0
SPECIAL = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 1e-3, -7.25, 20.0, -20.0),
    *(math.inf, -math.inf, math.nan, 1e308, -1e308, 5e-324, 1e-310, 710.0, -746.0),
)


def classes(values: Any) -> Any:
    """1 for +∞, −1 for −∞, NaN for NaN, 0 for what is finite."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), 0.0, np.sign(array))


def assert_agree(ours: Any, wanted: Any, relative: float, absolute: float = 0.0, what: object = "") -> None:
    ours, wanted = np.asarray(ours), np.asarray(wanted)
    assert ours.shape == wanted.shape, what
    assert np.array_equal(classes(ours), classes(wanted), equal_nan=True), (what, ours, wanted)
    finite = np.isfinite(wanted)
    error = np.abs(ours[finite] - wanted[finite])
    room = relative * np.abs(wanted[finite]) + absolute
    assert (error <= room).all(), (what, float((error - room).max()), ours, wanted)


def scalar_graph(op: Op) -> Graph:
    builder = Builder()
    inputs = [builder.input(k, (), f"x{k}") for k in range(arity(op))]
    return Graph.of(inputs, [op(*inputs)])


def vector_graph(op: Op, size: int) -> Graph:
    builder = Builder()
    inputs = [builder.input(k, (size,), f"x{k}") for k in range(arity(op))]
    return Graph.of(inputs, [op(*inputs)])


def arguments(op: Op) -> list[tuple[float, ...]]:
    """Special numbers for each argument; two at a time where there are more."""
    count = arity(op)
    if op.name == "polygamma":
        return [(float(n), x) for n in range(3) for x in SPECIAL]
    if op.name == "where":
        return [(c, a, b) for c in (0.0, 1.0) for a, b in itertools.product(SPECIAL, SPECIAL)]
    if count == 3:
        return [(a, b, c) for a, b in itertools.product(SPECIAL, SPECIAL) for c in (1.0, math.nan, a)]
    return list(itertools.product(SPECIAL, repeat=count))


# ------------------------------------------------------------------ one operation


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_an_operation_at_special_points(op: Op) -> None:
    rows = arguments(op)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    graph = vector_graph(op, len(rows))
    with np.errstate(all="ignore"):
        (wanted,) = evaluate(graph, columns)
    if op.name == "chain":  # without its rule it is a product; the other plan has it
        (masked,) = NativePlan(graph, masked=True)(*columns)
        assert_agree(masked, wanted, 0.0)
        with np.errstate(all="ignore"):
            wanted = columns[0] * columns[1]
    (vector,) = NativePlan(graph)(*columns)
    alone = scalar_graph(op)
    single = NativePlan(alone)
    one = np.array([single(*row)[0] for row in rows])
    room = ULP.get(op.name, USUAL_ULP) * EPS
    assert_agree(vector, wanted, room, 1e-323, rows)
    if op.name != "chain":
        with np.errstate(all="ignore"):
            wanted = np.array([evaluate(alone, [np.float64(part) for part in row])[0] for row in rows])
    assert_agree(one, wanted, room, 1e-323, rows)


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.formula or op.sympy], ids=lambda op: op.name)
def test_an_operation_against_fifty_digits(op: Op) -> None:
    random = np.random.default_rng(4)
    columns = [random.uniform(low, high, 40) for low, high in op.domain]
    (ours,) = NativePlan(vector_graph(op, 40))(*columns)
    exact = np.array([float(precise(op)(*row)) for row in zip(*columns, strict=True)])
    assert_agree(ours, exact, ULP.get(op.name, USUAL_ULP) * EPS, 8 * EPS, op.name)


@pytest.mark.parametrize("ends", [(-1e-3, 1e-3), (-1.0, 1.0), (-30.0, 30.0), (-708.0, 709.78), (-746.0, -707.0)])
def test_the_exponential_of_loops_is_within_one_ulp(ends: tuple[float, float]) -> None:
    """Also where results are subnormal: 2^k is multiplied in two steps, the last one rounds once."""
    points = np.random.default_rng(6).uniform(*ends, 1500)
    plan = NativePlan(vector_graph(OPS["exp"], len(points)))
    assert ("@near_exp" in plan.text) == llvm.fused()
    (ours,) = plan(points)
    with mpmath.workdps(40):
        errors = [abs(mpmath.mpf(y) - mpmath.exp(mpmath.mpf(x))) for x, y in zip(points, ours, strict=True)]
    ulps = np.array([float(error / mpmath.mpf(np.spacing(y))) for error, y in zip(errors, ours, strict=True)])
    assert ulps.max() <= (1.0 if llvm.fused() else 4.0)


# ------------------------------------------------------------------ whole functions


def both_agree(graph: Graph, rows: list[list[Any]], relative: float = 1e-11) -> None:
    """Both engines at each row of inputs; sums may cancel, so errors are measured against the largest output."""
    native, masked = NativePlan(graph), NativePlan(graph, masked=True)
    for inputs in rows:
        with np.errstate(all="ignore"):
            wanted = [np.array(value) for value in evaluate(graph, inputs)]
        given_ = [np.ascontiguousarray(value) for value in inputs]
        ours = native(*given_)
        if not all(np.isfinite(value).all() for value in ours):
            ours = masked(*given_)
        flat = np.concatenate([np.ravel(value) for value in wanted])
        largest = np.abs(flat[np.isfinite(flat)]).max(initial=0.0)
        for a, b in zip(ours, wanted, strict=True):
            assert_agree(a, b, relative, relative * largest, inputs)


@pytest.mark.parametrize("name", library.names())
def test_the_library(name: str) -> None:
    objective = optcli.function(name).objective
    random = np.random.default_rng(5)
    size = objective.layout.size
    places = [np.zeros(size), random.uniform(0.5, 2.0, size), random.normal(size=size) * 10.0]
    inputs = [objective.inputs(x) for x in places]
    both_agree(objective.gradient_graph, inputs)
    doubled = [[*a, *b] for a, b in zip(inputs, inputs[1:] + inputs[:1], strict=True)]
    both_agree(objective.product_graph, doubled)


@settings(max_examples=120 * TIMES, derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_random_texts(random: Random, depth: int) -> None:
    objective = optcli.function(f"({text_of(random_tree(random, depth, tame=True), random)})").objective
    both_agree(objective.gradient_graph, [list(x) for x in points(objective.layout.size)], 1e-9)


@settings(max_examples=120 * TIMES, derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False))
def test_random_graphs_of_arrays(random: Random) -> None:
    graph = random_arrays(random, Builder())
    numbers = np.random.default_rng(random.randrange(10**6))
    rows = [[numbers.normal(size=node.shape) for node in graph.inputs] for _ in range(2)]
    both_agree(gradient(Graph.of(graph.inputs, graph.outputs[:1])), rows, 1e-9)
    both_agree(graph, rows, 1e-9)  # as residuals, and their Jacobian along a direction
    doubled = [[*row, *(numbers.normal(size=node.shape) for node in graph.inputs)] for row in rows]
    both_agree(jacobian_vector_product(graph), doubled, 1e-9)


@settings(max_examples=150 * TIMES, derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_random_texts_of_every_function(random: Random, depth: int) -> None:
    """Jumps and poles included: the classes of results agree everywhere."""
    objective = optcli.function(f"({text_of(random_tree(random, depth), random)})").objective
    both_agree(objective.gradient_graph, [list(x) for x in points(objective.layout.size)], 1e-9)


# ------------------------------------------------------------------ loops over vectors

SIZES = (1, 2, 3, 5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1, 5000)
INDEXED = [
    ROSENBROCK,
    "Sum(exp(x[i]) + x[i]**2, (i, 1, n))",
    "Sum((x[i] - 2*x[i+1] + x[i+2])**2 + cos(x[i+3]), (i, 1, n))",
    "Sum((x[i+2] - x[i])**4, (i, 1, n)) + x[1]*x[2]",
    "Sum(Sum(exp(-x[i]*y[j])*j, (j, 1, 7))**2, (i, 1, n))",
    "Sum(Sum(sin(x[i] + y[j])*z[i], (i, 1, n))**2, (j, 1, 5))",
    "Sum(Sum(A*x[i]*x[j], (j, i, i+2))/i, (i, 1, n))",
    "Sum(x[i]*y[i], (i, 1, n))**2 + norm(x)*sin(sum(y)/n)",
    "Sum(Sum(M[i,j]*x[j], (j, 1, 3))**2 + sin(M[i,2]), (i, 1, n))",
    "Product(1 + x[i]**2/n, (i, 1, n)) + Max(x[1], x[2])",
    "Sum(where(x[i] > 0.3, x[i]**2, abs(x[i])), (i, 1, n)) - log(1 + Sum(x[i]**2, (i, 1, n)))",
    "Sum(x[2*i-1]**2*x[2*i], (i, 1, n))",
    "Sum(Sum(Sum(sin(x[i]*y[j] + z[k]), (k, 1, 3))**2, (j, 1, 4))**2, (i, 1, n))",
    "Sum(Sum(Sum(sin(x[i]*y[j] + z[k]), (k, 1, n))**2, (j, 1, 4))**2, (i, 1, 3))",
    "Sum(Sum(Sum(exp(T[i,j,k]), (j, 1, 2))**2, (i, 1, 3))*x[k], (k, 1, n))",
]


@pytest.mark.parametrize("text", INDEXED)
def test_loops_of_every_size(text: str) -> None:
    random = np.random.default_rng(6)
    sizes = SIZES[:6] if "Product" in text else SIZES[1:]
    for n in sizes:
        params = {name: value for name, value in {"n": float(n), "A": 1.5}.items() if name in text}
        objective = build(text, params)
        x = objective.inputs(random.uniform(0.1, 0.9, objective.layout.size))
        v = objective.inputs(random.normal(size=objective.layout.size))
        both_agree(objective.gradient_graph, [x], 1e-10)
        both_agree(objective.product_graph, [[*x, *v]], 1e-10)


@pytest.mark.parametrize(
    "text",
    [
        "Sum(where(x[i] > 0, sqrt(x[i]), x[i]**2), (i, 1, n))",
        "Sum(sqrt(x[i])**4 + x[i+1]**2, (i, 1, n-1))",
        "Sum(x[i]**2, (i, 1, n)) + sqrt(x[1])**4",
        "norm(x)**4 + 0*Sum(x[i], (i, 1, n))",
        "(x[1]**2)**0.5 + Sum((x[i+1] - x[i])**2, (i, 1, n-1))",  # scalars are added to what loops write
        "where(x[1] < 1, x[1], sqrt(x[1] - 1)) + Sum((x[i+1] - x[i])**2, (i, 2, n-1))",
    ],
)
def test_zero_times_anything_is_zero_in_long_vectors(text: str) -> None:
    """Compiled without that rule; where something is not finite, the code with the rule decides."""
    n = 30_000
    ours, wanted = (build(text, {"n": float(n)}, engine=engine) for engine in ("native", "numpy"))
    for places in ([], [0], [n - 1], [5, 2000, 20_000], range(n)):
        size = ours.layout.size
        x = np.random.default_rng(2).uniform(0.5, 1.5, size)
        x[[place for place in places if place < size]] = 0.0
        with np.errstate(all="ignore"):
            (value, slope), (other, gradient) = ours.value_and_gradient(x), wanted.value_and_gradient(x)
        assert_agree(value, other, 1e-12)
        assert_agree(slope, gradient, 1e-12, 1e-12)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the texts that were given to LLVM."""
    lengths: list[int] = []
    compile_text = llvm.compile_text

    def noted(text: str, *more: Any) -> Any:
        lengths.append(len(text))
        return compile_text(text, *more)

    monkeypatch.setattr(llvm, "compile_text", noted)
    return lengths


def test_the_first_results_that_are_not_finite_need_no_other_code(compiled: list[int]) -> None:
    objective = build("Sum(exp(x[i]) + sqrt(y[i])^4, (i, 1, 3000))", engine="native").compiled()
    fine, far = np.ones(6000), np.linspace(0.1, 1e4, 6000)
    objective.value_and_gradient(fine)
    told = [objective.value_and_gradient(far) for _ in range(DOUBTS)]
    assert len(compiled) == 1
    told.append(objective.value_and_gradient(far))
    assert len(compiled) == 2
    for value, slope in told[:-1]:
        assert_agree(value, told[-1][0], 0.0)
        assert_agree(slope, told[-1][1], 0.0)
    assert objective.masked() == ()


def test_where_zero_wins_the_other_code_is_made_at_once(compiled: list[int]) -> None:
    objective = build("Sum(exp(x[i]) + sqrt(y[i])^4, (i, 1, 3000))", engine="native").compiled()
    _, gradient = objective.value_and_gradient(np.zeros(6000))  # the slope of a root at 0 is infinite
    assert np.isfinite(gradient).all()
    assert objective.masked() == ("gradient",)
    assert len(compiled) == 2


def test_few_products_are_not_compiled(compiled: list[int]) -> None:
    result = optcli.minimize("arwhead", params={"n": 5000}, every=0)
    assert (result.verdict.kind, len(compiled)) == ("minimum", 1)


def test_many_products_are_compiled(compiled: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    objective = build("Sum((x[i]^2 + x[i+1]^2)^2, (i, 1, 2999))", engine="native").compiled()
    x, v = np.linspace(1.0, 2.0, 3000), np.linspace(-1.0, 1.0, 3000)
    numbers = sum(math.prod(node.shape) for node in objective.product_graph.nodes)
    monkeypatch.setattr("optcli.objective.COMPILING", 40 * numbers)
    product = objective.brief_hvp()
    before = len(compiled)
    results = [product(x, v) for _ in range(41)]
    assert len(compiled) == before + 1
    assert all((each == results[0]).all() for each in results[:40])
    assert_agree(results[40], results[0], 1e-14, 1e-14)
    again = objective.brief_hvp()  # what was asked before does not count
    assert (again(x, v) == results[0]).all()


def test_sums_keep_their_digits() -> None:
    """Blocks and pairs: a million terms lose no more than a few ulp; also where one axis is summed."""
    random = np.random.default_rng(0)
    x, y = random.uniform(size=10**6), random.uniform(size=2000)
    objective = build("Sum(x[i]**2, (i, 1, n))", {"n": 1e6})
    assert objective.value(x) == pytest.approx(math.fsum(x * x), rel=4 * EPS)
    objective = build("Sum(Sum(x[i] + y[j]**2, (j, 1, 2000))**2, (i, 1, 50))", {})
    both = np.concatenate([x[:50], y])
    exact = math.fsum(math.fsum(entry + y * y) ** 2 for entry in x[:50])
    assert objective.value(both) == pytest.approx(exact, rel=16 * EPS)
