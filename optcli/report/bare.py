"""`--print`: one bare value, for shells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from optcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from optcli.layout import Layout
    from optcli.outcome import Outcome, Preview, Row

WORDS = ("value", "x", "status")


def known_request(what: str) -> bool:
    """Whether `what` is a request as such: `value`, `x`, `status` or `x.NAME`."""
    return what in WORDS or (what.startswith("x.") and len(what) > 2)


class BareWriter:
    """Writes `value`, `status`, all of `x`, a variable `x.NAME` or an entry `x.NAME[1]`: a number a line, in full."""

    def __init__(self, write: Callable[[str], None], what: str) -> None:
        if not known_request(what):
            raise UsageError(
                f"--print takes value, x, x.NAME or status, not {what!r}.",
                did_you_mean(what, WORDS) or "Try --print x.",
            )
        self._write = write
        self._what = what
        self._places = slice(None)

    def begin(self, preview: Preview) -> None:
        if self._what.startswith("x."):
            self._places = _find(self._what[2:], preview.layout)

    def row(self, row: Row) -> None:
        """Rows are not asked for."""

    def end(self, outcome: Outcome) -> None:
        if self._what == "status":
            self._write(f"{outcome.status}\n")
        else:
            entries = [outcome.value] if self._what == "value" else outcome.minimizer[self._places]
            self._write("".join(f"{float(entry)!r}\n" for entry in entries))


def _find(name: str, layout: Layout) -> slice:
    """Where the variable or entry `name` stands. Raises UsageError for an unknown one, before the run."""
    slices = layout.slices()
    if name in slices:
        return slices[name]
    wanted = name.replace(" ", "")
    if "[" in wanted and wanted.split("[")[0] in slices:
        entries = layout.entries()
        if wanted in entries:
            return slice(entries.index(wanted), entries.index(wanted) + 1)
    names = ", ".join(list(slices)[:8]) + (", …" if len(slices) > 8 else "")
    raise UsageError(
        f"--print x.{name}: the function has no variable {name}; it has {names}.", did_you_mean(name, slices)
    )
