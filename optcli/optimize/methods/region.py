"""Methods that step to the minimizer of a quadratic model in a trust region."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.methods.method import POSITIVE, SQUARE, Maybe, Method, Words, parameter
from optcli.optimize.products import dot
from optcli.optimize.quadratic import Banded, Dense, Model, Products
from optcli.optimize.rounding import noise, reduction
from optcli.optimize.trust_region import Step

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

DENSE = 200  # variables up to which all eigenvalues cost little beside the products that make the Hessian

# when to accept, shrink and grow: ¼ and ¾ as in Moré, The Levenberg–Marquardt algorithm (1978)
ACCEPTED = 1e-4
POOR, GOOD = 0.25, 0.75
GROWTH = 2.0
LEAST, MOST = 0.1, 0.5  # factors of a radius that shrinks
AWAY = 0.1  # factor after a trial that is not finite


@dataclass(frozen=True)
class Region(Method):
    """Conn, Gould & Toint, Algorithm 6.1.1, of steps by `best`; the state is Δ, 0 before it is chosen, D, and what is
    known of where the Hessian has entries: b and the border of a band, −1 where it is none."""

    curved: ClassVar[bool] = True

    subproblem: str = parameter(
        "auto",
        f"whole Hessian, or conjugate gradients; auto: dense up to {DENSE} variables, beyond cg unless it is a band",
        Words(("auto", "dense", "cg")),
    )
    radius: float | None = parameter(None, "trust radius of the first step; none: chosen", Maybe(POSITIVE))

    @property
    def size_limit(self) -> int | None:
        return SQUARE if self.subproblem == "dense" else None

    @abstractmethod
    def best(self, problem: Problem, x: Array, model: Model, radius: float) -> Step:
        """The step within the radius; an infinite one asks for the last digits."""

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start."""
        scales = np.zeros(problem.size if self._dense(problem) else 0)
        point = Point.at(problem, 0, problem.project(start))
        return Iterate.start(point, (np.array([self.radius or 0.0]), scales, np.zeros(0)))

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """Shrinks the region until its step is accepted."""
        x = iterate.x
        model, known = self._model(problem, iterate)
        radius = float(iterate.state[0][0])
        if len(model.D) != len(iterate.state[1]):  # it was one of another norm
            radius = self.radius or 0.0
        radius = radius or model.first_radius(x)
        last = False
        while True:
            step = self.best(problem, x, model, math.inf if last else radius)
            after, rho = _tried(problem, iterate, step)
            if after is None:
                break
            quiet = step.reduction <= noise(iterate.value)
            if accepted(iterate.point, after, rho, quiet):
                return iterate.then(after, (np.array([_resized(radius, step, rho)]), model.D, known))
            if last:
                break
            radius = _shrunk(iterate.point, after, step)
            last = quiet and after.finite
        return iterate.unmoved()

    def _model(self, problem: Problem, iterate: Iterate) -> tuple[Model, Array]:
        """The model, and the last part of the state after it."""
        x, g = iterate.x, iterate.gradient
        _, before, known = iterate.state
        if self._dense(problem):
            return Dense(problem.hessian(x), g, before), known
        if self.subproblem == "auto" and not (len(known) and known[0] < 0.0):
            from optcli.optimize.band import Shape, found

            like = Shape(int(known[0]), known[1:].astype(np.int64)) if len(known) else None
            H = found(lambda v: problem.hvp(x, v), problem.size, like)
            if H is not None:
                return Banded(H, g, before), np.array([H.width, *H.border], dtype=np.float64)
            known = np.array([-1.0])
        return Products(lambda v: problem.hvp(x, v), g), known

    def _dense(self, problem: Problem) -> bool:
        return self.subproblem == "dense" or (self.subproblem == "auto" and problem.size <= DENSE)


def _tried(problem: Problem, iterate: Iterate, step: Step) -> tuple[Point | None, float]:
    """The point after the step, None if that is the same in doubles; and ρ, NaN where the point is not finite."""
    x = problem.displaced(iterate.x, step.d)
    if np.array_equal(x, iterate.x):
        return None, math.nan
    after = Point.at(problem, iterate.iteration + 1, x)
    if not after.finite or not step.reduction > 0.0:
        return after, math.nan
    change = reduction(iterate.value, iterate.gradient, after.value, after.gradient, x - iterate.x)
    return after, change / step.reduction


def accepted(before: Point, after: Point, rho: float, quiet: bool) -> bool:
    """Whether to go there. `quiet`: the reduction hoped for is within the noise of f.

    A value of −∞ is accepted, so that the run ends as what it is.
    """
    if after.value == -math.inf:
        return True
    if quiet and not (after.gradient_norm < before.gradient_norm or after.value < before.value):
        return False
    return rho > ACCEPTED


def _resized(radius: float, step: Step, rho: float) -> float:
    """Δ after an accepted step."""
    if rho > GOOD:
        return max(radius, GROWTH * step.norm)
    return MOST * step.norm if rho < POOR else radius


def _shrunk(before: Point, after: Point, step: Step) -> float:
    """Δ after a rejected step: to the minimum of the parabola through f, its slope, and the value found."""
    if not after.finite:
        return AWAY * step.norm
    slope = dot(before.gradient, step.d)
    excess = after.value - before.value - slope
    factor = -0.5 * slope / excess if excess > 0.0 else MOST
    return min(max(factor, LEAST), MOST) * step.norm
