"""`optcli functions [NAME]`: the library."""

from __future__ import annotations

import click

from optcli.cli.command import Command
from optcli.cli.listing import listing_options, show_entries, show_json, show_table, wants_json
from optcli.cli.options import function_names, words


def _functions(name: str | None, form: str, no_color: bool) -> int:
    from optcli import library
    from optcli.cli.entry import details, record

    entries = [library.get(name)] if name else [library.get(each) for each in library.names()]
    if wants_json(form):
        show_json([record(entry) for entry in entries])
    elif name:
        show_entries(details(entries[0]), no_color)
    else:
        show_table(("Name", "Summary"), [(entry.name, entry.summary) for entry in entries], no_color)
    return 0


functions = Command(
    "functions",
    params=[
        click.Argument(["name"], required=False, metavar="NAME", shell_complete=words(function_names)),
        *listing_options(),
    ],
    callback=_functions,
    help="List the functions that have a name, or show one of them with its start, domain and known minima.",
    examples=("optcli functions", "optcli functions rosenbrock", "optcli functions --format json"),
)
