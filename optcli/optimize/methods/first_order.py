"""Methods that see one gradient an update: a pure formula, wrapped into init and step once for all of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optcli.optimize.iterate import Array, Iterate, Point, State
from optcli.optimize.methods.method import Method

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem


@dataclass(frozen=True)
class FirstOrder(Method):
    """A method given by `update`; one evaluation of value and gradient an update, and one at the start.

    With bounds each new point is projected, x₊ = P(x + d): the gradient projection method, Bertsekas, On the
    Goldstein–Levitin–Polyak gradient projection method, IEEE Trans. Automatic Control 21 (1976) 174–184;
    Nocedal & Wright, Numerical Optimization, 2nd ed., section 16.7.
    """

    exact: ClassVar[bool] = True  # whether `update` is made of + − × ÷ and roots: its digits are the same everywhere

    def init_state(self, x: Array) -> State:
        """The state before the first update from x: arrays of x's shape."""
        return ()

    @abstractmethod
    def update(self, state: State, x: Array, g: Array, i: int) -> tuple[State, Array]:
        """The i-th update, i from 1: the state after it, and the displacement s with x₊ = x + s.

        Ordinary operators and np.sqrt only, nothing in place, no branch on a value: it is also run on graph nodes.
        """

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start."""
        x = problem.project(start)
        return Iterate.start(Point.at(problem, 0, x), self.init_state(x))

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """The iterate after one more update."""
        i = iterate.iteration + 1
        state, s = self.update(iterate.state, iterate.x, iterate.gradient, i)
        return iterate.then(Point.at(problem, i, problem.project(iterate.x + s)), state)
