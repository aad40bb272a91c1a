"""Checkpoints: the rest of a run is bit for bit the uninterrupted one, and whatever stands in the file is whole."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optcli.build import build, problem
from optcli.checkpoint import Checkpoint, loads, pieces, read, sealed
from optcli.cli import main
from optcli.config import from_keywords, from_run, resolve
from optcli.errors import DataError, FileError
from optcli.keeping import BETWEEN, Keeper
from optcli.objective import native_works
from optcli.optimize.iterate import Iterate
from optcli.optimize.methods import METHODS, find, make
from optcli.optimize.solve import Stop, solve
from optcli.optimize.status import Status
from optcli.report.kept import KeptFile
from optcli.run import execute, settle

ENGINES = ("numpy", "native") if native_works() else ("numpy",)
TEXTS = {
    "scalar": ("(1-x)**2 + 5*(y-x**2)**2", "x=-1,y=1", {}),
    "inexact": ("exp(sin(x)) + x**2*log(2 + y**2) + (y - 1)**2", "x=-1,y=2", {}),
    "vector": ("Sum(5*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, (i, 1, n-1))", "x=-0.5", {"n": 70.0}),
    "bounded": ("(1-x)**2 + 5*(y-x**2)**2", "x=-1,y=1", {}),
    # zero times infinity: the native code goes over to the masked products
    "masked": ("where(x > 0.5, sqrt(x), x**2) + sqrt(y)**4 + (z - 1)**2", "x=-1,y=0,z=3", {}),
}
BOUNDED = {"bounds": {"x": [-2.0, 0.5], "y": [0.0, None]}}
LIMIT = 60  # iterations of the runs that are cut
CUTS = (1, 2, 17, 58, 59)


class Memory:
    """Takes checkpoints as a file would."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def __call__(self, data: bytes) -> None:
        self.all.append(data)

    @property
    def last(self) -> Checkpoint:
        return loads(self.all[-1], "memory")


def run(since: Checkpoint | None = None, memory: Memory | None = None, **keywords: Any) -> Any:
    """The outcome of a run by keywords, or of going on from a checkpoint with keywords over it."""
    keeper = None if memory is None else Keeper(memory)
    if since is None:
        return execute(settle(from_keywords(**keywords)), keeper=keeper)
    stored = from_run({**since.run, "start": None, "bounds": None, "function": "-"}, "memory")
    config = resolve(from_keywords(**keywords), stored)
    return execute(config, text=since.run["expression"], keeper=keeper, since=since)


def told(outcome: Any) -> dict[str, Any]:
    """All that a result says but for the time and for what the cut itself needed."""
    record = outcome.to_dict()
    for key in ("seconds", "settings", "settings_origin", "versions"):
        del record[key]
    return json.loads(json.dumps(record))


def runnable(method: str, name: str) -> bool:
    return name != "bounded" or find(method).bounded


# ------------------------------------------------------------------ resumed = uninterrupted


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_cut_has_the_digits_of_the_whole(method: str, name: str, engine: str) -> None:
    if not runnable(method, name):
        pytest.skip("the method keeps no bounds")
    text, start, params = TEXTS[name]
    more = BOUNDED if name == "bounded" else {}
    keywords = {"function": text, "start": start, "params": params, "method": method, "engine": engine, "every": 7}
    keywords |= more | ({"lr": 0.003} if "lr" in find(method).__dataclass_fields__ else {})
    whole = run(**keywords, iters=LIMIT, tol=0.0)
    for cut in CUTS:
        memory = Memory()
        part = run(**keywords, iters=cut, tol=0.0, memory=memory)
        if part.status != "limit":
            break  # it ended of itself before, which is as good for the whole run
        assert memory.last.iterate.iteration == cut
        assert told(run(memory.last, iters=LIMIT)) == told(whole)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_is_cut_again_and_again(method: str, engine: str) -> None:
    """By evaluations, wherever they end within an iteration; nine times in a row, each from the file of the last."""
    text, start, params = TEXTS["inexact"]
    keywords = {"function": text, "start": start, "params": params, "method": method, "engine": engine, "every": 3}
    whole = run(**keywords, iters=40, tol=0.0)
    memory = Memory()
    run(**keywords, iters=40, tol=0.0, max_evals=2, memory=memory)
    for evals in (3, 4, 9, 10, 11, 20, 31):
        run(memory.last, memory, max_evals=evals)
    assert told(run(memory.last, memory, max_evals=10**6)) == told(whole)


@pytest.mark.parametrize("cut", [10, 29, 30, 31, 45])
def test_auto_goes_on_in_and_after_an_attempt(cut: int) -> None:
    keywords = {"function": "cragglvy", "params": {"n": 5000.0}, "every": 7, "tol": 1e-9}
    whole = run(**keywords, iters=LIMIT)
    assert [leg[:2] for leg in whole.legs] == [("cg", 0), ("lbfgs", 30)]
    memory = Memory()
    run(**keywords, iters=cut, memory=memory)
    assert told(run(memory.last, iters=LIMIT)) == told(whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_maximize_goes_on_as_typed(engine: str) -> None:
    keywords = {"command": "maximize", "function": "sin(x)*cos(y)", "start": "x=0.3,y=0.2", "lr": 0.05, "every": 10}
    memory = Memory()
    run(**keywords, engine=engine, iters=33, memory=memory)
    assert told(run(memory.last, iters=80)) == told(run(**keywords, engine=engine, iters=80))


def bits(iterate: Iterate) -> list[Any]:
    arrays = [iterate.x, iterate.gradient, *iterate.state]
    arrays += [] if iterate.best is None else [iterate.best.x, iterate.best.gradient]
    return [array.tobytes() for array in arrays] + [float(iterate.value).hex(), iterate.iteration, iterate.moved]


@pytest.mark.skipif("native" not in ENGINES, reason="no LLVM here")
@pytest.mark.parametrize("name", ["vector", "scalar", "masked"])
def test_pieces_of_a_compiled_loop_may_end_anywhere(name: str) -> None:
    """From each of its iterates, and as many pieces of one step, the loop comes to the same bits."""
    text, _, params = TEXTS[name]
    objective, method = build(text, params, engine="native"), make("momentum", {"lr": 0.003})
    made = problem(objective, method=method)
    x = (
        np.full(objective.layout.size, -0.5)
        if name == "vector"
        else np.array([-1.0, 1.0, 3.0][: objective.layout.size])
    )
    whole = solve(made, method, x, Stop(iters=30, tol=0.0))
    iterate = method.init(problem(objective, method=method), x)
    for k in range(1, 31):
        step = problem(objective, method=method)
        iterate = solve(step, method, iterate, Stop(iters=k, tol=0.0)).iterate
    assert bits(iterate) == bits(whole.iterate)


@pytest.mark.skipif("native" not in ENGINES, reason="no LLVM here")
def test_the_code_that_ran_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What had gone over to masked products is masked from the first step of the rest, as signs of zeros show."""
    text, start, _ = TEXTS["masked"]
    memory = Memory()
    run(function=text, start=start, engine="native", lr=0.01, iters=5, memory=memory)
    assert memory.last.masked == ("loop",)
    from optcli.compiled import CompiledProblem

    asked = []
    monkeypatch.setattr(CompiledProblem, "mask", lambda self, parts: asked.append(tuple(parts)))
    run(memory.last, iters=6)
    assert asked == [("loop",)]


@pytest.mark.skipif("native" not in ENGINES, reason="no LLVM here")
def test_parts_of_the_code_can_be_told_to_go_over() -> None:
    objective = build("x**2 + sqrt(y)**4", engine="native").compiled()
    assert objective.masked() == ()
    objective.value_and_gradient(np.array([1.0, 0.0]))
    assert objective.masked() == ("gradient",)
    other = build("x**2 + sqrt(y)**4", engine="native").compiled()
    other.mask(("gradient", "loop"))
    assert other.masked() == ("gradient",)


def test_the_engine_that_ran_goes_on() -> None:
    """A short run takes numpy by itself, a long one LLVM: going on must not change that."""
    memory = Memory()
    first = run(function="rosenbrock", lr=0.01, iters=20, memory=memory)
    rest = run(memory.last, iters=200_000, max_evals=300)
    assert (first.preview.engine, rest.preview.engine) == ("numpy", "numpy")


# ------------------------------------------------------------------ what counts from the beginning


def test_rules_count_from_the_first_start() -> None:
    keywords = {"function": "rosenbrock", "lr": 0.01, "engine": "numpy"}
    memory = Memory()
    run(**keywords, iters=30, memory=memory)
    since = memory.last
    assert run(since, iters=50).iterations == 50
    stopped = run(since, iters=1000, max_evals=61)
    assert (stopped.status, stopped.evaluations["gradient"], stopped.iterations) == ("limit", 61, 60)
    assert run(since).iterations == 30  # nothing new was asked for
    assert [row["iteration"] for row in run(since, iters=300).history] == [100, 200, 300]


def test_the_scale_of_the_tolerance_is_that_of_the_first_start() -> None:
    """A start with a large |f| allows a large tolerance near it; one that goes on must not take a new start for it."""
    keywords = {"function": "1e9 + x**2", "start": "x=1e6", "lr": 0.1, "engine": "numpy"}
    memory = Memory()
    run(**keywords, max_evals=40, memory=memory)
    assert memory.last.scale == 1e3 * (1e9 + 1e12)
    assert told(run(memory.last, max_evals=10**6))["iterations"] == run(**keywords).iterations


class Clock:
    """Goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_time_that_was_used_counts() -> None:
    objective, method = build("x**2", engine="numpy"), make("gd", {"lr": 1e-6})
    made = problem(objective)
    start = method.init(made, np.array([1.0]))
    short = solve(made, method, start, Stop(max_time=100.0, used=70.0, clock=Clock()))
    whole = solve(made, method, start, Stop(max_time=100.0, clock=Clock()))
    assert (short.status, whole.status) == ("limit", "limit")
    assert 0 < short.iterations < 0.4 * whole.iterations


# ------------------------------------------------------------------ when it is written


def test_it_is_written_at_the_beginning_every_few_seconds_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    memory = Memory()
    monkeypatch.setattr("optcli.optimize.problem.PATIENCE", -1.0)  # one step an advance
    config = settle(from_keywords(function="rosenbrock", lr=0.01, iters=40, engine="numpy"))
    execute(config, keeper=Keeper(memory, clock=clock))
    written = [loads(data, "memory") for data in memory.all]
    assert [written[0].iterate.iteration, written[-1].iterate.iteration] == [0, 40]
    assert [c.status for c in written] == [None] * (len(written) - 1) + ["completed"]
    assert 3 <= len(written) <= 40 / BETWEEN
    assert all(a.seconds < b.seconds for a, b in pairwise(written))


ENDS = {  # text, keywords → status
    "completed": ("rosenbrock", {"lr": 0.01, "iters": 5}),
    "converged": ("x**2", {"start": "x=1", "lr": 0.4}),
    "limit": ("rosenbrock", {"lr": 0.01, "max_evals": 5}),
    "stalled": ("(x)", {"start": "x=1e20", "lr": 0.01, "tol": 0.0, "iters": 100}),
    "diverged": ("x**4 + y**2", {"start": "x=30,y=1", "lr": 0.01, "iters": 100}),
    "nonfinite": ("log(x) + y**2", {"start": "x=1,y=1", "lr": 0.3, "iters": 100}),
    "unbounded": ("-exp(x) - y", {"start": "x=1,y=1", "lr": 0.1, "iters": 1000}),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("status", ENDS)
def test_whatever_the_end_it_is_kept_and_is_the_end_again(status: str, engine: str) -> None:
    text, keywords = ENDS[status]
    memory = Memory()
    first = run(function=text, method="gd", engine=engine, **keywords, memory=memory)
    assert first.status == memory.last.status == status
    assert told(run(memory.last)) == told(first)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("rule", "status"),
    [({"max_evals": 1500}, "limit"), ({"max_time": 0.3}, "limit"), ({"target": 0.01}, "completed")],
)
def test_limits_give_the_best_point_on_both_engines(rule: dict[str, Any], status: str, engine: str) -> None:
    began = time.perf_counter()
    lr = 1e-9 if "max_time" in rule else 1e-3
    outcome = run(function="rosenbrock", lr=lr, tol=1e-12, iters=10**9, every=0, method="gd", engine=engine, **rule)
    assert (outcome.status, outcome.exit_code) == (status, {"limit": 11, "completed": 0}[status])
    assert math.isfinite(outcome.value)
    if "max_evals" in rule:
        assert outcome.evaluations["gradient"] == 1500
        assert outcome.iterations == 1499
    if "max_time" in rule:
        assert 0.3 <= outcome.seconds["solve"] < time.perf_counter() - began
    if "target" in rule:
        assert outcome.value <= 0.01
        assert run(function="rosenbrock", lr=lr, iters=outcome.iterations - 1, engine=engine).value > 0.01


# ------------------------------------------------------------------ a file that is whole at every moment


def sample(**changes: Any) -> Checkpoint:
    memory = Memory()
    run(function="rosenbrock", method="momentum", lr=0.01, iters=300, engine="numpy", memory=memory)
    return memory.last._replace(**changes)


def content(**changes: Any) -> bytes:
    return sealed(pieces(sample(**changes)))


def test_every_bit_survives() -> None:
    odd = np.array([-0.0, 5e-324, math.pi, np.nextafter(1.0, 2.0), math.inf, -math.inf])
    nan = np.frombuffer(bytes.fromhex("010000000000f87f") + bytes.fromhex("000000000000f8ff"))  # payload and sign
    whole = sample()
    iterate = Iterate(whole.iterate.point, (odd, nan, np.array(3.5), odd.reshape(2, 3)), None, False, "gave up: ü")
    made = whole._replace(iterate=iterate, extra={"legs": [{"method": "gd", "x": odd}], "n": 3}, status=Status.FAILED)
    back = loads(sealed(pieces(made)), "memory")
    assert [a.tobytes() for a in back.iterate.state] == [a.tobytes() for a in iterate.state]
    assert [a.shape for a in back.iterate.state] == [a.shape for a in iterate.state]
    assert (back.iterate.best, back.iterate.moved, back.iterate.failure) == (None, False, "gave up: ü")
    assert back.extra["legs"][0]["x"].tobytes() == odd.tobytes()
    assert (back.extra["n"], back.status, back.scale, back.used) == (3, "failed", made.scale, made.used)
    assert sealed(pieces(back)) == sealed(pieces(made))


def test_the_best_point_is_the_current_one_where_it_was() -> None:
    memory = Memory()
    run(function="rosenbrock", lr=0.01, iters=5, engine="numpy", memory=memory)
    back = memory.last
    assert back.iterate.best is back.iterate.point


def resealed(data: bytes) -> bytes:
    """With a seal that fits, as only somebody who means it would write it."""
    text = re.sub(rb',\n "sha256": "[0-9a-f]{64}"\}\n$', b"", data)
    return text + b',\n "sha256": "' + hashlib.sha256(text).hexdigest().encode() + b'"}\n'


DAMAGE = {  # name → (what becomes of a good file, words that the error says)
    "empty": (lambda data: b"", "no checkpoint of optcli"),
    "broken": (lambda data: b"{broken", "no checkpoint of optcli"),
    "foreign": (lambda data: b"function: rosenbrock\n", "no checkpoint of optcli"),
    "binary": (lambda data: os.urandom(4096), "no checkpoint of optcli"),
    "a result": (lambda data: b'{"schema": "optcli.result/v1", "x": 1}', "this is a result"),
    "first bytes only": (lambda data: data[:12], "cut off"),
    "the first line only": (lambda data: data.split(b"\n")[0], "damaged"),
    "half": (lambda data: data[: len(data) // 2], "cut off"),
    "all but the last byte": (lambda data: data[:-1], "cut off"),
    "something behind": (lambda data: data + b"\n", "follows its end"),
    "twice": (lambda data: data + data, "SHA-256"),
    "one bit": (lambda data: data.replace(b'"iteration": 300', b'"iteration": 301', 1), "SHA-256"),
    "zeros": (lambda data: data[:400] + bytes(100) + data[500:], "SHA-256"),
    "newer": (lambda data: resealed(data.replace(b"checkpoint/v1", b"checkpoint/v2")), "optcli.checkpoint/v2"),
    "older schema without number": (lambda data: data.replace(b"checkpoint/v1", b"checkpoint/x"), "damaged"),
    "no JSON": (lambda data: resealed(data.replace(b'"run": {', b'"run": {{')), "makes no sense"),
    "not there": (lambda data: resealed(data.replace(b'"counts"', b'"cuonts"')), "there is no 'counts'"),
    "no method": (lambda data: resealed(data.replace(b'"method"', b'"mothed"')), "there is no 'method'"),
    "no number": (lambda data: resealed(data.replace(b'"iteration": 300', b'"iteration": "x"')), "makes no sense"),
    "no base64": (lambda data: resealed(data.replace(b'"float64": "', b'"float64": "?')), "makes no sense"),
    "other shape": (lambda data: resealed(data.replace(b'"shape": [2]', b'"shape": [1]')), "makes no sense"),
    "counts below zero": (lambda data: resealed(data.replace(b'"gradient": 301', b'"gradient": -1')), "whole numbers"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_one_clear_error(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harm, words = DAMAGE[name]
    path = tmp_path / "run.ckpt"
    good = content()
    path.write_bytes(harm(good))
    assert path.read_bytes() != good
    with pytest.raises(DataError, match=re.escape(words)):
        read(path)
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "run.ckpt"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: run.ckpt: ")
    assert err.count("\n") == 2  # what is wrong, what to do now
    assert os.listdir() == ["run.ckpt"]


FORGED = {  # what a sealed file holds for `extra`, and words that the error says
    "nothing": (b"{}", "there is no 'turn'"),
    "a list": (b"[]", "makes no sense"),
    "a text": (b'"x"', "makes no sense"),
    "a turn of no method": (b'{"turn": 7, "escapes": 0, "legs": [["gd", 0, ""]], "units": null}', "turn 7"),
    "a turn from behind": (b'{"turn": -1, "escapes": 0, "legs": [["gd", 0, ""]], "units": null}', "turn -1"),
    "a turn that is true": (b'{"turn": true, "escapes": 0, "legs": [["gd", 0, ""]], "units": null}', "turn True"),
    "no escapes": (b'{"turn": 0, "escapes": "x", "legs": [["gd", 0, ""]], "units": null}', "escapes 'x'"),
    "no legs": (b'{"turn": 0, "escapes": 0, "legs": [], "units": null}', "the legs"),
    "legs of one": (b'{"turn": 0, "escapes": 0, "legs": [["gd"]], "units": null}', "the legs"),
    "legs of texts": (b'{"turn": 0, "escapes": 0, "legs": ["abc"], "units": null}', "the legs"),
    "legs that are none": (b'{"turn": 0, "escapes": 0, "legs": 5, "units": null}', "the legs"),
    "units of text": (b'{"turn": 0, "escapes": 0, "legs": [["gd", 0, ""]], "units": "x"}', "the units"),
    "units of one": (
        b'{"turn": 0, "escapes": 0, "legs": [["gd", 0, ""]], "units": {"shape": [1], "float64": "AAAAAAAA8D8="}}',
        "the units",
    ),
    "units of zero": (
        b'{"turn": 0, "escapes": 0, "legs": [["gd", 0, ""]], "units": '
        b'{"shape": [2], "float64": "AAAAAAAAAAAAAAAAAAAAAA=="}}',
        "the units",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_course_that_is_none_is_one_clear_error(
    name: str, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    extra, words = FORGED[name]
    good = Path(checkpoint).read_bytes()
    bad = resealed(re.sub(rb' "extra": .*?,\n', lambda _: b' "extra": ' + extra + b",\n", good, count=1))
    assert bad != good
    Path(checkpoint).write_bytes(bad)
    assert main(["resume", checkpoint, "--iters", "400", "--quiet"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.startswith("error: ")
    assert err.count("\n") == 2
    assert Path(checkpoint).read_bytes() == bad


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read") as caught:
        read(tmp_path / "none")
    assert caught.value.exit_code == 3
    with pytest.raises(FileError):
        read("a\0b")


FAILING = ("write", "fsync", "replace", "folder")


@pytest.mark.parametrize("place", FAILING)
def test_a_write_that_fails_anywhere_leaves_the_last_one(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is full, or the process ends (an exception that nobody expects), at each step of a write."""
    path = tmp_path / "run.ckpt"
    first, second = content(), content(used=5.0)
    file = KeptFile(str(path), (b'{"schema": "optcli.checkpoint/',))
    file.replace(first)
    calls = {"n": 0}
    real = {"fsync": os.fsync, "replace": os.replace, "open": os.open}

    class Dies(BaseException):
        pass

    for error in (OSError(28, "No space left on device"), Dies()):

        def fail(*args: Any, error: BaseException = error) -> Any:
            calls["n"] += 1
            raise error

        with monkeypatch.context() as patch:
            if place == "write":
                patch.setattr(os, "open", fail)
            elif place == "folder":
                patch.setattr(
                    os, "fsync", lambda h: fail() if os.path.isdir(f"/proc/self/fd/{h}") else real["fsync"](h)
                )
            else:
                patch.setattr(os, place, fail)
            if place == "folder" and isinstance(error, OSError):
                file.replace(second)  # not every file system can sync a folder
            else:
                with pytest.raises((FileError, Dies)):
                    file.replace(second)
        stands = path.read_bytes()
        assert stands in ((second,) if place == "folder" else (first,))
        assert loads(stands, "it").iterate.iteration == 300
        assert os.listdir(tmp_path) == ["run.ckpt"]
    assert calls["n"] == 2 or not os.path.isdir("/proc/self/fd")
    file.replace(second)
    assert path.read_bytes() == second


def test_a_run_outlasts_a_full_disk_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optcli.optimize.problem.PATIENCE", -1.0)  # one step an advance
    said: list[str] = []
    written: list[bytes] = []

    def write(data: bytes) -> None:
        if 2 <= len(written) + failures[0] < 5:
            failures[0] += 1
            raise FileError("cannot write run.ckpt: no space left on device.")
        written.append(data)

    failures = [0]
    clock = Clock()
    keeper = Keeper(write, said.append, clock=clock)
    config = settle(from_keywords(function="rosenbrock", lr=1e-6, max_evals=100, every=0, engine="numpy", tol=0.0))
    outcome = execute(config, keeper=keeper)
    assert outcome.status == "limit"
    assert failures[0] == 3
    assert len(said) == 1
    assert "tried again" in said[0]
    assert keeper.error is None
    assert loads(written[-1], "it").status == "limit"


def test_a_last_write_that_fails_is_an_error_after_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    real, calls = KeptFile.replace, []

    def fails_later(self: KeptFile, data: bytes) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise FileError("cannot write c: no space left on device.")
        real(self, data)

    monkeypatch.setattr(KeptFile, "replace", fails_later)
    assert main(["minimize", "rosenbrock", "--iters", "5", "--checkpoint", "c", "--format", "json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["iterations"] == 5
    assert "no space left" in err


def test_what_killed_runs_left_is_swept_and_what_lives_stays(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "run.ckpt"
    prefix = KeptFile(str(path), ())._prefix
    dead, alive, other = (tmp_path / name for name in (f"{prefix}1.tmp", f"{prefix}2.tmp", ".optcli-other-3.tmp"))
    for each in (dead, alive, other):
        each.write_bytes(b"half")
    with open(alive, "rb") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        KeptFile(str(path), ())
        assert sorted(os.listdir(tmp_path)) == sorted([alive.name, other.name])


def test_another_run_does_not_sweep_away_what_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl")
    path, data = tmp_path / "run.ckpt", content()
    file, sync = KeptFile(str(path), ()), os.fsync
    others = []

    def in_between(handle: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", sync)
            others.append(KeptFile(str(path), (), force=True))
        sync(handle)

    monkeypatch.setattr(os, "fsync", in_between)
    file.replace(data)
    assert others
    assert path.read_bytes() == data


@pytest.mark.parametrize("kind", ["foreign", "empty", "folder", "result", "device", "nowhere", "long"])
def test_what_is_no_checkpoint_is_not_written_over(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = {"device": "/dev/null", "nowhere": "none/c", "long": "c" * 300}.get(kind, "c")
    if kind == "folder":
        os.mkdir("c")
    elif kind in ("foreign", "empty", "result"):
        Path("c").write_bytes({"foreign": b"notes", "empty": b"", "result": b'{"schema": "optcli.result/v1"'}[kind])
    before = Path("c").read_bytes() if os.path.isfile("c") else None
    assert main(["minimize", "rosenbrock", "--iters", "5", "--checkpoint", name]) == 3
    out, err = capsys.readouterr()
    assert (out if kind != "long" else "") == ""
    assert err.startswith("error: ")
    assert os.listdir() == [] or (Path("c").read_bytes() if os.path.isfile("c") else None) == before
    if kind == "foreign":
        assert main(["minimize", "rosenbrock", "--iters", "5", "--checkpoint", name, "--force"]) == 0
        assert read("c").iterate.iteration == 5


def test_an_output_does_not_replace_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["minimize", "rosenbrock", "--iters", "5", "--checkpoint", "c"]) == 0
    assert main(["minimize", "rosenbrock", "--iters", "5", "--format", "json", "--output", "c"]) == 3
    assert main(["minimize", "rosenbrock", "--iters", "5", "--checkpoint", "c", "--log", "c"]) == 2
    assert "name the same file" in capsys.readouterr().err
    os.symlink("c", "link")
    os.chmod("c", 0o640)
    assert main(["minimize", "rosenbrock", "--iters", "6", "--checkpoint", "link"]) == 0
    assert os.path.islink("link")
    assert (read("c").iterate.iteration, os.stat("c").st_mode & 0o777) == (6, 0o640)


# ------------------------------------------------------------------ the command


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("(1 - x)^2 + 5*(y - x^2)^2  # the document's\n")
    args = "minimize mine.txt --start x=-1,y=1 --method momentum --lr 0.003 --set beta=0.8 --iters 50 --name label"
    assert main([*args.split(), "--checkpoint", "c", "--quiet", "--format", "json"]) == 0
    capsys.readouterr()
    return "c"


def test_resume_tells_the_whole_run(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.remove("mine.txt")  # its text is in the checkpoint
    assert main(["resume", "c", "--iters", "400", "--format", "json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert err == ""
    assert (record["function"], record["name"], record["iterations"]) == ("mine.txt", "label", 400)
    assert [row["iteration"] for row in record["history"]] == [100, 200, 300, 400]
    assert record["settings_origin"]["iters"] == "flag --iters"
    assert record["settings_origin"]["beta"] == "flag --set beta"
    assert read("c").iterate.iteration == 400  # the file went on as well
    assert main(["resume", "c", "--iters", "500", "--checkpoint", "d", "--print", "status", "--log", "rows"]) == 0
    rows = [json.loads(line) for line in Path("rows").read_text().splitlines()]
    assert rows[:4] == [{"kind": "row", **row} for row in record["history"]]
    assert [row["iteration"] for row in rows[4:]] == [500]
    assert capsys.readouterr() == ("completed\n", "goes on from iteration 400\n")
    assert (read("c").iterate.iteration, read("d").iterate.iteration) == (400, 500)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--method", "adam"], "method"),
        (["--lr", "0.1"], "lr"),
        (["--set", "beta=0.5"], "beta"),
        (["--set", "method=adam"], "method"),
        (["--set", "function=x^2"], "function"),
        (["--start", "1,1"], "start"),
        (["--param", "a=1"], "params.a"),
        (["--bounds", "x=0:1"], "bounds"),
        (["--seed", "3"], "seed"),
        (["--set", "data.A=m.csv"], "data"),
    ],
)
def test_what_makes_the_run_cannot_change(
    args: list[str], word: str, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("c").read_bytes()
    assert main(["resume", "c", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "keeps its " + word in err
    assert "Start a new run" in err
    assert Path("c").read_bytes() == before


def test_the_environment_does_not_change_the_run(
    checkpoint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LR": "7", "ITERS": "3", "METHOD": "adam", "FORMAT": "json", "QUIET": "1"}.items():
        monkeypatch.setenv(f"OPTCLI_{name}", value)
    assert main(["resume", "c"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["method"], record["settings"]["lr"], record["iterations"]) == ("momentum", 0.003, 50)


def test_another_version_and_another_engine_are_said(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c").write_bytes(sealed(pieces(read("c")._replace(version="0.0.9"))))
    assert main(["resume", "c", "--engine", ENGINES[-1], "--iters", "60"]) == 0
    err = capsys.readouterr().err
    assert "optcli 0.0.9" in err
    assert ("of the engine numpy" in err) == (ENGINES[-1] == "native")


def test_a_new_clock_begins_where_one_is_given(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    spent = read("c")._replace(used=50.0, seconds=50.0)
    data = sealed(pieces(spent._replace(run={**spent.run, "settings": {**spent.run["settings"], "max_time": 40.0}})))
    Path("c").write_bytes(data)
    assert main(["resume", "c", "--iters", "60", "--print", "status"]) == 11
    Path("c").write_bytes(data)
    assert main(["resume", "c", "--iters", "60", "--print", "status", "--max-time", "40"]) == 0
    assert read("c").seconds > 50.0
    assert read("c").used < 40.0


def test_data_that_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("in")
    Path("in/a.csv").write_text("1\n2\n3\n")
    text = "function: Sum((x[i] - A[i])**2 + B[i]*x[i], (i, 1, 3))\ndata: {A: a.csv, B: [0.5, 0.25, 0.125]}\nlr: 0.1\n"
    Path("in/run.yaml").write_text(text + "iters: 20\n")
    assert main(["run", "in/run.yaml", "--checkpoint", "c", "--format", "json", "--output", "r.json"]) == 0
    whole = json.loads(Path("r.json").read_text())
    digest = hashlib.sha256(b"1\n2\n3\n").hexdigest()
    assert whole["data"] == {
        "A": {"path": str(tmp_path / "in/a.csv"), "sha256": digest},
        "B": {"values": [0.5, 0.25, 0.125]},
    }
    for again in (["run", "r.json"], ["resume", "c"]):
        capsys.readouterr()
        assert main([*again, "--format", "json"]) == 0
        record = json.loads(capsys.readouterr().out)
        assert (record["x"], record["data"]) == (whole["x"], whole["data"])
    Path("in/a.csv").write_text("1\n2\n4\n")
    for again in (["run", "r.json"], ["resume", "c"]):
        capsys.readouterr()
        assert main(again) == 3
        err = capsys.readouterr().err
        assert "a.csv: the file has changed" in err
    os.remove("in/a.csv")
    Path("a.csv").write_text("1\n2\n3\n")  # the result and its data went elsewhere together
    assert main(["run", "r.json", "--print", "status"]) == 0


# ------------------------------------------------------------------ signals and kills

ENDLESS = ["minimize", "rosenbrock", "--lr", "1e-9", "--iters", "2000000000", "--every", "0"]


def started(*args: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "optcli", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
    )


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_of_the_best_point(tmp_path: Path, number: int, code: int) -> None:
    with started(*ENDLESS, "--checkpoint", "c", "--output", "o", "--format", "json", cwd=tmp_path) as running:
        wait_for(tmp_path / "c", running)
        time.sleep(0.2)
        running.send_signal(number)
        running.communicate(timeout=60)
    assert running.returncode == code
    record, kept = json.loads((tmp_path / "o").read_text()), read(tmp_path / "c")
    assert record["status"] == kept.status == "interrupted"
    assert record["iterations"] == kept.iterate.iteration > 0
    assert sorted(os.listdir(tmp_path)) == ["c", "o"]


def test_a_second_signal_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    """In the middle of the last write, which is made to take long here."""
    code = (
        "import os, time, sys\n"
        "from optcli.report import kept\n"
        "real = os.fsync\n"
        "def slow(handle):\n"
        "    if os.path.exists('c') and os.path.exists('go'):\n"
        "        open('waits', 'w').close(); time.sleep(60)\n"
        "    real(handle)\n"
        "kept.os.fsync = slow\n"
        "from optcli.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    args = [*ENDLESS, "--checkpoint", "c", "--output", "o", "--format", "json"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        wait_for(tmp_path / "c", running)
        (tmp_path / "go").touch()
        running.send_signal(signal.SIGINT)
        wait_for(tmp_path / "waits", running)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted at once" in err
    assert sorted(os.listdir(tmp_path)) == ["c", "go", "waits"]  # no output, no temporary file
    read(tmp_path / "c")


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_a_question_is_answered(tmp_path: Path) -> None:
    with started(*ENDLESS, "--checkpoint", "c", cwd=tmp_path) as running:
        wait_for(tmp_path / "c", running)
        assert running.stderr is not None
        for _ in range(2):
            running.send_signal(signal.SIGUSR1)
            line = running.stderr.readline()
            assert re.fullmatch(r"iteration [0-9,]+, value [-+.e0-9]+, [0-9.]+ s\n", line), line
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert running.returncode == 143


def test_a_question_before_the_first_iterate_is_answered_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    from optcli.cli.signals import listening

    if not hasattr(signal, "SIGUSR1"):
        pytest.skip("this system has no SIGUSR1")
    with listening() as signals:
        signal.raise_signal(signal.SIGUSR1)
        assert not signals.asked()
        signals.begin()
        signal.raise_signal(signal.SIGUSR1)
        assert [signals.asked(), signals.asked()] == [True, False]
    assert capfd.readouterr().err == "no iterate yet: reading and compiling\n"


KILLS = 50
# A run of some tenths of a second in pieces of a step, which writes a checkpoint at every one of them.
KILLED = """
import sys
import optcli.keeping, optcli.optimize.problem, optcli.compiled
optcli.keeping.BETWEEN, optcli.keeping.SHARE = 0.0, 0
optcli.optimize.problem.PATIENCE = optcli.compiled.PATIENCE = -1.0
from optcli.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_kill_9_at_random_moments(engine: str, tmp_path: Path) -> None:
    """The process is killed, goes on from what it left, is killed again …, and comes to the digits of the whole."""
    text = TEXTS["inexact"][0]
    args = ["minimize", text, "--start", "x=-1,y=2", "--method", "adam", "--lr", "1e-5", "--every", "1000"]
    args += ["--iters", str(10**9), "--format", "json", "--quiet", "--engine", engine]
    chance = random.Random(f"kill {engine}")
    file, seen = tmp_path / "c", [0]
    command = [sys.executable, "-c", KILLED, *args, "--checkpoint", str(file)]
    for _ in range(KILLS // len(ENGINES)):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
            at = time.monotonic() + 10
            before = file.stat().st_mtime_ns if file.exists() else 0
            while (not file.exists() or file.stat().st_mtime_ns == before) and time.monotonic() < at:
                assert running.poll() is None, running.stderr.read() if running.stderr else ""
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.05))
            running.kill()
        here = read(file)  # whole, whenever it was
        assert here.status is None
        assert here.iterate.iteration >= seen[-1]
        seen.append(here.iterate.iteration)
        command = [sys.executable, "-c", KILLED, "resume", str(file), "--format", "json", "--quiet"]
    assert len(set(seen)) > KILLS // len(ENGINES) // 2
    target = seen[-1] + 20
    assert (
        main(["resume", str(file), "--iters", str(target), "--output", str(tmp_path / "rest"), "--format", "json"]) == 0
    )
    rest = json.loads((tmp_path / "rest").read_text())
    whole = run(function=text, start="x=-1,y=2", method="adam", lr=1e-5, every=1000, iters=target, engine=engine)
    assert rest["iterations"] == target
    for key in ("x", "value", "gradient", "history", "evaluations", "status", "verdict"):
        assert rest[key] == told(whole)[key], key
    assert [name for name in os.listdir(tmp_path) if name not in ("c", "rest")] == []
