"""The value of every part of a text at a point, so that what goes wrong can be shown where it stands in the text.

A graph merges, folds and reorders, and its nodes have no place in the text; so the syntax itself is evaluated, in plain
numpy and without SymPy. Inside Sum and Product every part is an array with one axis an index, outermost first, of
length 1 where it does not depend on that index; where bounds depend on outer indices the axis is as long as the longest
range, and a mask says what belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.autograd.ops import Op
from optcli.expr.functions import FUNCTIONS, WHOLE_VECTOR
from optcli.expr.resolve import ARITHMETIC, COMPARE, VALUES, Resolved
from optcli.expr.syntax import CONDITIONS, NONE, SyntaxNode

Array = NDArray[np.float64]
MOST_CELLS = 300_000  # entries of an array beyond which no values are kept: each part of the text may have one
OPERATORS: dict[str, Op] = {"neg": ops.neg, "+": ops.add, "-": ops.sub, "*": ops.mul, "/": ops.div, "**": ops.pow_}


class TooLongError(Exception):
    """A Sum has more terms than are kept."""


class Axis(NamedTuple):
    """The index of one Sum or Product: its values from `low` on, and which of them belong to each outer index."""

    name: str
    low: int
    length: int
    mask: Any  # bool, over the axes up to this one; None: all


class Tracer:
    """Evaluates the parts of a resolved text; one for many points."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.nodes = resolved.syntax.nodes
        self.needed = self._needed()
        self._slices = resolved.layout.slices()
        self._variables = {v.name: v for v in resolved.layout.variables}
        self.scopes: list[tuple[int, ...]] = [()] * len(self.nodes)  # the Sums around each node, outermost first
        self.axes: dict[int, Axis] = {}  # of each Sum and Product
        self._open = resolved.syntax.open_indices()
        self._enter()
        self.moving = self._moving()

    def op(self, node: SyntaxNode) -> Op | None:
        """The elementwise operation of a node, None for anything else."""
        if node.kind in OPERATORS:
            return OPERATORS[node.kind]
        return FUNCTIONS.get(node.value) if node.kind == "call" else None

    def text(self, k: int) -> str:
        """What is written there, blanks made one."""
        node = self.nodes[k]
        return " ".join(self.resolved.syntax.text[node.start : node.end].split())

    def place(self, k: int, cell: Sequence[int]) -> str:
        """`i = 3, j = 1`: the indices of a cell on which the node depends, empty outside of every Sum."""
        scope, around = self.scopes[k], self._around(self.scopes[k], self._open[k])
        axes = [(self.axes[outer], at) for outer, at in zip(scope, cell, strict=False) if outer in around]
        return ", ".join(f"{axis.name} = {axis.low + at}" for axis, at in axes)

    def gathered(self, k: int, adjoint: Any) -> Any:
        """An adjoint of node k, summed over the indices on which the node does not depend.

        Without this the adjoint of a Sum inside of another would have an entry for each pair of their terms.
        """
        scope = self.scopes[k]
        around = self._around(scope, self._open[k])
        others = tuple(d for d, outer in enumerate(scope) if outer not in around)
        return np.sum(adjoint, axis=others, keepdims=True) if others else adjoint

    def _needed(self) -> list[int]:
        """The nodes that the value is made of, in an order in which arguments come first."""
        wanted = bytearray(len(self.nodes))
        wanted[self.resolved.syntax.root] = 1
        for k in range(len(self.nodes) - 1, -1, -1):
            if wanted[k]:
                for arg in self.nodes[k].args:
                    wanted[arg] = 1
        return [k for k in range(len(self.nodes)) if wanted[k]]

    def _enter(self) -> None:
        """Find the Sums around each node and the range of each. Users come after what they use: walk from the end."""
        for k in reversed(self.needed):
            node, scope = self.nodes[k], self.scopes[k]
            if node.kind in ("sum", "product"):
                body, low, high = node.args
                for end in (low, high):
                    for part in self.resolved.syntax.below(end):
                        self.scopes[part] = scope
                self.scopes[body] = (*scope, k)
                self.axes[k] = self._axis(k, scope)
            elif node.kind != "use":  # a definition stands outside of every Sum
                for arg in node.args:
                    self.scopes[arg] = scope

    def _around(self, scope: tuple[int, ...], binders: frozenset[int]) -> set[int]:
        """The Sums of `scope` with these indices, and those on whose indices their bounds depend."""
        found = set()
        for outer in reversed(scope):
            if self.nodes[outer].value[1] in binders:
                found.add(outer)
                _, low, high = self.nodes[outer].args
                binders = binders | self._open[low] | self._open[high]
        return found

    def _axis(self, k: int, scope: tuple[int, ...]) -> Axis:
        """The axis of a Sum. Raises TooLongError where what is added has too many entries."""
        node = self.nodes[k]
        body, low, high = node.args
        first, last = (np.asarray(self._small(end)) for end in (low, high))
        begin = int(np.min(first, initial=2**62)) if first.size else 1
        stop = int(np.max(last, initial=-(2**62))) if last.size else 0
        count = max(0, stop - begin + 1)
        ragged = first.ndim > 0 or last.ndim > 0
        around = self._around((*scope, k), self._open[body] | ({node.value[1]} if ragged else NONE))
        lengths = (count if outer == k else self.axes[outer].length for outer in around)
        if math.prod(max(1, length) for length in lengths) > MOST_CELLS:
            raise TooLongError
        if not ragged:
            return Axis(node.value[0], begin, count, None)
        line = begin + np.arange(count)
        mask = (line >= np.expand_dims(first, -1)) & (line <= np.expand_dims(last, -1))
        return Axis(node.value[0], begin, count, mask)

    def _small(self, k: int) -> Any:
        """The value of a bound: index arithmetic only."""
        values: dict[int, Any] = {}
        for at in self.resolved.syntax.below(k):
            values[at] = self._value(at, self.nodes[at], [values[arg] for arg in self.nodes[at].args], None)
        return values[k]

    def _moving(self) -> bytearray:
        """Whether each node depends on a variable."""
        moving = bytearray(len(self.nodes))
        for k in self.needed:
            node = self.nodes[k]
            own = node.kind in ("name", "at") and node.value in self._variables
            moving[k] = own or any(moving[arg] for arg in node.args)
        return moving

    # ------------------------------------------------------------ values

    def values(self, x: Array) -> list[Any]:
        """The value of each node at the flat point x: a number, or an array over the indices around it."""
        values: list[Any] = [None] * len(self.nodes)
        with np.errstate(all="ignore"):
            for k in self.needed:
                node = self.nodes[k]
                values[k] = self._value(k, node, [values[arg] for arg in node.args], x)
        return values

    def _value(self, k: int, node: SyntaxNode, args: list[Any], x: Array | None) -> Any:
        kind = node.kind
        if kind == "number":
            return np.float64(node.value)
        if kind == "constant":
            return np.float64(VALUES[node.value])
        if kind == "truth":
            return np.float64(node.value)
        if kind == "use":
            return args[0]
        if kind == "name":
            return self._name(node.value, x)
        if kind == "bound":
            return self._index(k, node)
        if kind == "at":
            return self._entry(node, args, x)
        if kind in ("sum", "product"):
            return self._reduce(k, node, args[0])
        if kind == "compare":
            holds = [COMPARE[sign](args[i], args[i + 1]) for i, sign in enumerate(node.value)]
            return np.float64(1.0) * np.logical_and.reduce(np.broadcast_arrays(*holds))
        if kind in ARITHMETIC:
            return ARITHMETIC[kind](*args)
        if kind in ("pair", "binder"):
            return tuple(args)
        return self._call(node, args)

    def _name(self, name: str, x: Array | None) -> Any:
        if name in self.resolved.params:
            return np.float64(self.resolved.params[name])
        if name in self.resolved.data:
            return self.resolved.data[name]
        assert x is not None
        part = x[self._slices[name]]
        return part.reshape(self._variables[name].shape) if self._variables[name].shape else part[0]

    def _index(self, k: int, node: SyntaxNode) -> Any:
        scope = self.scopes[k]
        at = next(d for d, around in enumerate(scope) if self.nodes[around].value == node.value)
        axis = self.axes[scope[at]]
        line = axis.low + np.arange(axis.length, dtype=np.float64)
        return line.reshape([-1 if d == at else 1 for d in range(len(scope))])

    def _entry(self, node: SyntaxNode, args: list[Any], x: Array | None) -> Any:
        source = self._name(node.value, x)
        places = []
        for arg, first, count in zip(args, self.resolved.first[node.value], np.shape(source), strict=True):
            place = np.asarray(arg, dtype=np.int64) - first
            places.append(np.clip(place, 0, count - 1))  # what a mask leaves out may lie outside
        return source[tuple(np.broadcast_arrays(*places))]

    def _reduce(self, k: int, node: SyntaxNode, body: Any) -> Any:
        axis, add, body = self.axes[k], node.kind == "sum", self._full(k, body)
        if axis.length > body.shape[-1]:  # equal terms
            return body[..., 0] * axis.length if add else body[..., 0] ** axis.length
        body = body[..., : axis.length]
        return np.sum(body, axis=-1) if add else np.prod(body, axis=-1)

    def _full(self, k: int, body: Any) -> Any:
        """What Sum or Product k adds or multiplies, neutral outside of its range, with one axis an index."""
        node, mask = self.nodes[k], self.axes[k].mask
        if np.ndim(body) == 0:
            body = np.reshape(body, (1,) * (len(self.scopes[k]) + 1))
        return body if mask is None else np.where(mask, body, 0.0 if node.kind == "sum" else 1.0)

    def other_factors(self, k: int, body: Any) -> tuple[Any, Any]:
        """What stands before and behind each factor of Product k: its slope, without a division by factors of 0."""
        axis, body = self.axes[k], self._full(k, body)
        if axis.length != body.shape[-1]:  # equal factors
            return body ** max(0, axis.length - 1), np.ones_like(body)
        one = np.ones_like(body[..., :1])
        before = np.cumprod(np.concatenate([one, body], axis=-1), axis=-1)[..., :-1]
        behind = np.cumprod(np.concatenate([one, body[..., ::-1]], axis=-1), axis=-1)[..., :-1]
        return before, behind[..., ::-1]

    def _call(self, node: SyntaxNode, args: list[Any]) -> Any:
        if node.value == "Piecewise":
            choice: Any = np.float64(math.nan)
            for value, condition in reversed(args):
                choice = np.where(np.not_equal(condition, 0.0), value, choice)
            return choice
        if node.value in WHOLE_VECTOR:
            if node.value == "sum":
                return np.sum(args[0])
            return np.linalg.norm(np.ravel(args[0])) if node.value == "norm" else np.sum(args[0] * args[1])
        op = FUNCTIONS[node.value]
        if op is ops.log and len(args) == 2:
            return np.log(args[0]) / np.log(args[1])
        return op.kernel(*args)


def is_condition(node: SyntaxNode) -> bool:
    return node.kind in CONDITIONS
