"""What to do about a run that did not get there: only what was computed, and tried, is advised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from optcli.optimize.iterate import Array, Iterate, largest_entry
from optcli.optimize.methods import METHODS
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.problem import Problem
from optcli.optimize.status import Status

if TYPE_CHECKING:
    from optcli.optimize.methods.method import Method
    from optcli.optimize.solve import Result

POWERS = 12  # products of the power method: the largest curvature to a few per cent
TRIAL = 60  # updates in which an advised learning rate must prove itself
SHRINK = 4.0  # what a learning rate that fails its trial is divided by
TRIES = 5
SLOW = 0.25  # of the largest learning rate that is safe: below it a larger one is advised
APART = 1e4  # ratio of curvatures from which on variables are said to be badly scaled
MOST = 500  # variables whose curvatures are compared
NAMED = {"gd": "gradient descent", "momentum": "the heavy ball", "nesterov": "Nesterov's method"}


def advice(problem: Problem, method: Method, result: Result, start: Array, entries: Sequence[str]) -> str:
    """A sentence on what to try, or nothing. Evaluations are not counted.

    Where the largest learning rate is known (`_limit`), the curvature is measured along the run, by the power method,
    and what is advised was tried. Any method that got no further hears of variables that are badly scaled.
    """
    if not problem.curved:
        return ""
    quiet = problem.aside()
    other = " or --method lbfgs" if "lbfgs" in METHODS else ""
    with np.errstate(all="ignore"):
        limit = _limit(method)
        top = 0.0
        if limit is not None and result.status in (Status.DIVERGED, Status.LIMIT):
            top = max((largest_curvature(quiet, x) for x in _path(quiet, method, result, start)), default=0.0)
        known = 0.0 < top < math.inf
        said = f"curvature along the path reached {top:.3g}"
        if result.status is Status.DIVERGED:
            if limit is None or not known or (rate := _proven(quiet, method, start, 0.5 * limit / top)) is None:
                return ""
            need = f"{said}, and {NAMED[method.name]} needs lr below {limit / top:.2g}"
            return f"{need}: try --lr {rate:g}{other and ','}{other}"
        apart = _scaling(quiet, result.point.x, entries)
        if limit is not None and known and float(_field(method, "lr")) < SLOW * limit / top:
            rate = _proven(quiet, method, start, 0.5 * limit / top)
            if rate is not None and rate > float(_field(method, "lr")):
                safe = f"{said}, so that lr up to {limit / top:.2g} is safe"
                return f"{safe}: try --lr {rate:g}{other and ','}{other}{apart and '; '}{apart}"
        if not apart:
            return ""
        told = f"{said}; {apart}" if known else apart
        return f"{told}: try{other[3:]}" if other and isinstance(method, FirstOrder) else told


def _limit(method: Method) -> float | None:
    """lr·L below which a method converges on a quadratic of largest curvature L; None where it is not known.

    2 for gradient descent (Nesterov, Introductory Lectures on Convex Optimization, theorem 2.1.14), 2·(1 + β) for the
    heavy ball (Polyak 1964, theorem 9), 2·(1 + β)/(1 + 2β) for Nesterov's method with constant β: both roots of
    r² − (1 + β)·q·r + β·q, q = 1 − lr·L, lie within the unit circle for q > −1/(1 + 2β) (Jury's conditions).
    """
    if method.name not in NAMED:
        return None
    beta = float(_field(method, "beta")) if method.name != "gd" else 0.0
    return 2.0 * (1.0 + beta) / (1.0 + 2.0 * beta if method.name == "nesterov" else 1.0)


def largest_curvature(problem: Problem, x: Array) -> float:
    """The largest |eigenvalue| of the Hessian at x, by the power method; NaN where products are not finite."""
    v = 1.0 + 0.5 * np.sin(np.arange(1.0, problem.size + 1.0))  # any vector that is not special
    size = 0.0
    for _ in range(POWERS):
        v = v / np.linalg.norm(v)
        v = problem.hvp(x, v)
        size = float(np.linalg.norm(v))
        if not 0.0 < size < math.inf:
            return size
    return size


def _path(problem: Problem, method: Method, result: Result, start: Array) -> list[Array]:
    """Where the run was before it went astray: the start, the best point, and the first updates while values fall."""
    points = [problem.project(start), result.point.x]
    iterate = method.init(problem, start)
    for _ in range(4):
        after = method.step(problem, iterate)
        if not after.point.finite or after.value > iterate.value:
            break
        points.append(after.x)
        iterate = after
    return points


def _proven(problem: Problem, method: Method, start: Array, rate: float) -> float | None:
    """`rate`, or a fraction of it, to one digit, with which the first updates never rise; None where none does."""
    for _ in range(TRIES):
        rounded = _rounded_down(rate)
        trial = type(method)(**{each.name: getattr(method, each.name) for each in fields(method)} | {"lr": rounded})
        iterate: Iterate = trial.init(problem, start)
        first = iterate.value
        for _ in range(TRIAL):
            iterate = trial.step(problem, iterate)
            if not iterate.point.finite or not iterate.value <= first:
                break
        else:
            return rounded
        rate /= SHRINK
    return None


def _rounded_down(rate: float) -> float:
    return float(f"{math.floor(rate / 10.0 ** math.floor(math.log10(rate))):d}e{math.floor(math.log10(rate)):d}")


def _scaling(problem: Problem, x: Array, entries: Sequence[str]) -> str:
    """Which variables are worlds apart in curvature, by the diagonal of the Hessian."""
    if problem.size > MOST or problem.size < 2:
        return ""
    diagonal = np.abs(np.diag(problem.hessian(x)))
    low, high = int(np.argmin(diagonal)), int(np.argmax(diagonal))
    if not 0.0 < diagonal[low] * APART <= diagonal[high] < math.inf or largest_entry(diagonal) == 0.0:
        return ""
    name = [entries[k] if len(entries) else f"x[{k}]" for k in (low, high)]
    ratio = diagonal[high] / diagonal[low]
    return f"the curvature along {name[1]} is {ratio:.2g} times that along {name[0]}: they need scaling"


def _field(method: Method, name: str) -> Any:
    return next((getattr(method, each.name) for each in fields(method) if each.name == name), math.nan)
