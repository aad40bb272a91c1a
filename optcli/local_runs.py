"""The local runs of a search over many starts: side by side, and accepted in their order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from optcli.conclusion import Conclusion
from optcli.optimize.batch import Batch
from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import Method
from optcli.optimize.multistart import NO, OPEN, Ends, Local
from optcli.optimize.problem import Counts
from optcli.optimize.pursue import Course, Pursuit
from optcli.optimize.solve import solve
from optcli.optimize.status import Status
from optcli.optimize.stop import Stop
from optcli.outcome import Row, Unwatched, Watch
from optcli.prepare import Prepared
from optcli.problems import Problems
from optcli.rows import Rows, signed
from optcli.threads import threads
from optcli.workers import Workers

TURN = 200  # updates of a quick run: what takes longer is better begun elsewhere

Pursued = Callable[[Array | Iterate, Stop, Rows, Course], Pursuit[Conclusion]]


class Task(NamedTuple):
    """A run from a start of shape (n,), or a pursuit from where a run ended; `counts` are those made before."""

    start: Array | Iterate
    counts: Counts
    scale: float | None = None


class Answer(NamedTuple):
    """Where a Task led: the iterate, the point to report and what else is told; its rows, and what it cost."""

    end: Iterate
    scale: float
    status: Status
    point: Point
    pursuit: Pursuit[Conclusion] | None
    history: list[dict[str, Any]]
    seen: list[Row]
    cost: Counts


class Ran(NamedTuple):
    """A local run: where it began and ended, the answer where it ran alone, and the one of the pursuit from its end."""

    start: Array
    end: Iterate
    scale: float
    alone: Answer | None = None
    judged: Answer | None = None


def _told_of(ran: Ran, judged: Answer) -> Ran:
    """What is kept of a run to the end of the search: not the states of methods, which are many vectors."""

    def bare(answer: Answer) -> Answer:
        pursuit = answer.pursuit
        if pursuit is not None:
            iterate = replace(pursuit.result.iterate, state=())
            pursuit = pursuit._replace(result=replace(pursuit.result, iterate=iterate))
        return answer._replace(end=replace(answer.end, state=()), pursuit=pursuit)

    return ran._replace(
        end=replace(ran.end, state=()), alone=None if ran.alone is None else bare(ran.alone), judged=bare(judged)
    )


class LocalRuns:
    """The local runs of a search, and what they used up together.

    Limits are those of all starts together. Runs of a round, and then the pursuits from those ends that are new, go on
    at the same time, each with the evaluations that were left before the round. They are accepted in their order: one
    that would have met the limit is made again with what is left, those after it are thrown away. So the evaluations
    told keep to `max_evals` as those of one start do, where a line search goes to its end, and nothing but time depends
    on the number of cores.

    Each start is a run of the first method; ends that are new are `pursued` from there. `batched`: the problem runs
    many starts at once, and no other method follows.
    """

    def __init__(
        self,
        ready: Prepared,
        stop: Stop,
        methods: Sequence[Method],
        problems: Problems,
        pursued: Pursued,
        batched: bool,
        watch: Watch,
        sign: float,
    ) -> None:
        self.ready, self.stop, self.watch, self.sign = ready, stop, watch, sign
        self.method, self.problems, self._pursued = methods[0], problems, pursued
        self._began = stop.clock()
        self._over = False
        self._kinked = not ready.objective.smooth
        self._tasks, self._seconds = 0, 0.0
        self._last = 0, float("nan")
        self.workers = Workers(self._work, threads(), stop.signal)
        self.made = 0
        self._batched = batched
        # where no other method follows, a run goes to its end, on whichever engine
        self._whole = len(methods) == 1 and isinstance(methods[0], FirstOrder)

    # ------------------------------------------------------------ one task, here or in another process

    def rows(self) -> Rows:
        """For a run that nobody watches."""
        return Rows(self.ready.config.every, Unwatched(), self.ready.objective.layout, self.sign)

    def rest(self) -> Stop:
        """The rules, with the time that is used up."""
        return replace(self.stop, used=self.stop.clock() - self._began, signal=self.workers.told)

    def _work(self, task: Task) -> Answer:
        began = self.stop.clock()
        self.problems.begin(task.counts)
        rows, stop, pursuit = self.rows(), self.rest(), None
        if isinstance(task.start, Iterate):
            start = deepcopy(task.start)  # methods write into what they step from, and this may be done again
            pursuit = self._pursued(start, replace(stop, scale=task.scale), rows, Course())
            result = pursuit.result
        else:
            turn = TURN if stop.judges and not self._whole else None
            result = solve(self.problems.of(self.method), self.method, task.start, replace(stop, turn=turn), rows)
        cost = self.problems.counts - task.counts
        self._tasks, self._seconds = self._tasks + 1, self._seconds + self.stop.clock() - began
        return Answer(result.iterate, result.scale, result.status, result.point, pursuit, rows.history, rows.seen, cost)

    # ------------------------------------------------------------ what was used up

    def _spent(self) -> bool:
        """Whether the limit of evaluations is reached."""
        counts = self.problems.counts
        used = counts.gradient if self.method.gradients else counts.value
        return self.stop.max_evals is not None and used >= self.stop.max_evals

    def _met(self, task: Task, cost: Counts) -> bool:
        """Whether a run that its task let go on would have met the limit now; some methods count values."""
        most, now = self.stop.max_evals, self.problems.counts
        pairs = (task.counts.gradient, now.gradient + cost.gradient), (task.counts.value, now.value + cost.value)
        return most is not None and any(before < most <= after for before, after in pairs)

    def _late(self) -> bool:
        return self.stop.over(self._began)

    def _count(self, cost: Counts) -> None:
        self.problems.begin(self.problems.counts + cost)

    def _accepted(self, tasks: Sequence[Task]) -> Generator[tuple[Task, Answer]]:
        """(task, answer) in order, each within the limits, until the caller wants no more."""
        before = tasks[0].counts
        mean = self._seconds / max(1, self._tasks)
        sight = mean * max(len(tasks), 0 if self._batched else self.ready.config.starts - self.made)
        answers = self.workers.map(tasks, sight, lambda: self.watch.progress(*self._last))
        counts = before
        for task in tasks:
            answer = next(answers)
            self.problems.begin(counts)
            if counts != before and self._met(task, answer.cost):
                answer = self._work(task._replace(counts=counts))
                self.problems.begin(counts)
            self._count(answer.cost)
            counts = replace(self.problems.counts)
            self._last = answer.end.iteration, signed(self.sign, answer.point.value)
            self.watch.progress(*self._last)
            yield task, answer
            self.problems.begin(counts)

    # ------------------------------------------------------------ what the search asks for

    def run(self, points: Array) -> Ends:
        """The ends from these points, shape (m, n)."""
        if self._over:
            return Ends(points[:0], np.empty(0), np.empty(0, dtype=np.int8))
        batch = self._batch(points)
        ends = self._accept_runs(points) if batch is None else self._accept_batch(points, batch)
        self.made += len(ends.value)
        return ends

    def judge(self, ran: Sequence[Ran]) -> list[Local]:
        """What the ends are, and where an escape or another method gets from there."""
        counts = replace(self.problems.counts)
        found = []
        tasks = [Task(each.end, counts, each.scale) for each in ran]
        accepted = self._accepted(tasks)
        for each, (_, answer) in zip(ran, accepted, strict=False):
            assert answer.pursuit is not None
            good = answer.pursuit.end.verdict.good
            found.append(Local(answer.point.x, answer.point.value, good, _told_of(each, answer)))
            self._over = self._over or self._ends(answer.point)
            if self._over:
                break
        accepted.close()
        for each in ran[len(found) :]:  # nobody looks at them any more
            point = each.end.best or each.end.point
            found.append(Local(point.x, point.value, False, each))
        return found

    def _ends(self, point: Point) -> bool:
        """Whether a rule for all starts ends the search, with a run that has come to this point."""
        reached = self.stop.target is not None and point.value <= self.stop.target
        return self._spent() or self._late() or reached

    def _ended(self, start: Array, answer: Answer) -> tuple[Local, Ran]:
        """A run alone is over; so may be the search."""
        point = answer.point
        self._over = self._ends(point)
        # an end that is none, or comes from the last evaluations, is no minimum, but may be the best there is
        kept = point.finite and not self._over
        return Local(point.x, point.value, kept), Ran(start, answer.end, answer.scale, answer)

    def _accept_runs(self, points: Array) -> Ends:
        counts = replace(self.problems.counts)
        found = []
        accepted = self._accepted([Task(x, counts) for x in points])
        for x, (_, answer) in zip(points, accepted, strict=False):
            found.append(self._ended(x, answer))
            if self._over:
                break
        accepted.close()
        kept = np.array([OPEN if end.kept else NO for end, _ in found], dtype=np.int8)
        ends, values = np.array([end.x for end, _ in found]), np.array([end.value for end, _ in found])
        return Ends(ends, values, kept, lambda k: found[k][1])

    def _batch(self, points: Array) -> Batch | None:
        if not self._batched:
            return None
        self.problems.begin(replace(self.problems.counts))
        stop, used = self.stop, self.problems.counts.gradient
        left = None if stop.max_evals is None else max(1, stop.max_evals - used)

        def halted(made: int) -> bool:
            return self._late() or (left is not None and made >= left)

        problem = self.problems.of(self.method)
        return problem.batch(self.method, points, replace(stop, max_evals=left), halted)

    def _accept_batch(self, points: Array, batch: Batch) -> Ends:
        """Accept the ends of a batch in their order; some have to run alone."""
        stop, late = self.stop, self._late()
        x, value = batch.reported(stop)
        opened = batch.finite & ~batch.left & (batch.flat(stop) | batch.still | self._kinked)
        kept = np.where(opened, OPEN, NO).astype(np.int8)
        if late:
            kept[:] = NO
        special = batch.doubtful | batch.left if not late else np.zeros(len(points), dtype=np.bool_)
        reached = batch.reached(stop)
        cost = np.cumsum(batch.done + 1)
        alone: dict[int, Ran] = {}
        most = np.inf if stop.max_evals is None else stop.max_evals
        k = 0
        while k < len(points) and not self._over:
            before = int(cost[k - 1]) if k else 0
            used = self.problems.counts.gradient + cost[k:] - before
            ends = np.flatnonzero(special[k:] | reached[k:] | (used >= most))
            plain = k + int(ends[0]) if ends.size else len(points)
            made = (int(cost[plain - 1]) if plain else 0) - before
            self._count(Counts(made, made))
            k = plain
            if k == len(points):
                break
            answer = self._work(Task(points[k], replace(self.problems.counts)))
            end, alone[k] = self._ended(points[k], answer)
            x[k], value[k], kept[k] = end.x, end.value, OPEN if end.kept else NO
            k += 1
        self._over = self._over or late
        if k:
            self._last = int(batch.done[k - 1]), signed(self.sign, float(value[k - 1]))
            self.watch.progress(*self._last)

        def outcome(j: int) -> Ran:
            return alone[j] if j in alone else Ran(points[j], batch.iterate(j), float(batch.scale[j]))

        return Ends(x[:k], value[:k], kept[:k], outcome)
