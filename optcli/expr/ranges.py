"""Which entries of its vectors a text reads: scopes of Sum and Product, indices, ranges."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from optcli.errors import ExpressionError
from optcli.expr.functions import FUNCTIONS
from optcli.expr.indices import Index, IndexingError, Scope, number
from optcli.expr.syntax import Syntax, SyntaxNode
from optcli.expr.uses import Uses

INDEX_ARITHMETIC: dict[str, Callable[..., Index]] = {
    "neg": operator.neg,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}


class Ranges:
    """The ranges of all vectors of a text. Raises ExpressionError at indices and bounds that cannot be used."""

    def __init__(self, syntax: Syntax, params: Mapping[str, float], data: Mapping[str, NDArray[np.float64]]) -> None:
        self.syntax = syntax
        self.nodes = syntax.nodes
        self.params = params
        self.data = data
        self.places: dict[str, int] = {}  # the first node of each name, for errors
        for k, node in enumerate(self.nodes):
            if node.kind in ("at", "name"):
                self.places.setdefault(node.value, k)
        self.uses = self._uses()

    def _uses(self) -> dict[str, Uses]:
        """The places at which each vector is read. Users come after what they use: walk from the end."""
        uses: dict[str, Uses] = {}
        root = Scope()
        inner: dict[int, Scope] = {}
        varies = self.syntax.open_indices()
        for k in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[k]
            scope = inner.pop(k, root)
            if node.kind in ("sum", "product"):
                body, low, high = node.args
                ends = self._index(low, scope), self._index(high, scope)
                try:
                    inner[body] = scope.enter(node.value[1], *ends)[0]
                    inner[body].limit(varies[body])
                except IndexingError as fault:
                    self._fail(fault.message, low if "whole" in fault.message else k, fault.remedy)
                continue
            if node.kind == "at":
                indices = tuple(self._index(arg, scope, whole=True) for arg in node.args)
                uses.setdefault(node.value, Uses(len(indices))).add(indices)
            elif scope is not root and node.kind != "use":  # a definition stands outside of every Sum
                for arg in node.args:
                    inner[arg] = scope
        return uses

    def _index(self, k: int, scope: Scope, whole: bool = False) -> Index:
        """The node as an index value."""
        values: dict[int, Index] = {}
        for at in self.syntax.below(k):
            node = self.nodes[at]
            try:
                values[at] = self._index_part(at, node, [values[arg] for arg in node.args], scope)
            except IndexingError as fault:
                self._fail(fault.message, at, fault.remedy)
        try:
            return values[k].whole() if whole else values[k]
        except IndexingError as fault:
            self._fail(fault.message, k, fault.remedy)

    def _index_part(self, k: int, node: SyntaxNode, args: list[Index], scope: Scope) -> Index:
        if node.kind == "number":
            return number(node.value)
        if node.kind == "use":
            return args[0]
        if node.kind == "bound":
            return scope.indices[node.value[1]]
        if node.kind == "name":
            if node.value in self.params:
                return number(self.params[node.value])
            self._fail(
                f"{node.value} has no value, and an index or a bound needs one",
                k,
                f"Give --param {node.value}=…",
            )
        if node.kind in INDEX_ARITHMETIC:
            return INDEX_ARITHMETIC[node.kind](*args)
        op = FUNCTIONS.get(node.value) if node.kind == "call" else None
        if op is not None and args and not any(arg.terms for arg in args):
            with np.errstate(all="ignore"):
                return number(float(op.kernel(*(np.float64(float(arg.constant)) for arg in args))))
        raise IndexingError(
            "this is no index",
            "An index is a sum of multiples of whole numbers, parameters and indices of Sum: x[2*i - 1].",
        )

    def variable(self, name: str) -> list[tuple[int, int]]:
        """(smallest, largest) index of each dimension of a variable."""
        uses = self.uses.get(name)
        place = self.places[name]
        if uses is None:
            self._fail(f"the length of {name} is not known", place, f"Use its entries by index: {name}[1].")
        try:
            return uses.ranges()
        except IndexingError as fault:
            self._fail(f"{name}: {fault.message}", place, fault.remedy)

    def data_first(self, name: str) -> tuple[int, ...]:
        """Data are read from index 1, or from 0 where the text uses index 0."""
        shape, uses = self.data[name].shape, self.uses.get(name)
        if uses is None or not uses.read:
            return (1,) * len(shape)
        ends = [[indices[d].bounds() for indices in uses.read] for d in range(uses.dimensions)]
        first = 0 if any(low <= 0 for spans in ends for low, _ in spans) else 1
        for d, spans in enumerate(ends):
            low, high = min(span[0] for span in spans), max(span[1] for span in spans)
            if low < 0 or high > first + shape[d] - 1:
                place = self.places[name]
                self._fail(
                    f"{name} has indices {first} to {first + shape[d] - 1} and is read at {low if low < 0 else high}",
                    place,
                )
        return (first,) * len(shape)

    def _fail(self, message: str, at: int | SyntaxNode, remedy: str = "") -> NoReturn:
        node = self.nodes[at] if isinstance(at, int) else at
        raise ExpressionError(message, self.syntax.text, (node.start, node.end), remedy)
