"""Changes in place: methods that end in an underscore, `t[…] = …`, `-=`, and what they mean for the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optcli.autograd import ops
from optcli.autograd.ops import Operation, call
from optcli.autograd.places import Put, fit, places, whole
from optcli.autograd.record import Record
from optcli.autograd.recording import is_recording
from optcli.autograd.structural import Places
from optcli.autograd.views import Views


class InPlace(Views):
    """What changes a Tensor's memory. Every change counts up the version of the memory, so that backward can tell."""

    __slots__ = ()

    def _snapshot(self) -> Any:
        """A copy of the values as they are now, with the same history."""
        raise AssertionError("a Tensor makes Tensors")

    def add_(self, other: Any) -> Any:
        return self._write(ops.add, other)

    def sub_(self, other: Any) -> Any:
        return self._write(ops.sub, other)

    def mul_(self, other: Any) -> Any:
        return self._write(ops.mul, other)

    def div_(self, other: Any) -> Any:
        return self._write(ops.div, other)

    def pow_(self, other: Any) -> Any:
        return self._write(ops.pow_, other)

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_
    __ipow__ = pow_

    def zero_(self) -> Any:
        """Set all entries to 0."""
        return self._replace(..., whole(self.shape), 0.0)

    def fill_(self, value: Any) -> Any:
        """Set all entries to one number."""
        return self._replace(..., whole(self.shape), value)

    def copy_(self, source: Any) -> Any:
        """Take over the entries of the source, broadcast to this shape."""
        return self._replace(..., whole(self.shape), source)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._replace(index, places(index, self.shape), value)

    def _replace(self, index: Any, at: Places, value: Any) -> Any:
        if self._is_remembered((value,)):
            return self._write(Put(at, self.shape), fit(value, at.shape))
        if isinstance(value, InPlace):
            value = value._cell()
        elif not isinstance(value, int | float | np.ndarray | np.generic):
            raise TypeError(f"entries of a Tensor cannot be {type(value).__name__}: give numbers, an array or a Tensor")
        self._cell()[index] = fit(value, at.shape)
        self._version[0] += 1
        return self

    def _write(self, op: Operation, *others: Any) -> Any:
        """self = op(self, *others) in the same memory, with the history that this means."""
        remembered = self._is_remembered(others)
        after = call(op, (self._snapshot() if remembered else self, *others))
        if after.shape != self.shape:
            raise RuntimeError(f"a result of shape {after.shape} has no room in a Tensor of shape {self.shape}")
        self._cell()[...] = after._array
        self._version[0] += 1
        if remembered:
            self._rebase(after._record)
        return self

    def _is_remembered(self, others: Sequence[Any]) -> bool:
        """Whether a change in place becomes part of the history; RuntimeError where it must not be made."""
        self._refresh()
        if not is_recording():
            return False
        view, edge = self._view, self._edge()
        if edge is self:
            raise RuntimeError("a leaf that requires grad is changed in place; do that inside `with no_grad():`")
        tracked = edge is not None or any(getattr(other, "requires_grad", False) for other in others)
        if view is not None:
            end = view.base._edge()
            if end is view.base:
                raise RuntimeError("a view of a leaf that requires grad is changed in place; use `with no_grad():`")
            if not view.tracked and (tracked or end is not None):
                raise RuntimeError("a view made under no_grad is changed in place outside it: use clone() or detach()")
        return tracked

    def _rebase(self, record: Record) -> None:
        """Make `record` the history; for a view, part of that of the Tensor whose memory it sees."""
        if self._view is None:
            self._adopt(record)
            return
        base = self._view.base
        put = Put(self._view.places, base.shape)
        base._adopt(Record.linear(put, (base._edge(), record), (base.shape, self.shape, base.shape)))
