"""What the reported point is, judged from value, gradient and curvature there, whatever the method said.

    gradient not finite …………………… nonfinite
    a kink within some 1e-6 …………… kink, probed
    gradient above T and its noise … not_stationary, or unbounded along a ray
    Newton's method leads away ……… not_stationary: the gradient is small, but no such point is near
    … shrinks by a constant ratio … degenerate, probed
    eigenvalues ……………………………………… minimum, saddle, maximum; degenerate where one cannot be told from 0

Evaluations are made on a copy of the problem with counts of its own: those of the run stay what the method needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from optcli.optimize.culprit import Culprit, Nameless, Names
from optcli.optimize.iterate import Array, Point
from optcli.optimize.problem import Problem
from optcli.optimize.sentences import Sentences
from optcli.optimize.status import Status

VAST = 1_000_000  # variables beyond which the gradient alone is judged: each further question takes vectors
MIRRORED = {"minimum": "maximum", "maximum": "minimum"}


class Verdict(NamedTuple):
    """The kind of point (contract §4), one sentence about it, and the numbers where they are known.

    `digits` are those of "x" and "value" that can be trusted; `direction` leads down from a saddle or a degenerate or
    unbounded point, a unit vector of shape (n,); `curvature` is the smallest of the function that is minimized;
    `local_minimum` tells whether probing found nothing lower (None: not probed). With `maximize` the kinds are those of
    the function as typed, and a maximum is the success.
    """

    kind: str
    text: str
    digits: dict[str, int] | None = None
    curvature: float | None = None
    direction: Array | None = None
    culprit: Culprit | None = None
    local_minimum: bool | None = None
    maximize: bool = False

    @property
    def good(self) -> bool:
        """Whether a run that converged here has found what it was to find."""
        extremum = "maximum" if self.maximize else "minimum"
        return self.kind in (extremum, "stationary") or (
            self.kind in ("kink", "degenerate") and self.local_minimum is True
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: the kind, the text, and what else is known. `local_minimum` is of what was to be found."""
        out: dict[str, Any] = {"kind": self.kind, "text": self.text}
        if self.digits is not None:
            out["digits"] = dict(self.digits)
        if self.curvature is not None:
            key, sign = ("largest_curvature", -1.0) if self.maximize else ("smallest_curvature", 1.0)
            out[key] = sign * self.curvature + 0.0
        if self.direction is not None:
            out["direction"] = self.direction.tolist()
        if self.culprit is not None:
            out["culprit"], out["span"] = self.culprit.text, list(self.culprit.span)
        if self.local_minimum is not None:
            out["local_maximum" if self.maximize else "local_minimum"] = self.local_minimum
        return out


def judge(
    problem: Problem,
    point: Point,
    tolerance: float,
    status: Status,
    *,
    maximize: bool = False,
    names: Names | None = None,
    entries: Sequence[str] = (),
    start: Array | None = None,
    seed: int = 0,
) -> Verdict:
    """The verdict on `point`, a point of the problem that is minimized (with `maximize`: of the negated function).

    `tolerance` is T of contract §2 at the point; `status` matters only where it proves that no minimum exists. `names`
    knows the parts of the text, `entries` the names of x's entries. Deterministic for a given `seed`.
    """
    words = Sentences(point, tolerance, entries, maximize)
    if problem.size > VAST and point.finite and status is not Status.UNBOUNDED:
        if point.gradient_norm > tolerance:
            return Verdict("not_stationary", words.not_stationary(None, None), maximize=maximize)
        reason = f"beyond {VAST:,} variables it would take more memory than the run"
        return Verdict("stationary", words.stationary(reason), maximize=maximize)
    from optcli.optimize.judging import Judging

    quiet = problem.aside()
    with np.errstate(all="ignore"):
        verdict = Judging(
            problem=quiet,
            point=point,
            tolerance=tolerance,
            status=status,
            names=names or Nameless(),
            start=start,
            words=words,
            seed=seed,
        ).run()
    if not maximize:
        return verdict
    return verdict._replace(kind=MIRRORED.get(verdict.kind, verdict.kind), maximize=True)
