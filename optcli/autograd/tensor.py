"""The eager Tensor: float64 values that are computed at once and remember how, so that backward() fills gradients.

Manners follow torch, which users know: leaves, retain_grad, no_grad, views, changes in place. Memory that several
Tensors see has one version number, and backward refuses values that were changed after it came to need them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.autograd.arithmetic import Arithmetic, is_number_or_array
from optcli.autograd.ops import Op, Operand, Operation, Shape
from optcli.autograd.places import Put, entry, memory, narrow, places, whole
from optcli.autograd.record import Record, Saved, Version, backward, hole, needs
from optcli.autograd.recording import Switch, is_recording
from optcli.autograd.recording import no_grad as no_grad
from optcli.autograd.structural import Broadcast, Gather, Reshape, Strided, Take, expand, shape_of

Array = NDArray[np.float64]
VIEWS = (Take, Reshape, Broadcast)  # their kernels may return a view of their argument
SHOWN = 1000  # entries up to which repr shows all


class View:
    """What a Tensor on the memory of another one knows: whose, which places, and whether its history follows along."""

    __slots__ = ("base", "places", "stamp", "tracked")

    def __init__(self, base: Tensor, places: Strided, stamp: int, tracked: bool) -> None:
        self.base = base
        self.places = places
        self.stamp = stamp  # the version of the memory that the history belongs to
        self.tracked = tracked  # False for a view made under no_grad


class Tensor(Arithmetic):
    """Float64 values with `requires_grad`, `grad` and `backward()`; make them with `tensor(…)`."""

    # _array is a C-contiguous array, a view into that of _view.base, or a plain number until somebody shares it
    __slots__ = ("__weakref__", "_array", "_grad", "_record", "_requires_grad", "_version", "_view")
    _array: Any
    _grad: Tensor | None
    _record: Record | None
    _requires_grad: bool  # as set on a leaf; the result of an operation has a record instead
    _version: Version
    _view: View | None

    def __new__(cls, data: Any = (), *, requires_grad: bool = False) -> Tensor:
        made = _make(_values(data))
        made._requires_grad = bool(requires_grad)
        return made

    # ------------------------------------------------------------ operations

    @staticmethod
    def apply(op: Operation, args: tuple[Any, ...]) -> Tensor:
        """Perform the operation on Tensors, numbers and arrays; record it if a gradient will pass."""
        values, tracked = [], 0
        for k, arg in enumerate(args):
            if type(arg) is Tensor:
                if arg._view is not None:
                    arg._refresh()
                values.append(arg._array[()])
                if arg._record is not None or arg._requires_grad:
                    tracked |= 1 << k
            else:
                values.append(_operand(op, arg))
        with np.errstate(all="ignore"):
            result = _make(_compute(op, values))
        if tracked and is_recording():
            active, wanted = needs(op, tracked, values)
            if True in active:
                saved = [_saved(arg, v) if k in wanted else hole(v.shape) for k, (arg, v) in enumerate(zip(args, values))]  # noqa: B905
                y = result._array
                saved.append(Saved(y, result._version) if len(args) in wanted else hole(y.shape))
                edges = tuple([arg._edge() if on else None for arg, on in zip(args, active)])  # noqa: B905
                result._record = Record(op, edges, tuple(saved), bool(wanted))
        return result
