"""Line searches: one driver that evaluates and judges, and strategies that only propose where to look next."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from optcli.optimize.hager_zhang import hager_zhang
from optcli.optimize.iterate import Array, Point
from optcli.optimize.line import NOISE, Condition, Line, Proposals, Trial
from optcli.optimize.more_thuente import more_thuente
from optcli.optimize.products import dot
from optcli.optimize.stop import BOTTOM

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

MOST = 60  # trials: halving from 1 has reached the rounding of x + αd by then
LEAST_CUT, MOST_CUT = 0.1, 0.5  # backtracking keeps between these parts of α, Dennis & Schnabel (1983) alg. A6.3.1
PLAIN = 8  # trials by which a ray that only goes down is followed at the strategy's own pace
LEAP = 300.0  # powers of ten: the longest leap on such a ray

End: TypeAlias = Literal["found", "lower", "rounding", "failed", "unbounded"]


class Found(NamedTuple):
    """How a search ended, and the trial to go on from.

    found: the condition holds at `trial`. lower: only its sufficient decrease does. rounding: what lies along d can't
    be told from the start any more; failed: nothing lower was met all the same, or d does not descend; with both
    `trial` is the start, α = 0. unbounded: the value fell until it overflowed at `trial`, which is not finite;
    `lowest` is the lowest finite trial before it.
    """

    end: End
    trial: Trial
    lowest: Trial
    slope: float  # at the start


def armijo(line: Line, alpha: float) -> Proposals:
    """Backtracking, Nocedal & Wright algorithm 3.1, to the minimizer of the parabola through φ(0), φ'(0) and φ(α)."""
    while True:
        trial = yield alpha
        fall = trial.alpha * line.start.slope
        above = trial.f - line.start.f - fall  # α² times half the curvature of the parabola
        cut = -0.5 * fall / above if trial.finite and above > 0.0 else LEAST_CUT
        alpha = trial.alpha * min(max(cut, LEAST_CUT), MOST_CUT)


def exact(line: Line, alpha: float) -> Proposals:
    """α = −gᵀd/dᵀHd, the minimizer along d of a quadratic, by one product Hd.

    Where the curvature is not positive or unknown, or where f is no quadratic and this α will not do, Moré and
    Thuente's search goes on from it.
    """
    if line.problem.curved:
        curvature = dot(line.d, line.problem.hvp(line.start.x, line.d))
        if curvature > 0.0 and 0.0 < -line.start.slope / curvature < math.inf:
            alpha = -line.start.slope / curvature
    yield from more_thuente(line, alpha)


SEARCHES: dict[str, tuple[Callable[[Line, float], Proposals], Condition]] = {
    "armijo": (armijo, "armijo"),
    "wolfe": (more_thuente, "strong"),
    "hager_zhang": (hager_zhang, "weak"),
    "exact": (exact, "strong"),
}


def search(
    word: str,
    problem: Problem,
    point: Point,
    d: Array,
    alpha: float,
    c1: float,
    c2: float,
    size: float = 0.0,
    ends: Array | None = None,
) -> Found:
    """A step length along d, shape (n,), from an evaluated point by the search `word`; alpha > 0 is tried first.

    c1, c2, `size`, how large f was lately, and `ends`, where bounds are met, are explained at Line.

    Each trial costs one evaluation of value and gradient, and none is made twice. Trials that are not finite shorten
    the step. On a ray that goes down and down the pace is squared, until it turns or overflows.
    """
    propose, condition = SEARCHES[word]
    line = Line.along(problem, point, d, c1, c2, condition, size, ends)
    start = lowest = line.start
    if not (-math.inf < start.slope < 0.0 and 0.0 < alpha < math.inf and line.most > 0.0):
        return Found("failed", start, start, start.slope)
    proposals = propose(line, alpha)
    alpha = min(next(proposals), line.most)
    falls, flat = 0, False
    shortest: Trial | None = None  # of those that moved x
    for _ in range(MOST):
        trial = line.at(alpha)
        flat = line.unchanged(trial)
        if flat and shortest is not None and alpha < LEAST_CUT * shortest.alpha:  # a huge value led to next to nothing
            proposals = armijo(line, alpha)
            next(proposals)
            alpha = proposals.send(shortest)
            continue
        if not flat and (shortest is None or alpha < shortest.alpha):
            shortest = trial
        if not flat and line.accepts(trial):
            return Found("found", trial, trial, start.slope)
        if not trial.finite and (lowest.f <= BOTTOM or (trial.f == -math.inf and problem.overflow(trial.x))):
            return Found("unbounded", trial, lowest, start.slope)
        falls = falls + 1 if trial.f < lowest.f and trial.alpha > lowest.alpha else 0
        if trial.finite and trial.f < lowest.f:
            lowest = trial
        following = None if flat else next_of(proposals, trial)
        if following is None:
            flat = True
            break
        alpha = following
        if falls > PLAIN and alpha > trial.alpha:
            alpha *= 10.0 ** min(2.0 ** (falls - PLAIN), LEAP)
        alpha = min(alpha, line.most)
        if alpha == trial.alpha:  # at the first bound already
            break
    if line.decreases(lowest) and lowest is not start:
        return Found("lower", lowest, lowest, start.slope)
    flat = flat or -start.slope * alpha <= NOISE * abs(start.f)
    return Found("rounding" if flat else "failed", start, start, start.slope)


def next_of(proposals: Proposals, trial: Trial) -> float | None:
    """The next step length, None where the strategy has nowhere left to look."""
    try:
        return proposals.send(trial)
    except StopIteration:
        return None
