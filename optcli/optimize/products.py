"""Inner products whose digits depend on the vectors alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from optcli.optimize.iterate import Array, largest_entry
from optcli.threads import share, threads

SHORT = 10_000  # entries; BLAS splits longer products among threads, as many as there are
BLOCK = 8192
MANY = 500_000  # entries of rows that threads share


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
    whole = n - n % BLOCK if n > SHORT else 0
    out: Array = np.vecdot(rows[:, whole:], b[whole:])
    if whole:
        columns = b[:whole].reshape(-1, BLOCK)
        sums = np.empty((k, whole // BLOCK))

        def some(begin: int, end: int) -> None:
            np.vecdot(rows[begin:end, :whole].reshape(end - begin, whole // BLOCK, BLOCK), columns, out=sums[begin:end])

        _shared(k, rows.size, some)
        out += np.add.reduce(sums, axis=1)
    return out


def combined(c: Array, rows: Array) -> Array:
    """Σ c_k·rows_k, a new array of shape (n,), for c of shape (k,) and rows of shape (k, n)."""
    n = rows.shape[1]
    out: Array = np.empty(n)

    def some(begin: int, end: int) -> None:
        part = slice(begin * BLOCK, min(end * BLOCK, n))
        np.einsum("k,kn->n", c, rows[:, part], out=out[part])

    _shared(-(-n // BLOCK), rows.size, some)
    return out


def _shared(count: int, entries: int, work: Callable[[int, int], None]) -> None:
    """work(begin, end) on ranges that cover range(count): one for each thread if there are many entries."""
    workers = min(threads(), count) if entries >= MANY else 1
    ends = [count * k // workers for k in range(workers + 1)]
    if workers == 1:
        work(0, count)
    else:
        share(workers, lambda k: work(ends[k], ends[k + 1]), workers)


def norm(a: Array) -> float:
    """‖a‖₂, also where aᵀa would overflow or vanish."""
    square = dot(a, a)
    if 1e-280 < square < math.inf:
        return math.sqrt(square)
    size = largest_entry(a)
    return size * math.sqrt(dot(a / size, a / size)) if 0.0 < size < math.inf else size
