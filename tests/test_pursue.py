"""Legs of a run: past saddles, on with another method, and what of it is counted."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import optcli
from optcli.optimize.auto import LONG
from optcli.optimize.iterate import Iterate, Point
from optcli.optimize.methods.gd import GradientDescent
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Counts, Problem
from optcli.optimize.pursue import TURN, Attempt, descended, pursue
from optcli.optimize.solve import Result
from optcli.optimize.status import Status
from optcli.optimize.stop import Stop
from optcli.optimize.verdict import Verdict


class Judged(NamedTuple):
    status: Status
    verdict: Verdict


def saddle(x: np.ndarray) -> tuple[float, np.ndarray]:
    """x² − y² + y⁴: a saddle at 0, minima −1/4 at (0, ±1/√2)."""
    a, b = x
    return a * a - b * b + b**4, np.array([2.0 * a, -2.0 * b + 4.0 * b**3])


def curved(x: np.ndarray) -> np.ndarray:
    return np.diag([2.0, -2.0 + 12.0 * x[1] ** 2])


def judge(problem: Problem, method: Method, result: Result) -> Judged:
    values, vectors = np.linalg.eigh(curved(result.point.x))
    kind, direction = ("minimum", None) if values[0] > 0 else ("saddle", vectors[:, 0])
    if result.point.gradient_norm > 1e-6:
        kind, direction = "not_stationary", None
    return Judged(result.status, Verdict(kind, "", direction=direction))


class Stuck(Method):
    """Gives up at once."""

    name = "stuck"
    summary = reference = ""

    def init(self, problem: Problem, start: np.ndarray) -> Iterate:
        return Iterate.start(Point.at(problem, 0, start), ())

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        return iterate.then(Point.of(problem, iterate.iteration + 1, *_known(iterate)), ())


def _known(iterate: Iterate) -> tuple[np.ndarray, float, np.ndarray]:
    return iterate.x, iterate.value, iterate.gradient


def problems() -> tuple[Counts, object]:
    counts = Counts()

    def make(method: Method) -> Problem:
        problem = Problem(2, lambda x: saddle(x)[0], saddle)
        problem.counts = counts
        return problem

    return counts, make


def test_a_saddle_is_left_for_the_minimum() -> None:
    counts, make = problems()
    found = pursue([GradientDescent(0.1)], make, judge, np.array([1.0, 0.0]), Stop(tol=1e-8), escape=True, why="asked")  # type: ignore[arg-type]
    assert found.end.verdict.kind == "minimum"
    assert found.result.point.value == pytest.approx(-0.25, abs=1e-12)
    assert [leg.why for leg in found.legs] == ["asked", "escaped from a saddle"]
    assert found.result.iterations >= found.legs[1].begin > 0
    assert counts.gradient == found.result.counts.gradient
    assert found.result.iterate.best is not None


def test_without_escape_the_saddle_is_the_end() -> None:
    _, make = problems()
    found = pursue([GradientDescent(0.1)], make, judge, np.array([1.0, 0.0]), Stop(tol=1e-8))  # type: ignore[arg-type]
    assert (found.result.status, found.end.verdict.kind, len(found.legs)) == (Status.CONVERGED, "saddle", 1)


def test_where_one_method_gives_up_the_next_goes_on() -> None:
    _, make = problems()
    found = pursue([Stuck(), GradientDescent(0.1)], make, judge, np.array([1.0, 0.5]), Stop(tol=1e-8))  # type: ignore[arg-type]
    assert [(leg.method, leg.begin) for leg in found.legs] == [("stuck", 0), ("gd", 1)]
    assert found.end.verdict.kind == "minimum"
    alone = pursue([Stuck()], make, judge, np.array([1.0, 0.5]), Stop(tol=1e-8))  # type: ignore[arg-type]
    assert alone.result.status is Status.STALLED


def test_a_method_that_takes_too_long_is_followed_by_the_next() -> None:
    _, make = problems()
    slow, quick = GradientDescent(1e-9), GradientDescent(0.1)
    start = np.array([1.0, 0.5])
    found = pursue([slow, quick], make, judge, start, Stop(tol=1e-8))  # type: ignore[arg-type]
    assert [leg.begin for leg in found.legs] == [0, TURN]
    assert found.end.verdict.kind == "minimum"
    alone = pursue([slow], make, judge, start, Stop(tol=1e-8, iters=3 * TURN))  # type: ignore[arg-type]
    assert (alone.result.status, alone.result.iterations) == (Status.LIMIT, 3 * TURN)
    exactly = pursue([slow, quick], make, judge, start, Stop(iters=3 * TURN))  # type: ignore[arg-type]
    assert (exactly.result.status, len(exactly.legs)) == (Status.COMPLETED, 1)


# the method of an attempt, its legs, its gradients, and whether its end is judged
ATTEMPTS = {
    "takes longer": (GradientDescent(1e-9), [("gd", 0), ("gd", 7)], 8, False),
    "gives up": (Stuck(), [("stuck", 0), ("gd", 1)], 1, True),
}


@pytest.mark.parametrize(("first", "legs", "gradients", "judged"), ATTEMPTS.values(), ids=list(ATTEMPTS))
def test_after_an_attempt_that_failed_the_next_method_begins_at_the_start(
    first: Method, legs: list[tuple[str, int]], gradients: int, judged: bool
) -> None:
    counts, make = problems()
    ends: list[Method] = []

    def judge_and_note(problem: Problem, method: Method, result: Result) -> Judged:
        ends.append(method)
        return judge(problem, method, result)

    start, stop, last = np.array([1.0, 0.5]), Stop(tol=1e-8), GradientDescent(0.1)
    found = pursue([first, last], make, judge_and_note, start, stop, attempt=Attempt(7, start))  # type: ignore[arg-type]
    assert [(leg.method, leg.begin) for leg in found.legs] == legs
    assert ends == [*([first] if judged else []), last]
    alone_counts, again = problems()
    alone = pursue([last], again, judge, start, stop)  # type: ignore[arg-type]
    assert found.end.verdict.kind == "minimum"
    assert found.result.point.x.tobytes() == alone.result.point.x.tobytes()
    assert counts.gradient == alone_counts.gradient + gradients
    assert found.result.iterations == alone.result.iterations + legs[-1][1]


def test_an_attempt_that_gets_there_is_the_end() -> None:
    _, make = problems()
    start = np.array([1.0, 0.5])
    methods = [GradientDescent(0.2), Stuck()]
    found = pursue(methods, make, judge, start, Stop(tol=1e-8), attempt=Attempt(60, start))  # type: ignore[arg-type]
    assert (found.end.verdict.kind, len(found.legs)) == ("minimum", 1)


def test_the_lowest_point_of_an_attempt_is_not_lost() -> None:
    _, make = problems()
    start, stop = np.array([1.0, 0.5]), Stop(tol=1e-8, iters=30)
    methods = [GradientDescent(0.1), GradientDescent(1e-9)]
    found = pursue(methods, make, judge, start, stop, attempt=Attempt(20, start))  # type: ignore[arg-type]
    assert (found.result.status, len(found.legs)) == (Status.LIMIT, 2)
    assert found.result.point.iteration == 20
    assert found.result.point.value < found.result.iterate.value - 0.1


def test_limits_hold_for_all_legs_together() -> None:
    counts, make = problems()
    stop = Stop(tol=1e-12, max_evals=200)
    found = pursue([Stuck(), GradientDescent(1e-6)], make, judge, np.array([1.0, 0.5]), stop)  # type: ignore[arg-type]
    assert found.result.status is Status.LIMIT
    assert counts.gradient == 200


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_escape_goes_down_whichever_way_the_direction_points(sign: float) -> None:
    problem = Problem(2, lambda x: saddle(x)[0], saddle)
    point = Point.at(problem, 0, np.zeros(2))
    x = descended(problem, point, sign * np.array([0.0, 3.0]))
    assert x is not None
    assert saddle(x)[0] < -0.1
    assert descended(problem, point, np.array([1.0, 0.0])) is None
    assert descended(problem, point, np.zeros(2)) is None


def test_an_escape_stays_within_the_bounds() -> None:
    problem = Problem(2, lambda x: saddle(x)[0], saddle, lower=np.array([-1.0, -0.1]), upper=np.array([1.0, 0.2]))
    x = descended(problem, Point.at(problem, 0, np.zeros(2)), np.array([0.0, 1.0]))
    assert x is not None
    assert -0.1 <= x[1] <= 0.2


# ---- what auto takes for many variables

LIGHT = "Sum((x[i]^2 + x[i+1]^2)^2 - 4*x[i] + 3, (i, 1, n-1))"
HEAVY = "Sum(" + " + ".join(f"(x[i] - {k}.5)^2/{k + 2}" for k in range(12)) + ", (i, 1, n))"
MANY: list[tuple[str, dict[str, Any], list[str]]] = [
    (LIGHT, {"params": {"n": LONG}}, ["cg"]),
    (LIGHT, {"params": {"n": LONG - 1}}, ["lbfgs"]),
    (HEAVY, {"params": {"n": LONG}}, ["lbfgs"]),
    (LIGHT, {"params": {"n": LONG}, "iters": 3}, ["lbfgs"]),  # all its updates are one method's
    (LIGHT, {"params": {"n": LONG}, "iters": 3, "tol": 1e-30}, ["cg"]),
    (LIGHT, {"params": {"n": LONG}, "bounds": "x=0:3"}, ["lbfgsb"]),
    (LIGHT, {"params": {"n": LONG}, "starts": 2, "max_evals": 40}, ["lbfgs"]),
    ("variably_dimensioned", {"params": {"n": 100_000}, "max_evals": 400}, ["cg", "lbfgs"]),  # cg gets no further
]


@pytest.mark.parametrize(("text", "more", "legs"), MANY)
def test_auto_tries_conjugate_gradients_on_long_light_vectors(text: str, more: dict[str, Any], legs: list[str]) -> None:
    outcome = optcli.minimize(text, every=0, **({"start": "x=2"} if "Sum" in text else {}), **more)
    assert [leg.method for leg in outcome.legs] == legs
    assert outcome.preview.method == legs[0]
