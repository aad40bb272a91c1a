"""A result in JSON, read as the configuration of the run that it came from."""

from __future__ import annotations

from optcli.config.settings import CONFIG_KEYS
from optcli.config.tree import Table, from_python

RESULT_SCHEMA = "optcli.result/"
# what a result says of its run
RESULT_KEYS = ("command", "params", "method", "engine", "seed", "start", "bounds", "name")


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
    from optcli import library

    run = {key: result[key] for key in RESULT_KEYS if result.get(key) is not None}
    named = str(result.get("function", ""))
    run["function"] = named if named.lower() in library.names() else result.get("expression", named)
    settings = result.get("settings")
    for key, value in (settings if isinstance(settings, dict) else {}).items():
        if value is not None:
            target = run if key in CONFIG_KEYS else run.setdefault("settings", {})
            target[key] = value
    table = from_python(run, name)
    assert isinstance(table, Table)
    return table
