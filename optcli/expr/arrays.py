"""Whole arrays over open axes: elementwise operations, sums that become contractions, products by halves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from optcli.autograd import ops, structural
from optcli.autograd.graph import Builder, Node
from optcli.autograd.products import Contract
from optcli.autograd.structural import Gather, Scatter, Strided, Take, reshape
from optcli.expr.indices import Axis, Ragged


class Value(NamedTuple):
    """A node and the axes of its shape, outer ones first."""

    node: Node
    axes: tuple[Axis, ...] = ()


class Arrays:
    """Makes nodes for values over axes, aligned by numpy's broadcasting.

    It looks at shapes and never at values, so that a graph with open places is lowered as one with numbers in them.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._tables: dict[tuple[tuple[int, ...], bytes], Node] = {}

    def table(self, values: Any) -> Node:
        """A constant made of indices; equal ones are one node."""
        array = np.ascontiguousarray(values, dtype=np.float64)
        key = (np.shape(values), blake2b(array.tobytes()).digest())
        if key not in self._tables:
            self._tables[key] = self.builder.constant(array.reshape(np.shape(values)))
        return self._tables[key]

    def apply(self, op: ops.Op, *parts: Value) -> Value:
        axes = parts[0].axes
        for part in parts[1:]:
            if part.axes != axes:
                axes = in_order({axis: None for part in parts for axis in part.axes})
                break
        return Value(self.builder.node(op, [_align(part, axes) for part in parts]), axes)

    def multiply(self, factors: Sequence[tuple[str, Value]]) -> Value:
        sign, total = factors[0]
        if sign == "/":
            total = self.apply(ops.div, Value(self.builder.constant(1.0)), total)
        for sign, factor in factors[1:]:
            total = self.apply(ops.mul if sign == "*" else ops.div, total, factor)
        return total

    def sum_of_product(self, factors: list[tuple[str, Value]], axis: Axis, ragged: Ragged | None) -> Value:
        inside = [factor for sign, factor in factors if axis in factor.axes]
        outside = [(sign, factor) for sign, factor in factors if axis not in factor.axes]
        divided = any(sign == "/" and axis in factor.axes for sign, factor in factors)
        wide = len({other for factor in inside for other in factor.axes}) > 1
        apart = any(factor.axes for _, factor in outside)
        if ragged is not None or divided or not inside or not (wide or apart):
            return self.sum(self.multiply(factors), axis, ragged)
        while len(inside) > 2:  # the two smallest first: never a temporary beyond the largest factor
            inside.sort(key=lambda value: math.prod(value.node.shape))
            inside[:2] = [self.apply(ops.mul, *inside[:2])]
        if len(inside) == 1 or not wide:
            total = self.sum(self.multiply([("*", factor) for factor in inside]), axis, None)
        else:
            axes = tuple(other for other in in_order({a: None for f in inside for a in f.axes}) if other is not axis)
            left, right = ([other.number for other in factor.axes] for factor in inside)
            contract = Contract(tuple(left), tuple(right), tuple(other.number for other in axes))
            total = Value(self.builder.node(contract, [factor.node for factor in inside]), axes)
        return self.multiply([("*", total), *outside])

    def sum(self, value: Value, axis: Axis, ragged: Ragged | None) -> Value:
        if axis not in value.axes:
            return self.apply(ops.mul, value, self._counts(axis, ragged))
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
        return Value(self.table(ragged.counts.reshape(grid)), ragged.outer)

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
        return Value(node, in_order(dict.fromkeys(axes))), columns

    def product(self, value: Value, axis: Axis, ragged: Ragged | None) -> Value:
        """A product by halves, so that its derivatives follow from those of a product of two."""
        if axis not in value.axes:
            return self.apply(ops.pow_, value, self._counts(axis, ragged))
        if ragged is not None:
            width = max(2, int(ragged.counts.max(initial=0)))
            within = np.arange(axis.count) - np.repeat(np.cumsum(ragged.counts) - ragged.counts, ragged.counts)
            filled, _ = self._spread(value, axis, ragged, ragged.parent * width + within, width)
            column = Axis(10**9, width)
            grid = [outer.count for outer in ragged.outer]
            padding = (np.arange(width) >= ragged.counts[:, None]).reshape([*grid, width])
            ones = Value(self.table(padding), (*ragged.outer, column))
            value, axis = self.apply(ops.add, Value(filled.node, (*filled.axes, column)), ones), column
        at = value.axes.index(axis)
        node, count = value.node, axis.count
        if count == 0:
            shape = tuple(n for d, n in enumerate(node.shape) if d != at)
            return Value(self.table(np.ones(shape)), value.axes[:at] + value.axes[at + 1 :])
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


def in_order(axes: Mapping[Axis, Any]) -> tuple[Axis, ...]:
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
