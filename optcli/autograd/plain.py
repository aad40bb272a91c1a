"""The way in and out of Tensors: real numbers and arrays in, Python numbers, lists, arrays and text out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd.ops import Operation, Shape

SHOWN = 1000  # entries up to which repr shows all
EDGE = 3  # entries that it shows at either end of a longer axis


def values_of(data: Any) -> Any:
    """A copy of the data as a float64 number or a C-contiguous array; TypeError unless it is made of real numbers."""
    if isinstance(data, Plain):
        data = data.numpy()
    array = np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a tensor is made of real numbers, lists or arrays of them, not {_kind(data, array)}")
    return np.array(array, dtype=np.float64, order="C")[()]


def number_or_array(value: Any, op: Operation) -> Any:
    """What an operation combines with a Tensor, as float64; TypeError unless a real number or an array of them."""
    if type(value) is float or type(value) is int:
        return np.float64(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return np.asarray(value, dtype=np.float64)[()]
    if isinstance(value, int | float):
        return np.float64(value)
    raise TypeError(f"{op.name} of a Tensor and {type(value).__name__}: give a number, an array, or tensor(…) of it")


class Plain:
    """The plain forms of a Tensor's values."""

    __slots__ = ()
    _array: Any

    # what a Tensor adds
    requires_grad: Any
    grad_fn: Any

    def _cell(self) -> Any:
        raise AssertionError("a Tensor has an array to share")

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("a Tensor has entries")

    @property
    def shape(self) -> Shape:
        shape: Shape = self._array.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def size(self) -> Shape:
        """The shape, under torch's name."""
        return self.shape

    def numel(self) -> int:
        """The number of entries."""
        return int(self._array.size)

    def numpy(self) -> NDArray[np.float64]:
        """The values as an array on the same memory; also of a Tensor that requires grad."""
        array: NDArray[np.float64] = self._cell()
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        # numpy would go on without gradients, silently
        if self.requires_grad:
            raise RuntimeError(
                "numpy would lose the gradient of a Tensor that requires grad; say .numpy() if you mean it"
            )
        return np.array(self._cell(), dtype=dtype, copy=copy)

    def item(self) -> float:
        """The only entry as a Python float; RuntimeError if there are more or none."""
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor of shape {self.shape} is not one number")
        return float(self._array.item())

    def tolist(self) -> Any:
        """The values as nested lists, or a float."""
        return self._array.tolist()

    def __float__(self) -> float:
        if self._array.size != 1:
            raise ValueError(f"a Tensor of shape {self.shape} is not one number")
        return self.item()

    def __int__(self) -> int:
        return int(float(self))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a Tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("a Tensor without axes cannot be iterated over")
        return (self[k] for k in range(self.shape[0]))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self.shape else format(repr(self), spec)

    def __repr__(self) -> str:
        values = np.array2string(
            np.asarray(self._array),
            separator=", ",
            prefix="tensor(",
            threshold=SHOWN,
            edgeitems=EDGE,
            formatter={"float_kind": lambda x: repr(float(x))},
        )
        parts = [values]
        if self._array.size == 0 and self.shape != (0,):
            parts = ["[]", f"size={self.shape}"]
        if self.grad_fn is not None:
            parts.append(f"grad_fn={self.grad_fn}")
        elif self.requires_grad:
            parts.append("requires_grad=True")
        return f"tensor({', '.join(parts)})"


def _kind(data: Any, array: NDArray[Any]) -> str:
    return f"an array of {array.dtype}" if isinstance(data, np.ndarray) else f"{type(data).__name__} {data!r:.40}"
