"""Resolved text → Graph: from the graphs kept on disk, or else through SymPy, which is loaded only then.

A graph that is made to be kept and one that is read go the same way (`autograd.stored`), which is to ask a Builder for
what the lowering asks for where nothing is kept, so that the digits are the same.
"""

from __future__ import annotations

from typing import Any

from optcli.autograd.graph import Graph
from optcli.autograd.packed import at_least, pack, unpack
from optcli.autograd.stored import DamagedError, Stored, filled, stored
from optcli.expr import cache, slots
from optcli.expr.resolve import Resolved
from optcli.expr.slots import Slots

MOST_NODES = 300_000  # of a text whose graph may be small enough to be kept


def graph_of(resolved: Resolved) -> Graph:
    """The graph of a text. Raises ExpressionError for what only the lowering refuses, ConfigError for OPTCLI_CACHE."""
    if not cache.enabled() or len(resolved.syntax.nodes) > MOST_NODES:
        return _plain(resolved)
    found = slots.find(resolved)
    key = slots.key(resolved, found)
    if (kept := cache.read(key)) is not None:
        try:
            return _filled(unpack(kept), resolved, found)
        except DamagedError:
            pass  # it is made anew and written over
    made = _lowered(resolved, found)
    if at_least(made) <= cache.MOST_OF_ONE:
        cache.write(key, pack(made))
    return _filled(made, resolved, found)


def _plain(resolved: Resolved) -> Graph:
    from optcli.expr.lower import lower
    from optcli.expr.typed import to_sympy

    return lower(to_sympy(resolved), resolved.layout, resolved.params, resolved.data, resolved.first)


def _lowered(resolved: Resolved, found: Slots) -> Stored:
    """The graph with open places for slots and data, by way of SymPy."""
    from optcli.expr.lower import lower_open
    from optcli.expr.typed import to_sympy

    fixed = {name: value for name, value in resolved.params.items() if name not in found.params}
    places: dict[str, Any] = dict.fromkeys(found.names, ())
    places |= {name: array.shape for name, array in resolved.data.items()}
    expression = to_sympy(resolved, found.numbers)
    return stored(lower_open(expression, resolved.layout, fixed, places, resolved.first))


def _filled(graph: Stored, resolved: Resolved, found: Slots) -> Graph:
    """The graph with its numbers and data. Raises DamagedError."""
    variables = [(variable.name, variable.shape) for variable in resolved.layout.variables]
    return filled(graph, variables, [*found.values, *resolved.data.values()])
