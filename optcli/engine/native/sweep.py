"""Scattered values of a loop, added block by block."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from optcli.autograd.graph import Node
from optcli.autograd.structural import Scatter
from optcli.engine.native.lines import Lines
from optcli.engine.native.program import BLOCK, Addition, Kernel

if TYPE_CHECKING:
    from optcli.engine.native.emit import Emitter


class Sweep:
    """Additions of one loop into one target, block by block: values wait in buffers, so that all loops vectorize.

    A block owns the entries from where its first value with the smallest offset goes up to where the next block's
    does; what it has for later entries it hands on, to be added when all blocks are done.
    """

    def __init__(self, emitter: Emitter, kernel: Kernel, target: Node, group: list[Addition], opens: bool) -> None:
        self.kernel = kernel
        self.place = emitter.places[target]
        self.opens = opens  # nobody has written to the target before
        self.number = target.number
        self.size = math.prod(target.shape)
        assert isinstance(target.op, Scatter)
        self.stride = group[0].view.strides[0]
        self.low = min(addition.view.offset for addition in group)
        self.reach = max(addition.view.offset for addition in group) - self.low
        group = sorted(group, key=lambda addition: addition.view.offset != self.low)
        self.direct, *self.waiting = group
        self.width = self.reach  # most entries that a block hands on
        self.halo = emitter.slot(max(1, self.width * kernel.blocks)) if self.width and kernel.blocks > 1 else -1

    def _end_of(self, lines: Lines, i1: str, last: str) -> str:
        """One past the entries that the block up to i1 owns."""
        reached = lines.plus(lines.times(i1, self.stride), self.low)
        return lines.new(f"select i1 {last}, i64 {self.size}, i64 {reached}")

    def begin(self, lines: Lines, pointer: Callable[[int], str]) -> None:
        n = self.number
        lines.add(f"%last{n} = icmp eq i64 %i1, {self.kernel.inner}")
        self.until = self._end_of(lines, "%i1", f"%last{n}")
        target = pointer(self.place.slot)
        self.start = (
            target
            if self.place.offset == 0
            else lines.new(f"getelementptr double, ptr {target}, i64 {self.place.offset}")
        )
        for k, _ in enumerate(self.waiting):
            lines.add(f"%w{n}.{k} = alloca [{BLOCK} x double], align 64")
        if self.opens:
            first = lines.new("icmp eq i64 %i0, 0")
            begin = lines.plus(lines.times("%i0", self.stride), self.low)
            begin = lines.new(f"select i1 {first}, i64 0, i64 {begin}")
            if self.stride > 1:
                self._zero(lines, begin, self.until)
            else:  # the direct values cover the rest
                self._zero(lines, begin, lines.plus("%i0", self.low))
                self._zero(lines, lines.plus("%i1", self.low), self.until)
        if self.halo >= 0:
            bytes_ = 8 * self.width
            at = lines.times("%b", self.width)
            lines.add(f"%h{n} = getelementptr double, ptr {pointer(self.halo)}, i64 {at}")
            lines.add(f"call void @llvm.memset.p0.i64(ptr %h{n}, i8 0, i64 {bytes_}, i1 false)")

    def _zero(self, lines: Lines, begin: str, end: str) -> None:
        count = lines.new(f"sub i64 {end}, {begin}")
        size = lines.new(f"mul i64 {count}, 8")
        address = lines.new(f"getelementptr double, ptr {self.start}, i64 {begin}")
        lines.add(f"call void @llvm.memset.p0.i64(ptr {address}, i8 0, i64 {size}, i1 false)")

    def write(self, inner: Lines, value: Callable[[Node], str], pointer: Callable[[int], str]) -> None:
        index = inner.plus(inner.times("%i", self.stride), self.low)
        direct = value(self.direct.value)
        old = "0.0" if self.opens else inner.load(self.start, index)  # 0 + −0 is 0, as where zeros were there first
        inner.store(inner.new(f"fadd double {old}, {direct}"), self.start, index)
        if self.waiting:
            slot = inner.new("sub nsw i64 %i, %i0")
            for k, addition in enumerate(self.waiting):
                inner.store(value(addition.value), f"%w{self.number}.{k}", slot)

    def finish(self, lines: Lines, pointer: Callable[[int], str]) -> None:
        """Add what waits: to the block's own entries, and to what it hands on."""
        n = self.number
        for k, addition in enumerate(self.waiting):
            offset = addition.view.offset
            # the first i whose entry is not the block's own
            over = lines.new(f"sub nsw i64 {self.until}, {offset}")
            over = lines.plus(over, self.stride - 1)
            over = lines.new(f"sdiv i64 {over}, {self.stride}") if self.stride > 1 else over
            over = lines.new(f"call i64 @llvm.smin.i64(i64 {over}, i64 %i1)")
            over = lines.new(f"call i64 @llvm.smax.i64(i64 {over}, i64 %i0)")
            self._add(lines, f"own{n}.{k}", k, "%i0", over, self.start, str(offset))
            if self.halo >= 0:
                shift = lines.new(f"sub i64 {offset}, {self.until}")
                self._add(lines, f"on{n}.{k}", k, over, "%i1", f"%h{n}", shift)

    def _add(self, lines: Lines, name: str, k: int, begin: str, end: str, pointer: str, offset: str) -> None:
        """for i in begin … end: pointer[offset + stride*i] += waiting[k][i − i0]"""
        lines.add(f"br label %{name}.from")
        lines.label(f"{name}.from")
        lines.add(f"%{name}.any = icmp slt i64 {begin}, {end}")
        lines.add(f"br i1 %{name}.any, label %{name}, label %{name}.done")
        lines.label(name)
        lines.add(f"%{name}.i = phi i64 [{begin}, %{name}.from], [%{name}.next, %{name}]")
        slot = lines.new(f"sub nsw i64 %{name}.i, %i0")
        value = lines.load(f"%w{self.number}.{k}", slot)
        index = lines.times(f"%{name}.i", self.stride)
        index = lines.new(f"add nsw i64 {index}, {offset}")
        old = lines.load(pointer, index)
        lines.store(lines.new(f"fadd double {old}, {value}"), pointer, index)
        lines.add(f"%{name}.next = add nsw i64 %{name}.i, 1")
        lines.add(f"%{name}.more = icmp slt i64 %{name}.next, {end}")
        short = "" if name.startswith("own") else ", !llvm.loop !0"
        lines.add(f"br i1 %{name}.more, label %{name}, label %{name}.done{short}")
        lines.label(f"{name}.done")

    def end(self, lines: Lines, pointer: Callable[[int], str], k: int) -> None:
        """Add what blocks handed on, in their order."""
        if self.halo < 0:
            return
        lines.add(f"%start{k} = getelementptr double, ptr {pointer(self.place.slot)}, i64 {self.place.offset}")
        lines.add(f"%from{k} = getelementptr double, ptr {pointer(self.halo)}, i64 0")
        lines.add(
            f"call void @hand_on(ptr %start{k}, ptr %from{k}, i64 {self.kernel.blocks}, i64 {self.width}, "
            f"i64 {self.low}, i64 {BLOCK * self.stride}, i64 {self.size})"
        )
