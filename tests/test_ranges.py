"""What nested ranges cost: a range counts for what depends on its index, and nothing is made once a pair otherwise."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
import sympy
from test_sums import Writer

import optcli
from optcli import ExpressionError, library
from optcli.blame import Blame
from optcli.build import build, build_sympy
from optcli.expr import indices
from optcli.expr.parse import parse
from optcli.expr.resolve import resolve
from optcli.optimize.probing import around

N = 100_000  # two nested ranges of it are beyond the limit
TRIGONOMETRIC = library.get("trigonometric").expression

COUNTED = [
    # text, n, the Sum or Product that is refused
    (TRIGONOMETRIC, N, None),
    ("Sum(Sum(x[j], (j, 1, n)), (i, 1, n))", N, None),
    ("Sum(x[i], (i, 1, n), (j, 1, n))", N, None),
    ("Sum(x[i], (j, 1, n), (i, 1, n))", N, None),
    ("Sum(x, (i, 1, n), (j, 1, n), (k, 1, n))", N, None),
    ("Product(Product(x[j], (j, 1, n)), (i, 1, n))", N, None),
    ("Sum(i*Product(cos(x[j]), (j, 1, n)), (i, 1, n))", N, None),
    ("Product(x[i] - Sum(x[j], (j, 1, n))/n, (i, 1, n))", N, None),
    ("Sum(max(x[i], Sum(x[j], (j, 1, n))/n), (i, 1, n))", N, None),
    ("Sum(where(i > 5, Sum(x[j], (j, 1, n)), x[i]), (i, 1, n))", N, None),
    ("Sum(x[i]*Sum(Sum(x[k], (k, 1, n)), (j, 1, n)), (i, 1, n))", N, None),
    ("Sum(x[i]*Sum(Sum(x[k]*y[j], (k, 1, n)), (j, 1, 9)), (i, 1, n))", N, None),
    ("Sum(x[i]*Sum(x[j], (j, 1, n + i - i)), (i, 1, n))", N, None),
    ("m = Sum(x[j], (j, 1, n)); Sum((x[i] - m)**2, (i, 1, n))", N, None),
    ("Sum(x[i]*Sum(Sum(y[k], (k, 1, j)), (j, 1, 9)), (i, 1, n))", N, None),
    ("Sum(Sum(x[i]*x[j], (j, 1, n)), (i, 1, n))", N, "Sum(x[i]*x[j], (j, 1, n))"),
    ("Sum(Sum(x[i]*x[j], (j, 1, n)), (i, 1, n))", 31_622, None),
    ("Sum(Sum(x[i]*x[j], (j, 1, n)), (i, 1, n))", 31_623, "Sum(x[i]*x[j], (j, 1, n))"),
    ("Product(i + j + x, (j, 1, n), (i, 1, n))", N, "Product(i + j + x, (j, 1, n), (i, 1, n))"),
    ("Sum(x[i] + Product(x[i] - x[j], (j, 1, n)), (i, 1, n))", N, "Product(x[i] - x[j], (j, 1, n))"),
    ("Sum(Sum(max(x[i], x[j]), (j, 1, n)), (i, 1, n))", N, "Sum(max(x[i], x[j]), (j, 1, n))"),
    ("Sum(Sum(where(i < 5, x[j], 0), (j, 1, n)), (i, 1, n))", N, "Sum(where(i < 5, x[j], 0), (j, 1, n))"),
    ("Sum(x[i]*Sum(x[j], (j, 1, i)), (i, 1, n))", N, "Sum(x[j], (j, 1, i))"),
    ("Sum(Sum(i*j*Sum(x[k], (k, 1, n)), (j, 1, n)), (i, 1, n))", N, "Sum(i*j*Sum(x[k], (k, 1, n)), (j, 1, n))"),
    ("Sum(Sum(Sum(i*x[k], (k, 1, n)), (j, 1, n)), (i, 1, n))", N, "Sum(i*x[k], (k, 1, n))"),
    ("Sum(Sum(Sum(x[k], (k, 1, i + j)), (j, 1, n)), (i, 1, n))", N, "Sum(Sum(x[k], (k, 1, i + j)), (j, 1, n))"),
    ("m = Sum(Sum(x[i]*x[j], (j, 1, n)), (i, 1, n)); m + x[1]", N, "Sum(x[i]*x[j], (j, 1, n))"),
]


@pytest.mark.parametrize(("text", "n", "refused"), COUNTED)
def test_a_range_counts_for_what_depends_on_its_index(text: str, n: int, refused: str | None) -> None:
    params = {"n": float(n)} if "n" in parse(text).names else {}
    if refused is None:
        graph = build(text, params).gradient_graph
        if n == N:  # what was counted is what is made
            assert max(math.prod(node.shape) for node in graph.nodes) <= 9 * n
        return
    with pytest.raises(ExpressionError, match=r"nested ranges of more than 1,000,000,000 terms") as caught:
        build(text, params)
    assert text[slice(*caught.value.span)] == refused


def sympy_ranges() -> list[tuple[Any, bool]]:
    i, j, k = sympy.symbols("i j k", integer=True)
    x = sympy.IndexedBase("x")
    inner = sympy.Sum(sympy.cos(x[j]), (j, 1, N))
    return [
        (sympy.Sum((N - inner - sympy.sin(x[i])) ** 2, (i, 1, N)), True),
        (sympy.Sum(x[i] * sympy.Product(x[j], (j, 1, N)), (i, 1, N)), True),
        (sympy.Sum(x[i], (i, 1, N), (j, 1, N)), True),
        (sympy.Sum(x[i], (j, 1, N), (i, 1, N)), True),
        (sympy.Sum(x[i] * x[j], (j, 1, N), (i, 1, N)), False),
        (sympy.Sum(sympy.Product(x[i] - x[j], (j, 1, N)), (i, 1, N)), False),
        (sympy.Sum(x[k], (k, 1, i + j), (j, 1, N), (i, 1, N)), False),
        (sympy.Sum(x[i] * sympy.Sum(x[j], (j, 1, i)), (i, 1, N)), False),
    ]


@pytest.mark.parametrize(("expression", "fits"), sympy_ranges(), ids=str)
def test_ranges_of_sympy_expressions_count_alike(expression: Any, fits: bool) -> None:
    if fits:
        graph = build_sympy(expression).gradient_graph
        assert max(math.prod(node.shape) for node in graph.nodes) == N
        return
    with pytest.raises(ExpressionError, match="nested ranges of more than 1,000,000,000 terms"):
        build_sympy(expression)


@pytest.mark.parametrize("seed", range(200))
def test_no_array_has_more_entries_than_were_counted(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(Random(seed), products=False)  # a product with bounds of its own a term is filled up with ones
    text, _ = writer.reduction([], 1 + seed % 3)
    wide = {"x": "Sum(x[k], (k, -40, 80))", "A": "Sum(A[k,m], (k, -40, 80), (m, -40, 80))"}
    read = " + ".join([text, *(f"0*{whole}" for name, whole in wide.items() if f"{name}[" in text)])
    params = {"n": 3.0} if "n" in parse(read).names else {}
    graph = build(read, params).gradient_graph
    own = {121, 121 * 121}  # what is added for the sake of gaps
    largest = max((size for node in graph.nodes if (size := math.prod(node.shape)) not in own), default=1)
    if largest > 1:
        monkeypatch.setattr(indices, "MOST_TERMS", largest - 1)
        with pytest.raises(ExpressionError, match="nested ranges"):
            resolve(parse(text), params, {})


def test_the_trigonometric_function_of_many_variables() -> None:
    x = 1.0 + 0.5 * np.sin(np.arange(float(N)))
    i = np.arange(1.0, N + 1.0)
    residual = N - np.sum(np.cos(x)) + i * (1.0 - np.cos(x)) - np.sin(x)
    slope = 2.0 * residual * (i * np.sin(x) - np.cos(x)) + 2.0 * np.sum(residual) * np.sin(x)
    for engine in ("numpy", "native"):
        objective = build(TRIGONOMETRIC, {"n": float(N)}, engine=engine)
        value, gradient = objective.value_and_gradient(x)
        assert value == pytest.approx(float(residual @ residual), rel=1e-12)
        assert np.allclose(gradient, slope, rtol=1e-9, atol=1e-12 * np.max(np.abs(slope)))
    result = optcli.minimize("trigonometric", params={"n": N}, iters=3)
    assert result.value < 8.3e-7  # at the start it is 8.33e-7: x = 1/n leaves residuals of (i/n − 1)/2n


def one(x: Any) -> None:
    """Nothing but ones."""


def negative(x: Any) -> None:
    x[776] = -1.0


def zero(x: Any) -> None:
    x[776] = 0.0


LONG = [
    # text, what the point has, the sentence
    (
        "Sum((x[i] - Sum(log(x[j]), (j, 1, n)))**2, (i, 1, n))",
        negative,
        "log(x[j]) is nan at j = 777, where x[j] is -1",
    ),
    ("Sum(Sum(log(x[j]), (j, 1, n)), (i, 1, n))", negative, "log(x[j]) is nan at j = 777, where x[j] is -1"),
    ("Sum(log(x[i]), (j, 1, n), (i, 1, n))", negative, "log(x[i]) is nan at i = 777, where x[i] is -1"),
    (
        "Sum(where(i > 5, Sum(log(x[j]), (j, 1, n)), 0), (i, 1, n))",
        negative,
        "log(x[j]) is nan at j = 777, where x[j] is -1",
    ),
    (
        "Sum((x[i] - Sum(sqrt(x[j]), (j, 1, n)))**2, (i, 1, n))",
        zero,
        "sqrt(x[j]) has a derivative that is infinite at j = 777, where x[j] is 0",
    ),
    (
        "Sum(x[i]*(i - Product(sqrt(x[j]), (j, 1, n))), (i, 1, n))",
        zero,
        "sqrt(x[j]) has a derivative that is infinite at j = 777, where x[j] is 0",
    ),
    (
        "Sum(x[i]*Sum(abs(x[j] - 1), (j, 1, n)), (i, 1, n))",
        one,
        "abs(x[j] - 1) has a kink at j = 1, where x[j] - 1 is 0",
    ),
]


@pytest.mark.parametrize(("text", "change", "sentence"), LONG)
def test_what_is_to_blame_in_a_long_text_is_found(text: str, change: Callable[[Any], None], sentence: str) -> None:
    objective = build(text, {"n": float(N)})
    x = np.ones(N)
    change(x)
    tracemalloc.start()
    try:
        names = Blame(objective.resolved)
        found = names.nonfinite(x)
        if found is None:
            found = names.kinks(x, around(x, 1e-6, np.random.default_rng(0)))[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.sentence == sentence
    assert peak < 200 * 8 * N  # some arrays of the length of x, no matrix


def test_bounds_of_long_ranges_make_no_masks() -> None:
    """Beyond what is kept nothing is said, before an array is made."""
    objective = build("Sum(x[i]*Sum(x[j], (j, i, i + 3)), (i, 1, n))", {"n": float(N)})
    tracemalloc.start()
    try:
        assert Blame(objective.resolved).nonfinite(np.full(N + 3, np.nan)) is None
        assert tracemalloc.get_traced_memory()[1] < 20 * 8 * N
    finally:
        tracemalloc.stop()


def test_factors_of_zero_are_not_to_blame() -> None:
    objective = build("sqrt(z) + Product(x[i]*y, (i, 1, 4))")
    found = Blame(objective.resolved).nonfinite(objective.layout.join({"x": np.arange(4.0), "y": 2.0, "z": 0.0}))
    assert found is not None
    assert found.text == "sqrt(z)"
