"""The spectral projected gradient method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point, largest_entry
from optcli.optimize.methods.method import Method, Whole, parameter
from optcli.optimize.products import dot
from optcli.optimize.rounding import nothing_yet, reduction, waited

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

# as Birgin, Martínez & Raydan choose them
GAMMA = 1e-4  # sufficient decrease
SIGMA1, SIGMA2 = 0.1, 0.9  # the part of the last step length that the next one may be
LEAST, MOST = 1e-30, 1e30  # spectral step lengths


@dataclass(frozen=True)
class ProjectedGradient(Method):
    """d_k = P(x_k − λ_k ∇f(x_k)) − x_k,  λ_k = s·s / s·y,  s = x_k − x_{k-1},  y = ∇f(x_k) − ∇f(x_{k-1})
    x_{k+1} = x_k + α d_k

    with the first α of 1, … for which f(x_k + αd_k) ≤ max { f(x_{k-j}) : 0 ≤ j < memory } + 1e-4·α ∇f(x_k)·d_k, each
    by quadratic interpolation from the one before. λ_0 = 1/‖P(x_0 − ∇f(x_0)) − x_0‖_∞. P is the projection on the
    bounds; without any this is the global Barzilai–Borwein method of Raydan (1997).
    """

    name = "projected_gradient"
    summary = "gradient steps of spectral length, projected on the bounds; little work and memory"
    reference = (
        "E. G. Birgin, J. M. Martínez, M. Raydan, Nonmonotone spectral projected gradient methods on convex sets, "
        "SIAM J. Optim. 10 (2000) 1196–1211 (SPG2)"
    )

    memory: int = parameter(10, "values, of which the largest is what f must fall below", Whole(1))

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start; the state is λ, the last values, and the record of the last digits."""
        point = Point.at(problem, 0, problem.project(start))
        norm = point.gradient_norm
        first = 1.0 / norm if norm > 0.0 else 1.0
        return Iterate.start(point, (np.array([first]), np.array([point.value]), nothing_yet(point)))

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """The next point, and the spectral step length from there."""
        x, g = iterate.x, iterate.gradient
        (spectral,), values, since = iterate.state
        d = problem.project(x - spectral * g) - x
        after = backtracked(problem, iterate, d, float(np.max(values)))
        if after is None:
            return iterate.unmoved()
        s, y = after.x - x, after.gradient - g
        record = waited(since, iterate.point, after, -0.5 * dot(g, s))
        if record is None:
            return iterate.unmoved()
        curvature = dot(s, y)
        if curvature > 0.0:
            length = dot(s, s) / curvature
        else:  # the paper takes MOST, which without bounds only costs trials: a step as long as x is enough
            length = max(1.0, largest_entry(after.x)) / max(after.gradient_norm, LEAST)
        length = min(max(length, LEAST), MOST)
        kept = np.append(values, after.value)[-self.memory :]
        return iterate.then(after, (np.array([length]), kept, record))


def backtracked(problem: Problem, iterate: Iterate, d: Array, highest: float) -> Point | None:
    """The first point x + αd, α = 1, …, sufficiently below `highest`; None where rounding leaves none."""
    x, f, g = iterate.x, iterate.value, iterate.gradient
    slope = dot(g, d)
    if not slope < 0.0:
        return None
    alpha, whole = 1.0, problem.project(x + d)
    while True:
        to = whole if alpha == 1.0 else problem.project(x + alpha * d)
        if np.array_equal(to, x):
            return None
        trial = Point.at(problem, iterate.iteration + 1, to)
        if trial.value == -math.inf:
            return trial
        if trial.finite:
            fall = reduction(f, g, trial.value, trial.gradient, to - x)
            if fall + (highest - f) >= -GAMMA * alpha * slope:
                return trial
            excess = trial.value - f - alpha * slope
            least = -0.5 * alpha**2 * slope / excess if excess > 0.0 else 0.5 * alpha
            alpha = least if SIGMA1 <= least <= SIGMA2 * alpha else 0.5 * alpha
        else:
            alpha *= SIGMA1
