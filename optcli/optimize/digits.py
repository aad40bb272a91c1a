"""How many digits of a point and of its value can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.curvature import NEIGHBOURS, Noise, Path, neighbour
from optcli.optimize.iterate import Array, Point
from optcli.optimize.rounding import EPS

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem
    from optcli.optimize.seen import Seen

MOST_DIGITS = 15


def digits(point: Point, error: Array, gain: float) -> dict[str, int]:
    """The digits of x with errors like these, shape (n,), and of a value that could be lower by `gain`."""
    value = point.value
    right = _right(np.array([value]), np.array([gain + 0.5 * EPS * abs(value)]))
    return {"x": _right(point.x, error), "value": right}


def _right(values: Array, errors: Array) -> int:
    """The fewest significant digits of values with such errors; decimals where one is no larger than ten errors."""
    size = np.where(np.abs(values) > 10.0 * errors, np.abs(values), 1.0)
    worst = float(np.max(errors / size))
    if not math.isfinite(worst):
        return 0
    return max(0, min(MOST_DIGITS, math.floor(-math.log10(max(worst, 1e-300)) + 1e-9)))


def digits_at(
    problem: Problem, point: Point, free: Array, held: Array, seen: Seen, path: Path, rough: Noise
) -> dict[str, int]:
    """How many digits of x and of the value are right, by the Newton steps and by rounding.

    Of x the entry with the fewest counts: significant digits, decimals for one that is zero within its error.
    """
    error, off = rounding_of(problem, point, held)
    error += np.abs(path.x - point.x)
    noisy = np.abs(seen.newton(rough.gradient[free]))
    error[free] = error[free] + np.maximum(noisy, _blur(problem, point, free, seen))
    return digits(point, error, off + abs(point.value - path.value))


def _blur(problem: Problem, point: Point, free: Array, seen: Seen) -> Array:
    """How far the rounding of the gradient shifts Newton's step, shape (m,): at points an ulp away, what the gradient
    there differs by from g + Hs."""
    blur = np.zeros(len(free))
    for k in range(NEIGHBOURS):
        near = neighbour(problem, point.x, k)
        change = (problem.value_and_gradient(near)[1] - point.gradient)[free] - seen.product((near - point.x)[free])
        blur = np.fmax(blur, np.abs(seen.newton(change)))
    return blur


def rounding_of(problem: Problem, point: Point, held: Array) -> tuple[Array, float]:
    """The rounding of x, with the way that is left to the bounds that hold it, and what that is worth."""
    x, g = point.x, point.gradient
    error = 0.5 * EPS * np.abs(x)
    if not problem.bounded:
        return error, 0.0
    left = np.zeros_like(x)
    left[held] = np.abs(problem.project(x - np.sign(g) * math.inf) - x)[held]
    return error + left, float(np.dot(left, np.abs(g)))
