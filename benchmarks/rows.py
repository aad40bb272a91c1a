"""The rows: what is measured against whom, what the ratio must reach, and what it aims at."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import peers
from harness import ROOT, Pair, Row

from optcli.build import build, problem
from optcli.objective import Objective
from optcli.optimize.methods import make
from optcli.optimize.problem import Counts
from optcli.optimize.solve import Stop, solve

DOCUMENT = "(1-x)**2 + 5*(y-x**2)**2"
CHAINED = "Sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, (i, 1, n-1))"
EXPONENTIAL = "Sum(exp(x[i]) + x[i]**2, (i, 1, n))"
MILLION = 10**6
MAIN_JOB = ("-m", "optcli", "minimize", DOCUMENT, "--start", "-1,1", "--lr", "0.01", "--iters", "1000")
WARM = 0.05  # seconds
VARIABLES = 90  # of the long scalar texts


def seconds(work: Callable[[], object]) -> Callable[[], float]:
    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return once


def steady(work: Callable[[], object]) -> Callable[[], float]:
    """As in a run, one call after the other: the other side's worker threads have come to rest, ours are awake."""
    timed = seconds(work)

    def once() -> float:
        until = time.perf_counter() + WARM
        while time.perf_counter() < until:
            work()
        return timed()

    return once


# ------------------------------------------------------------------ loops and evaluations


def document_loop() -> Callable[[], object]:
    """A whole run by the engine; like the peers', its code is compiled beforehand."""
    objective, method = build(DOCUMENT), make("gd", {"lr": 0.01})
    compiled, start = problem(objective, method=method), np.array([-1.0, 1.0])
    found = solve(compiled, method, start, Stop(iters=1000)).point.x
    assert np.allclose(found, [0.9918216738881531, 0.9830474495799582], 1e-12)
    return lambda: solve(compiled, method, start, Stop(iters=MILLION))


def loop(peer: Callable[[int], Callable[[], object]]) -> Callable[[], Pair]:
    return lambda: Pair(seconds(document_loop()), seconds(peer(MILLION)))


STARTS = 10_000
BOX = (-1.5, 1.5)  # where no run of the document's loop diverges, so that each makes all its iterations


def many_starts(box: tuple[float, float] | None) -> Callable[[], Pair]:
    """A whole search: points, runs, what is distinct, verdicts, rows of the best; code is compiled beforehand."""

    def prepare() -> Pair:
        bounds = {} if box is None else {name: "{}:{}".format(*box) for name in "xy"}
        search = prepared(DOCUMENT, start={"x": -1, "y": 1}, bounds=bounds, starts=STARTS, lr=0.01, iters=1000)
        points: list[Any] = []
        found, made, _, _ = search(points.append)
        assert made == sum(map(len, points)) == STARTS
        peer = peers.jax_starts(np.vstack(points), 1000, box)
        assert math.isclose(found.result.point.value, peer()[1], abs_tol=1e-8)  # theirs leaves the last point out
        return Pair(seconds(search), seconds(peer))

    return prepare


def prepared(text: str, **settings: Any) -> Callable[..., Any]:
    """`optcli.minimize(text, …)` from where its code is compiled to where the outcome is put together.

    Called with a function it shows that all starting points, round by round.
    """
    from optcli import local_runs, starts
    from optcli import run as running

    given: list[Any] = []
    whole = local_runs.LocalRuns

    def kept(*arguments: Any) -> Any:
        given.append(arguments)
        return whole(*arguments)

    local_runs.LocalRuns = kept
    try:
        running.minimize(text, **settings)
    finally:
        local_runs.LocalRuns = whole
    (_, _, methods, problems, *_) = given[0]

    def search(see: Callable[[Any], object] | None = None) -> Any:
        problems.begin(Counts())
        runs = whole(*given[0])
        if see is None:
            return starts.many(runs)
        problem, batch = problems.of(methods[0]), problems.of(methods[0]).batch
        problem.batch = lambda method, points, *more: see(points.copy()) or batch(method, points, *more)
        try:
            return starts.many(runs)
        finally:
            del problem.batch

    return search


@contextmanager
def setting(name: str, word: str | None) -> Iterator[None]:
    """With an environment variable set, or without it."""
    before = os.environ.pop(name, None)
    if word is not None:
        os.environ[name] = word
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def evaluation(text: str, n: int, peer: Callable[[Any], Callable[[], Any]], threads: int | None) -> Callable[[], Pair]:
    """Value and gradient at n variables, on so many threads, None: as many as there are cores."""

    def prepare() -> Pair:
        objective: Objective = build(text, {"n": float(n)})
        x = np.random.default_rng(0).normal(size=n)
        theirs = peer(x)

        def ours() -> tuple[float, Any]:
            with setting("OPTCLI_THREADS", threads and str(threads)):
                return objective.value_and_gradient(x)

        (value, slope), (other, gradient) = ours(), theirs()
        assert math.isclose(value, float(other), rel_tol=1e-9)
        assert np.allclose(slope, np.asarray(gradient), 1e-9, 1e-9)
        return Pair(steady(ours), steady(theirs))

    return prepare


# ------------------------------------------------------------------ processes


def process(words: tuple[str, ...], folder: Callable[[], str]) -> Callable[[], float]:
    """Elapsed seconds of `python words`, with graphs kept in `folder()`."""

    def once() -> float:
        environment = {**os.environ, "XDG_CACHE_HOME": folder(), "PYTHONDONTWRITEBYTECODE": ""}
        began = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment, cwd=ROOT)
        return time.perf_counter() - began

    return once


_KEPT: list[tempfile.TemporaryDirectory[str]] = []  # removed when the program ends


def new_folder() -> str:
    _KEPT.append(tempfile.TemporaryDirectory(prefix="optcli-bench-"))
    return _KEPT[-1].name


def whole(ours: tuple[str, ...], *theirs: str, needs: str = "", cached: bool = True) -> Callable[[], Pair]:
    def prepare() -> Pair:
        peers.need(needs)
        folder = new_folder()
        sides = process(ours, (lambda: folder) if cached else new_folder), process(theirs, lambda: folder)
        for side in sides:  # byte code and caches are there before the first repetition
            side()
        return Pair(*sides)

    return prepare


def script(name: str) -> str:
    return str(ROOT / "benchmarks" / "scripts" / name)


# A process counts what its parent held before it became itself, so a small one stands between.
PEAK = """
import os, subprocess, sys
running = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(running.pid, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_memory(n: int) -> Callable[[], Pair]:
    """Bytes at the peak of a whole process beyond those of the same with 10 variables, and 8·n."""

    def peak(size: int) -> float:
        words = ["minimize", CHAINED, "--param", f"n={size}", "--lr", "1e-4", "--iters", "20", "--every", "5"]
        command = [sys.executable, "-m", "optcli", *words, "--format", "table"]
        between = [sys.executable, "-S", "-c", PEAK, *command]
        ran = subprocess.run(between, capture_output=True, text=True, check=True, cwd=ROOT)
        return float(ran.stdout) * (1.0 if sys.platform == "darwin" else 1024.0)

    return lambda: Pair(lambda: (peak(n) - peak(10)) / 1e6, lambda: 8 * n / 1e6, "MB")


# ------------------------------------------------------------------ long scalar texts


def scalar_text(terms: int) -> str:
    return " + ".join(
        f"{k % 7 + 1}*(x{k % VARIABLES} - x{k * 7 % VARIABLES}**2)**2*sin(x{k * 3 % VARIABLES})*{k}.5"
        for k in range(terms)
    )


def separate_text(terms: int) -> str:
    """Each term has a variable of its own: what SymPy is slowest at, and many a model looks like."""
    return " + ".join(f"(x{k} - {k})**2*sin(x{k})" for k in range(terms))


def first_gradient(text: str) -> Callable[[], object]:
    """From a text that was never seen to machine code and its first gradient."""
    method = make("gd", {})

    def once(text: str) -> object:
        objective = build(text)
        return problem(objective, method=method).value_and_gradient(np.full(objective.layout.size, 0.1))

    def work() -> object:
        with setting("OPTCLI_CACHE", "off"):
            return once(text)

    once("(a-x)**2")  # SymPy and LLVM are loaded
    return work


def next_gradient(terms: int) -> Callable[[], object]:
    objective = build(scalar_text(terms))
    compiled, x = problem(objective, method=make("gd", {})), np.full(objective.layout.size, 0.1)
    return lambda: compiled.value_and_gradient(x)


def twice(terms: int) -> Callable[[], Pair]:
    return lambda: Pair(seconds(first_gradient(scalar_text(2 * terms))), seconds(first_gradient(scalar_text(terms))))


# ------------------------------------------------------------------ the table

ROWS = (
    Row("loop-c", "10⁶ iterations of the document's loop / C", loop(peers.c_loop), 1.5, 1.0),
    Row("loop-jax", "the same / JAX `fori_loop` under jit", loop(peers.jax_loop), 1.0, 0.5),
    Row(
        "starts-jax",
        "10⁴ starts × 1,000 iterations of the document's loop / JAX vmap + jit",
        many_starts(BOX),
        1.0,
        0.3,
        41,
    ),
    Row(
        "starts-wide-jax",
        "the same from start ± 10, where most runs diverge and ours end / JAX vmap + jit",
        many_starts(None),
        None,
        None,
        41,
    ),
    Row(
        "chained-c",
        "value + gradient, chained Rosenbrock n = 10⁶, one thread / C with -ffast-math",
        evaluation(CHAINED, MILLION, peers.c_chained, 1),
        1.5,
        1.0,
        41,
    ),
    Row(
        "chained-c-all",
        "the same, all cores / C with -ffast-math, one thread",
        evaluation(CHAINED, MILLION, peers.c_chained, None),
        None,
        1.0,
        41,
    ),
    Row(
        "chained-jax",
        "the same, all cores / JAX jit",
        evaluation(CHAINED, MILLION, peers.jax_chained, None),
        0.5,
        None,
        41,
    ),
    Row(
        "chained-torch",
        "the same, all cores / torch eager",
        evaluation(CHAINED, MILLION, peers.torch_chained, None),
        0.05,
        None,
        21,
    ),
    Row(
        "chained-numpy",
        "the same, all cores / numpy by hand",
        evaluation(CHAINED, MILLION, peers.numpy_chained, None),
        None,
        None,
        21,
    ),
    Row(
        "chained-7-c",
        "the same, n = 10⁷, one thread / C with -ffast-math",
        evaluation(CHAINED, 10 * MILLION, peers.c_chained, 1),
        None,
        None,
        9,
    ),
    Row(
        "chained-7-jax",
        "the same, n = 10⁷, all cores / JAX jit",
        evaluation(CHAINED, 10 * MILLION, peers.jax_chained, None),
        None,
        None,
        9,
    ),
    Row(
        "exp-jax",
        "value + gradient, `Sum(exp(x[i]) + x[i]**2, …)`, n = 10⁶, all cores / JAX jit",
        evaluation(EXPONENTIAL, MILLION, peers.jax_exponential, None),
        1.0,
        0.5,
        41,
    ),
    Row(
        "memory",
        "peak memory beyond the interpreter, gradient descent, n = 10⁷ / 8 bytes × n",
        peak_memory(10 * MILLION),
        5.0,
        3.0,
        1,
    ),
    Row(
        "main-scipy",
        "whole process, main job, graph kept / SciPy BFGS script",
        whole(MAIN_JOB, script("scipy_bfgs.py"), needs="scipy"),
        0.6,
        0.4,
    ),
    Row("main-jax", "the same / JAX script", whole(MAIN_JOB, script("jax_loop.py"), needs="jax"), 0.3, 0.2),
    Row("main-torch", "the same / torch script", whole(MAIN_JOB, script("torch_loop.py"), needs="torch"), 0.15, 0.1),
    Row(
        "first-scipy",
        "whole process, main job, for the first time / SciPy BFGS script",
        whole(MAIN_JOB, script("scipy_bfgs.py"), needs="scipy", cached=False),
        1.6,
        1.2,
    ),
    Row(
        "text-sympy",
        "1,000-term scalar text to first gradient / SymPy parse + diff + lambdify",
        lambda: Pair(
            seconds(first_gradient(separate_text(1000))), seconds(peers.sympy_gradient(separate_text(1000), 1000))
        ),
        0.05,
        0.01,
        1,
    ),
    Row(
        "text-sympy-90",
        "the same, 90 variables in all / the same",
        lambda: Pair(
            seconds(first_gradient(scalar_text(1000))), seconds(peers.sympy_gradient(scalar_text(1000), VARIABLES))
        ),
        None,
        None,
        3,
    ),
    Row(
        "text-casadi",
        "10,000-term scalar text to first gradient / CasADi SX from the same terms",
        lambda: Pair(
            seconds(first_gradient(scalar_text(10_000))), seconds(peers.casadi_gradient(10_000, VARIABLES)[0])
        ),
        None,
        1.0,
        3,
    ),
    Row(
        "gradient-casadi",
        "then one gradient of it / CasADi SX",
        lambda: Pair(seconds(next_gradient(10_000)), seconds(peers.casadi_gradient(10_000, VARIABLES)[1])),
        None,
        1.0,
        41,
    ),
    *(
        Row(f"twice-{n}", f"text to first gradient, {2 * n:,} terms / {n:,}", twice(n), 2.3, 2.0, 3)
        for n in (5_000, 10_000, 20_000)
    ),
    Row(
        "help",
        '`optcli --help` / `python -c "import click"`',
        whole(("-m", "optcli", "--help"), "-c", "import click"),
        1.3,
        None,
        21,
    ),
)
