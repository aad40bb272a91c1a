"""SymPy → Graph: the one lowering, for texts and for Python users' expressions.

Inside a Sum every value is a whole array over the open axes it depends on. Sums are never expanded; products of factors
over different axes become contractions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy
from numpy.typing import NDArray

from optcli.autograd import ops, structural
from optcli.autograd.graph import Builder, Graph, Node
from optcli.autograd.structural import Contract, Gather, Places, Scatter, Strided, Take, reshape
from optcli.errors import ExpressionError
from optcli.expr import typed
from optcli.expr.indices import Axis, Index, IndexingError, Ragged, Scope, number
from optcli.layout import Layout

Array = NDArray[np.float64]


class Value(NamedTuple):
    """A node and the axes of its shape, outer ones first."""

    node: Node
    axes: tuple[Axis, ...] = ()


ELEMENTWISE: dict[Any, ops.Op] = {cls: op for op, cls in typed.CLASS_OF.items()}
ELEMENTWISE |= {
    sympy.Max: ops.largest,
    sympy.Min: ops.smallest,
    sympy.StrictLessThan: ops.lt,
    sympy.LessThan: ops.le,
    sympy.Equality: ops.eq,
    sympy.Unequality: ops.ne,
    typed.Negate: ops.negate,
    sympy.Not: ops.negate,
}
FOLDED = {typed.Both: ops.both, sympy.And: ops.both, typed.Either: ops.either, sympy.Or: ops.either}
SWAPPED = {sympy.StrictGreaterThan: ops.lt, sympy.GreaterThan: ops.le}
SUMS: tuple[Any, ...] = (typed.Sum, sympy.Sum)
REDUCTIONS: tuple[Any, ...] = (*SUMS, typed.Product, sympy.Product)


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
    return _Lowering(layout, params, data, first).run(expression)


def triples(expression: Any) -> list[tuple[Any, Any, Any]]:
    """(index, low, high) of a Sum or Product, innermost first."""
    if isinstance(expression, typed.Typed):
        return [tuple(expression.args[1:])]
    out = []
    for limit in expression.limits:
        if len(limit) != 3:
            raise ExpressionError(f"{expression.func.__name__} needs its bounds: (i, 1, n)")
        out.append(tuple(limit))
    return out


def index_value(expression: Any, scope: Scope, params: Mapping[str, float]) -> Index:
    """A SymPy expression as an index. Raises IndexingError where it is none."""
    if isinstance(expression, sympy.Symbol):
        if expression in scope.indices:
            return scope.indices[expression]
        if expression.name in params:
            return number(params[expression.name])
        raise IndexingError(
            f"{expression.name} has no value, and an index needs one", f"Give --param {expression.name}=…"
        )
    if isinstance(expression, sympy.Rational):
        return Index(Fraction(int(expression.p), int(expression.q)))
    if isinstance(expression, sympy.Number):
        return number(float(expression))
    args = [index_value(arg, scope, params) for arg in expression.args]
    if isinstance(expression, sympy.Add):
        return sum(args[1:], args[0])
    if isinstance(expression, sympy.Mul):
        return math.prod(args[1:], start=args[0])
    if isinstance(expression, sympy.Pow):
        if args[1].constant == -1 and not args[1].terms:
            return number(1.0) / args[0]
        return args[0] ** args[1]
    op = ELEMENTWISE.get(expression.func)
    if op is None or any(arg.terms for arg in args):
        raise IndexingError(f"{expression.func.__name__} has no place in an index")
    return number(float(op.kernel(*(np.float64(float(arg.constant)) for arg in args))))


class _Lowering:
    def __init__(
        self,
        layout: Layout,
        params: Mapping[str, float],
        data: Mapping[str, Array],
        first: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.builder = Builder()
        self.params = params
        self.first = first
        self.inputs = [self.builder.input(k, v.shape, v.name) for k, v in enumerate(layout.variables)]
        self.named = {v.name: node for v, node in zip(layout.variables, self.inputs, strict=True)}
        self.named |= {name: self.builder.constant(array) for name, array in data.items()}
        self.scopes: dict[Any, tuple[Scope, list[tuple[Axis, Ragged | None]]]] = {}
        self.made: dict[tuple[int, int], Value] = {}

    def run(self, expression: Any) -> Graph:
        root = Scope()
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
            if node.args[1] in (sympy.S.Half, sympy.S.NegativeOne):
                return [(node.args[0], scope)]
            return [(arg, scope) for arg in node.args]
        if isinstance(node, sympy.Piecewise):
            return [(arg, scope) for pair in node.args for arg in pair.args]
        return [(arg, scope) for arg in node.args]

    def _enter(self, node: Any, scope: Scope) -> tuple[Scope, list[tuple[Axis, Ragged | None]]]:
        """The scope inside a reduction, and its axes, outermost first."""
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
        if isinstance(node, REDUCTIONS):
            _, axes = self._enter(node, scope)
            if isinstance(node, SUMS):
                signs = [sign for sign, _ in self._factors(node.args[0])]
                axis, ragged = axes[-1]
                value = self._sum_of_product(list(zip(signs, parts, strict=True)), axis, ragged)
                for axis, ragged in reversed(axes[:-1]):
                    value = self._sum(value, axis, ragged)
                return value
            value = parts[0]
            for axis, ragged in reversed(axes):
                value = self._product(value, axis, ragged)
            return value
        if isinstance(node, sympy.Symbol):
            return self._symbol(node, scope)
        if isinstance(node, sympy.Indexed):
            return self._entry(node, scope)
        if isinstance(node, sympy.Add):
            total = parts[0]
            for (sign, _), part in zip(self._terms(node)[1:], parts[1:], strict=True):
                total = self._apply(ops.add if sign == "+" else ops.sub, total, part)
            return total
        if isinstance(node, sympy.Mul):
            return self._multiply([(sign, part) for (sign, _), part in zip(self._flat(node), parts, strict=True)])
        if isinstance(node, sympy.Pow):
            if node.args[1] is sympy.S.Half:
                return self._apply(ops.sqrt, *parts)
            if node.args[1] is sympy.S.NegativeOne:
                return self._apply(ops.div, Value(self.builder.constant(1.0)), *parts)
            return self._apply(ops.pow_, *parts)
        return self._other(node, parts)

    def _other(self, node: Any, parts: list[Value]) -> Value:
        func = node.func
        if func in ELEMENTWISE:
            if func is sympy.Heaviside or (func is sympy.log and len(parts) == 2):
                if func is sympy.log:
                    return self._apply(ops.div, self._apply(ops.log, parts[0]), self._apply(ops.log, parts[1]))
                parts = parts[:1]
            return self._apply(ELEMENTWISE[func], *parts)
        if func in SWAPPED:
            return self._apply(SWAPPED[func], *parts[::-1])
        if func in FOLDED:
            total = parts[0]
            for part in parts[1:]:
                total = self._apply(FOLDED[func], total, part)
            return total
        if isinstance(node, sympy.Piecewise):
            choice = Value(self.builder.constant(math.nan))
            for k in range(len(parts) - 2, -1, -2):
                choice = self._apply(ops.where, parts[k + 1], parts[k], choice)
            return choice
        if isinstance(node, typed.VectorSum | typed.Dot | typed.Norm):
            return Value(self._whole(node))
        if node in (sympy.true, sympy.false):
            return Value(self.builder.constant(float(node is sympy.true)))
        if node is sympy.nan:
            return Value(self.builder.constant(math.nan))
        if node.is_number and not node.args and node.is_real:
            return Value(self.builder.constant(_float(node)))
        name = getattr(func, "__name__", str(func))
        raise ExpressionError(
            f"SymPy's {name} has no meaning in this language", remedy="The README lists the functions."
        )

    def _symbol(self, node: Any, scope: Scope) -> Value:
        if node in scope.indices:
            index = scope.indices[node]
            axes = _sorted(index.terms)
            return Value(self.builder.constant(index.values(axes).astype(np.float64)), axes)
        if node.name in self.named:
            return Value(self.named[node.name])
        return Value(self.builder.constant(self.params[node.name]))

    def _whole(self, node: Any) -> Node:
        vectors = [self.named[base.name] for base in node.args]
        shape = vectors[0].shape
        axes = tuple(range(len(shape)))
        if isinstance(node, typed.VectorSum):
            return self.builder.node(structural.Sum(axes, shape), vectors)
        if isinstance(node, typed.Norm):
            return self.builder.node(structural.Norm(shape), vectors)
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
        axes = _sorted({axis: None for subscript in subscripts for axis in subscript.terms})
        shape = tuple(axis.count for axis in axes)
        terms = [place.terms.get(axis, Fraction(0)) for axis in axes]
        places: Places
        if any(isinstance(term, np.ndarray) for term in terms):
            places = Gather(np.ascontiguousarray(np.broadcast_to(place.values(axes), shape)))
        else:
            places = Strided(place.start, tuple(int(term) for term in terms), shape)
        return Value(self.builder.node(Take(places, source.shape), [source]), axes)

    # ------------------------------------------------------------ arrays over axes

    def _apply(self, op: ops.Op, *parts: Value) -> Value:
        axes = parts[0].axes
        for part in parts[1:]:
            if part.axes != axes:
                axes = _sorted({axis: None for part in parts for axis in part.axes})
                break
        return Value(self.builder.node(op, [_align(part, axes) for part in parts]), axes)

    def _multiply(self, factors: Sequence[tuple[str, Value]]) -> Value:
        sign, total = factors[0]
        if sign == "/":
            total = self._apply(ops.div, Value(self.builder.constant(1.0)), total)
        elif len(factors) > 1 and total.node.value is not None and total.axes == () and total.node.value == -1.0:
            rest = self._multiply(factors[1:]) if factors[1][0] == "*" else None
            if rest is not None and len(factors) == 2:
                return self._apply(ops.neg, rest)
        for sign, factor in factors[1:]:
            total = self._apply(ops.mul if sign == "*" else ops.div, total, factor)
        return total

    def _sum_of_product(self, factors: list[tuple[str, Value]], axis: Axis, ragged: Ragged | None) -> Value:
        inside = [factor for sign, factor in factors if axis in factor.axes]
        outside = [(sign, factor) for sign, factor in factors if axis not in factor.axes]
        divided = any(sign == "/" and axis in factor.axes for sign, factor in factors)
        wide = len({other for factor in inside for other in factor.axes}) > 1
        apart = any(factor.axes for _, factor in outside)
        if ragged is not None or divided or not inside or not (wide or apart):
            return self._sum(self._multiply(factors), axis, ragged)
        while len(inside) > 2:  # the two smallest first: never a temporary beyond the largest factor
            inside.sort(key=lambda value: math.prod(value.node.shape))
            inside[:2] = [self._apply(ops.mul, *inside[:2])]
        if len(inside) == 1 or not wide:
            total = self._sum(self._multiply([("*", factor) for factor in inside]), axis, None)
        else:
            axes = tuple(other for other in _sorted({a: None for f in inside for a in f.axes}) if other is not axis)
            left, right = ([other.number for other in factor.axes] for factor in inside)
            contract = Contract(tuple(left), tuple(right), tuple(other.number for other in axes))
            total = Value(self.builder.node(contract, [factor.node for factor in inside]), axes)
        return self._multiply([("*", total), *outside])

    def _sum(self, value: Value, axis: Axis, ragged: Ragged | None) -> Value:
        if axis not in value.axes:
            return self._apply(ops.mul, value, self._counts(axis, ragged))
        if ragged is not None:
            return self._sum_ragged(value, axis, ragged)
        at = value.axes.index(axis)
        node = self.builder.node(structural.Sum((at,), value.node.shape), [value.node])
        return Value(node, value.axes[:at] + value.axes[at + 1 :])

    def _counts(self, axis: Axis, ragged: Ragged | None) -> Value:
        """How many terms a sum has, over the outer axes it depends on."""
        if ragged is None:
            return Value(self.builder.constant(float(axis.count)))
        grid = [outer.count for outer in ragged.outer]
        return Value(self.builder.constant(ragged.counts.reshape(grid).astype(np.float64)), ragged.outer)

    def _sum_ragged(self, value: Value, axis: Axis, ragged: Ragged) -> Value:
        return self._spread(value, axis, ragged, ragged.parent, 1)[0]

    def _spread(self, value: Value, axis: Axis, ragged: Ragged, slot: Any, width: int) -> tuple[Value, Any]:
        """Add the entries along a flat axis into cells (outer position, column < width); `slot` numbers the cells."""
        rest = tuple(other for other in value.axes if other is not axis)
        cells = ragged.counts.size * width
        blocks = math.prod(other.count for other in rest)
        index = (np.arange(blocks)[:, None] * cells + slot).reshape([*(other.count for other in rest), axis.count])
        flat = self.builder.node(Scatter((Gather(index),), (blocks * cells,)), [value.node])
        columns = (width,) if width > 1 else ()
        axes = (*rest, *ragged.outer)
        shape = tuple(other.count for other in axes)
        node = reshape(flat, (*shape, *columns))
        order = sorted(range(len(axes)), key=lambda d: axes[d].number)
        if order != list(range(len(axes))) or columns:
            full = (*shape, *columns)
            weights = [math.prod(full[d + 1 :]) for d in range(len(full))]
            order = [*order, *([len(axes)] if columns else [])]
            places = Strided(0, tuple(weights[d] for d in order), tuple(full[d] for d in order))
            node = self.builder.node(Take(places, full), [node])
        return Value(node, _sorted(dict.fromkeys(axes))), columns

    def _product(self, value: Value, axis: Axis, ragged: Ragged | None) -> Value:
        """A product by halves, so that its derivatives follow from those of a product of two."""
        if axis not in value.axes:
            return self._apply(ops.pow_, value, self._counts(axis, ragged))
        if ragged is not None:
            width = max(2, int(ragged.counts.max(initial=0)))
            within = np.arange(axis.count) - np.repeat(np.cumsum(ragged.counts) - ragged.counts, ragged.counts)
            filled, _ = self._spread(value, axis, ragged, ragged.parent * width + within, width)
            column = Axis(10**9, width)
            grid = [outer.count for outer in ragged.outer]
            padding = (np.arange(width) >= ragged.counts[:, None]).astype(np.float64).reshape([*grid, width])
            ones = Value(self.builder.constant(padding), (*ragged.outer, column))
            value, axis = self._apply(ops.add, Value(filled.node, (*filled.axes, column)), ones), column
        at = value.axes.index(axis)
        node, count = value.node, axis.count
        if count == 0:
            shape = tuple(n for d, n in enumerate(node.shape) if d != at)
            return Value(self.builder.constant(np.ones(shape)), value.axes[:at] + value.axes[at + 1 :])
        while count > 1:
            half = count // 2
            paired = self.builder.node(ops.mul, [_slice(node, at, 0, half), _slice(node, at, half, half)])
            if count % 2:
                last = _slice(node, at, count - 1, 1)
                if half == 1:
                    paired = self.builder.node(ops.mul, [paired, last])
                else:
                    first = self.builder.node(ops.mul, [_slice(paired, at, 0, 1), last])
                    paired = _join(first, _slice(paired, at, 1, half - 1), at)
            node, count = paired, half
        shape = tuple(n for d, n in enumerate(node.shape) if d != at)
        return Value(reshape(node, shape), value.axes[:at] + value.axes[at + 1 :])


def _float(node: Any) -> float:
    """The double nearest to a SymPy number."""
    if isinstance(node, sympy.Integer):
        return float(int(node))
    if isinstance(node, sympy.Rational):
        return int(node.p) / int(node.q)
    return float(node)


def _sorted(axes: Mapping[Axis, Any]) -> tuple[Axis, ...]:
    return tuple(sorted(axes, key=lambda axis: axis.number))


def _align(value: Value, axes: tuple[Axis, ...]) -> Node:
    """The node with length-1 axes where it does not depend on one (leading ones come by broadcasting)."""
    if value.axes == axes or not value.axes:
        return value.node
    begin = axes.index(value.axes[0])
    shape = tuple(axis.count if axis in value.axes else 1 for axis in axes[begin:])
    node: Node = reshape(value.node, shape)
    return node


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def _slice(node: Node, at: int, start: int, count: int) -> Node:
    """`count` entries from `start` along axis `at`."""
    weights = _strides(node.shape)
    shape = (*node.shape[:at], count, *node.shape[at + 1 :])
    taken: Node = Take(Strided(start * weights[at], weights, shape), node.shape)(node)
    return taken


def _join(first: Node, second: Node, at: int) -> Node:
    """Two arrays, one after the other along axis `at`."""
    count = first.shape[at] + second.shape[at]
    shape = (*first.shape[:at], count, *first.shape[at + 1 :])
    weights = _strides(shape)
    places = (Strided(0, weights, first.shape), Strided(first.shape[at] * weights[at], weights, second.shape))
    joined: Node = Scatter(places, shape)(first, second)
    return joined
