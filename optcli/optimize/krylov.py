"""Curvature of many variables by products with vectors: Lanczos' smallest eigenvalue, and a Newton step by CG.

Where the Hessian turns out to be a band, its factors (`factored.py`) tell all that eigenvalues would. Elsewhere:
A negative curvature that is found is proved: it is the value of vᵀHv. That there is none is only likely: the start is
random, so a direction is missed with the probability that the start has almost no part in it (Kuczyński & Woźniakowski,
SIAM J. Matrix Anal. Appl. 13 (1992) 1094–1122). Where the steps do not suffice, the point is `stationary`, and the text
says so.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.curvature import KEPT, LOUD, Noise
from optcli.optimize.digits import digits, rounding_of
from optcli.optimize.iterate import Array, largest_entry
from optcli.optimize.products import dot
from optcli.optimize.rounding import EPS
from optcli.optimize.sentences import unit
from optcli.optimize.verdict import Verdict

if TYPE_CHECKING:
    from optcli.optimize.judging import Judging

STEPS = (20, 40, 80, 160)  # after which the smallest Ritz value is looked at
SETTLED = 0.1  # it counts as found where its error bound is below this share of it
ROUNDING = 100.0 * EPS  # of the largest curvature, below which a small one is not told from zero
CG_STEPS = 80
CG_FORCING = 1e-2  # residual of the Newton step, in terms of the gradient
FAINT = 1e-10  # of the value: the largest rounding that a step may hide behind
GRADIENT_LEFT = 0.2  # a Newton step that leaves more of the gradient than this is no step to a minimum


@dataclass(frozen=True)
class Ritz:
    """The smallest Ritz value, how far it may be off, its vector, and the largest Ritz value."""

    smallest: float
    error: float
    vector: Array
    largest: float


def lanczos(judging: Judging) -> Ritz | None:
    """The smallest eigenvalue on the free variables; None where a product is not finite.

    The three-term recurrence without reorthogonalization (Paige 1980, Linear Algebra Appl. 34, 235–258: converged Ritz
    values stay right), run a second time for the vector, so that no basis is kept.
    """
    start = judging.random.standard_normal(len(judging.free))
    start /= dot(start, start) ** 0.5
    alphas: list[float] = []
    betas: list[float] = []
    for v, alpha, beta in _recurrence(judging, start):
        del v
        if not np.isfinite([alpha, beta]).all():
            return None
        alphas.append(alpha)
        betas.append(beta)
        if len(alphas) in STEPS or beta == 0.0 or len(alphas) == len(start):
            values, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1))
            weights, error = vectors[:, 0], abs(beta * vectors[-1, 0])
            size = max(abs(values[0]), abs(values[-1]))
            if error <= SETTLED * abs(values[0]) or error <= ROUNDING * size or len(alphas) == STEPS[-1] or beta == 0.0:
                break
    vector = np.zeros_like(start)
    for (v, _, _), weight in zip(_recurrence(judging, start), weights, strict=False):
        vector += weight * v
    return Ritz(float(values[0]), float(error), vector / dot(vector, vector) ** 0.5, float(values[-1]))


def smooth(judging: Judging, ritz: Ritz) -> Ritz:
    """The same, or lower by a Rayleigh quotient of a smooth vector: chains have their lowest curvature along these.

    A random start has hardly a part in them, and the next eigenvalues are near.
    """
    n = len(judging.free)
    for v in (np.ones(n), np.linspace(-1.0, 1.0, n)):
        v = v / dot(v, v) ** 0.5
        quotient = dot(v, _product(judging, judging.point.x, v))
        if quotient < ritz.smallest:
            ritz = replace(ritz, smallest=quotient, error=0.0, vector=v)
    return ritz


def _recurrence(judging: Judging, v: Array):  # type: ignore[no-untyped-def]
    """(v_k, alpha_k, beta_k) for k = 1, 2, …: Golub & Van Loan, Matrix Computations, 4th ed., algorithm 10.1.1."""
    before, beta = np.zeros_like(v), 0.0
    while True:
        w = _product(judging, judging.point.x, v) - beta * before
        alpha = dot(w, v)
        w -= alpha * v
        beta = dot(w, w) ** 0.5
        yield v, alpha, beta
        if beta == 0.0:
            return
        before, v = v, w / beta


def _product(judging: Judging, x: Array, v: Array) -> Array:
    return judging.problem.product_at(x, judging.free)(v)


def newton_step(judging: Judging) -> tuple[Array, bool]:
    """s with Hs ≈ −g on the free variables, by conjugate gradients where there are no factors; False with what was
    found before curvature turned out not to be positive."""
    g = judging.point.gradient[judging.free]
    if judging.factored is not None:
        return judging.factored.newton(g), judging.factored.positive == len(g)
    s, r = np.zeros_like(g), -g
    p, size = r, dot(r, r)
    enough = CG_FORCING**2 * size
    for _ in range(CG_STEPS):
        if size <= enough:
            break
        q = _product(judging, judging.point.x, p)
        curvature = dot(p, q)
        if not curvature > 0.0:
            return s, False
        alpha = size / curvature
        s, r = s + alpha * p, r - alpha * q
        before, size = size, dot(r, r)
        p = r + (size / before) * p
    return s, True


def unseen(judging: Judging, rough: Noise) -> bool:
    """Whether Newton's step gains no more than the rounding of the value, where that is small."""
    g, f = judging.point.gradient[judging.free], judging.point.value
    step, convex = judging.newton
    return convex and rough.value <= FAINT * max(1.0, abs(f)) and -0.5 * dot(g, step) <= LOUD * rough.value


def judged(judging: Judging, rough: Noise) -> Verdict:
    """The verdict on a point of many variables whose gradient is small."""
    from optcli.optimize.factored import UntoldError
    from optcli.optimize.judging import NEAR

    if judging.factored is not None:
        with contextlib.suppress(UntoldError):
            return judging.second_order(True, rough, judging.factored)
    words, point, problem = judging.words, judging.point, judging.problem
    g = point.gradient[judging.free]
    step, convex = judging.newton
    ritz = lanczos(judging)
    if ritz is None:
        return Verdict("stationary", words.stationary("products with the Hessian are not finite"))
    if ritz.smallest <= ROUNDING * ritz.largest or ritz.error > SETTLED * ritz.smallest:
        ritz = smooth(judging, ritz)
    s = judging.whole(step)
    y = problem.project(point.x + s)
    # a curvature that goes with the rest of the gradient is that of a point beside the stationary one
    kept = dot(ritz.vector, _product(judging, y, ritz.vector)) / ritz.smallest if ritz.smallest else 0.0
    sure = ritz.smallest + ritz.error < -ROUNDING * max(abs(ritz.largest), abs(ritz.smallest)) and kept >= KEPT[0]
    if sure and (way := judging.way_down(unit(judging.whole(ritz.vector)))) is not None:
        kind = "maximum" if ritz.largest < 0.0 and not len(judging.held) else "saddle"
        text = words.maximum(ritz.largest) if kind == "maximum" else words.saddle(ritz.smallest, way)
        return Verdict(kind, text, curvature=ritz.smallest, direction=way)
    if ritz.smallest < -ritz.error and not sure:
        found = (
            f"the smallest found, {words.typed(ritz.smallest):.2g}, may be what the rest of the gradient makes of zero"
        )
        return Verdict("stationary", words.stationary(found), curvature=None)
    if not (ritz.smallest > ROUNDING * ritz.largest and ritz.error <= SETTLED * ritz.smallest):
        found = f"the smallest found is {words.typed(ritz.smallest):.2g} within {ritz.error:.1g}, which is too vague"
        return Verdict("stationary", words.stationary(found), curvature=None)
    if not convex:
        return Verdict("stationary", words.stationary("the Newton step met a direction without curvature"))
    moved = largest_entry((y - point.x) / np.maximum(1.0, np.abs(point.x)))
    value, after = problem.value_and_gradient(y)
    left = largest_entry(after[judging.free])
    noise = 64.0 * EPS * ritz.largest * max(1.0, largest_entry(point.x))
    if moved > NEAR or not KEPT[0] <= kept <= KEPT[1] or left > GRADIENT_LEFT * largest_entry(g) + noise:
        ray = judging.endless()
        if ray is not None:
            return ray
        if moved > NEAR:
            return Verdict("not_stationary", words.left(s), curvature=ritz.smallest, direction=unit(s))
        return Verdict("stationary", words.stationary("it changes too fast here to tell"), curvature=ritz.smallest)
    error, off = rounding_of(problem, point, judging.held)
    right = digits(point, error + np.abs(s), off + abs(value - point.value))
    held = [words.entry(int(k)) for k in judging.held]
    return Verdict("minimum", words.minimum(ritz.smallest, right, held), digits=right, curvature=ritz.smallest)
