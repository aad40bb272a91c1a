"""Nelder–Mead: steps by hand, SciPy's simplexes, kinks, McKinnon's function, bounds, and how a run ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optcli.build import build, problem
from optcli.optimize.iterate import Point
from optcli.optimize.methods import make
from optcli.optimize.methods.nelder_mead import changed, collapsed, ordered, simplex, simplex_gradient
from optcli.optimize.problem import Problem
from optcli.optimize.solve import Iterate, Result, Stop, solve

INF = math.inf


def plain(value: Callable[[Any], float], n: int, **bounds: Any) -> Problem:
    """A problem whose gradient is of no use."""
    return Problem(n, value, lambda x: (value(x), np.ones(n)), **bounds)


def formula(text: str, lower: Any = None, upper: Any = None, **params: float) -> Problem:
    arrays = [None if each is None else np.array(each, dtype=float) for each in (lower, upper)]
    return problem(build(text, params, engine="numpy"), False, *arrays)


def run(function: Problem, start: Any, stop: Stop | None = None, **settings: Any) -> Result:
    return solve(function, make("nelder_mead", settings), np.array(start, dtype=float), stop or Stop())


# ---- one step

TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # the centroid of the first two is (½, 0)
CASES: list[tuple[str, dict[tuple[float, float], float], list[float], int]] = [
    # values at the reflected point (1, −1), expanded (1.5, −2), contracted (0.75, −0.5) and (0.25, 0.5)
    ("expansion", {(1, -1): -1, (1.5, -2): -2}, [1.5, -2.0], 2),
    ("reflection, as the expansion is higher", {(1, -1): -1, (1.5, -2): 0}, [1.0, -1.0], 2),
    ("reflection", {(1, -1): 0.5}, [1.0, -1.0], 1),
    ("outside contraction", {(1, -1): 1.5, (0.75, -0.5): 1.5}, [0.75, -0.5], 2),
    ("inside contraction", {(1, -1): 2.0, (0.25, 0.5): 1.9}, [0.25, 0.5], 2),
]


@pytest.mark.parametrize(("name", "values", "new", "count"), CASES)
def test_one_step_by_hand(name: str, values: dict[tuple[float, float], float], new: list[float], count: int) -> None:
    function = plain(lambda x: values[tuple(x)], 2)
    X, F = changed(function, TRIANGLE, np.array([0.0, 1.0, 2.0]))
    assert function.counts.value == count
    assert new in X.tolist()
    assert [0.0, 1.0] not in X.tolist()  # the worst has gone
    assert list(F) == sorted(F)
    assert F[X.tolist().index(new)] == values[new[0], new[1]]


@pytest.mark.parametrize("values", [{(1, -1): 1.5, (0.75, -0.5): 1.6}, {(1, -1): 2.0, (0.25, 0.5): 2.0}])
def test_shrinkage_by_hand(values: dict[tuple[float, float], float]) -> None:
    function = plain(lambda x: {(0.5, 0): 5.0, (0, 0.5): 4.0}.get(tuple(x), values.get(tuple(x), math.nan)), 2)
    X, F = changed(function, TRIANGLE, np.array([0.0, 1.0, 2.0]))
    assert X.tolist() == [[0, 0], [0, 0.5], [0.5, 0]]
    assert list(F) == [0.0, 4.0, 5.0]
    assert function.counts.value == 4


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("bounded", [False, True])
def test_simplexes_of_scipy(n: int, bounded: bool) -> None:
    """SciPy's adaptive method has the same rules and factors: the same best vertices from the same first simplex."""
    from scipy.optimize import minimize

    lower, upper = (np.full(n, -0.5), np.full(n, 0.8)) if bounded else (None, None)

    def valley(x: Any) -> float:
        return float(sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(n - 1)))

    function, method = plain(valley, n, lower=lower, upper=upper), make("nelder_mead", {})
    iterate = method.step(function, method.init(function, np.linspace(-0.4, 0.5, n)))
    first = iterate.state[0]
    for k in (1, 2, 5, 10, 20, 40):
        while iterate.iteration < 1 + k:
            iterate = method.step(function, iterate)
        other = minimize(
            valley,
            first[0],
            method="Nelder-Mead",
            bounds=None if lower is None else list(zip(lower, upper, strict=True)),
            options={"initial_simplex": first, "adaptive": True, "maxiter": k + 1, "xatol": 0, "fatol": 0},
        )
        assert iterate.x == pytest.approx(other.x, rel=1e-6, abs=1e-9), k
        assert iterate.value == pytest.approx(other.fun, rel=1e-6)


# ---- the parts


def test_ordered_keeps_the_earlier_of_equals() -> None:
    X, F = ordered(np.array([[3.0], [1.0], [2.0]]), np.array([1.0, 0.0, 1.0]))
    assert X.ravel().tolist() == [1.0, 3.0, 2.0]
    assert list(F) == [0.0, 1.0, 1.0]


def test_the_first_simplex_keeps_bounds() -> None:
    box = plain(sum, 4, lower=np.array([-1.0, 0.0, 0.0, 2.0]), upper=np.array([INF, 1.0, 0.02, 2.0]))
    point = Point(0, np.array([30.0, 1.0, 0.015, 2.0]), 0.0, np.zeros(4), 0.0, True)
    X, _ = simplex(box, point, np.full(4, 0.1))
    edges = X - point.x  # one of them 0: the point itself
    assert all(np.count_nonzero(edge) <= 1 for edge in edges)  # along the axes
    wanted = [
        3.0,  # a tenth of 30
        -0.1,  # no room above
        -0.015,  # as far as there is room
        0.0,  # no room at all
    ]
    assert sorted(edges.sum(axis=1)) == pytest.approx(sorted([*wanted, 0.0]), rel=1e-12)
    lower, upper = box.box()
    assert all((x >= lower).all() and (x <= upper).all() for x in X)


def test_simplex_gradient_of_a_plane() -> None:
    rng = np.random.default_rng(0)
    X, slope = rng.normal(size=(5, 4)), np.array([1.0, -2.0, 3.0, 0.5])
    assert simplex_gradient(X, X @ slope) == pytest.approx(slope, rel=1e-9)
    assert list(simplex_gradient(X, np.array([0, 1, 2, INF, 3.0]))) == [0.0] * 4


def test_collapsed() -> None:
    X = np.array([[1.0, 1.0], [1.0 + 1e-8, 1.0], [1.0, 1.0 + 1e-8]])
    assert collapsed(X, np.array([5.0, 5.0, 5.0]))
    assert not collapsed(X, np.array([5.0, 5.0, 5.1]))
    assert not collapsed(100 * (X - 1) + 1, np.zeros(3))
    assert collapsed(np.array([[1e6], [1e6 + 2e-10]]), np.array([0.0, 1.0]))


# ---- whole runs

KINKS = [
    ("abs(x - pi) + abs(y - pi)", [0.0, 0.0], 0.0),
    ("abs(x)", [3.0], 0.0),
    ("max(abs(x), abs(y), abs(z))", [1.0, 2.0, 3.0], 0.0),
    ("10*abs(x - y) + abs(x + y)", [3.0, -2.0], 0.0),
    ("abs(x**2 - y) + abs(1 - x)", [-1.2, 1.0], 0.0),
    ("max(x**2 + y**2, (2 - x)**2 + (2 - y)**2, 2*exp(y - x))", [1.0, -0.1], 2.0),  # CB3, Charalambous & Bandler 1976
    ("max(x**2 + y**4, (2 - x)**2 + (2 - y)**2, 2*exp(y - x))", [2.0, 2.0], 1.9522244),  # CB2
    ("-x + 20*max(x**2 + y**2 - 1, 0)", [-1.0, -1.0], -1.0),  # LQ/Demyanov-Malozemov's kind: at (1, 0)
    ("Sum(abs(x[i] - i), (i, 1, 6))", [0.0] * 6, 0.0),
]


@pytest.mark.parametrize(("text", "start", "want"), KINKS)
def test_kinks(text: str, start: list[float], want: float) -> None:
    result = run(formula(text), start)
    assert result.status in ("stalled", "converged")
    assert result.point.value == pytest.approx(want, abs=1e-7 if want > 1.9 else 1e-10)
    assert result.counts.value <= 2000 * len(start)


SMOOTH = [
    ("(1 - x)**2 + 100*(y - x**2)**2", [-1.2, 1.0], [1.0, 1.0], 600),
    ("x**2 - 2*x + 1", [5.0], [1.0], 100),
    ("x**2 - y**2 + y**4", [1.0, 0.0], [0.0, math.sqrt(0.5)], 300),
    ("Sum((x[i] - i)**2*i, (i, 1, 8))", [0.0] * 8, list(range(1, 9)), 4000),
]


@pytest.mark.parametrize(("text", "start", "minimizer", "most"), SMOOTH)
def test_smooth_functions(text: str, start: list[float], minimizer: list[float], most: int) -> None:
    result = run(formula(text), start)
    assert np.abs(result.point.x) == pytest.approx(minimizer, abs=1e-5)
    assert result.counts.value <= most
    assert 0 < result.counts.gradient <= result.counts.value // 2  # one for each new best vertex


def test_mckinnons_function_needs_the_restart() -> None:
    """McKinnon, SIAM J. Optim. 9 (1998) 148–158: from this simplex inside contractions alone lead to (0, 0), where the
    function still falls; its minimum is −¼ at (0, −½)."""

    def f(x: Any) -> float:
        return float((360.0 if x[0] <= 0 else 6.0) * x[0] ** 2 + x[1] + x[1] ** 2)

    root = math.sqrt(33.0)
    X = np.array([[0.0, 0.0], [1.0, 1.0], [(1 + root) / 8, (1 - root) / 8]])
    X, F = ordered(X, np.array([f(x) for x in X]))
    function, method = plain(f, 2), make("nelder_mead", {})
    point = Point.at(function, 1, X[0])
    iterate = Iterate(point, (X, F, np.array([0.005, INF])), point)
    lowest = INF
    while not collapsed(iterate.state[0], iterate.state[1]):
        iterate = method.step(function, iterate)
    stuck = iterate.value
    for _ in range(2000):
        iterate = method.step(function, iterate)
        lowest = min(lowest, iterate.value)
        if not iterate.moved:
            break
    assert stuck > -0.2
    assert not iterate.moved
    assert iterate.value == pytest.approx(-0.25, abs=1e-12)
    assert iterate.x == pytest.approx([0.0, -0.5], abs=1e-6)


BOXES = [
    ("abs(x - 3) + abs(y + 3)", [0, 0], [1, 1], [0.5, 0.5], [1, 0]),
    ("x + y", [0, 0], [1, 1], [0.5, 0.5], [0, 0]),
    ("(x - 2)**2 + (y - 0.5)**2", [0, 0], [1, 1], [0.0, 0.0], [1, 0.5]),
    ("(x - 2)**2 + (y - 0.5)**2", [1, 0], [1, 1], [1.0, 0.0], [1, 0.5]),
    ("x**2 + y**2 + x*y", [1, -INF], [INF, 5], [9, 9], [1, -0.5]),
]


@pytest.mark.parametrize(("text", "lower", "upper", "start", "want"), BOXES)
def test_bounds(text: str, lower: Any, upper: Any, start: Any, want: Any) -> None:
    inner = build(text, engine="numpy")
    asked: list[Any] = []

    def value(x: Any) -> float:
        asked.append(x)
        return inner.value(x)

    low, high = np.array(lower, dtype=float), np.array(upper, dtype=float)
    box = Problem(2, value, inner.value_and_gradient, lower=low, upper=high)
    result = run(box, start)
    assert result.point.x == pytest.approx(want, abs=1e-6)
    assert all((x >= low).all() and (x <= high).all() for x in asked)


def test_the_natural_end() -> None:
    """Collapsed to rounding, restarted, collapsed again: the same point and state under the next number."""
    result = run(formula("abs(x - pi) + abs(y - pi)"), [0.0, 0.0])
    assert result.status == "stalled"
    assert not result.iterate.moved
    X = result.iterate.state[0]
    assert np.abs(X[1:] - X[0]).max() <= 1e-7


def test_a_plain_without_slope_ends() -> None:
    result = run(plain(lambda x: 3.0, 3), [1.0, 2.0, 3.0])
    assert result.status == "stalled"
    assert result.counts.value <= 600


@pytest.mark.parametrize("most", [1, 7, 50])
def test_max_evals_counts_values(most: int) -> None:
    result = run(formula("(1 - x)**2 + 100*(y - x**2)**2"), [-1.2, 1.0], Stop(max_evals=most))
    assert result.status == "limit"
    assert f"the {most} value evaluation" in result.message
    assert most <= result.counts.value <= most + 4  # an iteration that shrinks makes n + 2
    assert result.counts.gradient < result.counts.value or most == 1


def test_max_evals_counts_gradients_for_the_others() -> None:
    result = solve(formula("x**2"), make("gd", {}), np.array([1.0]), Stop(max_evals=5))
    assert "the 5 gradient evaluations" in result.message


def test_regions_without_a_value() -> None:
    result = run(formula("x - log(x) + sqrt(3 - x)*0"), [2.9])
    assert result.point.x[0] == pytest.approx(1.0, abs=1e-6)


def test_below_all_bounds() -> None:
    assert run(formula("-x**2 - y**2"), [1.0, 1.0]).status == "unbounded"


def test_the_best_vertex_has_its_gradient() -> None:
    valley, method = formula("(1 - x)**2 + 100*(y - x**2)**2"), make("nelder_mead", {})
    iterate = method.init(valley, np.array([-1.2, 1.0]))
    assert valley.counts.value == 1  # no simplex before the first step
    for _ in range(60):
        for array in (iterate.x, iterate.gradient, *iterate.state):
            array.setflags(write=False)
        after = method.step(valley, iterate)
        assert after.value <= iterate.value
        iterate = after
        value, gradient = valley.value_and_gradient(iterate.x)
        assert (value, list(gradient)) == (iterate.value, list(iterate.gradient))
        assert np.array_equal(iterate.state[0][0], iterate.x)


def test_a_run_goes_on_from_its_arrays() -> None:
    method, text = make("nelder_mead", {}), "abs(x - 1) + (y - x)**2"
    start = np.array([5.0, -3.0])
    whole = solve(formula(text), method, start, Stop(iters=150))
    half = solve(formula(text), method, start, Stop(iters=40)).iterate
    state = tuple(np.frombuffer(each.tobytes()).reshape(each.shape) for each in half.state)
    rest = solve(formula(text), method, Iterate(half.point, state, half.best, half.moved), Stop(iters=150))
    assert np.array_equal(rest.point.x, whole.point.x)
    assert all(np.array_equal(a, b) for a, b in zip(rest.iterate.state, whole.iterate.state, strict=True))


def test_a_restart_goes_down_the_differences_seen() -> None:
    slope = np.array([1.0, -2.0])
    function, method = plain(lambda x: float(slope @ x), 2), make("nelder_mead", {})
    X = np.array([[0.0, 0.0], [1e-16, 0.0], [0.0, -1e-16]])  # nothing lower among them
    point = Point.at(function, 5, X[0])
    after = method.step(function, Iterate(point, (X, X @ slope, np.array([0.005, INF])), point))
    assert sorted(after.state[0].tolist()) == [[-0.005, 0.0], [0.0, 0.0], [0.0, 0.005]]
    assert list(after.state[2]) == [pytest.approx(0.0005), 0.0]
