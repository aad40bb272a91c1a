"""The static Graph: nodes with shapes, hash-consed, in topological order.

A `Builder` makes nodes; equal operations on equal arguments are one node. A `Graph` is what can be reached from its
outputs, immutable and printable. Constants are folded with the very kernels that would compute them later.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optcli.autograd import ops
from optcli.autograd.ops import Op, Operand, Operation, Shape
from optcli.autograd.structural import Broadcast, Strided, Structural, Take


@dataclass(frozen=True)
class Input:
    """The operation of a node that is given: a variable or a tangent, by number."""

    number: int
    label: str = ""

    @property
    def name(self) -> str:
        return f"input {self.label or self.number}"


@dataclass(frozen=True, eq=False)
class Constant:
    """The operation of a node that never changes; `value` is a float64 scalar or a read-only array."""

    value: Any

    @property
    def name(self) -> str:
        return f"constant {self.value}" if np.ndim(self.value) == 0 else f"constant array {np.shape(self.value)}"


class Node(Operand):
    """A vertex: an operation, its arguments, a shape, and its number in the builder (arguments have lower ones)."""

    __slots__ = ("args", "builder", "number", "op", "shape")

    def __init__(self, builder: Builder, number: int, op: Any, args: tuple[Node, ...], shape: Shape) -> None:
        self.builder = builder
        self.number = number
        self.op = op
        self.args = args
        self.shape = shape

    def apply(self, op: Operation, args: tuple[Any, ...]) -> Node:  # type: ignore[override]  # needs the builder
        return self.builder.node(op, args)

    @property
    def value(self) -> Any:
        """The value of a constant, None for any other node."""
        return self.op.value if type(self.op) is Constant else None

    def __repr__(self) -> str:
        args = f"({', '.join(f'%{arg.number}' for arg in self.args)})" if self.args else ""
        return f"%{self.number} = {self.op.name}{args} : {self.shape}"


class Builder:
    """Makes nodes, each only once."""

    def __init__(self) -> None:
        self._known: dict[Any, Node] = {}
        self._floats: dict[float, Node] = {}  # a short way to constants that come again and again
        self._count = 0

    def input(self, number: int, shape: Shape, label: str = "") -> Node:
        node = self._intern(("input", number), Input(number, label), (), shape)
        assert (node.op.label, node.shape) == (label, shape), f"{node} has the number of another input"
        return node

    def constant(self, value: Any) -> Node:
        """A constant of the value: a number, or an array (made read-only; equal arrays are not merged)."""
        if type(value) is float:
            found = self._floats.get(value)
            if found is not None and value != 0.0:  # 0.0 and -0.0 are equal keys
                return found
        if np.ndim(value) == 0:
            number = np.float64(value)
            node = self._intern(struct.pack("d", number), Constant(number), (), ())
            if type(value) is float:
                self._floats[value] = node
            return node
        array = np.ascontiguousarray(value, dtype=np.float64)
        array.flags.writeable = False
        return self._intern(("array", id(array)), Constant(array), (), array.shape)

    def node(self, op: Operation, args: Sequence[Any]) -> Node:
        """The node of `op` on `args`, which are nodes, numbers or arrays."""
        nodes = tuple([arg if type(arg) is Node else self.constant(arg) for arg in args])
        key = (op, *nodes)
        found = self._known.get(key)
        if found is not None:
            return found
        short = self._shortcut(op, nodes)
        if short is not None:
            self._known[key] = short
            return short
        shape = nodes[0].shape if len(nodes) == 1 and type(op) is Op else op.out_shape([node.shape for node in nodes])
        return self._intern(key, op, nodes, shape)

    def _intern(self, key: Any, op: Any, args: tuple[Node, ...], shape: Shape) -> Node:
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = Node(self, self._count, op, args, shape)
            self._count += 1
        return node

    def _shortcut(self, op: Operation, args: tuple[Node, ...]) -> Node | None:
        """What the node is without computing: folded constants, and identities that hold bit for bit."""
        for arg in args:
            if type(arg.op) is not Constant:
                break
        else:
            if isinstance(op, Broadcast):  # would only repeat entries
                return None
            with np.errstate(all="ignore"):
                return self.constant(op.kernel(*(arg.op.value for arg in args)))
        if op is ops.chain:
            return self._shortcut_chain(*args)
        if op is ops.mul:
            for one, other in (args, args[::-1]):
                if one.value is not None and one.shape == ():
                    if one.value == 1.0:
                        return other
                    if one.value == -1.0:
                        return self.node(ops.neg, (other,))
        elif op is ops.pow_:
            power = args[1]
            if power.shape == () and power.value is not None:
                if power.value == 1.0:
                    return args[0]
                if power.value == 2.0:
                    return self.node(ops.square, args[:1])
        elif op is ops.neg and args[0].op is ops.neg:
            return args[0].args[0]
        elif isinstance(op, Take) and isinstance(op.places, Strided) and op.places.shape == op.source:
            return args[0] if op.places.is_whole(math.prod(op.source)) else None
        return None

    def _shortcut_chain(self, cotangent: Node, partial: Node) -> Node | None:
        for one, other in ((cotangent, partial), (partial, cotangent)):
            if one.shape == () and one.value is not None:
                if one.value == 0.0:
                    return one
                if one.value == 1.0:
                    return other
                if one.value == -1.0:
                    return self.node(ops.neg, (other,))
        return None


@dataclass(frozen=True)
class Graph:
    """What is computed: `outputs` from `inputs`; `nodes` are those that take part, arguments first."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    nodes: tuple[Node, ...]

    @classmethod
    def of(cls, inputs: Sequence[Node], outputs: Iterable[Node]) -> Graph:
        outputs = tuple(outputs)
        return cls(tuple(inputs), outputs, reachable(outputs))

    @property
    def builder(self) -> Builder:
        return self.outputs[0].builder

    def __len__(self) -> int:
        """The number of operations: inputs and constants not counted."""
        return sum(type(node.op) is not Input and type(node.op) is not Constant for node in self.nodes)

    def __str__(self) -> str:
        return "\n".join([*map(repr, self.nodes), "outputs " + " ".join(f"%{node.number}" for node in self.outputs)])


def reachable(outputs: Iterable[Node]) -> tuple[Node, ...]:
    """All nodes that `outputs` need, in topological order (by number)."""
    seen: dict[int, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.number not in seen:
            seen[node.number] = node
            stack.extend(node.args)
    return tuple([seen[number] for number in sorted(seen)])


def check_graph(graph: Graph) -> None:
    """What every pass must keep, checked: raises AssertionError with the node that breaks it."""
    position = {node: k for k, node in enumerate(graph.nodes)}
    seen: set[Any] = set()
    for k, node in enumerate(graph.nodes):
        assert node.builder is graph.builder, f"{node} comes from another builder"
        assert all(position.get(arg, k) < k for arg in node.args), f"{node} stands before its arguments"
        if isinstance(node.op, Constant):
            assert node.op.value.dtype == np.float64, f"{node} is not float64"
            assert np.shape(node.op.value) == node.shape, f"{node} has another shape than its value"
        elif not isinstance(node.op, Input):
            assert isinstance(node.op, Op | Structural), f"{node} has an unknown operation"
            assert node.op.out_shape([arg.shape for arg in node.args]) == node.shape, f"{node} has a wrong shape"
            assert (node.op, node.args) not in seen, f"{node} is there twice"
            seen.add((node.op, node.args))
    for node in (*graph.outputs, *graph.inputs):
        assert node in position or isinstance(node.op, Input), f"{node} is not among the nodes"
