"""The reference engine: a Plan computes what its graph says, in few buffers, and nothing grows but arrays."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import TIMES, same
from random_texts import random_tree, text_of

import optcli
from optcli import library
from optcli.autograd import ops
from optcli.autograd.gradient import gradient, hessian_vector_product
from optcli.autograd.graph import Builder, Graph, Node
from optcli.autograd.structural import Reshape, Scatter, Strided, Sum, Take
from optcli.build import build
from optcli.engine.numpy_engine import Plan, evaluate, every_value, first_nonfinite, overflowed

ROSENBROCK = "Sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, (i, 1, n-1))"
MEGA = 10**6
SHAPES = {(), (1,), (5,), (4, 5), (4, 1)}


def points(size: int) -> list[Any]:
    """Three points, one with zeros, one with what is not finite."""
    random = np.random.default_rng(9)
    plain = random.normal(size=size)
    holes, wild = plain.copy(), plain.copy()
    holes[::2] = 0.0
    wild[::3] = np.inf
    wild[1::3] = np.nan
    return [plain, holes, wild, random.uniform(0.5, 2.0, size)]


def agree(graph: Graph, inputs: list[list[Any]]) -> None:
    """Plan and evaluate give the same bits, call after call; inputs stay as they are, outputs are not written over."""
    plan = Plan(graph)
    for given_ in inputs:
        before = [np.array(value) for value in given_]
        wanted = evaluate(graph, given_)
        first = [np.array(value) for value in plan(*given_)]
        again = plan(*given_)
        for a, b, c in zip(first, again, wanted, strict=True):
            assert same(a, c)
            assert same(b, c)
        assert all(same(a, b) for a, b in zip(before, given_, strict=True))


# ------------------------------------------------------------------ the meaning


@pytest.mark.parametrize("name", library.names())
def test_plans_of_the_library(name: str) -> None:
    objective = optcli.function(name).objective
    inputs = [objective.inputs(x) for x in points(objective.layout.size)]
    agree(objective.graph, inputs)
    agree(objective.gradient_graph, inputs)
    doubled = [[*a, *b] for a, b in zip(inputs, inputs[1:] + inputs[:1], strict=True)]
    agree(hessian_vector_product(objective.graph), doubled)


@settings(max_examples=80 * TIMES, derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_plans_of_random_graphs(random: Random, depth: int) -> None:
    objective = optcli.function(f"({text_of(random_tree(random, depth), random)})").objective
    agree(objective.gradient_graph, [list(x) for x in points(objective.layout.size)])


def random_arrays(random: Random, builder: Builder) -> Graph:
    """A random graph over arrays of shapes (), (5,), (4, 5), (4, 1), with views, sums and scatters among them."""
    nodes: list[Node] = [builder.input(k, shape, f"x{k}") for k, shape in enumerate([(), (5,), (4, 5), (4, 1)])]
    inputs = tuple(nodes)
    for _ in range(random.randint(3, 40)):
        a = random.choice(nodes)
        kind = random.randrange(7)
        if kind <= 2:
            nodes.append(random.choice((ops.add, ops.sub, ops.mul, ops.largest))(a, random.choice(nodes)))
        elif kind == 3:
            nodes.append(random.choice((ops.sin, ops.tanh, ops.neg, ops.sigmoid, ops.square))(a))
        elif a.shape == (5,):
            window = Take(Strided(1, (1,), (4,)), (5,))(a)
            nodes.append(
                random.choice((window, Scatter((Strided(4, (-1,), (4,)),), (5,))(window), Reshape((5, 1), (5,))(a)))
            )
        elif a.shape:
            axis = random.randrange(len(a.shape))
            nodes.append(Sum((axis,), a.shape)(a))
        nodes = [node for node in nodes if node.shape in SHAPES]  # the rest does not fit the others
    parts = [node if node.shape == () else Sum(tuple(range(len(node.shape))), node.shape)(node) for node in nodes[-4:]]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return Graph.of(inputs, (total, *nodes[-3:]))


@settings(max_examples=150 * TIMES, derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False))
def test_plans_of_random_graphs_of_arrays(random: Random) -> None:
    graph = random_arrays(random, Builder())
    numbers = np.random.default_rng(random.randrange(10**6))
    inputs = [[numbers.normal(size=node.shape)[()] for node in graph.inputs] for _ in range(2)]
    agree(graph, inputs)
    agree(gradient(Graph.of(graph.inputs, graph.outputs[:1])), inputs)


def test_outputs_are_the_plans_own_until_the_next_call() -> None:
    builder = Builder()
    x = builder.input(0, (3,), "x")
    plan = Plan(Graph.of((x,), (x + 1.0, ops.sin(x + 1.0), x)))
    first = np.array([0.0, 1.0, 2.0])
    out = plan(first)
    assert np.array_equal(out[0], first + 1.0)
    assert np.array_equal(out[1], np.sin(first + 1.0))
    assert out[2] is first  # an input that is an output is passed through
    plan(np.array([5.0, 5.0, 5.0]))
    assert np.array_equal(first, [0.0, 1.0, 2.0])


def test_a_gradient_is_a_new_array_each_time() -> None:
    objective = optcli.function("Sum(x[i]**3, (i, 1, 4))").objective
    _, one = objective.value_and_gradient(np.ones(4))
    kept = one.copy()
    objective.value_and_gradient(np.full(4, 2.0))
    assert np.array_equal(one, kept)


# ------------------------------------------------------------------ buffers


def buffers_of(plan: Plan) -> set[int]:
    """The addresses of the buffers that a plan's kernels write to."""
    kept = [kernel.keywords["out"] for kernel, *_ in plan._program if hasattr(kernel, "keywords")]
    return {buffer.__array_interface__["data"][0] for buffer in kept}


def bytes_of(plan: Plan) -> int:
    kept = [kernel.keywords["out"] for kernel, *_ in plan._program if hasattr(kernel, "keywords")]
    return sum({buffer.__array_interface__["data"][0]: buffer.nbytes for buffer in kept}.values())


def test_a_long_chain_needs_few_buffers() -> None:
    builder = Builder()
    x = node = builder.input(0, (7,), "x")
    for k in range(500):
        node = ops.sin(node) if k % 2 else ops.sigmoid(node)
    plan = Plan(Graph.of((x,), (node,)))
    assert plan.instructions == 500
    assert len(buffers_of(plan)) <= 3


def test_a_buffer_outlives_its_views() -> None:
    builder = Builder()
    x = builder.input(0, (6,), "x")
    view = Take(Strided(5, (-1,), (6,)), (6,))(ops.sin(x))
    node = x
    for _ in range(5):
        node = ops.sigmoid(ops.cos(node) + 1.0)
    graph = Graph.of((x,), (Reshape((2, 3), (6,))(view), node, view * node))
    agree(graph, [[np.arange(6.0)], [np.ones(6)]])


# ------------------------------------------------------------------ size


def test_a_million_variables_cost_arrays_only() -> None:
    small, large = (build(ROSENBROCK, {"n": float(n)}) for n in (10, MEGA))
    assert len(small.graph.nodes) == len(large.graph.nodes)
    assert len(small.gradient_graph) == len(large.gradient_graph)
    assert small.gradient_plan.instructions == large.gradient_plan.instructions
    constants = [node for node in large.gradient_graph.nodes if node.value is not None and node.shape]
    assert not constants
    assert bytes_of(large.gradient_plan) <= 8 * 8 * MEGA
    assert bytes_of(large.value_plan) <= 4 * 8 * MEGA


def test_building_a_million_variables_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTCLI_CACHE", "off")
    build(ROSENBROCK, {"n": 10.0})  # all modules are loaded
    tracemalloc.start()
    try:
        objective = build(ROSENBROCK, {"n": float(MEGA)})
        assert objective.layout.size == MEGA
        assert len(objective.gradient_graph) > 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEGA  # not even a byte for each variable


def test_the_gradient_of_a_million_variables() -> None:
    objective = build(ROSENBROCK, {"n": float(MEGA)})
    x = np.random.default_rng(1).normal(size=MEGA)
    value, slope = objective.value_and_gradient(x)
    left, right = x[:-1], x[1:]
    gap = right - left**2
    wanted = np.zeros(MEGA)
    wanted[:-1] = -400.0 * left * gap - 2.0 * (1.0 - left)
    wanted[1:] += 200.0 * gap
    assert np.isclose(value, np.sum(100.0 * gap**2 + (1.0 - left) ** 2), rtol=1e-12)
    assert np.allclose(slope, wanted, rtol=1e-12, atol=1e-10)


QUADRATIC_FORMS = [
    "Sum(Sum(A[i,j]*x[i]*x[j], (i,1,n)), (j,1,n))",
    "Sum(A[i,j]*x[i]*x[j], (i,1,n), (j,1,n))",
    "Sum(x[i]*Sum(A[i,j]*x[j], (j,1,n)), (i,1,n))",
    "Sum(Sum(x[j]*A[j,i]*x[i], (i,1,n)), (j,1,n))",
]


@pytest.mark.parametrize("text", QUADRATIC_FORMS)
def test_a_quadratic_form_makes_no_second_matrix(text: str) -> None:
    n = 600
    matrix = np.random.default_rng(2).normal(size=(n, n))
    objective = build(text, {"n": float(n)}, {"A": matrix})
    x = np.random.default_rng(3).normal(size=n)
    plans = objective.value_plan, objective.gradient_plan
    assert all(bytes_of(plan) < n * n for plan in plans)
    objective.value_and_gradient(x)
    tracemalloc.start()
    try:
        value, slope = objective.value_and_gradient(x)
        objective.value(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * n * n / 20
    assert np.isclose(value, x @ matrix @ x, rtol=1e-11)
    assert np.allclose(slope, (matrix + matrix.T) @ x, rtol=1e-10, atol=1e-10)


def test_gradient_descent_over_vectors_allocates_little() -> None:
    """A call makes no array beyond its result, however often it is made."""
    objective = build(ROSENBROCK, {"n": 100_000.0})
    x = np.full(100_000, 0.5)
    objective.value_and_gradient(x)
    tracemalloc.start()
    try:
        for _ in range(5):
            objective.value_and_gradient(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 8 * 100_000


# ------------------------------------------------------------------ what is not finite


@pytest.mark.parametrize(
    ("text", "x", "where", "too_large"),
    [
        ("exp(x) + 1", 1000.0, "exp", True),
        ("x**2 + x", 1e200, "square", True),
        ("x*1e300 + sin(x)", 1e10, "mul", True),
        ("log(x) + x", -1.0, "log", False),
        ("log(x) + x", 0.0, "log", False),
        ("1/x", 0.0, "div", False),
        ("x**(-2)", 0.0, "pow", False),
        ("x**100", 1e10, "pow", True),
        ("sqrt(x) + 1", -4.0, "sqrt", False),
        ("exp(x) - exp(x)", 1000.0, "exp", True),
    ],
)
def test_the_first_number_that_is_not_finite(text: str, x: float, where: str, too_large: bool) -> None:
    objective = optcli.function(text).objective
    inputs = objective.inputs(np.array([x]))
    found = first_nonfinite(objective.graph, inputs)
    assert found is not None
    assert found[0].op.name == where
    assert overflowed(objective.graph, inputs) is too_large
    assert objective.overflowed(np.array([x])) is too_large


def test_all_is_finite() -> None:
    objective = optcli.function("x**2 + 1").objective
    assert first_nonfinite(objective.graph, [np.float64(1.0)]) is None
    assert not objective.overflowed(np.array([1.0]))
    assert set(every_value(objective.graph, [np.float64(2.0)]).values()) == {2.0, 4.0, 1.0, 5.0}
