"""Methods that see one gradient an update: a pure formula, wrapped into init and step once for all of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point, State, largest_entry
from optcli.optimize.methods.method import NOT_NEGATIVE, POSITIVE, Maybe, Method, Range, Whole, Words, parameter
from optcli.optimize.products import norm
from optcli.optimize.schedules import SCHEDULES, exact, rate, settled, watched

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem


def shared(default: Any, help: str, range: Range | Whole | Words | Maybe) -> Any:
    """A field that all first-order methods have."""
    return field(default=default, kw_only=True, metadata={"help": help, "range": range, "shared": True})


@dataclass(frozen=True)
class FirstOrder(Method):
    """A method given by `rule`; one evaluation of value and gradient an update, and one at the start.

    What all of them share is done around the rule, in this order: the gradient is clipped, by norm and then entry by
    entry; weight_decay·x is added; the learning rate of this update comes from the schedule (optimize/schedules.py).
    Value, gradient and verdict of a run are those of the function itself, whatever was done to its gradient here.

    With bounds each new point is projected, x₊ = P(x + d): the gradient projection method, Bertsekas, On the
    Goldstein–Levitin–Polyak gradient projection method, IEEE Trans. Automatic Control 21 (1976) 174;
    Nocedal & Wright, Numerical Optimization, 2nd ed., chapter 16.
    """

    calls: ClassVar[bool] = False  # whether `rule` calls the C library: powers, …
    decoupled: ClassVar[bool] = False  # whether `rule` itself does the weight decay

    lr: float = parameter(0.01, "learning rate", POSITIVE)
    schedule: str = shared("constant", "how the learning rate changes", Words(tuple(SCHEDULES)))
    warmup: int = shared(0, "updates in which the learning rate first rises to its value", Whole(0))
    period: int = shared(1000, "updates from one step or restart to the next, or to the end of the schedule", Whole())
    decay: float = shared(0.1, "factor of the learning rate (step, exponential, plateau)", Range(0.0, 1.0))
    power: float = shared(1.0, "exponent (polynomial, inverse)", POSITIVE)
    final: float = shared(0.0, "learning rate at the end, or that it never goes below", NOT_NEGATIVE)
    growth: int = shared(1, "each cycle is so many times longer than the one before (cosine)", Whole())
    patience: int = shared(10, "updates without a lower value before the learning rate is cut (plateau)", Whole(0))
    clip_value: float | None = shared(None, "no entry of the gradient is larger than this", Maybe(POSITIVE))
    clip_norm: float | None = shared(None, "the Euclidean norm of the gradient is at most this", Maybe(POSITIVE))
    weight_decay: float = shared(0.0, "so many times x is added to the gradient", NOT_NEGATIVE)

    @property
    def elementwise(self) -> bool:
        """Whether `update` is all of it: no entry depends on another one, or on the value."""
        return self.clip_norm is None and self.schedule != "plateau"

    @property
    def exact(self) -> bool:
        """Whether an update's digits are the same everywhere: + − × ÷, roots and signs, or all of it done by numpy."""
        return not self.elementwise or not (self.calls or not exact(self.schedule, self))

    @property
    def settled(self) -> float:
        """The number of updates after which one that changes nothing is followed by none that does."""
        return settled(self.schedule, self.lr, self, self.warmup)

    def init_state(self, x: Array) -> State:
        """The state before the first update from x: arrays of x's shape."""
        return ()

    @abstractmethod
    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        """The i-th update, i from 1: the state after it, and the displacement s with x₊ = x + s.

        Ordinary operators and numpy's functions only, nothing in place, no branch on a value: it is also run on graph
        nodes, i and lr among them.
        """

    def update(self, state: State, x: Array, g: Array, i: int, factor: float = 1.0) -> tuple[State, Array]:
        """`rule` with all that is done entry by entry around it; `factor` is one more of the learning rate."""
        if self.clip_value is not None:
            g = np.minimum(np.maximum(g, -self.clip_value), self.clip_value)
        if self.weight_decay and not self.decoupled:
            g = g + self.weight_decay * x
        lr = self.lr
        if self.schedule != "constant" or self.warmup:
            lr = rate(self.schedule, lr, i, self, self.warmup)
        if self.schedule == "plateau":
            lr = np.maximum(lr * factor, self.final)
        return self.rule(state, x, g, i, lr)

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start."""
        x = problem.project(start)
        state = self.init_state(x)
        if self.schedule == "plateau":
            state = (*state, np.array([np.inf, 0.0, 1.0]))
        return Iterate.start(Point.at(problem, 0, x), state)

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """The iterate after one more update."""
        before, after, seen, s = self.proposed(iterate)
        point = Point.at(problem, iterate.iteration + 1, problem.project(iterate.x + s))
        return self.arrived(iterate, point, before, after, seen)

    def proposed(self, iterate: Iterate) -> tuple[State, State, State, Array]:
        """The state of the rule before and after the next update, what else is kept after it, and its displacement."""
        own, g, factor = iterate.state, iterate.gradient, 1.0
        seen: State = ()
        if self.clip_norm is not None:
            g = shortened(g, self.clip_norm)
        if self.schedule == "plateau":
            *rest, last = own
            own, seen = tuple(rest), (watched(iterate.value, last, self.decay, self.patience),)
            factor = float(seen[0][2])
        after, s = self.update(own, iterate.x, g, iterate.iteration + 1, factor)
        return own, after, seen, s

    def arrived(self, iterate: Iterate, point: Point, before: State, after: State, seen: State) -> Iterate:
        """The iterate at `point`. That a plateau counts is no movement; a step too small is, while steps may grow."""
        if seen:
            iterate = replace(iterate, state=before)
        found = iterate.then(point, after)
        if seen:
            found = replace(found, state=(*after, *seen))
        return found if found.moved or point.iteration > self.settled else replace(found, moved=True)


def shortened(g: Array, most: float) -> Array:
    """g, or where its Euclidean norm is more than `most` the vector of that norm along it.

    R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks, ICML 2013, Algorithm 1.
    torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm.
    """
    largest = largest_entry(g)
    if not 0.0 < largest < np.inf:
        return g
    scaled = g / largest  # whose norm neither overflows nor underflows
    length = norm(scaled)
    return g if length * largest <= most else scaled * (most / length)
