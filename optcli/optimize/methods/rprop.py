"""Rprop: a step length for each variable that signs alone change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import NOT_NEGATIVE, POSITIVE, Range, parameter


@dataclass(frozen=True)
class Rprop(FirstOrder):
    """Δ_i = min(up·Δ_{i-1}, most)    where g_i·h_{i-1} > 0,  Δ_0 = lr
    Δ_i = max(down·Δ_{i-1}, least)  where g_i·h_{i-1} < 0;  Δ_{i-1} where it is 0
    h_i = g_i, or 0 where g_i·h_{i-1} < 0,  h_0 = 0
    x_i = x_{i-1} − Δ_i·sign(h_i),  g_i = ∇f(x_{i-1})

    entry by entry: iRprop−, Igel & Hüsken, with η± = up, down, as torch.optim.Rprop. Riedmiller & Braun take the last
    step back where the sign changed. Their least step is 1e-6, which keeps a run from coming nearer than that; here it
    is 1e-12. A schedule scales the steps, by its learning rate over lr, not Δ.
    """

    name = "rprop"
    summary = "a step length for each variable, longer while its gradient keeps its sign and shorter where that changes"
    reference = (
        "M. Riedmiller, H. Braun, A direct adaptive method for faster backpropagation learning: the RPROP algorithm, "
        "IEEE Int. Conf. Neural Networks 1993, 586–591; C. Igel, M. Hüsken, Improving the Rprop learning algorithm, "
        "ICSC Symposium on Neural Computation 2000, 115–121"
    )

    lr: float = parameter(0.01, "length of the first step in each variable", POSITIVE)
    up: float = parameter(1.2, "factor of a length while the sign stays", Range(1.0))
    down: float = parameter(0.5, "factor of a length where the sign changes", Range(0.0, 1.0))
    least: float = parameter(1e-12, "the shortest length", NOT_NEGATIVE)
    most: float = parameter(50.0, "the longest length", POSITIVE)

    def init_state(self, x: Array) -> State:
        return np.zeros_like(x), np.full_like(x, self.lr)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        h, length = state
        same = np.sign(g) * np.sign(h)
        longer, shorter = np.maximum(same, 0.0), np.maximum(-same, 0.0)  # 1 or 0
        factor = longer * self.up + shorter * self.down + (1.0 - longer - shorter)
        length = np.minimum(np.maximum(length * factor, self.least), self.most)
        h = (1.0 - shorter) * g
        return (h, length), -(lr / self.lr * length * np.sign(h))
