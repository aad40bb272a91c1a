"""What `optcli explain` and `optcli check` show: every stage of the way from a text to its derivatives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from optcli.autograd.check import GradientCheck, check_gradient
from optcli.autograd.gradient import backward
from optcli.autograd.graph import Constant, Graph, Input, Node
from optcli.config import Config
from optcli.engine.numpy_engine import every_value
from optcli.objective import Objective, engine
from optcli.prepare import Prepared, prepare

MOST_LINES = 60  # of a listing that are shown
DIGITS = 6


def check(config: Config, text: str | None = None) -> GradientCheck:
    """Value and gradient at the start against differences of the value. Raises OptcliError."""
    ready = prepare(config, text)
    objective = ready.objective
    with np.errstate(all="ignore"):
        _, slope = objective.value_and_gradient(ready.start)
        return check_gradient(objective.value, slope, ready.start, objective.layout.entries(), config.seed)


def explain(config: Config, text: str | None = None) -> list[tuple[str, str]]:
    """(title, body) of each stage, in order. Raises OptcliError."""
    from optcli.expr.typed import show

    ready = prepare(config, text)
    objective = ready.objective
    assert objective.resolved is not None
    return [
        ("Text", ready.source.text.strip()),
        ("Parsed: kind, parts, place in the text", _cut(str(objective.resolved.syntax).split("\n"))),
        ("SymPy form", show(objective.expression)),
        ("Variables", _variables(ready)),
        ("Graph, with values and adjoints at the start", _cut(_adjoints(objective, ready.start))),
        ("Graph of value and gradient", _cut(_listing(objective.gradient_graph))),
        (f"Code of the {engine(config.engine)} engine", _cut(_code(ready))),
    ]


def code(config: Config, text: str | None = None) -> list[str]:
    """The lines of the code that the engine runs for value and gradient. Raises OptcliError."""
    return _code(prepare(config, text))


def _cut(lines: Iterable[str]) -> str:
    lines = list(lines)
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} more lines"]
    return "\n".join(lines)


def _variables(ready: Prepared) -> str:
    layout = ready.objective.layout
    parts = layout.split(ready.start)
    lines = []
    for variable in layout.variables:
        ends = zip(variable.first, variable.shape, strict=True)
        shape = f"[{', '.join(f'{low}…{low + count - 1}' for low, count in ends)}]" if variable.shape else ""
        lines.append(f"{variable.name}{shape} = {_short(parts[variable.name])}")
    lines += [f"{name} = {value!r} (parameter)" for name, value in ready.objective.params.items()]
    return _cut([*lines, f"start: {ready.start_origin}"])


def _listing(graph: Graph) -> list[str]:
    return str(graph).split("\n")


def _adjoints(objective: Objective, start: Any) -> list[str]:
    """Every node with its value, and with the derivative of the result with respect to it."""
    graph = objective.graph
    moving = [node for node in graph.nodes if not isinstance(node.op, Constant)]
    adjoints = backward(graph, graph.outputs[0], graph.builder.constant(1.0), moving)
    whole = Graph.of(graph.inputs, (*graph.outputs, *adjoints))
    values = every_value(whole, objective.inputs(start))
    adjoint_of = dict(zip(moving, adjoints, strict=True))
    rows = [(repr(node), *_shown(node, values, adjoint_of)) for node in graph.nodes]
    wide = max(len(row[0]) for row in rows)
    middle = max(len(row[1]) for row in rows)
    return [f"{name:{wide}}  {value:{middle}}  {adjoint}".rstrip() for name, value, adjoint in rows]


def _shown(node: Node, values: dict[Node, Any], adjoint_of: dict[Node, Node]) -> tuple[str, str]:
    if isinstance(node.op, Constant):
        return "", ""
    return f"value {_short(values[node])}", f"adjoint {_short(values[adjoint_of[node]])}"


def _short(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{float(value):.{DIGITS}g}"
    flat = np.ravel(value)
    if flat.size > 4:
        return f"({flat[0]:.{DIGITS}g}, {flat[1]:.{DIGITS}g}, …, {flat[-1]:.{DIGITS}g})"
    return "(" + ", ".join(f"{entry:.{DIGITS}g}" for entry in flat) + ")"


def _code(ready: Prepared) -> list[str]:
    objective = ready.objective
    if engine(ready.config.engine) == "native":
        return _native(objective.gradient_graph)
    return _calls(objective.gradient_graph)


def _native(graph: Graph) -> list[str]:
    """The text that LLVM is given, below what its slots hold and what it leaves to numpy."""
    from optcli.engine.native.plan import NativePlan

    plan = NativePlan(graph)
    slots = [node.op.label for node in graph.inputs if isinstance(node.op, Input)]
    slots += ["value", *(f"derivative by {label}" for label in slots)]
    head = [f"; slot {slot}: {_named(label, node)}" for slot, (label, node) in enumerate(_all(slots, graph), 1)]
    if plan.code.called_back:
        head.append("; called back from numpy: " + ", ".join(op.name for op in plan.code.called_back))
    outside = [node for phase in plan.program.phases for node in phase.outside]
    if outside:
        head.append(
            "; by numpy between the loops: " + ", ".join(f"n{node.number} = {node.op.name}" for node in outside)
        )
    return [*head, *plan.text.strip().split("\n")]


def _all(labels: list[str], graph: Graph) -> Iterable[tuple[str, Node]]:
    return zip(labels, (*graph.inputs, *graph.outputs), strict=True)


def _named(label: str, node: Node) -> str:
    return f"{label} {list(node.shape)}" if node.shape else label


def _calls(graph: Graph) -> list[str]:
    """The program that the numpy engine walks through, a call a line."""
    lines = []
    for node in graph.nodes:
        if isinstance(node.op, Constant | Input):
            continue
        args = ", ".join(_operand(arg) for arg in node.args)
        lines.append(f"v{node.number} = {node.op.name}({args})")
    return [*lines, "return " + ", ".join(_operand(node) for node in graph.outputs)]


def _operand(node: Node) -> str:
    if isinstance(node.op, Constant) and not node.shape:
        return repr(float(node.op.value))
    if isinstance(node.op, Input):
        return node.op.label
    return f"v{node.number}"
