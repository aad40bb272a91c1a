"""Schedules: rates by hand, as torch's schedulers give them, on graph nodes, and what a long run needs of them."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch_steps as peers

from optcli.autograd.graph import Builder, Graph
from optcli.engine.numpy_engine import Plan
from optcli.optimize.methods import make
from optcli.optimize.schedules import SCHEDULES, exact, rate, settled, watched

TABLE = json.loads(peers.FILE.read_text(encoding="utf-8"))["rates"]
AT_REST = {"period": 10, "decay": 0.5, "power": 1.0, "final": 0.0, "growth": 1}
LR = 0.1


def terms(**settings: Any) -> Any:
    return SimpleNamespace(**{**AT_REST, **settings})


def rates(schedule: str, count: int, lr: float = LR, warmup: int = 0, **settings: Any) -> list[float]:
    return [float(rate(schedule, lr, i, terms(**settings), warmup)) for i in range(1, count + 1)]


HALF = math.sqrt(0.5)
BY_HAND = [
    ("constant", {}, [1, 1, 1]),
    ("constant", {"warmup": 3}, [1 / 4, 2 / 4, 3 / 4, 1, 1]),
    ("step", {"period": 2}, [1, 1, 0.5, 0.5, 0.25]),
    ("step", {"period": 2, "final": 0.4}, [1, 1, 0.5, 0.5, 0.4, 0.4, 0.4]),
    ("step", {"period": 2, "warmup": 1}, [0.5, 1, 1, 0.5, 0.5, 0.25]),
    ("exponential", {"period": 2}, [1, HALF, 0.5, HALF / 2, 0.25]),
    ("inverse", {"period": 2}, [1, 2 / 3, 1 / 2, 2 / 5, 1 / 3]),
    ("inverse", {"period": 1, "power": 2}, [1, 1 / 4, 1 / 9, 1 / 16]),
    ("polynomial", {"period": 4}, [1, 3 / 4, 2 / 4, 1 / 4, 0, 0, 0]),
    ("polynomial", {"period": 4, "power": 2}, [1, 9 / 16, 4 / 16, 1 / 16, 0, 0]),
    ("polynomial", {"period": 4, "final": 0.2}, [1, 0.8, 0.6, 0.4, 0.2, 0.2]),
    ("cosine", {"period": 4}, [1, (1 + HALF) / 2, 0.5, (1 - HALF) / 2, 1, (1 + HALF) / 2]),
    ("cosine", {"period": 2, "growth": 2, "final": 0.5}, [1, 0.75, 1, 0.75 + HALF / 4, 0.75, 0.75 - HALF / 4, 1]),
    # up for three updates, down for three, and to 0 in the four that are left
    ("one-cycle", {"period": 11}, [0.04, 0.04 + 0.96 / 2.3, 0.04 + 0.96 / 2.3 * 2]),
    ("plateau", {}, [1, 1, 1]),
]


@pytest.mark.parametrize(("schedule", "settings", "wanted"), BY_HAND)
def test_rates_by_hand(schedule: str, settings: dict[str, Any], wanted: list[float]) -> None:
    warmup = settings.get("warmup", 0)
    found = rates(schedule, len(wanted), 1.0, warmup, **{k: v for k, v in settings.items() if k != "warmup"})
    assert found == pytest.approx(wanted, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{k}-{row['case']['method']}") for k, row in enumerate(TABLE)])
def test_rates_of_torchs_schedulers(row: dict[str, Any]) -> None:
    case = peers.Case(**row["case"])
    if case.method == "plateau":
        seen, found = np.array([math.inf, 0.0, 1.0]), []
        for value in peers.VALUES:
            seen = watched(value, seen, case.settings["decay"], case.settings["patience"])
            found.append(max(case.settings["final"], LR * seen[2]))
    else:
        settings = dict(case.settings)
        found = rates(case.method, peers.RATES, LR, settings.pop("warmup", 0), **settings)
    np.testing.assert_allclose(found, row["numbers"], 1e-12, 1e-16)


def test_the_table_has_every_schedule() -> None:
    assert {row["case"]["method"] for row in TABLE} == set(SCHEDULES)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{k}-{case.method}") for k, case in enumerate(peers.SCHEDULES)]
)
def test_the_torch_that_is_installed_gives_the_table(case: peers.Case) -> None:
    pytest.importorskip("torch", reason="torch is not installed: the recorded table stands for it")
    (row,) = (row for row in TABLE if peers.Case(**row["case"]) == case)
    np.testing.assert_allclose(peers.torch_rates(case), row["numbers"], 1e-12, 1e-16)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("settings", [{}, {"power": 0.7, "growth": 3, "final": 0.01, "period": 3}, {"power": 2.0}])
def test_a_traced_schedule_gives_the_same_rates(schedule: str, warmup: int, settings: dict[str, Any]) -> None:
    builder = Builder()
    number = builder.input(0, (), "i")
    traced: Any = rate(schedule, LR, number, terms(**settings), warmup)
    if not hasattr(traced, "op"):
        assert (schedule, warmup) in (("constant", 0), ("plateau", 0))
        return
    plan = Plan(Graph.of([number], [traced]))
    found = [float(plan(np.float64(i))[0]) for i in range(1, 200)]
    np.testing.assert_allclose(found, rates(schedule, 199, LR, warmup, **settings), 1e-13, 1e-17)


@pytest.mark.parametrize("period", [1, 2, 7, 100])
@pytest.mark.parametrize("growth", [2, 3, 10])
def test_restarts_come_where_they_are_due(period: int, growth: int) -> None:
    """The rate is lr exactly where a cycle begins, below it before; numbers from the definition, far out as well."""
    begin, length = 0, period
    while begin < 10**12:
        assert rate("cosine", LR, begin + 1, terms(period=period, growth=growth)) == LR
        if length > 1:
            assert rate("cosine", LR, begin + 2, terms(period=period, growth=growth)) < LR or length > 10**7
            last = rate("cosine", LR, begin + length, terms(period=period, growth=growth))
            assert last == pytest.approx(LR / 2 * (1 + math.cos(math.pi * (length - 1) / length)), rel=1e-9, abs=1e-17)
        begin, length = begin + length, length * growth


def test_one_cycle_by_its_corners() -> None:
    """From lr/25 to lr, as far back, to the end: 30 %, 30 %, 40 % of the updates."""
    found = rates("one-cycle", 120, 1.0, period=100, final=1e-3)
    assert found[0] == pytest.approx(0.04)
    assert max(found) == found[29] == pytest.approx(1.0)
    assert found[58] == pytest.approx(0.04)
    assert found[99:] == pytest.approx([1e-3] * 21)
    assert np.all(np.diff(found[:30]) > 0)
    assert np.all(np.diff(found[29:100]) < 0)
    for period in range(1, 8):
        assert np.isfinite(rates("one-cycle", 10, period=period)).all()


SETTLED = [
    ("constant", {}, 0, 0),
    ("constant", {}, 9, 9),
    ("step", {}, 3, 3),
    ("one-cycle", {"period": 20}, 3, 23),
    ("polynomial", {"period": 20}, 3, 3),
    ("polynomial", {"period": 20, "final": 0.2}, 3, 23),
    ("inverse", {}, 0, 0),
    ("cosine", {}, 0, math.inf),
    ("plateau", {}, 2, 2),
]


@pytest.mark.parametrize(("schedule", "settings", "warmup", "wanted"), SETTLED)
def test_from_where_on_no_rate_rises(schedule: str, settings: dict[str, Any], warmup: int, wanted: float) -> None:
    assert settled(schedule, LR, terms(**settings), warmup) == wanted
    if wanted < math.inf:
        assert np.all(np.diff(rates(schedule, 200, LR, warmup, **settings)[int(wanted) :]) <= 0)


def test_exactness_is_what_the_formulas_are_made_of() -> None:
    """A run on either engine must have the same digits: tests/test_engines.py looks at the operations."""
    assert exact("constant", terms())
    assert exact("one-cycle", terms())
    assert exact("polynomial", terms(power=2.0))
    assert not exact("polynomial", terms(power=0.5))
    assert not exact("step", terms())
    assert make("gd", {"schedule": "inverse", "warmup": 3}).exact  # type: ignore[attr-defined]
    assert not make("gd", {"schedule": "cosine"}).exact  # type: ignore[attr-defined]
    assert not make("adam", {}).exact  # type: ignore[attr-defined]


def test_plateau_by_hand() -> None:
    """patience 1: the second value in a row that is not lower cuts the rate; falls below zero count as well."""
    seen, factors = np.array([math.inf, 0.0, 1.0]), []
    for value in (1.0, 1.0, 1.0, 0.99995, 0.5, 0.5, -1.0, -1.00001, -1.00005, -1.2, -1.2, -1.2):
        seen = watched(value, seen, 0.5, 1)
        factors.append(float(seen[2]))
    assert factors == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
