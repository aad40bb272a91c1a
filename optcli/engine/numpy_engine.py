"""The reference engine: plain numpy, any shape, the meaning of every operation.

Compiling resolves every kernel, slot and buffer once; evaluating walks a flat program. Buffers are shared between
values that are never alive together, so that memory follows the widest moment, not the number of nodes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.autograd.graph import Constant, Graph, Input, Node
from optcli.autograd.ops import Op, Shape
from optcli.autograd.structural import Broadcast, Reshape, Take

Array = NDArray[np.float64]
VIEWS = (Take, Reshape, Broadcast)  # may return a view of their argument, whose buffer must outlive it


class Plan:
    """A compiled Graph: call it with one value for each input, get the outputs in order.

    Array outputs are buffers of the plan: copy what must outlive the next call. Not for two threads at once.
    """

    def __init__(self, graph: Graph) -> None:
        self._values: list[Any] = [None] * len(graph.nodes)
        slot = {node: k for k, node in enumerate(graph.nodes)}
        self._inputs = [slot.get(node, -1) for node in graph.inputs]
        self._outputs = [slot[node] for node in graph.outputs]
        self._program: list[tuple[Callable[..., Any], int, int, int, tuple[int, ...]]] = []
        buffers = _Buffers(graph)
        for node in graph.nodes:
            if isinstance(node.op, Constant):
                self._values[slot[node]] = node.op.value
            elif not isinstance(node.op, Input):
                kernel = _kernel(node, buffers)
                args = tuple(slot[arg] for arg in node.args)
                first, second = (*args, -1)[:2] if len(args) < 3 else (-1, -2)
                self._program.append((kernel, slot[node], first, second, args))

    @property
    def instructions(self) -> int:
        """How many kernels one call runs."""
        return len(self._program)

    def __call__(self, *inputs: Any) -> list[Any]:
        values = self._values
        for at, value in zip(self._inputs, inputs, strict=True):
            if at >= 0:
                values[at] = value
        with np.errstate(all="ignore"):
            for kernel, at, first, second, args in self._program:
                if second >= 0:
                    values[at] = kernel(values[first], values[second])
                elif second == -1:
                    values[at] = kernel(values[first])
                else:
                    values[at] = kernel(*[values[arg] for arg in args])
        return [values[at] for at in self._outputs]


class _Buffers:
    """Which buffer each array node writes to; a buffer is free again after the last reader of all its views."""

    def __init__(self, graph: Graph) -> None:
        self._root: dict[Node, Node] = {}  # the node that owns the storage a value lives in
        self._last: dict[Node, int] = {}
        for k, node in enumerate(graph.nodes):
            self._root[node] = self._root[node.args[0]] if isinstance(node.op, VIEWS) else node
            for owner in (self._root[node], *(self._root[arg] for arg in node.args)):
                self._last[owner] = k
        for node in graph.outputs:
            self._last[self._root[node]] = len(graph.nodes)
        self._ends: dict[int, list[Node]] = {}
        for node, k in self._last.items():
            self._ends.setdefault(k, []).append(node)
        self._free: dict[Shape, list[Array]] = {}
        self._held: dict[Node, Array] = {}
        self._position = {node: k for k, node in enumerate(graph.nodes)}
        self._released = 0

    def give(self, node: Node) -> Array:
        k = self._position[node]
        # a ufunc may write over an argument that nobody reads again; other kernels read their arguments twice
        self._release(k if isinstance(node.op.kernel, np.ufunc) else k - 1)
        pool = self._free.get(node.shape)
        buffer = self._held[node] = pool.pop() if pool else np.empty(node.shape)
        return buffer

    def _release(self, upto: int) -> None:
        while self._released <= upto:
            for node in self._ends.get(self._released, ()):
                buffer = self._held.pop(node, None)
                if buffer is not None:
                    self._free.setdefault(buffer.shape, []).append(buffer)
            self._released += 1


def _kernel(node: Node, buffers: _Buffers) -> Callable[..., Any]:
    if isinstance(node.op, VIEWS):
        kernel: Callable[..., Any] = node.op.kernel
        return kernel
    if node.shape:
        return functools.partial(node.op.kernel, out=buffers.give(node))
    if isinstance(node.op, Op) and node.op.scalar is not None:
        return node.op.scalar
    return node.op.kernel  # type: ignore[no-any-return]  # operations of all kinds


def evaluate(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """The outputs, node by node and without buffers; elementwise graphs also take arrays for scalar inputs."""
    values = every_value(graph, inputs)
    return [values[node] for node in graph.outputs]


def every_value(graph: Graph, inputs: Sequence[Any]) -> dict[Node, Any]:
    """The value of every node."""
    values: dict[Node, Any] = dict(zip(graph.inputs, inputs, strict=True))
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if isinstance(node.op, Constant):
                values[node] = node.op.value
            elif not isinstance(node.op, Input):
                value = node.op.kernel(*(values[arg] for arg in node.args))
                # sums follow the order in memory: C order, as in the buffers of a Plan
                values[node] = (
                    value if np.ndim(value) == 0 or isinstance(node.op, VIEWS) else np.ascontiguousarray(value)
                )
    return values


def first_nonfinite(graph: Graph, inputs: Sequence[Any]) -> tuple[Node, Any, tuple[Any, ...]] | None:
    """The first operation of finite arguments whose result is not finite: (node, result, arguments), or None."""
    values = every_value(graph, inputs)
    for node in graph.nodes:
        args = tuple(values[arg] for arg in node.args)
        if args and not np.isfinite(values[node]).all() and all(np.isfinite(arg).all() for arg in args):
            return node, values[node], args
    return None


def overflowed(graph: Graph, inputs: Sequence[Any]) -> bool:
    """Whether the first non-finite value is a number too large, rather than a pole or a point outside a domain."""
    found = first_nonfinite(graph, inputs)
    if found is None or np.isnan(found[1]).any():
        return False
    node, result, args = found
    if node.op is ops.div:
        return not np.any(np.isinf(result) & (np.asarray(args[1]) == 0.0))
    if node.op is ops.pow_:
        return not np.any(np.isinf(result) & (np.asarray(args[0]) == 0.0))
    return node.op.overflows if isinstance(node.op, Op) else True
