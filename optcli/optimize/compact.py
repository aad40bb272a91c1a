"""Limited-memory BFGS matrices in compact form, and what L-BFGS-B computes with them in a box."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optcli.optimize.iterate import Array, Mask
from optcli.optimize.products import combined, dot, dots
from optcli.optimize.rounding import EPS

CHUNK = 4096  # breakpoints that are looked at together


class Pairs(NamedTuple):
    """The last k displacements s and changes y of the gradient, each pair scaled to s·y = 1, oldest first.

    That scaling leaves BFGS matrices as they are. The products are kept, so that a new pair costs 3k of them.
    """

    S: Array  # shape (k, n)
    Y: Array  # shape (k, n)
    SS: Array  # S Sᵀ, shape (k, k)
    SY: Array  # S Yᵀ
    YY: Array  # Y Yᵀ

    @classmethod
    def none(cls, n: int) -> Pairs:
        return cls(np.zeros((0, n)), np.zeros((0, n)), *(np.zeros((0, 0)) for _ in range(3)))

    def after(self, s: Array, y: Array, most: int) -> Pairs:
        """With one more pair, the oldest dropped beyond `most`; unchanged where s·y is too small."""
        curvature = dot(s, y)
        if not curvature > EPS * dot(y, y):  # the test of Byrd et al.
            return self
        scale = 1.0 / np.sqrt(curvature)
        first = max(len(self.S) + 1 - most, 0)
        S = np.concatenate([self.S[first:], scale * s[None]])
        Y = np.concatenate([self.Y[first:], scale * y[None]])
        s, y = S[-1], Y[-1]
        Ss, Ys, Yy = dots(S, s), dots(Y, s), dots(Y, y)
        return Pairs(
            S,
            Y,
            _bordered(self.SS[first:, first:], Ss, Ss),
            _bordered(self.SY[first:, first:], dots(S, y), Ys),
            _bordered(self.YY[first:, first:], Yy, Yy),
        )


def _bordered(A: Array, column: Array, row: Array) -> Array:
    """A with a last column and a last row, which share their last entry."""
    k = len(A)
    out = np.empty((k + 1, k + 1))
    out[:k, :k], out[:, k], out[k, :] = A, column, row
    return out


class Compact(NamedTuple):
    """B = θI − Wᵀ M W of k pairs, as Byrd, Lu, Nocedal & Zhu write it, W being their Wᵀ.

    W has the rows y_1 … y_k, θs_1 … θs_k.
    """

    theta: float
    pairs: Pairs
    M: Array  # shape (2k, 2k)

    @classmethod
    def of(cls, pairs: Pairs) -> Compact | None:
        """B; None where the pairs contradict each other in doubles."""
        k = len(pairs.S)
        if not k:
            return cls(1.0, pairs, np.zeros((0, 0)))
        theta = float(pairs.YY[-1, -1])
        L = np.tril(pairs.SY, -1)
        try:
            M = np.linalg.inv(np.block([[-np.eye(k), L.T], [L, theta * pairs.SS]]))
        except np.linalg.LinAlgError:
            return None
        return cls(theta, pairs, 0.5 * (M + M.T)) if np.isfinite(M).all() else None

    def down(self, v: Array) -> Array:
        """Wv, shape (2k,)."""
        return np.concatenate([dots(self.pairs.Y, v), self.theta * dots(self.pairs.S, v)])

    def up(self, c: Array) -> Array:
        """Wᵀc, shape (n,)."""
        k = len(self.pairs.S)
        return combined(c[:k], self.pairs.Y) + combined(self.theta * c[k:], self.pairs.S)

    def columns(self, of: NDArray[np.intp]) -> Array:
        """W's columns of some variables, shape (2k, len(of))."""
        return np.concatenate([self.pairs.Y[:, of], self.theta * self.pairs.S[:, of]])

    def gram(self, free: Mask) -> Array:
        """W Wᵀ over the variables where `free`, shape (2k, 2k): of these or of the others, whichever are fewer."""
        some = 2 * np.count_nonzero(free) < len(free)
        V = self.columns(np.flatnonzero(free if some else ~free))
        if some:
            return V @ V.T
        t, (_, _, SS, SY, YY) = self.theta, self.pairs
        return np.block([[YY, t * SY.T], [t * SY, t * t * SS]]) - V @ V.T

    def product(self, v: Array) -> Array:
        """Bv, shape (n,)."""
        return self.theta * v - self.up(self.M @ self.down(v))


def cauchy_point(x: Array, g: Array, lower: Array, upper: Array, B: Compact) -> tuple[Array, Array]:
    """The first local minimizer x_c of the model g·z + ½ z·Bz along P(x − tg), t ≥ 0; and W(x_c − x).

    Byrd et al., Algorithm CP. Between breakpoints, where a variable reaches its bound, the path is straight; its
    slopes f′ and f″ at all of them are sums over the variables in the order of their breakpoints, here taken
    thousands at a time.
    """
    theta, M = B.theta, B.M
    t = np.divide(x - np.where(g < 0.0, upper, lower), g, out=np.full_like(x, np.inf), where=g != 0.0)
    d = np.where(t > 0.0, -g, 0.0)
    order = np.flatnonzero((t > 0.0) & (t < np.inf))
    order = order[np.argsort(t[order], kind="stable")]
    times = np.append(t[order], np.inf)
    rest = float(np.sum(d[t == np.inf] ** 2))
    squares = rest + np.append(np.cumsum((d[order] ** 2)[::-1])[::-1], 0.0)  # d·d from each breakpoint on
    p, c, now, first = B.down(d), np.zeros(len(M)), 0.0, 0
    while True:
        last = min(first + CHUNK, len(order))  # segments first … last; segment j begins at breakpoint j − 1
        begins = np.concatenate([[now], times[first:last]])
        some = order[first:last]
        P = np.vstack([p, p - np.cumsum(d[some, None] * B.columns(some).T, axis=0)])
        C = np.vstack([c, c + np.cumsum(np.diff(begins)[:, None] * P[:-1], axis=0)])
        dd = squares[first : last + 1]
        PM = P @ M
        slope = (theta * begins - 1.0) * dd - np.sum(PM * C, axis=1)
        curvature = np.maximum(theta * dd - np.sum(PM * P, axis=1), EPS * theta * dd)
        onward = np.where(slope < 0.0, np.divide(-slope, curvature, out=np.zeros_like(dd), where=dd > 0.0), 0.0)
        ends = (begins + onward < times[first : last + 1]) | (dd == 0.0)
        if ends.any() or last == len(order):
            j = int(np.argmax(ends)) if ends.any() else last - first
            stop = float(begins[j] + onward[j])
            moved = np.where(t <= stop, np.where(g < 0.0, upper, lower), x + stop * d)
            return np.where(d != 0.0, np.clip(moved, lower, upper), x), C[j] + onward[j] * P[j]
        # the last segment of a chunk is the first of the next
        p, c, now, first = P[-1], C[-1], float(begins[-1]), last


def subspace_minimizer(x: Array, g: Array, lower: Array, upper: Array, B: Compact, cauchy: Array, c: Array) -> Array:
    """A point of the box with a lower model than the Cauchy point, whose variables at bounds stay there.

    The minimizer over the other variables by the direct primal method, Byrd et al., section 5.1, projected on the box;
    shortened to its edge instead where the displacement from x would not go down: Morales & Nocedal, Remark on
    Algorithm 778, ACM Trans. Math. Softw. 38 (2011) 7.
    """
    theta, M = B.theta, B.M
    free = (cauchy > lower) & (cauchy < upper)
    if not free.any():
        return cauchy
    r = np.where(free, g + theta * (cauchy - x) - B.up(M @ c), 0.0)
    small = np.eye(len(M)) - M @ B.gram(free) / theta
    try:
        v = np.asarray(np.linalg.solve(small, M @ B.down(r)), dtype=np.float64)
    except np.linalg.LinAlgError:
        return cauchy
    du = -(r + B.up(v) / theta)[free] / theta
    if not np.isfinite(du).all():
        return cauchy
    lo, up, at = lower[free], upper[free], cauchy[free]
    found = cauchy.copy()
    found[free] = np.clip(at + du, lo, up)
    if dot(g, found - x) < 0.0:
        return found
    alpha = min(1.0, float(np.min(reach(at, du, lo, up))))
    found[free] = np.clip(at + alpha * du, lo, up)
    return found if dot(g, found - x) < 0.0 else cauchy


def reach(x: Array, d: Array, lower: Array, upper: Array) -> Array:
    """The alpha at which each entry of x + alpha d is at its bound; infinite where it has none. Shape (n,)."""
    return np.divide(np.where(d < 0.0, lower, upper) - x, d, out=np.full_like(x, np.inf), where=d != 0.0)
