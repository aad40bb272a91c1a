"""Newton's method in a trust region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optcli.optimize.iterate import Array
from optcli.optimize.methods.region import Region
from optcli.optimize.quadratic import Model, ball_step
from optcli.optimize.trust_region import Step

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem


@dataclass(frozen=True)
class Newton(Region):
    """d = argmin { ∇f(x)·d + ½ d·∇²f(x)d : ‖Dd‖ ≤ Δ },  x₊ = x + d

    where ρ = (f(x) − f(x₊))/(−∇f(x)·d − ½ d·∇²f(x)d) > 1e-4; Δ shrinks where ρ < ¼ and grows where ρ > ¾.
    Negative curvature needs no special care: the step goes along it, also where the gradient does not see it.

    With the whole Hessian (`dense`) the step is the exact one of Moré & Sorensen, D = diag(√|∇²f_ii|), and the first
    step is Newton's where the curvature is positive. With its products (`cg`) the step is that of Steihaug and Toint,
    D = I. Of many variables (`auto`) 2b + 1 products and one for each dense row, here and there some more to find and
    to check them, know a Hessian that is a band of half-width b ≤ 8 with up to 4 dense rows; its factors give the step
    and the D of `dense` where the curvature is positive, the step of `cg` elsewhere. Where differences of f are
    rounding, the reduction is measured by gradients, and a step must lower the gradient norm or the value.
    """

    name = "newton"
    summary = "Newton's method in a trust region: few, accurate steps by second derivatives"
    reference = (
        "J. J. Moré, D. C. Sorensen, Computing a trust region step, SIAM J. Sci. Stat. Comput. 4 (1983) 553–572; T. "
        "Steihaug, The conjugate gradient method and trust regions in large scale optimization, SIAM J. Numer. Anal. "
        "20 (1983) 626–637; A. R. Conn, N. I. M. Gould, Ph. L. Toint, Trust-Region Methods, SIAM 2000, Algorithm "
        "6.1.1; A. R. Curtis, M. J. D. Powell, J. K. Reid, On the estimation of sparse Jacobian matrices, J. Inst. "
        "Math. Appl. 13 (1974) 117–119"
    )
    bounded = False

    def best(self, problem: Problem, x: Array, model: Model, radius: float) -> Step:
        return ball_step(model, radius)
