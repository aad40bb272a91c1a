"""What is true of a function, written down by hand, and whether a result claims more than that.

Nothing of the product's own judging is used here: kinds and codes are read as contract §4 defines them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
