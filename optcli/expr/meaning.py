"""What SymPy's classes mean in the language, and SymPy expressions as indices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from optcli.autograd import ops
from optcli.errors import ExpressionError
from optcli.expr import typed
from optcli.expr.indices import Index, IndexingError, Scope, number

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
