"""Lion: the sign of a mean of gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import FRACTION, POSITIVE, parameter


@dataclass(frozen=True)
class Lion(FirstOrder):
    """c_i = beta1·m_{i-1} + (1 − beta1)·g_i,  m_0 = 0
    x_i = x_{i-1} − lr·(sign(c_i) + weight_decay·x_{i-1})
    m_i = beta2·m_{i-1} + (1 − beta2)·g_i,  g_i = ∇f(x_{i-1})

    Chen et al., Algorithm 2, entry by entry, with η = lr and λ = weight_decay, as optax.lion, whose weight_decay is
    1e-3 where none is given, here 0. Every step is lr long in each variable, so that it goes around the minimum at
    that distance unless the learning rate falls: --set schedule=exponential, or plateau.
    """

    name = "lion"
    summary = "steps of lr in each variable, by the sign of a mean of gradients"
    reference = (
        "X. Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023, arXiv:2302.06675, Algorithm 2"
    )
    decoupled = True

    lr: float = parameter(1e-4, "learning rate, the length of every step in each variable", POSITIVE)
    beta1: float = parameter(0.9, "part of the mean in what the sign is taken of", FRACTION)
    beta2: float = parameter(0.99, "decay of the mean of the gradients", FRACTION)

    def init_state(self, x: Array) -> State:
        return (np.zeros_like(x),)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        (m,) = state
        c = np.sign(self.beta1 * m + (1.0 - self.beta1) * g)
        if self.weight_decay:
            c = c + self.weight_decay * x
        return (self.beta2 * m + (1.0 - self.beta2) * g,), -(lr * c)
