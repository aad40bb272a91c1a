"""The verdict of first order, and the exit codes of contract §4."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from optcli.optimize.methods import METHODS, find, make
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.solve import Problem, Stop, solve
from optcli.optimize.status import EXIT_CODES, Status, exit_code
from optcli.optimize.verdict import Verdict, judge

JUDGED = [
    # finite, gradient norm, tolerance, status, kind, in the text
    (True, 9.7e-9, 1e-8, Status.CONVERGED, "stationary", "9.7e-09 is within 1e-08"),
    (True, 1e-8, 1e-8, Status.CONVERGED, "stationary", "curvature is not judged"),
    (True, 0.0, 0.0, Status.COMPLETED, "stationary", "saddle is not ruled out"),
    (True, 5e-9, 1e-8, Status.COMPLETED, "stationary", ""),
    (True, 5e-9, 1e-8, Status.INTERRUPTED, "stationary", ""),
    (True, 1.1e-8, 1e-8, Status.COMPLETED, "not_stationary", "1.1e-08 is above 1e-08"),
    (True, 1.0, 1e-8, Status.CONVERGED, "not_stationary", "curvature is not judged"),  # whatever the method says
    (True, 1.0, 1e-8, Status.DIVERGED, "not_stationary", "no minimum"),
    (True, 1.0, 1e-8, Status.NONFINITE, "not_stationary", ""),
    (True, math.nan, 1e-8, Status.COMPLETED, "not_stationary", ""),
    (False, 0.0, 1e-8, Status.CONVERGED, "nonfinite", "not a finite number"),
    (False, math.nan, 1e-8, Status.NONFINITE, "nonfinite", ""),
    (False, math.nan, 1e-8, Status.UNBOUNDED, "nonfinite", ""),
    (True, 1e150, 1e-8, Status.UNBOUNDED, "unbounded", "there is no minimum"),
    (True, 0.0, 1e-8, Status.UNBOUNDED, "unbounded", "lowest finite one"),
]


@pytest.mark.parametrize(("finite", "norm", "tolerance", "status", "kind", "words"), JUDGED)
def test_judge(finite: bool, norm: float, tolerance: float, status: Status, kind: str, words: str) -> None:
    verdict = judge(finite, norm, tolerance, status)
    assert verdict.kind == kind
    assert words in verdict.text
    assert verdict.to_dict() == {"kind": kind, "text": verdict.text}
    assert "\n" not in verdict.text


def test_maximize_is_mirrored_in_words() -> None:
    assert "there is no maximum" in judge(True, 1.0, 1e-8, Status.UNBOUNDED, maximize=True).text
    assert "highest" in judge(True, 1.0, 1e-8, Status.UNBOUNDED, maximize=True).text
    assert "no maximum yet" in judge(True, 1.0, 1e-8, Status.COMPLETED, maximize=True).text


CODES = [
    # status, verdict, signal, code: the first line of the table that fits
    ("interrupted", "stationary", "SIGINT", 130),
    ("interrupted", "nonfinite", None, 130),
    ("interrupted", "not_stationary", "SIGTERM", 143),
    ("nonfinite", "nonfinite", None, 14),
    ("nonfinite", "stationary", None, 14),
    ("nonfinite", "unbounded", None, 14),
    ("limit", "nonfinite", None, 14),
    ("completed", "nonfinite", None, 14),
    ("unbounded", "unbounded", None, 13),
    ("unbounded", "stationary", None, 13),
    ("limit", "unbounded", None, 13),
    ("completed", "unbounded", None, 13),
    ("diverged", "not_stationary", None, 17),
    ("diverged", "stationary", None, 17),
    ("limit", "stationary", None, 11),
    ("limit", "not_stationary", None, 11),
    ("stalled", "not_stationary", None, 12),
    ("stalled", "stationary", None, 12),
    ("failed", "not_stationary", None, 12),
    ("converged", "stationary", None, 0),
    ("converged", "minimum", None, 0),
    ("converged", "not_stationary", None, 10),
    ("converged", "saddle", None, 10),
    ("converged", "maximum", None, 10),
    ("converged", "kink", None, 10),
    ("completed", "not_stationary", None, 0),
    ("completed", "stationary", None, 0),
    ("completed", "not_stationary", "SIGTERM", 0),  # the signal came too late to matter
]


@pytest.mark.parametrize(("status", "kind", "signal", "code"), CODES)
def test_exit_codes(status: str, kind: str, signal: str | None, code: int) -> None:
    assert exit_code(Status(status), Verdict(kind, ""), signal) == code


def test_every_status_has_a_code() -> None:
    assert set(EXIT_CODES) == set(Status) == {Status(row[0]) for row in CODES}


def cubic(x: Any) -> tuple[float, Any]:
    return x[0] ** 3, 3 * x**2


def down(x: Any) -> tuple[float, Any]:
    return -(x[0] ** 2), -2 * x


def steep(x: Any) -> tuple[float, Any]:
    return x[0] ** 4, 4 * x**3


def pole(x: Any) -> tuple[float, Any]:
    return float(np.log(x[0])), 1 / x


# gradient descent far too fast, or where no minimum is: nothing may be called a success
LED_ASTRAY = [(cubic, -1.0), (down, 1.0), (steep, 3.0), (pole, 1.0)]


@pytest.mark.parametrize(("f", "start"), LED_ASTRAY)
@pytest.mark.parametrize("lr", [0.01, 0.3, 1.0, 5.0, 1e3, 1e30])
@pytest.mark.parametrize("name", [name for name in METHODS if issubclass(find(name), FirstOrder)])
def test_no_false_claim(f: Any, start: float, lr: float, name: str) -> None:
    problem = Problem(1, lambda x: f(x)[0], f)
    settings = {"lr": lr} | ({"weight_decay": 0.0} if name == "adamw" else {})  # which would draw x**3 to 0
    result = solve(problem, make(name, settings), np.array([start]), Stop(max_evals=3000))
    verdict = judge(result.point.finite, result.point.gradient_norm, result.tolerance, result.status)
    truly = f is steep and abs(result.point.x[0]) < 1e-2
    assert truly or exit_code(result.status, verdict) != 0, (result.message, result.point)
    assert verdict.kind != "nonfinite"  # the best point is finite
