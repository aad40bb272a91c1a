"""Moré and Thuente's line search: cubic and quadratic steps within an interval that surely holds a solution."""

from __future__ import annotations

import math
from typing import NamedTuple

from optcli.optimize.hager_zhang import by_slopes
from optcli.optimize.line import Line, Proposals

NEAREST, FARTHEST = 1.1, 4.0  # an extrapolation goes on by this many times the last stretch, as in MINPACK-2's dcsrch
DELTA = 0.66  # of the way to the other end at most, case 3; in two trials the interval must shrink by it, section 4


class _End(NamedTuple):
    """A step length with the value and slope of the function at work there: φ, or ψ of section 2."""

    alpha: float
    f: float
    slope: float


def more_thuente(line: Line, alpha: float) -> Proposals:
    """The search algorithm of Moré & Thuente, ACM TOMS 20 (1994) 286–307, with the trial values of its section 4.

    `best` is the end α_l with the lowest value, `other` the end α_u; once they bracket, the strong Wolfe conditions
    hold somewhere between them. While no trial has had sufficient decrease and an upward slope, one that is lower
    without sufficient decrease is placed by ψ(α) = φ(α) − φ(0) − c1·α·φ'(0) in place of φ, as in the authors' code
    of MINPACK-2, and the counts of the paper's tables come out. A trial that is not finite bounds the search from
    above. From a trial on whose value rounding may hide, or where it is found to lie between the ends, Hager and
    Zhang's search goes on, which asks slopes alone.
    Ends when the interval cannot shrink any more.
    """
    tilt = line.c1 * line.start.slope
    best, other = line.start, line.start
    auxiliary, bracketed, wall = True, False, math.inf
    widths = (math.inf, math.inf)
    while True:
        trial = yield alpha
        if not trial.finite:
            wall = trial.alpha
            alpha = 0.5 * (best.alpha + wall)
            if alpha in (best.alpha, wall):
                return
            continue
        if line.unresolved(trial) or (bracketed and line.refutes(best, other)):  # values would mislead
            yield from by_slopes(line, trial)
            return
        if auxiliary and line.decreases(trial) and trial.slope >= 0.0:
            auxiliary = False
        shift = tilt if auxiliary and trial.f <= best.f and not line.decreases(trial) else 0.0
        low, up, t = (_End(e.alpha, e.f - shift * e.alpha, e.slope - shift) for e in (best, other, trial))
        alpha, turned = _next(low, up, t, bracketed)
        bracketed = bracketed or turned
        if t.f > low.f:
            other = trial
        else:
            if t.slope * low.slope < 0.0:
                other = best
            best = trial
        if bracketed:
            left, right = sorted((best.alpha, other.alpha))
            if right - left >= DELTA * widths[0] or not left < alpha < right:
                alpha = 0.5 * (left + right)
            widths = (widths[1], right - left)
        else:
            stretch = trial.alpha - low.alpha
            alpha = min(max(alpha, trial.alpha + NEAREST * stretch), trial.alpha + FARTHEST * stretch)
            left, right = best.alpha, wall
            if alpha >= wall:
                alpha = 0.5 * (left + right)
        if not left < alpha < right:
            return


def _next(low: _End, up: _End, t: _End, bracketed: bool) -> tuple[float, bool]:
    """The next step length by the four cases of section 4, and whether the ends after this trial bracket."""
    if t.f > low.f:  # case 1: higher
        cubic, quadratic = _cubic(low, t), _quadratic(low, t)
        return (cubic if abs(cubic - low.alpha) < abs(quadratic - low.alpha) else 0.5 * (cubic + quadratic)), True
    if t.slope * low.slope < 0.0:  # case 2: lower, and the slope turned
        cubic, secant = _cubic(low, t), _secant(low, t)
        return (cubic if abs(cubic - t.alpha) >= abs(secant - t.alpha) else secant), True
    if abs(t.slope) <= abs(low.slope):  # case 3: lower, less steep
        cubic, secant = _cubic(low, t), _secant(low, t)
        ahead = (cubic - t.alpha) * (t.alpha - low.alpha) > 0.0  # the cubic goes up beyond, its minimizer lies there
        if not ahead:
            cubic = math.copysign(math.inf, t.alpha - low.alpha)
        nearer = abs(cubic - t.alpha) < abs(secant - t.alpha)
        if not bracketed:  # extrapolation: the longer step, bounded by the caller
            return (secant if nearer else cubic), False
        alpha = cubic if nearer else secant
        bound = t.alpha + DELTA * (up.alpha - t.alpha)
        return (min(bound, alpha) if t.alpha > low.alpha else max(bound, alpha)), True
    if bracketed:  # case 4: lower and steeper
        return _cubic(up, t), True
    return math.copysign(math.inf, t.alpha - low.alpha), False


def _cubic(a: _End, b: _End) -> float:
    """The minimizer of the cubic with the values and slopes of a and b, Nocedal & Wright eq. (3.59), scaled.

    NaN where it has none.
    """
    theta = 3.0 * (a.f - b.f) / (b.alpha - a.alpha) + a.slope + b.slope
    scale = max(abs(theta), abs(a.slope), abs(b.slope))
    if not 0.0 < scale < math.inf:
        return math.nan
    square = (theta / scale) ** 2 - (a.slope / scale) * (b.slope / scale)
    if not square > 0.0:
        return math.nan
    root = math.copysign(scale * math.sqrt(square), b.alpha - a.alpha)
    below = b.slope - a.slope + 2.0 * root
    return b.alpha - (b.alpha - a.alpha) * (b.slope + root - theta) / below if below else math.nan


def _quadratic(a: _End, b: _End) -> float:
    """The minimizer of the parabola through both values with the slope of a."""
    gap = b.alpha - a.alpha
    below = (a.f - b.f) / gap + a.slope
    return a.alpha + 0.5 * a.slope / below * gap if below else math.nan


def _secant(a: _End, b: _End) -> float:
    """Where the line through the two slopes is zero."""
    rise = b.slope - a.slope
    return b.alpha - b.slope * (b.alpha - a.alpha) / rise if rise else math.copysign(math.inf, b.alpha - a.alpha)
