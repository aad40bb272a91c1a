"""What differentiating once or twice cannot tell, looked for in values: lower points near a kink or a degenerate point,
and rays along which the value falls for ever.

All of it is deterministic for a given Generator, and costs some hundred evaluations at most.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.curvature import LOUD, noise
from optcli.optimize.iterate import Array, largest_entry
from optcli.optimize.rounding import EPS
from optcli.optimize.stop import BOTTOM

if TYPE_CHECKING:
    from numpy.random import Generator

    from optcli.optimize.problem import Problem

RADII = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # of the spheres that are searched, times max(1, |x|)
CLOSE = 1e-5  # how far, times max(1, |x|), a kink may be that a point is said to be at
TOUCH = (1e-12, 1e-10, 1e-8, 1e-6, CLOSE)  # distances at which gradients on either side of a kink are compared
KINKED = 0.3  # a jump that keeps this share at a tenth of the distance is a kink; a smooth change keeps a tenth
MOST = 12  # variables up to which a neighbourhood is searched; beyond, a few hundred points say nothing of it
DRAWN = 8  # random directions, and as many against them
FEW = 4  # variables up to which two directions are turned on each sphere, then one
NOISE = 16.0 * EPS  # of the value: what a sum of a few terms may lose
WORTH = 1e-3  # of a move's length times the slope: what the move must gain
MOVES = 100  # of the pattern search at most
TURNS = 8  # angles of the search on a sphere, from 0.5 down to 1e-4
FACTOR = 16.0  # between two points of a ray


@dataclass(frozen=True)
class Probe:
    """The lowest point met around a centre: whether it is lower than rounding explains, and where it lies."""

    lower: bool
    x: Array
    value: float


def search(problem: Problem, x: Array, f: float, special: Sequence[Array], slack: float, random: Generator) -> Probe:
    """Look for a point lower than f − slack on spheres around x, with at most MOST variables.

    On each sphere the axes, random directions and the `special` ones are tried, then the lowest two are turned towards
    lower values by shrinking angles: that finds the narrow way down of |y − x²| − x²/2, which no straight line does.
    """
    n = problem.size
    assert n <= MOST
    scale = np.maximum(1.0, np.abs(x))
    pool = _directions(n, special, random)
    turned: list[Array] = []
    g = problem.value_and_gradient(x)[1]
    loud = LOUD * (noise(problem, x, f, g).gradient + np.abs(g))
    for number, radius in enumerate(RADII):
        tried = [*pool, *turned]
        ranked = sorted((value_at(problem, x + radius * scale * u), k) for k, u in enumerate(tried))
        for value, k in ranked[: 2 if n <= FEW else 1]:
            found, u = value, tried[k]
            p = problem.project(x + radius * scale * u)
            if found <= f + slack and k < len(pool) and _falls(problem, p, radius * scale * u, loud, slack):
                return Probe(True, p, found)
            if number % 2 and found >= f - slack:
                found, u = _turned(problem, x, radius * scale, u, value, random, f - slack)
                turned = [*turned, u][-2:]  # the next spheres begin with what was best on this one
            if found < f - slack:
                return Probe(True, problem.project(x + radius * scale * u), found)
    return Probe(False, x, f)


def settle(
    problem: Problem, x: Array, f: float, special: Sequence[Array], slope: float, random: Generator
) -> tuple[Array, float]:
    """The bottom next to x: a pattern search that may go no further than some CLOSE from it.

    A method ends beside a kink, not in it; what is looked at is the kink. Hooke & Jeeves, J. ACM 8 (1961) 212–229,
    with more directions. `slope` is the largest slope met around x.
    """
    scale = np.maximum(1.0, np.abs(x))
    pool = _directions(problem.size, special, random)
    radius, y, fy = CLOSE, x, f
    for _ in range(MOVES):
        if radius <= EPS:
            break
        ends = [problem.project(y + radius * scale * u) for u in pool]
        value, k = min((value_at(problem, end), k) for k, end in enumerate(ends))
        if value < fy - NOISE * abs(fy) - WORTH * slope * radius:
            y, fy = ends[k], value
        else:
            radius /= 8.0
        if largest_entry((y - x) / scale) > 8.0 * CLOSE:
            break
    return y, fy


def _directions(n: int, special: Sequence[Array], random: Generator) -> list[Array]:
    """The axes, the special and some random directions, each with its opposite; the largest entry is 1."""
    drawn = [*np.eye(n), *special, *random.standard_normal((DRAWN, n))]
    units = [u / largest_entry(u) for u in drawn if 0.0 < largest_entry(u) < math.inf]
    return [sign * u for u in units for sign in (1.0, -1.0)]


def _turned(
    problem: Problem, x: Array, radius: Array, u: Array, value: float, random: Generator, enough: float
) -> tuple[float, Array]:
    """The lowest value on the sphere that turning u by shrinking angles finds, and its direction."""
    angle = 0.5
    for _ in range(TURNS):
        for v in (*np.eye(len(u)), random.standard_normal(len(u))):
            for sign in (angle, -angle):
                w = u + sign * v / largest_entry(v)
                size = largest_entry(w)
                if size == 0.0:
                    continue
                w = w / size
                found = value_at(problem, x + radius * w)
                if found < value:
                    value, u = found, w
                    if value < enough:
                        return value, u
        angle *= 0.3
    return value, u


def _falls(problem: Problem, x: Array, s: Array, loud: Array, slack: float) -> bool:
    """Whether the value still falls along s at x, by more than slack, where values alone are too coarse (1 + x**9).

    Only for straight ways: one that was turned into a curved valley comes down into it from the side.
    """
    _, g = problem.value_and_gradient(x)
    gain = -float(np.dot(g, s))
    return math.isfinite(gain) and gain > slack + float(np.dot(loud + EPS * np.abs(g), np.abs(s)))


def value_at(problem: Problem, x: Array) -> float:
    value = problem.value(problem.project(x))
    return value if not math.isnan(value) else math.inf


# ---------------------------------------------------------------- kinks


@dataclass(frozen=True)
class Kink:
    """That the gradient, or the value, jumps within `distance` of a point; gradients met on its sides."""

    distance: float
    gradients: tuple[Array, ...]


def around(x: Array, radius: float, random: Generator) -> list[Array]:
    """Points about x at a distance of radius·max(1, |x|): on the axes for a few variables, and random ones."""
    return [x + radius * way for way in _ways(x, random)]


def _ways(x: Array, random: Generator) -> list[Array]:
    scale = np.maximum(1.0, np.abs(x))
    ways = [*(np.eye(len(x)) if len(x) <= MOST else ()), *random.choice([-1.0, 1.0], (3, len(x)))]
    return [sign * scale * way for way in ways for sign in (1.0, -1.0)]


def kink_at(problem: Problem, x: Array, f: float, tolerance: float, random: Generator) -> Kink | None:
    """Whether there is a kink or a jump at x, or within CLOSE of it, by what a tenth of the distance changes.

    Over a smooth stretch of length r the gradient changes by about r times the curvature; over a kink it does not
    depend on r.
    """
    ways = _ways(x, random)
    for radius in TOUCH:
        wide, near = (_spread(problem, x, r, ways) for r in (radius, radius / 10.0))
        if wide is None or near is None:
            continue
        noticed = max(tolerance, 1e-6 * max(largest_entry(g) for g in near[1]))
        if near[0] > noticed and near[0] >= KINKED * wide[0]:
            return Kink(radius, tuple(near[1]))
        step = max(abs(value - f) for value in near[2])
        slope = max(largest_entry(g) for g in near[1]) * radius
        if step > 1e3 * (slope + EPS * abs(f)) * len(x):
            return Kink(radius, tuple(near[1]))
    return None


def across(kink: Kink) -> list[Array]:
    """Directions that a kink suggests: against the gradients on its sides, across it and, in the plane, along it."""
    gradients = list(kink.gradients)[:6]
    ways = [-g for g in gradients[:4]] + [-np.mean(gradients, axis=0)]
    for a, b in itertools.pairwise(gradients):
        normal = a - b
        ways.append(normal)
        if len(normal) == 2:
            ways.append(np.array([-normal[1], normal[0]]))
    return [way for way in ways if 0.0 < largest_entry(way) < math.inf][:12]


def _spread(
    problem: Problem, x: Array, radius: float, ways: Sequence[Array]
) -> tuple[float, list[Array], list[float]] | None:
    """The largest difference of gradients about x, the gradients, and the values."""
    values, slopes = [], []
    for point in (x, *(x + radius * way for way in ways)):
        f, g = problem.value_and_gradient(problem.project(point))
        if math.isfinite(f) and np.isfinite(g).all():
            values.append(f)
            slopes.append(g)
    if len(slopes) < 2:
        return None
    stack = np.array(slopes)
    return float(np.max(np.max(stack, axis=0) - np.min(stack, axis=0))), slopes, values


# ---------------------------------------------------------------- rays


def falls_for_ever(problem: Problem, x: Array, f: float, d: Array) -> bool:
    """Whether the value falls at every point of the ray x + t·d, t = 1, 16, 256, …, without an end in doubles.

    It must get below BOTTOM, or overflow downwards, or fall by no less from one point to the next until x overflows, as
    −log(x) does; and not rise anywhere on the way.
    """
    size = largest_entry(d)
    if not 0.0 < size < math.inf:
        return False
    d = d / size
    t, before, drop = max(1.0, largest_entry(x)), f, 0.0
    while True:
        p = problem.project(x + t * d)
        if not np.isfinite(p).all():
            return before <= BOTTOM or drop > 0.0
        value = problem.value(p)
        if math.isnan(value) or value == math.inf:
            return before <= BOTTOM
        if value == -math.inf:
            return before <= BOTTOM or problem.overflow(p)
        if not value < before:
            return False
        now = before - value
        if drop and now < (1.0 - 1e-6) * drop:
            return False
        before, drop, t = value, now, t * FACTOR
