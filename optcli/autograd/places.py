"""From what stands in brackets to the places of an array, and writing there."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd.ops import Operand, Shape
from optcli.autograd.structural import Gather, Places, Strided, Structural, Take, expand, shape_of

Array = NDArray[np.float64]


def whole(shape: Shape) -> Strided:
    """All entries of an array of the shape, in C order."""
    return Strided(0, tuple(math.prod(shape[d + 1 :]) for d in range(len(shape))), shape)


@functools.lru_cache(maxsize=1024)
def entry(index: int, count: int) -> Take:
    """The operation x[index] on a vector of `count` entries; raises IndexError."""
    return Take(Strided(_inside(index, count, 0), (), ()), (count,))


def places(index: Any, shape: Shape) -> Places:
    """The places that numpy's x[index] reads in an array of the shape, in C order; raises IndexError."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, Operand) for part in parts):
        raise IndexError("a Tensor cannot be an index; give its .numpy() converted to int or bool, or use where")
    if all(map(_is_basic, parts)):
        return narrow(whole(shape), parts)
    try:
        numbers = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)[tuple(parts)]
    except (IndexError, TypeError) as error:
        raise IndexError(f"{_shown(index)} is no index into shape {shape}: {error}") from None
    return Gather(np.ascontiguousarray(numbers))


def narrow(source: Strided, parts: Sequence[Any]) -> Strided:
    """The places that numbers, slices, `...` and None pick among the places of `source`."""
    used = sum(part is not None and part is not Ellipsis for part in parts)
    gaps = sum(part is Ellipsis for part in parts)
    if gaps > 1 or used > len(source.shape):
        what = "more than one ..." if gaps > 1 else f"{used} indices for {len(source.shape)} axes"
        raise IndexError(f"{what} in [{', '.join(map(_shown, parts))}] of shape {source.shape}")
    rest = [slice(None)] * (len(source.shape) - used)
    if gaps:
        at = next(k for k, part in enumerate(parts) if part is Ellipsis)
        parts = [*parts[:at], *rest, *parts[at + 1 :]]
    else:
        parts = [*parts, *rest]
    offset, strides, shape, axis = source.offset, [], [], 0
    for part in parts:
        if part is None:
            strides.append(0)
            shape.append(1)
            continue
        stride, count = source.strides[axis], source.shape[axis]
        if isinstance(part, slice):
            start, stop, step = part.indices(count)
            picked = len(range(start, stop, step))
            offset += start * stride if picked else 0
            strides.append(step * stride)
            shape.append(picked)
        else:
            offset += _inside(operator.index(part), count, axis) * stride
        axis += 1
    return Strided(offset, tuple(strides), tuple(shape))


def memory(places: Strided, base: Array) -> Array:
    """The places of a C-contiguous array as an array on the same memory, also where they are one entry."""
    if 0 in places.shape:
        return np.empty(places.shape)
    return np.ndarray(places.shape, np.float64, base, 8 * places.offset, tuple(8 * s for s in places.strides))


def fit(values: Any, shape: Shape) -> Any:
    """`values` broadcast to the shape of the places they go to; RuntimeError if they do not fit there."""
    given = shape_of(values)
    try:
        fits = np.broadcast_shapes(given, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(f"values of shape {given} do not fit places of shape {shape}")
    return expand(values, shape)


def reversed_axes(at: Strided) -> Strided:
    """The same places with the axes in reverse order."""
    return Strided(at.offset, at.strides[::-1], at.shape[::-1])


def length_filled(wanted: Shape, source: Shape) -> Shape:
    """`wanted` with its one -1 made a length; RuntimeError where the entries of `source` do not fit."""
    count, known = math.prod(source), math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) == 1 and known > 0 and count % known == 0:
        return tuple(count // known if n == -1 else n for n in wanted)
    if known != count or min(wanted, default=0) < 0:
        raise RuntimeError(f"{count} entries of shape {source} do not fit shape {wanted}")
    return wanted


@dataclass(frozen=True)
class Put(Structural):
    """An array with the values at some places replaced: Put(x, values). Only eager Tensors use it, in reverse mode."""

    places: Places
    target: Shape

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return self.target

    def kernel(self, x: Any, values: Any, out: Any = None) -> Any:
        out = np.empty(self.target) if out is None else out
        out[...] = x
        if isinstance(self.places, Gather):
            out.reshape(-1)[self.places.index] = values
        else:
            memory(self.places, out)[...] = values
        return out if self.target else out[()]

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        if i == 1:
            return Take(self.places, self.target)(cotangent)
        return Put(self.places, self.target)(cotangent, expand(np.float64(0.0), self.places.shape))


def _is_basic(part: Any) -> bool:
    if part is None or part is Ellipsis or isinstance(part, slice):
        return True
    if isinstance(part, np.ndarray):
        return part.shape == () and part.dtype.kind in "iu"
    return isinstance(part, int | np.integer) and not isinstance(part, bool)


def _inside(index: int, count: int, axis: int) -> int:
    if not -count <= index < count:
        raise IndexError(f"index {index} is outside axis {axis}, which has {count} entries")
    return index + count if index < 0 else index


def _shown(part: Any) -> str:
    return "..." if part is Ellipsis else repr(part) if isinstance(part, int | slice | None) else type(part).__name__
