"""Adam: adaptive moment estimation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import FRACTION, POSITIVE, parameter


@dataclass(frozen=True)
class Adam(FirstOrder):
    """m_i = beta1·m_{i-1} + (1 − beta1)·g_i,  m_0 = 0
    v_i = beta2·v_{i-1} + (1 − beta2)·g_i²,  v_0 = 0
    m̂_i = m_i/(1 − beta1^i),  v̂_i = v_i/(1 − beta2^i)
    x_i = x_{i-1} − lr·m̂_i/(√v̂_i + eps),  g_i = ∇f(x_{i-1})

    Kingma & Ba, Algorithm 1, entry by entry, with α = lr. torch.optim.Adam computes the same in another order.
    """

    name = "adam"
    summary = "adaptive moments: each variable has a step of its own, about lr long"
    reference = (
        "D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015, arXiv:1412.6980, Algorithm 1"
    )
    calls = True  # powers of beta

    lr: float = parameter(0.001, "learning rate, about the length of the first steps", POSITIVE)
    beta1: float = parameter(0.9, "decay of the mean of the gradients", FRACTION)
    beta2: float = parameter(0.999, "decay of the mean of their squares", FRACTION)
    eps: float = parameter(1e-8, "added to the root, against a division by zero", POSITIVE)

    def init_state(self, x: Array) -> State:
        return np.zeros_like(x), np.zeros_like(x)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        m, v = state
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        mhat = m / (1.0 - self.beta1**i)
        vhat = v / (1.0 - self.beta2**i)
        return (m, v), -(lr * mhat / (np.sqrt(vhat) + self.eps))
