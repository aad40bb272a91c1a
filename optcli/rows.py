"""Iterates become rows of the function as typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optcli.layout import Layout
from optcli.optimize.iterate import Iterate
from optcli.optimize.solve import Silent
from optcli.optimize.stop import Check
from optcli.outcome import Row, Unwatched, Watch, as_record

if TYPE_CHECKING:
    from optcli.keeping import Keeper


@dataclass(frozen=True)
class Rows(Silent):
    """Turns iterates into rows of the function as typed, and keeps their records."""

    watch: Watch = field(default_factory=Unwatched)
    layout: Layout = field(default_factory=lambda: Layout(()))
    sign: float = 1.0
    history: list[dict[str, Any]] = field(default_factory=list)
    keeper: Keeper | None = None
    seen: list[Row] = field(default_factory=list)

    def begin(self, iterate: Iterate, check: Check) -> None:
        if self.keeper is not None:
            self.keeper.leg(iterate, check)

    def row(self, iterate: Iterate) -> None:
        row = Row(
            iterate.iteration + 1,
            signed(self.sign, iterate.value),
            signed(self.sign, iterate.gradient),
            iterate.x,
            iterate.gradient_norm,
        )
        self.history.append(as_record(row, self.layout))
        if isinstance(self.watch, Unwatched):
            self.seen.append(row)
        self.watch.row(row)

    def progress(self, iterate: Iterate) -> None:
        self.watch.progress(iterate.iteration, signed(self.sign, iterate.value))
        if self.keeper is not None:
            self.keeper.look(iterate)


def signed(sign: float, value: Any) -> Any:
    """The value as typed; 0 stays 0 when a maximum is told."""
    return value if sign > 0 else 0.0 - value
