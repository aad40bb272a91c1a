"""What is said at the end of a run: the verdict on its point, and the status and message in the light of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from optcli.blame import Blame
from optcli.layout import Layout
from optcli.objective import Objective
from optcli.optimize.iterate import Array
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Problem
from optcli.optimize.solve import Result
from optcli.optimize.status import Status
from optcli.optimize.verdict import VAST, Verdict, judge

ROUNDED = (Status.STALLED, Status.FAILED)  # ends that rounding alone may have brought about


ADVISED = (Status.DIVERGED, Status.LIMIT, Status.STALLED)
GENERAL = ("; try a smaller --lr", ", or try another --lr or --method")  # what computed advice takes the place of


class Entries(Sequence[str]):
    """The names of x's entries, each made when it is asked for."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def __len__(self) -> int:
        return self._layout.size

    def __getitem__(self, k: Any) -> Any:
        for variable, part in zip(self._layout.variables, self._layout.slices().values(), strict=True):
            if part.start <= k < part.stop:
                rest, index = k - part.start, []
                for first, count in zip(reversed(variable.first), reversed(variable.shape), strict=True):
                    index.append(str(first + rest % count))
                    rest //= count
                return f"{variable.name}[{','.join(reversed(index))}]" if index else variable.name
        raise IndexError(k)


class Conclusion(NamedTuple):
    """The end of a run in words."""

    status: Status
    message: str
    verdict: Verdict


def conclude(
    objective: Objective, problem: Problem, method: Method, result: Result, start: Array, maximize: bool, seed: int
) -> Conclusion:
    """Judge the reported point; a run that only rounding kept from going on has converged if that is a minimum.

    Nothing here is counted as an evaluation of the run.
    """
    names = Blame(objective.resolved)
    entries = Entries(objective.layout)
    verdict = judge(
        problem,
        result.point,
        result.tolerance,
        result.status,
        maximize=maximize,
        names=names,
        entries=entries,
        start=start,
        seed=seed,
    )
    status, message = result.status, result.message
    if status in ROUNDED and verdict.kind == ("maximum" if maximize else "minimum"):
        norm = result.point.gradient_norm
        message = f"no step changes the value any more: the gradient norm {norm:.3g} is all that rounding leaves"
        return Conclusion(Status.CONVERGED, message, verdict)
    if status is Status.STALLED and not isinstance(method, FirstOrder):
        message = message.replace("try a larger --lr", "try another --method")
    if status is Status.NONFINITE:
        culprit = names.nonfinite(result.iterate.x)
        if culprit is not None:
            message = f"{message} ({culprit.sentence})"
            verdict = verdict._replace(culprit=culprit)
    if status in ADVISED and verdict.kind == "not_stationary" and problem.size <= VAST:
        from optcli.optimize.advice import advice

        more = advice(problem, method, result, start, entries)
        if more:
            for general in GENERAL:
                message = message.removesuffix(general)
            message = f"{message}; {more}"
    return Conclusion(status, message, verdict)
