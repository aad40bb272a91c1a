"""Structural operations: each is compared with loops over its entries, and its transpose by ⟨Jv, w⟩ = ⟨v, Jᵀw⟩."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from optcli.autograd import ops
from optcli.autograd.gradient import backward, jvp
from optcli.autograd.graph import Builder, Graph, Node, check_graph
from optcli.autograd.products import Contract, Norm
from optcli.autograd.structural import (
    Broadcast,
    Fold,
    Gather,
    Reshape,
    Scatter,
    Strided,
    Structural,
    Sum,
    Take,
    sum_to,
)
from optcli.engine.numpy_engine import Plan, evaluate

Shape = tuple[int, ...]


def gather(*index: Any) -> Gather:
    return Gather(np.array(index, dtype=np.int64))


# name → places in a flat array of 12 entries
PLACES: dict[str, Strided | Gather] = {
    "one entry": Strided(5, (), ()),
    "a slice": Strided(2, (1,), (4,)),
    "every third": Strided(1, (3,), (4,)),
    "backwards": Strided(11, (-2,), (6,)),
    "all backwards": Strided(11, (-1,), (12,)),
    "a transpose": Strided(0, (1, 4), (4, 3)),
    "a diagonal": Strided(0, (5,), (3,)),
    "windows": Strided(0, (1, 1), (5, 4)),
    "windows apart": Strided(1, (3, 2), (3, 3)),
    "windows backwards": Strided(11, (-1, -2), (4, 3)),
    "the same again and again": Strided(7, (0,), (5,)),
    "rows again and again": Strided(0, (0, 1), (3, 12)),
    "three axes that overlap": Strided(0, (1, 2, 3), (3, 3, 2)),
    "nothing": Strided(0, (1,), (0,)),
    "gathered": gather(3, 3, 0, 11, 7),
    "a gathered table": gather([0, 1, 1], [11, 1, 0]),
    "gathered nothing": Gather(np.zeros((0,), dtype=np.int64)),
}
SIZE = 12

# name → operation, shapes of its arguments
LINEAR: dict[str, tuple[Structural, list[Shape]]] = {
    **{f"take {name}": (Take(places, (SIZE,)), [(SIZE,)]) for name, places in PLACES.items()},
    "take from a matrix": (Take(Strided(1, (4,), (3,)), (3, 4)), [(3, 4)]),
    **{f"scatter {name}": (Scatter((places,), (SIZE,)), [places.shape]) for name, places in PLACES.items()},
    "scatter two that overlap": (
        Scatter((Strided(0, (1,), (5,)), Strided(3, (2,), (4,))), (SIZE,)),
        [(5,), (4,)],
    ),
    "scatter into a matrix": (Scatter((gather(0, 5, 5), Strided(11, (-1,), (12,))), (3, 4)), [(3,), (12,)]),
    "sum of all": (Sum((0,), (5,)), [(5,)]),
    "sum of rows": (Sum((0,), (3, 4)), [(3, 4)]),
    "sum of columns": (Sum((1,), (3, 4)), [(3, 4)]),
    "sum of two axes": (Sum((0, 2), (2, 3, 4)), [(2, 3, 4)]),
    "sum of nothing": (Sum((0,), (0,)), [(0,)]),
    "sum in order": (Fold(5), [(5,)]),
    "broadcast a number": (Broadcast((3, 4)), [()]),
    "broadcast a row": (Broadcast((3, 4)), [(4,)]),
    "broadcast a column": (Broadcast((3, 4)), [(3, 1)]),
    "broadcast both": (Broadcast((2, 3, 4)), [(3, 1)]),
    "reshape": (Reshape((2, 6), (3, 4)), [(3, 4)]),
    "reshape to a number": (Reshape((), (1, 1)), [(1, 1)]),
}


def entries(places: Strided | Gather) -> list[int]:
    """The numbers of the entries in C order, by loops."""
    if isinstance(places, Gather):
        return [int(k) for k in places.index.reshape(-1)]
    return [
        places.offset + sum(k * stride for k, stride in zip(index, places.strides, strict=True))
        for index in itertools.product(*map(range, places.shape))
    ]


def matrix_of(operation: Structural, shapes: Sequence[Shape], which: int) -> Any:
    """The linear map of one argument as a matrix, column by column."""
    columns = []
    for k in range(math.prod(shapes[which])):
        args = [np.zeros(shape) for shape in shapes]
        args[which].reshape(-1)[k] = 1.0
        columns.append(np.ravel(operation.kernel(*args)))
    rows = math.prod(operation.out_shape(shapes))
    return np.array(columns).T if columns else np.zeros((rows, 0))


def dot_test(build: Callable[..., Node], shapes: Sequence[Shape], seed: int = 0, positive: bool = False) -> None:
    """⟨Jv, w⟩ = ⟨v, Jᵀw⟩, and Jv is what central differences say, for a function of arrays of these shapes."""
    random = np.random.default_rng(seed)
    builder = Builder()
    inputs = [builder.input(k, shape, f"x{k}") for k, shape in enumerate(shapes)]
    output = build(*inputs)
    graph = Graph.of(inputs, (output,))
    count = len(shapes)
    tangents = [builder.input(count + k, shape, f"v{k}") for k, shape in enumerate(shapes)]
    cotangent = builder.input(2 * count, output.shape, "w")
    forward = jvp(graph, tangents)
    reverse = backward(graph, output, cotangent, inputs)
    whole = Graph.of((*inputs, *tangents, cotangent), (*forward, *reverse))
    check_graph(whole)
    assert [node.shape for node in reverse] == [node.shape for node in inputs]
    assert forward[0].shape == output.shape
    at = [random.uniform(0.5, 2.0, shape) if positive else random.normal(size=shape) for shape in shapes]
    v = [random.normal(size=shape) for shape in shapes]
    w = random.normal(size=output.shape)
    given = [np.asarray(value)[()] for value in (*at, *v, w)]
    plan = Plan(whole)
    plan(*given)
    pushed, *pulled = (np.array(value) for value in plan(*given))
    left = float(np.sum(pushed * w))
    right = sum(float(np.sum(a * b)) for a, b in zip(v, pulled, strict=True))
    assert abs(left - right) <= 1e-12 * (float(np.sum(np.abs(pushed * w))) + 1e-30)
    step = 1e-6
    moved = [[a + sign * step * b for a, b in zip(at, v, strict=True)] for sign in (1.0, -1.0)]
    ahead, behind = (evaluate(graph, [np.asarray(a)[()] for a in place])[0] for place in moved)
    scale = float(np.max(np.abs(pushed), initial=1.0))
    assert np.allclose((ahead - behind) / (2.0 * step), pushed, rtol=1e-6, atol=1e-7 * scale)


# ------------------------------------------------------------------ linear ones


@pytest.mark.parametrize("name", PLACES)
def test_places_are_entries(name: str) -> None:
    places = PLACES[name]
    x = np.arange(100.0, 100.0 + SIZE)
    taken = Take(places, (SIZE,)).kernel(x)
    assert np.shape(taken) == places.shape
    assert np.array_equal(np.ravel(taken), x[entries(places)])
    values = np.arange(1.0, 1.0 + math.prod(places.shape)).reshape(places.shape)
    wanted = np.zeros(SIZE)
    for place, value in zip(entries(places), values.reshape(-1), strict=True):
        wanted[place] += value
    assert np.array_equal(Scatter((places,), (SIZE,)).kernel(values), wanted)
    buffer = np.full(SIZE, 9.0)  # what a buffer held before is gone
    assert np.array_equal(Scatter((places, places), (SIZE,)).kernel(values, values, out=buffer), 2.0 * wanted)
    assert np.array_equal(x, np.arange(100.0, 100.0 + SIZE))


def test_injective_says_whether_places_coincide() -> None:
    for places in PLACES.values():
        if isinstance(places, Strided):
            numbers = entries(places)
            if places.injective():
                assert len(set(numbers)) == len(numbers), places
            assert places.is_whole(SIZE) == (numbers == list(range(SIZE))), places
    assert Strided(0, (4, 1), (3, 4)).is_whole(SIZE)
    assert Strided(0, (4, 1), (3, 4)).injective()
    assert not Strided(0, (1, 1), (5, 4)).injective()


@pytest.mark.parametrize("name", LINEAR)
def test_transposes(name: str) -> None:
    operation, shapes = LINEAR[name]
    dot_test(lambda *nodes: operation(*nodes), shapes)


@pytest.mark.parametrize("name", LINEAR)
def test_the_transpose_as_a_matrix(name: str) -> None:
    operation, shapes = LINEAR[name]
    for i, shape in enumerate(shapes):
        matrix = matrix_of(operation, shapes, i)
        w = np.random.default_rng(3).normal(size=operation.out_shape(shapes))
        args = tuple(np.zeros(shape) for shape in shapes)
        got = operation.vjp(i, w, operation.kernel(*args), args)
        assert np.allclose(np.broadcast_to(got, shape).reshape(-1), matrix.T @ w.reshape(-1), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("here", "shape", "target"),
    [
        ((3, 4), (3, 4), ()),
        ((3, 4), (3, 4), (4,)),
        ((3, 4), (3, 4), (3, 1)),
        ((3, 4), (3, 4), (1, 1)),
        ((2, 3, 4), (2, 3, 4), (3, 1)),
        ((), (3, 4), ()),
        ((), (3, 4), (4,)),
        ((), (3, 4), (3, 1)),
        ((4,), (3, 4), ()),
        ((4,), (3, 4), (3, 1)),
        ((3, 1), (3, 4), (4,)),
        ((3, 1), (3, 4), ()),
        ((1, 4), (3, 4), (4,)),
        ((1, 1), (3, 4), (3, 4)),
        ((3, 1), (2, 3, 4), (1, 4)),
        ((0,), (0,), ()),
    ],
)
def test_sum_to_is_the_transpose_of_broadcasting(here: Shape, shape: Shape, target: Shape) -> None:
    """`x` may have fewer entries than the shape it stands for."""
    x = np.random.default_rng(4).normal(size=here)[()]
    full = np.broadcast_to(x, shape)
    lead = len(shape) - len(target)
    axes = tuple(range(lead)) + tuple(lead + d for d, n in enumerate(target) if n == 1 and shape[lead + d] != 1)
    wanted = full.sum(axis=axes).reshape(target)
    got = sum_to(x, shape, target)
    assert np.allclose(np.broadcast_to(got, target), wanted, rtol=1e-14, atol=1e-15)
    assert np.broadcast_shapes(np.shape(got), target) == target


# ------------------------------------------------------------------ sums of products

# labels of the left, of the right, of the result
CONTRACTIONS = [
    ((0,), (0,), ()),
    ((0,), (0,), (0,)),
    ((0,), (1,), (0, 1)),
    ((0,), (1,), (1, 0)),
    ((0, 1), (1,), (0,)),
    ((0, 1), (0,), (1,)),
    ((0,), (0, 1), (1,)),
    ((1,), (0, 1), (0,)),
    ((0, 1), (1,), (0, 1)),
    ((0, 1), (1,), (1, 0)),
    ((0, 1), (1, 2), (0, 2)),
    ((0, 1), (1, 2), (2, 0)),
    ((0, 1), (0, 2), (1, 2)),
    ((0, 1), (0, 1), ()),
    ((0, 1), (1, 0), ()),
    ((0, 1), (0, 1), (0,)),
    ((0, 1), (1, 0), (1,)),
    ((0, 1), (0, 2), (0, 1, 2)),
    ((0, 1), (2,), (2, 0, 1)),
    ((0, 1, 2), (1,), (0, 2)),
    ((0, 1, 2), (2, 0), (1,)),
    ((), (0,), (0,)),
    ((0,), (), (0,)),
    ((), (), ()),
]
LENGTHS = (2, 3, 4)


def by_loops(left: Any, right: Any, a: Any, b: Any, labels: Any, lengths: Sequence[int], masked: bool) -> Any:
    out = np.zeros([lengths[k] for k in labels])
    every = sorted({*left, *right})
    for index in itertools.product(*(range(lengths[k]) for k in every)):
        at = dict(zip(every, index, strict=True))
        x, y = a[tuple(at[k] for k in left)], b[tuple(at[k] for k in right)]
        out[tuple(at[k] for k in labels)] += 0.0 if masked and (x == 0.0 or y == 0.0) else x * y
    return out


@pytest.mark.parametrize("lengths", [LENGTHS, (1, 3, 1), (3, 0, 2)])
@pytest.mark.parametrize(("left", "right", "labels"), CONTRACTIONS)
def test_contractions(left: Shape, right: Shape, labels: Shape, lengths: tuple[int, ...]) -> None:
    random = np.random.default_rng(6)
    shapes = [tuple(lengths[k] for k in side) for side in (left, right)]
    a, b = (random.normal(size=shape)[()] for shape in shapes)
    for masked in (False, True):
        contract = Contract(left, right, labels, masked)
        got = contract.kernel(a, b)
        assert np.shape(got) == contract.out_shape(shapes)
        wanted = by_loops(left, right, np.asarray(a), np.asarray(b), labels, lengths, masked)
        assert np.allclose(got, wanted, rtol=1e-13, atol=1e-14)
        buffer = np.full(contract.out_shape(shapes), 5.0)
        contract.kernel(a, b, out=buffer)
        assert np.array_equal(buffer, got)
        dot_test(lambda x, y, contract=contract: contract(x, y), shapes)


@pytest.mark.parametrize(("left", "right", "labels"), CONTRACTIONS)
def test_contractions_are_masked_where_asked(left: Shape, right: Shape, labels: Shape) -> None:
    """In adjoint products a zero gives zero, next to NaN and Inf too; in typed ones it does not."""
    random = np.random.default_rng(7)
    pool = np.array([0.0, 1.0, -2.0, math.inf, math.nan, 3.0])
    for _ in range(5):
        a, b = (random.choice(pool, [LENGTHS[k] for k in side]) for side in (left, right))
        for masked in (False, True):
            with np.errstate(all="ignore"):
                wanted = by_loops(left, right, a, b, labels, LENGTHS, masked)
                got = Contract(left, right, labels, masked).kernel(a[()], b[()])
            assert np.array_equal(got, wanted, equal_nan=True), (masked, a, b)


# ------------------------------------------------------------------ norm


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4)])
def test_norm(shape: Shape) -> None:
    norm = Norm(shape)
    dot_test(lambda x: norm(x), [shape])
    x = np.random.default_rng(8).normal(size=shape)
    assert math.isclose(norm.kernel(x), math.sqrt(math.fsum(x.reshape(-1) ** 2)), rel_tol=1e-15)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-150, 1.0, 1e150, 1e200, 1e307])
def test_norm_neither_overflows_nor_vanishes(scale: float) -> None:
    x = np.array([3.0, -4.0, 0.0, 12.0]) * scale
    # a denormal scale has few digits of its own
    with np.errstate(all="ignore"):
        got = Norm((4,)).kernel(x)
    assert math.isclose(got, 13.0 * scale, rel_tol=1e-15 if scale > 1e-300 else 1e-9)


@pytest.mark.parametrize(
    ("x", "wanted"),
    [([0.0, 0.0], 0.0), ([math.inf, 1.0], math.inf), ([-math.inf, 0.0], math.inf), ([math.nan, 1.0], math.nan)],
)
def test_norm_at_the_ends(x: list[float], wanted: float) -> None:
    with np.errstate(all="ignore"):
        assert np.array_equal(Norm((2,)).kernel(np.array(x)), wanted, equal_nan=True)


def test_norm_of_nothing() -> None:
    assert Norm((0,)).kernel(np.zeros(0)) == 0.0


# ------------------------------------------------------------------ together

COMPOSED: dict[str, tuple[Callable[..., Node], list[Shape]]] = {
    "outer product, summed": (lambda x, y: Sum((0, 1), (3, 4))(x * y), [(3, 1), (4,)]),
    "outer product, one axis": (lambda x, y: Sum((1,), (3, 4))(ops.sin(x * y)), [(3, 1), (4,)]),
    "a number among sums": (lambda s, x: Sum((0,), (4,))(ops.sin(Sum((1,), (4, 3))(s + x))), [(), (4, 3)]),
    "a row among sums": (lambda r, x: ops.sin(Sum((0,), (4, 3))(r * 2.0 + x)), [(1, 3), (4, 3)]),
    "a number among arrays": (lambda s, x: Sum((0,), (5,))(s * x**2 + s), [(), (5,)]),
    "windows multiplied": (
        lambda x: Sum((0,), (5,))(Take(Strided(0, (1,), (5,)), (6,))(x) * Take(Strided(1, (1,), (5,)), (6,))(x)),
        [(6,)],
    ),
    "a matrix twice": (
        lambda a, x: Contract((0,), (0,), ())(Contract((0, 1), (1,), (0,))(a, x), x),
        [(4, 4), (4,)],
    ),
    "exp of a contraction": (lambda a, x: ops.exp(Contract((0, 1), (1,), (0,))(a, x) * 0.1), [(3, 4), (4,)]),
    "norm of a product": (lambda x, y: Norm((4,))(x * y) * Norm((4,))(x), [(4,), (4,)]),
    "ties apart": (lambda x, y: ops.largest(x, y, 0.3) * ops.smallest(x, y), [(5,), (5,)]),
    "a choice": (lambda x, y: ops.where(ops.lt(x, y), x * y, ops.cos(x)), [(3, 1), (4,)]),
    "scatter and gather": (
        lambda x: Take(gather(0, 0, 3), (4,))(Scatter((gather(1, 3, 3, 0),), (4,))(ops.sinh(x))),
        [(4,)],
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_compositions(name: str) -> None:
    build, shapes = COMPOSED[name]
    dot_test(build, shapes)


@pytest.mark.parametrize("name", COMPOSED)
def test_second_order_of_compositions(name: str) -> None:
    """The gradient is itself a graph: its own forward and reverse products agree."""
    build, shapes = COMPOSED[name]
    for which in range(len(shapes)):

        def slope(*nodes: Node, which: int = which) -> Node:
            output = build(*nodes)
            weight = nodes[0].builder.constant(np.cos(np.arange(math.prod(output.shape))).reshape(output.shape))
            scalar = Sum(tuple(range(len(output.shape))), output.shape)(output * weight) if output.shape else output
            graph = Graph.of(nodes, (scalar,))
            return backward(graph, scalar, graph.builder.constant(1.0), nodes)[which]

        dot_test(slope, shapes)


def test_a_wrong_transpose_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sum, "vjp", lambda self, i, cotangent, y, args: cotangent)
    monkeypatch.setattr(Take, "vjp", lambda self, i, w, y, args: Scatter((Strided(3, (1,), (4,)),), (SIZE,))(w) * 1.0)
    with pytest.raises(AssertionError):
        dot_test(lambda x: Take(PLACES["a slice"], (SIZE,))(x), [(SIZE,)])


def test_adjoints_of_contractions_are_masked() -> None:
    """A row of A that no cotangent reaches may hold Inf and NaN."""
    contract = Contract((0, 1), (1,), (0,))
    a = np.array([[1.0, 2.0], [math.inf, math.nan]])
    x, w = np.array([3.0, 0.0]), np.array([1.0, 0.0])
    with np.errstate(all="ignore"):
        y = contract.kernel(a, x)
        assert np.array_equal(contract.vjp(1, w, y, (a, x)), [1.0, 2.0])
        assert np.array_equal(contract.vjp(0, np.array([1.0, math.inf]), y, (a, x)), [[3.0, 0.0], [math.inf, 0.0]])
