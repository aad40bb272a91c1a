"""The eager Tensor: float64 values that are computed at once and remember how, so that backward() fills gradients.

Manners follow torch, which users know: leaves, retain_grad, no_grad, views, changes in place. Memory that several
Tensors see has one version number, and backward refuses values that were changed after it came to need them.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from optcli.autograd.arithmetic import Arithmetic
from optcli.autograd.in_place import InPlace
from optcli.autograd.ops import Op, Operation
from optcli.autograd.plain import number_or_array, values_of
from optcli.autograd.record import Record, Saved, Version, backward, hole, needs
from optcli.autograd.recording import Switch, is_recording
from optcli.autograd.recording import no_grad as no_grad
from optcli.autograd.structural import Broadcast, Reshape, Take

VIEWS = (Take, Reshape, Broadcast)  # their kernels may return a view of their argument


class Tensor(InPlace, Arithmetic):  # type: ignore[override]  # shape is a property
    """Float64 values with `requires_grad`, `grad` and `backward()`; made by `tensor(…)`."""

    __slots__ = ("__weakref__", "_grad")
    _grad: Tensor | None

    def __init__(self, data: Any = (), *, requires_grad: bool = False) -> None:
        self._array = values_of(data)
        self._grad = self._record = self._view = None
        self._requires_grad = bool(requires_grad)
        self._version = [0]

    def __reduce__(self) -> Any:
        self._refresh()
        if self._record is not None:
            raise RuntimeError(
                "only leaves can be copied deeply or pickled: the way to this one would be lost; detach()"
            )
        return _restored, (np.array(self._array), self._requires_grad, self._grad)

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
                values.append(number_or_array(arg, op))
        with np.errstate(all="ignore"):
            result = _made(_compute(op, values))
        if tracked and is_recording():
            result._remember(op, args, values, tracked)
        return result

    def _remember(self, op: Operation, args: tuple[Any, ...], values: list[Any], tracked: int) -> None:
        active, wanted = needs(op, tracked, values)
        if True not in active:
            return
        edges: list[Any] = []
        kept: list[Any] = []
        for k, arg in enumerate(args):
            edges.append(arg._edge() if active[k] else None)
            value = values[k]
            if k not in wanted:
                kept.append(hole(value.shape))
            elif type(arg) is Tensor:
                kept.append(Saved(value, arg._version))
            else:
                kept.append(np.array(value)[()])  # the caller's array may change without a version telling
        result = self._array
        kept.append(Saved(result, self._version) if len(args) in wanted else hole(result.shape))
        self._record = Record(op, tuple(edges), tuple(kept), bool(wanted))

    # ------------------------------------------------------------ gradients

    @property
    def requires_grad(self) -> bool:
        """Whether results computed from this carry gradients back to it; may be set on leaves."""
        self._refresh()
        return self._edge() is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def requires_grad_(self, flag: bool = True) -> Tensor:
        """Set requires_grad, in place; RuntimeError when it is to be False on the result of an operation."""
        self._refresh()
        if self._record is None:
            self._requires_grad = bool(flag)
        elif not flag:
            raise RuntimeError("requires_grad can only be changed on leaves; detach() gives the values without history")
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this is no result of a recorded operation."""
        self._refresh()
        return self._record is None

    @property
    def grad_fn(self) -> Record | None:
        """The record of the operation that made this, None for a leaf."""
        self._refresh()
        return self._record

    @property
    def grad(self) -> Tensor | None:
        """The gradient summed over calls of backward(): on leaves, and where retain_grad() was called."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"grad is a Tensor or None, not {type(value).__name__}")
        if value is not None and value.shape != self.shape:
            raise RuntimeError(f"a gradient of shape {value.shape} for a Tensor of shape {self.shape}")
        self._grad = value

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate result; nothing changes for a leaf, which has it anyway."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad() on a Tensor that does not require grad: no gradient will come")
        if self._record is not None:
            self._record.retained = weakref.ref(self)

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the gradient of this (times `gradient`, of the same shape) to `.grad` of the leaves it came from.

        Saved values are freed unless `retain_graph`. With `create_graph` the gradients can be differentiated again.
        Raises RuntimeError without `gradient` for more than one entry, where nothing requires grad, for a second time
        through freed values, and for values that were changed in place.
        """
        self._refresh()
        start = self._edge()
        if start is None:
            raise RuntimeError("nothing to go back to: neither this nor anything it was computed from requires grad")
        if gradient is None:
            if self._array.size != 1:
                raise RuntimeError(f"backward() of shape {self.shape}: only a scalar has a gradient; give gradient=…")
            gradient = np.ones(self.shape)
        seed = gradient if isinstance(gradient, Tensor) else Tensor(gradient)
        if seed.shape != self.shape:
            raise RuntimeError(f"a gradient of shape {seed.shape} for a result of shape {self.shape}")
        retain = create_graph if retain_graph is None else retain_graph
        with Switch(bool(create_graph)), np.errstate(all="ignore"):
            cotangent = seed if create_graph else seed._array[()]
            backward(start, cotangent, retain, _rebuilt if create_graph else None, _accumulate)

    def _sibling(self, array: Any) -> Tensor:
        return _made(array, self._version)

    def _snapshot(self) -> Tensor:
        made = _made(np.array(self._array, order="C")[()])
        made._record = self._record
        return made

    def clone(self) -> Tensor:
        """A copy in memory of its own; gradients pass through."""
        return Broadcast(self.shape)(self)  # type: ignore[no-any-return]  # calls are typed Any


def tensor(data: Any, *, requires_grad: bool = False) -> Tensor:
    """A leaf with its own copy of a number, nested lists, an array or a Tensor, as float64.

    Raises TypeError for anything but real numbers, ValueError for lists of unequal lengths.
    """
    return Tensor(data, requires_grad=requires_grad)


def _made(array: Any, version: Version | None = None) -> Tensor:
    made: Tensor = object.__new__(Tensor)
    made._array = array
    made._grad = made._record = made._view = None
    made._requires_grad = False
    made._version = [0] if version is None else version
    return made


def _restored(array: Any, requires_grad: bool, grad: Tensor | None) -> Tensor:
    made = Tensor(array, requires_grad=requires_grad)
    made._grad = grad
    return made


def _rebuilt(edge: Any, saved: Saved) -> Tensor:
    """A saved value as the Tensor it was, with its history."""
    if isinstance(edge, Tensor):
        return edge
    made = _made(saved.value, saved.version)
    made._record = edge
    return made


def _accumulate(target: Tensor, cotangent: Any) -> None:
    """Add to the gradient of a leaf or of a result that retains it: recorded, or in the gradient's own memory."""
    if target._edge() is None:  # no longer wanted
        return
    before = target._grad
    if is_recording():
        fresh = Broadcast(target.shape)(cotangent)
        fresh = fresh if isinstance(fresh, Tensor) else Tensor(fresh)
        target._grad = fresh if before is None else before + fresh
    elif before is None:
        target._grad = _made(np.array(np.broadcast_to(cotangent, target.shape), order="C")[()])
    else:
        before._cell()[...] += cotangent
        before._version[0] += 1


def _compute(op: Operation, values: list[Any]) -> Any:
    """The result as a float64 number, or as a C-contiguous array that shares no memory with the arguments."""
    if type(op) is Op:
        if op.scalar is not None and all(type(value) is np.float64 for value in values):
            return op.scalar(*values)
        try:
            result = op.kernel(*values)
        except ValueError:
            shapes = " and ".join(str(value.shape) for value in values)
            raise RuntimeError(f"{op.name} of shapes {shapes}, which do not broadcast") from None
        if result is values[0]:
            result = np.array(result)
    else:
        result = op.kernel(*values)
        if isinstance(op, VIEWS):
            result = np.array(result, order="C")
    if type(result) is np.float64:
        return result
    result = np.asarray(result, dtype=np.float64, order="C")
    return result if result.ndim else result[()]
