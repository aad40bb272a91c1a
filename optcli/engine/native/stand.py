"""Where a native run stands, when it must return, and the vectors that it may write to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Limits(NamedTuple):
    """When the loop must return: rules of optimize.stop in numbers that code can compare.

    The tolerance at a value f is max(tolerance, relative·min(|f|, scale)); none where `tolerance` is negative.
    """

    until: int  # updates made in all
    target: float = -math.inf
    tolerance: float = -1.0
    relative: float = 0.0
    scale: float = 0.0
    rest: bool = False  # return where an update changes nothing

    @property
    def cap(self) -> float:
        """The largest tolerance at any value."""
        return max(self.tolerance, self.relative * self.scale)

    def of(self, value: float) -> float:
        return max(self.tolerance, self.relative * min(abs(value), self.scale))


@dataclass(eq=False)
class Spot:
    """A point of a run: x and gradient of shape (n,)."""

    iteration: int
    x: Array
    value: float
    gradient: Array
    norm: float
    finite: bool


@dataclass(eq=False)
class Stand:
    """Where a run stands: the current spot, the lowest one, the method's state, and whether the last update moved."""

    spot: Spot
    best: Spot | None
    state: tuple[Array, ...]
    moved: bool = True


class Pool:
    """Vectors of one length: those lent out, and those that may be written over."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.lent: list[Array] = []
        self.spare: list[Array] = []

    def take(self) -> Array:
        vector = self.spare.pop() if self.spare else np.empty(self._size)
        self.lent.append(vector)
        return vector

    def adopt(self, vector: Array) -> None:
        """Lend out one that was made elsewhere, unless it is already."""
        if not any(vector is other for other in self.lent):
            self.lent.append(vector)

    def keep(self, *spots: Spot | None) -> None:
        """What none of `spots` needs is spare."""
        needed = [vector for spot in spots if spot is not None for vector in (spot.x, spot.gradient)]
        lent, self.lent = self.lent, []
        for vector in lent:
            (self.lent if any(vector is other for other in needed) else self.spare).append(vector)
