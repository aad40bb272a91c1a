"""numpy kernels that numpy itself does not have, with the same manners: `kernel(*arrays, out=None)`.

All take float64 arrays or scalars of shapes that broadcast, and follow IEEE: NaN or Inf come back, nothing raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Kernel = Callable[..., Any]

# Bernoulli numbers B2, B4, … B24 (Abramowitz & Stegun, table 23.2)
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
ASYMPTOTIC_FROM = 16.0  # with ten terms the series of polygamma is then good to 1e-16
MOST_ORDER = 140  # of polygamma: beyond, its factorials are no doubles
MOST_SHIFTS = 100_000  # steps of the recurrence upwards before polygamma gives up with NaN


def into(result: Any, out: Any) -> Any:
    """`result`, or `out` filled with it where a buffer is given."""
    if out is None:
        return result
    out[...] = result
    return out


def truth(compare: Kernel) -> Kernel:
    """A comparison whose answer is 1.0 or 0.0, so that every node of a graph is float64."""

    def kernel(*args: Any, out: Any = None) -> Any:
        if out is not None:
            return compare(*args, out=out)
        return compare(*args) * np.float64(1.0)

    return kernel


def elementwise(function: Callable[[float], float]) -> Kernel:
    """A scalar function of the standard library, applied entry by entry."""
    ufunc = np.frompyfunc(function, 1, 1)

    def kernel(x: Any, out: Any = None) -> Any:
        return into(np.float64(function(x)) if np.ndim(x) == 0 else ufunc(x).astype(np.float64), out)

    return kernel


def power(x: Any, p: Any, out: Any = None) -> Any:
    """x**p; a square is one product and x**0.5 a root, both correctly rounded, as numpy's own operator has them."""
    if np.ndim(p) == 0:
        if p == 2.0:
            return np.square(x, out=out)
        if p == 0.5:
            return np.sqrt(x, out=out)
    return np.power(x, p, out=out)


def chain(cotangent: Any, partial: Any, out: Any = None) -> Any:
    """cotangent * partial where a zero on either side gives zero, whatever the other is."""
    if np.ndim(cotangent) == 0 and np.ndim(partial) == 0:
        return into(chain_scalar(cotangent, partial), out)
    product = np.multiply(cotangent, partial, out=out)
    # a NaN anywhere makes the sum NaN: one cheap pass decides whether the mask is needed at all
    if math.isnan(product.sum()):
        zero = np.equal(cotangent, 0.0) | np.equal(partial, 0.0)
        product = into(np.where(zero & np.isnan(product), 0.0, product), out)
    return product


def chain_scalar(cotangent: Any, partial: Any) -> Any:
    product = cotangent * partial
    if product != product and (cotangent == 0.0 or partial == 0.0):
        return np.float64(0.0)
    return product


def select(condition: Any, a: Any, b: Any, out: Any = None) -> Any:
    return into(np.where(np.not_equal(condition, 0.0), a, b), out)


def largest(*args: Any, out: Any = None) -> Any:
    return _fold(np.maximum, args, out)


def smallest(*args: Any, out: Any = None) -> Any:
    return _fold(np.minimum, args, out)


def _fold(pick: Kernel, args: tuple[Any, ...], out: Any) -> Any:
    result = args[0]
    for arg in args[1:]:
        result = pick(result, arg)
    return into(result, out)


def modulo(x: Any, m: Any, out: Any = None) -> Any:
    """x - m*floor(x/m): the sign of the divisor; NaN for m = 0."""
    return np.mod(x, m, out=out)


def sigmoid(x: Any, out: Any = None) -> Any:
    """1/(1 + exp(-x)) without overflow on either side."""
    small = np.exp(-np.abs(x))
    return into(np.where(np.less(x, 0.0), small, 1.0) / (1.0 + small), out)


def softplus(x: Any, out: Any = None) -> Any:
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0.0, x, out=out)


def sign(x: Any, out: Any = None) -> Any:
    return np.sign(x, out=out)


def heaviside(x: Any, out: Any = None) -> Any:
    return np.heaviside(x, 0.5, out=out)


def _gamma(x: float) -> float:
    try:
        return math.gamma(x)
    except OverflowError:
        return math.inf if x > 0 else math.copysign(0.0, -1.0 if math.floor(x) % 2 else 1.0)
    except ValueError:  # a pole
        return math.copysign(math.inf, x) if x == 0 else math.nan


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (OverflowError, ValueError):
        return math.inf


gamma = elementwise(_gamma)
loggamma = elementwise(_lgamma)  # log|Gamma(x)|, as C's lgamma
erf = elementwise(math.erf)
erfc = elementwise(math.erfc)


def polygamma(n: Any, x: Any, out: Any = None) -> Any:
    """The n-th derivative of the digamma function, n = 0, 1, 2, …; NaN for any other n.

    Upward recurrence (Abramowitz & Stegun 6.4.6), then the asymptotic series (6.3.18, 6.4.11);
    reflection (6.3.7, 6.4.7) for negative arguments of n = 0 and 1.
    """
    if np.ndim(n) == 0:
        return into(_polygamma(float(n), x), out)
    orders, x = np.broadcast_arrays(n, x)
    result = np.empty(x.shape)
    for order in np.unique(orders):
        result[orders == order] = _polygamma(float(order), x[orders == order])
    return into(result, out)


def _polygamma(n: float, x: Any) -> Any:
    x = np.asarray(x, dtype=np.float64)
    if not 0 <= n <= MOST_ORDER or n != int(n):
        return np.full(x.shape, np.nan)[()]
    order = int(n)
    pole = (x <= 0) & (x == np.floor(x)) & ~np.isinf(x)
    if order <= 1:
        reflected = _polygamma_up(order, np.where(x < 0, 1.0 - x, x))
        turn = np.pi * x
        mirror = np.pi / np.tan(turn) if order == 0 else np.square(np.pi / np.sin(turn))
        result = np.where(x < 0, (reflected - mirror) if order == 0 else (mirror - reflected), reflected)
    else:
        result = _polygamma_up(order, x)
    at_pole = np.nan if order == 0 else (np.inf if order % 2 else np.nan)
    return np.where(pole, at_pole, result)[()]


def _polygamma_up(n: int, x: Any) -> Any:
    factorial = math.factorial(n)
    flip = -1.0 if n % 2 == 0 else 1.0
    total = np.zeros(np.shape(x))
    start = ASYMPTOTIC_FROM + n
    for _ in range(MOST_SHIFTS):
        low = x < start
        if not np.any(low):
            break
        total = np.where(low, total + flip * factorial / np.power(x, n + 1), total)
        x = np.where(low, x + 1.0, x)
    x = np.where(x < start, np.nan, x)
    if n == 0:
        tail = sum(b / (2 * k * x ** (2 * k)) for k, b in enumerate(BERNOULLI, 1))
        return total + np.log(x) - 0.5 / x - tail
    tail = sum(
        b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) / x ** (2 * k + n) for k, b in enumerate(BERNOULLI, 1)
    )
    return total + flip * (math.factorial(n - 1) / x**n + factorial / (2.0 * x ** (n + 1)) + tail)
