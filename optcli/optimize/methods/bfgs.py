"""BFGS with a dense inverse Hessian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, Point, State
from optcli.optimize.methods.descent import Descent, Step, line_search
from optcli.optimize.methods.method import SQUARE


@dataclass(frozen=True)
class BFGS(Descent):
    """d_k = −H_k·∇f(x_k),  x_{k+1} = x_k + α_k·d_k,  s = x_{k+1} − x_k,  y = ∇f(x_{k+1}) − ∇f(x_k),  ρ = 1/yᵀs
    H_{k+1} = (I − ρ·s·yᵀ)·H_k·(I − ρ·y·sᵀ) + ρ·s·sᵀ

    Nocedal & Wright, algorithm 6.1 and eq. (6.17). The first direction is −∇f; before its update H = (yᵀs/yᵀy)·I,
    eq. (6.20). Before a later one H_k is multiplied by max(1, yᵀs/yᵀH_k·y), the scaling of Oren & Luenberger only
    where it lengthens, as Al-Baali found best: what was learnt where f was steep does not shorten the steps for long.
    An update is left out where yᵀs < 1e-6·|∇f(x_k)ᵀs|, which line_search=armijo allows.
    """

    name = "bfgs"
    summary = "quasi-Newton with a full matrix: for up to some hundreds of variables"
    reference = (
        "J. Nocedal, S. J. Wright, Numerical Optimization, 2nd ed., Springer 2006, algorithm 6.1; S. S. Oren, D. G. "
        "Luenberger, Self-scaling variable metric (SSVM) algorithms, part I, Management Science 20 (1974) 845–862; "
        "M. Al-Baali, Numerical experience with a class of self-scaling quasi-Newton algorithms, J. Optim. Theory "
        "Appl. 96 (1998) 533–553"
    )

    line_search: str = line_search("wolfe")

    @property
    def size_limit(self) -> int:
        return SQUARE

    def forget(self, point: Point) -> State:
        n = len(point.x)
        return (np.zeros((n, n)),)

    def blank(self, memory: State) -> bool:
        return bool(memory[0][0, 0] == 0.0)  # a positive definite matrix has no zero there

    def direction(self, memory: State, point: Point) -> tuple[Array, float]:
        return -(memory[0] @ point.gradient), 1.0

    def learn(self, memory: State, step: Step) -> State:
        s, y, ys = step.s, step.y, step.curvature
        if not ys:
            return memory
        H = np.eye(len(s)) if self.blank(memory) else memory[0]
        Hy = H @ y
        scale = ys / float(y @ Hy)
        if self.blank(memory) or 1.0 < scale < np.inf:
            H, Hy = scale * H, scale * Hy
        # (6.17) multiplied out is H + s·wᵀ + w·sᵀ, symmetric to the last bit
        w = (0.5 * (1.0 + float(y @ Hy) / ys) * s - Hy) / ys
        half = np.outer(s, w)
        return (H + (half + half.T),)
