"""Bounds: the Cauchy point against a walk along the path, BFGS matrices, KKT at the ends, SciPy, published minima."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optcli.build import build, problem
from optcli.optimize import compact
from optcli.optimize.compact import Compact, Pairs, cauchy_point, reach, subspace_minimizer
from optcli.optimize.iterate import Point
from optcli.optimize.line_search import SEARCHES, Found, search
from optcli.optimize.methods import make
from optcli.optimize.methods.lbfgsb import C1, C2
from optcli.optimize.problem import Problem
from optcli.optimize.solve import Iterate, Result, Silent, Stop, solve

DATA = Path(__file__).parent / "data"
METHODS = ("lbfgsb", "projected_gradient", "projected_newton")
INF = math.inf


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):  # as in `solve`
        yield


# ---- limited-memory matrices


def random_pairs(k: int, n: int, rng: np.random.Generator, most: int = 99) -> tuple[Pairs, list[tuple[Any, Any]]]:
    """Pairs of a random convex quadratic, and the plain s and y."""
    A = rng.normal(size=(n, n))
    H = A @ A.T + np.eye(n)
    pairs, plain = Pairs.none(n), []
    for _ in range(k):
        s = rng.normal(size=n)
        pairs = pairs.after(s, H @ s, most)
        plain.append((s, H @ s))
    return pairs, plain


def bfgs(theta: float, pairs: list[tuple[Any, Any]], n: int) -> Any:
    """B by its recursion, Nocedal & Wright, eq. (6.19)."""
    B = theta * np.eye(n)
    for s, y in pairs:
        Bs = B @ s
        B = B - np.outer(Bs, Bs) / (s @ Bs) + np.outer(y, y) / (y @ s)
    return B


def dense(B: Compact, n: int) -> Any:
    return np.array([B.product(unit) for unit in np.eye(n)]).T


@pytest.mark.parametrize("k", [0, 1, 2, 5])
@pytest.mark.parametrize("n", [1, 3, 8])
def test_compact_form_is_the_recursion(k: int, n: int) -> None:
    pairs, plain = random_pairs(k, n, np.random.default_rng(k + 10 * n))
    B = Compact.of(pairs)
    assert B is not None
    theta = plain[-1][1] @ plain[-1][1] / (plain[-1][0] @ plain[-1][1]) if k else 1.0
    assert B.theta == pytest.approx(theta, rel=1e-12)
    want = bfgs(theta, plain, n)
    assert dense(B, n) == pytest.approx(want, rel=1e-7, abs=1e-7 * np.abs(want).max())
    W = B.columns(np.arange(n))
    free = np.arange(n) % 2 == 0
    for mask in (free, ~free, free | True):
        assert B.gram(mask) == pytest.approx(
            W[:, mask] @ W[:, mask].T, rel=1e-9, abs=1e-9 * (1 + np.abs(W).max(initial=0.0) ** 2)
        )
    v = np.arange(1.0, n + 1)
    assert B.down(v) == pytest.approx(W @ v, rel=1e-12)
    assert B.up(np.ones(2 * k)) == pytest.approx(W.T @ np.ones(2 * k), rel=1e-10, abs=1e-10)


def test_the_oldest_pair_goes_first() -> None:
    pairs, plain = random_pairs(7, 4, np.random.default_rng(2), most=3)
    again = Pairs.none(4)
    for s, y in plain[-3:]:
        again = again.after(s, y, 3)
    for one, other in zip(pairs, again, strict=True):
        assert one == pytest.approx(other, rel=1e-12, abs=1e-12)
    S, Y, *products = pairs
    for product, want in zip(products, (S @ S.T, S @ Y.T, Y @ Y.T), strict=True):
        assert product == pytest.approx(want, rel=1e-12, abs=1e-12)


def test_pairs_without_curvature_are_not_kept() -> None:
    pairs = Pairs.none(2)
    for s, y in (([1.0, 0.0], [0.0, 1.0]), ([1.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])):
        assert pairs.after(np.array(s), np.array(y), 5) is pairs


# ---- the generalized Cauchy point and the subspace minimizer


def random_box(n: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """x within bounds, some of them infinite, some where x is, some equal."""
    x = rng.normal(size=n)
    lower = x - rng.choice([0.0, 0.1, 1.0, INF], n)
    upper = x + rng.choice([0.0, 0.1, 1.0, INF], n)
    return x, lower, upper


def walked(x: Any, g: Any, lower: Any, upper: Any, B: Any) -> Any:
    """The first local minimizer along P(x − tg), from breakpoint to breakpoint with the whole matrix."""
    times = np.array([(a - high) / s if s < 0 else (a - low) / s if s > 0 else INF
                      for a, s, low, high in zip(x, g, lower, upper, strict=True)])  # fmt: skip
    now = 0.0
    for after in [*sorted({t for t in times if 0 < t < INF}), INF]:
        d = np.where(times > now, -g, 0.0)
        z = np.clip(x - now * g, lower, upper) - x
        slope, curvature = g @ d + d @ B @ z, d @ B @ d
        if not d.any() or slope >= 0:
            return x + z
        if now - slope / curvature < after:
            return x + z - slope / curvature * d
        now = after
    raise AssertionError("unbounded")


@pytest.mark.parametrize("chunk", [1, 2, 4096])
@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_cauchy_point(n: int, k: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "CHUNK", chunk)
    rng = np.random.default_rng(n + 100 * k)
    for _ in range(40):
        B = Compact.of(random_pairs(k, n, rng)[0])
        assert B is not None
        x, lower, upper = random_box(n, rng)
        g = rng.normal(size=n) * rng.choice([0.0, 0.1, 1.0, 10.0], n) * B.theta
        found, c = cauchy_point(x, g, lower, upper, B)
        want = walked(x, g, lower, upper, dense(B, n))
        assert found == pytest.approx(want, rel=1e-7, abs=1e-7)
        assert c == pytest.approx(B.down(found - x), rel=1e-6, abs=1e-7 * B.theta)
        at = np.isclose(found, lower, rtol=0, atol=1e-12) | np.isclose(found, upper, rtol=0, atol=1e-12)
        assert ((found == lower) | (found == upper))[at].all()  # exactly there


def test_cauchy_point_by_hand() -> None:
    """B = I, x = 0, g = (−2, −1), upper bounds (1, 5): x₁ stops at t = ½, x₂ goes on to the minimum at t = 1."""
    identity = Compact.of(Pairs.none(2))
    assert identity is not None
    found, _ = cauchy_point(np.zeros(2), np.array([-2.0, -1.0]), np.full(2, -INF), np.array([1.0, 5.0]), identity)
    assert list(found) == [1.0, 1.0]


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("n", [2, 9])
def test_subspace_minimizer(n: int, k: int) -> None:
    rng = np.random.default_rng(n + 100 * k)
    interior = 0
    for _ in range(60):
        B = Compact.of(random_pairs(k, n, rng)[0])
        assert B is not None
        x, lower, upper = random_box(n, rng)
        g = rng.normal(size=n) * B.theta
        cauchy, c = cauchy_point(x, g, lower, upper, B)
        found = subspace_minimizer(x, g, lower, upper, B, cauchy, c)
        matrix = dense(B, n)
        free = (cauchy > lower) & (cauchy < upper)
        assert (found >= lower).all()
        assert (found <= upper).all()
        assert np.array_equal(found[~free], cauchy[~free])
        assert g @ (found - x) <= 0.0
        if free.any() and ((found > lower) & (found < upper))[free].all():  # then it is the minimizer
            interior += 1
            slope = g + matrix @ (found - x)
            assert slope[free] == pytest.approx(np.zeros(int(free.sum())), abs=1e-6 * B.theta * (1 + np.abs(x).max()))
    assert interior


def test_reach() -> None:
    d = np.array([2.0, -2.0, 0.0, 1.0, -1.0])
    ends = reach(np.zeros(5), d, np.array([-1.0, -1, -1, -1, -INF]), np.array([1.0, 1, 1, INF, 1]))
    assert list(ends) == [0.5, 0.5, INF, INF, INF]


# ---- the line search


def one(value: Callable[[float], float], slope: Callable[[float], float], **bounds: Any) -> Problem:
    ends = {side: np.array([end]) for side, end in bounds.items()}
    return Problem(1, lambda x: value(x[0]), lambda x: (value(x[0]), np.array([slope(x[0])])), **ends)


def along(word: str, line: Problem, start: float, d: float, alpha: float = 1.0) -> Found:
    """The search from `start`, with the ends of the bounds."""
    point, direction = Point.at(line, 0, np.array([start])), np.array([d])
    return search(word, line, point, direction, alpha, C1, C2, ends=reach(point.x, direction, *line.box()))


@pytest.mark.parametrize("word", SEARCHES)
@pytest.mark.parametrize("first", [1e-3, 1.0, 3.0, 1e9])
def test_the_search_ends_exactly_at_the_bound(word: str, first: float) -> None:
    ramp = one(lambda t: -t, lambda t: -1.0, lower=0.0, upper=0.3)
    found = along(word, ramp, 0.0, 0.1, first)
    assert found.end == "found"
    assert found.trial.x[0] == (min(0.1 * first, 0.3) if word == "armijo" else 0.3)  # armijo asks for no more
    assert along(word, ramp, 0.3, 0.1, first).end == "failed"  # no room
    assert along(word, ramp, 0.3, -0.1, first).end == "failed"  # uphill
    down = one(lambda t: t, lambda t: 1.0, lower=0.1)
    assert along(word, down, 1e10, 0.1 - 1e10).trial.x[0] == 0.1  # 1e10 + (0.1 − 1e10) is 0


@pytest.mark.parametrize("word", SEARCHES)
@pytest.mark.parametrize("first", [1e-3, 1.0, 1e9])
@pytest.mark.parametrize("end", [0.5, 1.5, 4.0, 1e6])
def test_a_minimum_before_the_bound_is_found(word: str, first: float, end: float) -> None:
    """(t − 1)² up to t = end: the condition holds, or the bound is where f still falls; nothing beyond is evaluated."""
    asked: list[float] = []
    slope = lambda t: 2 * (t - 1)  # noqa: E731
    curve = one(lambda t: asked.append(t) or (t - 1) ** 2, slope, upper=end)
    found = along(word, curve, 0.0, 1.0, first)
    t = found.trial.x[0]
    assert found.end == "found"
    assert max(asked) <= end
    assert (t - 1) ** 2 <= 1 - 2 * C1 * t
    assert t == end or word == "armijo" or slope(t) >= -2 * C2
    assert word not in ("wolfe", "exact") or abs(slope(t)) <= 2 * C2 or (t == end and slope(t) < 0)
    assert curve.counts.gradient <= 12 + 20 * (end == 1e6)


# ---- exactly on the bounds


def test_displaced() -> None:
    lower, upper = np.array([0.1, -INF, -3.0]), np.array([INF, 1e-3, -1.0])
    box = Problem(3, lambda x: 0.0, lambda x: (0.0, x), lower=lower, upper=upper)
    x = np.array([1e10, -7.7, -2.0])
    assert x[0] + (0.1 - x[0]) != 0.1  # the sum alone would miss the bound
    assert list(box.displaced(x, np.array([0.1, 1e-3, -1.0]) - x)) == [0.1, 1e-3, -1.0]
    assert list(box.displaced(x, np.array([-1e11, 1e11, -1e11]))) == [0.1, 1e-3, -3.0]
    assert list(box.displaced(x, np.array([1.0, 1.0, 0.5]))) == [1e10 + 1.0, -6.7, -1.5]


class Inside(Silent):
    """Asserts that every iterate keeps the bounds."""

    lower: Any = None
    upper: Any = None

    def progress(self, iterate: Iterate) -> None:
        assert (iterate.x >= type(self).lower).all()
        assert (iterate.x <= type(self).upper).all()


def run(box: Problem, start: Any, stop: Stop | None = None, name: str = "lbfgsb", **settings: Any) -> Result:
    Inside.lower, Inside.upper = box.box()
    return solve(box, make(name, settings), np.array(start, dtype=float), stop or Stop(), Inside(1))


def formula(text: str, lower: Any = None, upper: Any = None, **params: float) -> Problem:
    arrays = [None if each is None else np.array(each, dtype=float) for each in (lower, upper)]
    return problem(build(text, params, engine="numpy"), False, *arrays)


def check_kkt(box: Problem, result: Result) -> None:
    """First-order conditions at the point reported, from its raw gradient, and active variables exactly on bounds."""
    x, g, (lower, upper) = result.point.x, result.point.gradient, box.box()
    assert (x >= lower).all()
    assert (x <= upper).all()
    inner = (x > lower) & (x < upper)
    assert np.abs(g[inner]).max(initial=0.0) <= result.tolerance
    assert (g[(x == lower) & (x < upper)] >= -result.tolerance).all()
    assert (g[(x == upper) & (x > lower)] <= result.tolerance).all()


# ---- quadratics in boxes, against SciPy's active sets


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n", [1, 2, 6, 15])
def test_least_squares_in_a_box(name: str, n: int) -> None:
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(n)
    for _ in range(8):
        A, b = rng.normal(size=(n + 5, n)), rng.normal(size=n + 5)
        lower = np.where(rng.random(n) < 0.3, -INF, rng.uniform(-0.5, 0, n))
        upper = np.where(rng.random(n) < 0.3, INF, rng.uniform(0.01, 0.5, n))

        def both(x: Any, A: Any = A, b: Any = b) -> tuple[float, Any]:
            r = A @ x - b
            return float(0.5 * r @ r), A.T @ r

        box = Problem(
            n, lambda x: both(x)[0], both, lower=lower, upper=upper, product=lambda x, v, A=A: A.T @ (A @ v)
        )  # fmt: skip
        result = run(box, rng.normal(size=n), name=name)
        want = lsq_linear(A, b, (lower, upper), method="bvls", tol=1e-14).x
        assert result.status == "converged"
        assert result.point.x == pytest.approx(want, abs=1e-6)
        check_kkt(box, result)
        active = np.isclose(want, lower, atol=1e-9) | np.isclose(want, upper, atol=1e-9)
        assert np.array_equal(result.point.x[active], want[active])
        assert result.counts.gradient <= {"projected_newton": 12, "lbfgsb": 60, "projected_gradient": 250}[name]


# ---- cases at the edge


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("text", "lower", "upper", "start", "want"),
    [
        ("x**2 + y**2", [1, -INF], [INF, -2], [5, -5], [1, -2]),
        ("x**2 + y**2", [1, 1], [1, 1], [0, 0], [1, 1]),  # nothing is free
        ("(x - 3)**2 + (y + x)**2", [2, -INF], [2, INF], [7, 7], [2, -2]),  # one is
        ("x**2 + y**2", [0, 0], [1, 1], [0, 1], [0, 0]),  # the minimizer on the bounds, multipliers 0
        ("x + 0*y", [-1e3, -1], [INF, 1], [1e3, 0.5], [-1e3, 0.5]),
        ("-x - y", [-1, -1], [0.1, 0.7], [-1, -1], [0.1, 0.7]),
        ("-x*y", [0, 0], [1, 2], [0.5, 0.5], [1, 2]),
        ("exp(x) + exp(-y)", [-3, -3], [3, 3], [0, 0], [-3, 3]),
        ("(x - 2)**4 + (y - 1)**2", [0, 0], [1.5, 5], [0, 0], [1.5, 1]),
    ],
)
def test_small_boxes(name: str, text: str, lower: Any, upper: Any, start: Any, want: Any) -> None:
    box = formula(text, lower, upper)
    result = run(box, start, name=name)
    assert result.status == "converged"
    assert result.point.x == pytest.approx(want, abs=1e-7)
    check_kkt(box, result)
    assert result.counts.gradient <= 40


@pytest.mark.parametrize("name", METHODS)
def test_without_bounds(name: str) -> None:
    result = run(formula("(1 - x)**2 + 100*(y - x**2)**2"), [-1.2, 1.0], name=name)
    assert result.status == "converged"
    assert result.point.x == pytest.approx([1.0, 1.0], abs=1e-6)
    assert result.counts.gradient <= {"projected_newton": 35, "lbfgsb": 65, "projected_gradient": 200}[name]


@pytest.mark.parametrize("name", METHODS)
def test_no_point_outside_the_bounds_is_evaluated(name: str) -> None:
    inner = build("log(x) + log(1 - y) + (x - y)**2 - 3*x + 2*y", engine="numpy")
    asked: list[Any] = []

    def both(x: Any) -> tuple[float, Any]:
        asked.append(x)
        return inner.value_and_gradient(x)

    box = Problem(
        2, inner.value, both, lower=np.array([0.1, 0.0]), upper=np.array([3.0, 0.95]), product=inner.hvp
    )  # fmt: skip
    result = run(box, [2.0, 0.5], name=name)
    check_kkt(box, result)
    assert all((0.1 <= x[0] <= 3.0) and (0.0 <= x[1] <= 0.95) for x in asked)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "text",
    ["x**2 - 2*x + 1 + y**2", "(x - 1)**2 + y**2 + 1e6", "1e10*(x - 1)**2 + 1e-2*(y - 1)**2", "exp(x) - x + y**2"],
)
def test_to_the_last_digits_and_then_at_rest(name: str, text: str) -> None:
    result = run(formula(text, [-7, -7], [7, 7]), [5.0, 3.0], Stop(tol=0.0), name)
    assert result.status in ("stalled", "converged")
    assert result.point.gradient_norm <= (1e-6 if "1e10" in text else 1e-12)
    assert result.counts.gradient <= 250


@pytest.mark.parametrize("name", METHODS)
def test_a_run_goes_on_from_its_arrays(name: str) -> None:
    box = [[-3.0, -0.5], [0.5, 3.0]]
    whole = run(formula("(1 - x)**2 + 100*(y - x**2)**2", *box), [-1.2, 1.0], Stop(iters=14), name)
    half = run(formula("(1 - x)**2 + 100*(y - x**2)**2", *box), [-1.2, 1.0], Stop(iters=6), name).iterate
    assert all(each.dtype == np.float64 for each in half.state)
    state = tuple(np.frombuffer(each.tobytes()).reshape(each.shape) for each in half.state)
    again = Iterate(half.point, state, half.best, half.moved)
    rest = solve(formula("(1 - x)**2 + 100*(y - x**2)**2", *box), make(name, {}), again, Stop(iters=14))
    assert np.array_equal(rest.point.x, whole.point.x)
    assert all(np.array_equal(a, b) for a, b in zip(rest.iterate.state, whole.iterate.state, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_changed_in_place(name: str) -> None:
    valley, method = formula("(1 - x)**2 + 100*(y - x**2)**2", [-3, -0.5], [0.5, 3]), make(name, {})
    iterate = method.init(valley, np.array([-1.2, 1.0]))
    for _ in range(12):
        for array in (iterate.x, iterate.gradient, *iterate.state):
            array.setflags(write=False)
        one, iterate = method.step(valley, iterate), method.step(valley, iterate)
        assert np.array_equal(one.x, iterate.x)


# ---- the spectral projected gradient


def test_spectral_steps_by_hand() -> None:
    """f = x² + 2y² from (4, 1), y ≥ ½: g = (8, 4), P(x − g) − x = (−8, −½), λ₀ = 1/8, d = (−1, −½): x₁ = (3, ½);
    s = (−1, −½), change of g (−2, −2), λ₁ = 1.25/3; g₁ = (6, 2), d = (−2.5, 0): x₂ = (½, ½)."""
    box = formula("x**2 + 2*y**2", [-INF, 0.5])
    method = make("projected_gradient", {})
    iterate = method.init(box, np.array([4.0, 1.0]))
    assert iterate.state[0][0] == 1 / 8
    iterate = method.step(box, iterate)
    assert list(iterate.x) == [3.0, 0.5]
    assert iterate.state[0][0] == 1.25 / 3
    assert method.step(box, iterate).x == pytest.approx([0.5, 0.5], rel=1e-15)


def test_values_fall_below_the_largest_of_the_last_ten() -> None:
    box = formula("(1 - x)**2 + 100*(y - x**2)**2", [-3, -3], [3, 3])
    method = make("projected_gradient", {})
    iterate, values = method.init(box, np.array([-1.2, 1.0])), []
    for _ in range(50):
        values.append(iterate.value)
        after = method.step(box, iterate)
        assert after.value <= max(values[-10:]) + 1e-4 * iterate.gradient @ (after.x - iterate.x)
        iterate = after
    assert any(b > a for a, b in itertools.pairwise(values))  # it is not monotone


# ---- published problems

HS = json.loads((DATA / "hs_bounds.json").read_text())
MGH = json.loads((DATA / "mgh.json").read_text())
HS_TOL = {"HS25": 1e-12}  # at its start all gradients are 2e-8, which is less than 1e-8 times the value
ELSEWHERE = {"HS2": 4.941229317989}  # the other minimum, to which the start leads
HS_COUNTS = {"projected_newton": (70, 250), "lbfgsb": (130, 400), "projected_gradient": (500, 800)}  # one, together


@pytest.mark.parametrize("name", METHODS)
def test_hock_schittkowski(name: str) -> None:
    counted = []
    for case in HS:
        if case["name"] in HS_TOL and name == "projected_gradient":
            continue  # 25,000 gradients
        objective = build(case["expression"], engine="numpy")
        order = [each.name for each in objective.layout.variables]
        ends = np.array([[-INF if a is None else a, INF if b is None else b] for a, b in
                         (case["bounds"][each] for each in order)])  # fmt: skip
        box = problem(objective, False, ends[:, 0], ends[:, 1])
        result = run(box, [case["start"][each] for each in order], Stop(tol=HS_TOL.get(case["name"])), name)
        assert result.status == "converged", case["name"]
        wanted = [case["minimum"], ELSEWHERE.get(case["name"], case["minimum"])]
        assert any(abs(result.point.value - want) <= 1e-8 * (1 + abs(want)) for want in wanted), case["name"]
        check_kkt(box, result)
        counted.append(result.counts.gradient)
    most, together = HS_COUNTS[name]
    assert max(counted) <= most
    assert sum(counted) <= together


@pytest.mark.parametrize("name", ["lbfgsb", "projected_newton"])
def test_bounds_that_cut_minimizers_off(name: str) -> None:
    """Each problem of Moré, Garbow & Hillstrom with a bound that its minimizer violates: no worse than SciPy."""
    from scipy.optimize import minimize

    worse, ours, theirs = [], 0.0, 0.0
    for case in MGH:
        objective = build(case["expression"], engine="numpy")
        start = np.array([case["variables"][each.name] for each in objective.layout.variables])
        free = solve(problem(objective), make("newton", {}), start, Stop()).point.x
        lower, upper = np.full(len(start), -INF), np.full(len(start), INF)
        upper[0] = free[0] - 0.1 * max(1.0, abs(free[0]))
        lower[-1] = free[-1] + 0.1 * max(1.0, abs(free[-1]))
        box = problem(objective, False, lower, upper)
        result = run(box, start, name=name)
        if result.tolerance < 1.0:  # else a point that far from its bound has a small x − P(x − g), whatever g is
            check_kkt(box, result)
        assert result.status == "converged", case["name"]
        other = minimize(
            objective.value_and_gradient,
            np.clip(start, lower, upper),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(lower, upper, strict=True)),
            options={"ftol": 1e-15, "gtol": 1e-9, "maxfun": 10_000, "maxiter": 10_000},
        )
        ours, theirs = ours + math.log(result.counts.gradient), theirs + math.log(other.nfev)
        if result.point.value > other.fun + 1e-6 * abs(other.fun) + 1e-10:
            worse.append(case["name"])
    assert len(worse) <= 2  # where another local minimum was met
    assert math.exp((ours - theirs) / len(MGH)) <= {"lbfgsb": 1.1, "projected_newton": 0.75}[name]


@pytest.mark.parametrize("name", ["lbfgsb", "projected_newton"])
def test_many_variables_at_their_bounds(name: str) -> None:
    n = 400
    rng = np.random.default_rng(0)
    lower = np.where(rng.random(n) < 0.3, 1.1, -INF)
    upper = np.where(rng.random(n) > 0.7, 0.9, INF)
    box = formula(
        "Sum((x[i]**2+x[i+1]**2)**2,(i,1,n-1)) + Sum(3-4*x[i],(i,1,n-1))", np.minimum(lower, upper), upper, n=400.0
    )
    result = run(box, np.full(n, 2.0), name=name)
    assert result.status == "converged"
    check_kkt(box, result)
    assert result.counts.gradient <= 40
