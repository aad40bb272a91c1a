"""Tensors on the memory of others, and how their history follows when that memory is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optcli.autograd.ops import Operation, call
from optcli.autograd.places import entry, length_filled, memory, narrow, places, reversed_axes, whole
from optcli.autograd.plain import Plain
from optcli.autograd.record import Record, Version
from optcli.autograd.recording import is_recording
from optcli.autograd.structural import Gather, Reshape, Strided, Take


class View:
    """What a Tensor on the memory of another one knows: whose, which places, and whether its history follows along."""

    __slots__ = ("base", "places", "stamp", "tracked")

    def __init__(self, base: Any, places: Strided, tracked: bool) -> None:
        self.base = base  # never a view itself
        self.places = places
        self.stamp = base._version[0]  # the version of the memory that the history belongs to
        self.tracked = tracked  # False for a view made under no_grad


class Views(Plain):
    """A Tensor's memory and history, and the methods that give Tensors on the same memory."""

    # _array is a C-contiguous array, or one in the memory of _view.base, or a plain number until somebody shares it
    __slots__ = ("_array", "_record", "_requires_grad", "_version", "_view")
    _array: Any
    _record: Record | None
    _requires_grad: bool  # as set on a leaf; the result of an operation has a record instead
    _version: Version
    _view: View | None

    def _sibling(self, array: Any) -> Any:
        """A Tensor without history on memory shared with this one."""
        raise AssertionError("a Tensor makes Tensors")

    def _cell(self) -> Any:
        if type(self._array) is np.float64:
            self._array = np.array(self._array)
        return self._array

    def _edge(self) -> Any:
        """Where a gradient for this goes on: the record, the Tensor itself if it is a leaf, None if nowhere."""
        return self._record if self._record is not None else self if self._requires_grad else None

    def _alias(self, at: Strided, op: Operation | None = None) -> Any:
        """A Tensor on these places of the memory, made by `op` from this one."""
        self._refresh()
        base = self if self._view is None else self._view.base
        recording = is_recording()
        made = self._sibling(memory(at, base._cell()))
        made._view = View(base, at, recording)
        edge = self._edge()
        if edge is not None and recording and op is not None:
            made._record = Record.linear(op, (edge,), (self.shape, at.shape))
        return made

    def _refresh(self) -> None:
        """Bring the history of a view up to date: its memory may have been changed through another name."""
        view = self._view
        if view is None or view.stamp == self._version[0]:
            return
        view.stamp = self._version[0]
        edge = view.base._edge()
        if edge is not None and view.tracked and not self._requires_grad:
            self._adopt(Record.linear(Take(view.places, view.base.shape), (edge,), (view.base.shape, self.shape)))

    def _adopt(self, record: Record) -> None:
        """Take a new history; who wants the gradient goes on wanting it."""
        if self._record is not None:
            record.retained, self._record.retained = self._record.retained, None
        self._record = record

    def detach(self) -> Any:
        """The same memory without history; changes there are seen here."""
        view = self._view
        return self._sibling(self._cell()) if view is None else view.base.detach()._alias(view.places)

    def __getitem__(self, index: Any) -> Any:
        """Entries: numbers, slices, `...` and None give a view on the same memory, arrays of int or bool a copy."""
        shape = self.shape
        if type(index) is int and len(shape) == 1 and self._view is None:
            take = entry(index, shape[0])
            return self._alias(take.places, take)  # type: ignore[arg-type]  # a Strided
        at = places(index, shape)
        take = Take(at, shape)
        if isinstance(at, Gather):
            return call(take, (self,))
        if self._view is not None:
            at = narrow(self._view.places, index if isinstance(index, tuple) else (index,))
        return self._alias(at, take)

    @property
    def T(self) -> Any:  # noqa: N802  # numpy's and torch's name
        """The axes in reverse order, a view."""
        mine = whole(self.shape)
        root = mine if self._view is None else self._view.places
        return self._alias(reversed_axes(root), Take(reversed_axes(mine), self.shape))

    def reshape(self, *shape: Any) -> Any:
        """The same entries in the same order under another shape (one length may be -1); a view where that can be."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        full = length_filled(tuple(int(n) for n in wanted), self.shape)
        op = Reshape(full, self.shape)
        array = self._cell().reshape(full)
        if full and not np.may_share_memory(array, self._array):  # numpy had to copy
            return call(op, (self,))
        offset = 0 if self._view is None else self._view.places.offset
        return self._alias(Strided(offset, tuple(stride // 8 for stride in array.strides), full), op)
