"""Reverse and forward mode, graph to graph, and the rule both share with eager Tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optcli.autograd.graph import Builder, Graph, Node
from optcli.autograd.ops import Op, Operation, add, chain
from optcli.autograd.structural import Scatter, Structural, expand, shape_of, sum_to


def shared_partials(op: Operation, y: Any, args: tuple[Any, ...]) -> Sequence[Any] | None:
    """All partials of an operation that states them together, such as Max; None for any other."""
    return op.many(y, *args) if isinstance(op, Op) and op.many is not None else None


def vjp(
    op: Operation, i: int, cotangent: Any, y: Any, args: tuple[Any, ...], shared: Sequence[Any] | None = None
) -> Any:
    """The cotangent that argument i of y = op(*args) receives, or None where the derivative is none.

    Serves arrays, Tensors and nodes alike; `shared` are the partials where they are known already. A cotangent may have
    fewer entries than its value: missing axes and axes of length 1 stand for equal entries.
    """
    if isinstance(op, Structural):
        return op.vjp(i, expand(cotangent, shape_of(y)), y, args)
    assert isinstance(op, Op)
    partial = op.partial(i, y, args) if shared is None else shared[i]
    if partial is None or (type(partial) is float and partial == 0.0):
        return None
    part = cotangent if type(partial) is float and partial == 1.0 else chain(cotangent, partial)
    return sum_to(part, shape_of(y), shape_of(args[i]))


def backward(graph: Graph, output: Node, cotangent: Node, wrt: Sequence[Node]) -> list[Node]:
    """Cotangents of `wrt`, each in its full shape, given that of `output`."""
    builder = graph.builder
    active = {node.number for node in wrt}
    for node in graph.nodes:
        if any(arg.number in active for arg in node.args):
            active.add(node.number)
    received: dict[int, list[Node]] = {output.number: [cotangent]}
    totals: dict[int, Node] = {}
    for node in reversed(graph.nodes):
        parts = received.pop(node.number, None)
        if parts is None or node.number not in active:
            continue
        total = totals[node.number] = _combine(builder, parts)
        shared = shared_partials(node.op, node, node.args)
        for i, arg in enumerate(node.args):
            if arg.number in active:
                part = vjp(node.op, i, total, node, node.args, shared)
                if part is not None:
                    part = part if isinstance(part, Node) else builder.constant(part)
                    if not _is_zero(part):
                        received.setdefault(arg.number, []).append(part)
    zero = builder.constant(0.0)
    return [expand(totals.get(node.number, zero), node.shape) for node in wrt]


def gradient(graph: Graph) -> Graph:
    """The graph of (value, gradient with respect to each input) of a graph with one scalar output."""
    value = graph.outputs[0]
    parts = backward(graph, value, graph.builder.constant(1.0), graph.inputs)
    return Graph.of(graph.inputs, (value, *parts))


def jvp(graph: Graph, tangents: Sequence[Node]) -> list[Node]:
    """Tangents of the outputs, given one for each input (forward mode)."""
    builder = graph.builder
    zero = builder.constant(0.0)
    known: dict[int, Any] = {node.number: tangent for node, tangent in zip(graph.inputs, tangents, strict=True)}
    for node in graph.nodes:
        moving = [known.get(arg.number) for arg in node.args]
        if all(tangent is None for tangent in moving):
            continue
        tangent = _push(node, moving)
        if tangent is not None and not _is_zero(tangent):
            known[node.number] = tangent
    return [expand(known.get(node.number, zero), node.shape) for node in graph.outputs]


def _push(node: Node, moving: Sequence[Any]) -> Any:
    if isinstance(node.op, Structural):
        full = [None if t is None else expand(t, arg.shape) for t, arg in zip(moving, node.args, strict=True)]
        return node.op.jvp(full, node, node.args)
    total: Any = None
    shared = shared_partials(node.op, node, node.args)
    for i, tangent in enumerate(moving):
        if tangent is None:
            continue
        partial = node.op.partial(i, node, node.args) if shared is None else shared[i]
        if partial is not None:
            part = chain(tangent, partial)
            total = part if total is None else total + part
    return total


def jacobian_vector_product(graph: Graph) -> Graph:
    """The graph of J·v, an output for each output. Its inputs are those of `graph`, then one tangent for each."""
    count = len(graph.inputs)
    directions = [graph.builder.input(count + k, node.shape, f"v{k}") for k, node in enumerate(graph.inputs)]
    return Graph.of((*graph.inputs, *directions), jvp(graph, directions))


def hessian_vector_product(graph: Graph) -> Graph:
    """The graph of H·v: forward over reverse. Its inputs are those of `graph`, then one tangent for each."""
    return jacobian_vector_product(Graph.of(graph.inputs, gradient(graph).outputs[1:]))


def _is_zero(node: Any) -> bool:
    return isinstance(node, Node) and node.shape == () and node.value is not None and bool(node.value == 0.0)


def _combine(builder: Builder, parts: list[Node]) -> Node:
    """The sum of the cotangents; entries scattered into the same shape are added in one pass over one array."""
    if len(parts) == 1:
        return parts[0]
    scattered = [node for node in parts if isinstance(node.op, Scatter)]
    if len(scattered) > 1:
        places = tuple(p for node in scattered for p in node.op.places)
        values = tuple(arg for node in scattered for arg in node.args)
        merged = Scatter(places, scattered[0].shape)(*values)
        parts = [merged, *(node for node in parts if not isinstance(node.op, Scatter))]
    total = parts[0]
    for part in parts[1:]:
        total = builder.node(add, (total, part))
    return total
