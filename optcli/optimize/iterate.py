"""Where a run stands: points that were evaluated, and the iterate that a method steps from.

Arrays are never changed in place: an iterate shares them with the point it came from, and copies nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
State: TypeAlias = tuple[
    Array, ...
]  # what else a method's next step depends on; arrays only, so that a file can hold it


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A point with its value and gradient, both shape (n,) for x and gradient, after `iteration` updates."""

    iteration: int
    x: Array
    value: float
    gradient: Array
    gradient_norm: float  # of the projected gradient, contract §3
    finite: bool  # x, value and gradient alike

    @classmethod
    def at(cls, problem: Problem, iteration: int, x: Array) -> Point:
        """Evaluate value and gradient at x: one evaluation each."""
        value, gradient = problem.value_and_gradient(x)
        return cls.of(problem, iteration, x, value, gradient)

    @classmethod
    def of(
        cls, problem: Problem, iteration: int, x: Array, value: float, gradient: Array, finite: bool | None = None
    ) -> Point:
        """The point where value and gradient are known already: no evaluation. `finite`: whether x is, if known."""
        norm = problem.gradient_norm(x, gradient)
        finite = math.isfinite(value) and math.isfinite(norm) and (all_finite(x) if finite is None else finite)
        if problem.bounded and finite:  # the projection hides an infinite entry of the gradient
            finite = all_finite(gradient)
        return cls(iteration, x, value, gradient, norm, finite)


@dataclass(frozen=True, slots=True, eq=False)
class Iterate:
    """A point, the method's state there, and the lowest finite point so far (None if there was none)."""

    point: Point
    state: State
    best: Point | None
    moved: bool = True  # False: the last update changed neither x nor the state, so no later one will
    failure: str | None = None  # why the method gave up here, in a sentence

    @classmethod
    def start(cls, point: Point, state: State) -> Iterate:
        return cls(point, state, point if point.finite else None)

    def then(self, point: Point, state: State) -> Iterate:
        """The iterate after this one."""
        # x is compared only where the value stayed the same: the comparison reads the whole vector.
        moved = not (
            point.value == self.point.value and np.array_equal(point.x, self.point.x) and _equal(state, self.state)
        )
        return Iterate(point, state, lower(self.best, point), moved)

    def unmoved(self) -> Iterate:
        """The same under the next number, of a method that rounding keeps from getting lower."""
        return self.then(replace(self.point, iteration=self.iteration + 1), self.state)

    @property
    def iteration(self) -> int:
        """Updates made so far; the row of contract §3 that shows this iterate has the number after it."""
        return self.point.iteration

    @property
    def x(self) -> Array:
        return self.point.x

    @property
    def value(self) -> float:
        return self.point.value

    @property
    def gradient(self) -> Array:
        return self.point.gradient

    @property
    def gradient_norm(self) -> float:
        return self.point.gradient_norm


def lower(best: Point | None, point: Point) -> Point | None:
    """Of the two the finite one with the lower value; the one with the smaller gradient where the values are equal."""
    if not point.finite:
        return best
    if best is None or point.value < best.value:
        return point
    return point if point.value == best.value and point.gradient_norm <= best.gradient_norm else best


def largest_entry(array: Array) -> float:
    """The largest |entry|, NaN if any is NaN. Two reductions rather than abs: no temporary."""
    return max(abs(float(np.maximum.reduce(array))), abs(float(np.minimum.reduce(array))))


def all_finite(array: Array) -> bool:
    """Whether no entry is NaN or infinite, in one pass and without a temporary where that is so.

    The sum may overflow: numpy warns of it unless told not to, as `solve` does.
    """
    total = float(np.add.reduce(array))  # a finite sum has finite terms only; an infinite one may have overflowed
    return math.isfinite(total) or bool(np.isfinite(array).all())


def _equal(a: State, b: State) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
