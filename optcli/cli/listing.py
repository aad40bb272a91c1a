"""Lists and descriptions that commands print: plain lines in a pipe, rich tables on a terminal, JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from optcli.cli.options import words
from optcli.cli.streams import standard_output
from optcli.errors import UsageError, did_you_mean, visible
from optcli.report.drawing import styled
from optcli.report.json_format import dumps
from optcli.report.numbers import flow, wrap
from optcli.report.screen import screen_of

FORMATS = ("table", "json")
GAP = 2
COMFORT = 32  # columns that the last column of a table needs; with fewer, rows are stacked


def listing_options() -> list[click.Parameter]:
    """`--format` and `--no-color` of the commands that list something."""
    complete = words(lambda: FORMATS)
    return [
        click.Option(
            ["--format", "form"], metavar="table|json", default="table", help="table or json", shell_complete=complete
        ),
        click.Option(["--no-color"], is_flag=True, help="no colors"),
    ]


def wants_json(form: str) -> bool:
    """Raises UsageError for a word that is no format."""
    if form not in FORMATS:
        raise UsageError(f"--format is table or json here, not {visible(form[:40])!r}", did_you_mean(form, FORMATS))
    return form == "json"


def show_json(records: Sequence[dict[str, Any]]) -> None:
    """A list of objects, one a line."""
    standard_output("[" + ",\n ".join(dumps(record) for record in records) + "]\n")


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]], no_color: bool = False) -> None:
    """Rows under their titles; the last column is wrapped where the screen is narrow."""
    screen = screen_of(sys.stdout, os.environ, no_color)
    widths = [max(len(title), *(len(row[n]) for row in rows)) for n, title in enumerate(titles)]
    left = sum(widths[:-1]) + GAP * (len(titles) - 1)
    room = None if screen.width is None else screen.width - left
    if room is not None and room < min(COMFORT, widths[-1]):
        _stacked(rows, screen.width)
        return
    lines = []
    for row in [list(titles), *rows]:
        head = [f"{text:<{width}}" for text, width in zip(row[:-1], widths[:-1], strict=True)]
        first, *others = wrap(row[-1], room)
        lines.append(((" " * GAP).join([*head, first])).rstrip())
        lines += [" " * left + line for line in others]
    if not screen.rich:
        standard_output("\n".join(lines) + "\n")
        return
    top, *body = lines
    rule = "─" * max(map(len, lines))
    standard_output(styled(screen, [[(top, "bold")], [(rule, "dim")], *([(line, "")] for line in body)]))


def show_entries(entries: Sequence[tuple[str, Sequence[str]]], no_color: bool = False) -> None:
    """Labels, each with its lines beside it."""
    screen = screen_of(sys.stdout, os.environ, no_color)
    left = max(len(label) for label, _ in entries) + GAP
    room = None if screen.width is None else max(screen.width - left, 16)
    lines: list[tuple[str, str]] = []
    for label, texts in entries:
        pieces = [piece for text in texts for piece in wrap(text, room)]
        lines += [(label if n == 0 else "", piece) for n, piece in enumerate(pieces)]
    if not screen.rich:
        standard_output("".join(f"{label:<{left}}{text}".rstrip() + "\n" for label, text in lines))
        return
    standard_output(styled(screen, [[(f"{label:<{left}}", "bold"), (text, "")] for label, text in lines]))


def show_title(title: str, no_color: bool) -> None:
    """A title on a line of its own."""
    screen = screen_of(sys.stdout, os.environ, no_color)
    standard_output(styled(screen, [[(title, "bold cyan")]]) if screen.rich else title + "\n")


def _stacked(rows: Sequence[Sequence[str]], width: int | None) -> None:
    room = None if width is None else width - 2
    for row in rows:
        first, *others = flow(row[:-1], width, "  ")
        standard_output(first + "\n" + "".join(f"  {line}\n" for text in others for line in wrap(text, room)))
        standard_output("".join(f"  {line}\n" for line in wrap(row[-1], room)))
