"""Curvature of many variables where the Hessian is a band and a border: signs of eigenvalues by factors.

H − δI that is eliminated with positive pivots alone proves that all curvature is above δ. Curvature that is negative is
proved by a vector with vᵀHv below −δ, and eigenvalues are counted by pivots (Sylvester) where those have not grown.
δ holds the rounding of the factors, what an ulp of x changes, and what the matrix misses of a product of the problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.band import Band, Product, found, scattered
from optcli.optimize.curvature import KEPT, MARGIN, equilibrated, neighbour
from optcli.optimize.elimination import Factor
from optcli.optimize.iterate import Array, largest_entry
from optcli.optimize.products import combined, dot, dots, norm
from optcli.optimize.rounding import EPS
from optcli.optimize.sentences import unit

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

TURNS = 24  # steps of Lanczos' method on an inverse, which finds its end in a few
SETTLED, SHARP = 1e-3, 1e-6  # of the eigenvalue: the residual at which it has, and its vector too
FLAT_TURNS = 4  # of the filter that leaves what is nearest to zero
GROWTH = 8.0  # from one shift that is too small to the next


class UntoldError(Exception):
    """The Hessian elsewhere is no such band, as far as can be told."""


@dataclass(frozen=True, eq=False)
class Factored:
    """What is seen of H, m variables, and of S = D·H·D, D = diag(d) of powers of 2; see `seen.Seen`.

    Eigenvalues of S count from `doubt` on.
    """

    H: Band
    d: Array
    doubt: float

    @cached_property
    def S(self) -> Band:  # noqa: N802  # its name in the formulas
        return self.H.scaled(self.d)

    # ------------------------------------------------------------ signs

    @property
    def positive(self) -> int:
        return self._signs[0]

    @property
    def negative(self) -> int:
        return self._signs[1]

    @property
    def zero(self) -> int:
        return self.H.size - self.positive - self.negative

    @property
    def vague(self) -> bool:
        return self.zero > 0

    @cached_property
    def _signs(self) -> tuple[int, int]:
        """Positive and negative ones; where pivots do not tell, one of each as far as it is proved."""
        n, doubt, proved = self.H.size, self.doubt, False
        for _ in range(2):
            above = Factor(self.S, -doubt)
            if above.positive and above.error <= doubt:
                return n, 0
            below = Factor(self.S, doubt)
            proved = proved or (not below.positive and self._lowest[0] < -self.doubt)
            error = max(above.error, below.error)
            if error <= doubt and (proved or below.positive):
                return n - above.negative, max(below.negative, int(proved))
            doubt = max(doubt, 2.0 * error)  # fewer count, but for sure
        return int(bool(np.max(self.S.diagonal) > self.doubt)), int(proved)

    # ------------------------------------------------------------ directions

    @cached_property
    def _lowest(self) -> tuple[float, Array]:
        return _bottom(self.S, SHARP)

    @property
    def lowest(self) -> float:
        """0 where none is negative."""
        return self._lowest[0] if self.negative else 0.0

    @cached_property
    def smallest(self) -> float:
        """Where all are positive the inverse knows it to all digits, also beside large ones."""
        if self.positive == self.H.size:
            return 1.0 / _top(lambda v: self.d * self._solver.solve(self.d * v), self.H.size)[0]
        return _bottom(self.H)[0]

    @cached_property
    def largest(self) -> float:
        return -_bottom(self.H.plus(self.H, -1.0, 0.0))[0]

    @property
    def down(self) -> Array:
        return unit(self.d * self._lowest[1])

    @cached_property
    def flat(self) -> Array:
        """Im (S + iτI)⁻¹ has the eigenvalues −τ/(e² + τ²), largest in size where e is nearest to zero."""
        factor = Factor(self.S, 1j * self.doubt)
        v = scattered(self.H.size, 0)
        for _ in range(FLAT_TURNS):
            v = factor.solve(v / norm(v)).imag
        return unit(self.d * v)

    def nulls(self) -> list[Array]:
        return []

    # ------------------------------------------------------------ Newton's method

    def product(self, v: Array) -> Array:
        return self.H @ v

    def newton(self, g: Array) -> Array:
        """Where S is indefinite or singular, −D·S(S² + τ²)⁻¹·D·g = −Re D(S + iτI)⁻¹Dg: what is flat hardly counts."""
        step: Array = -self.d * np.ascontiguousarray(self._solver.solve(self.d * g).real)
        return step

    @cached_property
    def _solver(self) -> Factor:
        definite = self.positive == self.H.size
        return Factor(self.S) if definite else Factor(self.S, 1j * np.sqrt(self.doubt))

    def at(self, problem: Problem, x: Array, free: Array) -> Band:
        """Raises UntoldError."""
        other = found(problem.product_at(x, free), len(free), self.H.shape)
        if other is None:
            raise UntoldError
        return other

    def of(self, other: Band) -> Factored:
        return Factored(other, _equilibrated(other), self.doubt)

    def ratio(self, other: Band) -> tuple[float, float]:
        """KEPT, where other − 0.55H and 1.9H − other are positive definite; along `down` where H is not."""
        S = other.scaled(self.d)
        if self.positive == self.H.size:
            kept = Factor(S.plus(self.S, 1.0, -KEPT[0])).positive and Factor(self.S.plus(S, KEPT[1], -1.0)).positive
            return KEPT if kept else (0.0, np.inf)
        if not self.negative:
            return 1.0, 1.0  # what is not flat is not known apart
        lowest, v = self._lowest
        along = dot(v, S @ v) / lowest
        return along, along

    def bottom(self, other: Band) -> float:
        if not self.negative:
            return 0.0
        v = self._lowest[1]
        return dot(v, other.scaled(self.d) @ v)


def factored_at(problem: Problem, x: Array, free: Array) -> Factored | None:
    """What is seen at x on the free variables (numbers of entries); None where the Hessian is no band with a border."""
    m = len(free)
    product = problem.product_at(x, free)
    H = found(product, m)
    if H is None:
        return None
    other = found(problem.product_at(neighbour(problem, x, 0), free), m, H.shape)
    if other is None:
        return None
    d = _equilibrated(H)
    S, w = H.scaled(d), scattered(m, 7)
    missed = largest_entry(d * product(d * w) - S @ w)
    changed = other.scaled(d).plus(S, 1.0, -1.0).norm()
    rounding = 4.0 * (H.width + 1) * EPS * max(1.0, S.norm())
    doubt = MARGIN * max(rounding, changed, 2.0 * missed)  # |w| is ½ or more
    return Factored(H, d, doubt) if np.isfinite(doubt) else None


def _equilibrated(H: Band) -> Array:
    return equilibrated(lambda d: _largest_of_rows(H.scaled(d)), H.size)


def _largest_of_rows(H: Band) -> Array:
    lines, columns = np.abs(H.upper), np.abs(H.columns)
    rows: Array = np.max(lines, axis=0)
    for o in range(1, len(lines)):
        rows[o:] = np.maximum(rows[o:], lines[o, :-o])
    for column in columns:
        rows = np.maximum(rows, column)
    rows[H.border] = np.max(columns, axis=1, initial=0.0)
    return rows


def _bottom(H: Band, enough: float = SETTLED) -> tuple[float, Array]:
    """The smallest eigenvalue, from above, and a unit vector along it: Lanczos' method on the inverse of H + σI.

    σ ≥ 0 is the first that makes it positive definite.
    """
    most = H.norm() or 1.0
    factor, shift = Factor(H), EPS * most
    while not factor.positive and shift <= GROWTH * most:
        factor = Factor(H, shift)
        shift *= GROWTH
    v = _top(factor.solve, H.size, enough)[1]
    return dot(v, H @ v), v


def _top(product: Product, n: int, enough: float = SETTLED) -> tuple[float, Array]:
    """The largest eigenvalue of a positive definite matrix, from below, and a unit vector along it: Lanczos' method.

    Golub & Van Loan, section 10.1; made orthogonal twice, as one pass loses digits in each step.
    """
    v = scattered(n, 0)
    basis = np.empty((TURNS + 1, n))
    basis[0] = v / norm(v)
    alphas: list[float] = []
    betas: list[float] = []
    for k in range(TURNS):
        w = product(basis[k])
        alphas.append(dot(basis[k], w))
        for _ in range(2):
            w = w - combined(dots(basis[: k + 1], w), basis[: k + 1])
        values, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(betas, 1) + np.diag(betas, -1))
        betas.append(norm(w))
        if not betas[-1] * abs(vectors[-1, -1]) > enough * values[-1]:
            break
        basis[k + 1] = w / betas[-1]
    v = combined(vectors[:, -1], basis[: len(vectors)])
    return float(values[-1]), v / norm(v)
