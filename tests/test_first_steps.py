"""Every method's first two points, worked out by hand from its paper's formula: one table, a row or more a method."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest

from optcli.optimize.methods import METHODS, make
from optcli.optimize.problem import Problem
from optcli.optimize.solve import Stop, solve

R = math.sqrt
INF = math.inf
TINY = 1e-300  # an eps that does not disturb
MOMENTS = {"beta1": 0.5, "beta2": 0.75, "eps": TINY}  # so that m_1 = g_0/2, v_1 = g_0²/4


class Row(NamedTuple):
    """The points after one and two updates on x² + 2·y² from `start`; there f = 6 and g = (4, 4) at (2, 1)."""

    method: str
    settings: dict[str, Any]
    first: tuple[float, float]
    second: tuple[float, float] | None
    start: tuple[float, float] = (2.0, 1.0)
    lower: tuple[float, float] | None = None
    quartic: bool = False  # x⁴ + 2·y² in its place, where a quadratic would be done in one step


# adadelta: v_1 = 16/4, Δ_1 = −√¼/√(4 + ¼)·4, u_1 = Δ_1²/4
DELTA = -0.5 / R(4.25) * 4
DX, DY = 2 + DELTA, 1 + DELTA
U = DELTA**2 / 4 + 0.25
# nadam: μ_i = ½·(1 − ½·0.96^i) with momentum_decay = 1; m_1 = 2, v̂_1 = 16
MU1, MU2, MU3 = (0.5 * (1 - 0.5 * 0.96**i) for i in (1, 2, 3))
NX = 2 - 0.1 * (MU2 * 2 / (1 - MU1 * MU2) + (1 - MU1) * 4 / (1 - MU1)) / 4
NY = NX - 1


def nadam(x: float, g: float) -> float:
    """x_2 from x_1 and g_1: m_2 = ½·2 + g/2, v_2 = ¾·4 + g²/4."""
    m = MU3 * (1 + g / 2) / (1 - MU1 * MU2 * MU3) + (1 - MU2) * g / (1 - MU1 * MU2)
    return x - 0.1 * m / R((3 + g**2 / 4) / 0.4375)


TABLE = [
    # x_i = x_{i-1} − lr·g: g_1 = (3.2, 2.4)
    Row("gd", {"lr": 0.1}, (2 - 0.4, 1 - 0.4), (1.6 - 0.32, 0.6 - 0.24)),
    # and half of the last displacement, −0.4
    Row("momentum", {"lr": 0.1, "beta": 0.5}, (1.6, 0.6), (1.6 - 0.2 - 0.32, 0.6 - 0.2 - 0.24)),
    # v_1 = −0.4, x_1 = x_0 + v_1/2 − 0.4; g_1 = (2.8, 1.6), v_2 = −0.2 − lr·g_1, x_2 = x_1 + v_2/2 − lr·g_1
    Row("nesterov", {"lr": 0.1, "beta": 0.5}, (1.4, 0.4), (1.4 - 0.48 / 2 - 0.28, 0.4 - 0.36 / 2 - 0.16)),
    # G = 16, then 16 + g_1², g_1 = (3.8, 3.6)
    Row(
        "adagrad",
        {"lr": 0.1, "eps": TINY},
        (1.9, 0.9),
        (1.9 - 0.38 / R(16 + 3.8**2), 0.9 - 0.36 / R(16 + 3.6**2)),
    ),
    # v_1 = 16/4: x_1 = x_0 − 0.4/2; g_1 = (3.6, 3.2), v_2 = ¾·4 + g_1²/4
    Row(
        "rmsprop",
        {"lr": 0.1, "beta": 0.75, "eps": TINY},
        (1.8, 0.8),
        (1.8 - 0.36 / R(3 + 3.6**2 / 4), 0.8 - 0.32 / R(3 + 3.2**2 / 4)),
    ),
    Row(
        "adadelta",
        {"rho": 0.75, "eps": 0.25},
        (DX, DY),
        (
            DX - R(U) / R(3 + (2 * DX) ** 2 / 4 + 0.25) * 2 * DX,
            DY - R(U) / R(3 + (4 * DY) ** 2 / 4 + 0.25) * 4 * DY,
        ),
    ),
    # m̂_1 = 4, v̂_1 = 16; g_1 = (3.8, 3.6), m_2 = 1 + g_1/2, v_2 = 3 + g_1²/4, over 1 − 1/4 and 1 − 9/16
    Row(
        "adam",
        {"lr": 0.1, **MOMENTS},
        (1.9, 0.9),
        (
            1.9 - 0.1 * (2.9 / 0.75) / R((3 + 3.8**2 / 4) / 0.4375),
            0.9 - 0.1 * (2.8 / 0.75) / R((3 + 3.6**2 / 4) / 0.4375),
        ),
    ),
    # and 0.1·0.5·x is taken away: g_1 = (3.6, 3.4)
    Row(
        "adamw",
        {"lr": 0.1, **MOMENTS, "weight_decay": 0.5},
        (2 - 0.1 - 0.1, 1 - 0.1 - 0.05),
        (
            1.8 - 0.1 * (2.8 / 0.75) / R((3 + 3.6**2 / 4) / 0.4375) - 0.05 * 1.8,
            0.85 - 0.1 * (2.7 / 0.75) / R((3 + 3.4**2 / 4) / 0.4375) - 0.05 * 0.85,
        ),
    ),
    # g_1 = (2, 0): v_2 = (4, 3), of which the second is below v_1 = 4, which stays
    Row(
        "amsgrad",
        {"lr": 1.0, **MOMENTS},
        (1.0, 0.0),
        (1 - (2 / 0.75) / R(4 / 0.4375), 0 - (1 / 0.75) / R(4 / 0.4375)),
    ),
    Row("nadam", {"lr": 0.1, **MOMENTS, "momentum_decay": 1.0}, (NX, NY), (nadam(NX, 2 * NX), nadam(NY, 4 * NY))),
    # rho_1 = 1 and rho_2 < 2 are too small: the momentum alone, m̂_1 = 4, m_2 = 1 + g_1/2 with g_1 = (3.2, 2.4)
    Row(
        "radam",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        (1.6, 0.6),
        (1.6 - 0.1 * 2.6 / 0.75, 0.6 - 0.1 * 2.2 / 0.75),
    ),
    # m_1 = 1, g_1 = (1, −2): c = ½·m_1 + ½·g_1 has both signs
    Row("lion", {"lr": 1.5, "beta1": 0.5, "beta2": 0.75}, (0.5, -0.5), (0.5 - 1.5, -0.5 + 1.5)),
    # the signs stay: 1.2 times as far
    Row("rprop", {"lr": 0.8}, (1.2, 0.2), (1.2 - 0.96, 0.2 - 0.96)),
    # first −0.1/4·g; s = −(0.1, 0.1), y = −(0.2, 0.4), g_1 = (3.8, 3.6)
    Row("bb", {"lr": 0.1}, (1.9, 0.9), (1.9 - 0.06 / 0.2 * 3.8, 0.9 - 0.06 / 0.2 * 3.6)),
    Row("bb", {"lr": 0.1, "length": "long"}, (1.9, 0.9), (1.9 - 0.02 / 0.06 * 3.8, 0.9 - 0.02 / 0.06 * 3.6)),
    # d = −g, α = gᵀg/dᵀHd = 32/96; g_1 = (4/3, −4/3), β = (32/9)/32, d_1 = (−16/9, 8/9), α = (32/9)/(256/27)
    Row(
        "cg",
        {"beta": "fletcher_reeves"},
        (2 - 4 / 3, 1 - 4 / 3),
        (2 / 3 - 3 / 8 * 16 / 9, -1 / 3 + 3 / 8 * 8 / 9),
    ),
    # α = 2·f/‖g‖² = 12/32; s = −(1.5, 1.5), y = −(3, 6), yᵀs = 13.5, yᵀy = 45; g_1 = (1, −2).
    # (6.20) and (6.17): H = 0.3·I − (H₀y·sᵀ + s·yᵀH₀)/yᵀs + (1 + yᵀH₀y/yᵀs)·s·sᵀ/yᵀs = (13 1; 1 7)/30, d = −H·g_1
    Row("bfgs", {}, (0.5, -0.5), (0.5 - (13 - 2) / 30, -0.5 - (1 - 14) / 30)),
    # algorithm 7.4: a = sᵀg/yᵀs = 1/9; q = g − a·y = (4/3, −4/3); r = 0.3·q; b = yᵀr/yᵀs = 4/45; d = −r − (a − b)·s
    Row("lbfgs", {}, (0.5, -0.5), (0.5 - 0.4 + 1.5 / 45, -0.5 + 0.4 + 1.5 / 45)),
    # x_i = x − f'/f'' in each variable: 4·x³/(12·x²) and 4·y/4
    Row("newton", {"subproblem": "dense"}, (1 - 1 / 3, 0.0), (2 / 3 - 2 / 9, 0.0), (1.0, 1.0), quartic=True),
    # the same in x alone, as y ends at its bound
    Row(
        "projected_newton",
        {"subproblem": "dense"},
        (1 - 1 / 3, 0.5),
        (2 / 3 - 2 / 9, 0.5),
        (1.0, 1.0),
        (-INF, 0.5),
        quartic=True,
    ),
    # B = I: along P(x − tg) y stops at ½, x at its minimizer 2 − 4; d = (−4, −½), α = 1/‖d‖
    Row("lbfgsb", {}, (2 - 4 / R(16.25), 1 - 0.5 / R(16.25)), None, lower=(-INF, 0.5)),
    # without bounds d = −g, α = 1/‖d‖; s and y are to each other as for bfgs, and so is H, the inverse of B
    Row(
        "lbfgsb",
        {},
        (2 - R(0.5), 1 - R(0.5)),
        (
            2 - R(0.5) - (13 * (4 - R(2)) + (4 - R(8))) / 30,
            1 - R(0.5) - ((4 - R(2)) + 7 * (4 - R(8))) / 30,
        ),
    ),
    # y is held: d = (−4, 0), α = ¼; s = (−1, 0), y = (−2, 0), so that B = 2·I and d_1 = (−2/2, 0)
    Row("lbfgsb", {}, (2 - 1, 0.5), (1 - 2 / 2, 0.5), (2.0, 0.5), (-INF, 0.5)),
    # P(x − g) − x = (−4, −½): λ₀ = ¼, d = (−1, −½); s·s = 1.25, s·y = 3, g_1 = (2, 2)
    Row("projected_gradient", {}, (2 - 1, 0.5), (1 - 1.25 / 3 * 2, 0.5), lower=(-INF, 0.5)),
    # the first update makes the simplex (2, 1), (2.2, 1), (2, 1.1); then the centroid is (2, 1.05), the reflection
    # (1.8, 1.1) the best and the expansion, twice as far, better still
    Row("nelder_mead", {}, (2.0, 1.0), (2 + 2 * (2 - 2.2), 1.05 + 2 * (1.05 - 1))),
]


def bowl(row: Row) -> Problem:
    def both(x: Any) -> tuple[float, Any]:
        if row.quartic:
            return float(x[0] ** 4 + 2 * x[1] ** 2), np.array([4 * x[0] ** 3, 4 * x[1]])
        return float(x[0] ** 2 + 2 * x[1] ** 2), np.array([2 * x[0], 4 * x[1]])

    def product(x: Any, v: Any) -> Any:
        return np.array([12 * x[0] ** 2 if row.quartic else 2.0, 4.0]) * v

    lower = None if row.lower is None else np.array(row.lower)
    return Problem(2, lambda x: both(x)[0], both, lower=lower, product=product)


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{k}-{row.method}") for k, row in enumerate(TABLE)])
def test_first_points_by_hand(row: Row) -> None:
    for iters, wanted in ((1, row.first), (2, row.second)):
        if wanted is not None:
            result = solve(bowl(row), make(row.method, row.settings), np.array(row.start), Stop(iters=iters, tol=0.0))
            assert result.iterate.x == pytest.approx(wanted, rel=1e-13, abs=1e-15), iters


def test_every_method_has_a_row() -> None:
    assert {row.method for row in TABLE} == set(METHODS)
    assert {row.method for row in TABLE if row.second is not None} == set(METHODS)
