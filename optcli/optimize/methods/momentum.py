"""Gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import FRACTION, parameter


@dataclass(frozen=True)
class Momentum(FirstOrder):
    """x_{i} = x_{i-1} − lr·∇f(x_{i-1}) + beta·(x_{i-1} − x_{i-2}),  x_{-1} = x_0

    the heavy ball, Polyak's two-step method with α = lr. The state is the last displacement v, so that
    v_i = beta·v_{i-1} − lr·∇f(x_{i-1}) and x_i = x_{i-1} + v_i. torch.optim.SGD(momentum=beta) keeps −v/lr instead:
    the same points as long as lr is constant. With bounds v is the displacement before the projection.
    """

    name = "momentum"
    summary = "heavy ball: gradient descent that keeps a part of its last displacement"
    reference = (
        "B. T. Polyak, Some methods of speeding up the convergence of iteration methods, "
        "USSR Comput. Math. Math. Phys. 4(5) (1964) 1–17, the two-step method (heavy ball)"
    )

    beta: float = parameter(0.9, "part of the last displacement that is kept", FRACTION)

    def init_state(self, x: Array) -> State:
        return (np.zeros_like(x),)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        (v,) = state
        v = self.beta * v - lr * g
        return (v,), v
