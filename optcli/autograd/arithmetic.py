"""The arithmetic of Tensors: the table's functions as methods, comparisons, sums and products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optcli.autograd import ops
from optcli.autograd.ops import BY_UFUNC, OPS, Op, Operand
from optcli.autograd.products import Contract, Norm
from optcli.autograd.structural import Sum, reshape, shape_of

# the axes of a product of a vector or matrix with a vector or matrix, by their numbers of axes
PRODUCTS = {
    (1, 1): Contract((0,), (0,), ()),
    (1, 2): Contract((0,), (0, 1), (1,)),
    (2, 1): Contract((0, 1), (1,), (0,)),
    (2, 2): Contract((0, 1), (1, 2), (0, 2)),
}


def matmul(a: Any, b: Any) -> Any:
    """The product of vectors and matrices, a @ b; RuntimeError for shapes that do not fit."""
    left, right = shape_of(a), shape_of(b)
    product = PRODUCTS.get((len(left), len(right)))
    if product is None or left[-1] != right[0]:
        raise RuntimeError(f"no product of shapes {left} and {right}: vectors and matrices with equal inner lengths")
    return product(a, b)


def _greater(a: Any, b: Any) -> Any:
    return ops.lt(b, a)


def _greater_equal(a: Any, b: Any) -> Any:
    return ops.le(b, a)


# numpy's functions on Tensors: the table's, and those that are no row of it
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **BY_UFUNC,
    np.matmul: matmul,
    np.greater: _greater,
    np.greater_equal: _greater_equal,
}


def is_number_or_array(value: Any) -> bool:
    """Whether a Tensor can be combined with it: real numbers and numpy arrays of them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biuf"
    return isinstance(value, int | float | Operand)


class Arithmetic(Operand):
    """Methods that come down to operations of the table or structural ones."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        function = FUNCTIONS.get(ufunc)
        if function is None or method != "__call__" or kwargs:
            return NotImplemented
        return function(*args)

    # conditions are 1.0 or 0.0, without gradient
    def __lt__(self, other: Any) -> Any:
        return ops.lt(self, other)

    def __le__(self, other: Any) -> Any:
        return ops.le(self, other)

    def __gt__(self, other: Any) -> Any:
        return ops.lt(other, self)

    def __ge__(self, other: Any) -> Any:
        return ops.le(other, self)

    def __eq__(self, other: object) -> Any:
        return ops.eq(self, other) if is_number_or_array(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return ops.ne(self, other) if is_number_or_array(other) else NotImplemented

    __hash__ = object.__hash__  # by identity, as for anything whose == is not a bool

    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self)

    def dot(self, other: Any) -> Any:
        """The product of vectors or matrices."""
        return matmul(self, other)

    def where(self, condition: Any, other: Any) -> Any:
        """These entries where the condition is not 0, the other's elsewhere."""
        return ops.where(condition, self, other)

    def maximum(self, other: Any) -> Any:
        """The larger of both, entry by entry; ties share the gradient."""
        return ops.largest(self, other)

    def minimum(self, other: Any) -> Any:
        """The smaller of both, entry by entry; ties share the gradient."""
        return ops.smallest(self, other)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
        """The sum over one axis, several, or all (None)."""
        axes = self._axes(axis)
        total = Sum(axes, self.shape)(self)
        if keepdims:
            total = reshape(total, tuple(1 if d in axes else n for d, n in enumerate(self.shape)))
        return total

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
        """The mean over one axis, several, or all (None); NaN of nothing."""
        return self.sum(axis, keepdims) / float(math.prod(self.shape[d] for d in self._axes(axis)))

    def norm(self) -> Any:
        """The Euclidean norm of all entries."""
        return Norm(self.shape)(self)

    def _axes(self, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
        count = len(self.shape)
        if axis is None:
            return tuple(range(count))
        given = axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(d + count if d < 0 else d for d in given)
        if any(not 0 <= d < count for d in axes):
            raise IndexError(f"axis {axis} of a Tensor with {count} axes")
        if len(set(axes)) < len(axes):
            raise RuntimeError(f"an axis stands twice in {axis}")
        return axes


def _method(op: Op) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        return op(self)

    method.__name__ = op.name
    method.__qualname__ = f"Arithmetic.{op.name}"
    method.__doc__ = f"{op.name}, entry by entry."
    return method


for _op in OPS.values():
    if _op.arity == 1 and _op is not ops.negate:
        setattr(Arithmetic, _op.name, _method(_op))
