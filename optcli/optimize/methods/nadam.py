"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.adam import Adam
from optcli.optimize.methods.method import NOT_NEGATIVE, POSITIVE, parameter

BASE = 0.96  # Dozat; the exponent there is i/250


@dataclass(frozen=True)
class NAdam(Adam):
    """mu_i = beta1·(1 − 0.96^(momentum_decay·i)/2),  p_i = mu_1·…·mu_i
    m_i = beta1·m_{i-1} + (1 − beta1)·g_i,  m_0 = 0
    v_i = beta2·v_{i-1} + (1 − beta2)·g_i²,  v_0 = 0
    m̂_i = mu_{i+1}·m_i/(1 − p_{i+1}) + (1 − mu_i)·g_i/(1 − p_i),  v̂_i = v_i/(1 − beta2^i)
    x_i = x_{i-1} − lr·m̂_i/(√v̂_i + eps),  g_i = ∇f(x_{i-1})

    entry by entry, as torch.optim.NAdam has it, which keeps the mean m with the constant beta1; Dozat has mu_i
    there too. The sequence mu_i is his, with momentum_decay = 1/250.
    """

    name = "nadam"
    summary = "adam that looks ahead along its momentum, as nesterov does"
    reference = "T. Dozat, Incorporating Nesterov momentum into Adam, ICLR 2016 workshop"

    lr: float = parameter(0.002, "learning rate, about the length of the first steps", POSITIVE)
    momentum_decay: float = parameter(0.004, "how fast the momentum grows towards beta1", NOT_NEGATIVE)

    def init_state(self, x: Array) -> State:
        return np.zeros_like(x), np.zeros_like(x), np.ones_like(x)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        m, v, product = state
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        mu, later = self._momentum(i), self._momentum(i + 1)
        product = product * mu
        mhat = later * m / (1.0 - product * later) + (1.0 - mu) * g / (1.0 - product)
        vhat = v / (1.0 - self.beta2**i)
        return (m, v, product), -(lr * mhat / (np.sqrt(vhat) + self.eps))

    def _momentum(self, i: int) -> Any:
        return self.beta1 * (1.0 - 0.5 * BASE ** (self.momentum_decay * i))
