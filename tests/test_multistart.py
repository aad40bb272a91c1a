"""Many starts: where they are, what is collected, when they end."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import optcli
from optcli import workers
from optcli.optimize.multistart import NO, OPEN, YES, Ends, Found, Local, box, search
from optcli.optimize.sobol import Sobol

INF = math.inf


@pytest.mark.parametrize(
    ("start", "lower", "upper", "low", "high"),
    [
        ([0.5], [0.0], [1.0], [0.0], [1.0]),
        ([0.5], None, None, [-9.5], [10.5]),
        ([3.0, -2.0], None, None, [-27.0, -22.0], [33.0, 18.0]),
        ([0.0], [-INF], [1.0], [-10.0], [1.0]),
        ([0.0], [-1.0], [INF], [-1.0], [10.0]),
        ([5.0], [-INF], [1.0], [-49.0], [1.0]),
    ],
)
def test_the_box(
    start: list[float], lower: list[float] | None, upper: list[float] | None, low: list[float], high: list[float]
) -> None:
    ends = box(*(None if each is None else np.array(each) for each in (start, lower, upper)))  # type: ignore[arg-type]
    assert np.allclose(ends, [low, high])


def wells(x: np.ndarray) -> Ends:
    """The nearest whole number of each coordinate is a minimum; the value is Σ (k − 3)²."""
    bottom = np.round(x)
    return Ends(bottom, ((bottom - 3.0) ** 2).sum(axis=1), np.full(len(x), YES, dtype=np.int8), lambda k: tuple(x[k]))


def nobody(outcomes: Any) -> Any:
    raise AssertionError("nothing is open")


def run(count: int, seed: int = 0, size: int = 2) -> Found:
    ends = np.full(size, -10.4), np.full(size, 10.4)
    return search(wells, np.zeros(size), count, ends, np.random.default_rng(seed), nobody)


def test_minima_are_counted_and_sorted() -> None:
    found = run(500)
    assert found.starts == sum(minimum.times for minimum in found.minima) == 500
    values = [minimum.value for minimum in found.minima]
    assert values == sorted(values)
    places = [tuple(minimum.x) for minimum in found.minima]
    assert len(set(places)) == len(places)
    assert found.best.value == values[0] == 0.0
    assert max(abs(entry) for place in places for entry in place) <= 10.0


def test_the_start_is_the_first_and_the_seed_decides() -> None:
    seen: list[tuple[float, ...]] = []

    def local(x: np.ndarray) -> Ends:
        seen.extend(map(tuple, x))
        return wells(x)

    for seed in (0, 0, 1):
        box_ = np.full(2, -9.0), np.full(2, 9.0)
        search(local, np.array([1.5, 2.5]), 20, box_, np.random.default_rng(seed), nobody)
    first, again, other = seen[:20], seen[20:40], seen[40:]
    assert first[0] == other[0] == (1.5, 2.5)
    assert first == again
    assert first[1:] != other[1:]


def test_hops_find_what_even_points_miss() -> None:
    """In ten dimensions no point of thousands is near the bottom, but hops get there."""
    even = Sobol(10, np.random.default_rng(0)).take(2000)
    assert wells(20.8 * even - 10.4).value.min() > 40.0
    assert run(2000, size=10).best.value <= 10.0


def test_the_end_of_the_budget() -> None:
    left = 40

    def local(x: np.ndarray) -> Ends:
        nonlocal left
        taken = min(left, len(x))
        left -= taken
        return wells(x[:taken])

    found = search(local, np.zeros(1), 100, (np.full(1, -9.0), np.full(1, 9.0)), np.random.default_rng(0), nobody)
    assert found.starts == 40


@pytest.mark.parametrize(
    ("ends", "best"),
    [
        ([(math.nan, NO), (5.0, NO)], 5.0),
        ([(5.0, NO), (math.nan, NO)], 5.0),
        ([(5.0, YES), (4.0, NO)], 4.0),  # lower, though no minimum was reached
        ([(4.0 - 1e-9, NO), (4.0, YES)], 4.0),  # alike: the one that is a minimum
        ([(math.inf, NO), (math.nan, NO)], math.inf),
        ([(7.0, NO), (6.0, NO), (5.0, YES), (5.5, NO), (math.nan, NO)], 5.0),
    ],
)
def test_which_end_is_the_best(ends: list[tuple[float, int]], best: float) -> None:
    waiting = iter(ends)

    def local(x: np.ndarray) -> Ends:
        value, kept = zip(*(next(waiting) for _ in x), strict=True)
        return Ends(x, np.array(value), np.array(kept, dtype=np.int8))

    found = search(local, np.zeros(1), len(ends), (np.zeros(1), np.ones(1)), np.random.default_rng(0), nobody)
    assert found.best.value == best
    assert len(found.minima) == sum(kept for _, kept in ends)


def test_only_what_is_new_is_judged() -> None:
    """Ends that are alike have one judgment, within a round and over rounds; a judge may go on to another end."""
    asked: list[float] = []

    def local(x: np.ndarray) -> Ends:
        bottom = np.round(x)
        return Ends(bottom, np.abs(bottom[:, 0]), np.full(len(x), OPEN, dtype=np.int8), lambda k: float(bottom[k, 0]))

    def judge(outcomes: Any) -> list[Local]:
        asked.extend(outcomes)
        # from 2 one gets down to 1; 3 is no minimum
        return [
            Local(np.array([1.0 if at == 2.0 else at]), 1.0 if at == 2.0 else abs(at), at != 3.0) for at in outcomes
        ]

    ends = np.full(1, -3.4), np.full(1, 3.4)
    found = search(local, np.zeros(1), 200, ends, np.random.default_rng(0), judge)
    others = sorted(at for at in asked if at != 2.0)
    assert others in ([-3.0, -2.0, -1.0, 0.0, 3.0], [-3.0, -2.0, -1.0, 0.0, 1.0, 3.0])  # 1 may be known from 2
    assert sorted(float(each.x[0]) for each in found.minima) == [-3.0, -2.0, -1.0, 0.0, 1.0]
    assert 100 < sum(each.times for each in found.minima) < 200


# ------------------------------------------------------------------ whole searches

WELLS = "(x**2 - 1)**2 + (y**2 - 1)**2 + x/10"
AROUND = {"start": {"x": 0.5, "y": 0.3}, "bounds": {"x": "-3:3", "y": "-3:3"}}
CHAIN = "Sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, (i, 1, 11))"
SEARCHES: dict[str, dict[str, Any]] = {
    "auto": {"function": "rastrigin", "bounds": "domain", "starts": 40},
    "few evaluations": {"function": "rastrigin", "bounds": "domain", "starts": 500, "max_evals": 150},
    "kinks": {"function": "abs(x - 1) + abs(y - 2*x)", "starts": 8, "max_evals": 900},
    "a vector": {"function": CHAIN, "starts": 18, "method": "lbfgs"},
    "a vector with few evaluations": {
        "function": "Sum(100*(x[i+1] - x[i]^2)^2 + (1 - x[i])^2, (i, 1, 39))",
        "start": "x=-1.2",
        "starts": 12,
        "method": "lbfgs",
        "max_evals": 1900,
        "seed": 1,
    },
    "a long vector": {
        "function": "Sum((x[i] - 1)^2 + 0.1*sin(x[i]), (i, 1, 40000))",
        "start": "x=0.5",
        "method": "gd",
        "lr": 0.1,
        "iters": 60,
        "tol": 1e-6,
        "starts": 2,
    },
    "saddles": {"function": "x**2*y - y + y**4", "starts": 6, "tol": 1e-8},
    "overflow": {"function": "x**4 - y**4 + y**2 + x", "starts": 20, "method": "bfgs"},
    "maximize": {"function": "sin(x)*cos(y)", "starts": 25},
    "batch": {"function": WELLS, **AROUND, "starts": 300, "lr": 0.01},
    "batch of some updates": {"function": WELLS, **AROUND, "starts": 300, "lr": 0.01, "iters": 20},
    "batch with few evaluations": {"function": WELLS, **AROUND, "starts": 3000, "lr": 0.01, "max_evals": 12_345},
    "batch with a target": {"function": WELLS, "starts": 300, "lr": 0.01, "iters": 900, "target": -0.09},
    "batch that diverges": {"function": WELLS, "starts": 300, "lr": 0.01, "seed": 3},
    "batch of a domain": {
        "function": "log(x) + 1/x + sqrt(y)**4",
        "starts": 100,
        "lr": 0.01,
        "start": {"x": 2, "y": 1},
    },
}


def found(monkeypatch: pytest.MonkeyPatch, cores: int, search: dict[str, Any]) -> dict[str, Any]:
    monkeypatch.setenv("OPTCLI_THREADS", str(cores))
    monkeypatch.setattr(workers, "PAYS", 0.0)
    command = optcli.maximize if search["function"].startswith("sin") else optcli.minimize
    told = command(**search).to_dict()
    del told["seconds"]
    return told


@pytest.mark.parametrize("name", SEARCHES)
def test_nothing_but_time_depends_on_the_cores(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    search = SEARCHES[name]
    one = found(monkeypatch, 1, search)
    assert found(monkeypatch, 3, search) == one
    assert found(monkeypatch, 1, search) == one
    assert one["starts"] <= search["starts"]
    most = search.get("max_evals", math.inf)
    # a line search that begins within the limit goes to its end
    line = 60 if "method" in search or name == "kinks" else 0
    assert one["evaluations"]["gradient"] <= most + line
    assert one["starts"] == search["starts"] or one["evaluations"]["value"] >= most or "target" in search
    if "long" in name:
        value = optcli.function(search["function"])(x=np.array(one["x"]["x"]))
        assert value == one["value"]
    assert sum(each["found"] for each in one["minima"]) <= one["starts"]
    assert all(each["verdict"]["kind"] in ("minimum", "maximum", "kink", "degenerate") for each in one["minima"])


@pytest.mark.parametrize("iters", [None, 400])
def test_a_batch_finds_what_single_runs_find(iters: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without lanes the same starts give the same minima, the same rows, and the same number of evaluations."""
    from optcli.compiled import CompiledProblem

    search = {"function": WELLS, **AROUND, "starts": 60, "lr": 0.01, "every": 7, "iters": iters}
    batch = optcli.minimize(**search)
    monkeypatch.setattr(CompiledProblem, "batch", lambda *_: None)
    single = optcli.minimize(**search)
    assert [each.x for each in batch.minima] == [each.x for each in single.minima]
    assert [each.times for each in batch.minima] == [each.times for each in single.minima]
    assert len(batch.minima) == 4
    assert batch.evaluations == single.evaluations
    assert batch.history == single.history
    assert batch.status == single.status
    assert batch.verdict.text == single.verdict.text
    assert batch.iterations == single.iterations


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_a_target_ends_the_search_wherever_it_is_met(engine: str) -> None:
    """In the first run, or in the pursuit from its end: no start follows, and no evaluation."""
    adam = {"function": "rosenbrock", "method": "adam", "lr": 0.01, "target": 1e-3, "engine": engine}
    alone, many = optcli.minimize(**adam), optcli.minimize(**adam, starts=10)
    assert many.evaluations == alone.evaluations
    assert (many.starts, many.iterations, many.value) == (1, alone.iterations, alone.value)
    simplex = {"function": CHAIN, "method": "nelder_mead", "target": 1e-1, "start": "x=0", "engine": engine}
    alone, many = optcli.minimize(**simplex), optcli.minimize(**simplex, starts=20)
    assert many.starts == 1
    assert many.evaluations["value"] <= 2 * alone.evaluations["value"]  # it begins its simplex anew after a turn


@pytest.mark.parametrize("method", ["lion", "adam", "adadelta"])
def test_evaluations_and_starts_are_the_same_on_both_engines(method: str) -> None:
    settings = {"method": method, "tol": 1e-4, "max_evals": 3000, "starts": 30}
    if method != "adadelta":
        settings["lr"] = 0.01
    text = "sin(3*x) + 0.01*x^2 + cos(2*y) + 0.01*y^2"
    one, two = (optcli.minimize(text, engine=engine, **settings) for engine in ("numpy", "native"))
    assert one.evaluations == two.evaluations
    assert one.evaluations["gradient"] <= 3000
    assert (one.starts, one.iterations) == (two.starts, two.iterations)
    assert one.value == pytest.approx(two.value, rel=1e-9)


def test_a_search_that_is_cut_short_says_so() -> None:
    cut = optcli.minimize("rastrigin", starts=50, max_evals=5)
    told = cut.to_dict()
    assert told["starts"] == cut.starts < 50
    assert told["minima"] == []
    assert "starts" not in optcli.minimize("rastrigin").to_dict()


def test_bounds_too_wide_or_too_narrow_to_spread_points() -> None:
    wide = optcli.minimize("x*sin(x)", starts=40, bounds={"x": [-1e308, 1e308]}, start=1.0)
    assert wide.value == pytest.approx(-17.3076, abs=1e-3)
    narrow = optcli.minimize("x^2 + sin(y)", starts=20, bounds={"x": [1, None], "y": [-1e-300, 1e-300]}, lr=0.1)
    assert [each.times for each in narrow.minima] == [20]


def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (
        found(monkeypatch, 2, {**SEARCHES["batch that diverges"], "seed": seed}) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["evaluations"] != other["evaluations"]


def test_ten_thousand_starts_have_few_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the four minima and of the best one, not one a start."""
    from optcli import run as running

    judged = []

    def counted(*given: Any) -> Any:
        judged.append(given)
        return conclude(*given)

    conclude = running.conclude
    monkeypatch.setattr(running, "conclude", counted)
    result = optcli.minimize(WELLS, **AROUND, starts=10_000, lr=0.01)
    assert sum(each.times for each in result.minima) == result.starts == 10_000
    assert len(result.minima) == 4
    assert len(judged) == 4
    judged.clear()
    result = optcli.minimize(WELLS, **AROUND, starts=10_000, lr=0.01, iters=30)
    assert len(result.minima) + 1 >= len(judged) > 0


# ------------------------------------------------------------------ processes


def test_workers_answer_in_order_whoever_is_lost() -> None:
    here = os.getpid()

    def work(task: int) -> tuple[int, bool]:
        if task % 5 == 3 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return task * task, os.getpid() == here

    with workers.Workers(work, 3, lambda: None) as team:
        answers = list(team.map(range(20), math.inf, lambda: None))
    assert [square for square, _ in answers] == [task * task for task in range(20)]
    assert not all(inside for _, inside in answers)
    assert all(inside for task, (_, inside) in enumerate(answers) if task % 5 == 3)


def test_no_worker_is_left_when_nobody_wants_more() -> None:
    def work(task: int) -> int:
        if task:
            time.sleep(60.0)
        return task

    with workers.Workers(work, 2, lambda: None) as team:
        answers = team.map(range(100), math.inf, lambda: None)
        assert next(answers) == 0
        processes = [process for process, _ in team._team]
        assert processes
        answers.close()  # type: ignore[attr-defined]
        assert [process.is_alive() for process in processes].count(False) == 1  # the one busy with what nobody wants
    assert not any(process.is_alive() for process in processes)


def test_a_worker_that_hears_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE", 0.2)
    here, asked = os.getpid(), []

    def work(task: int) -> int:
        if os.getpid() != here:
            asked.append(task)
            time.sleep(60.0)
        return task

    began = time.monotonic()
    with workers.Workers(work, 2, lambda: time.monotonic() - began > 0.3) as team:
        assert list(team.map(range(4), math.inf, lambda: None)) == [0, 1, 2, 3]
    assert time.monotonic() - began < 30.0  # rather than minutes


def test_a_cheap_search_forks_nothing() -> None:
    with workers.Workers(lambda task: os.getpid(), 2, lambda: None) as team:
        assert set(team.map(range(9), 0.9 * workers.PAYS, lambda: None)) == {os.getpid()}


@pytest.mark.parametrize("group", [False, True])
def test_an_interrupt_ends_a_search_with_all_that_was_found(group: bool) -> None:
    """Whether the terminal sends it to all processes or somebody to one; no process survives, and none complains."""
    words = ["minimize", CHAIN, "--starts", "1000000", "--format", "json", "--method", "lbfgs"]
    with subprocess.Popen(
        [sys.executable, "-m", "optcli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OPTCLI_THREADS": "2"},
    ) as running:  # fmt: skip
        until = time.monotonic() + 60.0
        while len(members(running.pid)) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(members(running.pid)) == 3
        time.sleep(0.2)
        (os.killpg if group else os.kill)(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    told = json.loads(out)
    assert told["status"] == "interrupted"
    assert 0 < told["starts"] < 1_000_000
    assert f"SIGINT after {told['starts']} of 1000000 starts" in told["message"]
    assert "Traceback" not in err
    assert err.count("SIGINT: stopping") == 1
    assert members(running.pid) == []


def members(group: int) -> list[str]:
    """The processes of a group that are alive."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,pid="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [pid for pgid, stat, pid in rows if pgid == str(group) and not stat.startswith("Z")]
