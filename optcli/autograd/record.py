"""What eager operations leave behind for backward, and backward itself, in loops that no length of graph overflows."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optcli.autograd.gradient import shared_partials, vjp
from optcli.autograd.graph import Builder, Input, Node, reachable
from optcli.autograd.ops import Op, Operation, Shape
from optcli.autograd.structural import shape_of

Version = list[int]  # one number: how often a piece of memory was changed; all Tensors on that memory share the list
_numbers = itertools.count()


class Hole:
    """Stands for a value that no derivative of its operation reads: only its shape is known."""

    __slots__ = ("shape",)

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


hole = functools.lru_cache(maxsize=4096)(Hole)


class Saved:
    """A value that backward will read, with the version that it must then still have."""

    __slots__ = ("expected", "value", "version")

    def __init__(self, value: Any, version: Version) -> None:
        self.value = value
        self.version = version
        self.expected = version[0]

    def read(self, op: Operation) -> Any:
        if self.version[0] != self.expected:
            raise RuntimeError(
                f"backward through {op.name} needs a value of shape {np.shape(self.value)} that was changed in place "
                f"after it was used (version {self.version[0]}, expected {self.expected}); change a clone() instead"
            )
        return self.value


class Record:
    """One operation that was performed: where its arguments came from, and the values its derivatives need.

    `edges` has an entry for each argument: the Record that made it, the Tensor itself for a leaf, or None where no
    gradient goes. `values` are the arguments, then the result: Saved, a constant, or a Hole; None once freed.
    """

    __slots__ = ("edges", "number", "op", "retained", "saves", "values")

    def __init__(self, op: Operation, edges: tuple[Any, ...], values: tuple[Any, ...], saves: bool) -> None:
        self.number = next(_numbers)  # arguments have lower ones
        self.op = op
        self.edges = edges
        self.values: tuple[Any, ...] | None = values
        self.saves = saves
        self.retained: weakref.ref[Any] | None = None  # the Tensor that keeps the gradient passing here

    @classmethod
    def linear(cls, op: Operation, edges: tuple[Any, ...], shapes: Sequence[Shape]) -> Record:
        """The record of an operation whose derivatives need no values; the last shape is that of the result."""
        return cls(op, edges, tuple(map(hole, shapes)), saves=False)

    def __repr__(self) -> str:
        return f"<{self.op.name}>"

    def unpack(self, rebuild: Callable[[Any, Saved], Any] | None) -> tuple[Any, ...]:
        """The arguments and the result: as arrays, or through `rebuild(edge, saved)` where derivatives go on."""
        if self.values is None:
            raise RuntimeError(
                f"backward a second time, but the values that {self.op.name} saved were freed by the first; "
                "give that one retain_graph=True"
            )
        unpacked = []
        for value, edge in zip(self.values, (*self.edges, self), strict=True):
            if type(value) is Saved:
                array = value.read(self.op)
                unpacked.append(array if rebuild is None else rebuild(edge, value))
            else:
                unpacked.append(value)
        return tuple(unpacked)

    def free(self) -> None:
        if self.saves:
            self.values = None


def backward(
    start: Any,
    cotangent: Any,
    retain_graph: bool,
    rebuild: Callable[[Any, Saved], Any] | None,
    accumulate: Callable[[Any, Any], None],
) -> None:
    """Carry `cotangent` from `start`, a Record or a leaf, to all leaves, where `accumulate(leaf, cotangent)` takes it.

    With `rebuild` the cotangents are Tensors and everything is recorded anew. No leaf is touched unless all went well.
    """
    received: dict[Any, Any] = {start: cotangent}
    for record in _in_order(start):
        total = received.pop(record)
        tensor = None if record.retained is None else record.retained()
        if tensor is not None:
            accumulate(tensor, total)
        *args, y = record.unpack(rebuild)
        known = tuple(args)
        shared = shared_partials(record.op, y, known)
        for i, edge in enumerate(record.edges):
            if edge is not None:
                part = vjp(record.op, i, total, y, known, shared)
                if part is None:
                    part = np.float64(0.0)  # flat: zeros arrive, not nothing
                before = received.get(edge)
                received[edge] = part if before is None else before + part
        if not retain_graph:
            record.free()
    for leaf, total in received.items():
        accumulate(leaf, total)


def _in_order(start: Any) -> list[Record]:
    """All records that `start` comes from, the last performed first."""
    seen: set[Record] = set()
    stack = [start]
    while stack:
        record = stack.pop()
        if type(record) is Record and record not in seen:
            seen.add(record)
            stack.extend(record.edges)
    return sorted(seen, key=lambda record: record.number, reverse=True)


# ------------------------------------------------------------------ which values an operation needs

Needs = tuple[tuple[bool, ...], frozenset[int]]
_known: dict[Any, Needs] = {}


def needs(op: Operation, tracked: int, args: Sequence[Any]) -> Needs:
    """Which arguments get a gradient, and the positions of the values that this takes (the result's comes last).

    `tracked` has a bit for each argument that requires grad. Found by differentiating once on the nodes of a graph and
    looking what the outcome reaches; the answer does not depend on shapes, so that it is kept for all of them.
    """
    key = (op if type(op) is Op else type(op), tracked, len(args))
    found = _known.get(key)
    if found is None:
        found = _known[key] = _find_needs(op, tracked, [shape_of(arg) for arg in args])
    return found


def _find_needs(op: Operation, tracked: int, shapes: Sequence[Shape]) -> Needs:
    builder = Builder()
    shape = op.out_shape(shapes)
    *args, y = [builder.input(k, s, "value") for k, s in enumerate((*shapes, shape))]
    cotangent = builder.input(-1, shape, "cotangent")
    active, wanted = [], set()
    for i in range(len(shapes)):
        part = vjp(op, i, cotangent, y, tuple(args)) if tracked >> i & 1 and _has_derivative(op, i) else None
        active.append(bool(tracked >> i & 1) and _has_derivative(op, i))
        if isinstance(part, Node):
            wanted |= {node.op.number for node in reachable([part]) if isinstance(node.op, Input)}
    return tuple(active), frozenset(wanted - {-1})


def _has_derivative(op: Operation, i: int) -> bool:
    return not isinstance(op, Op) or op.partials is None or op.partials[i] is not None
