"""Graph → Program: which nodes share a loop, in which order the loops run, and where values live between them.

Elementwise nodes of one shape are computed entry by entry in one loop, forward and adjoint together wherever the
adjoint does not wait for the result of a sum. Entries taken from an array are loads, scattered ones are additions; what
another phase needs of a loop is computed again there, so that memory holds no temporaries. What has no loop of its own
(contractions, norms) is called from numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optcli.autograd.graph import Constant, Graph, Input, Node
from optcli.autograd.ops import Op, Shape
from optcli.autograd.products import Contract, Norm
from optcli.autograd.structural import Broadcast, Fold, Gather, Reshape, Scatter, Strided, Sum, Take

BLOCK = 1024  # entries that one block computes: its sums are added first, its scattered values fit the first cache
SCALARS = 0  # the slot of the table that holds scalars
MOST_BUFFERS = 24  # of BLOCK doubles on the stack of a loop
VIRTUAL = (Take, Reshape, Broadcast)
OUTSIDE = (Contract, Norm)


@dataclass(frozen=True, eq=False)
class View:
    """Entries of what is stored: entry idx is base[offset + idx·strides], or base[offset + table[idx·strides]]."""

    base: Node
    offset: int
    strides: tuple[int, ...]
    table: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Addition:
    """One argument of a Scatter: `value` is added at `view` of the target, or `put` there; its base is the Scatter."""

    value: Node
    view: View
    put: bool = False


@dataclass(eq=False)
class Kernel:
    """One loop nest over `shape` in one phase, and what it leaves in memory."""

    shape: Shape
    phase: int
    sums: list[Node] = field(default_factory=list)  # Sum nodes over all axes
    partial_sums: list[Node] = field(default_factory=list)  # Sum nodes over some axes
    stores: list[Node] = field(default_factory=list)  # nodes written entry by entry
    additions: list[Addition] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def inner(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def rows_per_block(self) -> int:
        return max(1, BLOCK // max(1, self.inner))

    @property
    def inner_blocks(self) -> int:
        return max(1, -(-self.inner // BLOCK))

    @property
    def blocks(self) -> int:
        """Pieces that the loop is cut into, the same whatever the number of threads."""
        if 0 in self.shape:
            return 0
        return -(-self.rows // self.rows_per_block) * self.inner_blocks

    def targets(self) -> dict[Node, list[Addition]]:
        out: dict[Node, list[Addition]] = {}
        for addition in self.additions:
            out.setdefault(addition.view.base, []).append(addition)
        return out

    @property
    def sweeps(self) -> bool:
        """Whether each block writes a stretch of its own of every target, but for a few entries that it hands on."""
        if not self.additions or self.shape == () or len(self.shape) > 1:
            return False
        if any(addition.put for addition in self.additions):
            return False
        buffers = 0  # the last block owns the rest of the target: handing on never reaches beyond it
        for group in self.targets().values():
            strides = {addition.view.strides for addition in group}
            if len(strides) > 1 or any(addition.view.table is not None for addition in group):
                return False
            (stride,) = next(iter(strides))
            offsets = [addition.view.offset for addition in group]
            if stride < 1 or max(offsets) - min(offsets) > stride * BLOCK:
                return False
            buffers += len(group)
        return buffers <= MOST_BUFFERS

    @property
    def parallel(self) -> bool:
        """Whether blocks may run in any order, on any thread."""
        return not self.partial_sums and (all(addition.put for addition in self.additions) or self.sweeps)


@dataclass(eq=False)
class Phase:
    """What runs together: zeros, then scalars, then loops, then calls of numpy."""

    zeros: list[Node] = field(default_factory=list)  # Scatter and Sum nodes whose storage is cleared first
    scalars: list[Node] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    outside: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class Program:
    """Phases in order; `stored` are the nodes that live in memory, `views` how others read them."""

    graph: Graph
    phases: list[Phase]
    views: dict[Node, View]
    stored: set[Node]
    ready: dict[Node, int]  # the first phase that finds a node in memory
    opening: dict[Node, Kernel]  # Scatter → the sweep that writes its entries first, so that no zeros are needed

    @property
    def alone(self) -> bool:
        """Whether it runs without numpy."""
        return not any(phase.outside for phase in self.phases)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def program(graph: Graph) -> Program:
    """The program of a graph."""
    return _Planner(graph).run()


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.views: dict[Node, View] = {}
        self.stored: set[Node] = set()
        self.ready: dict[Node, int] = {}  # the first phase that finds the node in memory
        self.level: dict[Node, int] = {}  # the phase in which a loop can compute the node
        self.phases: list[Phase] = []
        self.kernels: dict[tuple[Shape, int], Kernel] = {}

    def run(self) -> Program:
        self._place()
        self._order()
        return Program(self.graph, self.phases, self.views, self.stored, self.ready, self._openings())

    # ------------------------------------------------------------ what lives in memory

    def _place(self) -> None:
        """Decide, before any order, which nodes are stored and how views read them."""
        for node in self.graph.nodes:
            op = node.op
            if isinstance(op, Constant | Input | Sum | Scatter | Contract | Norm):
                self.stored.add(node)
            elif isinstance(op, VIRTUAL):
                self.views[node] = self._view(node)
            elif node.shape != ():
                for arg in node.args:
                    if arg.shape not in ((), node.shape) and isinstance(arg.op, Op):
                        self.stored.add(arg)
            if isinstance(op, Fold):
                self.stored.update(node.args)
            if isinstance(op, OUTSIDE):
                self.stored.update(arg for arg in node.args if isinstance(arg.op, Op))
        self.stored.update(node for node in self.graph.outputs if node.shape != ())

    def _view(self, node: Node) -> View:
        (arg,) = node.args
        if isinstance(arg.op, VIRTUAL):
            inner = self.views[arg]
            outer = self._over(node, inner)
            if outer is not None:
                return outer
        if arg.shape != ():
            self.stored.add(arg)
        view = self._over(node, View(arg, 0, contiguous(arg.shape)))
        assert view is not None, f"{node} is a view of an array in order"
        return view

    @staticmethod
    def _over(node: Node, inner: View) -> View | None:
        """`node` of an argument that is itself `inner`; None where strides cannot say it."""
        op, shape = node.op, node.args[0].shape
        whole = inner.table is None and inner.strides == contiguous(shape)
        if isinstance(op, Take):
            if not whole:
                return None
            if isinstance(op.places, Gather):
                table = np.ascontiguousarray(op.places.index, dtype=np.int64)
                return View(inner.base, inner.offset, contiguous(table.shape), table)
            return View(inner.base, inner.offset + op.places.offset, op.places.strides)
        if isinstance(op, Reshape):
            if whole:
                return View(inner.base, inner.offset, contiguous(op.shape))
            kept = [stride for stride, count in zip(inner.strides, shape, strict=True) if count != 1]
            if [n for n in shape if n != 1] != [n for n in op.shape if n != 1]:
                return None
            strides = iter(kept)
            return View(inner.base, inner.offset, tuple(next(strides) if n != 1 else 0 for n in op.shape), inner.table)
        assert isinstance(op, Broadcast)
        return View(inner.base, inner.offset, spread(inner.strides, shape, op.shape), inner.table)

    # ------------------------------------------------------------ what runs when

    def _order(self) -> None:
        for node in self.graph.nodes:
            op = node.op
            if isinstance(op, Constant | Input):
                self.ready[node] = 0
            elif isinstance(op, VIRTUAL):
                self.ready[node] = self.ready[self.views[node].base]
                if node.shape == ():
                    self._phase(self.ready[node]).scalars.append(node)
                elif node in self.stored:
                    self._store(node, self.ready[node])
            elif isinstance(op, Op | Fold) and node.shape == ():
                self.ready[node] = max(self.ready[arg] for arg in node.args)
                self._phase(self.ready[node]).scalars.append(node)
            elif isinstance(op, Op):
                self.level[node] = max(self._when(arg, node.shape) for arg in node.args)
                if node in self.stored:
                    self._store(node, self.level[node])
            elif isinstance(op, Sum):
                (arg,) = node.args
                at = self._when(arg, op.source)
                kernel = self._kernel(op.source, at)
                if node.shape == ():
                    kernel.sums.append(node)
                else:
                    kernel.partial_sums.append(node)
                    self._phase(at).zeros.append(node)
                self.ready[node] = at + 1
            elif isinstance(op, Scatter) and stacks(op):
                self.ready[node] = max(self.ready[arg] for arg in node.args)
                self._phase(self.ready[node]).scalars.append(node)
            elif isinstance(op, Scatter):
                self._scatter(node)
            else:
                at = max(self.ready[arg] for arg in node.args)
                self._phase(at).outside.append(node)
                self.ready[node] = at + 1
        self._phase(max((self.ready[node] for node in self.graph.outputs), default=0))

    def _when(self, arg: Node, shape: Shape) -> int:
        """The first phase in which a loop over `shape` can have the entries of `arg`."""
        return self.level[arg] if arg in self.level and arg.shape == shape else self.ready[arg]

    def _phase(self, number: int) -> Phase:
        while len(self.phases) <= number:
            self.phases.append(Phase())
        return self.phases[number]

    def _kernel(self, shape: Shape, phase: int) -> Kernel:
        key = (shape, phase)
        if key not in self.kernels:
            self.kernels[key] = Kernel(shape, phase)
            self._phase(phase).kernels.append(self.kernels[key])
        return self.kernels[key]

    def _store(self, node: Node, phase: int) -> None:
        self._kernel(node.shape, phase).stores.append(node)
        self.ready[node] = phase + 1

    def _scatter(self, node: Node) -> None:
        op = node.op
        at = max(self._when(arg, arg.shape) for arg in node.args)
        for places, arg in zip(op.places, node.args, strict=True):
            if isinstance(places, Strided):
                view = View(node, places.offset, places.strides)
            else:
                table = np.ascontiguousarray(places.index, dtype=np.int64)
                view = View(node, 0, contiguous(table.shape), table)
            self._kernel(places.shape, at).additions.append(Addition(arg, view, op.fills))
        if not op.fills:
            self._phase(at).zeros.append(node)
        self.ready[node] = at + 1

    def _openings(self) -> dict[Node, Kernel]:
        """Targets whose first writer covers them: no zeros are needed there."""
        openings: dict[Node, Kernel] = {}
        for phase in self.phases:
            first: dict[Node, Kernel] = {}
            for kernel in phase.kernels:
                for target in kernel.targets():
                    first.setdefault(target, kernel)
            for target, kernel in first.items():
                if kernel.sweeps and kernel.blocks:
                    openings[target] = kernel
                    phase.zeros.remove(target)
        return openings


def stacks(op: Scatter) -> bool:
    """Whether it puts scalars side by side, one at each place."""
    offsets = [places.offset for places in op.places if isinstance(places, Strided) and places.shape == ()]
    return len(offsets) == len(op.places) and sorted(offsets) == list(range(math.prod(op.target)))


def spread(strides: tuple[int, ...], shape: Shape, to: Shape) -> tuple[int, ...]:
    """The strides of a broadcast from `shape` to `to`: 0 along axes that are missing or have length 1."""
    lead = len(to) - len(shape)
    return (0,) * lead + tuple(
        0 if n == 1 != to[lead + d] else stride for d, (stride, n) in enumerate(zip(strides, shape, strict=True))
    )


def needed(program: Program, kernel: Kernel) -> list[Node]:
    """The elementwise nodes that a loop computes, arguments first; what an earlier phase stored is read instead."""

    def computed(node: Node) -> bool:
        earlier = node in program.stored and program.ready[node] <= kernel.phase
        return isinstance(node.op, Op) and node.shape == kernel.shape != () and not earlier

    roots = [*kernel.stores, *(addition.value for addition in kernel.additions)]
    roots += [node.args[0] for node in (*kernel.sums, *kernel.partial_sums)]
    seen: set[Node] = set()
    stack = [root for root in roots if computed(root)]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(arg for arg in node.args if computed(arg))
    return sorted(seen, key=lambda node: node.number)
