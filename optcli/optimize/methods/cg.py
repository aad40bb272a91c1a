"""Nonlinear conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optcli.optimize.iterate import Array, Point, State
from optcli.optimize.methods.descent import Descent, Step, line_search
from optcli.optimize.methods.method import Whole, Words, parameter
from optcli.optimize.products import dot, norm

FLOOR = 0.4  # η in the truncation of β, Hager & Zhang 2013 and CG_DESCENT from version 5 on


@dataclass(frozen=True)
class ConjugateGradients(Descent):
    """d_0 = −g_0,  x_{k+1} = x_k + α_k·d_k,  d_{k+1} = −g_{k+1} + β_k·d_k,  g = ∇f(x),  y = g_{k+1} − g_k

    fletcher_reeves: β_k = ‖g_{k+1}‖²/‖g_k‖², Nocedal & Wright eq. (5.41a)
    polak_ribiere_plus: β_k = max(0, g_{k+1}ᵀy/‖g_k‖²), eq. (5.44)–(5.45)
    hager_zhang: β_k = max((y − 2·d_k·‖y‖²/d_kᵀy)ᵀg_{k+1}/d_kᵀy, 0.4·d_kᵀg_k/‖d_k‖²), Hager & Zhang 2005 with
    the lower bound of their paper of 2013, which is free of units where the one of 2005 is not

    On a quadratic with line_search=exact the three are linear conjugate gradients and end in n steps. d = −g again
    after restart·n steps, and where d would not descend. The first trial of a step is α_{k-1}·g_{k-1}ᵀd_{k-1}/g_kᵀd_k,
    which keeps the first-order change of f, Nocedal & Wright p. 59, but no longer than the displacement before: slopes
    may collapse.
    """

    name = "cg"
    summary = "conjugate gradients: for very many variables, with the memory of a few vectors"
    reference = (
        "R. Fletcher, C. M. Reeves, Function minimization by conjugate gradients, Computer J. 7 (1964) 149–154; E. "
        "Polak, G. Ribière, Note sur la convergence de méthodes de directions conjuguées, Rev. Française Informat. "
        "Recherche Opérationnelle 3 (1969) 35–43; W. W. Hager, H. Zhang, A new conjugate gradient method with "
        "guaranteed descent and an efficient line search, SIAM J. Optim. 16 (2005) 170–192; W. W. Hager, H. Zhang, "
        "The limited memory conjugate gradient method, SIAM J. Optim. 23 (2013) 2150–2168"
    )
    c2: ClassVar[float] = 0.1  # Nocedal & Wright p. 34; below 1/2 Fletcher–Reeves descends, chapter 5

    beta: str = parameter(
        "hager_zhang", "which formula", Words(("hager_zhang", "polak_ribiere_plus", "fletcher_reeves"))
    )
    restart: int = parameter(6, "start again with -g after so many times n steps, 0: never", Whole(0))  # CG_DESCENT's
    line_search: str = line_search("wolfe")

    # The memory is ([steps since −g, step length to try first], d).

    def forget(self, point: Point) -> State:
        return np.zeros(2), np.zeros_like(point.x)

    def blank(self, memory: State) -> bool:
        return bool(memory[0][0] == 0.0)

    def direction(self, memory: State, point: Point) -> tuple[Array, float]:
        return memory[1], float(memory[0][1])

    def learn(self, memory: State, step: Step) -> State:
        since, before, d, trial = memory[0][0] + 1.0, step.before, step.d, step.trial
        if self.restart and since >= self.restart * len(d):
            return self.forget(before)
        following = self.coefficient(before.gradient, trial.g, d, step.y) * d - trial.g
        slope = dot(following, trial.g)
        if not -np.inf < slope < 0.0:
            return self.forget(before)
        alpha = min(step.slope / slope, norm(d) / norm(following)) * trial.alpha
        return np.array([since, alpha]), following

    def coefficient(self, g: Array, after: Array, d: Array, y: Array) -> float:
        """β_k from g_k, g_{k+1}, d_k and y."""
        if self.beta == "fletcher_reeves":
            return dot(after, after) / dot(g, g)
        if self.beta == "polak_ribiere_plus":
            return max(0.0, dot(after, y) / dot(g, g))
        dy = dot(d, y)
        if dy <= 0.0:  # without Wolfe's condition; the formula's guarantee of descent needs dᵀy ≠ 0 only
            return 0.0
        beta = (dot(y, after) - 2.0 * dot(y, y) / dy * dot(d, after)) / dy
        return max(beta, FLOOR * dot(d, g) / dot(d, d))
