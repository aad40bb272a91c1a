"""What is true of a function, written down by hand or computed in 100 digits, and whether a result claims more.

Nothing of the product's own judging is used here: kinds and codes are read as contract §4 defines them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from precise import DIGITS, Exact, WrongError, eigenvalues, finite

Where = Callable[[Any], float]  # how far x, shape (n,), is from a set of points, in units of max(1, |entry|)

NEAR = 1e-2  # how far a point that is called a minimum, a maximum or a saddle may be from one
FLAT = 0.15  # … and one of x**4 or a kink that probing looks around
EXACT = 1e-15  # from here on a denial is a lie too
GOOD = ("minimum", "stationary")


def nowhere(x: Any) -> float:
    return math.inf


def everywhere(x: Any) -> float:
    return 0.0


def at(*points: Any) -> Where:
    """The distance to the nearest of some points: numbers, or tuples of them."""
    fixed = [np.atleast_1d(np.asarray(point, dtype=np.float64)) for point in points]
    return lambda x: min(float(np.max(np.abs(x - p) / np.maximum(1.0, np.abs(p)))) for p in fixed)


def when(condition: Callable[[Any], bool]) -> Where:
    """A region: 0 within, infinitely far outside."""
    return lambda x: 0.0 if condition(x) else math.inf


class Truth(NamedTuple):
    """Where a function of x has what: the sets that a verdict's word may be true of.

    `minima` have nothing lower around them, strict or not. `turns` have gradient zero, and are no extremum and no
    saddle by curvature, as x**3 at 0. Where it is `faint`, doubles show neither slope nor curvature along some line:
    that may be said, but nothing claimed. From a point that is `endless` the value falls without end.
    """

    minima: Where = nowhere
    saddles: Where = nowhere
    maxima: Where = nowhere
    turns: Where = nowhere
    faint: Where = nowhere
    kinks: Where = nowhere
    endless: Where = nowhere
    undefined: Where = nowhere

    def stationary(self, x: Any) -> float:
        return min(where(x) for where in (self.minima, self.saddles, self.maxima, self.turns))


def code(status: str, kind: str, local: bool | None, mirrored: bool = False) -> int:
    """The exit code of contract §4, line by line."""
    if status == "interrupted":
        return 130
    if "nonfinite" in (status, kind):
        return 14
    if status == "unbounded" or (kind == "unbounded" and status != "completed"):
        return 13
    good = kind in (("maximum" if mirrored else "minimum"), "stationary")
    if status == "converged":
        return 0 if good or (kind in ("kink", "degenerate") and local is True) else 10
    return {"diverged": 17, "limit": 11, "stalled": 12, "failed": 12, "completed": 0}[status]


def false_claims(outcome: Any, truth: Truth) -> list[str]:
    """What the outcome of a minimization says of its point that is not so; empty where all is true."""
    x, verdict = outcome.minimizer, outcome.verdict
    kind, local = verdict.kind, verdict.local_minimum
    allowed: dict[str, tuple[Where, float]] = {
        "minimum": (truth.minima, NEAR if verdict.digits is None else max(1e-15, 10.0 ** -verdict.digits["x"])),
        "saddle": (truth.saddles, NEAR),
        "maximum": (truth.maxima, NEAR),
        "stationary": (truth.stationary, NEAR),
        "degenerate": (lambda x: min(truth.stationary(x), truth.faint(x)), FLAT),
        "kink": (truth.kinks, 1e-3),
        "unbounded": (truth.endless, 0.0),
        "nonfinite": (truth.undefined, 0.0),
        "not_stationary": (everywhere, 0.0),
    }
    where, far = allowed[kind]
    false = []
    if not where(x) <= far:
        false.append(f"{kind} at {x}")
    if local is True and not truth.minima(x) <= FLAT:
        false.append(f"{kind} with nothing lower around at {x}")
    if local is False and truth.minima(x) <= EXACT:
        false.append(f"{kind} with something lower beside the minimum {x}")
    if kind == "not_stationary" and truth.stationary(x) <= EXACT:
        false.append(f"not stationary at {x}")
    if outcome.status == "unbounded" and not truth.endless(x) <= 0.0:
        false.append(f"status unbounded at {x}")
    wanted = code(outcome.status, kind, local)
    if outcome.exit_code != wanted:
        false.append(f"exit code {outcome.exit_code}, not {wanted}")
    if outcome.status == "converged" and outcome.exit_code == 0 and not truth.minima(x) <= FLAT:
        false.append(f"success at {x}")
    return false


# ---- any function that mpmath can compute: the oracle is curvature and Newton's method in 100 digits

BY_FAR = 1e-10  # of the largest eigenvalue: from here on one counts, as rounding of the derivatives is far below
ULPS = 4.0 * 2.0**-52  # of |x|: a point within is the minimizer, to rounding
ZERO = 1e-30  # what Newton's method leaves of a zero
SPHERES = (1e-4, 1e-3, 1e-2)  # where a claim that nothing lower is around is tried, in units of max(1, |x|)
TRIED = 60  # points of each sphere
REST = 1e-3  # of a sphere's radius: how much lower its kink may lie than a point beside it
SLOPE, LEAST = 10.0, 1e-13  # times the gradient at a point without kinks, and of |f|: what is lower by no more
SHOWN = 30.0  # times the error that is claimed: rounding that is the same at all neighbours does not show there
BOTTOM = -1e100
AWAY = (1e1, 1e3, 1e6, 1e9)  # where a ray must have fallen, in units of max(1, |x|)


def wrong(outcome: Any, exact: Exact) -> str:
    """What is wrong with the verdict of a finished minimization of `exact`; empty where nothing is."""
    with mpmath.workdps(DIGITS):
        found = _wrong(outcome, exact)
    verdict = outcome.verdict
    wanted = code(outcome.status, verdict.kind, verdict.local_minimum)
    return found or ("" if outcome.exit_code == wanted else f"exit code {outcome.exit_code}, not {wanted}")


def _wrong(outcome: Any, exact: Exact) -> str:
    x, kind, verdict = list(map(float, outcome.minimizer)), outcome.verdict.kind, outcome.verdict
    try:
        here = exact(x)
        g, H = exact.gradient(x), exact.hessian(x)
        values = eigenvalues(H)
        sound = finite(here) and all(map(finite, g))
    except WrongError:
        return (
            "" if kind in ("nonfinite", "kink", "degenerate", "not_stationary") else f"{kind} where nothing is defined"
        )
    if kind == "nonfinite":
        return "nonfinite where value and gradient are finite" if sound else ""
    if kind == "unbounded":
        return _not_falling(outcome, exact, here)
    size = max(map(abs, values))
    if kind == "maximum" and not values[-1] < BY_FAR * size:
        return "maximum with positive curvature"
    if kind == "saddle" and not values[0] < 0:
        return "saddle without negative curvature"
    if kind in ("minimum", "maximum", "saddle", "not_stationary"):
        y = exact.newton(x)
        ends = None if y is None else eigenvalues(exact.hessian(y))
        off = math.inf if y is None else max(float(abs(a - b) / max(1, abs(b))) for a, b in zip(x, y, strict=True))
        bottom = ends is not None and ends[0] > 0
        if kind == "not_stationary":
            same = bottom and all(abs(a - b) <= ULPS * abs(b) + ZERO for a, b in zip(x, y, strict=True))
            return "not stationary at a minimizer to rounding" if same else ""
        if y is None or off > NEAR:
            return f"{kind}, but Newton's method leads {off:.1g} away"
        if kind == "minimum":
            right = 10.0 ** -verdict.digits["x"] if verdict.digits else NEAR
            if values[0] < -BY_FAR * size or not bottom:
                return "minimum with negative curvature"
            return "" if off <= SHOWN * right else f"minimum good to {right:.0e}, but {off:.1g} off"
        return ""
    if kind in ("kink", "degenerate", "stationary") and verdict.local_minimum is True:
        slope = SLOPE * max(map(abs, g)) * len(x) if kind != "kink" else REST
        return _lower(x, exact, here, slope)
    return ""


def _not_falling(outcome: Any, exact: Exact, here: Any) -> str:
    if outcome.value < BOTTOM:  # a minimum that low no doubles could tell
        return ""
    x, d = outcome.minimizer, outcome.verdict.direction
    reach = max(1.0, float(np.max(np.abs(x)))) / float(np.max(np.abs(d)))
    before = here
    for t in AWAY:
        try:
            value = exact([mpmath.mpf(a) + t * reach * mpmath.mpf(b) for a, b in zip(x, d, strict=True)])
        except WrongError:
            return "" if before < BOTTOM else f"unbounded, but nothing is defined {t:g} further on"
        if not value < before:
            return f"unbounded, but no lower {t:g} further on"
        before = value
    return ""


def _lower(x: Any, exact: Exact, here: Any, slope: Any) -> str:
    random = np.random.default_rng(0)
    for radius in SPHERES:
        for _ in range(TRIED):
            u = random.standard_normal(len(x)) * random.choice([0.01, 1.0], len(x))
            p = np.asarray(x) + radius * np.maximum(1.0, np.abs(x)) * u / np.max(np.abs(u))
            try:
                value = exact(p)
            except WrongError:
                continue
            if value < here - slope * radius * max(1.0, *map(abs, x)) - LEAST * max(1, abs(here)):
                return f"nothing lower around, but {float(here - value):.1g} lower at {radius:g}"
    return ""
