"""How many digits of a point and of its value can be trusted."""

from __future__ import annotations

import math

import numpy as np

from optcli.optimize.curvature import EPS
from optcli.optimize.iterate import Array, Point

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
