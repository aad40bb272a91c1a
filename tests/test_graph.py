"""The static graph: identity of nodes, the checker, folding, and derivatives graph to graph."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import CONDITIONS, TIMES, arity, computed, far, precise, same
from random_texts import random_tree, sympy_of, text_of

import optcli
from optcli import library
from optcli.autograd import ops
from optcli.autograd.gradient import gradient, hessian_vector_product, jvp
from optcli.autograd.graph import Builder, Constant, Graph, Node, check_graph
from optcli.autograd.ops import OPS, Op
from optcli.autograd.structural import Sum
from optcli.build import build
from optcli.engine.numpy_engine import evaluate

NAMES = library.names()
WILD = 1e10  # a curvature beyond differences
SMALL = 30  # variables up to which Hessians of the library are formed here


def two_inputs() -> tuple[Builder, Node, Node]:
    builder = Builder()
    return builder, builder.input(0, (), "x"), builder.input(1, (), "y")


def objective_of(name: str) -> Any:
    return optcli.function(name).objective


# ------------------------------------------------------------------ nodes


def test_equal_nodes_are_one() -> None:
    builder, x, y = two_inputs()
    assert builder.input(0, (), "x") is x
    assert x + y is x + y
    assert x + y is not y + x  # as typed
    assert x * 2.0 is x * 2
    assert builder.constant(0.0) is not builder.constant(-0.0)
    assert builder.constant(math.nan) is builder.constant(math.nan)
    assert math.copysign(1.0, (x * -0.0).args[1].value) == -1.0
    assert ops.sin(x + y).args[0] is x + y
    vector = builder.input(2, (3,), "v")
    assert Sum((0,), (3,))(vector) is Sum((0,), (3,))(vector)


def test_shortcuts_are_exact_identities() -> None:
    builder, x, y = two_inputs()
    assert x * 1.0 is x
    assert 1.0 * x is x
    assert -1.0 * x is x * -1.0 is -x
    assert ops.neg(ops.neg(x)) is x
    assert x**1.0 is x
    assert (x**2.0).op is ops.square
    # these would change a value somewhere: -0.0, Inf or NaN
    for node in (x + 0.0, x - x, x / x, x * 0.0, x**0.0, 0.0 - x, x / 1.0 * y, x + (-y)):
        assert not isinstance(node.op, Constant)
        assert node is not x
    assert ops.chain(builder.constant(0.0), x).value == 0.0
    assert ops.chain(x, builder.constant(1.0)) is x


@pytest.mark.parametrize("name", OPS)
def test_folding_is_what_the_kernel_computes(name: str) -> None:
    op = OPS[name]
    random = np.random.default_rng(1)
    for _ in range(20):
        point = [np.float64(random.uniform(low, high)) for low, high in (op.domain * 3)[: arity(op)]]
        if name == "polygamma":
            point[0] = np.float64(1.0)
        node = Builder().node(op, point)
        assert isinstance(node.op, Constant)
        with np.errstate(all="ignore"):
            assert same(node.value, op.kernel(*point)), point


def test_topological_order_and_printing() -> None:
    graph = objective_of("x*y + sin(x*y)").graph
    assert str(graph) == (
        "%0 = input x : ()\n%1 = input y : ()\n%2 = mul(%0, %1) : ()\n%3 = sin(%2) : ()\n"
        "%4 = add(%2, %3) : ()\noutputs %4"
    )
    assert len(graph) == 3
    assert [node.number for node in graph.nodes] == sorted(node.number for node in graph.nodes)


def test_what_is_not_needed_is_not_there() -> None:
    builder, x, y = two_inputs()
    kept, dropped = x * y, ops.exp(x)
    graph = Graph.of((x, y), (kept,))
    assert dropped not in graph.nodes
    assert kept in graph.nodes
    with pytest.raises(AssertionError, match="another input"):
        builder.input(0, (3,), "x")
    constant = Graph.of((x, y), (builder.constant(3.0),))
    assert [node.value for node in gradient(constant).outputs] == [3.0, 0.0, 0.0]


def test_a_chain_of_100000_nodes() -> None:
    builder = Builder()
    x = node = builder.input(0, (), "x")
    for k in range(100_000):
        node = ops.sin(node) if k % 1000 == 0 else node + x
    graph = gradient(Graph.of((x,), (node,)))
    check_graph(graph)
    value, slope = evaluate(graph, [np.float64(1e-3)])
    assert math.isfinite(value)
    assert math.isfinite(slope)


# ------------------------------------------------------------------ the checker


@pytest.mark.parametrize("name", NAMES)
def test_library_graphs_are_sound_and_small(name: str) -> None:
    objective = objective_of(name)
    check_graph(objective.graph)
    check_graph(objective.gradient_graph)
    check_graph(hessian_vector_product(objective.graph))
    assert len(objective.gradient_graph) <= 4 * len(objective.graph)


def replaced(graph: Graph, node: Node) -> Graph:
    """The graph with its last node exchanged."""
    return dataclasses.replace(graph, nodes=(*graph.nodes[:-1], node), outputs=(node,))


def broken() -> dict[str, Graph]:
    builder, x, y = two_inputs()
    graph = Graph.of((x, y), (ops.sin(x * y),))
    product = graph.nodes[2]
    array = np.zeros(3, dtype=np.float32)
    return {
        "a wrong shape": replaced(graph, Node(builder, 9, ops.sin, (product,), (3,))),
        "stands before its arguments": dataclasses.replace(graph, nodes=graph.nodes[::-1]),
        "is there twice": dataclasses.replace(graph, nodes=(*graph.nodes, Node(builder, 9, ops.mul, (x, y), ()))),
        "another builder": replaced(graph, Builder().input(0, (), "x")),
        "an unknown operation": replaced(graph, Node(builder, 9, SimpleNamespace(name="sine"), (product,), ())),
        "is not float64": replaced(graph, Node(builder, 9, Constant(array), (), (3,))),
        "another shape than its value": replaced(graph, Node(builder, 9, Constant(np.float64(1.0)), (), (3,))),
        "is not among the nodes": dataclasses.replace(graph, outputs=(x + y,)),
    }


@pytest.mark.parametrize("said", broken())
def test_the_checker_finds_what_is_broken(said: str) -> None:
    graph = broken()[said]
    if said == "another builder":
        graph = dataclasses.replace(graph, outputs=(graph.nodes[0],))
    with pytest.raises(AssertionError, match=said):
        check_graph(graph)


# ------------------------------------------------------------------ derivatives of scalars


@pytest.mark.parametrize("name", [name for name in OPS if name not in CONDITIONS])
def test_second_derivatives_are_sympys(name: str) -> None:
    op = OPS[name]
    count = arity(op)
    builder = Builder()
    free = list(range(count))
    if name in ("polygamma", "where"):  # the first argument has no derivative
        free = free[1:]
    args = [builder.input(k, (), "abc"[k]) for k in range(len(free))]
    inputs = [*[builder.constant(1.0)] * (count - len(free)), *args]
    product = hessian_vector_product(Graph.of(args, (op(*inputs),)))
    check_graph(product)
    random = np.random.default_rng(2)
    for _ in range(5):
        point = [random.uniform(low, high) for low, high in (op.domain * 3)[:count]]
        if len(free) < count:
            point[0] = 1.0
        at = [np.float64(point[k]) for k in free]
        hessian = [evaluate(product, [*at, *unit]) for unit in np.eye(len(free))]
        for i, row in zip(free, hessian, strict=True):
            for j, got in zip(free, row, strict=True):
                assert far(got, precise(op, i, j)(*point), 1e-3) <= 1e6, (i, j, point, got)


@settings(max_examples=120 * TIMES, derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_random_graphs_agree_with_sympy(random: Random, depth: int) -> None:
    """Value, gradient and one column of the Hessian; an error is measured against the largest number on the way."""
    tree = random_tree(random, depth, names="xy", tame=True)
    f = optcli.function(f"({text_of(tree, random)})")
    objective = f.objective
    check_graph(objective.gradient_graph)
    point = {name: random.choice((-2, -1, 1, 2, 3)) / 4 + 1 / 16 for name in f.variables}
    flat = np.array([point[name] for name in f.variables])
    known = np.array(evaluate(Graph.of(objective.graph.inputs, objective.gradient_graph.nodes), list(flat)))
    largest = float(np.max(np.abs(known)))
    if not largest < 1e6:
        return
    expression = sympy_of(tree)
    symbols = [sympy.Symbol(name) for name in f.variables]
    value, slope = objective.value_and_gradient(flat)
    scale = max(1.0, largest) ** 2
    assert far(value, computed(symbols, expression)(*flat), scale) < 1000
    derivatives = [sympy.diff(expression, symbol) for symbol in symbols]
    for got, wanted in zip(slope, derivatives, strict=True):
        assert far(got, computed(symbols, wanted)(*flat), scale) < 1e4
    column = objective.hvp(flat, np.eye(len(flat))[0])
    for got, wanted in zip(column, derivatives, strict=True):
        assert far(got, computed(symbols, sympy.diff(wanted, symbols[0]))(*flat), scale) < 1e6


HESSIANS = [
    "(1 - x)**2 + 5*(y - x**2)**2",
    "sin(x*y) + exp(x - y)*cos(x)",
    "x**y",
    "x**4*y**3/(1 + x**2 + y**2)",
    "log(1 + exp(x + 2*y))",
    "sqrt(x**2 + y**2 + 1)",
    "atan2(y, x)*tanh(x)",
    "gamma(x + 2)*y + loggamma(y + 3)",
    "erf(x)*y**2 + 1/(x + 3)",
    "x**2.5*y**(-1.5)",
]


@pytest.mark.parametrize("text", HESSIANS)
def test_hessian_is_sympys(text: str) -> None:
    f = optcli.function(text)
    point = {"x": 0.7, "y": 1.3}
    at = [point[name] for name in f.variables]
    symbols = sympy.symbols(f.variables)
    expression = sympy.sympify(text)
    first, second = f.gradient(point), f.hessian(point)
    assert np.allclose(second, second.T, rtol=1e-13, atol=1e-13)
    direction = {"x": 0.3, "y": -2.0}
    product = f.hvp(point, direction)
    for i, (name, symbol) in enumerate(zip(f.variables, symbols, strict=True)):
        slope = sympy.diff(expression, symbol)
        assert far(first[name], computed(symbols, slope)(*at), 1.0) <= 100
        row = [computed(symbols, sympy.diff(slope, other))(*at) for other in symbols]
        assert all(far(got, wanted, 1.0) <= 1000 for got, wanted in zip(second[i], row, strict=True))
        along = mpmath.fdot(row, [direction[other] for other in f.variables])
        assert far(product[name], along, 1.0) <= 1000


def start_of(objective: Any) -> Any:
    """A point off every kink and symmetry."""
    return 0.6 + 0.3 * np.sin(1.0 + 2.0 * np.arange(objective.layout.size))


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_reverse_mode_agree(name: str) -> None:
    objective = objective_of(name)
    at = start_of(objective)
    direction = np.cos(3.0 * np.arange(at.size) + 0.5)
    _, slope = objective.value_and_gradient(at)
    graph = objective.graph
    tangents = [graph.builder.input(100 + k, node.shape, f"t{k}") for k, node in enumerate(graph.inputs)]
    forward = Graph.of((*graph.inputs, *tangents), jvp(graph, tangents))
    check_graph(forward)
    (along,) = evaluate(forward, [*objective.inputs(at), *objective.inputs(direction)])
    if not np.all(np.isfinite(slope)):
        assert not math.isfinite(along)
        return
    scale = float(np.abs(slope) @ np.abs(direction)) + 1e-300
    assert abs(float(along) - float(slope @ direction)) <= 1e-10 * scale


@pytest.mark.parametrize("name", [name for name in NAMES if objective_of(name).layout.size <= SMALL])
def test_hessians_of_the_library_are_symmetric(name: str) -> None:
    objective = objective_of(name)
    at = start_of(objective)
    second = objective.hessian(at)
    finite = np.isfinite(second) & np.isfinite(second.T)
    scale = float(np.max(np.abs(second[finite]), initial=0.0))
    assert np.allclose(second[finite], second.T[finite], rtol=1e-9, atol=1e-12 * scale)
    # the product with a direction is that of the matrix, and differences of the gradient say the same
    direction = np.cos(3.0 * np.arange(at.size) + 0.5)
    product = objective.hvp(at, direction)
    if np.all(finite) and scale < WILD:
        assert np.allclose(product, second @ direction, rtol=1e-9, atol=1e-11 * scale)
        wide, narrow = (differences(objective, at, step * direction) / step for step in (4e-6, 1e-6))
        size = max(scale, float(np.max(np.abs(objective.value_and_gradient(at)[1]), initial=0.0)))
        assert np.all(np.abs(product - narrow) <= 1e-4 * size + 4.0 * np.abs(wide - narrow))


def differences(objective: Any, at: Any, displacement: Any) -> Any:
    """Half the change of the gradient from one side to the other."""
    return (objective.value_and_gradient(at + displacement)[1] - objective.value_and_gradient(at - displacement)[1]) / 2


# ------------------------------------------------------------------ planted bugs


def planted(op: Op, rule: Callable[..., Any]) -> Op:
    return dataclasses.replace(op, partials=(rule,))


def test_a_wrong_rule_is_found() -> None:
    wrong = planted(ops.sin, lambda y, x: ops.sin(x))
    builder = Builder()
    x = builder.input(0, (), "x")
    graph = gradient(Graph.of((x,), (wrong(x) * x,)))

    def value(at: Any) -> float:
        return float(evaluate(graph, [at[0]])[0])

    at = np.array([0.4])
    found = optcli.check_gradient(value, np.array(evaluate(graph, list(at))[1:]), at)
    assert not found.agrees


def test_the_partials_of_a_long_max_are_stated_once() -> None:
    calls = []
    many = ops.largest.many
    assert many is not None

    def counted(*args: Any) -> Any:
        calls.append(len(args))
        return many(*args)

    object.__setattr__(ops.largest, "many", counted)  # the row is frozen
    try:
        objective = build("max(" + ",".join(f"x{k}" for k in range(50)) + ")")
        assert len(objective.gradient_graph.outputs) == 51
    finally:
        object.__setattr__(ops.largest, "many", many)
    assert calls == [51]
