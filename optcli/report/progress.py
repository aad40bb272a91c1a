"""How far a long run is, on standard error: a line that is erased before anything is shown, on a terminal only; and
the answer to those who ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from optcli.report.numbers import short

PATIENCE = 0.5  # s before the line appears, issue 2 §5
BETWEEN = 0.1  # s from one drawing to the next


class ProgressLine:
    """`width`: columns of the terminal; `smart`: whether it understands escapes (TERM=dumb does not)."""

    def __init__(self, stream: TextIO, width: int, smart: bool) -> None:
        self._stream = stream
        self._width = width
        self._smart = smart
        self._shown = 0
        self.begin()

    def begin(self) -> None:
        """The run begins now."""
        self._begun = time.monotonic()
        self._next = self._begun + PATIENCE

    def show(self, iteration: int, value: float) -> None:
        """Draw the line if it is time; cheap otherwise."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + BETWEEN
        pieces = _pieces(iteration, value, now - self._begun)
        while len(", ".join(pieces)) >= self._width and len(pieces) > 1:
            pieces.pop()
        self.erase()
        text = ", ".join(pieces)[: self._width - 1]
        self._stream.write(text)
        self._stream.flush()
        self._shown = len(text)

    def erase(self) -> None:
        """Leave an empty line with the cursor at its beginning."""
        if self._shown:
            self._stream.write("\r\x1b[K" if self._smart else "\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0


class Answers:
    """Says how far the run is, by `say`, where `asked` is true."""

    def __init__(self, asked: Callable[[], bool], say: Callable[[str], None]) -> None:
        self._asked = asked
        self._say = say
        self.begin()

    def begin(self) -> None:
        """The run begins now."""
        self._begun = time.monotonic()

    def wanted(self) -> bool:
        return self._asked()

    def give(self, iteration: int, value: float) -> None:
        self._say(", ".join(_pieces(iteration, value, time.monotonic() - self._begun)))


def _pieces(iteration: int, value: float, seconds: float) -> list[str]:
    return [f"iteration {iteration:,}", f"value {short(value, 8)}", f"{seconds:.1f} s"]
