"""Gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder


@dataclass(frozen=True)
class GradientDescent(FirstOrder):
    """x_{i} = x_{i-1} − lr·∇f(x_{i-1})

    with a constant learning rate lr, the loop of the document and torch.optim.SGD without momentum.
    On a quadratic it converges for lr < 2/L, L the largest curvature.
    """

    name = "gd"
    summary = "gradient descent: a step against the gradient, lr times its length"
    reference = (
        "A. Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées, "
        "C. R. Acad. Sci. Paris 25 (1847) 536–538; Nocedal & Wright, Numerical Optimization, 2nd ed., chapter 2"
    )

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        return state, -lr * g
