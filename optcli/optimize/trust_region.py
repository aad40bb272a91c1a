"""The subproblem of trust-region methods: minimize the model m(d) = g·d + ½ d·Hd over ‖d‖ ≤ Δ.

Exactly, from the eigenvalues of H, or to a tenth of Δ, by factors of H + λI (both Moré & Sorensen); or by conjugate
gradients on products with H (Steihaug, Toint).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from optcli.optimize.iterate import Array
from optcli.optimize.products import dot, norm
from optcli.optimize.rounding import EPS

ROUNDS = 50  # of Newton's iteration on the secular equation; it takes 2 to 6
CLOSE = 1e-12  # relative difference of ‖d‖ and Δ at which that ends
NEAR = 0.1  # the same where each round takes a factorization: σ₁ of Moré & Sorensen
TINY = float(np.finfo(np.float64).tiny)


class Step(NamedTuple):
    """A displacement, and what is known of it."""

    d: Array  # shape (n,)
    reduction: float  # −m(d) ≥ 0
    norm: float  # ‖d‖
    shift: float  # λ ≥ 0 with (H + λI)d = −g; 0 for steps by conjugate gradients


class Spectrum(NamedTuple):
    """A symmetric matrix H = Q diag(e) Qᵀ."""

    e: Array  # shape (n,), ascending
    Q: Array  # shape (n, n), a column each

    @classmethod
    def of(cls, H: Array) -> Spectrum:
        """The decomposition of H, shape (n, n) and finite."""
        e, Q = np.linalg.eigh(H)
        return cls(e, Q)


def exact(spectrum: Spectrum, g: Array, radius: float) -> Step:
    """The global minimizer d of the model over ‖d‖ ≤ radius.

    It is characterized by (H + λI)d = −g, λ ≥ 0, λ(Δ − ‖d‖) = 0 and H + λI positive semidefinite: Moré & Sorensen,
    Computing a trust region step, SIAM J. Sci. Stat. Comput. 4 (1983) 553–572. λ is found by Newton's iteration on
    1/Δ − 1/‖d(λ)‖ = 0 as there, here in the eigenbasis of H: every λ and Δ then cost n
    operations, and the hard case, where g has no part along the lowest curvature, is seen at once.
    """
    e, Q = spectrum
    a = Q.T @ g
    a = np.where(np.abs(a) <= TINY / EPS, 0.0, a)  # whose quotients below would be of no precision
    lowest = float(e[0])
    gaps = e - lowest  # λ = mu − lowest: H + λI has the eigenvalues gaps + mu
    least = max(lowest, 0.0)  # the mu of λ = 0, or of H + λI singular
    mu, along = least, 0.0
    parts = _parts(a, gaps, mu)
    size = norm(parts)
    if size > radius:
        mu = _secular(a, gaps, radius, least)
        parts = _parts(a, gaps, mu)
        parts *= radius / max(norm(parts), TINY)
    elif lowest < 0.0:  # the hard case, as a[0] is 0: to the edge along the lowest curvature
        along = math.sqrt((radius - size) * (radius + size))
        parts[0] = along
    shift = mu - lowest
    d = Q @ parts
    whole = radius if size > radius or along else size
    reduction = -0.5 * float(a @ parts) + 0.5 * shift * whole * whole
    return Step(d, reduction, whole, shift)


def _parts(a: Array, gaps: Array, mu: float) -> Array:
    """d(λ) in the eigenbasis: −a/(gaps + mu), and 0 where a is 0."""
    return np.divide(-a, gaps + mu, out=np.zeros_like(a), where=a != 0.0)


def _secular(a: Array, gaps: Array, radius: float, least: float) -> float:
    """The mu > least with ‖d‖ = radius, where ‖d‖ > radius at `least`.

    1/‖d‖ is concave in mu, so that Newton's iteration from below the solution rises to it without safeguards; no part
    of d is longer than d, which gives the first mu.
    """
    mu = max(least, float(np.max(np.abs(a) / radius - gaps)))
    for _ in range(ROUNDS):
        parts = _parts(a, gaps, mu)
        size = norm(parts)
        if size <= radius * (1.0 + CLOSE):
            break
        unit = parts / size
        slope = float(np.sum(np.divide(unit * unit, gaps + mu, out=np.zeros_like(a), where=a != 0.0)))
        after = mu + (size / radius - 1.0) / slope
        if not after > mu:
            break
        mu = after
    return mu


class Solver(Protocol):
    """Factors of a matrix."""

    def solve(self, f: Array) -> Array:
        """The matrix's inverse times f, shape (n,)."""


def by_factors(product: Callable[[Array], Array], factor: Callable[[float], Solver], g: Array, radius: float) -> Step:
    """A nearly global minimizer over ‖d‖ ≤ radius for H positive definite, by factor(λ) of a few H + λI.

    That of `exact` for such H: Newton's iteration on 1/Δ − 1/‖d(λ)‖ = 0 rises from λ = 0 to the solution without
    safeguards, and ends a tenth of Δ before it, Moré & Sorensen, algorithms 3.2 and 3.14.
    """
    shift = 0.0
    for _ in range(ROUNDS):
        solver = factor(shift)
        d = -solver.solve(g)
        length = norm(d)
        if not length > (1.0 + NEAR) * radius:
            break
        shift += (length / radius - 1.0) * length * (length / dot(d, solver.solve(d)))
    if length > radius:
        d, length = d * (radius / length), radius
    return Step(d, -dot(g, d) - 0.5 * dot(d, product(d)), length, shift)


def conjugate_gradients(product: Callable[[Array], Array], g: Array, radius: float, tol: float, most: int) -> Step:
    """An approximate minimizer: conjugate gradients from 0 until ‖residual‖ ≤ tol, or to the edge.

    They end at ‖d‖ = radius where the path leaves the region or meets a direction p with p·Hp ≤ 0, and after `most`
    products. Steihaug, The conjugate gradient method and trust regions in large scale optimization, SIAM J. Numer.
    Anal. 20 (1983) 626–637; Toint, Towards an efficient sparsity exploiting Newton method for minimization, in
    Duff, Sparse Matrices and Their Uses, Academic Press 1981, 57–88.
    """
    d, Hd = np.zeros_like(g), np.zeros_like(g)
    r = -g
    p, rr = r, dot(r, r)
    for _ in range(most):
        if math.sqrt(rr) <= tol:
            break
        Hp = product(p)
        curvature = dot(p, Hp)
        if not math.isfinite(curvature):
            break
        if curvature > 0.0:
            alpha = rr / curvature
            after = d + alpha * p
            if math.sqrt(dot(after, after)) < radius:
                d, Hd = after, Hd + alpha * Hp
                r = r - alpha * Hp
                rr, before = dot(r, r), rr
                p = r + (rr / before) * p
                continue
        alpha = to_edge(d, p, radius)
        d, Hd = d + alpha * p, Hd + alpha * Hp
        return Step(d, -dot(g, d) - 0.5 * dot(d, Hd), radius, 0.0)
    return Step(d, -dot(g, d) - 0.5 * dot(d, Hd), norm(d), 0.0)


def to_edge(d: Array, p: Array, radius: float) -> float:
    """The alpha ≥ 0 with ‖d + alpha p‖ = radius, for ‖d‖ ≤ radius and p other than 0."""
    pp, dp = dot(p, p), dot(d, p)
    room = max(radius**2 - dot(d, d), 0.0)
    root = math.sqrt(dp * dp + pp * room)
    return room / (dp + root) if dp > 0.0 else (root - dp) / pp  # of two forms the one without cancellation
