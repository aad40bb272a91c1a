"""Structural operations: which entry goes where, and sums of products.

Each is linear in every argument and states its transpose; a frozen value, so that equal ones are one node of a graph.
All work on float64 arrays in C order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd.kernels import into
from optcli.autograd.ops import Shape, call

Array = NDArray[np.float64]
MOST_FILLED = 1 << 20  # entries of a target up to which it is found out whether each has one place


class Structural:
    """Base of the structural operations; `vjp` gives the cotangents of the arguments."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def __call__(self, *args: Any) -> Any:
        return call(self, args)

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        raise AssertionError("each operation knows its shape")

    def kernel(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("each operation has a kernel")

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        """The cotangent of argument i, given that of the result (in full shape)."""
        raise AssertionError("each operation has a transpose")

    def jvp(self, tangents: Sequence[Any], y: Any, args: tuple[Any, ...]) -> Any:
        """The tangent of the result; None stands for a zero tangent. Right for operations linear in one argument."""
        return self(*tangents)


def shape_of(value: Any) -> Shape:
    shape: Shape = getattr(value, "shape", ())
    return shape


# ------------------------------------------------------------------ places


@dataclass(frozen=True)
class Strided:
    """The entries offset + sum(k_d*strides[d]) of a flat array, for 0 <= k_d < shape[d]."""

    offset: int
    strides: tuple[int, ...]
    shape: Shape

    def view(self, x: Array) -> Any:
        if not self.shape:
            return x.reshape(-1)[self.offset]
        if 0 in self.shape:
            return np.empty(self.shape)
        return np.ndarray(self.shape, np.float64, x, 8 * self.offset, tuple(8 * s for s in self.strides))

    def add_into(self, target: Array, values: Any) -> None:
        """target[places] += values, right also where places coincide."""
        if 0 in self.shape:
            return
        if not self.shape:
            target.reshape(-1)[self.offset] += values
            return
        if self.injective():
            view = self.view(target)
            view += values
            return
        # places coincide: peel off the shortest axis, one pass for each of its entries
        axis = int(np.argmin(self.shape))
        rest = Strided(self.offset, _without(self.strides, axis), _without(self.shape, axis))
        for k in range(self.shape[axis]):
            moved = Strided(self.offset + k * self.strides[axis], rest.strides, rest.shape)
            moved.add_into(target, np.take(values, k, axis=axis))

    def put_into(self, target: Array, values: Any) -> None:
        """target[places] = values, where no places coincide."""
        if not self.shape:
            target.reshape(-1)[self.offset] = values
        elif 0 not in self.shape:
            self.view(target)[...] = values

    def injective(self) -> bool:
        reach = 0
        for stride, count in sorted(zip(map(abs, self.strides), self.shape, strict=True)):
            if count > 1 and stride <= reach:
                return False
            reach += stride * (count - 1)
        return True

    def is_whole(self, size: int) -> bool:
        """Whether these are all `size` entries in their order."""
        return (
            self.offset == 0
            and math.prod(self.shape) == size
            and all(
                stride == math.prod(self.shape[d + 1 :]) for d, stride in enumerate(self.strides) if self.shape[d] > 1
            )
        )


@dataclass(frozen=True, eq=False)
class Gather:
    """The entries of a flat array whose numbers stand in an integer array, each as often as it stands there."""

    index: NDArray[np.int64]

    @property
    def shape(self) -> Shape:
        return self.index.shape

    def view(self, x: Array) -> Any:
        return x.reshape(-1)[self.index]

    def add_into(self, target: Array, values: Any) -> None:
        flat = target.reshape(-1)
        flat += np.bincount(
            self.index.reshape(-1), np.broadcast_to(values, self.index.shape).reshape(-1), minlength=flat.size
        )

    def put_into(self, target: Array, values: Any) -> None:
        target.reshape(-1)[self.index] = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gather) and np.array_equal(self.index, other.index)

    def __hash__(self) -> int:
        return hash((self.index.shape, self.index.tobytes()))


Places = Strided | Gather


def _without(values: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return values[:axis] + values[axis + 1 :]


@dataclass(frozen=True)
class Take(Structural):
    """Entries of an array: index, slice with a stride, transpose, diagonal, windows."""

    places: Places
    source: Shape

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return self.places.shape

    def kernel(self, x: Any, out: Any = None) -> Any:
        taken = self.places.view(np.ascontiguousarray(x))
        return taken if out is None else into(taken, out)

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        return Scatter((self.places,), self.source)(cotangent)


@dataclass(frozen=True)
class Scatter(Structural):
    """Zeros of a shape, with each argument added at its places: the transpose of Take."""

    places: tuple[Places, ...]
    target: Shape

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return self.target

    @cached_property
    def fills(self) -> bool:
        """Whether each entry has one place: then values are put there, and −0 stays −0."""
        size = math.prod(self.target)
        if size > MOST_FILLED or sum(math.prod(places.shape) for places in self.places) != size:
            return False
        numbers = np.arange(size, dtype=np.float64)
        taken = [np.ravel(places.view(numbers)) for places in self.places]
        return bool(np.array_equal(np.sort(np.concatenate(taken)), numbers)) if taken else True

    def kernel(self, *args: Any, out: Any = None) -> Any:
        if out is None:
            out = np.zeros(self.target)
        else:
            out[...] = 0.0
        for places, values in zip(self.places, args, strict=True):
            if self.fills:
                places.put_into(out, values)
            else:
                places.add_into(out, values)
        return out if self.target else out[()]

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        return Take(self.places[i], self.target)(cotangent)

    def jvp(self, tangents: Sequence[Any], y: Any, args: tuple[Any, ...]) -> Any:
        known = [(p, t) for p, t in zip(self.places, tangents, strict=True) if t is not None]
        return Scatter(tuple(p for p, _ in known), self.target)(*(t for _, t in known))


# ------------------------------------------------------------------ shapes


@dataclass(frozen=True)
class Reshape(Structural):
    """The same entries in the same (C) order under another shape."""

    shape: Shape
    source: Shape

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        assert math.prod(shapes[0]) == math.prod(self.shape), f"{shapes[0]} does not become {self.shape}"
        return self.shape

    def kernel(self, x: Any, out: Any = None) -> Any:
        return into(np.reshape(x, self.shape)[()], out)

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        return reshape(cotangent, self.source)


@dataclass(frozen=True)
class Broadcast(Structural):
    """numpy's broadcasting to a shape, as a view."""

    shape: Shape

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        assert np.broadcast_shapes(shapes[0], self.shape) == self.shape, f"{shapes[0]} does not become {self.shape}"
        return self.shape

    def kernel(self, x: Any, out: Any = None) -> Any:
        return into(np.broadcast_to(x, self.shape), out)

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        return sum_to(cotangent, self.shape, shape_of(args[0]))


@dataclass(frozen=True)
class Sum(Structural):
    """The sum over some axes, in numpy's pairwise order."""

    axes: tuple[int, ...]
    source: Shape

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return tuple(n for d, n in enumerate(self.source) if d not in self.axes)

    def kernel(self, x: Any, out: Any = None) -> Any:
        return np.sum(x, axis=self.axes, out=out)

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        if shape_of(cotangent) == ():
            return cotangent  # one number stands for equal entries
        return reshape(cotangent, tuple(1 if d in self.axes else n for d, n in enumerate(self.source)))


@dataclass(frozen=True)
class Fold(Structural):
    """The sum of a vector's entries, each added to the total of those before it: the order in which terms are typed."""

    size: int

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        assert list(shapes) == [(self.size,)], f"{shapes} is not one vector of {self.size}"
        return ()

    def kernel(self, x: Any) -> Any:
        return np.add.accumulate(x)[-1]

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        return cotangent  # one number stands for equal entries


def reshape(x: Any, shape: Shape) -> Any:
    """`x` under another shape, itself where that is its shape."""
    source = shape_of(x)
    return x if source == shape else Reshape(shape, source)(x)


def expand(x: Any, shape: Shape) -> Any:
    """`x` broadcast to `shape`, itself where that is its shape."""
    return x if shape_of(x) == shape else Broadcast(shape)(x)


def sum_to(x: Any, shape: Shape, target: Shape) -> Any:
    """The transpose of broadcasting `target` to `shape`.

    `x` may itself have fewer entries than `shape`: an axis of length 1, or none, stands for equal entries, so that
    a sum over it is a product with its length.
    """
    if shape == target:
        return x
    lead = len(shape) - len(target)
    here = (1,) * (len(shape) - len(shape_of(x))) + shape_of(x)
    wanted = (1,) * lead + target
    summed = tuple(d for d, n in enumerate(here) if n != 1 and wanted[d] == 1)
    equal = math.prod(n for d, n in enumerate(shape) if here[d] == 1 and wanted[d] == 1)
    if summed:
        x = Sum(summed, here)(reshape(x, here))
    if equal != 1:
        x = x * float(equal)
    kept = tuple(1 if d in summed else n for d, n in enumerate(here))[lead:]
    return reshape(x, kept if math.prod(kept) != 1 else ())
