"""The rows as comma-separated values, a line an iteration row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from optcli.report.columns import csv_cells, csv_header

if TYPE_CHECKING:
    from optcli.layout import Layout
    from optcli.outcome import Outcome, Preview, Row


class CsvWriter:
    """Writes the header before the run and a line for each row as it comes; floats by their shortest repr."""

    def __init__(self, write: Callable[[str], None]) -> None:
        import csv

        self._csv = csv.writer(_Lines(write), lineterminator="\n")
        self._layout: Layout

    def begin(self, preview: Preview) -> None:
        self._layout = preview.layout
        self._csv.writerow(csv_header(self._layout))

    def row(self, row: Row) -> None:
        self._csv.writerow(csv_cells(row, self._layout))

    def end(self, outcome: Outcome) -> None:
        """The rows are all there is."""


class _Lines:
    """What `csv.writer` takes for a file."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def write(self, line: str) -> int:
        self._write(line)
        return len(line)
