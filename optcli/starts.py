"""A run from many starts: the best end, the distinct minima, and how often each was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optcli.conclusion import Conclusion
from optcli.local_runs import LocalRuns, Pursued, Ran
from optcli.optimize.methods.method import Method
from optcli.optimize.multistart import box, search
from optcli.optimize.pursue import Pursuit
from optcli.optimize.solve import solve
from optcli.optimize.status import Status
from optcli.optimize.stop import Stop
from optcli.outcome import FoundMinimum, Watch
from optcli.prepare import Prepared
from optcli.problems import Problems
from optcli.rows import Rows, signed


def many(
    ready: Prepared,
    stop: Stop,
    methods: Sequence[Method],
    problems: Problems,
    pursued: Pursued,
    batched: bool,
    watch: Watch,
    sign: float,
) -> tuple[Pursuit[Conclusion], int, tuple[FoundMinimum, ...], Rows]:
    """The best of many starts, how many were made, the minima found, and the rows of the best.

    Each start is a run of the first method; ends that are new are `pursued` from there. An end by a limit or a signal
    is the last. `batched`: the problem runs many starts at once, and no other method follows.
    """
    config, layout = ready.config, ready.objective.layout
    runs = LocalRuns(ready, stop, methods, problems, pursued, batched, watch, sign)
    ends = box(ready.start, *(ready.bounds or (None, None)))
    random = np.random.default_rng(config.seed)
    with runs.workers:
        searched = search(runs.run, ready.start, config.starts, ends, random, runs.judge)
        best: Ran = searched.best.outcome
        if best.judged is None:
            best = runs.judge([best])[0].outcome
        end, rows = _told(best, runs, problems, methods[0])
    asked = stop.signal()
    if asked:
        message = (
            f"stopped by {asked} after {searched.starts} of {config.starts} starts: the best point so far is given"
        )
        end = end._replace(end=end.end._replace(status=Status.INTERRUPTED, message=message))
    for row in rows.seen:
        watch.row(row)
    minima = tuple(
        FoundMinimum(
            layout.split(each.x), signed(sign, each.value), each.times, each.outcome.judged.pursuit.end.verdict
        )
        for each in searched.minima
    )
    return end, searched.starts, minima, rows


def _told(ran: Ran, runs: LocalRuns, problems: Problems, method: Method) -> tuple[Pursuit[Conclusion], Rows]:
    """The end of a judged run, with its rows from the first on."""
    assert ran.judged is not None
    assert ran.judged.pursuit is not None
    rows, counts = runs.rows(), replace(problems.counts)
    if ran.alone is not None:
        rows.history.extend(ran.alone.history)
        rows.seen.extend(ran.alone.seen)
    elif rows.every:  # a batch shows none: the run is made again, as far as time and signals allow
        stop = replace(runs.rest(), iters=ran.end.iteration, tol=None, target=None, max_evals=None)
        problems.begin(counts)
        solve(problems.of(method), method, ran.start, stop, rows)
        problems.begin(counts)
    rows.history.extend(ran.judged.history)
    rows.seen.extend(ran.judged.seen)
    return ran.judged.pursuit, rows
