"""Many starts: points spread over a box, and around the best minima so far; what was found, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from optcli.optimize.iterate import Array
from optcli.optimize.sobol import points

SPREAD = 10.0  # half the width, where a variable has no bounds: so many times max(1, |start|) on both sides
ALIKE = 1e-5  # of the box: minima that are nearer to each other are one
EQUAL = 1e-8  # relative: and whose values differ by less
WIDTHS = (0.3, 0.1, 0.03, 0.01)  # standard deviations of a hop from a known minimum, as parts of the box
LEADERS = 4  # the minima from which to hop


class Local(NamedTuple):
    """The end of one local run: x of shape (n,), and whether it is a minimum worth keeping; None: not judged yet."""

    x: Array
    value: float
    kept: bool | None
    outcome: Any = None  # what the caller wants back of the best one


class Minimum(NamedTuple):
    """An end that was found, and how often; only those that are `kept` are minima."""

    x: Array
    value: float
    times: int
    outcome: Any
    kept: bool = True


class Found(NamedTuple):
    """The distinct minima, the lowest first, how many starts were made, and the best end of all, kept or not."""

    minima: tuple[Minimum, ...]
    starts: int
    best: Local


def box(start: Array, lower: Array | None, upper: Array | None) -> tuple[Array, Array]:
    """Finite ends of where to start: the bounds, and around `start` where there is none."""
    reach = SPREAD * np.maximum(1.0, np.abs(start))
    low = np.full(start.shape, -np.inf) if lower is None else lower
    high = np.full(start.shape, np.inf) if upper is None else upper
    low = np.where(np.isfinite(low), low, np.minimum(start, np.where(np.isfinite(high), high, start)) - reach)
    high = np.where(np.isfinite(high), high, np.maximum(start, low) + reach)
    return low, high


def search(
    local: Callable[[Array], Local | None],
    start: Array,
    count: int,
    ends: tuple[Array, Array],
    random: np.random.Generator,
    judge: Callable[[Local], Local] = lambda end: end,
) -> Found:
    """Local runs from `start` and count − 1 other points, shape (n,), within `ends`, until `local` returns None.

    What `local` left open `judge` decides for each end that is not like one before; the best may be open still.
    Sobol points take turns with hops from the lowest minima: a normal displacement in all coordinates or in one, kept
    within the box (monotonic basin hopping: Leary, Global optimization on funneling landscapes, J. Global Optim. 18
    (2000) 367–383; Locatelli, On the multilevel structure of global optimization problems,
    Comput. Optim. Appl. 30 (2005) 5–22).
    """
    low, high = ends
    width = high - low
    spread = points(start.size, random)
    seen: list[Minimum] = []
    minima: list[Minimum] = []
    best: Local | None = None
    made = 0
    for k in range(count):
        if k == 0:
            x = start
        elif k % 2 or not minima:
            x = low + width * next(spread)
        else:
            x = _hop(minima, k // 2, width, random)
        end = local(np.clip(x, low, high) if k else x)
        if end is None:
            break
        made += 1
        if not _counted(seen, end, width):
            if end.kept is None:
                end = judge(end)
            if not _counted(seen, end, width) and end.kept is not None:
                seen.append(Minimum(end.x, end.value, 1, end.outcome, end.kept))
            minima = _kept(seen)
        if best is None or _better(end, best):
            best = end
    assert best is not None, "the first start gives an end"
    return Found(tuple(_kept(seen)), made, best)


def _kept(seen: list[Minimum]) -> list[Minimum]:
    """The minima among what was found, the lowest first."""
    return sorted((each for each in seen if each.kept), key=lambda minimum: minimum.value)


def _hop(minima: list[Minimum], turn: int, width: Array, random: np.random.Generator) -> Array:
    leader = minima[turn // len(WIDTHS) % min(LEADERS, len(minima))]
    step = WIDTHS[turn % len(WIDTHS)] * width * random.normal(size=width.size)
    if turn // 2 % 2 and width.size > 1:  # one coordinate alone: valleys of separable functions lie along the axes
        alone = np.zeros(width.size)
        k = int(random.integers(width.size))
        alone[k] = step[k]
        step = alone
    return leader.x + step


def _better(end: Local, best: Local) -> bool:
    """A finite value beats none; then the lower one; a minimum that is kept where values are alike."""
    if not np.isfinite(end.value):
        return False
    if not np.isfinite(best.value):
        return True
    room = EQUAL * max(1.0, abs(best.value))
    if abs(end.value - best.value) <= room and bool(end.kept) != bool(best.kept):
        return bool(end.kept)
    return end.value < best.value


def _counted(seen: list[Minimum], end: Local, width: Array) -> bool:
    """Whether the end is like one before, which is then counted once more."""
    for k, known in enumerate(seen):
        room = EQUAL * max(1.0, abs(known.value))
        if abs(end.value - known.value) <= room and bool(np.all(np.abs(end.x - known.x) <= ALIKE * width)):
            seen[k] = known._replace(times=known.times + 1)
            return True
    return False
