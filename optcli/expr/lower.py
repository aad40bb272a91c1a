"""SymPy → Graph: the one lowering, for texts and for Python users' expressions.

Inside a Sum every value is a whole array over the open axes it depends on. Sums are never expanded; products of factors
over different axes become contractions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from optcli.autograd import ops, structural
from optcli.autograd.graph import Builder, Graph, Node
from optcli.autograd.ops import Shape
from optcli.autograd.products import Contract, Norm
from optcli.autograd.stored import Recorder
from optcli.autograd.structural import Gather, Places, Strided, Take
from optcli.errors import ExpressionError
from optcli.expr import typed
from optcli.expr.arrays import Arrays, Value, in_order
from optcli.expr.indices import Axis, Index, IndexingError, Ragged, Scope, number
from optcli.expr.meaning import ELEMENTWISE, FOLDED, REDUCTIONS, SUMS, SWAPPED, index_value, triples
from optcli.layout import Layout

Array = NDArray[np.float64]


def lower(
    expression: Any,
    layout: Layout,
    params: Mapping[str, float],
    data: Mapping[str, Array],
    first: Mapping[str, tuple[int, ...]],
) -> Graph:
    """The graph of one scalar value; its inputs are the variables of `layout` in their order.

    `first` holds the lowest index of each dimension of every vector. Raises ExpressionError for SymPy objects that
    have no meaning in the language.
    """
    lowering = _Lowering(Builder(), layout, params, first)
    lowering.named |= {name: lowering.builder.constant(array) for name, array in data.items()}
    return lowering.run(expression)


def lower_open(
    expression: Any,
    layout: Layout,
    params: Mapping[str, float],
    open_places: Mapping[str, Shape],
    first: Mapping[str, tuple[int, ...]],
) -> Graph:
    """The same as a record (`autograd.stored`), where each open place is an input that follows the variables."""
    lowering = _Lowering(Recorder(), layout, params, first)
    for k, (name, shape) in enumerate(open_places.items(), len(layout.variables)):
        if shape:
            lowering.named[name] = lowering.builder.input(k, shape, name)
        else:
            lowering.open[name] = k
    return lowering.run(expression)


class _Lowering:
    def __init__(
        self,
        builder: Builder,
        layout: Layout,
        params: Mapping[str, float],
        first: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.builder = builder
        self.arrays = Arrays(self.builder)
        self.params = params
        self.first = first
        self.inputs = [self.builder.input(k, v.shape, v.name) for k, v in enumerate(layout.variables)]
        self.named = {v.name: node for v, node in zip(layout.variables, self.inputs, strict=True)}
        self.open: dict[str, int] = {}  # numbers that are not known yet, and which input each is
        self.scopes: dict[Any, tuple[Scope, list[tuple[Axis, Ragged | None]]]] = {}
        self.made: dict[tuple[int, int], Value] = {}
        self.root = Scope()

    def run(self, expression: Any) -> Graph:
        root = self.root
        stack = [(expression, root)]
        while stack:
            node, scope = stack[-1]
            key = (id(node), id(scope))
            if key in self.made:
                stack.pop()
                continue
            parts = self._parts(node, scope)
            missing = [part for part in parts if (id(part[0]), id(part[1])) not in self.made]
            if missing:
                stack.extend(reversed(missing))
                continue
            self.made[key] = self._make(node, scope, [self.made[id(part), id(inner)] for part, inner in parts])
            stack.pop()
        value = self.made[id(expression), id(root)]
        return Graph.of(self.inputs, [value.node])

    # ------------------------------------------------------------ what a node needs

    def _parts(self, node: Any, scope: Scope) -> list[tuple[Any, Scope]]:
        if isinstance(node, typed.Defined):
            return [(node.args[0], self.root)]
        if isinstance(node, REDUCTIONS):
            inner, _ = self._enter(node, scope)
            body = node.args[0]
            if isinstance(node, SUMS):
                return [(factor, inner) for _, factor in self._factors(body)]
            return [(body, inner)]
        if isinstance(node, sympy.Indexed | sympy.Symbol | typed.VectorSum | typed.Dot | typed.Norm):
            return []
        if isinstance(node, sympy.Mul):
            return [(factor, scope) for _, factor in self._flat(node)]
        if isinstance(node, sympy.Add):
            return [(term, scope) for _, term in self._terms(node)]
        if isinstance(node, sympy.Pow):
            if node.args[1] is sympy.S.Half or node.args[1] is sympy.S.NegativeOne:
                return [(node.args[0], scope)]
            return [(arg, scope) for arg in node.args]
        if isinstance(node, sympy.Piecewise):
            return [(arg, scope) for pair in node.args for arg in pair.args]
        return [(arg, scope) for arg in node.args]

    def _enter(self, node: Any, scope: Scope) -> tuple[Scope, list[tuple[Axis, Ragged | None]]]:
        """The scope inside a reduction, and its axes, outermost first. Whoever read the expression has limited it."""
        key = (id(node), id(scope))
        if key not in self.scopes:
            inner, axes = scope, []
            try:
                for index, low, high in reversed(triples(node)):
                    ends = index_value(low, inner, self.params), index_value(high, inner, self.params)
                    inner, axis, ragged = inner.enter(index, *ends)
                    axes.append((axis, ragged))
            except IndexingError as fault:
                raise ExpressionError(fault.message, remedy=fault.remedy) from None
            self.scopes[key] = inner, axes
        return self.scopes[key]

    @staticmethod
    def _flat(node: Any) -> list[tuple[str, Any]]:
        """The factors of a Mul in order, each with * or /."""
        out = []
        for arg in node.args:
            if isinstance(arg, sympy.Pow) and arg.args[1] is sympy.S.NegativeOne:
                out.append(("/", arg.args[0]))
            else:
                out.append(("*", arg))
        return out

    @staticmethod
    def _terms(node: Any) -> list[tuple[str, Any]]:
        """The terms of an Add in order, each with its sign."""
        out = []
        for k, arg in enumerate(node.args):
            negative = (
                k > 0 and isinstance(arg, sympy.Mul) and len(arg.args) == 2 and arg.args[0] is sympy.S.NegativeOne
            )
            out.append(("-", arg.args[1]) if negative else ("+", arg))
        return out

    def _factors(self, body: Any) -> list[tuple[str, Any]]:
        """The factors of a Sum's body through nested products."""
        if not isinstance(body, sympy.Mul):
            return [("*", body)]
        out: list[tuple[str, Any]] = []
        stack = [("*", body)]
        while stack:
            sign, node = stack.pop()
            if sign == "*" and isinstance(node, sympy.Mul):
                stack.extend(reversed(self._flat(node)))
            else:
                out.append((sign, node))
        return out

    # ------------------------------------------------------------ making a value

    def _make(self, node: Any, scope: Scope, parts: list[Value]) -> Value:
        if isinstance(node, typed.Defined):
            return parts[0]
        if isinstance(node, REDUCTIONS):
            _, axes = self._enter(node, scope)
            if isinstance(node, SUMS):
                signs = [sign for sign, _ in self._factors(node.args[0])]
                axis, ragged = axes[-1]
                value = self.arrays.sum_of_product(list(zip(signs, parts, strict=True)), axis, ragged)
                for axis, ragged in reversed(axes[:-1]):
                    value = self.arrays.sum(value, axis, ragged)
                return value
            value = parts[0]
            for axis, ragged in reversed(axes):
                value = self.arrays.product(value, axis, ragged)
            return value
        if isinstance(node, sympy.Symbol):
            return self._symbol(node, scope)
        if isinstance(node, sympy.Indexed):
            return self._entry(node, scope)
        if isinstance(node, sympy.Add):
            total = parts[0]
            for (sign, _), part in zip(self._terms(node)[1:], parts[1:], strict=True):
                total = self.arrays.apply(ops.add if sign == "+" else ops.sub, total, part)
            return total
        if isinstance(node, sympy.Mul):
            return self.arrays.multiply([(sign, part) for (sign, _), part in zip(self._flat(node), parts, strict=True)])
        if isinstance(node, sympy.Pow):
            if node.args[1] is sympy.S.Half:
                return self.arrays.apply(ops.sqrt, *parts)
            if node.args[1] is sympy.S.NegativeOne:
                return self.arrays.apply(ops.div, Value(self.builder.constant(1.0)), *parts)
            return self.arrays.apply(ops.pow_, *parts)
        return self._other(node, parts)

    def _other(self, node: Any, parts: list[Value]) -> Value:
        func = node.func
        if func in ELEMENTWISE:
            if func is sympy.Heaviside or (func is sympy.log and len(parts) == 2):
                if func is sympy.log:
                    return self.arrays.apply(
                        ops.div, self.arrays.apply(ops.log, parts[0]), self.arrays.apply(ops.log, parts[1])
                    )
                parts = parts[:1]
            return self.arrays.apply(ELEMENTWISE[func], *parts)
        if func in SWAPPED:
            return self.arrays.apply(SWAPPED[func], *parts[::-1])
        if func in FOLDED:
            total = parts[0]
            for part in parts[1:]:
                total = self.arrays.apply(FOLDED[func], total, part)
            return total
        if isinstance(node, sympy.Piecewise):
            choice = Value(self.builder.constant(math.nan))
            for k in range(len(parts) - 2, -1, -2):
                choice = self.arrays.apply(ops.where, parts[k + 1], parts[k], choice)
            return choice
        if isinstance(node, typed.VectorSum | typed.Dot | typed.Norm):
            return Value(self._whole(node))
        if node is sympy.true or node is sympy.false:
            return Value(self.builder.constant(float(node is sympy.true)))
        if node is sympy.nan:
            return Value(self.builder.constant(math.nan))
        if not node.args and node.is_number and node.is_real:
            return Value(self.builder.constant(_float(node)))
        name = getattr(func, "__name__", str(func))
        raise ExpressionError(
            f"SymPy's {name} has no meaning in this language", remedy="The README lists the functions."
        )

    def _symbol(self, node: Any, scope: Scope) -> Value:
        if node in scope.indices:
            index = scope.indices[node]
            axes = in_order(index.terms)
            return Value(self.arrays.table(index.values(axes)), axes)
        if node.name in self.named:
            return Value(self.named[node.name])
        if node.name in self.open:
            return Value(self.builder.input(self.open[node.name], (), node.name))
        return Value(self.builder.constant(self.params[node.name]))

    def _whole(self, node: Any) -> Node:
        vectors = [self.named[base.name] for base in node.args]
        shape = vectors[0].shape
        axes = tuple(range(len(shape)))
        if isinstance(node, typed.VectorSum):
            return self.builder.node(structural.Sum(axes, shape), vectors)
        if isinstance(node, typed.Norm):
            return self.builder.node(Norm(shape), vectors)
        if vectors[1].shape != shape:
            raise ExpressionError(f"dot of vectors of shapes {shape} and {vectors[1].shape}")
        return self.builder.node(Contract(axes, axes, ()), vectors)

    def _entry(self, node: Any, scope: Scope) -> Value:
        """An entry of a vector, or all the entries that open axes run through, as one view."""
        name = node.base.name
        source = self.named[name]
        try:
            subscripts = [index_value(arg, scope, self.params).whole() for arg in node.indices]
        except IndexingError as fault:
            raise ExpressionError(fault.message, remedy=fault.remedy) from None
        weights = [math.prod(source.shape[d + 1 :]) for d in range(len(source.shape))]
        place = Index(Fraction(0))
        for subscript, low, weight in zip(subscripts, self.first[name], weights, strict=True):
            place = place + (subscript - number(float(low))) * number(float(weight))
        axes = in_order({axis: None for subscript in subscripts for axis in subscript.terms})
        shape = tuple(axis.count for axis in axes)
        terms = [place.terms.get(axis, Fraction(0)) for axis in axes]
        places: Places
        if any(isinstance(term, np.ndarray) for term in terms):
            places = Gather(np.ascontiguousarray(np.broadcast_to(place.values(axes), shape)))
        else:
            places = Strided(place.start, tuple(int(term) for term in terms), shape)
        return Value(self.builder.node(Take(places, source.shape), [source]), axes)


def _float(node: Any) -> float:
    """The double nearest to a SymPy number."""
    if isinstance(node, sympy.Integer):
        return float(int(node))
    if isinstance(node, sympy.Rational):
        return int(node.p) / int(node.q)
    return float(node)
