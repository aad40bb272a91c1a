"""One JSON object (contract §3): a key a line, a row of the history a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optcli.report.numbers import strict

if TYPE_CHECKING:
    from optcli.outcome import Outcome, Preview, Row


def dumps(value: Any) -> str:
    """Strict JSON on one line, in ASCII without control bytes, so that no terminal ever acts on it."""
    return json.dumps(strict(value), allow_nan=False)


def pretty(record: Mapping[str, Any]) -> str:
    """Strict JSON of an object: a line a key, and a line an item where the value is a list of objects."""
    lines = []
    for key, value in record.items():
        rows = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
        text = "[\n  " + ",\n  ".join(dumps(item) for item in value) + "]" if rows else dumps(value)
        lines.append(f"{dumps(str(key))}: {text}")
    return "{" + ",\n ".join(lines) + "}\n"


class JsonWriter:
    """Writes everything at the end."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def begin(self, preview: Preview) -> None:
        """Nothing to write yet."""

    def row(self, row: Row) -> None:
        """The outcome keeps the history."""

    def end(self, outcome: Outcome) -> None:
        self._write(pretty(outcome.to_dict(history=True)))
