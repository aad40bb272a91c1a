"""L-BFGS: the last displacements and changes of the gradient in place of a matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, Point, State
from optcli.optimize.methods.descent import Descent, Step, line_search
from optcli.optimize.methods.method import Whole, parameter
from optcli.optimize.products import dot


@dataclass(frozen=True)
class LBFGS(Descent):
    """d_k = −H_k·∇f(x_k),  x_{k+1} = x_k + α_k·d_k,  s = x_{k+1} − x_k,  y = ∇f(x_{k+1}) − ∇f(x_k),  ρ = 1/yᵀs

    H_k is what the BFGS updates with the last `memory` pairs (s, y) make of (yᵀs/yᵀy)·I, eq. (7.20) with the newest
    pair; its product with the gradient is the two-loop recursion, Nocedal & Wright algorithm 7.4:
    q ← ∇f;  newest to oldest:  a_i = ρ_i·s_iᵀq,  q ← q − a_i·y_i
    q ← (yᵀs/yᵀy)·q;  oldest to newest:  q ← q + (a_i − ρ_i·y_iᵀq)·s_i

    The first direction is −∇f. A pair is left out where yᵀs < 1e-6·|∇f(x_k)ᵀs|, the cautious rule of Li & Fukushima
    without units; line_search=armijo needs it.
    """

    name = "lbfgs"
    summary = "quasi-Newton from the last few steps: for many variables"
    reference = (
        "J. Nocedal, Updating quasi-Newton matrices with limited storage, Math. Comp. 35 (1980) 773–782; D. C. Liu, "
        "J. Nocedal, On the limited memory BFGS method for large scale optimization, Math. Programming 45 (1989) "
        "503–528; D.-H. Li, M. Fukushima, On the global convergence of the BFGS method for nonconvex unconstrained "
        "optimization problems, SIAM J. Optim. 11 (2001) 1054–1064"
    )

    memory: int = parameter(10, "pairs of displacement and gradient change that are kept", Whole())
    line_search: str = line_search("wolfe")

    # The memory is (yᵀs newest first, s newest first …, y newest first …); what is not there yet is zero. Vectors of
    # their own are passed on by reference, where a matrix would be copied at each step.

    def forget(self, point: Point) -> State:
        zero = np.zeros_like(point.x)
        return (np.zeros(self.memory), *[zero] * (2 * self.memory))

    def blank(self, memory: State) -> bool:
        return bool(memory[0][0] == 0.0)

    def direction(self, memory: State, point: Point) -> tuple[Array, float]:
        return inverse_times(memory, -point.gradient), 1.0

    def learn(self, memory: State, step: Step) -> State:
        ys, m = step.curvature, self.memory
        if not ys:
            return memory
        curvatures, *pairs = memory
        return np.append(ys, curvatures[:-1]), step.s, *pairs[: m - 1], step.y, *pairs[m:-1]


def inverse_times(memory: State, v: Array) -> Array:
    """H·v by the two-loop recursion, a new array of shape (n,); the memory has one pair at least."""
    curvatures, *pairs = memory
    m, k = len(curvatures), int(np.count_nonzero(curvatures))
    newest_first = list(zip(curvatures[:k].tolist(), pairs[:k], pairs[m : m + k], strict=True))
    q, part, a = v.copy(), np.empty_like(v), []
    for ys, s, y in newest_first:
        a.append(dot(s, q) / ys)
        q -= np.multiply(y, a[-1], out=part)
    ys, _, y = newest_first[0]
    q *= ys / dot(y, y)
    for (ys, s, y), ai in zip(reversed(newest_first), reversed(a), strict=True):
        q += np.multiply(s, ai - dot(y, q) / ys, out=part)
    return q
