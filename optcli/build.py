"""Text → objective → Problem: the one place where expr, autograd, engine and optimize meet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from optcli.errors import ExpressionError, FileError, UsageError, did_you_mean, nearest, visible
from optcli.expr.functions import FUNCTIONS
from optcli.expr.graphs import graph_of
from optcli.expr.parse import parse
from optcli.expr.resolve import resolve
from optcli.expr.syntax import Syntax
from optcli.objective import Array, Objective, no_collection

if TYPE_CHECKING:
    from optcli.library import Entry
    from optcli.optimize.methods.method import Method
    from optcli.optimize.problem import Problem


class Source(NamedTuple):
    """What a FUNCTION argument stands for: the text of the expression, and where it came from."""

    text: str
    label: str  # the library's name, or the text or path as given
    entry: Entry | None = None


def source(function: str) -> Source:
    """Find a FUNCTION: a library name, a path to a .yaml or .txt file, or else an expression.

    Raises ExpressionError for a bare name that is no library function, FileError for files that cannot be read.
    """
    from optcli import library

    name = function.strip()
    if name.lower() in library.names():
        entry = library.get(name)
        return Source(entry.expression, entry.name, entry)
    if name.endswith((".yaml", ".yml", ".txt")) and "\n" not in name and "\0" not in name:
        return _file(name)
    if name.isidentifier():
        tokens = parse(function)
        if tokens.nodes[tokens.root].kind == "name":
            known = nearest(name, [*library.names(), *FUNCTIONS])
            hint = f"Did you mean {' or '.join(known)}? " if known else "`optcli functions` lists the library. "
            raise ExpressionError(
                f"there is no function {visible(name)}",
                function,
                (0, len(function)),
                f"{hint}To minimize a variable write ({name}).",
            )
    return Source(function, function)


def _file(name: str) -> Source:
    from optcli import library

    path = Path(name)
    if name.endswith(".txt"):
        try:
            # no text holds a string, so # always begins a comment
            return Source(re.sub("#[^\n]*", "", path.read_bytes().decode("utf-8-sig")).strip(), name)
        except UnicodeDecodeError as error:
            raise FileError(f"{visible(name)}: byte {error.start} is not UTF-8", "Save the file as UTF-8.") from None
        except OSError as error:
            raise FileError(f"{visible(name)}: {error.strerror or error}", "Check the path.") from None
    entry = library.load_file(path)
    return Source(entry.expression, name, entry)


def build(
    text: str,
    params: Mapping[str, float] | None = None,
    data: Mapping[str, Array] | None = None,
    engine: str = "auto",
) -> Objective:
    """The objective of a text. Everything that can be refused is refused before SymPy is imported or a file is written.

    Raises ExpressionError.
    """
    params, data = dict(params or {}), dict(data or {})
    with no_collection():
        syntax = parse(text)
        _known_names(syntax, params, "parameter")
        _known_names(syntax, data, "data array")
        resolved = resolve(syntax, params, data)
        graph = graph_of(resolved)
    return Objective(text, resolved, None, resolved.layout, params, graph, engine)


def build_sympy(expression: Any, params: Mapping[str, float] | None = None) -> Objective:
    """The objective of a SymPy expression. Raises ExpressionError where SymPy says what the language cannot."""
    from optcli.expr.given import read
    from optcli.expr.lower import lower

    params = dict(params or {})
    layout, first = read(expression, params)
    return Objective(str(expression), None, expression, layout, params, lower(expression, layout, params, {}, first))


def _known_names(syntax: Syntax, given: Mapping[str, Any], what: str) -> None:
    for name in given:
        if name not in syntax.names:
            bound = sorted({node.value[0] for node in syntax.nodes if node.kind == "bound"})
            remedy = did_you_mean(name, syntax.names) or (
                f"{name} is the index of a Sum here."
                if name in bound
                else f"The names are {', '.join(syntax.names[:8])}."
            )
            raise UsageError(f"there is no {what} {visible(name)} in {visible(syntax.text[:60])}", remedy)


def problem(
    objective: Objective,
    maximize: bool = False,
    lower: Array | None = None,
    upper: Array | None = None,
    method: Method | None = None,
) -> Problem:
    """The Problem of minimizing the objective, or its negative, within bounds of shape (size,).

    With a `method` its loop, or what it evaluates, is native code, unless the objective's engine is "numpy"; raises
    RuntimeError where that cannot be compiled.
    """
    from optcli.optimize.methods.first_order import FirstOrder
    from optcli.optimize.problem import Problem

    if isinstance(method, FirstOrder) and method.elementwise and objective.engine != "numpy":
        from optcli.compiled import CompiledProblem

        return CompiledProblem(objective, method, maximize, lower, upper)
    if method is not None and objective.engine != "numpy" and objective.pays:
        objective = objective.compiled()
    value, both = objective.value, objective.value_and_gradient
    if maximize:

        def negative(x: Array) -> float:
            return -objective.value(x)

        def negative_both(x: Array) -> tuple[float, Array]:
            f, g = objective.value_and_gradient(x)
            return -f, -g

        value, both = negative, negative_both
    size, more = objective.layout.size, objective.beyond_gradients(maximize)
    return Problem(size, value, both, lower=lower, upper=upper, **more)
