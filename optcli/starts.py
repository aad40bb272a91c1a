"""A run from many starts: the best end, the distinct minima, and how often each was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optcli.conclusion import Conclusion
from optcli.optimize.iterate import Array, Iterate
from optcli.optimize.multistart import Local, box, search
from optcli.optimize.pursue import Course, Pursuit
from optcli.optimize.solve import Result
from optcli.optimize.stop import Stop
from optcli.outcome import FoundMinimum, Unwatched, Watch
from optcli.prepare import Prepared
from optcli.rows import Rows, signed

TURN = 200  # updates of a quick run: what takes longer is better begun elsewhere


def many(
    ready: Prepared,
    stop: Stop,
    quick: Callable[[Array, Stop, Rows], Result],
    pursued: Callable[[Iterate, Stop, Rows, Course], Pursuit[Conclusion]],
    watch: Watch,
    sign: float,
) -> tuple[Pursuit[Conclusion], int, tuple[FoundMinimum, ...], Rows]:
    """The best of many starts, how many were made, the minima found, and the rows of the best.

    Each start is a `quick` run of the first method; ends that are new are `pursued` from there. Limits are those of all
    starts together; an end by a limit or a signal is the last.
    """
    config, layout = ready.config, ready.objective.layout
    began = stop.clock()
    over = False

    def rest() -> Stop:
        return replace(stop, used=stop.clock() - began)

    def local(x: Array) -> Local | None:
        nonlocal over
        if over:
            return None
        rows = Rows(config.every, Unwatched(), layout, sign)
        result = quick(x, replace(rest(), turn=TURN if stop.judges else None), rows)
        point = result.point
        spent = stop.max_evals is not None and result.counts.gradient >= stop.max_evals
        late = stop.max_time is not None and stop.clock() - began >= stop.max_time
        over = bool(stop.signal()) or spent or late or (result.status == "completed" and stop.target is not None)
        watch.progress(result.iterations, signed(sign, point.value))
        # an end that is none, or comes from the last evaluations, is no minimum, but may be the best there is
        return Local(point.x, point.value, None if point.finite and not over else False, (result, rows))

    def judged(end: Local) -> Local:
        """What the point is, and where an escape or another method gets from there."""
        result, rows = end.outcome
        pursuit = pursued(result.iterate, rest(), rows, Course())
        point = pursuit.result.point
        return Local(point.x, point.value, pursuit.end.verdict.good, (pursuit, rows))

    ends = box(ready.start, *(ready.bounds or (None, None)))
    random = np.random.default_rng(config.seed)
    searched = search(local, ready.start, config.starts, ends, random, judged)
    best = searched.best if isinstance(searched.best.outcome[0], Pursuit) else judged(searched.best)
    end, rows = best.outcome
    for row in rows.seen:
        watch.row(row)
    minima = tuple(
        FoundMinimum(layout.split(each.x), signed(sign, each.value), each.times, each.outcome[0].end.verdict)
        for each in searched.minima
    )
    return end, searched.starts, minima, rows
