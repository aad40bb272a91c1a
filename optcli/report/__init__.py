"""How a run looks: the table of formats. A format is one file here and one line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from optcli.report.csv_format import CsvWriter
from optcli.report.json_format import JsonWriter
from optcli.report.ndjson import NdjsonWriter
from optcli.report.screen import Screen
from optcli.report.table import TableWriter
from optcli.report.watch import Writer


class Format(NamedTuple):
    """`make` takes a function that writes text, and the screen behind it; `beginnings` are how its files begin."""

    help: str
    make: Callable[[Callable[[str], None], Screen], Writer]
    beginnings: tuple[bytes, ...]


FORMATS: dict[str, Format] = {
    "table": Format("rows and a summary for people", TableWriter, (b"optcli minimize ", b"optcli maximize ")),
    "json": Format("one object", lambda write, _: JsonWriter(write), (b'{"schema": "optcli.result/',)),
    "ndjson": Format(
        "an object a row, then one for the result",
        lambda write, _: NdjsonWriter(write),
        (b'{"kind": "row", "iteration": ', b'{"kind": "result", "schema": "optcli.'),
    ),
    "csv": Format("the rows", lambda write, _: CsvWriter(write), (b"iteration,value,gradient_norm",)),
}


def beginnings() -> tuple[bytes, ...]:
    """How every file that optcli wrote as output begins."""
    return tuple(beginning for form in FORMATS.values() for beginning in form.beginnings)
