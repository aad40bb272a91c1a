"""Whole runs in native code are the runs of the Python-driven loop: points, rows, statuses, counts, digits."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

import optcli
from optcli.build import build, problem
from optcli.compiled import CompiledProblem
from optcli.objective import Objective
from optcli.optimize.methods import make
from optcli.optimize.problem import PATIENCE, Problem
from optcli.optimize.solve import Iterate, Result, Silent, Stop, solve

pytest.importorskip("optcli.engine.native.llvm")

DOCUMENT = "(1-x)**2 + 5*(y-x**2)**2"
CHAIN = "Sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, (i, 1, n-1))"
METHODS = (
    *("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "amsgrad", "nadam", "radam"),
    *("lion", "rprop"),
)


@dataclass(frozen=True)
class Rows(Silent):
    """Keeps what it is shown."""

    rows: list[Any] = field(default_factory=list)

    def row(self, iterate: Iterate) -> None:
        point = iterate.point
        self.rows.append((point.iteration, point.value, point.x.copy(), point.gradient.copy()))


def pair(text: str, params: dict[str, float] | None = None) -> tuple[Objective, Objective]:
    """The objective with each engine."""
    return build(text, params or {}, engine="native"), build(text, params or {}, engine="numpy")


def run(
    objective: Objective, start: Any, stop: Stop, method: str = "gd", every: int = 0, **more: Any
) -> tuple[Result, list[Any], Problem]:
    bounds = {key: more.pop(key, None) for key in ("lower", "upper")}
    chosen = make(method, {key: more.pop(key) for key in list(more) if key != "maximize"})
    made = problem(objective, method=chosen, **bounds, **more)
    watch = Rows(every)
    return solve(made, chosen, np.array(start, dtype=float), stop, watch), watch.rows, made


def assert_close(ours: Any, wanted: Any, relative: float) -> None:
    """Relative to the largest entry."""
    finite = np.abs(wanted)[np.isfinite(wanted)] if np.ndim(wanted) else abs(wanted)
    np.testing.assert_allclose(ours, wanted, relative, relative * np.max(finite, initial=1.0))


def assert_same(
    objectives: tuple[Objective, Objective], start: Any, stop: Stop, relative: float = 1e-12, **more: Any
) -> Result:
    (ours, rows, _), (wanted, others, _) = (run(objective, start, stop, **more) for objective in objectives)
    assert ours.status == wanted.status
    assert ours.iterations == wanted.iterations
    assert ours.counts == wanted.counts
    assert ours.point.iteration == wanted.point.iteration
    assert_close(ours.point.value, wanted.point.value, relative)
    assert_close(ours.point.x, wanted.point.x, relative)
    assert_close(ours.iterate.x, wanted.iterate.x, relative)
    assert [row[0] for row in rows] == [row[0] for row in others]
    for a, b in zip(rows, others, strict=True):
        for part, other in zip(a[1:], b[1:], strict=True):
            assert_close(part, other, relative)
    return ours


# ------------------------------------------------------------------ methods, bounds, directions

BOUNDS = {
    "free": {},
    "bounded": {"lower": [-0.5, -1.0], "upper": [0.5, 2.0]},
    "one-sided": {"lower": [-math.inf, -1.0], "upper": [0.2, math.inf]},
}


@pytest.mark.parametrize("method", [*METHODS, "bb"])
@pytest.mark.parametrize("kind", BOUNDS)
@pytest.mark.parametrize("every", [0, 1, 7, 100])
def test_scalar_runs(method: str, kind: str, every: int) -> None:
    bounds = {key: np.array(value) for key, value in BOUNDS[kind].items()}
    assert_same(pair(DOCUMENT), [-0.4, 1.0], Stop(iters=300, tol=0.0), method=method, every=every, lr=0.003, **bounds)


@pytest.mark.parametrize("method", METHODS)
def test_maximize(method: str) -> None:
    start = [0.3, 0.2]
    result = assert_same(pair("sin(x)*cos(y)"), start, Stop(iters=200), method=method, lr=0.05, maximize=True)
    assert result.point.value < -math.sin(0.3) * math.cos(0.2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [3, 65, 1500, 40_000])
@pytest.mark.parametrize("bounded", [False, True])
def test_vector_runs(method: str, n: int, bounded: bool) -> None:
    """In registers, in one call for many updates, and shared by threads."""
    start = np.clip(np.random.default_rng(3).normal(size=n) * 0.1, -0.2, 0.3)
    bounds = {"lower": np.full(n, -0.2), "upper": np.full(n, 0.3)} if bounded else {}
    stop = Stop(iters=40, tol=0.0)
    # adam divides by the size of a gradient, rounding and all: 1e-12 of the largest sum is more there
    relative = 1e-12 if method != "adam" else 1e-9
    assert_same(pair(CHAIN, {"n": float(n)}), start, stop, relative, method=method, every=9, lr=1e-4, **bounds)


# ------------------------------------------------------------------ what first-order methods share

SHARED: dict[str, dict[str, Any]] = {
    "step": {"schedule": "step", "period": 20, "decay": 0.7},
    "exponential": {"schedule": "exponential", "period": 30, "decay": 0.5, "final": 1e-5},
    "inverse": {"schedule": "inverse", "period": 20, "power": 0.6},
    "polynomial": {"schedule": "polynomial", "period": 200, "power": 1.5},
    "line": {"schedule": "polynomial", "period": 100},
    "cosine": {"schedule": "cosine", "period": 17},
    "restarts": {"schedule": "cosine", "period": 5, "growth": 2, "final": 1e-4, "warmup": 10},
    "one-cycle": {"schedule": "one-cycle", "period": 90},
    "warm": {"warmup": 50},
    "clipped": {"clip_value": 0.3},
    "decayed": {"weight_decay": 0.2},
    "plateau": {"schedule": "plateau", "patience": 3},
    "short": {"clip_norm": 0.3},
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("method", ["gd", "momentum", "adamw", "rprop", "bb"])
def test_shared_fields(name: str, method: str) -> None:
    assert_same(pair(DOCUMENT), [-0.4, 1.0], Stop(iters=150), method=method, every=40, lr=0.003, **SHARED[name])


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("n", [65, 40_000])
def test_shared_fields_on_vectors(name: str, n: int) -> None:
    start = np.random.default_rng(3).normal(size=n) * 0.1
    objectives = pair(CHAIN, {"n": float(n)})
    assert_same(objectives, start, Stop(iters=40, tol=0.0), method="nesterov", every=9, lr=1e-4, **SHARED[name])


def test_what_is_no_matter_of_single_entries_runs_in_python() -> None:
    """On evaluations that are compiled all the same."""
    objective, _ = pair(DOCUMENT)
    for method, more, wanted in (
        ("gd", {}, CompiledProblem),
        ("adam", SHARED["restarts"], CompiledProblem),
        ("adam", SHARED["plateau"], Problem),
        ("gd", SHARED["short"], Problem),
        ("bb", {}, Problem),
    ):
        assert type(problem(objective, method=make(method, more))) is wanted


@pytest.mark.parametrize("more", [{"warmup": 100}, {"schedule": "cosine", "period": 9}, {}, SHARED["one-cycle"]])
def test_steps_that_are_too_small_for_now(more: dict[str, Any]) -> None:
    """A run ends as stalled at the same iteration."""
    stop = Stop(iters=700, tol=1e-12)
    assert_same(pair("(x - 1)**2 + y**2"), [1.000001, 0], stop, method="gd", every=0, lr=1e-12, **more)


# ------------------------------------------------------------------ every stopping rule

STOPS = {
    "iterations": (DOCUMENT, [-1, 1], Stop(iters=123)),
    "default tolerance": (DOCUMENT, [-1, 1], Stop(iters=100_000)),
    "tolerance": (DOCUMENT, [-1, 1], Stop(tol=1e-3, iters=100_000)),
    "no tolerance": (DOCUMENT, [0.9, 0.8], Stop(tol=0.0, iters=20_000)),
    "target": (DOCUMENT, [-1, 1], Stop(target=0.01, iters=100_000)),
    "target at the start": (DOCUMENT, [1, 1], Stop(target=0.01, iters=100)),
    "evaluations": (DOCUMENT, [-1, 1], Stop(max_evals=77, iters=100_000)),
    "one evaluation": (DOCUMENT, [-1, 1], Stop(max_evals=1, iters=100_000)),
    "default limit": (DOCUMENT, [-1, 1], Stop()),
    "nothing moves": ("sign(x)*0 + 1 + 0*y", [1, 1], Stop(iters=50, tol=0.0)),
    "diverges": ("x**4 + y**2", [30, 1], Stop(iters=100)),
    "unbounded": ("-exp(x) - y", [1, 1], Stop(iters=10_000)),
    "leaves its domain": ("log(x) + y**2", [1, 1], Stop(iters=1000)),
    "kink that is passed": ("abs(x) + abs(y)", [0.3, 0.2], Stop(iters=200)),
    "zero times infinity": ("where(x > 0, sqrt(x), x**2) + (y - 1)**2", [-1, 3], Stop(iters=200)),
    "zero times anything": ("x**2 + sqrt(y)**4", [1.0, 0.0], Stop(iters=40)),
    "saddle": ("x**2 - y**2", [1, 0], Stop(iters=5000)),
}


@pytest.mark.parametrize("name", STOPS)
@pytest.mark.parametrize("method", ["gd", "momentum"])
def test_stops(name: str, method: str) -> None:
    text, start, stop = STOPS[name]
    assert_same(pair(text), start, stop, 1e-11, method=method, lr=0.01)


def test_the_signal_and_the_clock_are_seen_within_a_run() -> None:
    objective, _ = pair(DOCUMENT)
    asked = []

    def interrupted() -> str | None:
        asked.append(time.perf_counter())
        return "SIGINT" if len(asked) > 5 else None

    result, _, _ = run(objective, [-1, 1], Stop(iters=10**12, tol=0.0, signal=interrupted), lr=1e-9)
    assert result.status == "interrupted"
    assert 0 < result.iterations < 10**12
    assert result.point.value <= 20.0
    result, _, _ = run(objective, [-1, 1], Stop(iters=10**12, tol=0.0, max_time=0.05), lr=1e-9)
    assert result.status == "limit"


# ------------------------------------------------------------------ the same digits however it is cut


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [2, 1500, 40_000])
def test_pieces_do_not_change_digits(method: str, n: int) -> None:
    """With a row at each update, at every seventh and none; each advance begins anew."""
    objective = build(CHAIN, {"n": float(n)}, engine="native")
    start = np.random.default_rng(3).normal(size=n) * 0.1
    ends = [
        run(objective, start, Stop(iters=60, tol=0.0), method=method, every=every, lr=1e-4)[0].iterate.x
        for every in (0, 1, 7)
    ]
    assert np.array_equal(ends[0], ends[1])
    assert np.array_equal(ends[0], ends[2])


@pytest.mark.parametrize("text", [CHAIN, "Sum(exp(-x[i]**2), (i, 1, n))", "Sum(x[i]*x[i+1]**2, (i, 1, n-1)) + norm(x)"])
def test_threads_do_not_change_digits(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 300_000
    found = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv("OPTCLI_THREADS", count)
        objective = build(text, {"n": float(n)}, engine="native")
        x = np.random.default_rng(1).normal(size=n)
        value, slope = objective.value_and_gradient(x)
        product = objective.hvp(x, np.cos(x))
        result, _, _ = run(objective, x, Stop(iters=3, tol=0.0), method="adam", lr=1e-3)
        found.append((value, slope, product, result.iterate.x))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.array_equal(a, b)


def test_long_vectors_are_written_over() -> None:
    """A run holds two points with their gradients, and the best one while that is another."""
    n = 40_000
    objective = build(CHAIN, {"n": float(n)}, engine="native")
    for rate, most in ((1e-4, 4), (1e-3, 6)):
        for every in (0, 1):
            _, _, made = run(objective, np.full(n, 0.3), Stop(iters=30, tol=0.0), lr=rate, every=every)
            loop = made._loop  # type: ignore[attr-defined]
            assert not loop.serial
            assert len(loop._pool.lent) + len(loop._pool.spare) <= most + 2 * every


# ------------------------------------------------------------------ what must not be kept or hidden


def test_a_result_is_not_written_over() -> None:
    objective, _ = pair(DOCUMENT)
    chosen = make("gd", {"lr": 0.01})
    made = problem(objective, method=chosen)
    first = solve(made, chosen, np.array([-1.0, 1.0]), Stop(iters=100))
    kept = first.iterate.x.copy(), first.point.x.copy()
    solve(made, chosen, np.array([3.0, 3.0]), Stop(iters=100))
    assert np.array_equal(first.iterate.x, kept[0])
    assert np.array_equal(first.point.x, kept[1])


def test_the_start_of_a_long_run_is_kept() -> None:
    n = 40_000
    objective = build(CHAIN, {"n": float(n)}, engine="native")
    start = np.full(n, 0.3)
    result, _, _ = run(objective, start, Stop(iters=5, tol=0.0), lr=10.0)
    assert np.array_equal(start, np.full(n, 0.3))
    assert result.point.value <= objective.value(start)


def test_other_methods_take_the_plain_way() -> None:
    """A problem compiled for one method serves another as well."""
    objective, _ = pair(DOCUMENT)
    made = problem(objective, method=make("gd", {"lr": 0.01}))
    other = make("adam", {"lr": 0.01})
    wanted, _, _ = run(objective, [-1, 1], Stop(iters=50), method="adam", lr=0.01)
    assert solve(made, other, np.array([-1.0, 1.0]), Stop(iters=50)).iterate.x == pytest.approx(
        wanted.iterate.x, rel=1e-12
    )


def test_a_call_returns_within_patience() -> None:
    """Calls are cut by what an iteration has cost so far, so that a signal never waits for a whole run."""
    objective, _ = pair(DOCUMENT)
    chosen = make("gd", {"lr": 1e-9})
    made = problem(objective, method=chosen)
    lengths: list[float] = []
    called = made._loop._run  # type: ignore[attr-defined]

    def timed(*args: Any) -> None:
        began = time.perf_counter()
        called(*args)
        lengths.append(time.perf_counter() - began)

    made._loop._run = timed  # type: ignore[attr-defined]
    calls = []
    clock = time.perf_counter
    stop = Stop(iters=40_000_000, tol=0.0)
    solve(made, chosen, np.array([-1.0, 1.0]), replace(stop, signal=lambda: calls.append(clock())))
    assert len(lengths) > len(calls) > 1  # several calls an advance, and more than one advance
    assert sorted(lengths)[len(lengths) // 2] < PATIENCE


# ------------------------------------------------------------------ many starts at once


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", BOUNDS)
@pytest.mark.parametrize(
    "stop",
    [Stop(iters=150), Stop(iters=0), Stop(tol=1e-3, iters=400), Stop(target=0.5, iters=300), Stop(max_evals=77)],
    ids=["iterations", "none", "tolerance", "target", "evaluations"],
)
def test_a_batch_has_the_digits_of_single_runs(method: str, kind: str, stop: Stop) -> None:
    """Bit for bit: last and best points, states, numbers of updates, and how each would be told to have ended."""
    bounds = {key: np.array(value) for key, value in BOUNDS[kind].items()}
    chosen = make(method, {"lr": 0.02, "schedule": "cosine", "period": 60, "warmup": 5})
    made = problem(build(DOCUMENT, {}, engine="native"), method=chosen, **bounds)
    # the last of them diverge, some soon, some later; more of them than two blocks have lanes
    starts = np.random.default_rng(4).normal(size=(300, 2)) * np.geomspace(0.01, 30.0, 300)[:, None]
    same(made, chosen, starts, stop)


def same(made: Problem, chosen: Any, starts: np.ndarray, stop: Stop, some: int = 5) -> None:
    batch = made.batch(chosen, starts, stop, lambda updates: False)
    assert batch is not None
    x, value = batch.reported(stop)
    for k in range(0, len(starts), some):
        made.counts.gradient = 0
        alone = solve(made, chosen, starts[k], stop)
        if batch.doubtful[k]:
            continue
        wanted, found = alone.iterate, batch.iterate(k)
        assert alone.counts.gradient == batch.done[k] + 1
        assert_identical(found.point, wanted.point)
        assert found.moved == wanted.moved
        assert all(map(np.array_equal, found.state, wanted.state))
        assert (found.best is None) == (wanted.best is None)
        if found.best is not None and wanted.best is not None:
            assert_identical(found.best, wanted.best)
        if not batch.left[k]:
            assert np.array_equal(x[k], alone.point.x)
            assert value[k] == alone.point.value or not alone.point.finite
            made.counts.gradient = int(batch.done[k]) + 1
            again = solve(made, chosen, found, replace(stop, scale=float(batch.scale[k])))
            assert (again.status, again.message) == (alone.status, alone.message)
        assert batch.scale[k] == alone.scale


def assert_identical(found: Any, wanted: Any) -> None:
    assert found.iteration == wanted.iteration
    assert found.finite == wanted.finite
    for part in ("x", "value", "gradient", "gradient_norm"):
        assert np.array_equal(getattr(found, part), getattr(wanted, part), equal_nan=True), part


@pytest.mark.parametrize(
    "text",
    [
        "exp(-x**2)*sin(y) + 2**x + abs(z)**1.5 + (x - y)**4/100",
        "log(x + 3) + sqrt(y + 2) + z**2*atan2(x, y)",
        "where(x > 0, sqrt(x), x**2) + (y - 1)**2 + z**2",
        "max(x, y, z) + Mod(x, 2) + sign(y)*x + erf(z)",
    ],
)
def test_a_batch_calls_the_functions_that_single_runs_call(text: str) -> None:
    chosen = make("gd", {"lr": 0.01})
    made = problem(build(text, {}, engine="native"), method=chosen)
    same(made, chosen, np.random.default_rng(1).normal(size=(200, 3)) * 2.0, Stop(iters=200), 1)


def test_a_batch_waits_for_bounds_as_single_runs_do() -> None:
    """With |f| = 1e9 the default tolerance is 10, but y goes on until it is at its bound."""
    text, bounds = "1e9 + 3*y + (x - 2)^2 + x*y/10", {"x": [-5, 5], "y": [-2, 2]}
    objective = build(text)
    lower, upper = np.array([-5.0, -2.0]), np.array([5.0, 2.0])
    method = make("gd", {"lr": 0.01})
    made = problem(objective, False, lower, upper, method)
    starts = np.random.default_rng(0).uniform(lower, upper, (5, 2))
    batch = made.batch(method, starts, Stop(), lambda updates: False)
    assert batch is not None
    for k, start in enumerate(starts):
        alone = solve(problem(objective, False, lower, upper, method), method, start, Stop())
        assert batch.doubtful[k] == (batch.done[k] != alone.iterations)
    assert batch.doubtful.any()
    found = optcli.minimize(text, bounds=bounds, starts=5, lr=0.01)
    assert found.x["y"] == -2.0


def test_a_batch_is_left_where_it_stands() -> None:
    chosen = make("gd", {"lr": 1e-6})
    made = problem(build(DOCUMENT, {}, engine="native"), method=chosen)
    starts = np.random.default_rng(1).normal(size=(40, 2))
    batch = made.batch(chosen, starts, Stop(iters=10**9), lambda updates: updates > 50_000)
    assert batch is not None
    assert batch.left.all()
    assert (batch.done == batch.done[0]).all()
    assert 50_000 / 40 < batch.done[0] < 10**9
    alone = solve(made, chosen, starts[7], Stop(iters=int(batch.done[0])))
    assert_identical(batch.iterate(7).point, alone.iterate.point)


def test_what_has_no_batch() -> None:
    gd, adam = make("gd", {}), make("adam", {})
    vector = problem(build("Sum(x[i]**2, (i, 1, 9))", {}, engine="native"), method=gd)
    back = problem(build("loggamma(x + 5) + y**2", {}, engine="native"), method=gd)
    scalar = problem(build(DOCUMENT, {}, engine="native"), method=gd)
    for made, method in ((vector, gd), (back, gd), (scalar, adam)):
        assert made.batch(method, np.ones((3, made.size)), Stop(iters=3), lambda updates: False) is None
