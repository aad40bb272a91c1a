"""The problem a method sees: counted callables, bounds, and how to advance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from operator import add, sub
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optcli.optimize.iterate import Array, Iterate, largest_entry

if TYPE_CHECKING:
    from optcli.optimize.batch import Batch
    from optcli.optimize.methods.method import Method
    from optcli.optimize.stop import Check, Stop

FAR = 1e30  # beyond it a polynomial of degree 10 has overflowed: whoever is out there has diverged
PATIENCE = 0.1  # seconds after which `advance` returns, so that a watch can show progress


@dataclass
class Counts:
    """Evaluations made so far: the only thing here that changes."""

    value: int = 0
    gradient: int = 0
    hessian: int = 0
    product: int = 0  # of the Hessian with a vector

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, vars(self).values(), vars(other).values()))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*map(sub, vars(self).values(), vars(other).values()))


class Code(Protocol):
    """What evaluates a problem, where its parts may go over, for good, to a slower code that is finite more often.

    Both give the same numbers where they are finite, but for the sign of a zero: so it is a part of where a run stands.
    """

    def masked(self) -> tuple[str, ...]:
        """The parts that have gone over."""

    def mask(self, parts: Iterable[str]) -> None:
        """Let `parts` go over."""

    def unmask(self) -> None:
        """Let all parts begin anew with the quick code."""


class Late(Exception):  # noqa: N818  # no error: the step is given up
    """In the middle of a step the time is over, or a signal has come."""


class Problem:
    """Minimize value(x) over x, shape (size,), within lower <= x <= upper.

    `value_and_gradient` returns an array of its own at each call: points keep it. Neither callable raises or warns
    where something is not finite; NaN or Inf comes back. `overflow(x)` tells, for a finite x where value or gradient is
    not finite, whether that came from numbers too large (True) or from a domain, as in log(-1) or 1/0 (False).
    `product(x, v)` is the Hessian at x times v, shape (size,); only methods and judges that need curvature call it.
    `brief()` makes another one, to rounding the same, for somebody who may need few: see `aside`.
    """

    def __init__(
        self,
        size: int,
        value: Callable[[Array], float],
        value_and_gradient: Callable[[Array], tuple[float, Array]],
        *,
        lower: Array | None = None,
        upper: Array | None = None,
        overflow: Callable[[Array], bool] | None = None,
        product: Callable[[Array, Array], Array] | None = None,
        brief: Callable[[], Callable[[Array, Array], Array]] | None = None,
        code: Code | None = None,
    ) -> None:
        self.size = size
        self.lower = lower
        self.upper = upper
        self.counts = Counts()
        self._value = value
        self._value_and_gradient = value_and_gradient
        self._overflow = overflow
        self._product = product
        self._brief = brief
        self._last_hessian: tuple[Array, Array] | None = None  # where, and what: judges ask again at the same point
        self._code = code
        self._over: Callable[[], bool] | None = None  # within `advance`: whether the run is to end

    @property
    def bounded(self) -> bool:
        return self.lower is not None or self.upper is not None

    def value(self, x: Array) -> float:
        """One evaluation of the value."""
        self._ask()
        self.counts.value += 1
        return float(self._value(x))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """One evaluation of the value and one of the gradient, shape (size,)."""
        self._ask()
        self.counts.value += 1
        self.counts.gradient += 1
        value, gradient = self._value_and_gradient(x)
        return float(value), gradient

    @property
    def curved(self) -> bool:
        """Whether there are second derivatives."""
        return self._product is not None

    def hvp(self, x: Array, v: Array) -> Array:
        """One product of the Hessian at x with v, shape (size,)."""
        assert self._product is not None
        self._ask()
        self.counts.product += 1
        return self._product(x, v)

    def product_at(self, x: Array, free: Array) -> Callable[[Array], Array]:
        """What multiplies a vector, shape (m,), with the Hessian at x of the m variables `free`, numbers of entries."""

        def product(v: Array) -> Array:
            whole = np.zeros(self.size)
            whole[free] = v
            part: Array = self.hvp(x, whole)[free]
            return part

        return (lambda v: self.hvp(x, v)) if len(free) == self.size else product

    def aside(self) -> Problem:
        """The same with counts of its own, for questions that are no work of the run, and a product made for few."""
        twin = copy(self)
        twin.counts = Counts()
        if self._brief is not None:
            twin._product = self._brief()
        return twin

    def hessian(self, x: Array) -> Array:
        """The Hessian at x, shape (size, size), symmetric and read-only: one evaluation, by a product for each column.

        Asked again at the same point it is the same array, and no evaluation.
        """
        assert self._product is not None
        if self._last_hessian is not None and np.array_equal(self._last_hessian[0], x):
            return self._last_hessian[1]
        columns = []
        for unit in np.eye(self.size):
            self._ask()
            columns.append(self._product(x, unit))
        self.counts.hessian += 1
        H = np.array(columns).reshape(self.size, self.size)
        symmetric: Array = 0.5 * (H + H.T)
        symmetric.flags.writeable = False
        self._last_hessian = x.copy(), symmetric
        return symmetric

    def _ask(self) -> None:
        """A step may take thousands of products."""
        if self._over is not None and self._over():
            raise Late

    def box(self) -> tuple[Array, Array]:
        """The bounds as arrays, shape (size,) each, infinite where there are none."""
        lower = np.full(self.size, -np.inf) if self.lower is None else self.lower
        upper = np.full(self.size, np.inf) if self.upper is None else self.upper
        return lower, upper

    def project(self, x: Array) -> Array:
        """P(x): the point within the bounds that is nearest to x."""
        if self.lower is not None:
            x = np.maximum(x, self.lower)
        if self.upper is not None:
            x = np.minimum(x, self.upper)
        return x

    def displaced(self, x: Array, s: Array) -> Array:
        """x + s, where entries that reach or pass a bound are exactly there, whatever the sum is rounded to."""
        if not self.bounded:
            return x + s
        lower, upper = self.box()
        return np.where(s <= lower - x, lower, np.where(s >= upper - x, upper, x + s))

    def gradient_norm(self, x: Array, g: Array) -> float:
        """The largest |entry| of x − P(x − g), which is g where there are no bounds; NaN if any entry is NaN."""
        if self.bounded:
            g = self.projected_gradient(x, g)
        return largest_entry(g)

    def projected_gradient(self, x: Array, g: Array) -> Array:
        """x − P(x − g), shape (n,), as P(g) on [x − upper, x − lower]: no x is so large that it swallows g."""
        if self.upper is not None:
            g = np.maximum(g, x - self.upper)
        if self.lower is not None:
            g = np.minimum(g, x - self.lower)
        return g

    def gaps(self, x: Array, g: Array) -> Array:
        """How far x is from the bounds that −g leads beyond, shape (n,), 0 for entries that it leads to none."""
        lower, upper = self.box()
        gaps: Array = np.where(x - g < lower, x - lower, np.where(x - g > upper, upper - x, 0.0))
        return gaps

    def overflow(self, x: Array) -> bool:
        """Whether what is not finite at the finite x came from overflow; where no test was given: |x| > FAR."""
        if self._overflow is not None:
            return self._overflow(x)
        return bool(np.any(np.abs(x) > FAR))

    def masked(self) -> tuple[str, ...]:
        """See Code; () where there is none."""
        return () if self._code is None else self._code.masked()

    def mask(self, parts: Iterable[str]) -> None:
        """See Code."""
        if self._code is not None:
            self._code.mask(parts)

    def batch(self, method: Method, starts: Array, stop: Stop, halted: Callable[[int], bool]) -> Batch | None:
        """Whole runs from the rows of `starts`, shape (m, size), that count no evaluation; None: not of this problem.

        Each ends as `solve` would end it, but for signals and time, and has its digits; `max_evals` is of each alone.
        Where halted(updates made by all) those that no rule has ended are left where they stand.
        """
        return None

    @property
    def batches(self) -> bool:
        """Whether `batch` gives ends for the method that the problem was made for."""
        return False

    def forget(self) -> None:
        """Leave behind what earlier runs left: the next one has the digits and the counts of a first one."""
        self._last_hessian = None
        self.unmask()

    def unmask(self) -> None:
        """See Code."""
        if self._code is not None:
            self._code.unmask()

    def advance(self, method: Method, iterate: Iterate, stop: Check, up_to: int | None) -> Iterate:
        """Step until `up_to` updates are made in all (None: no such limit) or `stop(iterate)` is not None.

        At least one step is tried; after PATIENCE seconds the iterate reached is returned early. A step that time or a
        signal breaks off was never made, and its evaluations do not count: a run that goes on from here makes it anew.
        This is the plain version: a subclass may run many steps at once, to the same digits.
        """
        deadline = stop.clock() + PATIENCE
        while True:
            before = dict(vars(self.counts))
            self._over = stop.over
            try:
                iterate = method.step(self, iterate)
            except Late:
                vars(self.counts).update(before)
                return iterate
            finally:
                self._over = None
            if iterate.iteration == up_to or stop(iterate) is not None or stop.clock() >= deadline:
                return iterate
