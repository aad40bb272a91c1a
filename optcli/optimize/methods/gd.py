"""Gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import POSITIVE, parameter


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
        "C. R. Acad. Sci. Paris 25 (1847) 536–538; Nocedal & Wright, Numerical Optimization, 2nd ed., p. 21"
    )

    lr: float = parameter(0.01, "learning rate", POSITIVE)

    def update(self, state: State, x: Array, g: Array, i: int) -> tuple[State, Array]:
        return state, -self.lr * g
