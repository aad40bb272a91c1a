"""What the place that output goes to can show: is it a terminal, does it want colour, how wide is it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple, TextIO

NARROWEST = 20  # columns; below this nothing can be laid out
USUAL = 80  # columns of a terminal that does not say


class Screen(NamedTuple):
    """`width` is None where lines may have any length (a pipe or a file)."""

    terminal: bool = False
    colour: bool = False
    width: int | None = None

    @property
    def rich(self) -> bool:
        """Whether drawing is worth the import of rich."""
        return self.terminal or self.colour


def screen_of(stream: TextIO, environ: Mapping[str, str], no_color: bool = False) -> Screen:
    """The screen behind `stream`, as the conventions NO_COLOR, FORCE_COLOR, TERM=dumb and COLUMNS say."""
    dumb = environ.get("TERM") == "dumb"
    terminal = is_terminal(stream)
    refused = no_color or bool(environ.get("NO_COLOR")) or dumb
    forced = environ.get("FORCE_COLOR", "") not in ("", "0")
    width = _columns(environ.get("COLUMNS", "")) or (_terminal_columns(stream) if terminal else None)
    return Screen(terminal and not dumb, not refused and (terminal or forced), width)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _columns(text: str) -> int | None:
    return max(NARROWEST, int(text)) if text.isascii() and text.isdigit() and int(text[:6]) > 0 else None


def _terminal_columns(stream: TextIO) -> int:
    try:
        return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns or USUAL)
    except (OSError, ValueError):
        return USUAL
