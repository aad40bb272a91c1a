"""First-order methods: two steps by hand from each paper, ten steps as torch and optax make them, what they share."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch_steps as peers

from optcli.errors import UsageError
from optcli.optimize.methods import METHODS, find, make
from optcli.optimize.methods.first_order import FirstOrder, shortened
from optcli.optimize.solve import Problem, Stop, solve

FIRST = [name for name in METHODS if issubclass(find(name), FirstOrder)]
TABLE = json.loads(peers.FILE.read_text(encoding="utf-8"))


def first_order(name: str, settings: dict[str, Any]) -> FirstOrder:
    method = make(name, settings)
    assert isinstance(method, FirstOrder)
    return method


# ---- by hand: gradients 3 and then −1 from x = 2, small numbers, and eps that does not disturb

G = (3.0, -1.0)
TINY = 1e-300
A1, A2 = 0.5 * 3, 0.5 * (0.5 * 3) - 0.5  # m of beta1 = 1/2: 1.5, 0.25
V1, V2 = 0.25 * 9, 0.75 * (0.25 * 9) + 0.25  # v of beta2 = 3/4: 2.25, 1.9375
MOMENTS = {"beta1": 0.5, "beta2": 0.75, "eps": TINY}
MU1, MU2, MU3 = (0.5 * (1 - 0.5 * 0.96**k) for k in (1, 2, 3))  # momentum_decay 1
RHO = 2 / (1 - 0.9) - 1  # 19: rho_1 = 1, rho_2 ≈ 1.95
R6 = RHO - 12 * 0.9**6 / (1 - 0.9**6)  # ≈ 5.39: the first that is rectified

BY_HAND = [
    ("adagrad", {"lr": 0.1, "eps": TINY}, -0.1, 0.1 / math.sqrt(10)),
    ("adagrad", {"lr": 0.1, "begin": 7.0, "eps": 1.0}, -0.1 * 3 / 5, 0.1 / (math.sqrt(17) + 1)),
    ("rmsprop", {"lr": 0.1, "beta": 0.75, "eps": TINY}, -0.1 * 3 / 1.5, 0.1 / math.sqrt(V2)),
    ("rmsprop", {"lr": 0.1, "beta": 0.75, "eps": TINY, "momentum": 0.5}, -0.2, 0.5 * -0.2 + 0.1 / math.sqrt(V2)),
    # Δ_1 = −√eps/√(2.25 + eps)·3; u_1 = Δ_1²/4
    (
        "adadelta",
        {"rho": 0.75, "eps": 0.25},
        -0.5 / math.sqrt(2.5) * 3,
        math.sqrt(0.25 * 0.9 + 0.25) / math.sqrt(V2 + 0.25),
    ),
    # m̂ = 3, v̂ = 9; then m̂ = A2/(1 − 1/4), v̂ = V2/(1 − 9/16)
    ("adam", {"lr": 0.1, **MOMENTS}, -0.1, -0.1 * (A2 / 0.75) / math.sqrt(V2 / 0.4375)),
    (
        "adamw",
        {"lr": 0.1, **MOMENTS, "weight_decay": 0.5},
        -0.1 - 0.1 * 0.5 * 2.0,
        -0.1 * (A2 / 0.75) / math.sqrt(V2 / 0.4375) - 0.1 * 0.5 * 1.8,
    ),
    # v falls, and the larger of both stays
    ("amsgrad", {"lr": 0.1, **MOMENTS}, -0.1, -0.1 * (A2 / 0.75) / math.sqrt(V1 / 0.4375)),
    (
        "nadam",
        {"lr": 0.1, **MOMENTS, "momentum_decay": 1.0},
        -0.1 * (MU2 * A1 / (1 - MU1 * MU2) + (1 - MU1) * 3 / (1 - MU1)) / 3,
        -0.1 * (MU3 * A2 / (1 - MU1 * MU2 * MU3) + (1 - MU2) * -1 / (1 - MU1 * MU2)) / math.sqrt(V2 / 0.4375),
    ),
    ("radam", {"lr": 0.1, "beta1": 0.5, "beta2": 0.9}, -0.3, -0.1 * (A2 / 0.75)),  # not yet rectified
    ("radam", {"lr": 0.1, "beta1": 0.5, "beta2": 0.6}, -0.3, -0.1 * (A2 / 0.75)),  # rho = 4: never
    # sign(1.5), then m = 0.75·0 + 0.25·3 and c = 0.5·0.75 − 0.5 < 0
    ("lion", {"lr": 0.1, "beta1": 0.5, "beta2": 0.75}, -0.1, 0.1),
    ("lion", {"lr": 0.1, "beta1": 0.9, "beta2": 0.5, "weight_decay": 0.5}, -0.1 - 0.1, -0.1 - 0.1 * 0.5 * 1.8),
    # the sign changes: no step, half the length from then on
    ("rprop", {"lr": 0.1}, -0.1, 0.0),
    ("rprop", {"lr": 0.1, "most": 0.05}, -0.05, 0.0),
]


@pytest.mark.parametrize(("name", "settings", "first", "second"), BY_HAND)
def test_two_steps_from_the_paper(name: str, settings: dict[str, Any], first: float, second: float) -> None:
    method = first_order(name, settings)
    x = np.array([2.0])
    state = method.init_state(x)
    for i, (g, wanted) in enumerate(zip(G, (first, second), strict=True), start=1):
        state, s = method.update(state, x, np.array([g]), i)
        assert s[0] == pytest.approx(wanted, rel=1e-14, abs=1e-17), i
        x = x + (s if name != "lion" else np.array([-0.2]))


def test_rprop_goes_on_with_half_the_length_after_a_change_of_sign() -> None:
    """g = 1, 1, −1, −1, −1: lengths 0.1, 0.12, 0.06 without a step, 0.06, 0.072."""
    method = first_order("rprop", {"lr": 0.1})
    x, steps = np.array([0.0]), []
    state = method.init_state(x)
    for i, g in enumerate([1.0, 1.0, -1.0, -1.0, -1.0], start=1):
        state, s = method.update(state, x, np.array([g]), i)
        steps.append(s[0])
    assert steps == pytest.approx([-0.1, -0.12, 0.0, 0.06, 0.072], rel=1e-14)


def test_a_schedule_scales_the_steps_of_rprop_and_not_their_length() -> None:
    """g = 1, 1, 1: lengths 0.1, 0.12, 0.144, of which the second and third step take a half and a quarter."""
    method = first_order("rprop", {"lr": 0.1, "schedule": "step", "period": 1, "decay": 0.5})
    x = np.array([0.0])
    state = method.init_state(x)
    for i, wanted in enumerate([-0.1, -0.06, -0.036], start=1):
        state, s = method.update(state, x, np.array([1.0]), i)
        assert s[0] == pytest.approx(wanted, rel=1e-14)


def test_radam_rectifies_from_the_sixth_step_on() -> None:
    """With beta2 = 0.9 rho_5 = 4.7 and rho_6 = 5.4; without momentum, m̂ is the gradient."""
    method = first_order("radam", {"lr": 1.0, "beta1": 0.0, "beta2": 0.9, "eps": TINY})
    x = np.array([0.0])
    state = method.init_state(x)
    for i in range(1, 7):
        state, s = method.update(state, x, np.array([2.0]), i)
        r = math.sqrt((R6 - 4) * (R6 - 2) * RHO / ((RHO - 4) * (RHO - 2) * R6))
        assert s[0] == pytest.approx(-2.0 if i < 6 else -2.0 * r / 2.0, rel=1e-12)


def test_adadelta_has_the_units_of_x() -> None:
    """x in other units: with eps out of the way, steps after the first scale with x alone."""
    method = first_order("adadelta", {"eps": 1e-60})
    state = tuple(np.full(2, each) for each in (0.5, 1e-4))
    scale = np.array([1.0, 1e6])  # x' = scale·x, g' = g/scale
    state = state[0] / scale**2, state[1] * scale**2
    _, s = method.update(state, np.zeros(2), np.full(2, 3.0) / scale, 2)
    assert s[1] == pytest.approx(s[0] * 1e6, rel=1e-12)


# ---- ten steps of torch and optax


def hill(x: Any) -> tuple[float, Any]:
    """torch_steps.FUNCTION, derived by hand."""
    a, b, c = (float(each) for each in x)
    r = b - a * a
    slope = np.array([-2 * (1 - a) - 20 * a * r + c / 2, 10 * r, math.sinh(c) + a / 2])
    return (1 - a) ** 2 + 5 * r * r + math.cosh(c) + a * c / 2, slope


def ten_steps(case: peers.Case) -> list[Any]:
    problem = Problem(3, lambda x: hill(x)[0], hill)
    method = make(case.method, case.settings)
    return [solve(problem, method, np.array(peers.START), Stop(iters=i)).iterate.x for i in range(1, peers.STEPS + 1)]


def named(rows: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(row, id=f"{k}-{row['case']['method']}") for k, row in enumerate(rows)]


@pytest.mark.parametrize("row", named(TABLE["steps"]))
def test_ten_steps_of_the_recorded_peer(row: dict[str, Any]) -> None:
    np.testing.assert_allclose(ten_steps(peers.Case(**row["case"])), row["numbers"], 1e-10, 1e-13)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{k}-{case.method}") for k, case in enumerate(peers.CASES)])
def test_ten_steps_of_the_peer_that_is_installed(case: peers.Case) -> None:
    pytest.importorskip(peers.library_of(case), reason="the peer is not installed: the recorded table stands for it")
    np.testing.assert_allclose(ten_steps(case), peers.STEPPERS[peers.library_of(case)](case), 1e-10, 1e-13)


def test_the_table_holds_every_case_with_its_source() -> None:
    for kind, cases in (("steps", peers.CASES), ("rates", peers.SCHEDULES)):
        assert [peers.Case(**row["case"]) for row in TABLE[kind]] == cases
        for row in TABLE[kind]:
            assert row["source"].startswith(peers.library_of(peers.Case(**row["case"])) + " ")
    assert {case.method for case in peers.CASES} == {*FIRST} - {"bb"}  # which neither library has
    assert (TABLE["function"], TABLE["start"], TABLE["values"]) == (peers.FUNCTION, peers.START, peers.VALUES)


# ---- what they share


@pytest.mark.parametrize("name", FIRST)
def test_at_rest_shared_fields_change_nothing(name: str) -> None:
    """Every shared field given at its default, and far from it where nothing is clipped."""
    shared = {each.name: each.default for each in fields(find(name)) if each.metadata.get("shared")}
    assert {"schedule", "warmup", "period", "clip_norm", "clip_value"} <= set(shared)
    ends = [
        solve(Problem(3, lambda x: hill(x)[0], hill), make(name, more), np.array(peers.START), Stop(iters=30))
        for more in ({}, shared, {"clip_norm": 1e9}, {"clip_value": 1e9}, {"schedule": "plateau", "patience": 1000})
    ]
    assert all(np.array_equal(end.iterate.x, ends[0].iterate.x) for end in ends)


@pytest.mark.parametrize("name", FIRST)
def test_settings_tell_what_is_not_at_rest(name: str) -> None:
    own = make(name, {}).settings()
    assert "schedule" not in own
    assert "lr" in own
    told = make(name, {"schedule": "cosine", "period": 50, "clip_norm": 1}).settings()
    assert told == own | {"schedule": "cosine", "period": 50, "clip_norm": 1.0}
    assert list(told)[: len(own)] == list(own)
    assert make(name, told) == make(name, {"schedule": "cosine", "period": 50, "clip_norm": 1})


def test_clipping_by_hand() -> None:
    """gd from g = (30, 40): by norm 5 it is (3, 4), by value 1 then (1, 1); weight decay comes after."""
    x = np.array([10.0, -10.0])
    problem = Problem(2, lambda x: 0.0, lambda x: (0.0, np.array([30.0, 40.0])))
    for settings, wanted in (
        ({"clip_norm": 5.0}, [3.0, 4.0]),
        ({"clip_norm": 50.0}, [30.0, 40.0]),
        ({"clip_value": 35.0}, [30.0, 35.0]),
        ({"clip_norm": 5.0, "clip_value": 3.5}, [3.0, 3.5]),
        ({"clip_value": 1.0, "weight_decay": 0.5}, [6.0, -4.0]),
        ({"clip_norm": 5.0, "weight_decay": 0.5}, [8.0, -1.0]),
    ):
        result = solve(problem, make("gd", {"lr": 0.5, **settings}), x, Stop(iters=1))
        assert result.iterate.x == pytest.approx(x - 0.5 * np.array(wanted), rel=1e-14), settings
        assert list(result.iterate.gradient) == [30.0, 40.0]  # what is reported is the function's own


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_a_norm_is_cut_without_overflow(scale: float) -> None:
    g = np.array([3.0, -4.0]) * scale
    assert shortened(g, 2.5 * scale) == pytest.approx(g / 2, rel=1e-14)
    assert shortened(g, 5.1 * scale) is g
    assert not np.isfinite(shortened(np.array([math.inf, 1.0]), 1.0)).all()


def test_an_update_before_the_rate_is_up_is_no_standstill() -> None:
    """lr·g is lost in x at first, not later: the run goes on, and a constant one ends."""
    problem = Problem(1, lambda x: 0.5 * (x[0] - 1) ** 2, lambda x: (0.5 * (x[0] - 1) ** 2, x - 1.0))
    start = np.array([1.0 + 1e-6])
    stop = Stop(iters=2000, tol=1e-12)
    assert solve(problem, make("gd", {"lr": 1e-11}), start, stop).status == "stalled"
    warm = solve(problem, make("gd", {"lr": 1e-9, "warmup": 100}), start, stop)
    assert warm.iterate.x[0] < start[0]
    assert solve(problem, make("gd", {"lr": 1e-11, "warmup": 100}), start, stop).iterations == 101
    assert solve(problem, make("gd", {"lr": 1e-11, "schedule": "cosine", "period": 9}), start, stop).iterations == 2000
    cycle = make("gd", {"lr": 1e-11, "schedule": "one-cycle", "period": 9})
    assert solve(problem, cycle, start, stop).iterations == 10
    plateau = make("gd", {"lr": 1e-11, "schedule": "plateau"})
    assert solve(problem, plateau, start, stop).iterations == 1


def test_a_falling_rate_lets_lion_come_near() -> None:
    """With steps of one length it goes around the minimum of x²/2 + 2·(y − 0.3)² at that distance."""

    def bowl(x: Any) -> tuple[float, Any]:
        return float(0.5 * x[0] ** 2 + 2 * (x[1] - 0.3) ** 2), np.array([x[0], 4 * (x[1] - 0.3)])

    problem = Problem(2, lambda x: bowl(x)[0], bowl)
    for settings, least, most in (
        ({}, 1e-4, 1.0),
        ({"schedule": "exponential", "period": 500}, 0.0, 1e-6),
        ({"schedule": "plateau", "decay": 0.5, "patience": 100}, 0.0, 1e-6),
    ):
        result = solve(problem, make("lion", {"lr": 0.0173, **settings}), np.array([1.0, -1.0]), Stop(iters=4000))
        assert least <= result.point.gradient_norm <= most, settings


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("more", [{"schedule": "plateau", "patience": 2}, {"clip_norm": 1.0, "warmup": 30}, {}])
def test_a_run_goes_on_from_an_iterate_bit_for_bit(name: str, more: dict[str, Any]) -> None:
    """All that a step depends on is in the iterate, as arrays."""
    problem, method = Problem(3, lambda x: hill(x)[0], hill), make(name, more)
    whole = solve(problem, method, np.array(peers.START), Stop(iters=60))
    half = solve(problem, method, np.array(peers.START), Stop(iters=23)).iterate
    assert all(type(part) is np.ndarray and part.dtype == np.float64 for part in half.state)
    rest = solve(problem, make(name, more), half, Stop(iters=60))
    assert np.array_equal(rest.iterate.x, whole.iterate.x)
    assert all(np.array_equal(a, b) for a, b in zip(rest.iterate.state, whole.iterate.state, strict=True))


WRONG = [
    ({"schedule": "cosin"}, "cosine"),
    ({"schedule": 3}, "constant"),
    ({"period": 0}, ""),
    ({"period": 2.5}, ""),
    ({"growth": 0}, ""),
    ({"warmup": -1}, ""),
    ({"decay": 1.0}, ""),
    ({"decay": 0}, ""),
    ({"power": 0}, ""),
    ({"final": -1}, ""),
    ({"patience": -1}, ""),
    ({"clip_norm": 0}, ""),
    ({"clip_value": "some"}, ""),
    ({"weight_decay": -0.1}, ""),
]


@pytest.mark.parametrize(("settings", "remedy"), WRONG)
@pytest.mark.parametrize("name", ["gd", "adamw", "bb"])
def test_fields_out_of_range(name: str, settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))) as caught:
        make(name, settings)
    assert remedy in caught.value.remedy
