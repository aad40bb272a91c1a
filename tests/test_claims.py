"""No method, and no choice of methods, claims more than is true."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from adversarial import BOUNDED, BOXED, BROWN, FACTS, FIRST, RUNS, outcome_of
from claims import Truth, false_claims, wrong
from precise import Exact

import optcli
from optcli import library

ROOT = Path(__file__).resolve().parent.parent


def label(row: Any) -> str:
    return f"{row[0]} from {row[1]}"


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("text", "start", "settings", "truth"), FACTS, ids=map(label, FACTS))
def test_no_method_claims_more_than_is_true(
    text: str, start: str, settings: dict[str, Any], truth: Truth, name: str
) -> None:
    outcome = outcome_of(text, name, start, settings)
    assert false_claims(outcome, truth) == [], (outcome.status, outcome.message, outcome.verdict)


@pytest.mark.parametrize("name", sorted(BOUNDED))
@pytest.mark.parametrize(("text", "start", "bounds", "settings", "truth"), BOXED, ids=map(label, BOXED))
def test_no_method_claims_more_within_bounds(
    text: str, start: str, bounds: dict[str, Any], settings: dict[str, Any], truth: Truth, name: str
) -> None:
    outcome = outcome_of(text, name, start, settings, bounds)
    assert false_claims(outcome, truth) == [], (outcome.status, outcome.message, outcome.verdict)


@pytest.mark.parametrize("name", sorted(BOUNDED - FIRST))
def test_the_slope_towards_a_bound_is_no_matter_of_distance(name: str) -> None:
    """1 from its bound is within T = 1e-8·|f|, but the gradient there is 5e11."""
    outcome = optcli.minimize(BROWN, start="1,1", bounds={"x": [0, 5e5], "y": [0, 1]}, every=0, **RUNS[name])
    assert (outcome.status, outcome.verdict.kind) == ("converged", "minimum")
    assert outcome.minimizer == pytest.approx([5e5, 4e-6], rel=1e-9, abs=1e-7)
    early = optcli.minimize(BROWN, start="5e5,1", bounds={"x": [0, 5e5], "y": [0, 1]}, iters=0)
    assert early.verdict.kind == "not_stationary"
    assert "y is still 1 from its bound" in early.verdict.text


def test_a_floor_that_bends_is_followed() -> None:
    """Biggs' function falls along x3 + x4 without end, by 1e-9 on the next stretch, if x1 and x2 give way."""
    biggs = next(
        each for each in json.loads((ROOT / "tests" / "data" / "mgh.json").read_text()) if "EXP6" in each["name"]
    )
    outcome = optcli.minimize(
        biggs["expression"], start=biggs["variables"], bounds={"x5": [1.6, None]}, method="projected_newton", every=0
    )
    assert (outcome.verdict.kind, outcome.verdict.local_minimum) == ("degenerate", False)


# ---- runs over the library, against mpmath; benchmarks/sets.py has them all


@pytest.fixture(scope="module")
def truth() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import truth

    yield truth
    sys.path.remove(str(ROOT / "benchmarks"))


EVERY = 9  # one in so many functions


@pytest.mark.parametrize("part", range(4))
def test_verdicts_against_mpmath(truth: Any, part: int) -> None:
    """Some functions of each manner: whole, cut off, led astray, from an odd start."""
    tried = 0
    for run in list(truth.runs(library.names()))[part :: 4 * EVERY]:
        outcome, wrong = truth.judged(run)
        assert not wrong, (run, outcome)
        tried += 1
    assert tried >= 5


@pytest.mark.parametrize("name", library.names()[::EVERY])
def test_gradient_descent_ten_times_too_fast_claims_nothing_false(truth: Any, name: str) -> None:
    run = truth.too_fast(name)
    if run is not None:
        outcome, wrong = truth.judged(run)
        assert not wrong, (run, outcome)


LIES = [  # a function, a point, a verdict that is not true there
    ("x**2 - y**2", [0.0, 0.0], {"kind": "minimum"}, "negative curvature"),
    ("x**2 + y**2", [1e-3, 0.0], {"kind": "minimum", "digits": {"x": 8, "value": 8}}, "off"),
    ("exp(-x) + y**2", [20.0, 0.0], {"kind": "minimum"}, "leads"),
    ("x**2 + y**2", [0.0, 0.0], {"kind": "saddle"}, "without negative"),
    ("x**2 - y**2", [0.0, 0.0], {"kind": "maximum"}, "positive"),
    ("x**2 + y**2", [0.0, 0.0], {"kind": "not_stationary"}, "minimizer"),
    ("x**2 + y**2", [1.0, 0.0], {"kind": "nonfinite"}, "finite"),
    ("x**2 + y**2", [1.0, 0.0], {"kind": "unbounded", "direction": [1.0, 0.0]}, "no lower"),
    ("x**2 - y**4", [0.0, 0.0], {"kind": "degenerate", "local_minimum": True}, "lower"),
    ("log(x) + y", [-1.0, 0.0], {"kind": "minimum"}, "nothing is defined"),
]


@pytest.mark.parametrize(("text", "x", "verdict", "words"), LIES)
def test_the_oracle_sees_lies(text: str, x: list[float], verdict: dict[str, Any], words: str) -> None:
    known = {"digits": None, "direction": None, "local_minimum": None}
    told = SimpleNamespace(
        minimizer=np.array(x), verdict=SimpleNamespace(**known | verdict), status="limit", exit_code=11, value=0.0
    )
    assert words in wrong(told, Exact(text, {}, ["x", "y"]))
