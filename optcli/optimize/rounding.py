"""Where two values of f differ by less than their rounding, gradients tell which point is lower."""

from __future__ import annotations

import math

import numpy as np

from optcli.optimize.iterate import Array, Point
from optcli.optimize.products import dot

EPS = float(np.finfo(np.float64).eps)
# Values that differ by less than this part of |f| are not compared: a sum of terms that cancel has lost some digits,
# and the trapezoid rule is as good a measure of so small a change. Hager & Zhang (2005) take 1e-6.
NOISE = 1e-10
FLOOR = 50 * EPS  # the same where f is near 0 while its terms, as in x² − 2x + 1, are about 1


def noise(f: float) -> float:
    """The differences from f that may be rounding alone."""
    return max(NOISE * abs(f), FLOOR)


def reduction(f: float, g: Array, f_new: float, g_new: Array, s: Array) -> float:
    """f − f_new, the reduction over the displacement s; NaN or −inf where f_new is not finite.

    Where that difference is within the noise of f, it is −½(g + g_new)·s instead, the trapezoid rule: exact for
    quadratics. As a condition of sufficient decrease it is the approximate Wolfe condition of Hager & Zhang, A new
    conjugate gradient method with guaranteed descent and an efficient line search, SIAM J. Optim. 16 (2005) 170–192,
    eq. (4.1).
    """
    change = f - f_new
    if not abs(change) <= noise(f) or not math.isfinite(f_new):
        return change
    return -0.5 * dot(g + g_new, s)


WAIT = 10  # steps within the noise of f that may pass without a lower value or gradient norm


def waited(since: Array, before: Point, after: Point, hoped: float) -> Array | None:
    """The record (steps without progress, lowest value, lowest gradient norm) after a step; None: it is time to end.

    `since` is the record before it, `hoped` the reduction of f that the step was made for. Only steps for less than
    the noise of f count: down there values tell nothing and gradients rise and fall, so a method needs some patience,
    but must not wander for ever. Shape (3,).
    """
    count, value, norm = since
    if hoped > noise(before.value) or after.value < value or after.gradient_norm < norm:
        count = -1.0
    if count + 1.0 > WAIT:
        return None
    return np.array([count + 1.0, min(value, after.value), min(norm, after.gradient_norm)])


def nothing_yet(start: Point) -> Array:
    """The record at the start."""
    return np.array([0.0, start.value, start.gradient_norm])
