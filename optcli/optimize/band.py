"""Symmetric matrices of many variables that are a band and a border, found by products with vectors.

    H = band + border:  H_ij = 0 for |i − j| > b, but for a few rows and columns that are dense

Chains of terms have such Hessians; terms with one common variable add a border. Of n variables 2b + 1 products know the
whole band, as columns further apart than 2b share no row: Curtis, Powell & Reid, On the estimation of sparse Jacobian
matrices, J. Inst. Math. Appl. 13 (1974) 117–119.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optcli.optimize.iterate import Array, Mask
from optcli.optimize.products import dot

WIDEST = 8  # the largest half-bandwidth: its products and factors cost as much as a few steps by products
MOST = 4  # dense rows
SPACING = 61  # between the teeth of a comb: room for two windows of WIDEST, and prime, so that no period of terms hides
SHIFTS = (0, 20, 40)  # of the combs: a row within the windows of one of them is outside those of the others
EXACT = 1e-10  # of the terms of a row: what its product may be off by; twice as many digits are lost beside it

Integers = NDArray[np.int64]
Product = Callable[[Array], Array]


class Shape(NamedTuple):
    """Where entries may be other than 0."""

    width: int  # b
    border: Integers  # the dense rows, ascending, shape (m,)


@dataclass(frozen=True, eq=False)
class Band:
    """A symmetric matrix of shape (n, n).

    `upper[o, i]` is H_{i,i+o}, shape (b + 1, n), 0 in the rows and columns of the border; `columns[k]` is the whole
    column `border[k]`, shape (m, n).
    """

    upper: Array
    border: Integers
    columns: Array

    @property
    def size(self) -> int:
        return int(self.upper.shape[1])

    @property
    def width(self) -> int:
        """b"""
        return len(self.upper) - 1

    @property
    def shape(self) -> Shape:
        return Shape(self.width, self.border)

    @property
    def diagonal(self) -> Array:
        diagonal: Array = self.upper[0].copy()
        diagonal[self.border] = self.columns[np.arange(len(self.border)), self.border]
        return diagonal

    def __matmul__(self, v: Array) -> Array:
        """Hv, shape (n,)."""
        out: Array = self.upper[0] * v
        for o, line in enumerate(self.upper[1:], 1):
            out[:-o] += line[:-o] * v[o:]
            out[o:] += line[:-o] * v[:-o]
        for j, column in zip(self.border, self.columns, strict=True):
            out += v[j] * column
        for j, column in zip(self.border, self.columns, strict=True):
            out[j] = dot(column, v)
        return out

    def sizes(self) -> Band:
        """|H|, entry by entry."""
        return Band(np.abs(self.upper), self.border, np.abs(self.columns))

    def norm(self) -> float:
        """A bound on ‖H‖₂: the largest sum of a row of the band, and the length of the border."""
        lines = np.abs(self.upper)
        rows = np.sum(lines, axis=0)
        for o in range(1, len(lines)):
            rows[o:] += lines[o, :-o]
        return float(np.max(rows, initial=0.0)) + float(2.0 * np.sqrt(np.sum(self.columns * self.columns)))

    def scaled(self, d: Array) -> Band:
        """DHD, D = diag(d)."""
        upper = self.upper * d
        for o, line in enumerate(upper):
            line[: len(d) - o] *= d[o:]
        return Band(upper, self.border, self.columns * d * d[self.border, None])

    def plus(self, other: Band, a: float, c: float) -> Band:
        """aH + c·other."""
        border = np.union1d(self.border, other.border)
        one, two = (each.widened(max(self.width, other.width), border) for each in (self, other))
        return Band(a * one.upper + c * two.upper, border, a * one.columns + c * two.columns)

    def widened(self, width: int, border: Integers) -> Band:
        """The same matrix with more room in its band and more rows in its border."""
        upper = np.zeros((width + 1, self.size))
        upper[: len(self.upper)] = self.upper
        columns = np.zeros((len(border), self.size))
        for k, j in enumerate(border):
            unit = np.zeros(self.size)
            unit[j] = 1.0
            columns[k] = self @ unit
            for o, line in enumerate(upper):
                line[j] = 0.0
                if j >= o:
                    line[j - o] = 0.0
        return Band(upper, border, columns)

    def narrowed(self) -> Band:
        """The same matrix without lines of zeros around its band."""
        lines = np.flatnonzero(self.upper.any(axis=1))
        return Band(self.upper[: int(np.max(lines, initial=0)) + 1], self.border, self.columns)

    def among(self, free: Mask) -> Band:
        """The rows and columns of the variables `free`: they only come nearer to each other."""
        if free.all():
            return self
        at = np.cumsum(free) - 1
        m = int(at[-1]) + 1
        upper = np.zeros((min(self.width + 1, m), m))
        for o, line in enumerate(self.upper):
            first = np.flatnonzero(free[: self.size - o] & free[o:])
            upper[at[first + o] - at[first], at[first]] = line[first]
        kept = free[self.border]
        return Band(upper, at[self.border[kept]], self.columns[kept][:, free])


def found(product: Product, n: int, like: Shape | None = None) -> Band | None:
    """The matrix of n rows behind `product`, where it is a band and a border; None where it is not, or not for sure.

    Two combs with ±teeth far apart show what is around and beyond them; columns that they missed are found out by
    a product with a random vector, which the matrix must reproduce. Then the widest band is tried. One with the shape
    `like` is tried first.
    """
    if like is not None:
        H = _assembled(product, n, like)
        if _reproduced(product, H):
            return H
    shape = _shape(product, n)
    if shape is None:
        return None
    H = _assembled(product, n, shape)
    if _reproduced(product, H):
        return H
    H = _assembled(product, n, shape._replace(width=WIDEST))
    return H.narrowed() if _reproduced(product, H) else None


def _reproduced(product: Product, H: Band) -> bool:
    v = scattered(H.size, len(SHIFTS))
    off = np.abs(product(v) - H @ v)
    return bool(np.all(off <= EXACT * (H.sizes() @ np.abs(v))))  # False for NaN


def _shape(product: Product, n: int) -> Shape | None:
    """The half-bandwidth and the border that the combs show."""
    width, shown = 0, []
    border = np.zeros(0, dtype=np.int64)
    for k, shift in enumerate(SHIFTS):
        v = np.zeros(n)
        v[shift::SPACING] = scattered(len(v[shift::SPACING]), k)
        rows = np.flatnonzero(product(v))  # NaN is not 0
        after = (rows - shift) % SPACING
        distances = np.minimum(after, SPACING - after)  # to the nearest tooth
        beyond = rows[distances > WIDEST]
        if len(beyond) <= MOST:
            border = np.union1d(border, beyond)
            shown.append((rows, distances))
        if len(shown) == 2 or k - len(shown) == 1:  # a tooth in a dense column spoils one comb, but hardly two
            break
    if len(shown) < 2 or len(border) > MOST:
        return None
    for rows, distances in shown:
        width = max(width, int(np.max(distances[~np.isin(rows, border)], initial=0)))
    return Shape(width, border)


def _assembled(product: Product, n: int, shape: Shape) -> Band:
    """H by the products of 2b + 1 combs and of a unit vector for each row of the border."""
    width, border = shape
    every = 2 * width + 1
    lines = np.zeros((every, n))  # lines[b + o, i] = H_{i,i+o}
    for k in range(every):
        v = np.zeros(n)
        v[k::every] = 1.0
        v[border] = 0.0
        entries = product(v)
        entries[border] = 0.0
        for o in range(-width, width + 1):
            first = (k - o) % every
            lines[width + o, first::every] = entries[first::every]
    upper = np.zeros((width + 1, n))
    for o in range(width + 1):
        upper[o, : n - o] = 0.5 * (lines[width + o, : n - o] + lines[width - o, o:])
    columns = np.zeros((len(border), n))
    for k, j in enumerate(border):
        unit = np.zeros(n)
        unit[j] = 1.0
        columns[k] = product(unit)
    corner = columns[:, border]
    columns[:, border] = 0.5 * (corner + corner.T)
    return Band(upper, border, columns)


def scattered(n: int, seed: int) -> Array:
    """Numbers of either sign and of size ½…1, shape (n,), the same each time.

    SplitMix64 (Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014); numpy.random would
    cost 10 ms to load.
    """
    z = np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed) * np.uint64(n)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    sizes = 0.5 + (z >> np.uint64(12)) * 2.0**-53
    out: Array = np.where(z & np.uint64(1), sizes, -sizes)
    return out
