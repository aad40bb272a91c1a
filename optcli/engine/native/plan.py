"""NativePlan: a compiled Program with its memory, run in one call or in pieces on several threads."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd.graph import Graph, Node
from optcli.autograd.ops import Op, chain
from optcli.autograd.products import Contract
from optcli.engine.native import llvm
from optcli.engine.native.emit import Code, Emitter, Place
from optcli.engine.native.lines import finish
from optcli.engine.native.program import SCALARS, VIRTUAL, Phase, Program, program
from optcli.engine.numpy_engine import Plan
from optcli.threads import share, threads

Array = NDArray[np.float64]
PIECE = 1024  # blocks that one call runs at most: some milliseconds, so that signals are seen in time
DOUBTS = 20  # results that are not finite, after which the code with masked products is worth being compiled
LIGHT = 10_000_000  # arithmetic operations up to which the numpy engine is asked about such results
SHARED = 32  # blocks from which on a loop is shared among threads
WORTH = 6_000_000  # arithmetic operations from which on it gains more time than handing it over takes, some 0.3 ms
CALL = 15  # of them take as long as a function of the C library


class NativePlan:
    """A Graph as machine code, called like the numpy engine's Plan, or with flat vectors.

    `inputs` and `outputs` group the graph's into flat vectors: [(0, 1), (2,)] makes the first two the parts of one
    vector; by default each is a vector of its own. `extend` writes more functions beside those of the program.
    Raises RuntimeError where LLVM refuses.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sequence[Sequence[int]] | None = None,
        outputs: Sequence[Sequence[int]] | None = None,
        masked: bool = False,
        extend: Callable[[Emitter], list[str]] | None = None,
        watch: bool = False,
    ) -> None:
        self.graph = graph
        self.masked = masked
        self.program: Program = program(graph)
        inputs = [(k,) for k in range(len(graph.inputs))] if inputs is None else inputs
        outputs = [(k,) for k in range(len(graph.outputs))] if outputs is None else outputs
        self._first_output = 1 + len(inputs)
        given, _ = _places(graph.inputs, inputs, 1)
        wanted, self.sizes = _places(graph.outputs, outputs, self._first_output)
        emitter = Emitter(
            self.program,
            {node: place for node, place in zip(graph.inputs, given, strict=True) if place is not None},
            wanted,
            self._first_output + len(outputs),
            masked,
            watch,
            llvm.fused(),
        )
        more = [] if extend is None else extend(emitter)
        self.code: Code = emitter.code()
        self.places = emitter.places
        vectors = {node for node in graph.outputs if node.shape != ()}
        # a target to which scalars are added one by one has entries that no loop has seen
        kernels = [kernel for phase in self.program.phases for kernel in phase.kernels]
        unseen = {target for kernel in kernels if not kernel.shape for target in kernel.targets()}
        seen = watch and vectors <= emitter.watched - unseen
        self._watches = list(emitter.watch_places) if seen else None
        self._scalar_outputs = [
            place for node, place in zip(graph.outputs, wanted, strict=True) if place is not None and node.shape == ()
        ]
        self.text = finish([*self.code.functions, *more], llvm.vectors())
        self._compiled: llvm.Compiled | None = None

    # ------------------------------------------------------------ memory and code

    def load(self) -> None:
        """Machine code and memory, made at the first call."""
        if self._compiled is not None:
            return
        self._compiled = llvm.compile_text(self.text, self.code.called_back, self._longest)
        self._memory: dict[int, Any] = {}
        self.table = np.zeros(self.code.slots, dtype=np.uintp)
        for slot, content in self.code.arrays:
            array = np.zeros(content) if isinstance(content, int) else np.ascontiguousarray(content)
            self._memory[slot] = array
            self.table[slot] = array.ctypes.data
        self.at = ctypes.c_void_p(self.table.ctypes.data)
        self._run: dict[str, Callable[..., None]] = {}
        self.most_blocks = max((kernel.blocks for kernel in self.code.loops.values()), default=0)
        self._worth = _work(self.graph) >= WORTH
        self._at_once = self.program.alone and not (self._worth and self.most_blocks >= SHARED)
        if self._at_once:
            self.function("evaluate")  # looked up now rather than at the first evaluation

    @property
    def _longest(self) -> int:
        """Entries of the longest loop."""
        return max((math.prod(kernel.shape) for kernel in self.code.loops.values()), default=0)

    def function(self, name: str, *kinds: Any) -> Callable[..., None]:
        """A function of the module; `kinds` are its arguments, the table by default."""
        if name not in self._run:
            assert self._compiled is not None
            self._run[name] = self._compiled.function(name, *(kinds or (ctypes.c_void_p,)))
        return self._run[name]

    # ------------------------------------------------------------ running

    def __call__(self, *inputs: Any) -> list[Any]:
        """Outputs in their order: floats for scalars, new arrays else."""
        arrays = [np.ascontiguousarray(value, dtype=np.float64) for value in inputs]
        outputs = [np.empty(size) for size in self.sizes]
        self.into(arrays, outputs)
        return [
            float(array[0]) if node.shape == () else array.reshape(node.shape)
            for node, array in zip(self.graph.outputs, outputs, strict=True)
        ]

    def into(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Evaluate at contiguous vectors, one for each group, into vectors that overlap no other."""
        self.load()
        self.bind(inputs, outputs)
        if self._at_once:
            self._run["evaluate"](self.at)
        else:
            self._piecewise()
        for slot in range(1, self._first_output + len(outputs)):
            del self._memory[slot]  # long vectors live no longer than their owners want

    def finite(self, outputs: Sequence[Array]) -> bool:
        """Whether what `into` has just written is finite; without a pass through it, if the plan watches."""
        if self._watches is not None:
            sums = [float(self._memory[SCALARS][k]) for k in self._watches]
            sums += [float(outputs[p.slot - self._first_output][p.offset]) for p in self._scalar_outputs]
            if all(map(math.isfinite, sums)):
                return True
        with np.errstate(all="ignore"):
            return all(math.isfinite(np.add.reduce(array)) or np.isfinite(array).all() for array in outputs)

    def bind(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        table = self.table
        for k, array in enumerate(inputs, 1):
            table[k] = array.ctypes.data
            self._memory[k] = array
        for k, array in enumerate(outputs, self._first_output):
            table[k] = array.ctypes.data
            self._memory[k] = array

    def _piecewise(self) -> None:
        names = iter(self.code.loops)
        for number, phase in enumerate(self.program.phases):
            if phase.zeros or phase.scalars:
                self.function(f"scalars{number}")(self.at)
            for kernel in phase.kernels:
                name = next(names)[1:]
                self._blocks(name, kernel.blocks, kernel.parallel)
                self.function(f"{name}.end")(self.at)
            self._outside(phase)
        self.function("copies")(self.at)

    def _blocks(self, name: str, blocks: int, parallel: bool) -> None:
        run = self.function(name, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        workers = threads() if parallel and self._worth and blocks >= SHARED else 1
        piece = max(1, min(PIECE, -(-blocks // workers)))
        begins = range(0, blocks, piece)
        share(len(begins), lambda k: run(self.at, begins[k], min(begins[k] + piece, blocks)), workers)

    # ------------------------------------------------------------ what numpy does

    def _outside(self, phase: Phase) -> None:
        """Contractions and norms by numpy, on what is stored."""
        with np.errstate(all="ignore"):
            for node in phase.outside:
                result = node.op.kernel(*(self._stored(arg) for arg in node.args))
                self._stored(node)[...] = result

    def _stored(self, node: Node) -> Any:
        """A node's storage as an array, or a view of it."""
        if node.value is not None:
            return node.value
        if isinstance(node.op, VIRTUAL) and not (node in self.program.stored and node in self.places):
            return node.op.kernel(self._stored(node.args[0]))
        place = self.places[node]
        size = math.prod(node.shape)
        flat = self._memory[place.slot].reshape(-1)[place.offset : place.offset + size]
        return flat.reshape(node.shape)


class Evaluator:
    """A graph at flat vectors: by the quick code where its results are finite, else by the code with masked products.

    That takes a while to compile: the first times the numpy engine, which has the same rule, tells whether its results
    would be finite; where they would not, they are as good as this. Raises RuntimeError where LLVM refuses.
    """

    def __init__(self, graph: Graph, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> None:
        self._made = graph, inputs, outputs
        self.masked = False  # whether the quick code was given up for the other one
        self._quick = self._plan = NativePlan(graph, inputs, outputs, masked=not chained(graph), watch=True)
        self._doubts = self._most_doubts = DOUBTS if _work(graph) <= LIGHT else 0

    def load(self) -> None:
        """Compile now rather than at the first call."""
        self._plan.load()

    def mask(self) -> None:
        """Give up the quick code."""
        if not self._plan.masked:
            self._plan, self.masked = self._slow, True

    def unmask(self) -> None:
        """Begin anew with the quick code."""
        self._plan, self.masked, self._doubts = self._quick, False, self._most_doubts

    @cached_property
    def _slow(self) -> NativePlan:
        return NativePlan(*self._made, masked=True)

    @cached_property
    def _reference(self) -> Plan:
        return Plan(self._made[0])

    def __call__(self, *inputs: Array) -> list[Array]:
        """New vectors, one for each group of outputs."""
        given = [np.ascontiguousarray(vector, dtype=np.float64) for vector in inputs]
        outputs = [np.empty(size) for size in self._plan.sizes]
        self._plan.into(given, outputs)
        if self._plan.masked or self._plan.finite(outputs):
            return outputs
        if self._doubts:
            self._doubts -= 1
            told = self._told(given)
            if not all(np.isfinite(vector).all() for vector in told):  # what is finite here has its digits already
                return [np.where(np.isfinite(ours), ours, other) for ours, other in zip(outputs, told, strict=True)]
        self._slow.into(given, outputs)
        if self._slow.finite(outputs):  # it will be needed again
            self.mask()
        return outputs

    def _told(self, given: Sequence[Array]) -> list[Array]:
        """What the numpy engine computes."""
        graph, inputs, outputs = self._made
        values: list[Any] = [None] * len(graph.inputs)
        for vector, group in zip(given, inputs, strict=True):
            sizes = [math.prod(graph.inputs[k].shape) for k in group]
            for k, part in zip(group, np.split(vector, np.cumsum(sizes)[:-1]), strict=True):
                values[k] = part.reshape(graph.inputs[k].shape)
        results = self._reference(*values)
        return [np.concatenate([np.ravel(results[k]) for k in group]) for group in outputs]


def _work(graph: Graph) -> int:
    """Arithmetic operations that an evaluation takes as long as."""
    operations = [node for node in graph.nodes if isinstance(node.op, Op)]
    return sum(math.prod(node.shape) * (1 if node.op.exact else CALL) for node in operations)


def chained(graph: Graph) -> bool:
    """Whether a masked plan may differ: where a product of an adjoint and a partial is not finite."""
    return any(node.op is chain or (isinstance(node.op, Contract) and node.op.masked) for node in graph.nodes)


def _places(nodes: Sequence[Node], groups: Sequence[Sequence[int]], first: int) -> tuple[list[Any], list[int]]:
    """Where each node stands, one slot a group, and the sizes of the groups."""
    places: list[Any] = [None] * len(nodes)
    sizes = []
    for slot, group in enumerate(groups, first):
        offset = 0
        for k in group:
            places[k] = Place(slot, offset)
            offset += math.prod(nodes[k].shape)
        sizes.append(offset)
    return places, sizes
