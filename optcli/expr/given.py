"""SymPy expressions that Python users hand in: their variables, and the ranges of their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy

from optcli.errors import ExpressionError
from optcli.expr.indices import IndexingError, Scope
from optcli.expr.meaning import REDUCTIONS, index_value, triples
from optcli.expr.uses import Uses
from optcli.layout import Layout, Variable


def read(expression: Any, params: Mapping[str, float]) -> tuple[Layout, dict[str, tuple[int, ...]]]:
    """The variables in alphabetical order (SymPy keeps no order of its own), and the lowest indices of each vector.

    Raises ExpressionError for names used in two ways and for indices that cannot be resolved.
    """
    if not isinstance(expression, sympy.Expr):
        raise ExpressionError("an expression is needed", remedy="Give a text or a SymPy expression.")
    scalars: set[str] = set()
    uses: dict[str, Uses] = {}
    seen: set[tuple[int, int]] = set()
    stack = [(expression, Scope())]
    scopes = [stack[0][1]]  # keeps every scope alive, so that ids stay unique
    while stack:
        node, scope = stack.pop()
        if (id(node), id(scope)) in seen:
            continue
        seen.add((id(node), id(scope)))
        try:
            if isinstance(node, REDUCTIONS):
                limits = triples(node)
                for depth in range(len(limits) - 1, -1, -1):  # outermost first
                    index, low, high = limits[depth]
                    ends = index_value(low, scope, params), index_value(high, scope, params)
                    scope = scope.enter(index, *ends)[0]
                    scope.limit(_open(node.args[0], limits[:depth]) & scope.indices.keys())
                    scopes.append(scope)
                stack.append((node.args[0], scope))
            elif isinstance(node, sympy.Indexed):
                indices = tuple(index_value(arg, scope, params).whole() for arg in node.indices)
                known = uses.setdefault(str(node.base.label), Uses(len(indices)))
                if known.dimensions != len(indices):
                    raise IndexingError(f"{node.base.label} is used with {len(indices)} and {known.dimensions} indices")
                known.add(indices)
            elif isinstance(node, sympy.Symbol):
                if node not in scope.indices and node.name not in params:
                    scalars.add(node.name)
            else:
                stack.extend((arg, scope) for arg in node.args)
        except IndexingError as fault:
            raise ExpressionError(fault.message, remedy=fault.remedy) from None
    both = scalars & uses.keys()
    if both:
        raise ExpressionError(f"{min(both)} is used with an index and without")
    variables = []
    for name in sorted(scalars | uses.keys()):
        if name in scalars:
            variables.append(Variable(name))
            continue
        try:
            ranges = uses[name].ranges()
        except IndexingError as fault:
            raise ExpressionError(f"{name}: {fault.message}", remedy=fault.remedy) from None
        variables.append(Variable(name, tuple(b - a + 1 for a, b in ranges), tuple(a for a, _ in ranges)))
    return Layout(tuple(variables)), {v.name: v.first for v in variables if v.shape}


def _open(body: Any, limits: Sequence[tuple[Any, Any, Any]]) -> set[Any]:
    """The symbols that what stands inside an index depends on: the body, and the bounds of the indices in there."""
    ends = (end for _, *pair in limits for end in pair)
    return set().union(*(part.free_symbols for part in (body, *ends)))
