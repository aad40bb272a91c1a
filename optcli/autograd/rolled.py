"""Terms of one form become one array: a long typed sum costs what its form costs, not what its terms do.

In a sum of many terms, scalar nodes that are the same tree of operations over other variables and numbers are a form;
its nodes are computed together, entry by entry of one array, from arrays of what they read. The terms are still added
one after the other, in the order typed, so the value has the digits of the sum as it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.autograd.graph import Constant, Graph, Input, Node
from optcli.autograd.ops import Op
from optcli.autograd.structural import Fold, Gather, Places, Scatter, Strided, Take, expand, reshape

LEAST_TERMS = 64  # of a sum, that have a form
LEAST_LANES = 32  # nodes that make a form
CONSTANT = -1  # the form of a constant whose value may differ


class Form(NamedTuple):
    """What nodes that may be computed together have in common.

    Forms are numbered as they are met; `args` are those of the arguments, a constant's value where it matters. A node
    without a form of its own is a leaf: what it depends on has a lower level, so that no form ever needs itself.
    """

    op: Op | str
    args: tuple[Any, ...]


@dataclass(eq=False)
class Class:
    """The nodes of one form; `places` tells where each of them stands in their array."""

    nodes: list[Node] = field(default_factory=list)
    places: dict[Node, int] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        self.places[node] = len(self.nodes)
        self.nodes.append(node)


def rolled(graph: Graph) -> Graph:
    """The graph with its long sums of terms of one form rolled up; itself where there are none.

    Only for graphs of one scalar output. Values are those of `graph` but for the last digits of functions such as sin,
    of which engines have other versions for arrays.
    """
    return _Roller(graph).run()


class _Roller:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = graph.builder
        self.sums = _long_sums(graph)  # root → its terms with their signs
        self.forms: dict[Form, int] = {}
        self.form: dict[Node, int] = {}
        self.level: dict[Node, int] = {}
        self.leaves: set[Node] = set()  # nodes that are alike only in their level: never computed together
        self.classes: dict[int, Class] = {}
        self.made: dict[Node, Node] = {}  # scalar nodes of the new graph
        self.arrays: dict[int, Node] = {}  # form → the array of its class
        self.stacks: dict[tuple[Node, ...], tuple[Node, dict[Node, int]]] = {}

    def run(self) -> Graph:
        if not self.sums:
            return self.graph
        self._find_forms()
        self._choose_sums()
        if not self.sums:
            return self.graph
        self._choose_classes()
        (value,) = self.graph.outputs
        self._make(value)
        return Graph.of(self.graph.inputs, [self.made[value]])

    # ------------------------------------------------------------ what has one form

    def _find_forms(self) -> None:
        inside = {node for root in self.sums for node in _spine(root, len(self.sums[root]))}
        for node in self.graph.nodes:
            level = max([self.level[arg] for arg in node.args], default=0)
            leaf = node in self.sums or not isinstance(node.op, Op)
            self.level[node] = level = level + 1 if leaf and node.args else level
            if node in inside or node.shape != () or isinstance(node.op, Constant):
                continue
            if leaf and isinstance(node.op, Take) and isinstance(node.op.places, Strided):
                (source,) = node.args
                form = Form("take", (source,))
            elif leaf:
                self.leaves.add(node)
                form = Form("leaf", (level,))
            else:
                form = Form(node.op, tuple([self._form_of(node.op, arg) for arg in node.args]))
            self.form[node] = self.forms.setdefault(form, len(self.forms))

    def _form_of(self, op: Any, arg: Node) -> Any:
        if arg.value is None:
            return self.form[arg]
        # engines and derivatives treat some exponents in their own way
        return (CONSTANT, arg) if op is ops.pow_ else CONSTANT

    def _choose_sums(self) -> None:
        """Keep the sums of which enough terms have a form."""
        for root, terms in list(self.sums.items()):
            counts = Counter(self.form.get(term) for _, term in terms if isinstance(term.op, Op))
            if sum(count for count in counts.values() if count >= LEAST_LANES) < LEAST_TERMS:
                del self.sums[root]

    def _choose_classes(self) -> None:
        """The forms with enough nodes among those that the sums need."""
        needed: set[Node] = set()
        stack = [term for terms in self.sums.values() for _, term in terms]
        while stack:
            node = stack.pop()
            if node not in needed and isinstance(node.op, Op) and node in self.form and node not in self.leaves:
                needed.add(node)
                stack.extend(node.args)
        counts = Counter(self.form[node] for node in needed)
        for node in self.graph.nodes:
            if node in needed and counts[self.form[node]] >= LEAST_LANES:
                self.classes.setdefault(self.form[node], Class()).add(node)

    # ------------------------------------------------------------ the new graph

    def _make(self, value: Node) -> None:
        """Make what `value` needs, arguments first: single nodes, and whole classes at once."""
        stack: list[Node | int] = [value]
        while stack:
            unit = stack[-1]
            if unit in self.made or unit in self.arrays:
                stack.pop()
                continue
            needs = [need for need in self._needs(unit) if need not in self.made and need not in self.arrays]
            if needs:
                stack.extend(needs)
                continue
            stack.pop()
            if isinstance(unit, int):
                self.arrays[unit] = self._array(self.classes[unit].nodes)
            else:
                self.made[unit] = self._node(unit)

    def _unit(self, node: Node) -> Node | int:
        """What brings the value of a node: its class, or the node itself."""
        form = self.form.get(node, CONSTANT)
        return form if form in self.classes and node in self.classes[form].places else node

    def _needs(self, unit: Node | int) -> Iterable[Node | int]:
        if isinstance(unit, int):
            return {self._unit(arg): None for node in self.classes[unit].nodes for arg in node.args}
        if unit in self.sums:
            return {self._unit(term): None for _, term in self.sums[unit]}
        own = self._unit(unit)
        return [own] if own is not unit else [self._unit(arg) for arg in unit.args]

    def _node(self, node: Node) -> Node:
        """A single node of the new graph."""
        if node in self.sums:
            return self._sum(self.sums[node])
        if isinstance(node.op, Input | Constant):
            return node
        return self.builder.node(node.op, [self._scalar(arg) for arg in node.args])

    def _scalar(self, node: Node) -> Node:
        unit = self._unit(node)
        if isinstance(unit, int):
            array = self.arrays[unit]
            return self.builder.node(Take(Strided(self.classes[unit].places[node], (), ()), array.shape), [array])
        return node if isinstance(node.op, Input | Constant) else self.made[node]

    def _array(self, nodes: Sequence[Node]) -> Node:
        """One elementwise operation for all of them."""
        op = nodes[0].op
        columns = zip(*[node.args for node in nodes], strict=True)
        return self.builder.node(op, [self._column(column) for column in columns])

    def _column(self, nodes: Sequence[Node]) -> Node:
        """An array of the values of nodes, all of one form or all constants; one scalar where they are one node."""
        first = nodes[0]
        if all(node is first for node in nodes):
            return self._scalar(first)
        if first.value is not None:
            return self.builder.constant(np.array([node.value for node in nodes]))
        unit = self._unit(first)
        if isinstance(unit, int):
            return _taken(self.arrays[unit], [self.classes[unit].places[node] for node in nodes])
        if isinstance(first.op, Take) and isinstance(first.op.places, Strided):
            (source,) = first.args
            return _taken(self.made[source], [node.op.places.offset for node in nodes])
        array, places = self._stack(nodes)
        return _taken(array, [places[node] for node in nodes])

    def _stack(self, nodes: Sequence[Node]) -> tuple[Node, dict[Node, int]]:
        """A vector that holds these scalars, and where. Variables are one vector for all that read some of them."""
        if all(isinstance(node.op, Input) for node in nodes):
            scalars = tuple(node for node in self.graph.inputs if node.shape == ())
        else:
            scalars = tuple(sorted(set(nodes), key=lambda node: node.number))
        if scalars not in self.stacks:
            places = tuple([Strided(k, (), ()) for k in range(len(scalars))])
            values = [self._scalar(node) for node in scalars]
            array = self.builder.node(Scatter(places, (len(scalars),)), values)
            self.stacks[scalars] = array, {node: k for k, node in enumerate(scalars)}
        return self.stacks[scalars]

    def _sum(self, terms: Sequence[tuple[bool, Node]]) -> Node:
        """The terms side by side in their order, then added up from the first to the last."""
        groups: dict[Any, list[int]] = {}
        for k, (minus, term) in enumerate(terms):
            unit = self._unit(term)
            groups.setdefault((minus, unit if isinstance(unit, int) else term), []).append(k)
        places: list[Places] = []
        values: list[Node] = []
        for (minus, unit), numbers in groups.items():
            value = self._column([terms[k][1] for k in numbers]) if isinstance(unit, int) else self._scalar(unit)
            value = self.builder.node(ops.neg, [value]) if minus else value
            where = _places(numbers)
            if not isinstance(unit, int) and len(numbers) == 1:
                where = Strided(numbers[0], (), ())
            else:
                value = expand(value, (len(numbers),))
            places.append(where)
            values.append(value)
        whole = len(values) == 1 and values[0].shape == (len(terms),)
        side_by_side = values[0] if whole else self.builder.node(Scatter(tuple(places), (len(terms),)), values)
        return self.builder.node(Fold(len(terms)), [side_by_side])


def _long_sums(graph: Graph) -> dict[Node, list[tuple[bool, Node]]]:
    """Sums of at least LEAST_TERMS terms, by their roots: (whether it is subtracted, term), in the order typed."""
    user: dict[Node, Node | None] = dict.fromkeys(graph.outputs)  # None: of several, or an output
    for node in graph.nodes:
        for arg in node.args:
            user[arg] = None if arg in user else node

    def goes_on(node: Node) -> bool:
        above = user[node]
        return above is not None and _adds(above) and above.args[0] is node

    sums: dict[Node, list[tuple[bool, Node]]] = {}
    for root in graph.nodes:
        if not _adds(root) or goes_on(root):
            continue
        terms, node = [(root.op is ops.sub, root.args[1])], root.args[0]
        while _adds(node) and goes_on(node):
            terms.append((node.op is ops.sub, node.args[1]))
            node = node.args[0]
        terms.append((False, node))
        if len(terms) >= LEAST_TERMS:
            sums[root] = terms[::-1]
    return sums


def _adds(node: Node) -> bool:
    return (node.op is ops.add or node.op is ops.sub) and node.shape == ()


def _spine(root: Node, terms: int) -> Iterable[Node]:
    """The additions of a sum but for the last, its root."""
    node = root
    for _ in range(terms - 2):
        node = node.args[0]
        yield node


def _places(numbers: Sequence[int]) -> Places:
    """Places of a vector, by a stride where one says it."""
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    if all(b - a == step for a, b in pairwise(numbers)):
        return Strided(numbers[0], (step,), (len(numbers),))
    index: NDArray[np.int64] = np.array(numbers, dtype=np.int64)
    return Gather(index)


def _taken(array: Node, numbers: Sequence[int]) -> Node:
    places = _places(numbers)
    flat = reshape(array, (int(np.prod(array.shape)),))
    taken: Node = flat.builder.node(Take(places, flat.shape), [flat])
    return taken
