"""Sobol points: a sequence that fills the unit cube evenly, whatever the number of points."""

from __future__ import annotations

import numpy as np

from optcli.optimize.iterate import Array

BITS = 52  # of a double's fraction
# For each dimension from the second on: the degree of its primitive polynomial, its inner coefficients as bits, and its
# first direction numbers. S. Joe, F. Y. Kuo, Constructing Sobol sequences with better two-dimensional projections, SIAM
# J. Sci. Comput. 30 (2008) 2635–2654, table new-joe-kuo-6.
TABLE = (
    (1, 0, (1,)),
    (2, 1, (1, 3)),
    (3, 1, (1, 3, 1)),
    (3, 2, (1, 1, 1)),
    (4, 1, (1, 1, 3, 3)),
    (4, 4, (1, 3, 5, 13)),
    (5, 2, (1, 1, 5, 5, 17)),
    (5, 4, (1, 1, 5, 5, 5)),
    (5, 7, (1, 1, 7, 11, 19)),
    (5, 11, (1, 1, 5, 1, 1)),
    (5, 13, (1, 1, 1, 3, 11)),
    (5, 14, (1, 3, 5, 5, 31)),
    (6, 1, (1, 3, 3, 9, 7, 49)),
    (6, 13, (1, 1, 1, 15, 21, 21)),
    (6, 16, (1, 3, 1, 13, 27, 49)),
    (6, 19, (1, 1, 1, 15, 7, 5)),
    (6, 22, (1, 3, 1, 15, 13, 25)),
    (6, 25, (1, 1, 5, 5, 19, 61)),
    (7, 1, (1, 3, 7, 11, 23, 15, 103)),
    (7, 4, (1, 3, 7, 13, 13, 15, 69)),
)
MOST_DIMENSIONS = len(TABLE) + 1


def directions(dimension: int) -> list[int]:
    """The direction numbers v_1 … v_BITS of a dimension, from 0 on, as fractions of 2^BITS; Joe & Kuo."""
    if dimension == 0:
        return [1 << (BITS - k) for k in range(1, BITS + 1)]
    degree, inner, first = TABLE[dimension - 1]
    m = list(first)
    for k in range(degree, BITS):
        new = m[k - degree] ^ (m[k - degree] << degree)
        for j in range(1, degree):
            if inner >> (degree - 1 - j) & 1:
                new ^= m[k - j] << j
        m.append(new)
    return [m[k] << (BITS - 1 - k) for k in range(BITS)]


class Sobol:
    """Points of the open unit cube without end, moved as a whole by a digital shift from `random`.

    The shift (Owen, Variance with alternative scramblings of digital nets, ACM TOMACS 13 (2003) 363–378) keeps the
    evenness and no point on a face. Coordinates beyond MOST_DIMENSIONS are uniformly random.
    """

    def __init__(self, size: int, random: np.random.Generator) -> None:
        even = min(size, MOST_DIMENSIONS)
        self._numbers = np.array([directions(d) for d in range(even)], dtype=np.int64).reshape(even, BITS)
        self._shift = np.asarray(random.integers(0, 1 << BITS, even), dtype=np.int64)
        self._others = size - even
        self._random = random
        self._taken = 0

    def take(self, count: int) -> Array:
        """The next points, shape (count, size), however they are cut into calls."""
        k = np.arange(self._taken, self._taken + count)
        self._taken += count
        gray = k ^ k >> 1  # the order of Antonov & Saleev 1979, point k at once from the bits of its Gray code
        state = np.repeat(self._shift[:, None], count, axis=1)
        for bit in range(int(self._taken).bit_length()):
            state ^= -(gray >> bit & 1) & self._numbers[:, bit, None]  # all bits of −1 are set
        return np.hstack([(state.T + 0.5) / (1 << BITS), self._random.uniform(size=(count, self._others))])
