"""Quadratic models of f around an iterate, in scaled variables z = Ds, and their minimizers in a ball and a box."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optcli.optimize.iterate import Array, Mask
from optcli.optimize.products import dot, norm
from optcli.optimize.rounding import EPS
from optcli.optimize.trust_region import Spectrum, Step, by_factors, conjugate_gradients, exact

if TYPE_CHECKING:
    from optcli.optimize.band import Band
    from optcli.optimize.elimination import Factor

KEPT = 0.1  # least part of a variable's scale that an iterate keeps from the one before
FLAT = 1e-10  # least scale, relative to the largest
SOFT = math.sqrt(EPS)  # curvatures below this part of the largest may be rounding
FORCING = 0.1  # largest relative residual of conjugate gradients; √‖g‖ near the solution, Nocedal & Wright, Alg. 7.1
GROWTH = 10.0  # of a shift that is too small to make the curvature positive
UNASKED = 100  # steps of conjugate gradients in which nothing can break the run off
SUFFICIENT = 0.01  # part of the linear decrease that a path in the box must keep: μ₀ of Lin & Moré
HALVINGS = 30  # of a step length within the model
FACES = 25  # faces of the box that one step may pass through


class Model(Protocol):
    """q(z) = g·z + ½ z·Hz, H and g scaled by D."""

    D: Array  # shape (n,), what the next model is scaled with
    g: Array  # shape (n,)

    def product(self, z: Array) -> Array:
        """Hz."""

    def first_radius(self, x: Array) -> float:
        """The radius of the first step of a run, from x."""

    def inside(self, free: Mask, g: Array, radius: float) -> Step:
        """A minimizer over ‖z‖ ≤ radius of the entries `free`, the others 0; g is 0 there too."""

    def firm(self, free: Mask, g: Array) -> Step:
        """The unrestricted one, as far as its digits can be trusted."""


class Dense:
    """The model with the whole Hessian, shape (n, n), and the exact step.

    D = diag(√|H_ii|), or KEPT times the D of the iterate before where that is larger, makes a method independent of
    the units of its variables: Moré, The Levenberg–Marquardt algorithm: implementation and theory, LNM 630 (1978)
    105–116, where D never falls. It also brings the eigenvalues of D⁻¹HD⁻¹ closer to each other.
    """

    def __init__(self, H: Array, g: Array, before: Array) -> None:
        D = _scales(np.diagonal(H), before)
        usable = D is not None and bool(np.isfinite(H).all())
        self.D = D if D is not None and usable else np.ones_like(g)
        self.g = g / self.D
        # without curvature the model is linear: a step down the gradient
        self.H = H / self.D / self.D[:, None] if usable else np.zeros_like(H)
        self._known: tuple[bytes, Spectrum] | None = None

    def product(self, z: Array) -> Array:
        return self.H @ z

    def first_radius(self, x: Array) -> float:
        """The length of Newton's step where the curvature is positive, else that of x, at least 1."""
        e, Q = self._spectrum(np.ones(len(x), dtype=bool))
        newton = norm((Q.T @ self.g) / e) if e[0] > SOFT * e[-1] else math.inf
        return newton if 0.0 < newton < math.inf else max(1.0, norm(self.D * x))

    def inside(self, free: Mask, g: Array, radius: float) -> Step:
        return _spread(free, exact(self._spectrum(free), g[free], radius))

    def firm(self, free: Mask, g: Array) -> Step:
        """Newton's step in the directions whose curvature is not rounding alone."""
        e, Q = self._spectrum(free)
        known = e > max(SOFT * float(e[-1]), -10.0 * float(e[0]))
        a = Q.T @ g[free]
        parts = np.divide(-a, e, out=np.zeros_like(a), where=known)
        return _spread(free, Step(Q @ parts, -0.5 * float(a @ parts), norm(parts), 0.0))

    def _spectrum(self, free: Mask) -> Spectrum:
        key = free.tobytes()
        if self._known is None or self._known[0] != key:
            self._known = key, Spectrum.of(self.H[np.ix_(free, free)])
        return self._known[1]


class Banded:
    """The model where the Hessian is a band and a border, with the D of `Dense`.

    Where the curvature is positive the step is nearly exact; elsewhere it is by conjugate gradients, now without
    products of the problem. Exact steps along curvature that is not positive are long, go where the model says
    nothing any more, and on chains like COSINE end in places that no short step leads out of.
    """

    def __init__(self, H: Band, g: Array, before: Array) -> None:
        D = _scales(H.diagonal, before if len(before) else np.zeros_like(g))
        self.D = np.ones_like(g) if D is None else D
        self.g = g / self.D
        self.H = H.scaled(1.0 / self.D)
        self._known: tuple[bytes, Band, Factor] | None = None

    def product(self, z: Array) -> Array:
        return self.H @ z

    def first_radius(self, x: Array) -> float:
        """That of `Dense`."""
        _, factor = self._factors(np.ones(len(x), dtype=bool))
        newton = norm(factor.solve(self.g)) if factor.positive else math.inf
        return newton if 0.0 < newton < math.inf else max(1.0, norm(self.D * x))

    def inside(self, free: Mask, g: Array, radius: float) -> Step:
        from optcli.optimize.elimination import Factor

        H, known = self._factors(free)
        part = np.ascontiguousarray(g[free])
        if known.positive:
            step = by_factors(H.__matmul__, lambda shift: Factor(H, shift) if shift else known, part, radius)
            if math.isfinite(step.reduction):
                return _spread(free, step)
        size = norm(part)
        return _spread(free, conjugate_gradients(H.__matmul__, part, radius, _forced(size), UNASKED))

    def firm(self, free: Mask, g: Array) -> Step:
        """Newton's step where the curvature is positive, else one with as much more as makes it so."""
        from optcli.optimize.elimination import Factor

        H, factor = self._factors(free)
        part = np.ascontiguousarray(g[free])
        shift, most = 0.0, H.norm() or 1.0
        while not factor.positive and shift <= most:
            shift = max(GROWTH * shift, SOFT * most)
            factor = Factor(H, shift)
        d = -factor.solve(part)
        return _spread(free, Step(d, -dot(part, d) - 0.5 * dot(d, H @ d), norm(d), shift))

    def _factors(self, free: Mask) -> tuple[Band, Factor]:
        from optcli.optimize.elimination import Factor

        key = free.tobytes()
        if self._known is None or self._known[0] != key:
            H = self.H.among(free)
            self._known = key, H, Factor(H)
        return self._known[1:]


class Products:
    """The model by products with the Hessian, D = I, and steps by conjugate gradients."""

    def __init__(self, product: Callable[[Array], Array], g: Array) -> None:
        self.product = product
        self.D = np.ones(0)
        self.g = g

    def first_radius(self, x: Array) -> float:
        return max(1.0, norm(x))

    def inside(self, free: Mask, g: Array, radius: float) -> Step:
        size = norm(g)
        whole = bool(free.all())
        product = self.product if whole else lambda z: np.where(free, self.product(np.where(free, z, 0.0)), 0.0)
        return conjugate_gradients(product, g, radius, _forced(size), 2 * len(g) + 10)

    def firm(self, free: Mask, g: Array) -> Step:
        return self.inside(free, g, math.inf)


def _forced(size: float) -> float:
    """The residual at which conjugate gradients end, from that at the beginning."""
    return min(FORCING, math.sqrt(size)) * size


def _scales(diagonal: Array, before: Array) -> Array | None:
    """√|H_ii|, or KEPT times what it was before; None where nothing can be scaled with that."""
    D = np.maximum(np.sqrt(np.abs(diagonal)), KEPT * before)
    largest = float(np.max(D))
    return np.maximum(D, FLAT * largest) if 0.0 < largest < math.inf else None


def _spread(free: Mask, step: Step) -> Step:
    d = np.zeros(len(free))
    d[free] = step.d
    return step._replace(d=d)


def ball_step(model: Model, radius: float) -> Step:
    """A minimizer over ‖z‖ ≤ radius, z unscaled; an infinite radius asks for the last digits."""
    free = np.ones(len(model.g), dtype=bool)
    step = model.inside(free, model.g, radius) if radius < math.inf else model.firm(free, model.g)
    return step._replace(d=step.d / model.D) if len(model.D) else step


def box_step(model: Model, radius: float, lower: Array, upper: Array) -> Step:
    """A displacement s with a low model in the ball and lower <= s <= upper, where lower <= 0 <= upper.

    From the Cauchy point the minimizer of the model over the variables within their bounds is sought, projected, and
    again with what is left of them, as in Lin & Moré, Newton's method for large bound-constrained optimization
    problems, SIAM J. Optim. 9 (1999) 1100–1127. Within the box it is the step of `ball_step`.
    """
    step = _scaled_box_step(model, radius, *((model.D * lower, model.D * upper) if len(model.D) else (lower, upper)))
    if not len(model.D):
        return step
    z = step.d  # entries at their bounds are there without rounding
    d = np.where(z <= model.D * lower, lower, np.where(z >= model.D * upper, upper, z / model.D))
    return step._replace(d=d)


def _scaled_box_step(model: Model, radius: float, lower: Array, upper: Array) -> Step:
    """The same for z and bounds of z."""
    g = model.g
    open_ = np.where(g > 0.0, lower < 0.0, upper > 0.0)
    if radius == math.inf:
        firm = model.firm(open_, np.where(open_, g, 0.0))
        return firm._replace(d=np.clip(firm.d, lower, upper))
    z, Hz = _cauchy(model, np.where(open_, g, 0.0), radius, lower, upper)
    value = dot(g, z) + 0.5 * dot(z, Hz)
    for _ in range(FACES):
        free = open_ & (z > lower) & (z < upper)
        fixed = np.where(free, 0.0, z)
        room = (radius - norm(fixed)) * (radius + norm(fixed))
        if not free.any() or not room > 0.0:
            break
        slope = np.where(free, g + (model.product(fixed) if fixed.any() else 0.0), 0.0)
        w = np.where(free, model.inside(free, slope, math.sqrt(room)).d - z, 0.0)
        found = _down(model, z, Hz, value, w, lower, upper)
        if found is None:
            break
        z, Hz, value = found
        if not (free & ((z <= lower) | (z >= upper))).any():
            break
    return Step(z, -value, norm(z), 0.0)


def _cauchy(model: Model, g: Array, radius: float, lower: Array, upper: Array) -> tuple[Array, Array]:
    """A point z of the path P(−αg) with sufficient decrease, and Hz; g is 0 where it points out of the box."""
    size = norm(g)
    if size == 0.0:
        return np.zeros_like(g), np.zeros_like(g)
    unit = g / size
    curvature = dot(unit, model.product(unit))
    alpha = min(radius, size / curvature) if curvature > 0.0 else radius
    for _ in range(HALVINGS):
        z = np.clip(-alpha * unit, lower, upper)
        Hz = model.product(z)
        if dot(g, z) * (1.0 - SUFFICIENT) + 0.5 * dot(z, Hz) <= 0.0:
            return z, Hz
        alpha *= 0.5
    return np.zeros_like(g), np.zeros_like(g)


def _down(
    model: Model, z: Array, Hz: Array, value: float, w: Array, lower: Array, upper: Array
) -> tuple[Array, Array, float] | None:
    """The first of P(z + βw), β = 1, ½, …, with a sufficiently lower model: it, its product and value; or None."""
    beta = 1.0
    for _ in range(HALVINGS):
        after = np.clip(z + beta * w, lower, upper)
        if np.array_equal(after, z):
            return None
        product = model.product(after)
        found = dot(model.g, after) + 0.5 * dot(after, product)
        slope = dot(model.g + Hz, after - z)
        if found < value and found <= value + SUFFICIENT * min(slope, 0.0):
            return after, product, found
        beta *= 0.5
    return None
