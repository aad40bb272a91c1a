"""When a run ends: the stopping rules of contract §2."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from optcli.errors import UsageError
from optcli.optimize.iterate import Array, Iterate, Point, all_finite, largest_entry
from optcli.optimize.problem import Problem
from optcli.optimize.status import ENDINGS, Ending

ITERS = 10_000  # the limit where no other is given, contract §2
RELATIVE = 1e-8  # the default tolerance is T = RELATIVE·max(1, |f|), contract §2
GROWTH = 1e3  # |f| counts in T only up to GROWTH·max(1, |f at the start|), see Check.tolerance
TOUCHING = 1e-6  # how far, times max(1, |x|), a variable may be from the bound that holds it
BOTTOM = -1e100  # a value below it on the way to overflow: no minimum that doubles could tell


@dataclass(frozen=True)
class Stop:
    """The stopping rules as the user gives them; None is "not given". `target` and `tol` are of the minimized function.

    With `maximize` the problem is the negated one, and the sentences speak of the function as typed. `signal` returns
    something true, best the signal's name, once the run shall be interrupted. Raises UsageError for bad values.
    """

    tol: float | None = None
    iters: int | None = None
    max_time: float | None = None  # seconds, from the beginning of `solve`
    max_evals: int | None = None  # gradient evaluations; of values for methods without gradients
    target: float | None = None
    signal: Callable[[], str | bool | None] = lambda: None
    maximize: bool = False
    used: float = 0.0  # seconds of max_time that were over before `solve` began: the run goes on
    turn: int | None = None  # the number of updates after which another method of a plan has its turn
    scale: float | None = None  # of the run that goes on, see Check; None: from the start
    clock: Callable[[], float] = time.perf_counter

    def __post_init__(self) -> None:
        for name, least, whole in (
            ("tol", 0, False),
            ("iters", 0, True),
            ("max_time", 0, False),
            ("max_evals", 1, True),
        ):
            given = getattr(self, name)
            if given is None:
                continue
            if isinstance(given, bool) or not isinstance(given, int if whole else (int, float)):
                raise UsageError(f"{name} is a {'whole ' if whole else ''}number, not {given!r}")
            if not least <= given <= (math.inf if whole else sys.float_info.max):
                raise UsageError(f"{name} is at least {least} and finite, not {given!r}")
        if self.target is not None and not math.isfinite(self.target):
            raise UsageError(f"target is a finite number, not {self.target!r}")

    @cached_property
    def judges(self) -> bool:
        """Whether a tolerance is active: `iters` alone runs exactly that far."""
        return self.tol is not None or self.iters is None

    @cached_property
    def limit(self) -> int | None:
        """The number of updates that ends the run; None where time or evaluations alone do."""
        if self.iters is None and self.max_time is None and self.max_evals is None:
            return ITERS
        return self.iters

    @cached_property
    def tolerance_terms(self) -> tuple[float, float]:
        """(t, r) with T = max(t, r·min(|f|, scale)), see Check."""
        return (float(self.tol), 0.0) if self.tol is not None else (RELATIVE, RELATIVE)

    def over(self, began: float) -> bool:
        """Whether time or a signal ends what began then, wherever it stands."""
        return bool(self.signal()) or (self.max_time is not None and self.clock() - began >= self.max_time)

    def begin(self, problem: Problem, start: Iterate, began: float, gradients: bool = True) -> Check:
        """The rules for one run that began at clock() == `began` from the evaluated `start`.

        `gradients`: whether the method steps by them, so that they are what `max_evals` counts.
        """
        size = abs(start.value)
        scale = GROWTH * max(1.0, size) if math.isfinite(size) else GROWTH
        return Check(self, problem, began - self.used, scale if self.scale is None else self.scale, gradients)


@dataclass(frozen=True)
class Check:
    """The rules bound to a run. Called with an iterate: why the run ends there (the first rule that fits), or None."""

    stop: Stop
    problem: Problem
    began: float
    scale: float  # the largest |f| that counts in the tolerance
    gradients: bool = True  # whether `max_evals` counts gradients; otherwise values

    @property
    def clock(self) -> Callable[[], float]:
        return self.stop.clock

    def tolerance(self, value: float) -> float:
        """T of contract §2, whether active or not.

        The default is relative to |f|, but not to an |f| that only grew so large in this run: x**4 far out has a
        gradient of 4/x·f, and a run that overflows would pass a gradient norm of 1e-8·|f| on its way.
        """
        least, relative = self.stop.tolerance_terms
        return max(least, relative * min(abs(value), self.scale))

    def over(self) -> bool:
        """Whether time or a signal ends the run, wherever it stands."""
        return self.stop.over(self.began)

    def __call__(self, iterate: Iterate) -> Ending | None:
        stop, point, counts = self.stop, iterate.point, self.problem.counts
        if iterate.failure is not None:
            return self._end("failed", iterate)
        if not point.finite:
            return self._end(self._blown_up(iterate), iterate)
        if stop.target is not None and point.value <= stop.target:
            return self._end("target", iterate)
        if (
            stop.judges
            and point.gradient_norm <= self.tolerance(point.value)
            and at_bounds(stop, self.problem, point.x, point.gradient)
        ):
            return self._end("tol", iterate)
        if stop.limit is not None and point.iteration >= stop.limit:
            return self._end(self._ran(), iterate)
        if signal := stop.signal():
            return self._end("interrupted", iterate, signal=signal if isinstance(signal, str) else "a signal")
        if stop.max_evals is not None and (counts.gradient if self.gradients else counts.value) >= stop.max_evals:
            return self._end("evals", iterate)
        if stop.max_time is not None and self.clock() - self.began >= stop.max_time:
            return self._end("time", iterate)
        if stop.turn is not None and point.iteration >= stop.turn:
            return self._end("turn", iterate)
        if stop.judges and not iterate.moved:
            return self._end("stalled", iterate)
        return None

    def _ran(self) -> str:
        stop = self.stop
        if stop.judges:
            return "default limit" if stop.iters is None else "limit"
        if stop.target is not None:
            return "short"
        return "iters" if stop.iters else "start"

    def _blown_up(self, iterate: Iterate) -> str:
        """Which end an iterate with something not finite is.

        At the start: nonfinite. Later: unbounded where a finite value fell below BOTTOM, or the value is −Inf and came
        from overflow; diverged where x is not finite (its displacement overflowed, as the gradient was finite) or
        value or gradient overflowed; else the expression has no finite value there: nonfinite.
        """
        point = iterate.point
        if point.iteration == 0:
            return "nonfinite start"
        if iterate.best is not None and iterate.best.value <= BOTTOM:
            return "unbounded"
        if not all_finite(point.x):
            return "iterate overflow"
        if not self.problem.overflow(point.x):
            return "nonfinite"
        return "unbounded" if point.value == -math.inf else "value overflow"

    def _end(self, rule: str, iterate: Iterate, **more: str) -> Ending:
        status, sentence = ENDINGS[rule]
        return Ending(status, sentence.format_map(self._facts(iterate) | more))

    def _facts(self, iterate: Iterate) -> dict[str, Any]:
        stop, point, best = self.stop, iterate.point, iterate.best
        sign = -1.0 if stop.maximize else 1.0
        return {
            "at": point.iteration,
            "done": _number(point.iteration, "iteration"),
            "iters": _number(stop.limit or 0, "iteration"),
            "evals": _number(stop.max_evals or 0, f"{'gradient' if self.gradients else 'value'} evaluation"),
            "seconds": stop.max_time,
            "target": sign * (stop.target or 0.0) + 0.0,  # never -0
            "value": sign * point.value + 0.0,
            "lowest": sign * (best.value if best is not None else math.nan),
            "went": "rose to" if stop.maximize else "fell to",
            "extremum": "maximum" if stop.maximize else "minimum",
            "norm": point.gradient_norm,
            "tol": self.tolerance(point.value),
            "size": _Asked(lambda: largest_entry(point.x)),
            "what": "gradient" if math.isfinite(point.value) else "value",
            "culprit": _Asked(lambda: _culprit(point, sign)),
            "failure": iterate.failure,
        }


@dataclass(frozen=True)
class _Asked:
    """What takes a pass through a vector, computed where a sentence tells it."""

    compute: Callable[[], Any]

    def __format__(self, spec: str) -> str:
        return format(self.compute(), spec)


def at_bounds(stop: Stop, problem: Problem, x: Array, g: Array) -> Any:
    """Whether x, shape (…, n), is at the bounds that −g leads to, whatever the default tolerance is for a large |f|.

    A projected gradient that a bound cuts off is a distance in x, and says nothing of the slope. True with a tolerance
    of the user's, and without bounds.
    """
    if stop.tol is not None or not problem.bounded:
        return np.True_
    return ~(problem.gaps(x, g) > TOUCHING * np.maximum(1.0, np.abs(x))).any(axis=-1)


def _culprit(point: Point, sign: float) -> str:
    if not math.isfinite(point.value):
        return f"the value is {sign * point.value}"
    bad = int(np.count_nonzero(~np.isfinite(point.gradient)))
    return f"{bad} of {_number(len(point.gradient), 'entry')} of the gradient {'is' if bad == 1 else 'are'} not finite"


def _number(count: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
