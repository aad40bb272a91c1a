"""A run of several legs: on past saddles, and with another method where one gives up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from optcli.optimize.auto import DENSE
from optcli.optimize.iterate import Array, Iterate, Point, lower
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Problem
from optcli.optimize.solve import Result, Watch, solve
from optcli.optimize.status import Status
from optcli.optimize.stop import Stop
from optcli.optimize.verdict import Verdict

MOST_ESCAPES = 20
FIRST = 1e-3  # of max(1, largest |x|): the first displacement from a saddle
TURN = 500  # updates of a method, after which the next one has its turn
EARLY = 100  # the same where the next one steps by factors of the Hessian: an easy problem of any size takes fewer
LEAST_DROP = 1e-12  # of max(1, |f|): what is lower by less may be rounding
HALVINGS, DOUBLINGS = 8, 60
LEFT = ("saddle", "maximum", "degenerate", "kink")  # verdicts from which an escape begins
GIVES_UP = (Status.STALLED, Status.FAILED)
ENDED = (Status.CONVERGED, *GIVES_UP)
LASTING = ("unbounded", "nonfinite")  # verdicts that no further leg could better


class Attempt(NamedTuple):
    """The first method has so many updates to converge in; if it does not, the next one begins from the origin."""

    updates: int
    origin: Array  # shape (n,)


class Leg(NamedTuple):
    """A method at work from an iterate on, and why it was its turn."""

    method: str
    begin: int
    why: str


@dataclass
class Course:
    """How far the legs have come: the only thing here that changes, and all that a checkpoint needs of them."""

    turn: int = 0  # the number of the method at work
    escapes: int = 0
    legs: list[Leg] = field(default_factory=list)
    units: Array | None = None  # what the variables are measured in, shape (n,)

    def record(self) -> dict[str, Any]:
        """Ready for a checkpoint."""
        legs = [list(leg) for leg in self.legs]
        return {"turn": self.turn, "escapes": self.escapes, "legs": legs, "units": self.units}

    @classmethod
    def restored(cls, record: Mapping[str, Any], methods: int, size: int) -> Course:
        """The course of so many methods on `size` variables. Raises KeyError, TypeError or ValueError where it is none.

        Nothing is taken for granted: a checkpoint may come from anywhere.
        """
        turn, escapes, legs, units = (record[key] for key in ("turn", "escapes", "legs", "units"))
        if type(turn) is not int or not 0 <= turn < methods:
            raise ValueError(f"turn {turn!r} is of no method")
        if type(escapes) is not int or escapes < 0:
            raise ValueError(f"escapes {escapes!r} is no number of them")
        kinds = (str, int, str)
        if not isinstance(legs, list) or not legs or not all(
            isinstance(leg, list) and tuple(map(type, leg)) == kinds and leg[1] >= 0 for leg in legs
        ):  # fmt: skip
            raise ValueError("the legs are none")
        if units is not None and not (
            isinstance(units, np.ndarray) and units.shape == (size,) and bool(((units > 0.0) & (units < np.inf)).all())
        ):
            raise ValueError(f"the units do not fit {size} variables")
        return cls(turn, escapes, [Leg(*leg) for leg in legs], units)


class End(Protocol):
    """What a leg's end is in the light of its verdict, as `conclusion.Conclusion`."""

    @property
    def status(self) -> Status: ...

    @property
    def verdict(self) -> Verdict: ...


E = TypeVar("E", bound=End)


class Pursuit(NamedTuple, Generic[E]):
    """The end of the last leg, with the seconds of all, what was concluded from it, and the legs."""

    result: Result
    end: E
    legs: tuple[Leg, ...]


@np.errstate(all="ignore")  # a first step from a saddle, or a fresh start, may overflow
def pursue(
    methods: Sequence[Method],
    problem_for: Callable[[Method], Problem],
    judge: Callable[[Problem, Method, Result], E],
    start: Array | Iterate,
    stop: Stop,
    watch: Watch | None = None,
    escape: bool = False,
    why: str = "",
    course: Course | None = None,
    attempt: Attempt | None = None,
) -> Pursuit[E]:
    """Minimize by the first method; by the next one where it gives up at what is no minimum; past saddles if `escape`.

    An `attempt` that takes longer is not judged; one that fails leaves nothing but the lowest point so far. The
    problems of `problem_for` share their counts. `judge` says what the reported point of a result is; from the
    `direction` of its verdict, shape (n,), an escape begins. With a `course` that has legs, the run goes on from there.
    """
    course = Course() if course is None else course
    method = methods[course.turn]
    problem = problem_for(method)
    if not course.legs:
        course.legs.append(Leg(method.name, 0, why))

    def handed_on(result: Result, why: str) -> Iterate:
        nonlocal method, problem
        x = result.point.x
        if attempt is not None and course.turn == 0:
            x, why = attempt.origin, f"{why}: from the start again"
        course.turn += 1
        method = methods[course.turn]
        problem = problem_for(method)
        course.legs.append(Leg(method.name, result.iterations, why))
        return _from(problem, method, x, result, result.iterations)

    began, seconds = stop.clock(), 0.0
    looked = isinstance(start, Iterate) and start.iteration > course.legs[-1].begin + EARLY  # in the run before
    while True:
        trying = attempt if course.turn == 0 else None
        early = trying is None and not looked and _looks(methods, problem, course)
        waiting = course.turn + 1 < len(methods) and stop.judges
        turn = _turn(method, problem, course, early, trying) if waiting else None
        result = solve(problem, method, start, replace(stop, used=stop.used + stop.clock() - began, turn=turn), watch)
        seconds += result.seconds
        stop = replace(stop, scale=result.scale)  # that of the first start, for all legs
        looked = False
        turned = turn is not None and _turned(result, turn)
        if turned and early and not _banded(problem, result.iterate.x):
            start, looked = result.iterate, True
            continue
        if turned and trying is not None:
            start = handed_on(result, f"{method.name} was not there so soon")
            continue
        end = judge(problem, method, result)
        verdict = end.verdict
        done = end.status not in ENDED or verdict.good or verdict.kind in LASTING
        lower_point = None
        if (
            not done
            and escape
            and course.escapes < MOST_ESCAPES
            and verdict.kind in LEFT
            and verdict.direction is not None
        ):
            lower_point = descended(problem, result.point, verdict.direction)
        if lower_point is not None:
            course.escapes += 1
            course.legs.append(Leg(method.name, result.iterations + 1, f"escaped from a {verdict.kind}"))
            start = _from(problem, method, lower_point, result, result.iterations + 1)
        elif not done and end.status in GIVES_UP and course.turn + 1 < len(methods):
            start = handed_on(result, f"{method.name} got no further")
        else:
            return Pursuit(replace(result, seconds=seconds), end, tuple(course.legs))


def descended(problem: Problem, point: Point, direction: Array) -> Array | None:
    """A lower point along ±direction, as low as doubling the displacement finds; None where there is none."""
    length = float(np.max(np.abs(direction)))
    if not length > 0.0:
        return None
    first = FIRST * max(1.0, float(np.max(np.abs(point.x)))) / length
    for halving in range(HALVINGS):
        alpha = first * 0.5**halving
        trials = [problem.project(point.x + sign * alpha * direction) for sign in (1.0, -1.0)]
        values = [problem.value(x) for x in trials]
        best = int(np.nanargmin(values)) if not np.isnan(values).all() else 0
        if values[best] < point.value - LEAST_DROP * max(1.0, abs(point.value)):
            return _further(problem, point.x, trials[best], values[best])
    return None


def _further(problem: Problem, origin: Array, x: Array, value: float) -> Array:
    """Twice as far as long as it gets lower."""
    for _ in range(DOUBLINGS):
        further = problem.project(origin + 2.0 * (x - origin))
        lower_value = problem.value(further)
        if not lower_value < value:
            break
        x, value = further, lower_value
    return x


def _from(problem: Problem, method: Method, x: Array, result: Result, iteration: int) -> Iterate:
    """The method's first iterate at x, numbered on from the leg before, with the lowest point so far."""
    fresh = method.init(problem, x)
    point = replace(fresh.point, iteration=iteration)
    return Iterate(point, fresh.state, lower(result.iterate.best, point) if point.finite else result.iterate.best)


def _looks(methods: Sequence[Method], problem: Problem, course: Course) -> bool:
    """Whether the next method would have factors where the Hessian is a band."""
    following = methods[course.turn + 1 : course.turn + 2]
    return any(method.curved for method in following) and problem.curved and problem.size > DENSE


def _turn(method: Method, problem: Problem, course: Course, early: bool, trying: Attempt | None) -> int:
    """The number of updates that ends the leg where others wait; `early`: to look whether the next one has factors.

    Newton's method goes along a bent valley of many variables in thousands of steps, which others do at less cost.
    """
    if trying is not None:
        return course.legs[-1].begin + trying.updates
    early = early or (method.curved and problem.size > DENSE)
    return course.legs[-1].begin + (EARLY if early else TURN)


def _turned(result: Result, turn: int) -> bool:
    """Whether it was this that ended the leg."""
    return result.status is Status.STALLED and result.iterate.moved and result.iterations == turn


def _banded(problem: Problem, x: Array) -> bool:
    """Whether the Hessian at x is a band with a border; nothing is counted as an evaluation of the run."""
    from optcli.optimize.band import found

    quiet = problem.aside()
    return found(lambda v: quiet.hvp(x, v), problem.size) is not None
