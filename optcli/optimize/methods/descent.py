"""Methods that search along a line: a direction from some memory, a step length, and what the step taught."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point, State, lower
from optcli.optimize.line import NOISE, Trial
from optcli.optimize.line_search import SEARCHES, search
from optcli.optimize.methods.method import Method, Words, parameter
from optcli.optimize.products import dot, norm
from optcli.optimize.rounding import EPS

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

PATIENCE = 10  # steps in a row that gain nothing, after which only rounding is left
DECAY = 0.7  # Δ of Hager & Zhang (2006): how much an earlier |f| counts
SHORTEST = 1e-3  # the first step goes this part of the reach of `first_length` at least
HUGE = 1e150  # an entry whose square is near overflow
CAUTION = 1e-6  # ε of Li & Fukushima, see Step.curvature


@dataclass(eq=False)
class Step:
    """A step taken: from a point along d, shape (n,), to the trial."""

    before: Point
    d: Array
    trial: Trial

    @cached_property
    def slope(self) -> float:
        """gᵀd before the step."""
        return dot(self.before.gradient, self.d)

    @cached_property
    def s(self) -> Array:
        """x₊ − x as computed, shape (n,)."""
        return self.trial.x - self.before.x

    @cached_property
    def y(self) -> Array:
        """g₊ − g."""
        return self.trial.g - self.before.gradient

    def write(self, s: Array, y: Array) -> None:
        """Let s and y be these arrays."""
        np.subtract(self.trial.x, self.before.x, out=s)
        np.subtract(self.trial.g, self.before.gradient, out=y)
        self.s, self.y = s, y

    @cached_property
    def yy(self) -> float:
        """yᵀy."""
        return dot(self.y, self.y)

    @cached_property
    def curvature(self) -> float:
        """yᵀs, or 0 where it is no ground for an update, which would not be positive definite or all rounding.

        The cautious rule of Li & Fukushima, SIAM J. Optim. 11 (2001) 1054–1064, asks for
        yᵀs/‖s‖² ≥ ε·‖g‖^a, which depends on the units of x and f. In its place stands yᵀs ≥ ε·|gᵀs|, free of units; a
        step with Wolfe's condition has (1 − c2)·|gᵀs| and more.
        """
        ys = dot(self.y, self.s)
        least = CAUTION * abs(self.trial.alpha * self.slope)
        size = math.sqrt(self.yy) if 1e-280 < self.yy < math.inf else norm(self.y)
        rounding = EPS * size * norm(self.s)
        return ys if ys >= least and ys > rounding else 0.0


@dataclass(frozen=True)
class Descent(Method):
    """A method given by its memory, the direction that follows from it, and what a step changes in it.

    The state is (numbers, *memory), numbers = [steps in a row that gained nothing, smallest gradient norm so far, the
    last yᵀs/yᵀy or 0, Q, C, lowest value so far]. Q and C make a mean of |f| over the last steps, Hager & Zhang, ACM
    TOMS 32 (2006):
    Q ← 1 + 0.7·Q, C ← C + (|f| − C)/Q.

    A step gains something if it lowers the value by more than its rounding, or the smallest gradient norm. Rounding
    has ended the run after PATIENCE steps in a row without gain, and where the search finds nothing even from an empty
    memory.
    """

    bounded: ClassVar[bool] = False
    c1: ClassVar[float] = 1e-4  # sufficient decrease, Nocedal & Wright section 3.1
    c2: ClassVar[float] = 0.9  # curvature, for quasi-Newton directions, Nocedal & Wright section 3.1

    line_search: str

    @abstractmethod
    def forget(self, point: Point) -> State:
        """The empty memory; the direction that belongs to it is −g."""

    @abstractmethod
    def blank(self, memory: State) -> bool:
        """Whether the memory is empty."""

    @abstractmethod
    def direction(self, memory: State, point: Point) -> tuple[Array, float]:
        """From a memory that is not empty: d, shape (n,), which need not descend, and the step length to try first."""

    @abstractmethod
    def learn(self, memory: State, step: Step) -> State:
        """The memory after a step."""

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start."""
        point = Point.at(problem, 0, problem.project(start))
        numbers = np.array([0.0, point.gradient_norm, 0.0, 1.0, abs(point.value), point.value])
        return Iterate.start(point, (numbers, *self.forget(point)))

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """The iterate after one more step, or the same one under the next number once rounding has ended the run."""
        point, (numbers, *rest) = iterate.point, iterate.state
        memory: State = tuple(rest)
        if numbers[0] >= PATIENCE:
            return iterate.unmoved()
        while True:
            d, alpha = _steepest(point, float(numbers[2])) if self.blank(memory) else self.direction(memory, point)
            found = search(self.line_search, problem, point, d, alpha, self.c1, self.c2, float(numbers[4]))
            if found.end not in ("rounding", "failed"):
                break
            if self.blank(memory):
                return iterate.unmoved()
            memory = self.forget(point)
        trial = found.trial
        after = Point.of(problem, point.iteration + 1, trial.x, trial.f, trial.g, trial.finite)
        if found.end == "unbounded":
            low = found.lowest
            deepest = Point.of(problem, point.iteration + 1, low.x, low.f, low.g)
            return Iterate(after, iterate.state, lower(iterate.best, deepest))
        step = Step(point, d, trial)
        step.slope = found.slope
        memory = self.learn(memory, step)
        return iterate.then(after, (_numbers(numbers, after, step), *memory))


def line_search(default: str) -> Any:
    """The field of that name."""
    return parameter(default, "how the step length is found", Words(tuple(SEARCHES)))


def first_length(point: Point) -> float:
    """A step length for d = −g where nothing is known of the curvature; 0 where g is.

    2·|f|/‖g‖², which is Nocedal & Wright's 2·Δf/|φ'(0)| (p. 59) for an f that falls to 0, as sums of squares do, but
    no farther than to 1 or the distance of x from the origin.
    """
    size = point.gradient_norm
    if not 0.0 < size < math.inf:
        return 0.0
    length = norm(point.gradient / size)  # nothing overflows
    reach = max(1.0, norm(point.x)) / length
    return min(max(2.0 * abs(point.value) / size / length**2, SHORTEST * reach), reach) / size


def _steepest(point: Point, scale: float) -> tuple[Array, float]:
    """d = −g, and the step length to try first; a multiple of −g where gᵀg would overflow."""
    alpha, size = scale or first_length(point), point.gradient_norm
    return (-point.gradient, alpha) if size < HUGE else (-point.gradient / size, alpha * size)


def _numbers(numbers: Array, after: Point, step: Step) -> Array:
    idle, smallest, scale, weight, size, lowest = numbers
    gains = after.value < lowest - NOISE * abs(lowest) or after.gradient_norm < smallest
    if step.curvature:
        scale = step.curvature / step.yy
    weight = 1.0 + DECAY * weight
    size += (abs(after.value) - size) / weight
    idle, smallest, lowest = 0.0 if gains else idle + 1.0, min(smallest, after.gradient_norm), min(lowest, after.value)
    return np.array([idle, smallest, scale, weight, size, lowest])
