"""A run from many starts: the best end, the distinct minima, and how often each was found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optcli.conclusion import Conclusion
from optcli.local_runs import LocalRuns, Ran
from optcli.optimize.multistart import box, search
from optcli.optimize.pursue import Pursuit
from optcli.optimize.solve import solve
from optcli.optimize.status import Status
from optcli.outcome import FoundMinimum
from optcli.rows import Rows, signed


def many(runs: LocalRuns) -> tuple[Pursuit[Conclusion], int, tuple[FoundMinimum, ...], Rows]:
    """The best of many starts, how many were made, the minima found, and the rows of the best.

    An end by a limit or a signal is the last.
    """
    ready, sign = runs.ready, runs.sign
    config, layout = ready.config, ready.objective.layout
    ends = box(ready.start, *(ready.bounds or (None, None)))
    random = np.random.default_rng(config.seed)
    with runs.workers:
        searched = search(runs.run, ready.start, config.starts, ends, random, runs.judge)
        best: Ran = searched.best.outcome
        if best.judged is None:
            best = runs.judge([best])[0].outcome
        end, rows = _told(best, runs)
    asked = runs.stop.signal()
    if asked:
        message = (
            f"stopped by {asked} after {searched.starts} of {config.starts} starts: the best point so far is given"
        )
        end = end._replace(end=end.end._replace(status=Status.INTERRUPTED, message=message))
    for row in rows.seen:
        runs.watch.row(row)
    minima = tuple(
        FoundMinimum(
            layout.split(each.x), signed(sign, each.value), each.times, each.outcome.judged.pursuit.end.verdict
        )
        for each in searched.minima
    )
    return end, searched.starts, minima, rows


def _told(ran: Ran, runs: LocalRuns) -> tuple[Pursuit[Conclusion], Rows]:
    """The end of a judged run, with its rows from the first on."""
    assert ran.judged is not None
    assert ran.judged.pursuit is not None
    rows, problems, counts = runs.rows(), runs.problems, replace(runs.problems.counts)
    if ran.alone is not None:
        rows.history.extend(ran.alone.history)
        rows.seen.extend(ran.alone.seen)
    elif rows.every:  # a batch shows none: the run is made again, as far as time and signals allow
        stop = replace(runs.rest(), iters=ran.end.iteration, tol=None, target=None, max_evals=None)
        problems.begin(counts)
        solve(problems.of(runs.method), runs.method, ran.start, stop, rows)
        problems.begin(counts)
    rows.history.extend(ran.judged.history)
    rows.seen.extend(ran.judged.seen)
    return ran.judged.pursuit, rows
