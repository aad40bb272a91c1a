"""Second derivatives at a point: their signs, told apart from rounding, and where Newton's method goes from there.

Signs of eigenvalues are those of the scaled matrix S = D·H·D, D diagonal, which has as many of each sign (Sylvester's
law of inertia) and does not lose flat directions beside steep ones: H = diag(2e10, 2e-6) is told from a singular one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optcli.optimize.iterate import Array, largest_entry
from optcli.optimize.rounding import EPS

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem
    from optcli.optimize.seen import Seen

DENSE = 500  # variables up to which all eigenvalues are computed, issue 4 §2
MIXER = np.uint64(2654435761)  # Knuth's multiplier, TAOCP 3, section 6.4: numpy.random costs a start 10 ms
NEIGHBOURS = 6  # points an ulp away at which the rounding of the gradient is measured
ROUNDS = 6  # of equilibration; each halves the digits by which the rows differ, Ruiz 2001, RAL-TR-2001-034
MARGIN = 8.0  # an eigenvalue counts from so many times its rounding error on
KEPT = (0.55, 1.9)  # curvature after the Newton steps over that before: within ½…2, where x**3 has exactly ½
FOLLOWED = 12  # Newton steps at most
LOUD = 4.0  # a gradient within so many times its noise is at its noise
DONE = 1e-3  # a step that is so much shorter than the one before: Newton's method converges quadratically
BEYOND = 1e-6  # times max(1, |x|): how far from a bound a saddle or maximum may be that a point on it is said to be
LINEAR = 0.97  # steps that shrink by less than this lead nowhere; at a minimum like x**40 the ratio is 38/39 = 0.974


@dataclass(frozen=True)
class Noise:
    """What rounding alone does to value and gradient: the largest change an ulp away, entry by entry."""

    value: float
    gradient: Array  # shape (n,)


def noise(problem: Problem, x: Array, f: float, g: Array) -> Noise:
    """Measured at points whose entries are x's or a neighbouring double.

    It holds the rounding of the evaluation and what x cannot say for want of digits: at the minimum of Meyer's function
    the gradient of the nearest double is 6e-4.
    """
    value, slope = 4.0 * EPS * abs(f), np.zeros_like(g)
    for k in range(NEIGHBOURS):
        near = neighbour(problem, x, k)
        f_near, g_near = problem.value_and_gradient(near)
        if math.isfinite(f_near):
            value = max(value, abs(f_near - f))
        slope = np.fmax(slope, np.abs(g_near - g))
    return Noise(value, slope)


def neighbour(problem: Problem, x: Array, k: int) -> Array:
    """The k-th point next to x: each entry an ulp up or down; a 0 by the ulp of the largest."""
    largest = largest_entry(x)
    ulp = np.where(x == 0.0, EPS * (largest if largest > 0.0 else 1.0), np.spacing(np.abs(x)))
    bits = (np.arange(1, len(x) + 1, dtype=np.uint64) * MIXER + np.uint64(k) * (MIXER >> np.uint64(7))) >> np.uint64(20)
    return problem.project(x + np.where(bits & np.uint64(1), ulp, -ulp))


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a Hessian on the free variables, and of its scaled form.

    `smallest` and `largest` are H's; `scaled` those of D·H·D, ascending, with eigenvectors in the columns of `vectors`;
    `doubt` is how far rounding may shift a scaled one. `flat` and `down` are directions of unit length in x: of the
    scaled eigenvalue nearest to zero and of the smallest one.
    """

    H: Array
    d: Array
    scaled: Array
    vectors: Array
    doubt: float
    smallest: float
    largest: float
    vague: ClassVar[bool] = False  # its steps leave flat directions out

    @property
    def positive(self) -> int:
        return int(np.count_nonzero(self.scaled > self.doubt))

    @property
    def negative(self) -> int:
        return int(np.count_nonzero(self.scaled < -self.doubt))

    @property
    def zero(self) -> int:
        return len(self.scaled) - self.positive - self.negative

    @property
    def lowest(self) -> float:
        return float(self.scaled[0])

    @property
    def down(self) -> Array:
        return _unit(self.d * self.vectors[:, 0])

    @property
    def flat(self) -> Array:
        return _unit(self.d * self.vectors[:, int(np.argmin(np.abs(self.scaled)))])

    def nulls(self) -> list[Array]:
        """Directions of all eigenvalues that cannot be told from zero."""
        flat = np.abs(self.scaled) <= self.doubt
        return [_unit(self.d * self.vectors[:, k]) for k in np.flatnonzero(flat)]

    def product(self, v: Array) -> Array:
        out: Array = self.H @ v
        return out

    def newton(self, g: Array) -> Array:
        """−H⁺g: the step to the stationary point of the quadratic model, without a part along flat directions."""
        sure = np.abs(self.scaled) > self.doubt
        parts = np.zeros(len(self.scaled))
        np.divide(self.vectors.T @ (self.d * g), self.scaled, out=parts, where=sure)
        step: Array = -self.d * (self.vectors @ parts)
        return step

    def at(self, problem: Problem, x: Array, free: Array) -> Array | None:
        """The Hessian at another point; None where it is not finite."""
        H = hessian(problem, x, free)
        return H if np.isfinite(H).all() else None

    def of(self, other: Array) -> Spectrum | None:
        """The spectrum of another Hessian, whose doubt is that of its decomposition."""
        return spectrum(other, [])

    def bottom(self, other: Array) -> float:
        """The smallest eigenvalue of another Hessian in this one's scaled coordinates."""
        return float(np.linalg.eigvalsh((self.d[:, None] * other) * self.d)[0])

    def ratio(self, other: Array) -> tuple[float, float]:
        """The smallest and largest curvature of another Hessian in terms of this one's.

        Flat directions of this one are left out.
        """
        sure = np.abs(self.scaled) > self.doubt
        V = self.vectors[:, sure]
        if not V.shape[1]:
            return 1.0, 1.0
        root = np.sqrt(np.abs(self.scaled[sure]))
        M = (V.T @ ((self.d[:, None] * other) * self.d) @ V) / np.outer(root, root)
        if (self.scaled[sure] > 0.0).all():
            compared = np.linalg.eigvalsh(0.5 * (M + M.T))
        else:  # indefinite: eigenvector by eigenvector
            compared = np.diag(M) * np.sign(self.scaled[sure])
        return float(np.min(compared)), float(np.max(compared))


def spectrum(H: Array, others: list[Array]) -> Spectrum | None:
    """The spectrum of a symmetric H; `others` are Hessians an ulp away, for the doubt. None if H is not finite."""
    n = len(H)
    if not np.isfinite(H).all():
        return None
    d = equilibrated(lambda d: np.max(np.abs((d[:, None] * H) * d), axis=1, initial=0.0), n)
    S = (d[:, None] * H) * d
    scaled, vectors = np.linalg.eigh(S)
    size = max(1.0, float(np.max(np.abs(scaled), initial=0.0)))
    doubt = MARGIN * n * EPS * size
    for other in others:
        change = (d[:, None] * (other - H)) * d
        if not np.isfinite(change).all():
            doubt = math.inf
        else:
            spread = np.asarray(np.linalg.eigvalsh(change), dtype=np.float64)
            doubt = max(doubt, MARGIN * largest_entry(spread))
    plain = np.linalg.eigvalsh(H)
    smallest, largest = float(plain[0]), float(plain[-1])
    if scaled[0] > doubt:  # positive definite: the inverse knows its smallest eigenvalue to all digits
        inverse = (d[:, None] * ((vectors / scaled) @ vectors.T)) * d
        top = float(np.linalg.eigvalsh(0.5 * (inverse + inverse.T))[-1])
        smallest = 1.0 / top if 0.0 < top < math.inf else smallest
    return Spectrum(H, d, scaled, vectors, doubt, smallest, largest)


def equilibrated(largest: Callable[[Array], Array], n: int) -> Array:
    """d with max_j |d_i·H_ij·d_j| near 1 for each row that is not zero; powers of 2, so that nothing rounds.

    `largest` gives these maxima for a d, shape (n,) both.
    """
    d = np.ones(n)
    for _ in range(ROUNDS):
        rows = largest(d)
        scale = np.where((rows > 0.0) & np.isfinite(rows), rows, 1.0)
        steps = np.round(np.log2(scale) / 2.0)
        if not steps.any():
            break
        d = d * np.exp2(-steps)
    return d


def _unit(v: Array) -> Array:
    size = largest_entry(v)
    if not 0.0 < size < math.inf:
        return v
    w = v / size
    unit: Array = w / np.sqrt(np.dot(w, w))
    return unit


def hessian(problem: Problem, x: Array, free: Array) -> Array:
    """The Hessian at x on the free variables (numbers of entries), shape (m, m), by a product a column."""
    if len(free) == problem.size:
        return problem.hessian(x)
    columns = []
    for k in free:
        unit = np.zeros(problem.size)
        unit[k] = 1.0
        columns.append(problem.hvp(x, unit)[free])
    H = np.array(columns).reshape(len(free), len(free))
    symmetric: Array = 0.5 * (H + H.T)
    return symmetric


def spectrum_at(problem: Problem, x: Array, free: Array) -> Spectrum | None:
    """The spectrum on the free variables at x, its doubt measured at one or two neighbours."""
    H = hessian(problem, x, free)
    others = []
    for k in range(2 if len(free) <= 50 else 1):
        others.append(hessian(problem, neighbour(problem, x, k), free))
    return spectrum(H, others)


@dataclass(frozen=True)
class Path:
    """Where Newton's method goes from a point: `how` is "fast", "linear", or "away"; `x` is its last or limit point.

    `low` and `high` bound the curvature met, in terms of that at the beginning; `step` is the first Newton step.
    """

    how: str
    x: Array
    value: float
    gradient: Array
    step: Array
    low: float
    high: float
    bottom: float  # the smallest eigenvalue of D·H·D at the end, D that of the spectrum at the beginning


def follow(problem: Problem, x: Array, f: float, g: Array, free: Array, seen: Seen, rough: Noise) -> Path:
    """Newton's method from x on the free variables, where the spectrum is `seen`.

    At a minimum with positive curvature its steps shrink quadratically and the curvature stays what it is; at a
    degenerate point like x**4 they shrink by a constant ratio (Reddien 1978, On Newton's method
    for singular problems), and the limit is extrapolated by Aitken's rule; where no stationary point is, as for
    exp(-x), they do not shrink.
    """
    scale = np.maximum(1.0, np.abs(x))
    first = last = np.zeros_like(x)
    y, fy, gy = x, f, g
    here = seen
    low = high = 1.0
    bottom = seen.lowest
    size = math.inf
    ratios: list[float] = []
    for k in range(FOLLOWED):
        s = np.zeros_like(x)
        s[free] = here.newton(gy[free])
        step = problem.project(y + s) - y
        length = largest_entry(step / scale)
        # a saddle or a maximum beyond a bound is not here, however short the step that the bound leaves
        beyond = here.negative and largest_entry((s - step) / scale) > BEYOND
        if not math.isfinite(length) or length > 1.0 or beyond:
            return Path("away", y, fy, gy, s if k == 0 else first, low, high, bottom)
        if k == 0:
            first = step
        ratio = length / size if size > 0.0 else 0.0
        z = y + step
        fz, gz = problem.value_and_gradient(z)
        H = seen.at(problem, z, free)
        if H is None or not (math.isfinite(fz) and np.isfinite(gz).all()):
            return Path("away", y, fy, gy, first, low, high, bottom)
        a, b = seen.ratio(H)
        low, high, bottom = min(low, a), max(high, b), seen.bottom(H)
        y, fy, gy, last = z, fz, gz, step
        if k and ratio <= DONE:
            return Path("fast", y, fy, gy, first, low, high, bottom)
        if np.all(np.abs(step) <= 2.0 * EPS * np.abs(y)) or np.all(np.abs(gy[free]) <= rough.gradient[free]):
            return Path("fast", y, fy, gy, first, low, high, bottom)
        if k:
            ratios.append(ratio)
            if ratio > LINEAR:  # they shrink no more: is that rounding, or is there no stationary point?
                now = noise(problem, y, fy, gy)
                lost = bool(np.all(np.abs(gy[free]) <= LOUD * now.gradient[free]))
                lost = lost or 0.5 * abs(float(np.dot(gy, step))) <= rough.value
                return Path("fast" if lost else "away", y, fy, gy, first, low, high, bottom)
        size = length
        found = seen.of(H)
        if found is None:
            return Path("away", y, fy, gy, first, low, high, bottom)
        here = found
        if here.vague and not seen.vague:  # the curvature has faded on the way
            break
    if not ratios:
        return Path("linear", y, fy, gy, first, low, high, bottom)
    ratio = ratios[-1]
    z = problem.project(y + last * ratio / (1.0 - ratio))
    fz, gz = problem.value_and_gradient(z)
    if math.isfinite(fz) and np.isfinite(gz).all():
        y, fy, gy = z, fz, gz
        H = seen.at(problem, z, free)
        if H is not None:
            a, b = seen.ratio(H)
            low, high, bottom = min(low, a), max(high, b), seen.bottom(H)
    return Path("linear", y, fy, gy, first, low, high, bottom)
