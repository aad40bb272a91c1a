"""RMSProp: the gradient over the root of its mean square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import FRACTION, POSITIVE, parameter


@dataclass(frozen=True)
class RMSProp(FirstOrder):
    """v_i = beta·v_{i-1} + (1 − beta)·g_i²,  v_0 = 0
    b_i = momentum·b_{i-1} + g_i/(√v_i + eps),  b_0 = 0
    x_i = x_{i-1} − lr·b_i,  g_i = ∇f(x_{i-1})

    entry by entry: the lecture's rule for momentum = 0, with beta 0.9 there. Beta 0.99, eps outside of the root, and
    the momentum are those of torch.optim.RMSprop (centered=False, alpha = beta).
    """

    name = "rmsprop"
    summary = "the gradient over the root of the running mean of its square"
    reference = (
        "T. Tieleman, G. Hinton, Lecture 6.5, rmsprop: divide the gradient by a running average of its recent "
        "magnitude, Coursera: Neural Networks for Machine Learning, 2012"
    )

    beta: float = parameter(0.99, "decay of the mean of the squared gradients", FRACTION)
    eps: float = parameter(1e-8, "added to the root, against a division by zero", POSITIVE)
    momentum: float = parameter(0.0, "part of the last displacement that is kept", FRACTION)

    def init_state(self, x: Array) -> State:
        return (np.zeros_like(x), np.zeros_like(x)) if self.momentum else (np.zeros_like(x),)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        v, *rest = state
        v = self.beta * v + (1.0 - self.beta) * (g * g)
        b = g / (np.sqrt(v) + self.eps)
        if self.momentum:
            b = self.momentum * rest[0] + b
            return (v, b), -(lr * b)
        return (v,), -(lr * b)
