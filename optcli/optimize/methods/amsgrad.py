"""AMSGrad: Adam whose mean of squares never falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.adam import Adam


@dataclass(frozen=True)
class AMSGrad(Adam):
    """m_i = beta1·m_{i-1} + (1 − beta1)·g_i,  m_0 = 0
    v_i = beta2·v_{i-1} + (1 − beta2)·g_i²,  v_0 = 0
    w_i = max(w_{i-1}, v_i),  w_0 = 0
    x_i = x_{i-1} − lr·m_i/(1 − beta1^i)/(√(w_i/(1 − beta2^i)) + eps),  g_i = ∇f(x_{i-1})

    Reddi et al., Algorithm 2, entry by entry, with v̂ = w. The paper corrects no bias and has no eps; as here do
    torch.optim.Adam(amsgrad=True), while optax.amsgrad takes the maximum of the corrected means.
    """

    name = "amsgrad"
    summary = "adam that keeps the largest mean of squares so far, so that steps never grow again"
    reference = (
        "S. J. Reddi, S. Kale, S. Kumar, On the convergence of Adam and beyond, ICLR 2018, arXiv:1904.09237, "
        "Algorithm 2"
    )

    def init_state(self, x: Array) -> State:
        return np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        m, v, w = state
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        w = np.maximum(w, v)
        mhat = m / (1.0 - self.beta1**i)
        what = w / (1.0 - self.beta2**i)
        return (m, v, w), -(lr * mhat / (np.sqrt(what) + self.eps))
