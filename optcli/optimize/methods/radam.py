"""RAdam: Adam that waits until the variance of its rates is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optcli.optimize.iterate import Array, State
from optcli.optimize.methods.adam import Adam

KNOWN = 5.0  # of rho: where the authors' code begins to rectify; the paper has 4, where r begins at 0


@dataclass(frozen=True)
class RAdam(Adam):
    """rho = 2/(1 − beta2) − 1,  rho_i = rho − 2·i·beta2^i/(1 − beta2^i)
    r_i = √((rho_i − 4)·(rho_i − 2)·rho/((rho − 4)·(rho − 2)·rho_i))
    x_i = x_{i-1} − lr·m̂_i·r_i·√(1 − beta2^i)/(√v_i + eps)  where rho_i > 5
    x_i = x_{i-1} − lr·m̂_i                                otherwise

    with m̂ and v as in adam, from g_i = ∇f(x_{i-1}): Liu et al., entry by entry. The paper rectifies where
    rho_i > 4 and has no eps; 5 and eps are those of the authors' code and of torch.optim.RAdam.
    """

    name = "radam"
    summary = "adam whose first steps follow the momentum alone, until the mean of squares can be trusted"
    reference = (
        "L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao, J. Han, On the variance of the adaptive learning rate and "
        "beyond, ICLR 2020, arXiv:1908.03265"
    )

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        m, v = state
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        mhat = m / (1.0 - self.beta1**i)
        limit = 2.0 / (1.0 - self.beta2) - 1.0
        if limit <= KNOWN:  # which rho_i never exceeds
            return (m, v), -(lr * mhat)
        rest = 1.0 - self.beta2**i
        rho = limit - 2.0 * i * self.beta2**i / rest
        known = np.less(KNOWN, rho)
        r = np.sqrt(np.maximum((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho), 0.0))
        factor = known * (r * np.sqrt(rest) / (np.sqrt(v) + self.eps)) + (1.0 - known)
        return (m, v), -(lr * mhat * factor)
