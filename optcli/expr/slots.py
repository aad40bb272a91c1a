"""What may change in a text without changing its graph's shape: numbers that are only factors and terms.

Such numbers, and such parameters, are slots: the graph that is kept has open places for them. Never slots are 0 and 1,
exponents, indices and bounds, and whatever stands in a part without variables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from optcli import __version__
from optcli.expr.resolve import Resolved
from optcli.expr.syntax import SyntaxNode

FORMAT = 1  # of the graphs that are kept; another one is another key
TERMS = frozenset("+-*/")
SIGNS = frozenset(("neg", "use"))
FIXING = frozenset(("**", "sum", "product"))  # their arguments after the first are exponents or bounds


class Slots(NamedTuple):
    """The slots of a text: `numbers` (node of the syntax → the name of its place) and `params`, with their values."""

    numbers: Mapping[int, str]
    params: tuple[str, ...]
    values: tuple[float, ...]  # of the numbers, then of the parameters

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.numbers.values(), *self.params)


def find(resolved: Resolved) -> Slots:
    """The slots of a text and its parameters."""
    nodes, params = resolved.syntax.nodes, resolved.params
    free = _Places(resolved).free()
    numbers: dict[int, str] = {}
    used: dict[str, bool] = dict.fromkeys(params, True)
    for k, node in enumerate(nodes):
        if node.kind == "number" and free[k] and _varies(node.value):
            numbers[k] = f"#{k}"  # no name of the language has such a sign
        elif node.kind == "name" and node.value in used:
            used[node.value] &= bool(free[k])
    names = tuple(sorted(name for name, value in params.items() if used[name] and _varies(value)))
    values = (*(float(nodes[k].value) for k in numbers), *(float(params[name]) for name in names))
    return Slots(numbers, names, values)


def key(resolved: Resolved, slots: Slots) -> str:
    """What the graph is kept under: texts with the same key have the same graph but for the numbers in its slots."""
    holes = set(slots.params)
    fixed = [f"{name} {float(value).hex()}" for name, value in sorted(resolved.params.items()) if name not in holes]
    arrays = [f"{name} {array.shape}" for name, array in resolved.data.items()]
    parts = [f"{FORMAT} {__version__}", *fixed, "slots", *slots.params, "data", *arrays, "text"]
    parts += [_written(k in slots.numbers, node) for k, node in enumerate(resolved.syntax.nodes)]
    parts.append(f"root {resolved.syntax.root}")
    return sha256("\n".join(parts).encode()).hexdigest()


def _varies(value: float) -> bool:
    return value not in (0.0, 1.0) and math.isfinite(value)


def _written(hole: bool, node: SyntaxNode) -> str:
    """A node without its place in the text; names hold no blanks and no new lines."""
    return "slot" if hole else f"{node.kind} {node.value} {node.args}"


class _Places:
    """Where in a text the numbers stand. Parts come before what uses them, so that one pass each way is enough."""

    def __init__(self, resolved: Resolved) -> None:
        self.nodes = resolved.syntax.nodes
        self.root = resolved.syntax.root
        self.params = resolved.params

    def free(self) -> bytearray:
        """For each node whether it is a term or factor, perhaps behind signs, and nothing else."""
        nodes, constant = self.nodes, self._constant()
        free = bytearray(len(nodes))  # whether some use was met, all of which allow a slot
        barred = bytearray(len(nodes))  # whether some use forbids it
        fixed = bytearray(len(nodes))  # whether it stands in an exponent, an index or a bound
        reached = bytearray(len(nodes))
        reached[self.root] = barred[self.root] = 1
        for k in range(len(nodes) - 1, -1, -1):
            if not reached[k]:
                continue
            kind, _, args, *_ = nodes[k]
            passes = (kind in TERMS and not constant[k]) or (kind in SIGNS and free[k] and not barred[k])
            inside = fixed[k] or kind == "at"
            for arg in args:
                reached[arg] = 1
                if inside:
                    fixed[arg] = 1
                if passes and not fixed[arg]:
                    free[arg] = 1
                else:
                    barred[arg] = 1
                inside = inside or kind in FIXING
        for k, bar in enumerate(barred):
            free[k] &= not bar
        return free

    def _constant(self) -> bytearray:
        """For each node whether it is made of numbers and parameters alone."""
        constant = bytearray(len(self.nodes))
        for k, node in enumerate(self.nodes):
            if node.args:
                for arg in node.args:
                    if not constant[arg]:
                        break
                else:
                    constant[k] = 1
            else:
                constant[k] = node.kind in ("number", "constant", "truth") or self._is_param(node)
        return constant

    def _is_param(self, node: SyntaxNode) -> Any:
        return node.kind == "name" and node.value in self.params
