"""L-BFGS: the last displacements and changes of the gradient in place of a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optcli.optimize.iterate import Array, Point, State
from optcli.optimize.methods.descent import Descent, Step, line_search
from optcli.optimize.methods.method import Whole, parameter
from optcli.optimize.products import combined, dots


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

    # The memory is Memory's fields: arrays of fixed shapes, so that a file can hold them.

    def forget(self, point: Point) -> State:
        return Memory.empty(self.memory, len(point.x))

    def blank(self, memory: State) -> bool:
        return Memory(*memory).held == 0

    def direction(self, memory: State, point: Point) -> tuple[Array, float]:
        return Memory(*memory).down(point.gradient), 1.0

    def learn(self, memory: State, step: Step) -> State:
        return Memory(*memory).after(step)


class Memory(NamedTuple):
    """The last pairs (s, y), oldest first, and inner products of theirs, each computed once.

    A step asks for the products of all rows with the new gradient and no more: differences of these are the products
    with the new y: Byrd, Nocedal & Schnabel, Representations of quasi-Newton matrices and their use in limited memory
    methods, Math. Programming 63 (1994) 129–156, section 3.2. The two-loop recursion then is one on numbers.

    Rows are written behind those of the step before into the same array, which no older memory looks at; where there
    is no room, or another step from the same memory has taken it, what is still needed is copied.
    """

    rows: Array  # shape (2c, n): s and y in turn, of c pairs at most
    taken: Array  # shape (1,): pairs that were written to `rows`, shared by all memories with these rows
    span: Array  # shape (2,): the first pair of this memory, and one beyond the last
    D: Array  # shape (m,): s_iᵀy_i, the newest last, zero where there is no pair yet, as below
    U: Array  # shape (m, m): the inverse of R, the upper triangle of SᵀY
    YY: Array  # shape (m, m): y_iᵀy_j
    G: Array  # shape (m, 2): s_iᵀg and y_iᵀg for the gradient g at the iterate

    @classmethod
    def empty(cls, m: int, n: int) -> Memory:
        square = np.zeros((m, m))
        return cls(
            np.zeros((2 * (m + m // 2 + 1), n)), np.zeros(1), np.zeros(2), np.zeros(m), square, square, np.zeros((m, 2))
        )

    @property
    def held(self) -> int:
        """The number k of pairs."""
        return int(self.span[1] - self.span[0])

    @property
    def pairs(self) -> Array:
        """The rows of this memory, shape (2k, n)."""
        first, end = self.span.tolist()
        return self.rows[2 * int(first) : 2 * int(end)]

    def after(self, step: Step) -> Memory:
        """With the pair of a step, unless it has no curvature, and products with the gradient that it led to."""
        m = len(self.D)
        rows, taken, span = self._behind(step)
        ys = step.curvature
        if ys:
            taken[0] = span[1]
            here = self._replace(rows=rows, taken=taken, span=span)
        else:
            here = self
        G = np.zeros((m, 2))
        if here.held:
            G[m - here.held :] = dots(here.pairs, step.trial.g).reshape(-1, 2)
        if not ys:
            return here._replace(G=G)
        D, U, YY = np.empty(m), np.zeros((m, m)), np.empty((m, m))
        D[:-1], U[:-1, :-1], YY[:-1, :-1] = self.D[1:], self.U[1:, 1:], self.YY[1:, 1:]
        change = G[:-1] - self.G[1:]
        D[-1], U[-1, -1], YY[-1, -1] = ys, 1.0 / ys, step.yy
        U[:-1, -1] = (U[:-1, :-1] @ change[:, 0]) / -ys
        YY[:-1, -1] = YY[-1, :-1] = change[:, 1]
        return Memory(rows, taken, span, D, U, YY, G)

    def _behind(self, step: Step) -> tuple[Array, Array, Array]:
        """`rows`, `taken` and `span` with s and y behind the others, not taken yet, and without the oldest of m."""
        (first, end), rows, taken = map(int, self.span), self.rows, self.taken
        first += end - first == len(self.D)
        if 2 * end == len(rows) or end < taken[0] or not rows.flags.writeable:
            rows, taken = np.zeros_like(rows), np.zeros(1)
            rows[: 2 * (end - first)] = self.rows[2 * first : 2 * end]
            first, end = 0, end - first
        step.write(rows[2 * end], rows[2 * end + 1])
        return rows, taken, np.array([float(first), end + 1.0])

    def down(self, g: Array) -> Array:
        """−H·g for the gradient g at the iterate, a new array of shape (n,); of one pair at least.

        The two loops with q and their result as combinations of g and the pairs: a_i = ρ_i·s_iᵀq from the newest to the
        oldest is to solve R·a = Sᵀg, and the second loop solves with Rᵀ likewise.
        """
        gamma = float(self.D[-1] / self.YY[-1, -1])
        a = self.U @ self.G[:, 0]
        weights = np.empty_like(self.G)
        weights[:, 0] = self.U.T @ (gamma * (self.G[:, 1] - self.YY @ a) - self.D * a)
        weights[:, 1] = gamma * a
        d: Array = np.multiply(g, -gamma)
        d += combined(weights[len(a) - self.held :].ravel(), self.pairs)
        return d
