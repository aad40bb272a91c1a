"""A JSON object a line: rows as they come, then the result without its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from optcli.report.columns import record
from optcli.report.json_format import dumps

if TYPE_CHECKING:
    from optcli.layout import Layout
    from optcli.outcome import Outcome, Preview, Row
    from optcli.report.files import LogFile


class NdjsonWriter:
    """Writes `{"kind": "row", …}` lines and a `{"kind": "result", …}` line."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._layout: Layout

    def begin(self, preview: Preview) -> None:
        self._layout = preview.layout

    def row(self, row: Row) -> None:
        self._write(dumps({"kind": "row", **record(row, self._layout)}) + "\n")

    def end(self, outcome: Outcome) -> None:
        self._write(dumps({"kind": "result", **outcome.to_dict(history=False)}) + "\n")


class LogWriter(NdjsonWriter):
    """`--log`: the rows alone, in a file that can be followed; `earlier` are those before a run went on."""

    def __init__(self, file: LogFile, earlier: Iterable[Mapping[str, Any]] = ()) -> None:
        super().__init__(lambda text: file.write(text.encode()))
        self._file = file
        self._earlier = earlier

    def begin(self, preview: Preview) -> None:
        self._file.begin()
        super().begin(preview)
        for row in self._earlier:
            self._write(dumps({"kind": "row", **row}) + "\n")

    def end(self, outcome: Outcome) -> None:
        """Rows only."""
