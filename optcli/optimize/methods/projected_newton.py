"""Newton's method in a trust region and a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optcli.optimize.iterate import Array
from optcli.optimize.methods.region import Region
from optcli.optimize.quadratic import Model, ball_step, box_step
from optcli.optimize.trust_region import Step

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem


@dataclass(frozen=True)
class ProjectedNewton(Region):
    """s_C = P(x − α∇f(x)) − x with m(s_C) ≤ 0.01 ∇f(x)·s_C,  m(s) = ∇f(x)·s + ½ s·∇²f(x)s
    s: a point with m(s) ≤ m(s_C) and ‖Ds‖ ≤ Δ, by Newton's method over the variables that s_C leaves within their
    bounds, projected, and again over those that are left
    x₊ = x + s

    in the trust region of `newton`, which it is without bounds: exact steps with the whole Hessian (`dense`), by
    conjugate gradients with its products (`cg`), by factors where it is a band.
    """

    name = "projected_newton"
    summary = "Newton's method in a trust region that keeps bounds"
    reference = (
        "C.-J. Lin, J. J. Moré, Newton's method for large bound-constrained optimization problems, SIAM J. Optim. 9 "
        "(1999) 1100–1127 (TRON)"
    )

    def best(self, problem: Problem, x: Array, model: Model, radius: float) -> Step:
        if not problem.bounded:
            return ball_step(model, radius)
        lower, upper = problem.box()
        return box_step(model, radius, lower - x, upper - x)
