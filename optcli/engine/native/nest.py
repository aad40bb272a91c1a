"""A loop nest as LLVM's language: the function that runs blocks of one Kernel, and the one that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optcli.autograd.graph import Constant, Node
from optcli.autograd.structural import Sum
from optcli.engine.native.functions import IN_LOOPS
from optcli.engine.native.lines import Lines, double
from optcli.engine.native.program import BLOCK, SCALARS, Kernel, View, contiguous, needed, spread
from optcli.engine.native.sweep import Sweep

if TYPE_CHECKING:
    from optcli.engine.native.emit import Emitter


class Nest:
    """Writes the function that runs blocks of one Kernel, and the one that ends it."""

    def __init__(self, emitter: Emitter, name: str, kernel: Kernel) -> None:
        self.emitter = emitter
        self.name = name
        self.kernel = kernel
        self.views = emitter.program.views
        self.lines = Lines()
        self.order = needed(emitter.program, kernel)
        self.slots: dict[int, str] = {}
        self.outer: dict[Node, str] = {}  # scalars, loaded before the blocks
        self.partials = [emitter.slot(max(1, kernel.blocks)) for _ in kernel.sums]
        self.watched = emitter.watch and bool(kernel.shape) and bool(kernel.stores or kernel.additions)
        self.watch_slot = emitter.slot(max(1, kernel.blocks)) if self.watched else -1
        self.sweep: list[Sweep] = []
        if kernel.sweeps:
            for target, group in kernel.targets().items():
                self.sweep.append(Sweep(emitter, kernel, target, group, emitter.program.opening.get(target) is kernel))

    def emit(self) -> None:
        self._block()
        self._driver()
        self._end()

    # ------------------------------------------------------------ one block

    def pointer(self, slot: int) -> str:
        return self.slots.setdefault(slot, f"%p{slot}")

    def _block(self) -> None:
        kernel, lines = self.kernel, self.lines
        lines.label("entry")
        for sweep in self.sweep:
            sweep.begin(lines, self.pointer)
        inner = Lines(count=10**6)  # the innermost loop, written first: it says what it needs
        deep = len(kernel.shape)
        self.indices = [f"%x{d}" for d in range(deep - 1)] + (["%i"] if deep else [])
        self.hoisted = Lines(count=2 * 10**6)
        values = self._values(inner)
        sums = [self._value(inner, node.args[0], values) for node in kernel.sums]
        self._writes(inner, values)
        places = list(self.partials)
        if self.watched:
            sums.append(self._written(inner, values))
            places.append(self.watch_slot)
        added = {}  # what one row adds to a sum over the innermost axis and perhaps others
        for node in kernel.partial_sums:
            value = self._value(inner, node.args[0], values)
            if self._strides(node)[-1] == 0:
                added[node] = value
            else:
                self._add(inner, node, value)
        before = f"%{'row' if deep > 1 else 'entry'}"
        if deep == 0:
            lines.out += [*self.hoisted.out, *inner.out]
            for place, value in zip(places, sums, strict=True):
                lines.store(value, self.pointer(place), "%b")
            lines.add("ret void")
            self._close()
            return
        if deep > 1:
            lines.add("br label %row")
            lines.label("row")
            lines.add("%o = phi i64 [%o0, %entry], [%o.next, %row.end]")
            for k in range(len(sums)):
                lines.add(f"%r{k} = phi double [0.0, %entry], [%s{k}.out, %row.end]")
            rest = "%o"
            for d in range(deep - 2, -1, -1):
                if d:
                    lines.add(f"%x{d} = urem i64 {rest}, {kernel.shape[d]}")
                    rest = lines.new(f"udiv i64 {rest}, {kernel.shape[d]}")
                else:
                    lines.add(f"%x0 = add i64 {rest}, 0")
        lines.out += self.hoisted.out
        self.hoisted = lines  # from here on what does not vary along the innermost axis comes after it
        lines.add("br label %loop")
        lines.label("loop")
        lines.add(f"%i = phi i64 [%i0, {before}], [%i.next, %loop]")
        for k in range(len(sums)):
            lines.add(f"%s{k} = phi double [{f'%r{k}' if deep > 1 else '0.0'}, {before}], [%s{k}.next, %loop]")
        for k, value in enumerate(added.values()):
            lines.add(f"%q{k} = phi double [0.0, {before}], [%q{k}.next, %loop]")
            inner.add(f"%q{k}.next = fadd reassoc nsz double %q{k}, {value}")
        lines.out += inner.out
        for k, value in enumerate(sums):
            lines.add(f"%s{k}.next = fadd reassoc nsz double %s{k}, {value}")
        lines.add("%i.next = add nuw nsw i64 %i, 1")
        lines.add("%i.more = icmp slt i64 %i.next, %i1")
        lines.add("br i1 %i.more, label %loop, label %loop.end")
        lines.label("loop.end")
        last = [f"%s{k}.next" for k in range(len(sums))]
        if deep > 1:
            lines.add("br label %row.end")
            lines.label("row.end")
            for k in range(len(sums)):
                lines.add(f"%s{k}.out = phi double [%s{k}.next, %loop.end]")
            for k, node in enumerate(added):
                self._add(lines, node, f"%q{k}.next")
            lines.add("%o.next = add nuw nsw i64 %o, 1")
            lines.add("%o.more = icmp slt i64 %o.next, %o1")
            lines.add("br i1 %o.more, label %row, label %end")
            lines.label("end")
            last = [f"%s{k}.out" for k in range(len(sums))]
        for place, value in zip(places, last, strict=True):
            lines.store(value, self.pointer(place), "%b")
        for sweep in self.sweep:
            sweep.finish(lines, self.pointer)
        lines.add("ret void")
        self._close()

    def _close(self) -> None:
        pointers = [f"ptr noalias align 8 {name}" for name in self.slots.values()]
        scalars = [f"double {name}" for name in self.outer.values()]
        ends = ["i64 %b", "i64 %o0", "i64 %o1", "i64 %i0", "i64 %i1"]
        body = "\n".join(self.lines.out)
        if self.emitter.fused:
            for name, ours in IN_LOOPS.items():
                body = body.replace(name, ours)
        arguments = ", ".join([*pointers, *scalars, *ends])
        about = f"; block %b of {self.name}: rows %o0 to %o1, entries %i0 to %i1 of each"
        self.emitter.functions.append(
            f"{about}\ndefine internal void {self.name}.block({arguments}) noinline {{\n{body}\n}}"
        )

    def _values(self, inner: Lines) -> dict[Node, str]:
        values: dict[Node, str] = {}
        for node in self.order:
            values[node] = self.emitter.operation(inner, node, lambda arg: self._value(inner, arg, values), values)
        return values

    def _value(self, inner: Lines, node: Node, values: dict[Node, str]) -> str:
        """The operand of a node at the entry where the loop is: computed, a scalar, or read."""
        if node in values:
            return values[node]
        if node.value is not None and node.shape == ():
            return double(node.value)
        if node.shape == ():
            return self.outer.setdefault(node, f"%c{node.number}")
        view = self.views.get(node)
        if view is None or (
            node in self.emitter.program.stored and self.emitter.program.ready[node] <= self.kernel.phase
        ):
            view = View(node, 0, contiguous(node.shape))
        if view.base.shape == () and not isinstance(view.base.op, Constant):
            return self.outer.setdefault(view.base, f"%c{view.base.number}")
        if view.base.shape == ():
            return double(view.base.value)
        wide = View(view.base, view.offset, spread(view.strides, node.shape, self.kernel.shape), view.table)
        pointer, index = self._address(inner, wide)
        values[node] = inner.load(pointer, index)
        return values[node]

    def _address(self, inner: Lines, view: View) -> tuple[str, str | int]:
        place = self.emitter.places[view.base]
        pointer = self.pointer(place.slot)
        if view.table is None:
            return pointer, self._index(inner, view.strides, place.offset + view.offset)
        table = self.pointer(self.emitter.table(view))
        index = inner.load(table, self._index(inner, view.strides, 0), "i64")
        offset = place.offset + view.offset
        return pointer, inner.plus(index, offset)

    def _index(self, inner: Lines, strides: Sequence[int], offset: int) -> str | int:
        """offset + strides·indices; what does not vary along the innermost axis is computed before it."""
        total: str | int = offset
        for index, stride in zip(self.indices[:-1], strides[:-1], strict=True):
            if stride:
                part = self.hoisted.times(index, stride)
                total = part if total == 0 else self.hoisted.new(f"add nsw i64 {part}, {total}")
        if strides and strides[-1]:
            part = inner.times("%i", strides[-1])
            total = part if total == 0 else inner.new(f"add nsw i64 {part}, {total}")
        return total

    def _writes(self, inner: Lines, values: dict[Node, str]) -> None:
        kernel = self.kernel
        for node in kernel.stores:
            place = self.emitter.places[node]
            value = values.get(node) or self._source(inner, node, values)
            inner.store(value, self.pointer(place.slot), self._index(inner, contiguous(node.shape), place.offset))
        if self.sweep:
            for sweep in self.sweep:
                sweep.write(inner, lambda node: self._value(inner, node, values), self.pointer)
            return
        for addition in kernel.additions:
            value = self._value(inner, addition.value, values)
            pointer, index = self._address(inner, addition.view)
            if not addition.put:
                value = inner.new(f"fadd double {inner.load(pointer, index)}, {value}")
            inner.store(value, pointer, index)

    def _written(self, inner: Lines, values: dict[Node, str]) -> str:
        """The sum of what one pass through the loop stores or scatters: finite only if all of it is."""
        nodes = [*self.kernel.stores, *(addition.value for addition in self.kernel.additions)]
        self.emitter.watched.update(self.kernel.stores, self.kernel.targets())
        total = ""
        for operand in dict.fromkeys(values.get(node) or self._value(inner, node, values) for node in nodes):
            total = inner.new(f"fadd reassoc nsz double {total}, {operand}") if total else operand
        return total

    def _source(self, inner: Lines, node: Node, values: dict[Node, str]) -> str:
        """The entry of a view that is to be stored."""
        view = self.views[node]
        if view.base.shape == ():
            if view.base.value is not None:
                return double(view.base.value)
            return self.outer.setdefault(view.base, f"%c{view.base.number}")
        pointer, index = self._address(inner, view)
        return inner.load(pointer, index)

    @staticmethod
    def _strides(node: Node) -> tuple[int, ...]:
        """Of a sum over some axes, along the axes of what it sums."""
        op = node.op
        assert isinstance(op, Sum)
        kept = iter(contiguous(node.shape))
        return tuple(0 if d in op.axes else next(kept) for d in range(len(op.source)))

    def _add(self, lines: Lines, node: Node, value: str) -> None:
        """Add to the entry of a sum that belongs to the row, or to the entry where the loop is."""
        place = self.emitter.places[node]
        pointer, index = self.pointer(place.slot), self._index(lines, self._strides(node), place.offset)
        old = lines.load(pointer, index)
        lines.store(lines.new(f"fadd double {old}, {value}"), pointer, index)

    # ------------------------------------------------------------ all blocks

    def _driver(self) -> None:
        kernel, lines = self.kernel, Lines()
        pointer = self.emitter.pointers(lines)
        lines.label("entry")
        pointers = [f"ptr {pointer(slot)}" for slot in self.slots]
        scalars = [f"double {self.emitter.scalar(lines, node, {}, pointer)}" for node in self.outer]
        lines.add("%any = icmp slt i64 %b0, %b1")
        lines.add("br i1 %any, label %next, label %done")
        lines.label("next")
        lines.add("%b = phi i64 [%b0, %entry], [%b.next, %next]")
        per_row, rows = kernel.inner_blocks, kernel.rows_per_block
        row = lines.new(f"sdiv i64 %b, {per_row}") if per_row > 1 else "%b"
        column = lines.new(f"srem i64 %b, {per_row}") if per_row > 1 else "0"
        o0 = lines.times(row, rows)
        o1 = self._least(lines, lines.plus(o0, rows), kernel.rows)
        i0 = lines.times(column, BLOCK)
        i1 = self._least(lines, lines.plus(i0, BLOCK), kernel.inner)
        ends = ["i64 %b", f"i64 {o0}", f"i64 {o1}", f"i64 {i0}", f"i64 {i1}"]
        lines.add(f"call void {self.name}.block({', '.join([*pointers, *scalars, *ends])})")
        lines.add("%b.next = add i64 %b, 1")
        lines.add("%more = icmp slt i64 %b.next, %b1")
        lines.add("br i1 %more, label %next, label %done")
        lines.label("done")
        lines.add("ret void")
        body = "\n".join(lines.out)
        shape = " × ".join(map(str, kernel.shape)) or "1"
        about = f"; blocks %b0 to %b1 of a loop over {shape}, {kernel.blocks} in all"
        self.emitter.functions.append(
            f"{about}\ndefine void {self.name}(ptr %t, i64 %b0, i64 %b1) noinline {{\n{body}\n}}"
        )

    @staticmethod
    def _least(lines: Lines, value: str, most: int) -> str:
        return lines.new(f"call i64 @llvm.smin.i64(i64 {value}, i64 {most})")

    def _end(self) -> None:
        """Sums of the blocks' sums, and entries that blocks handed on."""
        lines = Lines()
        pointer = self.emitter.pointers(lines)
        lines.label("entry")
        for slot, node in zip(self.partials, self.kernel.sums, strict=True):
            total = lines.new(f"call double @pairwise(ptr {pointer(slot)}, i64 {self.kernel.blocks})")
            place = self.emitter.places[node]
            lines.store(total, pointer(place.slot), place.offset)
        if self.watched:
            total = lines.new(f"call double @pairwise(ptr {pointer(self.watch_slot)}, i64 {self.kernel.blocks})")
            lines.store(total, pointer(SCALARS), self.emitter.watch_place())
        for k, sweep in enumerate(self.sweep):
            sweep.end(lines, pointer, k)
        lines.add("ret void")
        body = "\n".join(lines.out)
        about = f"; add up what the blocks of {self.name} left"
        self.emitter.functions.append(f"{about}\ndefine void {self.name}.end(ptr %t) noinline {{\n{body}\n}}")
