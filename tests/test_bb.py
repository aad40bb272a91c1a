"""Barzilai–Borwein: both step lengths by hand, its safeguard, its bounds, and what the shared fields do to it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from optcli.optimize.methods import make
from optcli.optimize.solve import Iterate, Problem, Result, Silent, Stop, solve

SCALES = np.array([1.0, 10.0])
C1 = 1e-4  # Raydan 1997


@dataclass(frozen=True)
class Rows(Silent):
    every: int = 1
    rows: list[Iterate] = field(default_factory=list)

    def row(self, iterate: Iterate) -> None:
        self.rows.append(iterate)


def bowl(x: Any) -> tuple[float, Any]:
    """(x² + 10·y²)/2"""
    return 0.5 * float(SCALES @ (x * x)), SCALES * x


def valley(x: Any) -> tuple[float, Any]:
    """Rosenbrock with b = 100."""
    a, b = (float(each) for each in x)
    r = b - a * a
    return (1 - a) ** 2 + 100 * r * r, np.array([-2 * (1 - a) - 400 * a * r, 200 * r])


def run(f: Any, start: Any, stop: Stop, lower: Any = None, upper: Any = None, **settings: Any) -> tuple[Result, Any]:
    problem = Problem(len(start), lambda x: f(x)[0], f, lower=lower, upper=upper)
    watch = Rows()
    result = solve(problem, make("bb", settings), np.array(start, dtype=float), stop, watch)
    return result, [*watch.rows, result.iterate]


@pytest.mark.parametrize(
    ("length", "alpha"), [("long", 101 / 1001), ("short", 1001 / 10001), ("alternate", 101 / 1001)]
)
def test_first_steps_by_hand(length: str, alpha: float) -> None:
    """From (1, 1): g = (1, 10), the first step is −0.1/10·g; then s = −(1, 10)/100, y = −(1, 100)/100."""
    _, rows = run(bowl, [1, 1], Stop(iters=3), lr=0.1, length=length)
    assert rows[1].x == pytest.approx([0.99, 0.9], rel=1e-14)
    assert rows[2].x == pytest.approx([0.99 - alpha * 0.99, 0.9 - alpha * 9.0], rel=1e-12)
    s, y = rows[2].x - rows[1].x, rows[2].gradient - rows[1].gradient
    later = {"long": s @ s / (s @ y), "short": s @ y / (y @ y), "alternate": s @ y / (y @ y)}[length]
    assert rows[3].x == pytest.approx(rows[2].x - later * rows[2].gradient, rel=1e-10)


@pytest.mark.parametrize("scale", [1e-280, 1.0, 1e280])
@pytest.mark.parametrize("length", ["long", "short"])
def test_one_variable_needs_one_step_after_the_first(scale: float, length: str) -> None:
    """The curvature along a line is all of it; nothing overflows on the way."""
    f = lambda x: (scale * 0.5 * (x[0] - 3) ** 2, scale * (x - 3.0))  # noqa: E731
    _, rows = run(f, [1], Stop(iters=2, tol=0.0), lr=0.5, length=length)
    assert rows[1].x == pytest.approx([1.5], rel=1e-14)
    assert rows[2].x == pytest.approx([3.0], rel=1e-14)


def test_where_the_curvature_is_negative_the_length_is_its_magnitude() -> None:
    """−x²/2 + x⁴/4 at 0.1: s/y < 0 there, and the step still goes down."""
    f = lambda x: (-0.5 * x[0] ** 2 + 0.25 * x[0] ** 4, -x + x**3)  # noqa: E731
    result, rows = run(f, [0.1], Stop(tol=1e-10), lr=0.01)
    s, y = rows[1].x - rows[0].x, rows[1].gradient - rows[0].gradient
    assert float(s[0] * y[0]) < 0
    assert rows[2].x == pytest.approx(rows[1].x - abs(s / y) * rows[1].gradient, rel=1e-12)
    assert abs(result.point.x[0]) == pytest.approx(1.0, rel=1e-9)


def test_the_length_where_the_curvature_is_negative_by_hand() -> None:
    """−(x² + 10·y²)/2 from (1, 1): s = (0.01, 0.1), y = −(0.01, 1)."""
    _, rows = run(lambda x: (-bowl(x)[0], -bowl(x)[1]), [1, 1], Stop(iters=2), lr=0.1)
    alpha = math.sqrt(101 / 10001)
    assert rows[2].x == pytest.approx([1.01 + alpha * 1.01, 1.1 + alpha * 11.0], rel=1e-12)


def test_a_step_that_does_not_go_down_is_refused() -> None:
    """x²/2 from 1 by −2: at −1 the value is the same, and the parabola through both is lowest at half of it."""
    result, rows = run(lambda x: (0.5 * x[0] ** 2, x), [1], Stop(iters=1), lr=2.0)
    assert rows[1].x == pytest.approx([0.0], abs=1e-15)
    assert result.counts.gradient == 3


def test_where_the_gradient_stays_steps_grow_until_overflow() -> None:
    result, _ = run(lambda x: (float(x[0] + x[1]), np.ones(2)), [0, 0], Stop())
    assert result.status == "unbounded"
    assert result.iterations < 400


@pytest.mark.parametrize("memory", [1, 10])
def test_the_safeguard_holds_at_every_step(memory: int) -> None:
    """f ≤ the highest of the last `memory` values − 1e-4·|∇fᵀs|; on this start there are steps that it refuses."""
    result, rows = run(valley, [-1.2, 1], Stop(tol=1e-9), memory=memory, length="long")
    assert result.status == "converged"
    assert result.counts.gradient > result.iterations + 1
    values = [row.value for row in rows]
    for k, (old, new) in enumerate(itertools.pairwise(rows)):
        s = new.x - old.x
        assert old.gradient @ s < 0
        highest = max(values[max(0, k + 1 - memory) : k + 1])
        assert new.value <= highest + C1 * float(old.gradient @ s) * (1 - 1e-9) + 1e-300
    rises = sum(new > old for old, new in itertools.pairwise(values))
    assert rises == 0 if memory == 1 else rises > 0


def test_a_trial_out_of_the_domain_only_shortens_the_step() -> None:
    f = lambda x: (float(x[0] - np.log(x[0])), 1 - 1 / x)  # noqa: E731
    result, _ = run(f, [3], Stop(tol=1e-10), lr=100.0)
    assert result.status == "converged"
    assert result.point.x == pytest.approx([1.0], rel=1e-9)
    assert result.counts.gradient > result.iterations + 1


@pytest.mark.parametrize("length", ["long", "short", "alternate"])
def test_bounds(length: str) -> None:
    lower, upper = np.array([-2.0, -2.0]), np.array([0.5, 2.0])
    result, rows = run(valley, [-1.2, 1], Stop(tol=1e-9), lower, upper, length=length)
    assert result.status == "converged"
    assert result.point.x == pytest.approx([0.5, 0.25], rel=1e-8)
    assert all((row.x >= lower).all() and (row.x <= upper).all() for row in rows)


def test_weight_decay_ends_at_the_minimum_of_the_sum() -> None:
    """∇f + 0.5·x = 0: of (x − 3)²/2 + x²/4 that is 2."""
    f = lambda x: (0.5 * (x[0] - 3) ** 2, x - 3.0)  # noqa: E731
    result, _ = run(f, [0], Stop(iters=20), weight_decay=0.5)
    assert result.iterate.x == pytest.approx([2.0], rel=1e-12)
    assert result.iterate.gradient == pytest.approx([-1.0], rel=1e-12)


def test_a_schedule_scales_the_step() -> None:
    """Half of the step to the minimum from the second period on: the distance halves."""
    f = lambda x: (0.5 * (x[0] - 3) ** 2, x - 3.0)  # noqa: E731
    _, rows = run(f, [0], Stop(iters=4, tol=0.0), lr=1.0, schedule="step", period=1, decay=0.5)
    assert rows[1].x == pytest.approx([1.0])
    assert rows[2].x == pytest.approx([2.0])  # 1 + 2/2
    assert rows[3].x == pytest.approx([2.25])  # 2 + 1/4


def test_clipping_keeps_the_direction_or_its_signs() -> None:
    result, rows = run(bowl, [100, 100], Stop(tol=1e-8), clip_norm=1.0)
    d, g = rows[1].x - rows[0].x, rows[0].gradient
    assert d / np.linalg.norm(d) == pytest.approx(-g / np.linalg.norm(g), rel=1e-10)
    assert result.status == "converged"
    assert run(bowl, [100, 100], Stop(tol=1e-8), clip_value=1.0)[0].status == "converged"


def test_a_run_at_the_rounding_of_its_value_comes_as_near_as_that_allows() -> None:
    """A value of 1e9 has steps of 1e-7, which hide what is lower below a gradient of 1e-4; no trial loops."""

    def f(x: Any) -> tuple[float, Any]:
        s = x - np.array([1 / 3, -1 / 7])
        return 1e9 + 0.5 * float(s[0] ** 2 + 1e4 * s[1] ** 2), s * np.array([1.0, 1e4])

    result, _ = run(f, [3, 4], Stop(tol=0.0, iters=5000))
    assert result.point.gradient_norm < 1e-3
