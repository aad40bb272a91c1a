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
        return bool(memory[2][0] == 0.0)

    def direction(self, memory: State, point: Point) -> tuple[Array, float]:
        return Memory(*memory).down(point.gradient), 1.0

    def learn(self, memory: State, step: Step) -> State:
        return Memory(*memory).after(step)


class Memory(NamedTuple):
    """The last m pairs (s, y) in c = m + 1 slots, and inner products of theirs, each computed once.

    A step asks for the products of all rows with the new gradient and no more: differences of these are the products
    with the new y: Byrd, Nocedal & Schnabel, Representations of quasi-Newton matrices and their use in limited memory
    methods, Math. Programming 63 (1994) 129–156, section 3.2. The two-loop recursion then is one on numbers.

    The k-th pair is in slot k modulo c; the slot that is free holds what fell out last, with zeros in all matrices. A
    step writes its pair there, into the array that all memories of a run share: copies would cost more than all else.
    So an iterate is stepped from once; the one before the last may be stepped from again.
    """

    rows: Array  # shape (2c, n): s and y in turn
    written: Array  # shape (1,): how often `rows` were written to, by this memory or later ones
    seen: Array  # shape (2,): the number of pairs that this memory knows, and of writings that it has seen
    D: Array  # shape (c,): s_iᵀy_i
    U: Array  # shape (c, c): the inverse of R, the upper triangle of SᵀY in the order of the pairs
    YY: Array  # shape (c, c): y_iᵀy_j
    G: Array  # shape (c, 2): s_iᵀg and y_iᵀg for the gradient g at the iterate

    @classmethod
    def empty(cls, m: int, n: int) -> Memory:
        c = m + 1
        square = np.zeros((c, c))
        return cls(np.zeros((2 * c, n)), np.zeros(1), np.zeros(2), np.zeros(c), square, square, np.zeros((c, 2)))

    @property
    def used(self) -> int:
        """How many slots have held a pair."""
        return min(int(self.seen[0]), len(self.D))

    def after(self, step: Step) -> Memory:
        """With the pair of a step, unless it has no curvature, and products with the gradient that it led to."""
        c, (known, seen), rows, written = len(self.D), map(int, self.seen), self.rows, self.written
        if written[0] != seen or not rows.flags.writeable:
            assert written[0] <= seen + 1, "pairs of an iterate that lies further back are overwritten"
            rows, written = rows.copy(), self.written.copy()
        written += 1.0
        new, old = known % c, (known + 1) % c
        step.write(rows[2 * new], rows[2 * new + 1])
        ys = step.curvature
        if ys:
            known += 1
        else:
            rows[2 * new : 2 * new + 2] = 0.0
        now, used = np.array([float(known), float(written[0])]), min(known, c)
        G = np.zeros((c, 2))
        if used:
            G[:used] = dots(rows[: 2 * used], step.trial.g).reshape(-1, 2)
        if not ys:
            return Memory(rows, written, now, self.D, self.U, self.YY, G)
        D, U, YY, change = self.D.copy(), self.U.copy(), self.YY.copy(), G - self.G
        D[old], U[old], U[:, old], YY[old], YY[:, old], change[old] = (0.0,) * 6
        U[:, new] = (U @ change[:, 0]) / -ys
        YY[:, new] = YY[new] = change[:, 1]
        D[new], U[new, new], YY[new, new] = ys, 1.0 / ys, step.yy
        return Memory(rows, written, now, D, U, YY, G)

    def down(self, g: Array) -> Array:
        """−H·g for the gradient g at the iterate, a new array of shape (n,); of one pair at least.

        The two loops with q and their result as combinations of g and the pairs: a_i = ρ_i·s_iᵀq from the newest to the
        oldest is to solve R·a = Sᵀg, and the second loop solves with Rᵀ likewise.
        """
        newest, used = int(self.seen[0] - 1) % len(self.D), self.used
        gamma = float(self.D[newest] / self.YY[newest, newest])
        a = self.U @ self.G[:, 0]
        weights = np.empty_like(self.G)
        weights[:, 0] = self.U.T @ (gamma * (self.G[:, 1] - self.YY @ a) - self.D * a)
        weights[:, 1] = gamma * a
        d = combined(weights[:used].ravel(), self.rows[: 2 * used])
        d -= gamma * g
        return d
