"""Inner products whose digits depend on the vectors alone."""

from __future__ import annotations

import math

import numpy as np

from optcli.optimize.iterate import Array, largest_entry

SHORT = 10_000  # entries; BLAS splits longer products among threads, as many as there are
BLOCK = 8192


def dot(a: Array, b: Array) -> float:
    """aᵀb of two contiguous vectors, shape (n,).

    A long one is added up by blocks. BLAS alone would add in an order that depends on the number of cores, so that a
    run resumed elsewhere would not have the digits of the first, and its threads would wait for each other.
    """
    n = len(a)
    if n <= SHORT:
        return float(a @ b)
    whole = n - n % BLOCK
    blocks = np.vecdot(a[:whole].reshape(-1, BLOCK), b[:whole].reshape(-1, BLOCK))
    return float(np.add.reduce(blocks)) + float(a[whole:] @ b[whole:])


def dots(rows: Array, b: Array) -> Array:
    """The inner product of each row with b, shape (k,), for contiguous rows of shape (k, n): the digits of `dot`."""
    k, n = rows.shape
    if n <= SHORT:
        short: Array = np.vecdot(rows, b)
        return short
    whole = n - n % BLOCK
    blocks = np.vecdot(rows[:, :whole].reshape(k, whole // BLOCK, BLOCK), b[:whole].reshape(-1, BLOCK))
    out: Array = np.add.reduce(blocks, axis=1) + np.vecdot(rows[:, whole:], b[whole:])
    return out


def combined(c: Array, rows: Array) -> Array:
    """Σ c_k·rows_k, a new array of shape (n,), for c of shape (k,) and rows of shape (k, n)."""
    out: Array = np.einsum("k,kn->n", c, rows)
    return out


def norm(a: Array) -> float:
    """‖a‖₂, also where aᵀa would overflow or vanish."""
    square = dot(a, a)
    if 1e-280 < square < math.inf:
        return math.sqrt(square)
    size = largest_entry(a)
    return size * math.sqrt(dot(a / size, a / size)) if 0.0 < size < math.inf else size
