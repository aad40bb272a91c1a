"""What a line search sees: φ(α) = f(x + αd), each trial evaluated once, and the conditions that end it."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from optcli.optimize.iterate import Array, Point, all_finite
from optcli.optimize.products import dot

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

UNRESOLVED = 1e-10  # ε of ε_k = ε·|f|, Hager & Zhang (2005); theirs is 1e-6, see Line
DOUBTFUL = 1e-6  # of the size of f: changes that may be its rounding, if its terms cancel
LINEAR = 0.1  # of the slope at the start: how far a slope halfway may lie off the line between those at the ends
RUSTLE = 4.0  # times a change that was rounding, others may be
NOISE = 1e-15  # of the size of f may be its rounding alone: some 4 ulp
Condition: TypeAlias = Literal["armijo", "weak", "strong"]


class Trial(NamedTuple):
    """The point x + αd, its value and gradient, and slope = φ'(α) = gᵀd; arrays of shape (n,)."""

    alpha: float
    x: Array
    f: float
    g: Array
    slope: float
    finite: bool  # x, f and g alike


Proposals: TypeAlias = Generator[float, Trial, None]  # yields step lengths, is sent the trials there


@dataclass(frozen=True, eq=False)
class Line:
    """The ray from an evaluated point along d, and when a trial on it will do; 0 < c1 < 1/2 and c1 < c2 < 1.

    armijo: φ(α) ≤ φ(0) + c1·α·φ'(0), sufficient decrease, Nocedal & Wright eq. (3.6a); weak: also
    φ'(α) ≥ c2·φ'(0), Wolfe's curvature condition, (3.6b); strong: instead |φ'(α)| ≤ c2·|φ'(0)|, (3.7b).

    Near a minimizer, differences of f are rounded away long before those of g. Hager & Zhang's approximate Wolfe
    conditions, SIAM J. Optim. 16 (2005) section 4, put slopes in place of values: for a quadratic φ,
    φ'(α) ≤ (2·c1 − 1)·φ'(0) is sufficient decrease. They count where φ(α) ≤ φ(0) + ε_k; for armijo and strong,
    which promise a decrease that can be seen, only where that is `unresolved`. An ε of 1e-6 would let f rise by as
    much at each step; ours covers the rounding of an f whose terms cancel to a hundred-thousandth of their size. For
    an f that fell to 0, ε_k is at least the rounding of the `size` it had lately. Where slopes alone would accept a
    trial and f hardly changes, a slope halfway decides once whether f is to be believed: the rounding of 10⁴ terms that
    cancel is far beyond ε_k.

    With bounds, `ends` are the step lengths at which each entry reaches its own, shape (n,), infinite where it never
    does. No trial goes beyond the first of them, `most`; there the entry is exactly on its bound, and where φ still
    falls no curvature condition is asked.
    """

    problem: Problem
    d: Array
    start: Trial  # α = 0
    c1: float
    c2: float
    condition: Condition
    size: float = 0.0  # how large |f| was lately
    ends: Array | None = None
    most: float = math.inf  # the step length at which the first bound is met
    doubted: list[float] = field(default_factory=list)  # the step length at which f was asked to prove itself
    refuted: list[float] = field(default_factory=list)  # changes of f that slopes have shown to be rounding

    @classmethod
    def along(
        cls,
        problem: Problem,
        point: Point,
        d: Array,
        c1: float,
        c2: float,
        condition: Condition,
        size: float,
        ends: Array | None = None,
    ) -> Line:
        """No evaluation: the point has been evaluated."""
        start = Trial(0.0, point.x, point.value, point.gradient, dot(point.gradient, d), True)
        most = math.inf if ends is None else float(np.min(ends, initial=math.inf))
        return cls(problem, d, start, c1, c2, condition, size, ends, most)

    def at(self, alpha: float) -> Trial:
        """One evaluation of value and gradient at x + αd."""
        x = np.multiply(self.d, alpha)
        x += self.start.x
        if self.ends is not None:
            lower, upper = self.problem.box()
            x = self.problem.project(np.where(self.ends <= alpha, np.where(self.d < 0.0, lower, upper), x))
        f, g = self.problem.value_and_gradient(x)
        slope = dot(g, self.d)
        return Trial(alpha, x, f, g, slope, math.isfinite(f) and math.isfinite(slope) and all_finite(x))

    @property
    def noise(self) -> float:
        """ε_k."""
        return max(UNRESOLVED * abs(self.start.f), NOISE * self.size, *self.refuted)

    @property
    def ceiling(self) -> float:
        """φ(0) + ε_k: up to it f may have risen by rounding alone."""
        return self.start.f + self.noise

    def decreases(self, trial: Trial) -> bool:
        """Sufficient decrease, told by values: a difference of them, as φ(0) would swallow a short step's due."""
        return trial.finite and trial.f - self.start.f <= self.c1 * trial.alpha * self.start.slope

    def accepts(self, trial: Trial) -> bool:
        """Whether the condition holds, or its approximate form where that counts."""
        first, slope = self.start, trial.slope
        if not trial.finite:
            return False
        if self.condition != "armijo" and not (trial.alpha >= self.most and slope < 0.0):
            flat = slope >= self.c2 * first.slope and (self.condition == "weak" or slope <= -self.c2 * first.slope)
            if not flat:
                return False
        if self.decreases(trial):
            return True
        if slope > (2.0 * self.c1 - 1.0) * first.slope:
            return False
        close = trial.f <= self.ceiling if self.condition == "weak" else self.unresolved(trial)
        return close or self.contradicted(trial)

    def unresolved(self, trial: Trial) -> bool:
        """Whether φ(α) − φ(0), and α·φ'(0) that it comes from, are within ε_k and may be rounding alone."""
        return abs(trial.f - self.start.f) <= self.noise and -trial.alpha * self.start.slope <= self.noise

    def refutes(self, a: Trial, b: Trial) -> bool:
        """Whether slopes that are nearly the same at two trials show a small change of f to be rounding alone.

        ε_k is RUSTLE times that change from then on.
        """
        change, way = b.f - a.f, b.alpha - a.alpha
        if abs(change) > DOUBTFUL * max(abs(self.start.f), self.size) or change * way * a.slope > 0.0:
            return False
        if not abs(b.slope - a.slope) <= LINEAR * abs(a.slope):
            return False
        self.refuted.append(RUSTLE * abs(change))
        return True

    def contradicted(self, trial: Trial) -> bool:
        """Whether slopes prove a sufficient decrease of which f, changing by little, shows nothing: one evaluation.

        φ' is linear as far as a third slope halfway tells, and its integral by Simpson's rule is the decrease.
        """
        first, change = self.start, abs(trial.f - self.start.f)
        if self.doubted or change > DOUBTFUL * max(abs(first.f), self.size):
            return False
        self.doubted.append(trial.alpha)
        middle = self.at(0.5 * trial.alpha).slope
        bend = abs(middle - 0.5 * (first.slope + trial.slope))
        integral = trial.alpha * (first.slope + 4.0 * middle + trial.slope) / 6.0
        return bend <= LINEAR * -first.slope and integral <= self.c1 * trial.alpha * first.slope

    def unchanged(self, trial: Trial) -> bool:
        """Whether the step is so short that rounding leaves x as it was."""
        return trial.f == self.start.f and np.array_equal(trial.x, self.start.x)
