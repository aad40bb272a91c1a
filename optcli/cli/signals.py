"""SIGINT and SIGTERM: before the first iterate they end the program, later they make the run stop at the next one.

SIGUSR1, and SIGINFO (Ctrl-T) where there is one, ask how far the run is.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

CODES = {"SIGINT": 130, "SIGTERM": 143}  # contract §4
QUESTIONS = ("SIGUSR1", "SIGINFO")


class Interrupted(BaseException):
    """Leave now with `code`; not an Exception, so that nothing on the way takes it for an error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Signals:
    """What has been received. `running`: there is a run that can stop and report its best point."""

    def __init__(self) -> None:
        self.received: str | None = None
        self.running = False
        self.quiet = False
        self._asked = False

    def begin(self) -> None:
        """From here on a first signal asks the run to stop."""
        self.running = True

    def poll(self) -> str | None:
        """The name of the signal received, or None; what `execute` asks between two iterates."""
        return self.received

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler. The second signal leaves at once, a third one is the system's to handle."""
        name = signal.Signals(number).name
        if self.received is not None or not self.running:
            signal.signal(number, signal.SIG_DFL)
            raise Interrupted(CODES[name])
        self.received = name
        if not self.quiet:
            _say(f"\n{name}: stopping at the next iterate; once more to leave at once\n")

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The handler of a question, which the run answers at the next iterate."""
        if self.running:
            self._asked = True
        else:
            _say("no iterate yet: reading and compiling\n")

    def asked(self) -> bool:
        """Whether there was a question since the last call."""
        asked, self._asked = self._asked, False
        return asked


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # not sys.stderr, which may be in the middle of a write
        os.write(2, text.encode())


@contextlib.contextmanager
def listening() -> Iterator[Signals]:
    """Handle these signals inside the block; outside of the main thread, where Python forbids it, do nothing."""
    signals = Signals()
    before = {}
    with contextlib.suppress(ValueError):
        for name in CODES:
            number = signal.Signals[name]
            before[number] = signal.signal(number, signals.handle)
        for name in QUESTIONS:
            if hasattr(signal, name):
                number = signal.Signals[name]
                before[number] = signal.signal(number, signals.ask)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
