"""The only loop in the project, who may watch it, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Counts, Problem
from optcli.optimize.status import ENDINGS, EXIT_CODES, Ending, Status, exit_code
from optcli.optimize.stop import Check, Stop

__all__ = [
    "ENDINGS",
    "EXIT_CODES",
    "Check",
    "Counts",
    "Ending",
    "Iterate",
    "Point",
    "Problem",
    "Result",
    "Silent",
    "Status",
    "Stop",
    "Watch",
    "exit_code",
    "solve",
]


class Watch(Protocol):
    """Who sees a run go by."""

    def begin(self, iterate: Iterate, check: Check) -> None:
        """Called once, with the first iterate and the rules, before anything is judged."""

    def next_row(self, iteration: int) -> int | None:
        """The first iterate to show as a row among those after `iteration` or more updates; None: no more."""

    def row(self, iterate: Iterate) -> None:
        """Called with each iterate asked for once the update from it is made: row `iterate.iteration + 1`."""

    def progress(self, iterate: Iterate) -> None:
        """Called after every `advance`, some ten times a second or, between rows, more often."""


@dataclass(frozen=True)
class Silent:
    """A watch that shows nothing; base of those that show a row every N-th iteration (0: none)."""

    every: int = 0

    def begin(self, iterate: Iterate, check: Check) -> None: ...

    def next_row(self, iteration: int) -> int | None:
        """Row i holds what is true before the i-th update, so it is the iterate after i − 1 of them."""
        return iteration + self.every - 1 - iteration % self.every if self.every else None

    def row(self, iterate: Iterate) -> None: ...

    def progress(self, iterate: Iterate) -> None: ...


@dataclass(frozen=True, eq=False)
class Result:
    """How a run ended, where, and what it cost."""

    status: Status
    message: str
    iterate: Iterate  # the last
    point: Point  # the one reported: the last for completed and converged, else the lowest finite one, else the start
    scale: float  # of the tolerance, see stop.Check
    tolerance: float  # T of contract §2 at that point, whether it was active or not
    counts: Counts
    seconds: float

    @property
    def iterations(self) -> int:
        """Updates made."""
        return self.iterate.iteration


def solve(problem: Problem, method: Method, start: Array | Iterate, stop: Stop, watch: Watch | None = None) -> Result:
    """Minimize until a rule of `stop` ends the run.

    From `start`, shape (problem.size,), moved into the bounds; or on from an iterate of this method, as if the run had
    never been interrupted.
    """
    watch = Silent() if watch is None else watch
    began = stop.clock()
    with np.errstate(all="ignore"):  # what is not finite ends the run with a status
        iterate = start if isinstance(start, Iterate) else method.init(problem, start)
        check = stop.begin(problem, iterate, began, method.gradients)
        watch.begin(iterate, check)
        while (ending := check(iterate)) is None:
            row = watch.next_row(iterate.iteration)
            shown = row == iterate.iteration
            after = problem.advance(method, iterate, check, iterate.iteration + 1 if shown else row)
            if shown and after.iteration > iterate.iteration:
                watch.row(iterate)
            iterate = after
            watch.progress(iterate)
        point = reported(ending.status, iterate)
        return Result(
            status=ending.status,
            message=ending.message,
            iterate=iterate,
            point=point,
            scale=check.scale,
            tolerance=check.tolerance(point.value),
            counts=replace(problem.counts),
            seconds=stop.clock() - began,
        )


def reported(status: Status, last: Iterate) -> Point:
    """The point to report, contract §4."""
    if status in (Status.COMPLETED, Status.CONVERGED) or last.best is None:
        return last.point
    return last.best
