"""Which entries of a vector or matrix are read, and whether any between them is not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from optcli.expr.indices import MOST_RANGE, Axis, Index, IndexingError, Ints


@dataclass
class Uses:
    """The places at which the text reads one vector or matrix."""

    dimensions: int
    read: list[tuple[Index, ...]] = field(default_factory=list)

    def add(self, indices: tuple[Index, ...]) -> None:
        if not any(index.empty() for index in indices):
            self.read.append(indices)

    def ranges(self) -> list[tuple[int, int]]:
        """(smallest, largest) index of each dimension. Raises IndexingError for huge ranges and for gaps."""
        if not self.read:
            raise IndexingError("no entry of it is ever read")
        out = []
        for d in range(self.dimensions):
            ends = [indices[d].bounds() for indices in self.read]
            low, high = min(end[0] for end in ends), max(end[1] for end in ends)
            if high - low >= MOST_RANGE:
                raise IndexingError(f"indices from {low} to {high}: the limit is {MOST_RANGE:,} entries")
            out.append((low, high))
        if math.prod(high - low + 1 for low, high in out) > MOST_RANGE:
            raise IndexingError(f"more than {MOST_RANGE:,} entries")
        gap = self._gap(out)
        if gap is not None:
            raise IndexingError(
                f"entry [{gap}] stands in between and is never read",
                "Leave no gaps: number the entries one after the other.",
            )
        return out

    def _gap(self, ranges: list[tuple[int, int]]) -> str | None:
        if self.dimensions == 1 and _covered([indices[0] for indices in self.read], *ranges[0]):
            return None
        marks = np.zeros([high - low + 1 for low, high in ranges], dtype=bool)
        for indices in self.read:
            axes = tuple({axis: None for index in indices for axis in index.terms})
            if len(axes) == 1 or math.prod(axis.count for axis in axes) <= 10**7:
                places = tuple(index.values(axes) - low for index, (low, _) in zip(indices, ranges, strict=True))
                marks[tuple(np.broadcast_arrays(*places))] = True
            elif self._separate(indices):
                marks[np.ix_(*(self._line(index) - low for index, (low, _) in zip(indices, ranges, strict=True)))] = (
                    True
                )
            else:  # too many pairs to list: walk along the shortest axis
                self._walk(marks, indices, axes, ranges)
        missing = int(marks.argmin())  # the first False, or 0
        if marks.flat[missing]:
            return None
        place = np.unravel_index(missing, marks.shape)
        return ",".join(str(int(k) + low) for k, (low, _) in zip(place, ranges, strict=True))

    @staticmethod
    def _separate(indices: tuple[Index, ...]) -> bool:
        owners = [axis for index in indices for axis in index.terms]
        return len(owners) == len(set(owners)) and all(len(index.terms) <= 1 for index in indices)

    @staticmethod
    def _line(index: Index) -> Ints:
        return np.unique(index.values(tuple(index.terms)).reshape(-1))

    @staticmethod
    def _walk(marks: Any, indices: tuple[Index, ...], axes: Sequence[Axis], ranges: list[tuple[int, int]]) -> None:
        *outer, inner = sorted(axes, key=lambda axis: axis.count)
        lines = [Index(index.constant, {a: t for a, t in index.terms.items() if a is inner}) for index in indices]
        base = [line.values((inner,)) - low for line, (low, _) in zip(lines, ranges, strict=True)]
        rests = [Index(Fraction(0), {a: t for a, t in index.terms.items() if a is not inner}) for index in indices]
        offsets = [np.broadcast_to(r.values(outer), [a.count for a in outer]).reshape(-1) for r in rests]
        for shift in set(zip(*(offset.tolist() for offset in offsets), strict=True)):
            marks[tuple(line + s for line, s in zip(base, shift, strict=True))] = True


def _covered(read: Iterable[Index], low: int, high: int) -> bool:
    """Whether runs without gaps alone cover low … high (False may also mean: look closer)."""
    runs = []
    for index in read:
        run = 1
        for axis, term in sorted(
            index.terms.items(), key=lambda item: abs(item[1]) if isinstance(item[1], Fraction) else 0
        ):
            if not isinstance(term, Fraction) or abs(term) > run:
                break
            run += int(abs(term)) * (axis.count - 1)
        else:
            runs.append(index.bounds())
    runs.sort()
    reach = low - 1
    for first, last in runs:
        if first > reach + 1:
            return False
        reach = max(reach, last)
    return reach >= high
