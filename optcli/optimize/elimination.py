"""Symmetric elimination in a band with a border, every other block at once: H = LDLᵀ in the order of nested halves.

Blocks of b variables touch their two neighbours alone. Those with odd numbers are eliminated all at the same time,
which leaves a matrix of the same form, half as long, for the even ones (cyclic reduction: Golub & Van Loan, Matrix
Computations, 4th ed., section 4.5.4). numpy's operations so are as long as can be, and their number grows with log n.
The border is last: its Schur complement is a small dense matrix. Signs of pivots are signs of eigenvalues (Sylvester;
Haynsworth, Linear Algebra Appl. 1 (1968) 73–81).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optcli.optimize.band import Band
from optcli.optimize.iterate import Array
from optcli.optimize.products import dot
from optcli.optimize.rounding import EPS

TINY = 4.0 * EPS  # of the largest entry: a pivot below it may be rounding alone


class _Level(NamedTuple):
    """The blocks eliminated at once, m of them with p variables each."""

    rows: Any  # shape (p, p + 2p, m): above the diagonal D·Lᵀ, on it D, below it L, and L⁻¹ times the couplings
    right: int  # how many of them have a neighbour on the right


class Factor:
    """The factors of H + shift·I; a complex shift makes any H regular.

    `negative` is the number of negative eigenvalues, to be trusted where none is within `error` of zero.
    """

    def __init__(self, H: Band, shift: complex = 0.0) -> None:
        self._n, self._p = H.size, max(H.width, 1)
        kind = np.result_type(np.float64, type(shift)) if isinstance(shift, complex) else np.dtype(np.float64)
        size = max(float(np.max(np.abs(H.upper), initial=0.0)), float(np.max(np.abs(H.columns), initial=0.0)))
        size += abs(shift)
        self._tiny = TINY * size
        self._size = size
        self.negative = 0
        self._sound = bool(np.isfinite(size))
        self._levels: list[_Level] = []
        D, E = self._blocks(H, shift, kind)
        while self._sound and D.shape[2] > 1:
            D, E = self._halved(D, E)
        last = np.zeros((self._p, 3 * self._p, 1), dtype=kind)
        last[:, : self._p] = D[:, :, :1]
        self._pivots(last)
        self._levels.append(_Level(last, 0))
        self._border = H.border
        if self._sound and len(H.border):
            self._bordered(H, shift)

    @property
    def error(self) -> float:
        """How far, by norm, the matrix may be from the one whose factors these are; infinite where a pivot is none.

        It grows with what was subtracted on the way, which is no more than `size` where all is positive.
        """
        if not self._sound:
            return np.inf
        grown = self._size
        for rows, _ in self._levels:
            for k, row in enumerate(np.abs(rows)):
                grown = max(grown, float(np.max(np.max(row[k + 1 :], axis=0) ** 2 / row[k])))
        if len(self._border):
            grown = max(grown, _largest(self._lost))
        return 4.0 * self._p * EPS * grown

    @property
    def positive(self) -> bool:
        """Whether all eigenvalues are positive."""
        return self._sound and self.negative == 0

    def solve(self, f: Any) -> Any:
        """(H + shift·I)⁻¹f, shape (n,)."""
        if not len(self._border):
            return self._within(f)
        y = f.copy()
        y[self._border] = 0.0
        y = self._within(y)
        rest = np.array([f[j] - _dot(c, y) for j, c in zip(self._border, self._couplings, strict=True)])
        ends = np.linalg.solve(self._corner, rest)
        for end, z in zip(ends, self._solved, strict=True):
            y = y - end * z
        y[self._border] = ends
        return y

    # ------------------------------------------------------------ the factors

    def _blocks(self, H: Band, shift: complex, kind: Any) -> tuple[Any, Any]:
        """The diagonal blocks and those on their left, shape (p, p, N) each, filled up with an identity."""
        p, n = self._p, self._n
        count = -(-n // p)
        lines = np.zeros((2 * p, count * p), dtype=kind)
        lines[: len(H.upper), :n] = H.upper
        lines[0, :n] += shift
        lines[0, n:] = 1.0
        lines[0, H.border] = 1.0  # they come last
        D, E = np.zeros((p, p, count), dtype=kind), np.zeros((p, p, count), dtype=kind)
        for i in range(p):
            for j in range(p):
                D[i, j] = lines[abs(j - i), min(i, j) :: p]
                E[i, j, 1:] = lines[p + i - j, j::p][:-1]
        return D, E

    def _halved(self, D: Any, E: Any) -> tuple[Any, Any]:
        """The blocks that are left when the odd ones are gone."""
        p = self._p
        odd, even = D.shape[2] // 2, -(-D.shape[2] // 2)
        right = even - 1
        rows = np.zeros((p, 3 * p, odd), dtype=D.dtype)
        rows[:, :p] = D[:, :, 1::2]
        rows[:, p : 2 * p] = E[:, :, 1::2]
        rows[:, 2 * p :, :right] = E[:, :, 2::2].transpose(1, 0, 2)
        self._pivots(rows)
        self._levels.append(_Level(rows, right))
        D, E = D[:, :, ::2].copy(), np.zeros((p, p, even), dtype=D.dtype)
        for k in range(p):
            row = rows[k, p:]
            part = row / rows[k, k]
            D[:, :, :odd] -= row[:p, None] * part[None, :p]
            D[:, :, 1 : right + 1] -= row[p:, None, :right] * part[None, p:, :right]
            E[:, :, 1 : right + 1] -= row[p:, None, :right] * part[None, :p, :right]
        return D, E

    def _pivots(self, rows: Any) -> None:
        """Eliminate within the blocks, in place, and look at the pivots."""
        for k in range(self._p):
            pivots = rows[k, k]
            sizes = np.abs(pivots)
            if not (sizes.min() > self._tiny and sizes.max() < np.inf):  # NaN is not
                self._sound = False
            if pivots.dtype.kind == "f":
                self.negative += int(np.count_nonzero(pivots < 0.0))
            for i in range(k + 1, self._p):
                part = rows[i, k] / pivots
                rows[i, k + 1 :] -= part * rows[k, k + 1 :]
                rows[i, k] = part

    def _bordered(self, H: Band, shift: complex) -> None:
        """The Schur complement C − EᵀB⁻¹E of the border."""
        self._couplings = H.columns.copy()
        self._couplings[:, H.border] = 0.0
        self._solved = [self._within(column) for column in self._couplings]
        self._lost = lost = np.array([[_dot(c, z) for z in self._solved] for c in self._couplings])
        corner = H.columns[:, H.border] + shift * np.eye(len(H.border))
        self._corner = corner - 0.5 * (lost + lost.T)
        if not np.isfinite(_largest(self._corner)):
            self._sound = False
        elif np.iscomplexobj(self._corner):
            self._sound = self._sound and float(np.min(np.abs(np.linalg.eigvals(self._corner)))) > self._tiny
        else:
            ends = np.linalg.eigvalsh(self._corner)
            self.negative += int(np.count_nonzero(ends < 0.0))
            rough = max(self._tiny, TINY * _largest(lost))
            self._sound = self._sound and float(np.min(np.abs(ends))) > rough

    # ------------------------------------------------------------ solving

    def _within(self, f: Any) -> Any:
        """B⁻¹f, B the band alone."""
        p, count = self._p, -(-self._n // self._p)
        kind = np.result_type(f, self._levels[-1].rows)
        here = np.zeros(count * p, dtype=kind)
        here[: self._n] = f
        here = here.reshape(count, p).T.copy()
        odds = []
        for level in self._levels[:-1]:
            z = _down(level, here[:, 1::2].copy())
            here = here[:, ::2].copy()
            rows, right = level
            for k in range(p):
                here[:, : z.shape[1]] -= rows[k, p : 2 * p] * z[k]
                here[:, 1 : right + 1] -= rows[k, 2 * p :, :right] * z[k, :right]
            odds.append(z)
        here = _up(self._levels[-1], _down(self._levels[-1], here))
        for level, z in zip(reversed(self._levels[:-1]), reversed(odds), strict=True):
            rows, right = level
            for k in range(p):
                for j in range(p):
                    z[k] -= rows[k, p + j] / rows[k, k] * here[j, : z.shape[1]]
                    z[k, :right] -= rows[k, 2 * p + j, :right] / rows[k, k, :right] * here[j, 1 : right + 1]
            both = np.empty((p, z.shape[1] + here.shape[1]), dtype=kind)
            both[:, ::2], both[:, 1::2] = here, _up(level, z)
            here = both
        out: Any = here.T.reshape(-1)[: self._n]
        return np.ascontiguousarray(out)


def _down(level: _Level, f: Any) -> Any:
    """D⁻¹L⁻¹f within the blocks, in place."""
    rows = level.rows
    p = len(rows)
    for k in range(p):
        for i in range(k + 1, p):
            f[i] -= rows[i, k] * f[k]
    for k in range(p):
        f[k] /= rows[k, k]
    return f


def _up(level: _Level, f: Any) -> Any:
    """L⁻ᵀf within the blocks, in place."""
    rows = level.rows
    p = len(rows)
    for k in range(p - 1, -1, -1):
        for i in range(k + 1, p):
            f[k] -= rows[i, k] * f[i]
    return f


def _largest(array: Any) -> float:
    return float(np.max(np.abs(array), initial=0.0))


def _dot(a: Array, b: Any) -> Any:
    """aᵀb, b perhaps complex."""
    if not np.iscomplexobj(b):
        return dot(a, b)
    return dot(a, np.ascontiguousarray(b.real)) + 1j * dot(a, np.ascontiguousarray(b.imag))
