"""Units: chosen where they matter, exact there and back, and invisible outside."""

from __future__ import annotations

import numpy as np
import pytest

from optcli.optimize.methods.gd import GradientDescent
from optcli.optimize.problem import Problem
from optcli.optimize.scaling import LEAST_RATIO, Scaled, ScaledProblem, told, units
from optcli.optimize.solve import solve
from optcli.optimize.status import Status
from optcli.optimize.stop import Stop


def quadratic(h: list[float], centre: list[float] | None = None, **bounds: np.ndarray) -> Problem:
    """½ Σ h_i (x_i − centre_i)²."""
    H, c = np.array(h), np.array(centre or [0.0] * len(h))
    return Problem(
        len(h),
        lambda x: float(0.5 * np.sum(H * (x - c) ** 2)),
        lambda x: (float(0.5 * np.sum(H * (x - c) ** 2)), H * (x - c)),
        product=lambda x, v: H * v,
        **bounds,
    )


@pytest.mark.parametrize(
    ("h", "scaled"),
    [
        ([1.0, 1.0], False),
        ([1.0, LEAST_RATIO**2 / 2.0], False),
        ([1.0, LEAST_RATIO**2 * 2.0], True),
        ([1e10, 1e-6], True),
        ([1e300, 1e-300], True),
        ([np.nan, 1.0], False),
    ],
)
def test_units_come_from_curvature_where_it_differs(h: list[float], scaled: bool) -> None:
    c = units(quadratic(h), np.ones(2))
    assert bool((c != 1.0).any()) == scaled
    assert np.array_equal(np.exp2(np.round(np.log2(c))), c)  # powers of two
    if scaled:
        assert c[0] / c[1] == pytest.approx(min(1e12, np.sqrt(h[1] / h[0])), rel=0.5) or h[0] > h[1]


def test_units_from_bounds_and_start_where_curvature_says_nothing() -> None:
    flat = quadratic([0.0, 0.0, 0.0])
    assert np.array_equal(units(flat, np.array([1.0, 2.0, 0.0])), np.ones(3))
    c = units(flat, np.array([1e6, 1.0, 0.0]))
    assert c[0] / c[1] == 2.0**20
    bounded = quadratic([0.0, 0.0], lower=np.array([0.0, 0.0]), upper=np.array([1.0, 1e5]))
    low, high = units(bounded, np.zeros(2))
    assert high / low in (2.0**16, 2.0**17)


def test_entries_of_one_array_have_one_unit() -> None:
    """1 − i/n is 0 at its end, and no smaller thing there."""
    start = np.array([1.0, 0.5, 1e-5, 0.0, 1e6])
    assert (units(quadratic([0.0] * 5), start) != 1.0).any()
    a, b = slice(0, 4), slice(4, 5)
    c = units(quadratic([0.0] * 5), start, True, [a, b])
    assert len(set(c[a])) == 1
    assert c[4] / c[0] == 2.0**20
    assert (units(quadratic([0.0] * 4), start[a], True, [a]) == 1.0).all()


def test_the_problem_in_units_is_the_same_problem() -> None:
    problem, c = quadratic([1e10, 1e-6], [1.0, 1e5]), np.array([2.0**-10, 2.0**13])
    inside, z, v = ScaledProblem(problem, c), np.array([3.0, -7.0]), np.array([0.5, 2.0])
    value, g = inside.value_and_gradient(z)
    assert value == inside.value(z) == problem.value(c * z)
    assert np.array_equal(g, c * problem.value_and_gradient(c * z)[1])
    assert np.array_equal(inside.hvp(z, v), inside.hessian(z) @ v)
    assert problem.counts.gradient == 2
    assert inside.counts.gradient == 0


def test_gradient_descent_in_units_solves_what_it_could_not() -> None:
    """Condition 1e16 becomes 1: one step of length 1 in the right units is Newton's."""
    problem = quadratic([1e10, 1e-6], [1.0, 1e5])
    c = units(problem, np.array([3.0, 3.0]))
    method = Scaled(GradientDescent(float(1.0 / (1e10 * c[0] ** 2))), c)
    assert (method.name, method.settings()) == ("gd", {"lr": method.inner.settings()["lr"]})
    result = solve(problem, method, np.array([3.0, 3.0]), Stop())
    assert result.status is Status.CONVERGED
    assert result.point.x == pytest.approx([1.0, 1e5], rel=1e-6)
    assert result.point.gradient_norm == np.max(np.abs(result.point.gradient))
    assert "units" in told(c)


def test_units_of_one_change_no_digit() -> None:
    plain = quadratic([1.0, 3.0], [0.3, 0.7])
    start = np.array([2.0, 1.0])
    wanted = solve(plain, GradientDescent(0.1), start, Stop(iters=50))
    found = solve(plain, Scaled(GradientDescent(0.1), np.ones(2)), start, Stop(iters=50))
    assert np.array_equal(found.point.x, wanted.point.x)
    assert found.counts.gradient == 2 * wanted.counts.gradient  # both ran on one problem


def test_bounds_hold_in_units() -> None:
    problem = quadratic([1e6, 1.0], [5.0, 5.0], lower=np.array([-1.0, -1.0]), upper=np.array([1.0, 100.0]))
    method = Scaled(GradientDescent(0.5), np.array([2.0**-10, 1.0]))
    result = solve(problem, method, np.zeros(2), Stop(tol=1e-9))
    assert result.status is Status.CONVERGED
    assert result.point.x == pytest.approx([1.0, 5.0])
