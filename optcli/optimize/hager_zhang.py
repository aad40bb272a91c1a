"""Hager and Zhang's line search: secants on slopes, which rounding spares, in an interval that must shrink."""

from __future__ import annotations

import math
from collections.abc import Generator

from optcli.optimize.line import Line, Proposals, Trial

GROWTH = 5.0  # ρ of B3, as in section 5 of the paper
MIDDLE = 0.5  # θ of U3
SHRINK = 2.0 / 3.0  # γ of L2: by how much secant² must shorten the interval at least

Interval = tuple[Trial, Trial]


def hager_zhang(line: Line, alpha: float) -> Proposals:
    """The line search of Hager & Zhang, SIAM J. Optim. 16 (2005) 170–192, section 4, and ACM TOMS 32 (2006) 113–137.

    The interval [a, b] keeps the opposite slopes of (4.4), φ(a) ≤ φ(0) + ε_k, φ'(a) < 0, φ'(b) ≥ 0, so that it holds a
    minimizer of φ. A trial that is not finite counts as one where φ is too high. Ends only when the interval cannot
    shrink any more.
    """
    yield from by_slopes(line, (yield alpha))


def by_slopes(line: Line, first: Trial) -> Proposals:
    """The same from a trial that is made already."""
    found = yield from _bracket(line, first)
    while found is not None:
        a, b = found
        found = yield from _secant2(line, a, b)
        if found is not None and found[1].alpha - found[0].alpha > SHRINK * (b.alpha - a.alpha):
            found = yield from _update(line, *found, 0.5 * (found[0].alpha + found[1].alpha))
        if found == (a, b):
            return


def _bracket(line: Line, c: Trial) -> Generator[float, Trial, Interval | None]:
    """B0–B3: from the trial c on, longer and longer, until the slope turns or the value rises."""
    a, wall = line.start, math.inf
    while True:
        if not c.finite and a is not line.start:  # a goes down towards a wall: closer to it, by halves
            wall = c.alpha
        elif not c.finite or (c.slope < 0.0 and c.f > line.ceiling):
            return (yield from _inside(line, line.start, c))
        elif c.slope >= 0.0:
            return a, c
        else:
            a = c
        alpha = min(GROWTH * a.alpha, 0.5 * (a.alpha + wall))
        if not a.alpha < alpha < wall:
            return None
        c = yield alpha


def _inside(line: Line, a: Trial, b: Trial) -> Generator[float, Trial, Interval | None]:
    """U3: φ falls at a and is too high at b, which lies downhill all the same; bisect until the slope turns."""
    while True:
        if b.finite and line.refutes(a, b):  # it is not too high
            return (yield from _bracket(line, b))
        alpha = (1.0 - MIDDLE) * a.alpha + MIDDLE * b.alpha
        if not a.alpha < alpha < b.alpha:
            return None
        c = yield alpha
        if c.finite and c.slope >= 0.0:
            return a, c
        if c.finite and c.f <= line.ceiling:
            a = c
        else:
            b = c


def _update(line: Line, a: Trial, b: Trial, alpha: float) -> Generator[float, Trial, Interval | None]:
    """U0–U3: the interval with the trial at α taken in; as it was where α lies outside."""
    if not a.alpha < alpha < b.alpha:
        return a, b
    c = yield alpha
    if c.finite and c.slope >= 0.0:
        return a, c
    if c.finite and c.f <= line.ceiling:
        return c, b
    return (yield from _inside(line, a, c))


def _secant2(line: Line, a: Trial, b: Trial) -> Generator[float, Trial, Interval | None]:
    """S1–S4: a secant step, and a second one from the end that it moved."""
    alpha = _secant(a, b)
    found = yield from _update(line, a, b, alpha)
    if found is None:
        return None
    A, B = found
    if alpha == B.alpha:
        return (yield from _update(line, A, B, _secant(b, B)))
    if alpha == A.alpha:
        return (yield from _update(line, A, B, _secant(a, A)))
    return A, B


def _secant(a: Trial, b: Trial) -> float:
    """Where the line through the two slopes is zero; NaN, which is outside of every interval, where they are equal."""
    rise = b.slope - a.slope
    return (a.alpha * b.slope - b.alpha * a.slope) / rise if rise else math.nan
