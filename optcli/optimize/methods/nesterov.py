"""Nesterov's accelerated gradient with constant momentum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import FRACTION, parameter


@dataclass(frozen=True)
class Nesterov(FirstOrder):
    """v_i = beta·v_{i-1} − lr·∇f(θ_{i-1} + beta·v_{i-1}),  v_0 = 0
    θ_i = θ_{i-1} + v_i

    Sutskever et al., eq. (3) and (4), with μ = beta and ε = lr. The points reported are the look-ahead points
    x = θ + beta·v, where the gradient is taken; for them the same recursion reads

    v_i = beta·v_{i-1} − lr·∇f(x_{i-1})
    x_i = x_{i-1} + beta·v_i − lr·∇f(x_{i-1})

    as torch.optim.SGD(nesterov=True) does it (which keeps −v/lr: the same points as long as lr is constant). Both end
    at the same point, as v → 0. Nesterov's paper of 1983 lets the coefficient grow towards 1,
    beta_i = (a_i − 1)/a_{i+1}; here it is constant.
    """

    name = "nesterov"
    summary = "accelerated gradient: momentum with the gradient taken where the momentum leads"
    reference = (
        "Y. Nesterov, A method of solving a convex programming problem with convergence rate O(1/k²), "
        "Soviet Math. Dokl. 27 (1983) 372–376; I. Sutskever, J. Martens, G. Dahl, G. Hinton, On the importance of "
        "initialization and momentum in deep learning, ICML 2013, eq. (3)–(4)"
    )

    beta: float = parameter(0.9, "momentum coefficient", FRACTION)

    def init_state(self, x: Array) -> State:
        return (np.zeros_like(x),)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        (v,) = state
        s = lr * g
        v = self.beta * v - s
        return (v,), self.beta * v - s
