"""Line searches: their conditions at each step length they return, Moré and Thuente's tables, walls, rays, rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize._dcsrch import DCSRCH

from optcli.optimize.hager_zhang import hager_zhang
from optcli.optimize.iterate import Point
from optcli.optimize.line import Line
from optcli.optimize.line_search import MOST, SEARCHES, Found, search
from optcli.optimize.problem import Problem
from optcli.optimize.products import BLOCK, COLUMNS, combined, dot, dots, norm

Phi = Callable[[float], tuple[float, float]]  # α → φ(α), φ'(α)

# ---- the six functions of Moré & Thuente, ACM TOMS 20 (1994), section 5


def first(a: float) -> tuple[float, float]:
    b = 2.0
    return -a / (a * a + b), (a * a - b) / (a * a + b) ** 2


def second(a: float) -> tuple[float, float]:
    b = 0.004
    return (a + b) ** 5 - 2 * (a + b) ** 4, 5 * (a + b) ** 4 - 8 * (a + b) ** 3


def third(a: float) -> tuple[float, float]:
    b, k = 0.01, 39
    if abs(a - 1) >= b:
        value, slope = abs(1 - a), math.copysign(1.0, a - 1)
    else:
        value, slope = (a - 1) ** 2 / (2 * b) + b / 2, (a - 1) / b
    value += 2 * (1 - b) / (k * math.pi) * math.sin(k * math.pi / 2 * a)
    return value, slope + (1 - b) * math.cos(k * math.pi / 2 * a)


def yanai(b1: float, b2: float) -> Phi:
    def phi(a: float) -> tuple[float, float]:
        c1, c2 = math.hypot(1, b1) - b1, math.hypot(1, b2) - b2
        u, v = math.hypot(1 - a, b2), math.hypot(a, b1)
        return c1 * u + c2 * v, c1 * (a - 1) / u + c2 * a / v

    return phi


STARTS = (1e-3, 1e-1, 1e1, 1e3)
TABLES: list[tuple[Phi, float, float, list[tuple[int, float]]]] = [
    # φ, μ, η, and for each start the evaluations and the step length of tables I–VI
    (first, 1e-3, 0.1, [(6, 1.4), (3, 1.4), (1, 10.0), (4, 37.0)]),
    (second, 0.1, 0.1, [(12, 1.6), (8, 1.6), (8, 1.6), (11, 1.6)]),
    (third, 0.1, 0.1, [(12, 1.0), (12, 1.0), (10, 1.0), (13, 1.0)]),
    (yanai(1e-3, 1e-3), 1e-3, 1e-3, [(4, 0.085), (1, 0.1), (3, 0.35), (4, 0.83)]),
    (yanai(1e-2, 1e-3), 1e-3, 1e-3, [(6, 0.075), (3, 0.078), (7, 0.073), (8, 0.076)]),
    (yanai(1e-3, 1e-2), 1e-3, 1e-3, [(13, 0.93), (11, 0.93), (8, 0.92), (11, 0.92)]),
]
CASES = [(*row[:3], start, *expected) for row in TABLES for start, expected in zip(STARTS, row[3], strict=True)]


class Counted:
    """A problem in one variable that remembers where it was evaluated."""

    def __init__(self, phi: Phi, overflow: Callable[[Any], bool] | None = None, product: Any = None) -> None:
        self.seen: list[float] = []

        def both(x: Any) -> tuple[float, Any]:
            self.seen.append(float(x[0]))
            value, slope = phi(float(x[0]))
            return value, np.array([slope])

        self.problem = Problem(1, lambda x: phi(float(x[0]))[0], both, overflow=overflow, product=product)

    def search(self, word: str, alpha: float, c1: float = 1e-4, c2: float = 0.9, at: float = 0.0) -> Found:
        """From `at` along d = 1."""
        with np.errstate(all="ignore"):
            point = Point.at(self.problem, 0, np.array([at]))
            return search(word, self.problem, point, np.ones(1), alpha, c1, c2)


@pytest.mark.parametrize(("phi", "mu", "eta", "start", "count", "alpha"), CASES)
def test_the_tables_of_more_and_thuente(
    phi: Phi, mu: float, eta: float, start: float, count: int, alpha: float
) -> None:
    line = Counted(phi)
    found = line.search("wolfe", start, mu, eta)
    assert found.end == "found"
    assert len(line.seen) - 1 == count
    assert found.trial.alpha == pytest.approx(alpha, rel=0.07)  # printed to two digits
    # and to all digits as the authors' code of MINPACK-2 has it, translated in SciPy
    theirs = DCSRCH(lambda a: phi(a)[0], lambda a: phi(a)[1], mu, eta, 1e-14, 0, 1e20)
    assert found.trial.alpha == pytest.approx(theirs(start, phi(0.0)[0], phi(0.0)[1])[0], rel=1e-6)


# ---- the conditions at what is returned


def quartic(a: float) -> tuple[float, float]:
    return (a - 2) ** 4, 4 * (a - 2) ** 3


def valley(a: float) -> tuple[float, float]:
    """exp(a) − 5·a with a minimizer at log 5."""
    return math.exp(min(a, 700.0)) - 5 * a, math.exp(min(a, 700.0)) - 5


def wavy(a: float) -> tuple[float, float]:
    return 0.01 * (a - 9) ** 2 + math.cos(3 * a), 0.02 * (a - 9) - 3 * math.sin(3 * a)


def barrier(a: float) -> tuple[float, float]:
    """−log(1 − a) − 3·a: NaN from the wall at 1 on, a minimizer at 2/3."""
    return (-math.log(1 - a) - 3 * a, 1 / (1 - a) - 3) if a < 1 else (math.nan, math.nan)


ONE_DIMENSIONAL: list[Phi] = [*(row[0] for row in TABLES), quartic, valley, wavy, barrier]
ALPHAS = (1e-8, 1e-3, 0.1, 1.0, 10.0, 1e3, 1e8)
PAIRS = ((1e-4, 0.9), (1e-4, 0.1), (0.1, 0.9), (0.1, 0.2))


@pytest.mark.parametrize("phi", ONE_DIMENSIONAL)
@pytest.mark.parametrize("word", SEARCHES)
def test_the_conditions_hold_at_the_step_returned(phi: Phi, word: str) -> None:
    value, slope = phi(0.0)
    assert slope < 0
    for c1, c2 in PAIRS:
        for alpha in ALPHAS:
            line = Counted(phi)
            found = line.search(word, alpha, c1, c2)
            assert found.end == "found", (c1, c2, alpha, found)
            trial = found.trial
            assert (trial.f, trial.slope) == phi(trial.alpha)
            assert (trial.x[0], trial.g[0]) == (trial.alpha, trial.slope)
            armijo = trial.f <= value + c1 * trial.alpha * slope
            if word == "hager_zhang" or abs(trial.f - value) <= 1e-10 * abs(value):  # the approximate condition, too
                armijo = armijo or (trial.f <= value + 1e-10 * abs(value) and trial.slope <= (2 * c1 - 1) * slope)
            assert armijo, (c1, c2, alpha, trial)
            if word != "armijo":
                assert trial.slope >= c2 * slope
            if word in ("wolfe", "exact"):
                assert abs(trial.slope) <= c2 * abs(slope)


@pytest.mark.parametrize("phi", ONE_DIMENSIONAL)
@pytest.mark.parametrize("word", SEARCHES)
def test_nothing_is_evaluated_twice(phi: Phi, word: str) -> None:
    for alpha in ALPHAS:
        line = Counted(phi)
        line.search(word, alpha, 1e-4, 0.1)
        assert len(set(line.seen)) == len(line.seen) <= (MOST if word == "hager_zhang" else 40)
        assert line.problem.counts.value == line.problem.counts.gradient == len(line.seen)


@pytest.mark.parametrize("word", SEARCHES)
def test_a_good_first_trial_is_the_only_one(word: str) -> None:
    line = Counted(quartic)
    assert line.search(word, 1.0, 1e-4, 0.9).trial.alpha == 1.0
    assert line.seen == [0.0, 1.0]


# ---- backtracking and the exact step by hand


def test_backtracking_by_hand() -> None:
    """φ = (a − 1)², from 4: the parabola is φ itself, its minimizer 1 lies within 0.1…0.5 of 4; from 40 it does not."""

    def phi(a: float) -> tuple[float, float]:
        return (a - 1) ** 2, 2 * (a - 1)

    line = Counted(phi)
    assert line.search("armijo", 4.0).trial.alpha == 1.0
    assert line.seen == [0.0, 4.0, 1.0]
    line = Counted(phi)
    line.search("armijo", 40.0)
    assert line.seen == [0.0, 40.0, 4.0, 1.0]
    line = Counted(phi)
    line.search("armijo", 2.5, c1=0.25)  # φ(1) is the parabola's minimum
    assert line.seen == [0.0, 2.5, 1.0]


def test_exact_is_the_minimizer_of_a_quadratic() -> None:
    """φ = 3·a² − 12·a: −gᵀd/dᵀHd = 12/6, whatever the first trial was to be."""
    for alpha in ALPHAS:
        line = Counted(lambda a: (3 * a * a - 12 * a, 6 * a - 12), product=lambda x, v: 6.0 * v)
        found = line.search("exact", alpha, 0.1, 0.2)
        assert (found.end, found.trial.alpha, line.seen) == ("found", 2.0, [0.0, 2.0])
        assert line.problem.counts.product == 1


def test_exact_falls_back_where_the_curvature_is_not_positive() -> None:
    line = Counted(wavy, product=lambda x, v: (0.02 - 9 * math.cos(3 * float(x[0]))) * v)
    found = line.search("exact", 0.5, 1e-4, 0.1)
    assert found.end == "found"
    assert line.seen[1] == 0.5
    assert abs(found.trial.slope) <= 0.1 * abs(wavy(0.0)[1])


SECANTS: list[tuple[Phi, list[float]]] = [
    # φ' = a² − 2: secant of (0, 2) is 1, downhill: A = 1; secant(0, 1) = 2 lies outside. Then secant(1, 2) = 4/3,
    # downhill: A = 4/3, and secant(1, 4/3) = 10/7
    (lambda a: (a**3 / 3 - 2 * a, a * a - 2), [2.0, 1.0, 4 / 3, 10 / 7]),
    # φ' = 1 − (a − 2)²: secant of (0, 2) is 3/2, uphill: B = 3/2; secant(2, 3/2) = 0 lies outside. That is more than
    # 2/3 of the interval: its middle 3/4 is next, downhill. Then secant(3/4, 3/2) = 15/14, uphill: B = 15/14, and
    # secant(3/2, 15/14) = (3/2·27/196 − 15/14·3/4)/(27/196 − 3/4) = 39/40
    (lambda a: (a - (a - 2) ** 3 / 3, 1 - (a - 2) ** 2), [2.0, 1.5, 0.75, 15 / 14, 0.975]),
]


@pytest.mark.parametrize(("phi", "alphas"), SECANTS)
def test_secants_by_hand(phi: Phi, alphas: list[float]) -> None:
    counted = Counted(phi)
    line = Line.along(counted.problem, Point.at(counted.problem, 0, np.zeros(1)), np.ones(1), 0.1, 0.9, "weak", 0.0)
    proposals = hager_zhang(line, alphas[0])
    got = [next(proposals)]
    while len(got) < len(alphas):
        got.append(proposals.send(line.at(got[-1])))
    assert got == pytest.approx(alphas)


# ---- what is not finite, rays, rounding


@pytest.mark.parametrize("word", SEARCHES)
@pytest.mark.parametrize("beyond", [(math.nan, math.nan), (math.inf, math.inf), (1.0, math.nan), (-math.inf, 1.0)])
def test_trials_beyond_a_wall_shorten_the_step(word: str, beyond: tuple[float, float]) -> None:
    for alpha in (1.5, 10.0, 1e6):
        line = Counted(lambda a: barrier(a) if a < 1 else beyond, overflow=lambda x: False)
        found = line.search(word, alpha, 1e-4, 0.1)
        assert found.end == "found"
        assert found.trial.alpha < 1
        assert found.trial.finite


@pytest.mark.parametrize("word", SEARCHES)
def test_the_lowest_values_next_to_a_wall(word: str) -> None:
    """−a up to the wall at 1: no curvature condition can hold, so the search ends lower, close to the wall."""
    line = Counted(lambda a: (-a, -1.0) if a < 1 else (math.nan, math.nan))
    found = line.search(word, 0.3)
    if word == "armijo":
        assert (found.end, found.trial.alpha) == ("found", 0.3)
    else:
        assert (found.end, found.trial.alpha) == ("lower", pytest.approx(1.0, rel=1e-12))
    assert len(line.seen) <= MOST + 1


@pytest.mark.parametrize("word", ["wolfe", "hager_zhang", "exact"])
@pytest.mark.parametrize("power", [1, 2, 3])
def test_an_unbounded_ray(word: str, power: int) -> None:
    def phi(a: float) -> tuple[float, float]:
        b = np.float64(a) + 1
        return float(-(b**power)), float(-power * b ** (power - 1))

    line = Counted(phi, overflow=lambda x: True)
    found = line.search(word, 1e-3)
    assert found.end == "unbounded"
    assert not found.trial.finite
    assert found.lowest.finite
    assert found.lowest.f < -1e100
    assert len(line.seen) < 40


@pytest.mark.parametrize("word", SEARCHES)
def test_a_ray_followed_from_the_shortest_step(word: str) -> None:
    found = Counted(lambda a: (-a, -1.0)).search(word, 1e-307, 1e-4, 0.9)
    assert found.end in ("unbounded", "found")
    assert found.lowest.f < -1e100 or word == "armijo"  # which is content with any descent


@pytest.mark.parametrize("word", SEARCHES)
def test_rounding_of_the_value_does_not_stop_it(word: str) -> None:
    """10⁸ + (a − 1)²/2 from 1e-6 before the minimizer: the value is the same to the last bit, the slope tells."""

    def phi(a: float) -> tuple[float, float]:
        return 1e8 + 0.5 * (a - 1) ** 2, a - 1

    for alpha in (1e-7, 1e-6, 1e-5):
        line = Counted(phi)
        found = line.search(word, alpha, 1e-4, 0.9, at=1 - 1e-6)
        assert phi(1 - 1e-6)[0] == 1e8
        assert found.end == "found"
        assert abs(found.trial.slope) <= (0.9999001e-6 if word in ("armijo", "hager_zhang") else 0.9000001e-6)


@pytest.mark.parametrize(("bend", "believed"), [(0.0, True), (0.5, True), (40.0, False)])
def test_slopes_prove_what_the_terms_of_f_hide(bend: float, believed: bool) -> None:
    """f is rounded to multiples of 1e-6, as if terms of 1e10 cancelled; its slope is exact, and straight or not."""

    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        t = float(x[0])
        slope = 2e-9 * (t - 1.0) + bend * 1e-9 * t * (0.9 - t)  # halfway it is off the line by 0.2·bend·1e-9
        return round(1e-9 * (t - 1.0) ** 2, 6), np.array([slope])

    problem = Problem(1, lambda x: both(x)[0], both)
    point = Point.at(problem, 0, np.array([0.0]))
    line = Line.along(problem, point, np.array([1.0]), 1e-4, 0.9, "strong", 1.0)
    trial = line.at(0.9)
    assert trial.f == point.value
    assert line.accepts(trial) is believed
    assert problem.counts.gradient == 3  # the point, the trial, a slope halfway
    assert not line.accepts(line.at(0.8))  # f is asked once
    assert problem.counts.gradient == 4


@pytest.mark.parametrize("word", SEARCHES)
def test_where_nothing_can_be_gained(word: str) -> None:
    """The slope claims descent where there is none: at a kink, the minimizer of |a − π|."""
    line = Counted(lambda a: (abs(a - math.pi), math.copysign(1.0, a - math.pi - 1e-300)))
    found = line.search(word, 1.0, at=math.pi)
    assert (found.end, found.trial.alpha, found.trial.f) == ("rounding", 0.0, 0.0)
    assert len(line.seen) <= MOST + 1


@pytest.mark.parametrize("word", SEARCHES)
def test_a_step_that_leaves_x_as_it_is_gains_nothing(word: str) -> None:
    """1 + |a − 10⁶|, whose slope claims descent at the kink: steps below the spacing of doubles there look perfect."""
    line = Counted(lambda a: (1 + abs(a - 1e6), -1.0 if a <= 1e6 else 1.0))
    found = line.search(word, 1.0, at=1e6)
    assert (found.end, found.trial.x[0]) == ("rounding", 1e6)


@pytest.mark.parametrize("word", SEARCHES)
@pytest.mark.parametrize("slope", [0.0, 1.0, math.nan, -math.inf])
def test_no_descent_is_no_search(word: str, slope: float) -> None:
    line = Counted(lambda a: (a * slope, slope))
    assert line.search(word, 1.0).end == "failed"
    assert line.seen == [0.0]
    line = Counted(quartic)
    assert [line.search(word, alpha).end for alpha in (0.0, -1.0, math.inf, math.nan)] == ["failed"] * 4


@pytest.mark.parametrize("word", ["wolfe", "hager_zhang", "exact"])
def test_a_lying_gradient_ends_in_failure(word: str) -> None:
    line = Counted(lambda a: (1.0 + a, -1.0))
    assert line.search(word, 1.0).end in ("rounding", "failed")
    assert len(line.seen) <= MOST + 1


# ---- products


@pytest.mark.parametrize("n", [1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 100_003])
def test_dot_and_norm(n: int) -> None:
    a, b = np.random.default_rng(n).normal(size=(2, n))
    assert dot(a, b) == pytest.approx(math.fsum(a * b), abs=1e-13 * n**0.5)
    assert norm(a) == pytest.approx(math.sqrt(math.fsum(a * a)), rel=1e-14)


@pytest.mark.parametrize("n", [1, 7, COLUMNS - 1, COLUMNS, COLUMNS + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("k", [0, 1, 6, 22])
def test_products_with_rows(n: int, k: int) -> None:
    """Against the products one by one; equal columns have equal sums, wherever they stand."""
    random = np.random.default_rng(n)
    rows, b, c = random.normal(size=(k, n)), random.normal(size=n), random.normal(size=k)
    assert dots(rows, b) == pytest.approx([float(np.sum(row * b)) for row in rows], rel=1e-9, abs=1e-10)
    assert combined(c, rows) == pytest.approx(np.sum(c[:, None] * rows, axis=0), rel=1e-9, abs=1e-10)
    same = np.repeat(random.normal(size=(k, 1)), n, axis=1)
    assert len(set(combined(c, same).tolist())) == 1


def test_norm_of_extreme_vectors() -> None:
    with np.errstate(all="ignore"):
        assert norm(np.array([3e200, 4e200])) == pytest.approx(5e200)
        assert norm(np.array([3e-200, 4e-200])) == pytest.approx(5e-200)
        assert norm(np.zeros(3)) == 0.0
        assert norm(np.array([1.0, math.inf])) == math.inf
        assert math.isnan(norm(np.array([1.0, math.nan])))
