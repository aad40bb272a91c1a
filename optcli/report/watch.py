"""What follows a run: the chosen format, the log, the minimizer's file and the progress line, behind one face."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from optcli.outcome import Outcome, Preview, Row
    from optcli.report.files import OutputFile
    from optcli.report.progress import Answers, ProgressLine


class Writer(Protocol):
    """A format at work."""

    def begin(self, preview: Preview) -> None: ...

    def row(self, row: Row) -> None: ...

    def end(self, outcome: Outcome) -> None: ...


class Report(NamedTuple):
    """The watch that `execute` is given; `end` is called with its outcome."""

    writers: tuple[Writer, ...]
    progress_line: ProgressLine | None = None
    save_x: OutputFile | None = None
    begun: Callable[[], None] = lambda: None
    note: Callable[[str], None] = lambda text: None  # for standard error
    answers: Answers | None = None

    def begin(self, preview: Preview) -> None:
        for text in preview.notes:
            self.note(text)
        for writer in self.writers:
            writer.begin(preview)
        for line in (self.progress_line, self.answers):
            if line is not None:
                line.begin()
        self.begun()

    def row(self, row: Row) -> None:
        self._clear()
        for writer in self.writers:
            writer.row(row)

    def progress(self, iteration: int, value: float) -> None:
        if self.answers is not None and self.answers.wanted():
            self._clear()
            self.answers.give(iteration, value)
        if self.progress_line is not None:
            self.progress_line.show(iteration, value)

    def end(self, outcome: Outcome) -> None:
        self._clear()
        for writer in self.writers:
            writer.end(outcome)
        if self.save_x is not None:
            self.save_x.write(minimizer_bytes(outcome))

    def warn(self, text: str) -> None:
        """A note in the middle of the run."""
        self._clear()
        self.note(text)

    def _clear(self) -> None:
        if self.progress_line is not None:
            self.progress_line.erase()


def minimizer_bytes(outcome: Outcome) -> bytes:
    """The minimizer as a `.npy` file: in its own shape if it is one vector or matrix, else flat."""
    import io

    import numpy as np

    variables = outcome.preview.layout.variables
    flat = np.asarray(outcome.minimizer, dtype=np.float64)
    buffer = io.BytesIO()
    np.save(buffer, flat.reshape(variables[0].shape) if len(variables) == 1 and variables[0].shape else flat)
    return buffer.getvalue()
