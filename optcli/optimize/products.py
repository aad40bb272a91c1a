"""Inner products whose digits depend on the vectors alone."""

from __future__ import annotations

import math

import numpy as np

from optcli.optimize.iterate import Array, largest_entry

SHORT = 10_000  # entries; BLAS splits longer products among threads, as many as there are
BLOCK = 8192
COLUMNS = 2048


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
    """The inner product of each row with b, shape (k,), for contiguous rows of shape (k, n)."""
    n = len(b)
    if n <= SHORT:
        short: Array = np.vecdot(rows, b)
        return short
    whole = n - n % BLOCK
    blocks = np.matmul(_blocks(rows, whole, BLOCK), b[:whole].reshape(-1, BLOCK, 1))[:, :, 0]
    out: Array = np.add.reduce(blocks, axis=0) + np.vecdot(rows[:, whole:], b[whole:])
    return out


def combined(c: Array, rows: Array) -> Array:
    """Σ c_k·rows_k, a new array of shape (n,), for c of shape (k,) and rows of shape (k, n).

    Equal columns have equal sums: symmetric problems stay so. The last columns are those of a whole block therefore.
    """
    n = rows.shape[1]
    out: Array = np.empty(n)
    if n < COLUMNS:
        np.einsum("k,kn->n", c, rows, out=out)
        return out
    whole = n - n % COLUMNS
    np.matmul(c, _blocks(rows, whole, COLUMNS), out=out[:whole].reshape(-1, COLUMNS))
    if whole < n:
        np.matmul(c, rows[:, n - COLUMNS :], out=out[n - COLUMNS :])
    return out


def _blocks(rows: Array, whole: int, block: int) -> Array:
    """The first columns of rows as a stack of matrices, which BLAS does not split among threads."""
    return rows[:, :whole].reshape(len(rows), whole // block, block).transpose(1, 0, 2)


def norm(a: Array) -> float:
    """‖a‖₂, also where aᵀa would overflow or vanish."""
    square = dot(a, a)
    if 1e-280 < square < math.inf:
        return math.sqrt(square)
    size = largest_entry(a)
    return size * math.sqrt(dot(a / size, a / size)) if 0.0 < size < math.inf else size
