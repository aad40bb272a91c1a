"""`optcli cache`: the graphs kept on disk, shown or emptied."""

from __future__ import annotations

import sys

import click

from optcli.cli.command import Command
from optcli.cli.listing import listing_options, show_entries, wants_json
from optcli.cli.streams import standard_output
from optcli.errors import visible
from optcli.report.json_format import dumps


def _cache(clear: bool, form: str, no_color: bool) -> int:
    from optcli.expr import cache as kept

    json = wants_json(form)
    if clear:
        sys.stderr.write(f"removed: {_counted(kept.clear(), 'graph')}\n")
    found = kept.contents()
    if json:
        record = {"folder": found.folder, "state": found.state, "entries": found.entries, "bytes": found.size}
        standard_output(dumps(record) + "\n")
        return 0
    entries = [
        ("folder", [visible(found.folder) or "none"]),
        ("state", [found.state]),
        ("graphs", [f"{found.entries} of at most {kept.MOST_FILES:,}"]),
        ("bytes", [f"{found.size:,} of at most {kept.MOST_BYTES:,}"]),
    ]
    show_entries(entries, no_color)
    return 0


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


cache = Command(
    "cache",
    params=[
        click.Option(["--clear"], is_flag=True, help="remove them all first"),
        *listing_options(),
    ],
    callback=_cache,
    help="Show where graphs are kept, so that a text that was seen before needs no SymPy, and how many there are.",
    examples=("optcli cache", "optcli cache --clear", "optcli cache --format json"),
    sections={
        "What is kept": (
            ("a graph", "the shape of a function: texts that differ in factors and terms share one"),
            ("its bounds", "64 MiB and 2000 graphs; the ones used last stay"),
        ),
        "Environment": (
            ("OPTCLI_CACHE=off", "keeps nothing and reads nothing"),
            ("XDG_CACHE_HOME", "the folder in which caches are kept"),
        ),
    },
)
