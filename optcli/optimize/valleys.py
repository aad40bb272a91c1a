"""Valleys whose floor is level as far as doubles tell: whether it leads down round a bend, or is level in truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.curvature import noise
from optcli.optimize.iterate import Array, largest_entry
from optcli.optimize.probing import NOISE, RADII, value_at
from optcli.optimize.rounding import EPS
from optcli.optimize.sentences import unit

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem
    from optcli.optimize.seen import Seen

FAR = (*(k / 20.0 for k in range(3, 41)), *(2.0**k for k in range(2, 11)))  # of max(1, |x|), where flat lines are left
DROP = 1e-8  # of max(1, |f|): what must be gained there, as in the default tolerance
CORRECTED = 4  # Newton steps back to the floor
AHEAD = (1e-2, 1e-1)  # how far along it is looked, times max(1, |x|)
MOST = 4  # flat directions that are followed


def flat_for_doubles(
    problem: Problem, x: Array, f: float, special: Sequence[Array], slack: float, smooth: bool
) -> bool:
    """Whether the value is level near x along an axis or a `special` way, yet changes further on as in no valley.

    An analytic function that is constant on a stretch of a line is constant on the whole line (the identity theorem).
    So where it is lower further on, as −exp(−x²) beyond 27, what is flat is only the doubles, and nothing is known of
    the function. Where it is `smooth`, a rise on one side alone says the same: exp(−x) at 800.
    """
    scale = np.maximum(1.0, np.abs(x))
    least, room = (slack + share * max(1.0, abs(f)) for share in (EPS, DROP))
    for u in (*np.eye(problem.size), *special):
        way = scale * u / largest_entry(u)
        ends = (x + sign * radius * way for radius in RADII[::-1] for sign in (1.0, -1.0))
        if any(abs(value_at(problem, end) - f) > least for end in ends):
            continue
        sides = [[value_at(problem, x + sign * t * way) for t in FAR] for sign in (1.0, -1.0)]
        rises = [max(side) > f + room for side in sides]
        if min(map(min, sides)) < f - room or (smooth and rises[0] != rises[1]):
            return True
    return False


def down_the_floor(
    problem: Problem, x: Array, free: Array, seen: Seen, flat: Sequence[Array], slack: float
) -> Array | None:
    """The way to a point lower than slack along a floor that bends, where no straight way falls; None: there is none.

    From points along the `flat` directions, shape (n,) each, Newton steps in all others of the spectrum `seen` on the
    `free` variables lead back to the floor.
    """

    def settled(y: Array) -> tuple[float, Array]:
        for _ in range(CORRECTED):
            step = np.zeros_like(y)
            step[free] = seen.newton(problem.value_and_gradient(y)[1][free])
            y = problem.project(y + step)
        return value_at(problem, y), y

    floor, bottom = settled(x)
    scale = np.maximum(1.0, np.abs(x))
    slack += max(8.0 * noise(problem, bottom, floor, problem.value_and_gradient(bottom)[1]).value, NOISE * abs(floor))
    for v in flat[:MOST]:
        for reach in AHEAD:
            for sign in (1.0, -1.0):
                value, y = settled(problem.project(x + sign * reach / largest_entry(v / scale) * v))
                if value < floor - slack:
                    return unit(y - x)
    return None
