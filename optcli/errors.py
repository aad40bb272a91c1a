"""What can be wrong with what a user gave: each error says what, where, and what to do now.

The exit codes are those of the command line. This module imports nothing, so that every room may use it.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

WINDOW = 72  # columns of a long line that are shown around the spot


class OptcliError(Exception):
    """Base of every error that is the user's to mend.

    `message` says what is wrong, `remedy` what to do now (may be empty), `exit_code` how the command line ends.
    """

    exit_code = 2

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message + (f"\n{self.remedy}" if self.remedy else "")


class UsageError(OptcliError, ValueError):
    """A flag, a keyword or a value that does not fit."""


class ExpressionError(OptcliError, ValueError):
    """The text of a function that is refused; `span` is (start, end) in characters of `text`."""

    def __init__(self, message: str, text: str = "", span: tuple[int, int] = (0, 0), remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.text = text
        self.span = span

    def __str__(self) -> str:
        parts = [self.message]
        if self.text:
            parts += underline(self.text, self.span)
        if self.remedy:
            parts.append(self.remedy)
        return "\n".join(parts)


class ConfigError(OptcliError, ValueError):
    """A configuration that is refused; `where` is `file:line:column`, a flag's name or an environment variable's."""

    def __init__(self, message: str, where: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.where = where

    def __str__(self) -> str:
        return (f"{self.where}: " if self.where else "") + super().__str__()


class DataError(OptcliError, ValueError):
    """Data that cannot be used; `where` is `file:line`."""

    exit_code = 3

    def __init__(self, message: str, where: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.where = where

    def __str__(self) -> str:
        return (f"{self.where}: " if self.where else "") + super().__str__()


class FileError(OptcliError, OSError):
    """A file that cannot be read or written."""

    exit_code = 3


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The words of `known` that look most like `word`, best first."""
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.lower(), name)
    return [folded[hit] for hit in difflib.get_close_matches(word[:64].lower(), folded, n=most, cutoff=0.6)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest words, or an empty string."""
    hits = nearest(word, known)
    return f"Did you mean {' or '.join(hits)}?" if hits else ""


def visible(text: str) -> str:
    """`text` with every control, format and unassigned character written as an escape that a terminal shows."""
    return "".join(char if _shown(char) else char.encode("unicode_escape").decode() for char in text)


def underline(text: str, span: tuple[int, int]) -> list[str]:
    """The line of `text` in which `span` begins, and a line with carets under it.

    Columns are those of a terminal: wide characters count twice, combining ones not at all, escapes in full.
    """
    start, end = span
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", start)
    last = len(text) if last < 0 else last
    end = min(max(end, start + 1), max(last, start + 1))
    left, right = max(first, start - WINDOW // 2), min(last, max(end, start + WINDOW // 2))
    right = min(right, left + WINDOW)
    before = ("…" if left > first else "") + visible(text[left:start])
    spot = visible(text[start : min(end, right)])
    after = visible(text[min(end, right) : right]) + ("…" if right < last else "")
    return ["  " + before + spot + after, "  " + " " * _width(before) + "^" * max(1, _width(spot))]


def _shown(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ"


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.category(char) in ("Mn", "Me") for char in text)
