"""`optcli methods [NAME]`: the methods with their fields, defaults and references."""

from __future__ import annotations

from typing import Any

import click

from optcli.cli.command import Command
from optcli.cli.listing import listing_options, show_entries, show_json, show_table, wants_json
from optcli.cli.options import method_names, words


def _methods(name: str | None, form: str, no_color: bool) -> int:
    from optcli.optimize.methods import METHODS, describe

    found = [describe(each) for each in ([name] if name else METHODS)]
    if wants_json(form):
        show_json(found)
    elif name:
        show_entries(_details(found[0]), no_color)
    else:
        rows = [(each["name"], ", ".join(map(_default, _own(each))), each["summary"]) for each in found]
        show_table(("Name", "Fields", "Summary"), rows, no_color)
    return 0


def _details(method: dict[str, Any]) -> list[tuple[str, list[str]]]:
    def lines(shared: bool) -> list[str]:
        return [
            f"{_default(field)}: {field['help']} ({field['range']})"
            for field in method["parameters"]
            if field["shared"] == shared
        ]

    common = lines(shared=True)
    return [
        ("name", [method["name"]]),
        ("summary", [method["summary"]]),
        ("formula", method["formula"].splitlines()),
        ("fields", lines(shared=False) or ["none"]),
        *([("shared", common)] if common else []),
        ("reference", [method["reference"]]),
    ]


def _own(method: dict[str, Any]) -> list[dict[str, Any]]:
    return [field for field in method["parameters"] if not field["shared"]]


def _default(field: dict[str, Any]) -> str:
    default = field["default"]
    shown = f"{default:g}" if isinstance(default, float) else "none" if default is None else default
    return f"{field['name']} = {shown}"


methods = Command(
    "methods",
    params=[
        click.Argument(["name"], required=False, metavar="NAME", shell_complete=words(method_names)),
        *listing_options(),
    ],
    callback=_methods,
    help="List the methods, or show one of them: its formula, its fields with their defaults, its source.",
    examples=("optcli methods", "optcli methods adam", "optcli methods --format json"),
)
