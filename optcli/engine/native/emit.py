"""Program → LLVM's language, as text: nothing of a user's text enters it, names are numbers.

Functions take the table `%t` of addresses: slot 0 holds the scalars, then come the arrays. A loop `@loopK` runs the
blocks from %b0 to %b1 of one Kernel; `@loopK.end` adds up what its blocks left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from optcli.autograd.graph import Constant, Input, Node
from optcli.autograd.ops import Op
from optcli.autograd.structural import Fold, Scatter, Strided
from optcli.engine.native.lines import Lines, double, elementwise, merged
from optcli.engine.native.nest import Nest
from optcli.engine.native.program import SCALARS, Kernel, Program, View, stacks

MOST_LINES = 16_000  # operations of one straight function


class Place(NamedTuple):
    """Where a stored node begins: a slot of the table, and an offset in doubles."""

    slot: int
    offset: int = 0


@dataclass
class Code:
    """LLVM's language for a Program, and the arrays that it wants besides those of the caller."""

    functions: list[str]
    arrays: list[tuple[int, object]]  # (slot, a constant array, or the number of doubles to allocate)
    slots: int
    loops: dict[str, Kernel]
    called_back: list[Op]


class Emitter:
    """Writes the functions of one Program; `inputs` and `outputs` say where the caller wants them.

    With `watch` each loop leaves the sum of what it writes, which is finite only if all of that is. `fused` says that
    the processor has fused multiply-adds.
    """

    def __init__(
        self,
        program: Program,
        inputs: Mapping[Node, Place],
        outputs: Sequence[Place],
        slots: int,
        masked: bool,
        watch: bool = False,
        fused: bool = False,
    ) -> None:
        self.program = program
        self.fused = fused
        self.masked = masked
        self.watch = watch
        self.watched: set[Node] = set()  # the nodes whose entries are in a watched sum
        self.watch_places: list[int] = []  # where those sums stand among the scalars
        self.places: dict[Node, Place] = dict(inputs)
        self.outputs = outputs
        self.slots = slots
        self.arrays: list[tuple[int, object]] = []
        self.functions: list[str] = []
        self.loops: dict[str, Kernel] = {}
        self.called_back: dict[str, Op] = {}
        self._extra: dict[int, int] = {}  # id of a table → its slot
        self._scalars = 0
        for node, place in zip(program.graph.outputs, outputs, strict=True):
            if not isinstance(node.op, Input | Constant):
                self.places.setdefault(node, place)
        self._kept = self._shared_scalars()
        for node in program.graph.nodes:
            self._give(node)

    def _shared_scalars(self) -> set[Node]:
        """Scalars that more than the function that computes them wants: outputs, and arguments of later parts."""
        program = self.program
        kept = set(program.graph.outputs)
        function_of = {
            node: (k, number)
            for k, phase in enumerate(program.phases)
            for number, nodes in enumerate(batched(phase.scalars))
            for node in nodes
        }
        for node in program.graph.nodes:
            kept.update(arg for arg in node.args if function_of.get(arg) != function_of.get(node, (-1, 0)))
        kept.update(view.base for view in program.views.values())
        return kept

    def _give(self, node: Node) -> None:
        if node in self.places or (node.value is not None and node.shape == ()):
            return
        if isinstance(node.op, Scatter) and (place := self._in_a_row(node)) is not None:
            self.places[node] = place
            return
        if isinstance(node.op, Constant):
            self.places[node] = Place(self.slot(node.op.value))
        elif node.shape == ():
            if node in self._kept:
                self.places[node] = Place(SCALARS, self._scalars)
                self._scalars += 1
        elif node in self.program.stored:
            self.places[node] = Place(self.slot(math.prod(node.shape)))

    def _in_a_row(self, node: Node) -> Place | None:
        """Where scalars that are put side by side stand side by side already, as the variables do."""
        if not stacks(node.op) or not all(isinstance(arg.op, Input) for arg in node.args):
            return None
        places = [self.places[arg] for arg in node.args]
        first = places[0]
        row = [Place(first.slot, first.offset + where.offset) for where in node.op.places]
        return first if node.op.places[0].offset == 0 and places == row else None

    def slot(self, content: object) -> int:
        """A new slot of the table for a constant array, or for a number of doubles."""
        self.arrays.append((self.slots, content))
        self.slots += 1
        return self.slots - 1

    def watch_place(self) -> int:
        """A new place for a watched sum."""
        self.watch_places.append(self._scalars)
        self._scalars += 1
        return self._scalars - 1

    def code(self) -> Code:
        calls = []
        for number, phase in enumerate(self.program.phases):
            if phase.zeros or phase.scalars:
                self._straight(f"@scalars{number}", phase.zeros, phase.scalars)
                calls.append(f"call void @scalars{number}(ptr %t)")
            for kernel in phase.kernels:
                name = f"@loop{len(self.loops)}"
                self.loops[name] = kernel
                Nest(self, name, kernel).emit()
                calls.append(f"call void {name}(ptr %t, i64 0, i64 {kernel.blocks})")
                calls.append(f"call void {name}.end(ptr %t)")
        self._copies()
        calls.append("call void @copies(ptr %t)")
        if self.program.alone:
            body = "\n".join(f"  {call}" for call in calls)
            self.functions.append(
                f"; everything in its order\ndefine void @evaluate(ptr %t) noinline {{\n{body}\n  ret void\n}}"
            )
        self.arrays.append((SCALARS, max(1, self._scalars)))
        return Code(self.functions, self.arrays, self.slots, self.loops, list(self.called_back.values()))

    # ------------------------------------------------------------ straight lines

    def pointers(self, lines: Lines) -> Callable[[int], str]:
        """A function slot → pointer that loads each pointer once, at the place of its first use."""
        known: dict[int, str] = {}

        def pointer(slot: int) -> str:
            if slot not in known:
                known[slot] = lines.load("%t", slot, "ptr")
            return known[slot]

        return pointer

    def _straight(self, name: str, zeros: Sequence[Node], nodes: Sequence[Node]) -> None:
        parts = batched(nodes)
        if len(parts) > 1:
            for number, part in enumerate(parts):
                self._straight(f"{name}.{number}", zeros if number == 0 else (), part)
            body = "\n".join(f"  call void {name}.{number}(ptr %t)" for number in range(len(parts)))
            self.functions.append(f"define void {name}(ptr %t) noinline {{\n{body}\n  ret void\n}}")
            return
        lines = Lines()
        pointer = self.pointers(lines)
        for node in zeros:
            place = self.places[node]
            address = lines.at(pointer(place.slot), place.offset)
            lines.add(f"call void @llvm.memset.p0.i64(ptr {address}, i8 0, i64 {8 * math.prod(node.shape)}, i1 false)")
        self.scalars(lines, nodes, {}, pointer)
        body = "\n".join(lines.out)
        about = f"; {len(nodes)} scalars" + (f", after {len(zeros)} arrays of zeros" if zeros else "")
        self.functions.append(f"{about}\ndefine void {name}(ptr %t) noinline {{\n{body}\n  ret void\n}}")

    def scalars(
        self,
        lines: Lines,
        nodes: Sequence[Node],
        known: dict[Node, str],
        pointer: Callable[[int], str],
        keep: bool = True,
    ) -> None:
        """Scalar nodes in their order; `known` are operands at hand. With `keep` what others want is stored as well."""
        for node in nodes:
            if isinstance(node.op, Op):
                value = self.operation(lines, node, lambda arg: self.scalar(lines, arg, known, pointer), known)
            elif isinstance(node.op, Scatter):
                place = self.places[node]
                if self.places.get(node.args[0]) == place:
                    continue
                base = pointer(place.slot)
                for where, arg in zip(node.op.places, node.args, strict=True):
                    assert isinstance(where, Strided)
                    lines.store(self.scalar(lines, arg, known, pointer), base, place.offset + where.offset)
                continue
            elif isinstance(node.op, Fold):
                (arg,) = node.args
                place = self.places[arg]
                address = lines.at(pointer(place.slot), place.offset)
                value = lines.new(f"call double @in_order(ptr {address}, i64 {node.op.size})")
            else:
                value = self.entry(lines, self.program.views[node], pointer)
            known[node] = value
            if keep and node in self._kept:
                place = self.places[node]
                lines.store(value, pointer(place.slot), place.offset)

    def operation(self, lines: Lines, node: Node, operand: Callable[[Node], str], known: Mapping[Node, str]) -> str:
        """An elementwise node; `operand` gives those of its arguments, `known` holds what this function computed."""
        name = f"%n{node.number}"
        product = merged(node)
        if product is not None and (product[1] in known or product[1] in self.places):
            lines.add(f"{name} = fmul double {double(product[0])}, {operand(product[1])}")
            return name
        if not node.op.native:
            self.called_back[node.op.name] = node.op
        return elementwise(lines, node, name, [operand(arg) for arg in node.args], self.masked)

    def scalar(self, lines: Lines, node: Node, known: dict[Node, str], pointer: Callable[[int], str]) -> str:
        """The operand of a scalar node: a constant, a value at hand, or a load."""
        if node.value is not None:
            return double(node.value)
        if node not in known:
            place = self.places[node]
            known[node] = lines.load(pointer(place.slot), place.offset)
        return known[node]

    def entry(self, lines: Lines, view: View, pointer: Callable[[int], str]) -> str:
        """The one entry of a view of shape ()."""
        if view.base.value is not None and view.base.shape == ():
            return double(view.base.value)
        place = self.places[view.base]
        offset: str | int = view.offset
        if view.table is not None:
            offset = int(view.table.reshape(-1)[0]) + view.offset
        return lines.load(pointer(place.slot), place.offset + int(offset))

    def table(self, view: View) -> int:
        assert view.table is not None
        if id(view.table) not in self._extra:
            self._extra[id(view.table)] = self.slot(view.table)
        return self._extra[id(view.table)]

    def _copies(self) -> None:
        """Outputs that are inputs, constants, or there twice."""
        lines = Lines()
        pointer = self.pointers(lines)
        for node, place in zip(self.program.graph.outputs, self.outputs, strict=True):
            if self.places.get(node) == place:
                continue
            if node.shape == ():
                lines.store(self.scalar(lines, node, {}, pointer), pointer(place.slot), place.offset)
                continue
            source = lines.at(pointer(self.places[node].slot), self.places[node].offset)
            target = lines.at(pointer(place.slot), place.offset)
            size = 8 * math.prod(node.shape)
            lines.add(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")
        body = "\n".join(lines.out)
        self.functions.append(
            f"; outputs that are inputs or constants, or that are there twice\n"
            f"define void @copies(ptr %t) {{\n{body}\n  ret void\n}}"
        )


def batched(nodes: Sequence[Node]) -> list[Sequence[Node]]:
    """In parts that are functions of their own: what a compiler does with one grows faster than its length."""
    return [nodes[begin : begin + MOST_LINES] for begin in range(0, len(nodes), MOST_LINES)] or [nodes]
