"""Adagrad: a learning rate for each variable that only falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import NOT_NEGATIVE, POSITIVE, parameter


@dataclass(frozen=True)
class Adagrad(FirstOrder):
    """G_i = G_{i-1} + g_i²,  G_0 = begin
    x_i = x_{i-1} − lr·g_i/(√G_i + eps),  g_i = ∇f(x_{i-1})

    entry by entry: Duchi et al. with a diagonal matrix, η = lr, δ = eps. The paper's δ is a
    regularizer of about the gradients' size; here and in torch.optim.Adagrad it only keeps 0/0 out. torch says
    initial_accumulator_value for begin, and its lr_decay = 1/p is the schedule inverse with period p.
    """

    name = "adagrad"
    summary = "each variable's step shrinks with the root of the sum of its squared gradients"
    reference = (
        "J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods for online learning and stochastic optimization, "
        "J. Mach. Learn. Res. 12 (2011) 2121–2159"
    )

    begin: float = parameter(0.0, "what the sum of squares begins with", NOT_NEGATIVE)
    eps: float = parameter(1e-10, "added to the root, against a division by zero", POSITIVE)

    def init_state(self, x: Array) -> State:
        return (np.full_like(x, self.begin),)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        (G,) = state
        G = G + g * g
        return (G,), -(lr * g / (np.sqrt(G) + self.eps))
