"""When a checkpoint is written: at the beginning, every few seconds, at the end; and how a run goes on from one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optcli import __version__
from optcli.checkpoint import AGAIN, Checkpoint, part, pieces, sealed
from optcli.errors import DataError, FileError, visible
from optcli.optimize.iterate import Iterate
from optcli.optimize.pursue import Course
from optcli.optimize.status import Status
from optcli.optimize.stop import Check

if TYPE_CHECKING:
    from optcli.outcome import Preview
    from optcli.prepare import Prepared

BETWEEN = 2.0  # seconds from one checkpoint to the next
SHARE = 10  # and at least so many times what the last one took, so that a run is slowed by a tenth at most


class Keeper:
    """Writes checkpoints of one run by `write`, which puts the bytes in place of the last ones or raises FileError.

    A checkpoint that cannot be written before the first iteration ends the run; later the run goes on, it is said by
    `note`, and tried again; `error` is set where the last one failed. `extra` is asked at each writing for what a plan
    of several methods or starts has to add.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        note: Callable[[str], None] = lambda text: None,
        fresh: bool = True,  # False: the file holds the checkpoint that the run goes on from
        extra: Callable[[], Mapping[str, Any]] = dict,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._write = write
        self._note = note
        self._fresh = fresh
        self.extra = extra
        self._clock = clock
        self._check: Check | None = None
        self.error: FileError | None = None

    def begin(
        self, ready: Prepared, preview: Preview, history: Sequence[Mapping[str, Any]], since: Checkpoint | None
    ) -> None:
        """What does not change, the list that rows are added to, and what the run goes on from."""
        bounds = None if ready.bounds is None else dict(zip(("lower", "upper"), ready.bounds, strict=True))
        run = {**preview.to_dict(), "start": preview.start, "bounds": bounds, "tried": ready.tried}
        self._run, self._history, self._rows = part(run), history, list[bytes]()
        self._before = (0.0, 0.0) if since is None else (since.used, since.seconds)
        self._began = self._clock()

    def leg(self, iterate: Iterate, check: Check) -> None:
        """A method begins at `iterate`, under the rules of `check`."""
        first, self._check = self._check is None, check
        if not first:
            self.look(iterate)
        elif self._fresh:
            self._put(iterate, None)
        else:
            self._next = self._clock() + BETWEEN

    def look(self, iterate: Iterate) -> None:
        """Write if it is time; cheap otherwise. Called between two iterates."""
        if self._clock() < self._next:
            return
        failed = self.error is not None
        try:
            self._put(iterate, None)
        except FileError as error:
            self.error = error
            if not failed:
                self._note(f"{error.message} The run goes on, and it is tried again.")

    def end(self, iterate: Iterate, status: Status) -> None:
        """The last one."""
        try:
            self._put(iterate, status)
        except FileError as error:
            self.error = error

    def _put(self, iterate: Iterate, status: Status | None) -> None:
        assert self._check is not None
        now = self._clock()
        self._next = now + BETWEEN  # also where it fails
        self._rows += map(part, self._history[len(self._rows) :])
        problem = self._check.problem
        checkpoint = Checkpoint(
            version=__version__,
            run={},
            status=status,
            iterate=iterate,
            counts=replace(problem.counts),
            masked=problem.masked(),
            scale=self._check.scale,
            used=self._before[0] + now - self._began,
            seconds=self._before[1] + now - self._began,
            extra=self.extra(),
            history=(),
        )
        self._write(sealed(pieces(checkpoint, self._run, self._rows)))
        self.error = None
        after = self._clock()
        self._next = after + max(BETWEEN, SHARE * (after - now))


def continued(ready: Prepared, since: Checkpoint) -> Prepared:
    """What was made ready again from the function's text, with the start and the bounds that the run had.

    Raises DataError where they do not fit the function.
    """
    run, size = since.run, ready.objective.layout.size
    ends = () if run["bounds"] is None else (run["bounds"]["lower"], run["bounds"]["upper"])
    if any(array.shape != (size,) for array in (run["start"], *ends)):
        raise DataError(f"the checkpoint does not fit its function of {size} variables", "", AGAIN)
    return replace(
        ready,
        source=ready.source._replace(label=run["function"]),
        start=run["start"],
        start_origin=run["start_origin"],
        bounds=ends or None,
        tried=run["tried"],
    )


def course(since: Checkpoint, methods: int, size: int) -> Course:
    """How far the legs had come, of so many methods on `size` variables. Raises DataError for what is no course."""
    try:
        return Course.restored(since.extra, methods, size)
    except (KeyError, TypeError, ValueError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"the checkpoint makes no sense: {visible(what)[:120]}", "", AGAIN) from None
