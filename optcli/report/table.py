"""The table for people: a heading, a line a row, the summary. Plain in a pipe, drawn by rich on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from optcli.report.columns import Column, columns_of
from optcli.report.drawing import console_of, styled, text_of
from optcli.report.numbers import ENDS, LONG, largest, short, vector
from optcli.report.screen import Screen
from optcli.report.summary import LABEL, Item, heading, summary

if TYPE_CHECKING:
    from optcli.outcome import Outcome, Preview, Row

GAP = 2  # blanks between two columns
COUNT = 9  # columns for a whole number: the width of "Iteration"
TONES = {"good": "green", "bad": "yellow", "": ""}  # styles of rich
NARROW = 60  # columns below which titles are shortened

# From the roomiest to the tightest: digits of a number, digits of a point's entries, and how a point is shown.
LADDER = (
    (10, 6, "entries"),
    (10, 4, "entries"),
    (10, 3, "entries"),
    (7, 3, "entries"),
    (6, 3, "entries"),
    (4, 2, "entries"),
    (10, 6, "ends"),
    (10, 4, "ends"),
    (7, 3, "ends"),
    (10, 6, "norm"),
    (6, 4, "norm"),
    (4, 3, "norm"),
    (3, 2, "norm"),
)


class Cell(NamedTuple):
    """How a column is laid out: its title, its width, and the text of a value in it."""

    title: str
    width: int
    right: bool
    text: Callable[[Any], str]


def room(digits: int) -> int:
    """Columns of a number with so many digits: its sign, point and two-digit exponent included."""
    return digits + 6


def lay_out(size: int, names: Sequence[str], width: int | None) -> list[Cell]:
    """The columns of the table for points of `size` entries, on the highest rung of the ladder that fits `width`."""
    for digits, fine, form in LADDER:
        if form == "entries" and size > LONG:
            continue
        cells = [_cell(column, size, names, width, digits, fine, form) for column in columns_of("table")]
        if width is None or sum(cell.width for cell in cells) + GAP * (len(cells) - 1) <= width:
            break
    return cells


def _cell(
    column: Column, size: int, names: Sequence[str], width: int | None, digits: int, fine: int, form: str
) -> Cell:
    tight = width is not None and width < NARROW
    if column.kind == "count":
        return Cell(column.title[:4] if tight else column.title, 6 if tight else COUNT, True, str)
    if column.kind == "number":
        return Cell(" " + column.title, room(digits), False, lambda value: _signed(value, digits))
    entry = room(fine)
    if form == "norm":
        return Cell(column.title, entry + 5, False, lambda flat: f"norm {short(largest(flat), fine, entry)}")
    count, extra = (size, 2) if form == "entries" else (sum(ENDS) + 1, 10)
    full = count * entry + 2 * (count - 1) + extra
    title = f"{column.title} ({', '.join(names)})"
    fits = form == "entries" and len(title) <= (full if width is not None else 2 * full)
    most = LONG if form == "entries" else sum(ENDS)
    return Cell(title if fits else column.title, full, False, lambda flat: vector(flat, fine, entry, most))


def _signed(value: float, digits: int) -> str:
    text = short(value, digits, room(digits))
    return text if text.startswith("-") else " " + short(value, digits, room(digits) - 1)


class TableWriter:
    """Writes the table; `screen` decides between plain lines and rich."""

    def __init__(self, write: Callable[[str], None], screen: Screen) -> None:
        self._width = screen.width
        self._draw = Drawn(write, screen) if screen.rich else Plain(write)

    def begin(self, preview: Preview) -> None:
        layout = preview.layout
        names = layout.entries() if layout.size <= LONG else []
        self._read = [column.read for column in columns_of("table")]
        self._cells = lay_out(layout.size, names, self._width)
        self._draw.heading(heading(preview, self._width))

    def row(self, row: Row) -> None:
        texts = [cell.text(read(row)) for cell, read in zip(self._cells, self._read, strict=True)]
        self._draw.row(self._cells, texts)

    def end(self, outcome: Outcome) -> None:
        self._draw.summary(summary(outcome, self._width))


class Plain:
    """Aligned lines without any markup."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._rows = 0

    def heading(self, lines: list[str]) -> None:
        self._write("\n".join(lines) + "\n\n")

    def row(self, cells: list[Cell], texts: list[str]) -> None:
        if not self._rows:
            self._titles(cells)
        self._line(cells, texts)
        self._rows += 1

    def summary(self, items: list[Item]) -> None:
        lines = [""] if self._rows else []
        for item in items:
            lines += [f"{item.label:{LABEL}}{item.lines[0]}", *(" " * LABEL + line for line in item.lines[1:])]
        self._write("\n".join(lines) + "\n")

    def _titles(self, cells: list[Cell]) -> None:
        self._line(cells, [cell.title for cell in cells])

    def _line(self, cells: list[Cell], texts: list[str]) -> None:
        padded = [
            f"{text:>{cell.width}}" if cell.right else f"{text:<{cell.width}}"
            for cell, text in zip(cells, texts, strict=True)
        ]
        self._write((" " * GAP).join(padded).rstrip() + "\n")


class Drawn(Plain):
    """The same lines, with titles and summary in the styles of rich; rows are plain text, and so appear at once."""

    def __init__(self, write: Callable[[str], None], screen: Screen) -> None:
        super().__init__(write)
        self._screen = screen

    def heading(self, lines: list[str]) -> None:
        first, *others = lines
        self._write(styled(self._screen, [[(first, "bold cyan")], *([(line, "dim")] for line in others), []]))

    def summary(self, items: list[Item]) -> None:
        lines: list[list[tuple[str, str]]] = [[]] if self._rows else []
        for item in items:
            labels = [f"{item.label:{LABEL}}", *[" " * LABEL] * len(item.lines)]
            lines += [
                [(label, "bold"), (text, TONES[item.tone])] for label, text in zip(labels, item.lines, strict=False)
            ]
        self._write(styled(self._screen, lines))

    def _titles(self, cells: list[Cell]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        # rich draws one blank before and one after the line between two columns, which makes GAP
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for cell in cells:
            table.add_column(
                Text(cell.title, style="bold"), min_width=cell.width, justify="right" if cell.right else "left"
            )
        console = console_of(Screen(colour=self._screen.colour))  # the cells fit already: nothing may be cut
        console.print(table)
        self._write(text_of(console))
