"""Adadelta: steps in the units of the variables, without a learning rate to choose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import FRACTION, POSITIVE, parameter


@dataclass(frozen=True)
class Adadelta(FirstOrder):
    """v_i = rho·v_{i-1} + (1 − rho)·g_i²,  v_0 = 0
    Δ_i = −√(u_{i-1} + eps)/√(v_i + eps)·g_i
    u_i = rho·u_{i-1} + (1 − rho)·Δ_i²,  u_0 = 0
    x_i = x_{i-1} + lr·Δ_i,  g_i = ∇f(x_{i-1})

    Zeiler, Algorithm 1, entry by entry, with E[g²] = v and E[Δx²] = u; the paper has no lr, which is 1, and rho 0.95.
    torch.optim.Adadelta has lr and rho = 0.9, as here. The first steps are about √eps long.
    """

    name = "adadelta"
    summary = "steps in the units of the variables, from running means of squared gradients and squared steps"
    reference = "M. D. Zeiler, ADADELTA: an adaptive learning rate method, 2012, arXiv:1212.5701, Algorithm 1"

    lr: float = parameter(1.0, "factor of each step", POSITIVE)
    rho: float = parameter(0.9, "decay of both means", FRACTION)
    eps: float = parameter(1e-6, "added below both roots; its root is the length of the first steps", POSITIVE)

    def init_state(self, x: Array) -> State:
        return np.zeros_like(x), np.zeros_like(x)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        v, u = state
        v = self.rho * v + (1.0 - self.rho) * (g * g)
        s = -(np.sqrt(u + self.eps) / np.sqrt(v + self.eps) * g)
        u = self.rho * u + (1.0 - self.rho) * (s * s)
        return (v, u), lr * s
