"""L-BFGS-B: limited-memory BFGS in a box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.compact import Compact, Pairs, cauchy_point, reach, subspace_minimizer
from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.methods.method import Method, Whole, parameter
from optcli.optimize.rounding import nothing_yet, reduction, waited

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

C1 = 1e-4  # sufficient decrease, Nocedal & Wright section 3.1
C2 = 0.9  # curvature condition for quasi-Newton directions, Nocedal & Wright section 3.1
TRIALS = 25  # step lengths tried along one direction
SMALL = 1e-300  # against a division by zero
FURTHER = 4.0  # most that a step length grows from one trial to the next
INSIDE = 0.1  # least distance of a trial from the ends of its bracket, in parts of it


@dataclass(frozen=True)
class LBFGSB(Method):
    """x_c: the first minimizer of m(z) = ∇f(x)·(z − x) + ½ (z − x)·B(z − x) along P(x − t∇f(x))
    x̄: the minimizer of m over the variables that x_c leaves within their bounds, projected
    x₊ = x + α(x̄ − x)

    where B = θI − WMWᵀ holds the last `memory` pairs s = x₊ − x, y = ∇f(x₊) − ∇f(x), and α fulfils the strong Wolfe
    conditions with 1e-4 and 0.9 (or their approximate form where differences of f are rounding) or ends at a bound.
    Without bounds it is L-BFGS.
    """

    name = "lbfgsb"
    summary = "limited-memory BFGS that keeps bounds: the usual choice with bounds and no second derivatives"
    reference = (
        "R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, A limited memory algorithm for bound constrained optimization, SIAM "
        "J. Sci. Comput. 16 (1995) 1190–1208; J. L. Morales, J. Nocedal, Remark on Algorithm 778, ACM Trans. Math. "
        "Softw. 38 (2011) 7"
    )

    memory: int = parameter(10, "pairs of displacements and changes of the gradient that are kept", Whole(1))

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start; the state is the pairs s and y, a row each, and the record of the last digits."""
        point = Point.at(problem, 0, problem.project(start))
        return Iterate.start(point, (*Pairs.none(problem.size), nothing_yet(point)))

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """With the memory emptied where no step length is found."""
        *arrays, since = iterate.state
        pairs = Pairs(*arrays)
        after = _along(problem, iterate, pairs)
        if after is None and len(pairs.S):
            pairs = Pairs.none(problem.size)
            after = _along(problem, iterate, pairs)
        if after is None:
            return iterate.unmoved()
        s, y = after.x - iterate.x, after.gradient - iterate.gradient
        record = waited(since, iterate.point, after, -0.5 * float(iterate.gradient @ s))
        if record is None:
            return iterate.unmoved()
        return iterate.then(after, (*pairs.after(s, y, self.memory), record))


def _along(problem: Problem, iterate: Iterate, pairs: Pairs) -> Point | None:
    """The point after a search towards the minimizer of the model; None if there is no lower one."""
    x, g = iterate.x, iterate.gradient
    B = Compact.of(pairs)
    if B is None:
        return None
    lower, upper = problem.box()
    cauchy, c = cauchy_point(x, g, lower, upper, B)
    d = subspace_minimizer(x, g, lower, upper, B, cauchy, c) - x
    first = 1.0 if len(pairs.S) else min(1.0, 1.0 / max(float(np.linalg.norm(d)), SMALL))
    return search(problem, iterate, d, first)


def search(problem: Problem, iterate: Iterate, d: Array, alpha: float) -> Point | None:
    """The point x + αd with the strong Wolfe conditions, or the last one within the bounds if f still falls there.

    Bisection with cubic interpolation: `low` has sufficient decrease and falls on, `high` has not, or rises. Entries
    that reach their bounds are put there exactly. None where no trial decreases f sufficiently.
    """
    x, f, g = iterate.x, iterate.value, iterate.gradient
    lower, upper = problem.box()
    ends = reach(x, d, lower, upper)
    most = float(np.min(ends, initial=np.inf))
    slope = float(g @ d)
    if not slope < 0.0:
        return None
    low, best = (0.0, f, slope), None
    high: tuple[float, float, float] | None = None
    for _ in range(TRIALS):
        to = np.where(ends <= alpha, np.where(d < 0.0, lower, upper), x + alpha * d)
        to = np.clip(to, lower, upper)
        if np.array_equal(to, x):
            break
        trial = Point.at(problem, iterate.iteration + 1, to)
        if trial.value == -math.inf:
            return trial
        here = (alpha, trial.value, float(trial.gradient @ d))
        if not trial.finite:
            high = (alpha, math.inf, math.nan)
        elif reduction(f, g, trial.value, trial.gradient, to - x) < -C1 * alpha * slope:
            high = here
        elif abs(here[2]) <= -C2 * slope or (here[2] < 0.0 and alpha >= most):
            return trial
        elif here[2] > 0.0:
            high, best = here, trial
        else:
            low, best = here, trial
        alpha = min(between(low, high), most)
    return best


def between(low: tuple[float, float, float], high: tuple[float, float, float] | None) -> float:
    """The next step length: the minimizer of the cubic through value and slope at both ends; further on without a high.

    Nocedal & Wright, eq. (3.59), kept off the ends.
    """
    (a, fa, ga) = low
    if high is None:
        return FURTHER * a
    (b, fb, gb) = high
    width = b - a
    if not math.isfinite(fb):
        return a + (0.5 if a > 0.0 else INSIDE) * width
    q = ga + gb - 3.0 * (fb - fa) / width
    root = math.sqrt(max(q * q - ga * gb, 0.0))
    denominator = gb - ga + 2.0 * root
    part = 1.0 - (gb + root - q) / denominator if denominator > 0.0 else 0.5
    if not math.isfinite(part):
        part = 0.5
    return a + min(max(part, INSIDE), 1.0 - INSIDE) * width
