"""Why a run ended: one table of the words, the sentences that the user reads, and the exit codes of contract §4."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from optcli.optimize.verdict import Verdict


class Status(StrEnum):
    """Why the run stopped."""

    COMPLETED = "completed"
    CONVERGED = "converged"
    LIMIT = "limit"
    STALLED = "stalled"
    DIVERGED = "diverged"
    NONFINITE = "nonfinite"
    UNBOUNDED = "unbounded"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


EXIT_CODES = {
    Status.COMPLETED: 0,
    Status.CONVERGED: 0,  # at a point that is `good` by its verdict, else ELSEWHERE
    Status.LIMIT: 11,
    Status.STALLED: 12,
    Status.DIVERGED: 17,
    Status.NONFINITE: 14,
    Status.UNBOUNDED: 13,
    Status.INTERRUPTED: 130,
    Status.FAILED: 12,
}
ELSEWHERE = 10
TERMINATED = 143

ENDINGS: dict[str, tuple[Status, str]] = {
    "iters": (Status.COMPLETED, "ran the {iters} asked for"),
    "start": (Status.COMPLETED, "evaluated the start: no iterations were asked for"),
    "short": (Status.COMPLETED, "ran the {iters} asked for; the target {target:.6g} was not reached"),
    "target": (Status.COMPLETED, "reached the target {target:.6g} after {done}: the value is {value:.6g}"),
    "tol": (Status.CONVERGED, "the gradient norm {norm:.3g} is within the tolerance {tol:.3g}"),
    "limit": (
        Status.LIMIT,
        "the gradient norm {norm:.3g} is still above the tolerance {tol:.3g} after the {iters} allowed: "
        "raise --iters, or try another --lr or --method",
    ),
    "default limit": (
        Status.LIMIT,
        "the gradient norm {norm:.3g} is still above the tolerance {tol:.3g} after {done}, the limit where none is "
        "given: raise it with --iters together with --tol, or try another --lr or --method",
    ),
    "evals": (
        Status.LIMIT,
        "the {evals} allowed are used up after {done}, with the gradient norm at {norm:.3g}: raise --max-evals",
    ),
    "time": (
        Status.LIMIT,
        "the {seconds:g} s allowed are over after {done}, with the gradient norm at {norm:.3g}: raise --max-time",
    ),
    "turn": (Status.STALLED, "the gradient norm {norm:.3g} is still above the tolerance {tol:.3g} after {done}"),
    "stalled": (
        Status.STALLED,
        "the steps are too small to change the point any more (iteration {at}), but the gradient norm {norm:.3g} is "
        "above the tolerance {tol:.3g}: try a larger --lr, or a larger --tol if this is close enough",
    ),
    "iterate overflow": (
        Status.DIVERGED,
        "the point itself overflowed at iteration {at}: the steps grew and grew; try a smaller --lr",
    ),
    "value overflow": (
        Status.DIVERGED,
        "the {what} overflowed at iteration {at}, where the largest variable is {size:.3g} in magnitude: each step "
        "overshoots more than the one before; try a smaller --lr",
    ),
    "unbounded": (
        Status.UNBOUNDED,
        "the value {went} {lowest:.3g} and overflowed at iteration {at}: no {extremum} is in sight; "
        "is the sign right, or are --bounds missing?",
    ),
    "nonfinite start": (Status.NONFINITE, "{culprit} at the start: try another --start"),
    "nonfinite": (
        Status.NONFINITE,
        "{culprit} at iteration {at}: the step left the region where the function is defined; try a smaller --lr, "
        "another --start, or --bounds",
    ),
    "interrupted": (Status.INTERRUPTED, "stopped by {signal} after {done}: the best point so far is given"),
    "failed": (Status.FAILED, "{failure} (iteration {at})"),
}


class Ending(NamedTuple):
    """The word and the sentence of an end."""

    status: Status
    message: str


def exit_code(status: Status, verdict: Verdict, signal: str | None = None) -> int:
    """The first line of contract §4's table that fits; `signal` is the name of the one that interrupted."""
    if status is Status.INTERRUPTED:
        return TERMINATED if signal == "SIGTERM" else EXIT_CODES[status]
    if Status.NONFINITE in (status, verdict.kind):
        return EXIT_CODES[Status.NONFINITE]
    # a run that made the updates it was asked for did so, however far the value may fall from there
    if status is Status.UNBOUNDED or (verdict.kind == Status.UNBOUNDED and status is not Status.COMPLETED):
        return EXIT_CODES[Status.UNBOUNDED]
    if status is Status.CONVERGED and not verdict.good:
        return ELSEWHERE
    return EXIT_CODES[status]
