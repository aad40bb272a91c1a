"""Variables of very different size are measured in units of their own; everything outside stays in the user's units.

Units are powers of two, so that going there and back changes no digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Problem

LEAST_RATIO = 1e3  # of the largest unit to the smallest, from which on units are used
MOST_CURVED = 200  # variables up to which a Hessian at the start costs little
MOST_RATIO = 1e12  # what is further apart is cut: a curvature that is nearly zero tells no size


def units(problem: Problem, start: Array, curved: bool = True, arrays: Iterable[slice] = ()) -> Array:
    """What each variable is measured in, shape (n,), powers of two; all 1 where they are alike.

    From the curvature along each axis at the start, 1/√|h_ii|, the length on which a gradient changes by one unit
    (Dennis & Schnabel, Numerical Methods for Unconstrained Optimization, 1983, chapter 7, with second derivatives for
    typical sizes); where it is zero or not finite, or no Hessian is wanted (`curved`), from the width of the bounds, or
    from the start. Entries of the start that belong to one of the `arrays` are of one kind: 1 − i/n is 0 at the end,
    and no smaller thing there.
    """
    n = start.size
    sizes = np.abs(start)
    for part in arrays:
        sizes[part] = sizes[part].max(initial=0.0)
    sizes[sizes == 0.0] = 1.0
    if problem.lower is not None and problem.upper is not None:
        width = problem.upper - problem.lower
        sizes = np.where(np.isfinite(width) & (width > 0.0), width, sizes)
    if curved and problem.curved and n <= MOST_CURVED:
        diagonal = np.abs(np.diagonal(problem.hessian(start)))
        known = np.isfinite(diagonal) & (diagonal > 0.0)
        if known.all():  # sizes of two kinds do not compare
            sizes = 1.0 / np.sqrt(diagonal)
    largest = float(sizes.max(initial=0.0))
    if not 0.0 < largest < np.inf or largest < LEAST_RATIO * float(sizes.min()):
        return np.ones(n)
    sizes = np.maximum(sizes, largest / MOST_RATIO)
    middle = float(np.exp(np.mean(np.log(sizes))))
    powers: Array = np.exp2(np.round(np.log2(sizes / middle)))
    return powers


class ScaledProblem(Problem):
    """The problem in z = x/units, with the same counts."""

    def __init__(self, problem: Problem, c: Array) -> None:
        def both(z: Array) -> tuple[float, Array]:
            value, gradient = problem.value_and_gradient(c * z)
            return value, c * gradient

        super().__init__(
            problem.size,
            lambda z: problem.value(c * z),
            both,
            lower=None if problem.lower is None else problem.lower / c,
            upper=None if problem.upper is None else problem.upper / c,
            overflow=lambda z: problem.overflow(c * z),
            product=(lambda z, v: c * problem.hvp(c * z, c * v)) if problem.curved else None,
            code=problem,
        )
        self._whole = problem
        self._c = c

    # the problem beneath counts

    def value(self, x: Array) -> float:
        return float(self._value(x))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        return self._value_and_gradient(x)

    def hvp(self, x: Array, v: Array) -> Array:
        assert self._product is not None
        return self._product(x, v)

    def hessian(self, x: Array) -> Array:
        H: Array = self._c[:, None] * self._whole.hessian(self._c * x) * self._c
        return H


@dataclass(frozen=True, eq=False)
class Scaled(Method):
    """A method at work in units; its iterates are in the user's.

    `c` are the units, shape (n,).
    """

    inner: Method
    c: Array

    def __post_init__(self) -> None:
        for name in ("name", "summary", "reference", "bounded", "curved", "gradients"):
            object.__setattr__(self, name, getattr(self.inner, name))

    def settings(self) -> dict[str, object]:
        return self.inner.settings()

    def init(self, problem: Problem, start: Array) -> Iterate:
        return self._out(problem, self.inner.init(ScaledProblem(problem, self.c), start / self.c), None)

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        point = self._in(iterate.point)
        best = point if iterate.best is iterate.point else None if iterate.best is None else self._in(iterate.best)
        inside = Iterate(point, iterate.state, best, iterate.moved)
        after = self.inner.step(ScaledProblem(problem, self.c), inside)
        if after is inside:
            return iterate
        if after.point is point:  # it failed here
            return replace(iterate, failure=after.failure, moved=after.moved)
        return self._out(problem, after, iterate.best if after.best is best else None)

    def _in(self, point: Point) -> Point:
        return replace(point, x=point.x / self.c, gradient=point.gradient * self.c)

    def _out(self, problem: Problem, iterate: Iterate, best: Point | None) -> Iterate:
        def back(point: Point) -> Point:
            return Point.of(problem, point.iteration, point.x * self.c, point.value, point.gradient / self.c)

        point = back(iterate.point)
        if iterate.best is iterate.point:
            best = point
        elif best is None and iterate.best is not None:
            best = back(iterate.best)
        return Iterate(point, iterate.state, best, iterate.moved, iterate.failure)


def told(c: Array) -> str:
    """One line about the units."""
    return f"variables are measured in units from {c.min():.3g} to {c.max():.3g}: --no-scaling does without"
