"""Which engine a run takes, what is said of it, and that both print the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import optcli
from optcli.autograd.ops import Op
from optcli.engine.native import llvm
from optcli.engine.native.update_code import step_of
from optcli.errors import UsageError
from optcli.optimize.methods import METHODS, find, make
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.schedules import SCHEDULES
from optcli.threads import threads

# a machine where llvmlite cannot be imported
WITHOUT = "import sys; sys.modules['llvmlite'] = None; from optcli.__main__ import main; sys.exit(main())"
JOB = ("minimize", "(1-x)**2 + 5*(y-x**2)**2", "--start", "-1,1", "--lr", "0.01", "--iters", "1000")


def without(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False, timeout=120
    )


def optcli_(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "optcli", *words], capture_output=True, text=True, check=False, timeout=120
    )


def engine_of(words: Sequence[str]) -> str:
    return str(json.loads(optcli_(*words, "--format", "json").stdout)["engine"])


def test_the_engine_of_a_run() -> None:
    assert engine_of((*JOB, "--engine", "native")) == "native"
    assert engine_of((*JOB, "--engine", "numpy")) == "numpy"


@pytest.mark.parametrize(
    ("words", "engine"),
    [
        (JOB, "numpy"),  # over before LLVM is loaded
        ((*JOB[:-1], "100000"), "native"),
        ((*JOB, "--tol", "1e-9"), "numpy"),
        (JOB[:-2], "native"),  # up to 10,000 iterations
        ((*JOB, "--method", "nesterov"), "numpy"),
        ((*JOB, "--method", "adam"), "native"),
        ((*JOB, "--bounds", "x=0:1"), "native"),
        (
            ("minimize", "sin(x) + x**2", "--lr", "0.1", "--iters", "10"),
            "native",
        ),  # engines may round sin in other ways
        (("minimize", "x**3 + x**2", "--lr", "0.1", "--iters", "10"), "native"),
        (("minimize", "Sum(x[i]**2, (i, 1, 5))", "--start", "x=1", "--lr", "0.1", "--iters", "10"), "native"),
        (("minimize", "sin(x) + x**2"), "numpy"),  # some ten evaluations
        (("minimize", "Sum(x[i]**2 + cos(x[i]), (i, 1, 30000))"), "native"),
    ],
)
def test_auto_takes_what_is_done_first_where_the_digits_are_the_same(words: tuple[str, ...], engine: str) -> None:
    assert engine_of(words) == engine


SHARED = [
    *({"schedule": schedule} for schedule in SCHEDULES),
    *({"schedule": schedule, "power": power} for schedule in ("inverse", "polynomial") for power in (0.5, 2.0)),
    {"warmup": 3, "clip_value": 1.0, "weight_decay": 0.1},
    {"clip_norm": 1.0},
]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("settings", SHARED, ids=lambda settings: "-".join(map(str, settings.values())))
def test_a_method_that_is_exact_uses_nothing_else(name: str, settings: dict[str, Any]) -> None:
    if not issubclass(find(name), FirstOrder):
        return
    method = make(name, settings)
    assert isinstance(method, FirstOrder)
    if not method.elementwise:  # numpy does it on either engine
        assert method.exact
        return
    step = step_of(method.update, len(method.init_state(np.zeros(1))), bounded=False)
    assert method.exact == all(node.op.exact for node in step.graph.nodes if isinstance(node.op, Op))


def test_both_print_the_same() -> None:
    """To the last digit: nothing is reassociated outside of sums."""
    for form in ("table", "csv"):
        ours, wanted = (optcli_(*JOB, "--engine", engine, "--format", form) for engine in ("native", "numpy"))
        assert ours.returncode == wanted.returncode == 0
        own = re.compile(r"native|numpy|^time ", re.M)
        assert [line for line in ours.stdout.split("\n") if not own.search(line)] == [
            line for line in wanted.stdout.split("\n") if not own.search(line)
        ]


def test_auto_does_without_llvmlite_and_says_so_once() -> None:
    ran = without(*JOB, "--format", "json")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["engine"] == "numpy"
    assert ran.stderr == "the native engine needs llvmlite, which cannot be loaded: using numpy\n"
    assert without(*JOB, "--quiet").stderr == ""
    assert without(*JOB, "--engine", "numpy").stderr == ""


def test_native_needs_llvmlite() -> None:
    ran = without(*JOB, "--engine", "native")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "llvmlite" in ran.stderr
    assert "--engine numpy" in ran.stderr


def refuse(*_: object) -> None:
    raise RuntimeError("no such instruction\x1b[31m")


def test_where_llvm_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm, "_compile", refuse)
    outcome = optcli.minimize("exp(x) - x", lr=0.1, iters=10)
    assert outcome.preview.engine == "numpy"
    (note,) = outcome.preview.notes
    assert note.startswith("the native engine cannot compile this (no such instruction")
    assert "\x1b" not in note
    with pytest.raises(UsageError, match="cannot compile"):
        optcli.minimize("exp(x) - x", iters=10, engine="native")


def test_explain_shows_the_code_alone() -> None:
    ran = optcli_("explain", "(1-x)**2 + 5*(secret-x**2)**2", "--code")
    assert ran.returncode == 0
    head, _, code = ran.stdout.partition("define ")
    assert "; slot 2: secret" in head
    assert "fmul double" in code
    assert "secret" not in code
    calls = optcli_("explain", "sin(x)*y", "--code", "--engine", "numpy").stdout.split("\n")
    assert calls[0].startswith("v")
    assert calls[-2].startswith("return ")


def test_explain_says_what_numpy_does() -> None:
    assert "; called back from numpy: polygamma" in optcli_("explain", "gamma(x)", "--code").stdout
    text = "Sum(Sum(M[i,j]*x[j], (j, 1, 3))**2, (i, 1, 4))"
    assert "; by numpy between the loops: " in optcli_("explain", text, "--code").stdout


def test_names_of_users_do_not_enter_the_code() -> None:
    plain = llvm_text("(a - b)**2*sin(a)")
    assert plain == llvm_text("(define - ret)**2*sin(define)")
    assert "define -" not in plain


def llvm_text(text: str) -> str:
    from optcli.engine.native.plan import NativePlan

    return NativePlan(optcli.function(text).objective.gradient_graph).text


@pytest.mark.parametrize(("given", "wanted"), [("1", 1), ("3", 3), ("0", None), ("many", None), ("", None)])
def test_the_number_of_threads(given: str, wanted: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTCLI_THREADS", raising=False)
    usual = threads()
    monkeypatch.setenv("OPTCLI_THREADS", given)
    assert threads() == (wanted or usual) >= 1
