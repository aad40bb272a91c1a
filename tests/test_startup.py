"""What a process loads: the modules of the main job on a graph that is kept, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAIN_JOB = ["minimize", "(1-x)**2+5*(y-x**2)**2", "--start", "x=-1,y=1", "--lr", "0.01", "--iters", "1000"]
NUMPY = ["--engine", "numpy"]

# what `python -X importtime -m optcli …` shows on a cached graph; a module that is new here costs every start
LOADED = {
    "optcli": "autograd blame build choosing cli compiled conclusion config data engine errors expr layout library"
    " objective optimize outcome points prepare problems report rows run threads",
    "optcli.autograd": "gradient graph kernels native_rules ops packed products stored structural",
    "optcli.cli": "command group minimize options session signals solving streams",
    "optcli.config": "bounds kinds layers paths points replay settings tree yaml_reader",
    "optcli.engine": "native numpy_engine",
    "optcli.engine.native": "emit functions lines llvm loop loop_code nest plan program stand sweep update_code",
    "optcli.expr": "cache functions graphs parse resolve slots syntax tokens trace",
    "optcli.optimize": "auto culprit curvature digits iterate judging methods probing problem products pursue schedules"
    " rounding sentences solve status stop verdict",
    "optcli.optimize.methods": "first_order gd method",
    "optcli.report": "bare columns csv_format drawing files json_format ndjson numbers progress screen summary table"
    " watch",
}
OURS = {"optcli", *(f"{room}.{name}" for room, names in LOADED.items() for name in names.split())}
THIRD_PARTY = {"click", "llvmlite", "numpy", "platformdirs"}
NATIVE = {"optcli.compiled", "optcli.threads", *(name for name in OURS if name.startswith("optcli.engine.native"))}
# slow parts of the standard library that only some commands need
LATER = {"asyncio", "concurrent.futures", "csv", "fractions", "logging", "multiprocessing", "socket"}
# what an interpreter may load by itself: `site` and its .pth files
ITS_OWN = {"__main__", "__mp_main__", "sitecustomize", "usercustomize", "cython_runtime"}

RUN = """
import json, os, sys
from optcli.cli import main
out = sys.stdout
sys.stdout = open(os.devnull, "w")
code = main(sys.argv[1:])
json.dump([code, sorted(sys.modules)], out)
"""


@pytest.fixture
def modules(tmp_path: Path) -> object:
    """Runs a command line in a process of its own, with one cache for all; returns the modules it loaded."""
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), environ.get("PYTHONPATH", "")])

    def run(*words: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", RUN, *words],
            capture_output=True, text=True, check=False, env=environ, cwd=tmp_path, timeout=120,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        code, names = json.loads(done.stdout)
        assert code == 0
        return set(names)

    return run


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] == "optcli"}


def third_party(names: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - ITS_OWN - {"optcli"}
    return {name for name in tops if not name.startswith("_")}


def test_the_main_job_on_a_kept_graph_loads_what_it_needs(modules) -> None:  # type: ignore[no-untyped-def]
    first = modules(*MAIN_JOB)
    assert "sympy" in first  # the graph is made, and kept
    second = modules(*MAIN_JOB)  # too short for LLVM to pay
    assert ours(second) == OURS - NATIVE
    assert third_party(second) == THIRD_PARTY - {"llvmlite"}
    assert not second & LATER
    native = modules(*MAIN_JOB, "--engine", "native")
    assert ours(native) == OURS
    assert third_party(native) == THIRD_PARTY
    assert not native & LATER


@pytest.mark.parametrize(
    ("one", "other"),
    [("(2 - x)**2", "(3 - x)**2"), ("Sum((2*i - x[i])**2, (i, 1, 3))", "Sum((4.50*i - x[i])**2, (i, 1, 3))")],
)
def test_a_text_with_other_factors_needs_no_sympy(modules, one: str, other: str) -> None:  # type: ignore[no-untyped-def]
    assert "sympy" in modules("minimize", one, "--lr", "0.1", *NUMPY)
    again = modules("minimize", other, "--lr", "0.1", *NUMPY)
    assert third_party(again) == THIRD_PARTY - {"llvmlite"}


def test_other_commands_on_a_kept_graph_need_no_sympy(modules) -> None:  # type: ignore[no-untyped-def]
    first = modules("minimize", "rosenbrock", "--iters", "3", "--start", "x=-pi/3,y=1")
    assert "sympy" in first
    assert "sympy" not in modules("minimize", "rosenbrock", "--iters", "3", "--start", "x=-pi/3,y=1")
    assert "sympy" not in modules("minimize", "rosenbrock", "--iters", "3", "--param", "b=7")
    assert "sympy" not in modules("check", "rosenbrock")


@pytest.mark.parametrize("words", [["--help"], ["minimize", "--help"], ["cache"], ["cache", "--clear"]])
def test_what_computes_nothing_loads_no_numpy(tmp_path: Path, words: list[str]) -> None:
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], capture_output=True, text=True, env=environ, timeout=60, check=True
    )
    assert not {"numpy", "sympy", "rich", "yaml", "llvmlite"} & set(json.loads(done.stdout)[1])


def test_a_program_may_run_the_module_inside_of_itself(tmp_path: Path) -> None:
    """Only a process of its own ends at once."""
    inside = (
        "import runpy, sys\nsys.argv = ['optcli', '--version']\n"
        "try: runpy.run_module('optcli', run_name='__main__')\nexcept SystemExit as end: print('ended', end.code)"
    )
    done = subprocess.run([sys.executable, "-c", inside], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("ended 0\n")
