"""A graph as plain data: what was asked of a Builder, in order, to be asked again with numbers in its open places.

A `Recorder` makes every node that it is asked for; nothing is folded and nothing is cut short. `stored` turns its graph
into data, and `filled` asks a Builder for the same nodes in the same order, with values for the inputs that are no
variables. As the Builder alone looks at values, the graph is the one that it would have made in the first place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd.graph import Builder, Constant, Graph, Input, Node
from optcli.autograd.ops import Op, Operation, Shape
from optcli.autograd.products import Contract, Norm
from optcli.autograd.structural import Broadcast, Reshape, Scatter, Structural, Sum, Take

Array = NDArray[np.float64]
INPUT, CONSTANT = -1, -2  # what stands for an operation in the row of an input, of a constant


class DamagedError(ValueError):
    """Data that are no graph, or not the graph that is wanted."""


class Recorder(Builder):
    """Makes nodes exactly as it is asked to."""

    def _shortcut(self, op: Operation, args: tuple[Node, ...]) -> Node | None:
        return None


@dataclass(frozen=True)
class Stored:
    """A graph of one scalar value as data.

    Each of `rows` is a node: (number of its operation, its arguments as numbers of earlier rows), (INPUT, its number)
    or (CONSTANT, number of its value). The value of the graph is that of the last row.
    """

    operations: tuple[Operation, ...]
    constants: tuple[Any, ...]  # float64 scalars and arrays
    rows: Sequence[Sequence[int]]


def stored(graph: Graph) -> Stored:
    """The graph of one value as data."""
    operations: dict[Operation, int] = {}
    constants: list[Any] = []
    rows: list[tuple[int, ...]] = []
    places: dict[Node, int] = {}
    for node in graph.nodes:
        if type(node.op) is Input:
            row: tuple[int, ...] = (INPUT, node.op.number)
        elif type(node.op) is Constant:
            row = (CONSTANT, len(constants))
            constants.append(node.op.value)
        else:
            row = (operations.setdefault(node.op, len(operations)), *[places[arg] for arg in node.args])
        places[node] = len(rows)
        rows.append(row)
    assert graph.outputs == graph.nodes[-1:], "the value comes last"
    return Stored(tuple(operations), tuple(constants), rows)


def filled(kept: Stored, variables: Sequence[tuple[str, Shape]], given: Sequence[float | Array]) -> Graph:
    """The graph of the variables (label, shape), with `given` in place of the inputs that follow them.

    Raises DamagedError where shapes do not fit.
    """
    builder = Builder()
    inputs: list[Any] = [builder.input(k, shape, label) for k, (label, shape) in enumerate(variables)]
    count = len(inputs)
    # arrays come at once, numbers where they are used, as the lowering has them
    inputs += [value if np.ndim(value) == 0 else builder.constant(value) for value in given]
    made: list[Node] = []
    try:
        for number, *args in kept.rows:
            if number >= 0:
                op = kept.operations[number]
                nodes = [made[k] for k in args]
                if type(op) is not Op:
                    _check_shapes(op, [node.shape for node in nodes])
                made.append(builder.node(op, nodes))
            elif number == CONSTANT:
                made.append(builder.constant(kept.constants[args[0]]))
            else:
                node = inputs[args[0]]
                made.append(node if type(node) is Node else builder.constant(node))
    except (ValueError, IndexError, KeyError) as error:
        raise DamagedError(str(error)) from None
    if not made or made[-1].shape != ():
        raise DamagedError("the graph has no value")
    return Graph.of(inputs[:count], made[-1:])


def _check_shapes(op: Any, shapes: Sequence[Shape]) -> None:
    """Whether a structural operation can be applied to arguments of these shapes. Raises DamagedError."""
    assert isinstance(op, Structural)
    fits = False
    if isinstance(op, Take | Reshape | Sum | Norm):
        fits = list(shapes) == [op.source]
    elif isinstance(op, Scatter):
        fits = list(shapes) == [places.shape for places in op.places]
    elif isinstance(op, Broadcast):
        fits = len(shapes) == 1 and np.broadcast_shapes(shapes[0], op.shape) == op.shape
    elif isinstance(op, Contract):
        fits = len(shapes) == 2 and list(map(len, shapes)) == [len(op.left), len(op.right)]
        fits = fits and _agree([*zip(op.left, shapes[0], strict=True), *zip(op.right, shapes[1], strict=True)])
    if not fits:
        raise DamagedError(f"{op.name} does not take {shapes}")


def _agree(sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether each label has one size."""
    return len(set(sizes)) == len({label for label, _ in sizes})
