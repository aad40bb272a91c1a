"""A function of the library as a record for JSON, and as lines for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from optcli.config import Bound, StartEntry
from optcli.errors import visible
from optcli.expr.parse import variables_of
from optcli.library import Entry
from optcli.report.numbers import exact, flow


def record(entry: Entry) -> dict[str, Any]:
    """What contract §2 says of `functions --format json`; an open side of the domain is null."""
    names = variables_of(entry.expression, entry.params)
    return {
        "name": entry.name,
        "summary": entry.summary,
        "expression": entry.expression,
        "params": dict(entry.params),
        "variables": list(names),
        "start": _point(entry.start, names),
        "domain": {_target(bound): [_side(bound.lower), _side(bound.upper)] for bound in entry.domain},
        "minima": [{"x": _point(minimum.x, names), "value": minimum.value} for minimum in entry.minima],
        "reference": entry.reference,
        "notes": entry.notes,
    }


def details(entry: Entry) -> list[tuple[str, list[str]]]:
    """Labels with their lines; what the file leaves out is left out."""
    names = variables_of(entry.expression, entry.params)
    minima = [f"{_number(minimum.value)} at {_shown(minimum.x)}" for minimum in entry.minima]
    entries = [
        ("name", [entry.name]),
        ("summary", [entry.summary]),
        ("expression", entry.expression.split("\n")),
        ("params", [", ".join(f"{name} = {_number(value)}" for name, value in entry.params.items())]),
        ("variables", [", ".join(names)]),
        ("start", [_shown(entry.start)]),
        ("domain", [", ".join(f"{_number(b.lower)} ≤ {_target(b)} ≤ {_number(b.upper)}" for b in entry.domain)]),
        ("minima", minima),
        ("reference", [entry.reference]),
        ("notes", [entry.notes]),
    ]
    shown = [(label, [visible(line) for line in lines if line]) for label, lines in entries]
    return [(label, lines) for label, lines in shown if lines]


def _point(entries: Iterable[StartEntry], names: Sequence[str]) -> dict[str, Any]:
    """By name; what has no name takes the variables' order."""
    unnamed = iter(names)
    return {_target(entry) if entry.name else next(unnamed, "?"): _plain(entry.value) for entry in entries}


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, float | int) else str(value)


def _target(part: StartEntry | Bound) -> str:
    return str(part.name) if part.index is None else f"{part.name}[{part.index}]"


def _side(value: float | str) -> float | str | None:
    return None if isinstance(value, float) and math.isinf(value) else value


def _shown(entries: Sequence[StartEntry]) -> str:
    pieces = []
    for entry in entries:
        value = _plain(entry.value)
        text = "(" + ", ".join(map(_number, value)) + ")" if isinstance(value, list) else _number(value)
        pieces.append(f"{_target(entry)} = {text}" if entry.name else text)
    return "".join(flow(pieces, None))


def _number(value: Any) -> str:
    return exact(value) if isinstance(value, float | int) else str(value)
