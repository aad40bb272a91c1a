"""The loop: the document's digits, every stopping rule, every status, rows, bounds, and advance in pieces."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from optcli.errors import UsageError
from optcli.optimize.methods import METHODS, find, make
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import Method
from optcli.optimize.solve import Iterate, Point, Problem, Result, Silent, Status, Stop, exit_code, solve
from optcli.optimize.verdict import judge

FIRST_ORDER = [name for name in METHODS if issubclass(find(name), FirstOrder)]


@dataclass(frozen=True)
class Rows(Silent):
    """Keeps what it is shown."""

    rows: list[tuple[int, Iterate]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def row(self, iterate: Iterate) -> None:
        self.rows.append((iterate.iteration + 1, iterate))

    def progress(self, iterate: Iterate) -> None:
        self.seen.append(iterate.iteration)


def rosenbrock(x: Any) -> tuple[float, Any]:
    """(1 − x)² + 5·(y − x²)² and its gradient by hand."""
    a, b = x
    r = b - a * a
    return (1 - a) ** 2 + 5 * r**2, np.array([-2 * (1 - a) - 20 * a * r, 10 * r])


def problem_of(f: Callable[[Any], tuple[float, Any]], size: int = 1, **more: Any) -> Problem:
    return Problem(size, lambda x: f(x)[0], f, **more)


def along(x: Any, v: Any) -> Any:
    """The product of Rosenbrock's Hessian with v, by hand."""
    a, b = x
    return np.array([(2 + 60 * a * a - 20 * b) * v[0] - 20 * a * v[1], -20 * a * v[0] + 10 * v[1]])


def one(value: Callable[[float], float], slope: Callable[[float], float], **more: Any) -> Problem:
    """A function of one variable."""
    return problem_of(lambda x: (value(x[0]), np.array([slope(x[0])])), **more)


def square(**more: Any) -> Problem:
    return one(lambda x: x * x, lambda x: 2 * x, **more)


def run(problem: Problem, start: Any, stop: Stop, name: str = "gd", watch: Any = None, **settings: Any) -> Result:
    return solve(problem, make(name, settings), np.array(start, dtype=float), stop, watch)


# ---- the document's loop, issue 2 §4

GOLDEN = {
    100: (0.35029246978084444, [-0.6676852329110925, -0.5771310972800918]),
    500: (0.0039907161524854904, [-0.02651927777881584, -0.05206312665164581]),
    1000: (6.962694008850682e-05, [-0.0032222025458647236, -0.006654080512732419]),
}


def test_the_documents_loop() -> None:
    watch = Rows(100)
    result = run(problem_of(rosenbrock, 2), [-1, 1], Stop(iters=1000), watch=watch, lr=0.01)
    assert [number for number, _ in watch.rows] == list(range(100, 1001, 100))
    for number, iterate in watch.rows:
        if number in GOLDEN:
            value, gradient = GOLDEN[number]
            assert iterate.iteration == number - 1
            assert iterate.value == pytest.approx(value, rel=1e-12)
            assert iterate.gradient == pytest.approx(gradient, rel=1e-12)
    assert result.point.x == pytest.approx([0.9918216738881531, 0.9830474495799582], rel=1e-12)
    assert result.point.value == pytest.approx(6.908142593776925e-05, rel=1e-12)
    assert result.point.gradient_norm == pytest.approx(0.006627832143397683, rel=1e-12)
    assert (result.status, result.message) == ("completed", "ran the 1000 iterations asked for")
    assert (result.counts.value, result.counts.gradient, result.counts.hessian) == (1001, 1001, 0)
    assert result.iterations == 1000


def test_contract_rows_at_100() -> None:
    watch = Rows(100)
    run(problem_of(rosenbrock, 2), [-1, 1], Stop(iters=100), watch=watch, lr=0.01)
    ((_, row),) = watch.rows
    assert row.x == pytest.approx([0.42238554847679033, 0.12069644183402982], rel=1e-12)


# ---- stopping rules, contract §2
# Gradient descent with lr 0.25 on x² halves x: after k updates x = 2^-k, the gradient 2^(1-k), the value 4^-k.


def ticks() -> Callable[[], float]:
    """A clock that goes a hundredth of a second forward at each look."""
    count = itertools.count()
    return lambda: next(count) / 100


RULES = [
    # stop, start, status, iterations, gradient evaluations
    (Stop(), 1.0, "converged", 28, 29),  # 2^-27 = 7.5e-9 <= 1e-8
    (Stop(), 2.0**20, "converged", 48, 49),  # T relative to |f| at the point, not at the start
    (Stop(tol=1e-3), 1.0, "converged", 11, 12),  # 2^-10 = 9.8e-4
    (Stop(tol=2**-10), 1.0, "converged", 11, 12),  # <=, not <
    (Stop(tol=0), 1.0, "stalled", 1075, 1076),  # half of the smallest double, 2^-1074, is rounded to zero
    (Stop(tol=0), 0.0, "converged", 0, 1),
    (Stop(iters=5), 1.0, "completed", 5, 6),
    (Stop(iters=200), 1.0, "completed", 200, 201),  # no tolerance: on past 1e-8
    (Stop(iters=5), 0.0, "completed", 5, 6),  # even where the gradient is zero
    (Stop(iters=1), 1.0, "completed", 1, 2),
    (Stop(iters=0), 1.0, "completed", 0, 1),
    (Stop(iters=0, tol=1e-3), 1.0, "limit", 0, 1),
    (Stop(iters=0, tol=1e-3), 1e-4, "converged", 0, 1),
    (Stop(), 0.0, "converged", 0, 1),
    (Stop(tol=1e-3, iters=5), 1.0, "limit", 5, 6),
    (Stop(tol=1e-3, iters=11), 1.0, "converged", 11, 12),  # both at once: the tolerance is met
    (Stop(tol=1e-3, iters=50), 1.0, "converged", 11, 12),
    (Stop(max_evals=6), 1.0, "limit", 5, 6),
    (Stop(max_evals=1), 1.0, "limit", 0, 1),
    (Stop(max_evals=1), 0.0, "converged", 0, 1),
    (Stop(max_evals=100), 1.0, "converged", 28, 29),  # the default tolerance holds
    (Stop(max_evals=29), 1.0, "converged", 28, 29),
    (Stop(max_evals=6, iters=50), 1.0, "limit", 5, 6),  # before iters
    (Stop(max_evals=6, iters=5), 1.0, "completed", 5, 6),
    (Stop(max_evals=60, iters=50), 1.0, "completed", 50, 51),
    (Stop(max_time=1e9), 1.0, "converged", 28, 29),
    (Stop(max_time=1e9, iters=50), 1.0, "completed", 50, 51),
    (Stop(max_time=0), 1.0, "limit", 0, 1),
    (Stop(max_time=0), 0.0, "converged", 0, 1),
    (Stop(max_time=0, iters=0), 1.0, "completed", 0, 1),
    (Stop(max_time=0, iters=9), 1.0, "limit", 0, 1),
    (Stop(target=0.1), 1.0, "completed", 2, 3),  # 1/16
    (Stop(target=4**-3), 1.0, "completed", 3, 4),  # <=
    (Stop(target=2.0), 1.0, "completed", 0, 1),
    (Stop(target=0.1, iters=1), 1.0, "completed", 1, 2),  # no tolerance: the iterations asked for
    (Stop(target=0.1, iters=50), 1.0, "completed", 2, 3),
    (Stop(target=0.1, iters=1, tol=1e-9), 1.0, "limit", 1, 2),
    (Stop(target=-1), 1.0, "converged", 28, 29),
    (Stop(target=0.1, max_evals=2), 1.0, "limit", 1, 2),
    (Stop(target=0.1, max_evals=3), 1.0, "completed", 2, 3),
    (Stop(signal=lambda: True), 1.0, "interrupted", 0, 1),
    (Stop(signal=lambda: True), 0.0, "converged", 0, 1),
    (Stop(signal=lambda: True, iters=0), 1.0, "completed", 0, 1),
]


@pytest.mark.parametrize(("stop", "start", "status", "iterations", "evaluations"), RULES)
def test_stopping_rules(stop: Stop, start: float, status: str, iterations: int, evaluations: int) -> None:
    result = run(square(), [start], stop, lr=0.25)
    assert (result.status, result.iterations) == (status, iterations), result.message
    assert (result.counts.value, result.counts.gradient) == (evaluations, evaluations)


@pytest.mark.parametrize(("stop", "limit"), [(Stop(), 10_000), (Stop(tol=1e-9), 10_000), (Stop(target=-1), 10_000)])
def test_the_limit_where_none_is_given(stop: Stop, limit: int) -> None:
    result = run(one(lambda x: x, lambda x: 1.0), [0.0], stop, lr=1e-6)
    assert (result.status, result.iterations) == ("limit", limit)
    assert "10000 iterations, the limit where none is given" in result.message


@pytest.mark.parametrize("stop", [Stop(max_evals=12_000), Stop(iters=12_000), Stop(iters=12_000, tol=1e-9)])
def test_no_limit_of_its_own_where_one_is_given(stop: Stop) -> None:
    result = run(one(lambda x: x, lambda x: 1.0), [0.0], stop, lr=1e-6)
    assert result.iterations in (11_999, 12_000)


def test_max_time_alone_lifts_the_limit() -> None:
    looks = itertools.count()
    stop = Stop(max_time=1.0, clock=lambda: next(looks) / 60_000)
    result = run(one(lambda x: x, lambda x: 1.0), [0.0], stop, lr=1e-6)
    assert result.status == "limit"
    assert "the 1 s allowed" in result.message
    assert 10_000 < result.iterations <= 60_000
    assert result.seconds > 1.0


def test_signal_stops_at_the_next_iterate_with_the_best_point() -> None:
    problem = square()
    stop = Stop(tol=1e-12, signal=lambda: "SIGTERM" if problem.counts.gradient == 8 else None)
    result = run(problem, [1.0], stop, lr=0.75)  # x_k = (−1/2)^k
    assert (result.status, result.iterations, result.point.iteration) == ("interrupted", 7, 7)
    assert "SIGTERM" in result.message
    verdict = judge(problem, result.point, result.tolerance, result.status)
    assert exit_code(result.status, verdict, "SIGTERM") == 143
    assert exit_code(result.status, verdict, "SIGINT") == 130


BAD_STOPS = [
    {"tol": -1e-9}, {"tol": math.nan}, {"tol": math.inf}, {"tol": "1"}, {"tol": True}, {"tol": 10**400},
    {"iters": -1}, {"iters": 1.5}, {"iters": True}, {"max_evals": 0}, {"max_time": -1.0}, {"max_time": math.nan},
    {"target": math.nan}, {"target": -math.inf},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_STOPS)
def test_stop_refuses(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Stop(**bad)


# ---- statuses


def log_problem() -> Problem:
    def f(x: Any) -> tuple[float, Any]:
        return float(np.log(x[0])), 1 / x

    return problem_of(f)


@dataclass(frozen=True)
class GivesUp(Method):
    """Halves x twice, then cannot go on."""

    name = "gives up"
    summary = ""
    reference = ""

    def init(self, problem: Problem, start: Any) -> Iterate:
        return Iterate.start(Point.at(problem, 0, start), ())

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        if iterate.iteration == 2:
            return replace(iterate, failure="no lower value along the direction")
        return iterate.then(Point.at(problem, iterate.iteration + 1, iterate.x / 2), ())


# problem, start, stop, gd's lr, status, in the message, exit code, gradient evaluations, reported iteration
STATUSES = [
    (square, 1.0, Stop(iters=3), 0.25, "completed", "ran the 3 iterations asked for", 0, 4, 3),
    (square, 1.0, Stop(iters=1), 0.25, "completed", "ran the 1 iteration asked for", 0, 2, 1),
    (square, 1.0, Stop(iters=0), 0.25, "completed", "evaluated the start", 0, 1, 0),
    (square, 1.0, Stop(iters=3), 1.1, "completed", "ran the 3 iterations", 0, 4, 3),  # the last, not the best
    (square, 1.0, Stop(target=0.01), 0.25, "completed", "reached the target 0.01 after 4 iterations", 0, 5, 4),
    (square, 1.0, Stop(iters=1, target=0.01), 0.25, "completed", "target 0.01 was not reached", 0, 2, 1),
    (square, 1.0, Stop(), 0.25, "converged", "7.45e-09 is within the tolerance 1e-08", 0, 29, 28),
    (square, 1.0, Stop(iters=3, tol=1e-3), 0.25, "limit", "after the 3 iterations allowed", 11, 4, 3),
    (square, 1.0, Stop(iters=3, tol=1e-3), 1.1, "limit", "raise --iters", 11, 4, 0),  # the best, not the last
    (square, 1.0, Stop(max_evals=3), 0.25, "limit", "the 3 gradient evaluations allowed", 11, 3, 2),
    (square, 1.0, Stop(max_time=0), 0.25, "limit", "the 0 s allowed", 11, 1, 0),
    (square, 1.0, Stop(), 1e-20, "stalled", "try a larger --lr", 12, 2, 1),
    (square, 1.0, Stop(signal=lambda: "SIGINT"), 0.1, "interrupted", "stopped by SIGINT after 0", 130, 1, 0),
    (square, 1.0, Stop(tol=1e-9, iters=10**6), 10.0, "diverged", "the value overflowed at iteration", 17, 122, 0),
    (square, 1.0, Stop(iters=10**6), 1e308, "diverged", "overflowed at iteration 1", 17, 2, 0),
    (log_problem, 1.0, Stop(iters=100), 2.0, "nonfinite", "the value is nan at iteration 1", 14, 2, 0),
    (log_problem, -1.0, Stop(iters=100), 0.1, "nonfinite", "the value is nan at the start", 14, 1, 0),
    (log_problem, 0.0, Stop(iters=100), 0.1, "nonfinite", "the value is -inf at the start", 14, 1, 0),
    (log_problem, 1.0, Stop(iters=100), 1.0, "nonfinite", "the value is -inf at iteration 1", 14, 2, 0),  # a domain
]  # fmt: skip


@pytest.mark.parametrize(("make_problem", "start", "stop", "lr", "status", "words", "code", "evals", "at"), STATUSES)
def test_statuses(
    make_problem: Callable[[], Problem], start: float, stop: Stop, lr: float, status: str, words: str, code: int,
    evals: int, at: int,
) -> None:  # fmt: skip
    problem = make_problem()
    result = run(problem, [start], stop, lr=lr)
    assert result.status == status, result.message
    assert words in result.message
    assert result.counts.gradient == evals
    assert result.point.iteration == at
    assert exit_code(result.status, judge(problem, result.point, result.tolerance, result.status)) == code


def down_to(edge: float) -> Callable[[float], float]:
    """−x², which has no value beyond the edge."""
    return lambda x: -(x**2) if abs(x) < edge else math.nan


# value, slope, overflow test, start, lr, status
BLOWN_UP = [
    ("quartic", lambda x: x**4, lambda x: 4 * x**3, None, 3.0, 5.0, "diverged"),
    ("parabola down", lambda x: -(x**2), lambda x: -2 * x, None, 1.0, 1.0, "unbounded"),
    ("cubic", lambda x: x**3, lambda x: 3 * x**2, None, -1.0, 1.0, "unbounded"),
    ("−Inf by overflow", lambda x: -np.exp(x), lambda x: -np.exp(x), lambda x: True, 100.0, 1.0, "unbounded"),
    ("−Inf from a domain", lambda x: -np.exp(x), lambda x: -np.exp(x), lambda x: False, 100.0, 1.0, "nonfinite"),
    ("+Inf by overflow", lambda x: np.exp(x), lambda x: -1e3, lambda x: True, 0.0, 1.0, "diverged"),
    ("+Inf from a domain", lambda x: np.exp(x), lambda x: -1e3, lambda x: False, 0.0, 1.0, "nonfinite"),
    ("NaN by overflow", lambda x: x**4 - x**3, lambda x: 4 * x**3 - 3 * x**2, None, 3.0, 5.0, "diverged"),
    ("NaN far below", lambda x: x**3 - x**4, lambda x: 3 * x**2 - 4 * x**3, None, 3.0, 5.0, "unbounded"),
    ("NaN below −1e100", down_to(1e60), lambda x: -2 * x, lambda x: False, 1.0, 1.0, "unbounded"),
    ("NaN above −1e100", down_to(1e40), lambda x: -2 * x, lambda x: False, 1.0, 1.0, "nonfinite"),
    ("gradient Inf", lambda x: np.sqrt(x), lambda x: 0.5 / np.sqrt(x), None, 1.0, 2.0, "nonfinite"),
    ("x overflows alone", lambda x: np.exp(-(x**2)), lambda x: 1e308, None, 1.0, 1e10, "diverged"),
]


@pytest.mark.parametrize(("value", "slope", "overflow", "start", "lr", "status"), [row[1:] for row in BLOWN_UP],
                         ids=[row[0] for row in BLOWN_UP])  # fmt: skip
@pytest.mark.parametrize("stop", [Stop(iters=5000), Stop(), Stop(tol=1e-9)])
def test_what_is_not_finite_later(
    value: Any, slope: Any, overflow: Any, start: float, lr: float, status: str, stop: Stop
) -> None:
    problem = one(lambda x: np.float64(value(x)), lambda x: np.float64(slope(x)), overflow=overflow)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(problem, [start], stop, lr=lr)
    assert result.status == status, result.message
    assert result.point.finite
    assert np.isfinite(result.point.x).all()
    assert result.point is result.iterate.best


def test_the_gradient_at_the_start_is_named() -> None:
    result = run(problem_of(lambda x: (0.0, np.array([math.inf, 1.0, math.nan])), 3), [0, 0, 0], Stop(iters=3))
    assert (result.status, result.iterations) == ("nonfinite", 0)
    assert "2 of 3 entries of the gradient are not finite at the start" in result.message
    assert not result.point.finite
    assert result.iterate.best is None
    result = run(problem_of(lambda x: (0.0, np.array([math.inf]))), [0], Stop(iters=3))
    assert "1 of 1 entry of the gradient is not finite" in result.message


def test_a_start_that_is_not_finite_is_no_success() -> None:
    for stop in (Stop(iters=0), Stop(target=5.0), Stop()):
        result = run(one(lambda x: 0.0, lambda x: 0.0), [math.inf], stop)
        assert result.status == "nonfinite"


def test_a_method_that_gives_up() -> None:
    watch = Rows(1)
    result = solve(square(), GivesUp(), np.array([1.0]), Stop(), watch)
    assert (result.status, result.iterations, result.point.iteration) == ("failed", 2, 2)
    assert result.message == "no lower value along the direction (iteration 2)"
    assert [number for number, _ in watch.rows] == [1, 2]  # row 3 would need a third update


def test_every_status_is_reached_above() -> None:
    reached = {row[4] for row in STATUSES} | {row[6] for row in BLOWN_UP} | {"failed"}
    assert reached == set(Status)


def test_a_run_that_overflows_does_not_converge_on_its_way() -> None:
    """x⁴ far out has the gradient 4/x·f: far enough, that is below 1e-8·|f|."""
    result = run(one(lambda x: -(x**2), lambda x: -2 * x), [1.0], Stop(max_evals=100_000), lr=0.01)
    assert result.status == "unbounded"
    assert result.point.value < -1e300


def test_tolerance_is_relative_to_the_value() -> None:
    def f(x: Any) -> tuple[float, Any]:
        return 1e6 + float(x[0]) ** 2, 2 * x

    result = run(problem_of(f), [1.0], Stop(), lr=0.25)  # T = 1e-2: 2^-7
    assert (result.status, result.iterations, result.tolerance) == ("converged", 8, 1e-8 * result.point.value)


def test_stalled_waits_for_the_state() -> None:
    """A slope below half an ulp moves x only once momentum has grown."""
    ulp = math.ulp(1.0)
    slope = one(lambda x: x, lambda x: ulp / 8)
    assert run(slope, [1.0], Stop(tol=0, iters=100), "gd", lr=1.0).status == "stalled"
    result = run(slope, [1.0], Stop(tol=0, iters=100), "momentum", lr=1.0)
    assert (result.status, result.point.x[0] < 1.0) == ("limit", True)


def test_maximize_speaks_of_the_function_as_typed() -> None:
    up = Stop(iters=5000, maximize=True)
    result = run(one(lambda x: -(x**2), lambda x: -2 * x), [1.0], up, lr=1.0)
    assert "the value rose to 1" in result.message
    assert "no maximum is in sight" in result.message
    result = run(square(), [1.0], Stop(target=0.01, maximize=True), lr=0.25)
    assert "reached the target -0.01" in result.message
    result = run(one(lambda x: x, lambda x: 1.0), [1.0], Stop(target=0.0, maximize=True), lr=1.0)
    assert "reached the target 0 after 1 iteration: the value is 0" in result.message
    result = run(one(lambda x: math.inf, lambda x: 1.0), [1.0], Stop(maximize=True))
    assert "the value is -inf at the start" in result.message


# ---- best


def test_best_is_the_lowest_finite_iterate() -> None:
    values = {0: 5.0, 1: 3.0, 2: 4.0, 3: 3.0, 4: 6.0}
    slopes = {0: 1.0, 1: 2.0, 2: 1.0, 3: 1.0, 4: 1.0}
    walk = itertools.count()
    problem = problem_of(lambda x: (values[i := next(walk)], np.array([slopes[i]])))
    result = run(problem, [0.0], Stop(max_evals=5))
    assert result.status == "limit"
    assert result.point.iteration == 3  # of two that are equally low the one with the smaller gradient
    assert result.iterate.iteration == 4


def test_best_skips_values_with_a_gradient_that_is_not_finite() -> None:
    walk = itertools.count()
    problem = problem_of(lambda x: (-float(i := next(walk)), np.array([math.nan if i == 2 else 1.0])))
    result = run(problem, [0.0], Stop(iters=9))
    assert (result.status, result.iterations, result.point.iteration) == ("nonfinite", 2, 1)


# ---- rows and progress


@pytest.mark.parametrize("every", [0, 1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("iters", [0, 1, 6, 7, 8, 200])
def test_row_numbers(every: int, iters: int) -> None:
    watch = Rows(every)
    run(problem_of(rosenbrock, 2), [-1, 1], Stop(iters=iters), watch=watch)
    assert [number for number, _ in watch.rows] == ([] if every == 0 else list(range(every, iters + 1, every)))
    assert all(iterate.iteration == number - 1 for number, iterate in watch.rows)
    assert watch.seen == sorted(set(watch.seen))
    assert not iters or watch.seen[-1] == iters


def test_no_row_for_an_update_that_is_not_made() -> None:
    watch = Rows(1)
    result = run(square(), [1.0], Stop(), watch=watch, lr=0.25)
    assert [number for number, _ in watch.rows] == list(range(1, result.iterations + 1))


def test_the_update_into_overflow_is_made() -> None:
    watch = Rows(1)
    result = run(square(), [1.0], Stop(iters=10**6), watch=watch, lr=1e308)
    assert (result.iterations, len(watch.rows)) == (1, 1)
    assert watch.rows[0][1].value == 1.0


def test_progress_comes_ten_times_a_second() -> None:
    watch = Rows(0)
    run(square(), [1.0], Stop(iters=100, clock=ticks()), watch=watch, lr=1e-3)
    assert len(watch.seen) >= 5
    assert max(b - a for a, b in itertools.pairwise([0, *watch.seen])) <= 11


# ---- advance


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("lengths", [[1], [1, 2, 3], [7], [99, 1], [200]])
def test_advance_in_pieces_gives_the_same_digits(name: str, lengths: list[int]) -> None:
    whole = run(problem_of(rosenbrock, 2, product=along), [-1, 1], Stop(iters=200), name)
    problem, method = problem_of(rosenbrock, 2, product=along), make(name, {})
    iterate = method.init(problem, np.array([-1.0, 1.0]))
    check = Stop(iters=200).begin(problem, iterate, time.perf_counter())
    for length in itertools.cycle(lengths):
        if check(iterate) is not None:
            break
        up_to = iterate.iteration + length
        while iterate.iteration < up_to and check(iterate) is None:  # it may return early
            iterate = problem.advance(method, iterate, check, up_to)
            assert iterate.iteration <= up_to
    assert np.array_equal(iterate.x, whole.point.x)
    assert iterate.value == whole.point.value
    assert all(np.array_equal(a, b) for a, b in zip(iterate.state, whole.iterate.state, strict=True))


def test_solve_uses_the_problems_own_advance() -> None:
    asked: list[int | None] = []

    class Compiled(Problem):
        def advance(self, method: Method, iterate: Iterate, stop: Any, up_to: int | None) -> Iterate:
            asked.append(up_to)
            return super().advance(method, iterate, stop, up_to)

    watch = Rows(50)
    problem = Compiled(2, lambda x: rosenbrock(x)[0], rosenbrock)
    solve(problem, make("gd", {}), np.array([-1.0, 1.0]), Stop(iters=120, clock=lambda: 0.0), watch)
    assert asked == [49, 50, 99, 100, 149]  # to the next row, through it, on


@pytest.mark.parametrize("name", ["newton cg", "newton dense", "lbfgs", "nelder_mead", "gd"])
@pytest.mark.parametrize("ticks_left", [3, 10, 17, 40])
def test_a_step_that_time_breaks_off_was_never_made(name: str, ticks_left: int) -> None:
    """Each evaluation takes a second; the run goes on from what is left with the digits of the uninterrupted one."""
    now = itertools.count(0.0)
    name, _, subproblem = name.partition(" ")
    settings: dict[str, Any] = {"subproblem": subproblem} if subproblem else {}
    whole = run(problem_of(rosenbrock, 2, product=along), [-1, 1], Stop(iters=30), name, **settings)
    problem, method = problem_of(rosenbrock, 2, product=along), make(name, settings)
    first = solve(problem, method, np.array([-1.0, 1.0]), Stop(iters=30, max_time=ticks_left, clock=lambda: next(now)))
    assert first.status == Status.LIMIT
    assert first.iterations < 30
    same = run(problem_of(rosenbrock, 2, product=along), [-1, 1], Stop(iters=first.iterations), name, **settings)
    assert first.counts == same.counts
    rest = solve(problem, method, first.iterate, Stop(iters=30))
    assert np.array_equal(rest.iterate.x, whole.iterate.x)
    assert rest.counts == whole.counts


def test_points_are_kept_and_never_changed() -> None:
    start = np.array([-1.0, 1.0])
    for name in METHODS:
        watch = Rows(1)
        result = run(problem_of(rosenbrock, 2, product=along), start, Stop(iters=50), name, watch)
        for _, iterate in watch.rows:
            value, gradient = rosenbrock(iterate.x)
            assert iterate.value == value
            assert np.array_equal(iterate.gradient, gradient)
        assert np.array_equal(start, [-1.0, 1.0])
        assert result.iterate.point is result.point


# ---- problem: bounds, norms, counts


def bowl(x: Any) -> tuple[float, Any]:
    """(x − 2)² + (y + 1)²."""
    shift = x - np.array([2.0, -1.0])
    return float(shift @ shift), 2 * shift


GOOD = {"adagrad": {"lr": 1.0}, "adamw": {"weight_decay": 0.0}}  # what they need to come to the minimum of f


@pytest.mark.parametrize("name", FIRST_ORDER)
@pytest.mark.parametrize(
    ("lower", "upper", "minimizer"),
    [
        ([0, 0], [1, 1], [1, 0]),
        ([0, -5], [5, 5], [2, -1]),
        (None, [1, 5], [1, -1]),
        ([-5, 0], None, [2, 0]),
        ([-np.inf, 0], [np.inf, np.inf], [2, 0]),
        ([1.5, 0.5], [1.5, 0.5], [1.5, 0.5]),
    ],
)
def test_bounds(name: str, lower: Any, upper: Any, minimizer: list[float]) -> None:
    low = None if lower is None else np.array(lower, dtype=float)
    high = None if upper is None else np.array(upper, dtype=float)
    problem = problem_of(bowl, 2, lower=low, upper=high)
    watch = Rows(1)
    result = run(
        problem, [0.5, 0.5], Stop(tol=1e-7, max_evals=20_000), name, watch, **{"lr": 0.02, **GOOD.get(name, {})}
    )
    assert result.status == "converged"
    assert result.point.x == pytest.approx(minimizer, abs=1e-6)
    for _, iterate in watch.rows:
        assert low is None or (iterate.x >= low).all()
        assert high is None or (iterate.x <= high).all()


def test_a_start_outside_is_moved_in() -> None:
    problem = problem_of(bowl, 2, lower=np.zeros(2), upper=np.ones(2))
    result = run(problem, [-7, 7], Stop(iters=0))
    assert list(result.point.x) == [0.0, 1.0]


def test_projected_step_by_hand() -> None:
    problem = problem_of(bowl, 2, lower=np.zeros(2), upper=np.ones(2))
    result = run(problem, [0.5, 0.5], Stop(iters=1), lr=0.25)
    assert list(result.point.x) == [1.0, 0.0]  # 0.5 + 0.75 and 0.5 − 0.75, projected
    assert result.point.gradient_norm == 0.0
    assert list(result.point.gradient) == [-2.0, 2.0]  # the raw one


NORMS = [
    ([1.0, -3.0], None, None, 3.0),
    ([-1.0, 0.5], None, None, 1.0),
    ([0.0, -0.0], None, None, 0.0),
    ([math.nan, 1.0], None, None, math.nan),
    ([1.0, -math.inf], None, None, math.inf),
    ([4.0, -4.0], [-1.0, -1.0], [2.0, 2.0], 2.0),  # x = 0: P(−4) = −1, P(4) = 2
    ([4.0, -4.0], [-1.0, -1.0], None, 4.0),
    ([4.0, -4.0], [0.0, 0.0], [0.0, 0.0], 0.0),
    ([math.nan, 1.0], [-1.0, -1.0], [1.0, 1.0], math.nan),
]


@pytest.mark.parametrize(("g", "lower", "upper", "norm"), NORMS)
def test_gradient_norm(g: list[float], lower: Any, upper: Any, norm: float) -> None:
    bounds = {
        "lower": lower if lower is None else np.array(lower),
        "upper": upper if upper is None else np.array(upper),
    }
    got = problem_of(bowl, 2, **bounds).gradient_norm(np.zeros(2), np.array(g))
    assert got == norm or (math.isnan(got) and math.isnan(norm))
    assert math.copysign(1.0, got) == 1.0 or math.isnan(got)


def test_a_bound_does_not_hide_an_infinite_gradient() -> None:
    problem = one(lambda x: float(np.sqrt(x)), lambda x: math.inf, lower=np.zeros(1), upper=np.ones(1))
    assert run(problem, [0.0], Stop()).status == "nonfinite"


def test_counts() -> None:
    problem = square()
    x = np.array([3.0])
    assert problem.value(x) == 9.0
    assert problem.value_and_gradient(x)[0] == 9.0
    assert (problem.counts.value, problem.counts.gradient, problem.counts.hessian) == (2, 1, 0)


def test_the_result_keeps_its_own_counts() -> None:
    problem = square()
    result = run(problem, [1.0], Stop(iters=3))
    problem.value(np.array([1.0]))
    assert result.counts.value == 4


def test_large_finite_vectors_are_finite() -> None:
    """The sum of the entries overflows, the entries do not."""
    big = np.full(4, 1e308)
    problem = problem_of(lambda x: (0.0, np.zeros(4)), 4)
    with np.errstate(over="ignore", invalid="ignore"):
        assert Point.at(problem, 0, big).finite
        assert not Point.at(problem, 0, np.array([1e308, -math.inf, math.inf, 0.0])).finite
