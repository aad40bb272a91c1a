"""A run from many starts: the best end, the distinct minima, and how often each was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optcli.conclusion import Conclusion
from optcli.optimize.iterate import Array
from optcli.optimize.multistart import Local, box, search
from optcli.optimize.pursue import Course, Pursuit
from optcli.optimize.stop import Stop
from optcli.outcome import FoundMinimum, Unwatched, Watch
from optcli.prepare import Prepared
from optcli.rows import Rows, signed


def many(
    ready: Prepared,
    stop: Stop,
    pursued: Callable[[Array, Stop, Rows, Course], Pursuit[Conclusion]],
    watch: Watch,
    sign: float,
) -> tuple[Pursuit[Conclusion], int, tuple[FoundMinimum, ...], Rows]:
    """The best of many starts, how many were made, the minima found, and the rows of the best.

    Limits are those of all starts together; an end by a limit or a signal is the last.
    """
    config, layout = ready.config, ready.objective.layout
    began = stop.clock()
    over = False

    def local(x: Array) -> Local | None:
        nonlocal over
        if over:
            return None
        rows = Rows(config.every, Unwatched(), layout, sign)
        end = pursued(x, replace(stop, used=stop.clock() - began), rows, Course())
        point, verdict = end.result.point, end.end.verdict
        spent = stop.max_evals is not None and end.result.counts.gradient >= stop.max_evals
        late = stop.max_time is not None and stop.clock() - began >= stop.max_time
        over = bool(stop.signal()) or spent or late or (end.result.status == "completed" and stop.target is not None)
        watch.progress(end.result.iterations, signed(sign, point.value))
        return Local(point.x, point.value, verdict.good, (end, rows))

    ends = box(ready.start, *(ready.bounds or (None, None)))
    searched = search(local, ready.start, config.starts, ends, np.random.default_rng(config.seed))
    end, rows = searched.best.outcome
    for row in rows.seen:
        watch.row(row)
    minima = tuple(
        FoundMinimum(layout.split(each.x), signed(sign, each.value), each.times, each.outcome[0].end.verdict)
        for each in searched.minima
    )
    return end, searched.starts, minima, rows
