"""Integer indices of Sum and Product: exact affine values, scopes of axes, and which entries a vector needs.

An index value is a constant plus one term an axis: an integer stride, or a table of integers along a flat axis where
bounds depend on outer indices. Nothing here grows with the length of a regular range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_RANGE = 10**8  # entries of one index
MOST_TERMS = 10**9  # of nested ranges together, as far as what is added depends on them
Ints = NDArray[np.int64]


class IndexingError(Exception):
    """Why an index or a bound cannot be used: (message, remedy). The caller knows the place."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, eq=False)
class Axis:
    """One direction of a whole-array computation: `count` positions; `number` orders axes, outer ones first."""

    number: int
    count: int


@dataclass(frozen=True)
class Index:
    """constant + sum over axes of stride*position, or of table[position]; strides may be fractions on the way."""

    constant: Fraction
    terms: Mapping[Axis, Fraction | Ints] = field(default_factory=dict)

    def __add__(self, other: Index) -> Index:
        terms = dict(self.terms)
        for axis, term in other.terms.items():
            terms[axis] = _add_terms(axis, terms[axis], term) if axis in terms else term
        return Index(self.constant + other.constant, _nonzero(terms))

    def scaled(self, factor: Fraction) -> Index:
        terms = {axis: _scale(term, factor) for axis, term in self.terms.items()}
        return Index(self.constant * factor, _nonzero(terms))

    def __neg__(self) -> Index:
        return self.scaled(Fraction(-1))

    def __sub__(self, other: Index) -> Index:
        return self + -other

    def __mul__(self, other: Index) -> Index:
        if not other.terms:
            return self.scaled(other.constant)
        if not self.terms:
            return other.scaled(self.constant)
        raise IndexingError("a product of two indices is no index", "An index is a sum of multiples: x[2*i + j - 1].")

    def __truediv__(self, other: Index) -> Index:
        if other.terms or other.constant == 0:
            raise IndexingError("an index can be divided by a number only")
        return self.scaled(1 / other.constant)

    def __pow__(self, other: Index) -> Index:
        if self.terms or other.terms or other.constant.denominator != 1 or not 0 <= other.constant <= 64:
            raise IndexingError("only whole numbers can be powers in an index")
        return Index(self.constant ** int(other.constant))

    def whole(self) -> Index:
        """The same value with integers throughout. Raises IndexingError where it is not whole."""
        parts = [self.constant, *(term for term in self.terms.values() if isinstance(term, Fraction))]
        for part in parts:
            if part.denominator != 1:
                raise IndexingError(
                    f"{_decimal(part)} is not a whole number", "Choose parameters for which it is whole."
                )
        return self

    @property
    def start(self) -> int:
        return int(self.constant)

    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest value (of a whole index over axes that are not empty)."""
        low = high = self.start
        for axis, term in self.terms.items():
            if isinstance(term, Fraction):
                reach = int(term) * (axis.count - 1)
                low, high = low + min(0, reach), high + max(0, reach)
            else:
                low, high = low + int(term.min()), high + int(term.max())
        return low, high

    def empty(self) -> bool:
        return any(axis.count == 0 for axis in self.terms)

    def values(self, axes: Sequence[Axis]) -> Ints:
        """The whole index as an array over `axes` (length 1 where it does not depend on one)."""
        total = np.full((1,) * len(axes), self.start, dtype=np.int64)
        for axis, term in self.terms.items():
            line = np.arange(axis.count, dtype=np.int64) * int(term) if isinstance(term, Fraction) else term
            total = total + line.reshape([-1 if other is axis else 1 for other in axes])
        return total


def number(value: float) -> Index:
    """An index from a number; raises IndexingError for Inf and NaN."""
    if not math.isfinite(value):
        raise IndexingError("an index must be finite")
    return Index(Fraction(value))


def _decimal(value: Fraction) -> str:
    return f"{float(value):g}"


def _scale(term: Fraction | Ints, factor: Fraction) -> Fraction | Ints:
    if isinstance(term, Fraction):
        return term * factor
    product = term * factor.numerator
    if factor.denominator != 1:
        if np.any(product % factor.denominator):
            raise IndexingError("this index is not always a whole number")
        product //= factor.denominator
    return product


def _add_terms(axis: Axis, a: Fraction | Ints, b: Fraction | Ints) -> Fraction | Ints:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a + b
    line = [np.arange(axis.count) * int(t) if isinstance(t, Fraction) else t for t in (a, b)]
    return line[0] + line[1]


def _nonzero(terms: dict[Axis, Fraction | Ints]) -> dict[Axis, Fraction | Ints]:
    return {axis: term for axis, term in terms.items() if not (isinstance(term, Fraction) and term == 0)}


class Ragged(NamedTuple):
    """How a flat axis came from outer ones: it lists (outer position, inner value) pairs."""

    outer: tuple[Axis, ...]
    parent: Ints  # the flat position over `outer` of each pair
    counts: Ints  # how many pairs each outer position has


@dataclass(frozen=True, eq=False)
class Scope:
    """What each bound index is worth, in terms of the axes that are open."""

    indices: Mapping[Any, Index] = field(default_factory=dict)
    axes: tuple[Axis, ...] = ()
    depth: int = 0

    def enter(self, binder: Any, low: Index, high: Index) -> tuple[Scope, Axis, Ragged | None]:
        """The scope inside a Sum over `binder` from `low` to `high`, its axis, and how it hangs on outer axes.

        Raises IndexingError for bounds that are not whole and for ranges beyond the limits. What the terms in there
        depend on is the caller's to tell: see `limit`.
        """
        low, high = low.whole(), high.whole()
        involved = tuple(axis for axis in self.axes if axis in low.terms or axis in high.terms)
        if involved:
            return self._enter_ragged(binder, low, high, involved)
        count = max(0, high.start - low.start + 1)
        axis = Axis(self.depth, count)
        _limit(count, count)
        value = Index(low.constant, {axis: Fraction(1)})
        return Scope({**self.indices, binder: value}, (*self.axes, axis), self.depth + 1), axis, None

    def limit(self, binders: Iterable[Any]) -> None:
        """Raises IndexingError where a value that depends on the indices of `binders` has too many terms.

        Ranges that it does not depend on do not count: a value is made once for all of their terms.
        """
        axes = {axis for binder in binders for axis in self.indices[binder].terms}
        _limit(0, math.prod(max(1, axis.count) for axis in axes))

    def _enter_ragged(
        self, binder: Any, low: Index, high: Index, involved: tuple[Axis, ...]
    ) -> tuple[Scope, Axis, Ragged | None]:
        grid = tuple(axis.count for axis in involved)
        first = np.broadcast_to(low.values(involved), grid).reshape(-1)
        counts = np.maximum(0, np.broadcast_to(high.values(involved), grid).reshape(-1) - first + 1)
        rest = tuple(axis for axis in self.axes if axis not in involved)
        total = int(counts.sum())
        _limit(int(counts.max(initial=0)), total)
        parent = np.repeat(np.arange(counts.size), counts)
        inner = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + first[parent]
        axis = Axis(self.depth, total)
        positions = dict(zip(involved, np.unravel_index(parent, grid) if grid else (), strict=True))
        indices = {name: _moved(index, positions, axis) for name, index in self.indices.items()}
        indices[binder] = Index(Fraction(0), {axis: inner})
        return Scope(indices, (*rest, axis), self.depth + 1), axis, Ragged(involved, parent, counts)


def _limit(longest: int, total: int) -> None:
    if longest > MOST_RANGE:
        raise IndexingError(f"a range of {longest:,} entries: the limit is {MOST_RANGE:,}", "Take a shorter range.")
    if total > MOST_TERMS:
        raise IndexingError(f"nested ranges of more than {MOST_TERMS:,} terms", "Take shorter ranges.")


def _moved(index: Index, positions: Mapping[Axis, Ints], axis: Axis) -> Index:
    """`index` with its terms on the axes of `positions` told along the flat `axis` instead."""
    moved = [old for old in index.terms if old in positions]
    if not moved:
        return index
    table = np.zeros(axis.count, dtype=np.int64)
    for old in moved:
        term = index.terms[old]
        table = table + (positions[old] * int(term) if isinstance(term, Fraction) else term[positions[old]])
    kept = {other: term for other, term in index.terms.items() if other not in positions}
    return Index(index.constant, {**kept, axis: table})
