"""A result or a checkpoint, read as the configuration of the run that it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from optcli.config.settings import CONFIG_KEYS
from optcli.config.tree import Table, from_python

RESULT_SCHEMA = "optcli.result/"
RESULT_BEGINS = b'{"schema": "optcli.result/'
CHECKPOINT_BEGINS = b'{"schema": "optcli.checkpoint/'
MAX_BYTES = 1 << 30  # of a result: a million variables and their history
# what a result says of its run
RUN_KEYS = ("command", "params", "data", "method", "engine", "seed", "start", "bounds", "name")


def beginning(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file, by which it is known; none where it cannot be read, or only once, as a pipe."""
    try:
        if not os.path.isfile(path):
            return b""
        with open(path, "rb") as file:
            return file.read(len(CHECKPOINT_BEGINS))
    except (OSError, ValueError):
        return b""


def result_table(content: str, name: str) -> Table | None:
    """The keys of the run that a result in JSON came from; None if the text is no such result."""
    if not content.lstrip().startswith("{") or RESULT_SCHEMA not in content:
        return None
    import json

    try:
        result = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(result, dict) or not str(result.get("schema", "")).startswith(RESULT_SCHEMA):
        return None
    return run_table({**result, "function": _function(result)}, name)


def run_table(run: Mapping[str, Any], name: str) -> Table:
    """The keys of a run as `Preview.to_dict` tells it: settings are keys, or else fields of the method."""
    found = {key: run[key] for key in (*RUN_KEYS, "function") if run.get(key) is not None}
    settings = run.get("settings")
    chose = "auto" in run and "lr" not in (settings if isinstance(settings, dict) else {})
    if chose:  # the method stands there as auto took it: it will again
        found["method"] = "auto"
    for key, value in (settings if isinstance(settings, dict) else {}).items():
        if key in CONFIG_KEYS and value is not None:
            found[key] = value
        elif key not in CONFIG_KEYS and not chose:
            found.setdefault("settings", {})[key] = "none" if value is None else value
    table = from_python(found, name)
    assert isinstance(table, Table)
    return table


def _function(result: Mapping[str, Any]) -> str:
    """The library's function of that name if it still is what was run, else the text as an expression."""
    from optcli import library

    named = str(result.get("function", ""))
    text = str(result.get("expression", named))
    if named.lower() in library.names() and library.get(named).expression == text:
        return named
    # a text from a file may look like a name
    return f"({text})" if text.strip().isidentifier() or text.strip().endswith((".yaml", ".yml", ".txt")) else text
