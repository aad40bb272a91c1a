"""Many starts: points spread over a box, and around the best minima so far; what was found, and how often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optcli.optimize.iterate import Array, Mask
from optcli.optimize.sobol import Sobol

Integers: TypeAlias = NDArray[np.int64]

SPREAD = 10.0  # half the width, where a variable has no bounds: so many times max(1, |start|) on both sides
FAR = 1e100  # a bound out there is none that points could be spread to
ROUNDED = 1e-12  # of max(1, |x|): what is nearer in a box as narrow is one as well
ALIKE = 1e-5  # of the box: minima that are nearer to each other are one
EQUAL = 1e-8  # relative: and whose values differ by less
WIDTHS = (0.3, 0.1, 0.03, 0.01)  # standard deviations of a hop from a known minimum, as parts of the box
LEADERS = 4  # the minima from which to hop
ROUND = 8  # starts of a round; the first one is the start alone
# later rounds have so many times the starts made before: few, as hops live on what was just found; many where nothing
# was found to hop from
GROWTH, ALL_NEW = 0.03, 4.0
NO, YES, OPEN = 0, 1, -1  # whether an end is a minimum worth keeping


class Local(NamedTuple):
    """The end of one local run that was judged: x of shape (n,), and whether it is a minimum worth keeping."""

    x: Array
    value: float
    kept: bool
    outcome: Any = None  # what the caller wants back of the best one


class Ends(NamedTuple):
    """The ends of a round, x of shape (m, n), value and kept (NO, YES, OPEN) of shape (m,); outcomes as of Local."""

    x: Array
    value: Array
    kept: NDArray[np.int8]
    outcome: Callable[[int], Any] = lambda k: None


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
    """Finite ends of where to start: the bounds, and around `start` where there is none nearer than FAR."""
    reach = SPREAD * np.maximum(1.0, np.abs(start))
    low = np.full(start.shape, -np.inf) if lower is None else lower
    high = np.full(start.shape, np.inf) if upper is None else upper
    below, above = np.abs(low) <= FAR, np.abs(high) <= FAR
    low = np.where(below, low, np.minimum(start, np.where(above, high, start)) - reach)
    high = np.where(above, high, np.maximum(start, low) + reach)
    return low, high


def search(
    run: Callable[[Array], Ends],
    start: Array,
    count: int,
    ends: tuple[Array, Array],
    random: np.random.Generator,
    judge: Callable[[Sequence[Any]], Sequence[Local]],
) -> Found:
    """Local runs from `start` and count − 1 other points within `ends`, round by round.

    The points of a round, shape (m, n), depend on the seed and on the rounds before alone. `run` gives the ends of as
    many of them, from the first on, as there was room for; fewer than m are the last. What it leaves OPEN `judge`
    decides, from the outcomes of those that are not like an end before. Sobol points take turns with hops from the
    lowest minima: a normal displacement in all coordinates or in one, kept within the box (monotonic basin hopping:
    Leary, Global optimization on funneling landscapes, J. Global Optim. 18 (2000) 367–383; Locatelli, On the multilevel
    structure of global optimization problems, Comput. Optim. Appl. 30 (2005) 5–22).
    """
    low, high = ends
    width = high - low
    spread = Sobol(start.size, random)
    seen = _Seen(width)
    best: Local | None = None
    made = 0
    while made < count:
        minima = seen.minima()
        size = min(count - made, max(ROUND, int((GROWTH if minima else ALL_NEW) * made)) if made else 1)
        points = _points(made, size, spread, minima, low, width, random)
        points = np.clip(points, low, high) if made else start[None]
        found = run(points)
        taken = len(found.value)
        made += taken
        judged = seen.take(found, judge)
        best = _best(best, found, judged)
        if taken < size:
            break
    assert best is not None, "the first start gives an end"
    return Found(tuple(seen.minima()), made, best)


def _points(
    made: int, size: int, spread: Sobol, minima: list[Minimum], low: Array, width: Array, random: np.random.Generator
) -> Array:
    """The next points, shape (size, n): every other one a hop, once there are minima."""
    numbers = np.arange(made, made + size)
    hops = (numbers % 2 == 0) & bool(minima)
    points = np.empty((size, width.size))
    points[~hops] = low + width * spread.take(int(np.count_nonzero(~hops)))
    if hops.any():
        points[hops] = _hops(minima, numbers[hops] // 2, width, random)
    return points


def _hops(minima: list[Minimum], turns: Integers, width: Array, random: np.random.Generator) -> Array:
    leaders = np.array([each.x for each in minima[:LEADERS]])
    from_ = leaders[turns // len(WIDTHS) % len(leaders)]
    steps = np.array(WIDTHS)[turns % len(WIDTHS)][:, None] * width * random.normal(size=(len(turns), width.size))
    alone = turns // 2 % 2 == 1  # one coordinate: valleys of separable functions lie along the axes
    axes = random.integers(width.size, size=len(turns))
    steps[alone[:, None] & (np.arange(width.size) != axes[:, None])] = 0.0
    return np.asarray(from_ + steps)


class _Seen:
    """The ends that were judged, and how often each was found."""

    def __init__(self, width: Array) -> None:
        self._width = width
        self._found: list[Minimum] = []
        self._x, self._value = np.empty((ROUND, width.size)), np.empty(ROUND)  # of the same, with room for more

    def minima(self) -> list[Minimum]:
        """The lowest first."""
        return sorted((each for each in self._found if each.kept), key=lambda minimum: minimum.value)

    def take(self, found: Ends, judge: Callable[[Sequence[Any]], Sequence[Local]]) -> list[Local]:
        """Count what is known, and judge what is new: the first of those that are alike stands for them."""
        left = self._new(found, np.flatnonzero(found.kept != NO))
        firsts, times = [], []
        while left.size:
            first = int(left[0])
            same = self._alike(found.x[first], float(found.value[first]), found.x[left], found.value[left])
            same[0] = True
            firsts.append(first)
            times.append(int(np.count_nonzero(same)))
            left = left[~same]
        opened = [first for first in firsts if found.kept[first] == OPEN]
        decided = dict(zip(opened, judge([found.outcome(k) for k in opened]) if opened else (), strict=True))
        for first, count in zip(firsts, times, strict=True):
            end = decided.get(first) or Local(
                found.x[first], float(found.value[first]), bool(found.kept[first]), found.outcome(first)
            )
            self._add(end, count)
            decided[first] = end
        return list(decided.values())

    def _new(self, found: Ends, left: Integers) -> Integers:
        """Those that are like no end before; the others are counted."""
        known = len(self._found)
        if len(left) <= known:
            at = [self._known(found.x[k], float(found.value[k])) for k in left]
            for k in at:
                if k is not None:
                    self._found[k] = self._found[k]._replace(times=self._found[k].times + 1)
            return left[[k is None for k in at]]
        for k in range(known):
            same = self._alike(self._x[k], float(self._value[k]), found.x[left], found.value[left])
            self._found[k] = self._found[k]._replace(times=self._found[k].times + int(np.count_nonzero(same)))
            left = left[~same]
        return left

    def _known(self, x: Array, value: float) -> int | None:
        """The number of the first end that is like this one."""
        count = len(self._found)
        same = self._alike(x, value, self._x[:count], self._value[:count])
        return int(np.argmax(same)) if same.any() else None

    def _add(self, end: Local, times: int) -> None:
        """A judge may have gone on from there, to an end that is known."""
        if (k := self._known(end.x, end.value)) is not None:
            self._found[k] = self._found[k]._replace(times=self._found[k].times + times)
            return
        count = len(self._found)
        if count == len(self._value):
            self._x, self._value = np.concatenate([self._x] * 2), np.concatenate([self._value] * 2)
        self._x[count], self._value[count] = end.x, end.value
        self._found.append(Minimum(end.x, end.value, times, end.outcome, end.kept))

    def _alike(self, x: Array, value: float, others: Array, values: Array) -> Mask:
        """Which of the others are the same end, symmetric."""
        near = np.abs(values - value) <= EQUAL * np.maximum(1.0, np.maximum(np.abs(values), abs(value)))
        room = np.maximum(ALIKE * self._width, ROUNDED * np.maximum(1.0, np.abs(x)))
        near[near] = (np.abs(others[near] - x) <= room).all(axis=1)
        return np.asarray(near)


def _best(best: Local | None, found: Ends, judged: list[Local]) -> Local | None:
    """A finite value beats none; then the lower one; a minimum that is kept where values are alike."""
    ends = [best] if best is not None else []
    ends += judged
    others = np.flatnonzero(found.kept == NO)
    finite = others[np.isfinite(found.value[others])]
    if finite.size:
        k = int(finite[np.argmin(found.value[finite])])
    elif others.size and not ends:
        k = int(others[0])
    else:
        k = -1
    if k >= 0:
        ends.append(Local(found.x[k], float(found.value[k]), False, found.outcome(k)))
    finite_ends = [end for end in ends if np.isfinite(end.value)]
    if not finite_ends:
        return ends[0] if ends else None
    lowest = min(finite_ends, key=lambda end: end.value)
    room = EQUAL * max(1.0, abs(lowest.value))
    kept = [end for end in finite_ends if end.kept and end.value - lowest.value <= room]
    return min(kept, key=lambda end: end.value) if kept else lowest
