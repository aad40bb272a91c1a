"""Curvature by factors held against all eigenvalues; verdicts of large problems; when Newton's method has its turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bands import CHAIN, dense, ready, with_entry

import optcli
from optcli.optimize.curvature import MARGIN, spectrum
from optcli.optimize.factored import factored_at
from optcli.optimize.iterate import Point
from optcli.optimize.methods import make
from optcli.optimize.problem import Problem
from optcli.optimize.pursue import EARLY, TURN, Course, Leg, pursue
from optcli.optimize.rounding import EPS
from optcli.optimize.solve import Result, Stop, solve
from optcli.optimize.status import Status
from optcli.optimize.verdict import Verdict, judge


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):  # as in `solve`
        yield


def quadratic(H: Any) -> Problem:
    return Problem(len(H), lambda x: 0.5 * x @ H @ x, lambda x: (0.5 * x @ H @ x, H @ x), product=lambda x, v: H @ v)


SEEN = {
    "positive": lambda: dense(220, 2, 1, 0, 1e-6),
    "indefinite": lambda: dense(220, 2, 0, 0),
    "bordered": lambda: dense(220, 1, 2, 0),
    "negative": lambda: -dense(220, 1, 1, 0, 1e-4),
    "scaled": lambda: dense(220, 1, 0, 0, 0.1) * np.outer(*2 * [10.0 ** np.linspace(-6, 6, 220)]),
    "singular": lambda: np.diag(np.r_[np.zeros(1), np.ones(219)]),
    "graph": lambda: with_entry(with_entry(CHAIN, 0, 0, 1.0), 399, 399, 1.0),
}


@pytest.mark.parametrize("kind", SEEN)
def test_the_factors_see_what_eigenvalues_show(kind: str) -> None:
    H = SEEN[kind]()
    n = len(H)
    seen, whole = factored_at(quadratic(H), np.ones(n), np.arange(n)), spectrum(H, [])
    assert seen is not None
    assert whole is not None
    assert (seen.positive, seen.negative, seen.zero) == (whole.positive, whole.negative, whole.zero)
    assert seen.smallest == pytest.approx(whole.smallest, rel=1e-3, abs=1e-10)
    assert seen.doubt <= 100.0 * MARGIN * n * EPS
    if seen.negative:
        v = seen.down
        assert v @ H @ v < 0.0
        assert seen.lowest == pytest.approx(whole.lowest, rel=1e-3)
        assert seen.largest == pytest.approx(whole.largest, rel=1e-3)
    flat = seen.flat / seen.d
    assert abs(flat @ (seen.S @ flat)) <= 1.1 * np.min(np.abs(whole.scaled)) * (flat @ flat) + seen.doubt * (
        flat @ flat
    )
    g = H @ np.random.default_rng(0).normal(size=n)
    assert H @ seen.newton(g) == pytest.approx(-g, rel=1e-4, abs=1e-4 * np.max(np.abs(g)))


def test_curvature_that_an_ulp_changes_is_none() -> None:
    H = CHAIN + (1e-12 - np.linalg.eigvalsh(CHAIN)[0]) * np.eye(400)

    def product(x: Any, v: Any) -> Any:
        return H @ v + (1e-11 if x[0] > 1.0 else 0.0) * v

    for start, sure in ((0.5, True), (1.0, False)):
        function = Problem(400, lambda x: 0.0, lambda x: (0.0, np.zeros(400)), product=product)
        seen = factored_at(function, np.full(400, start), np.arange(400))
        assert seen is not None
        assert (seen.positive == 400) == sure


@pytest.mark.parametrize(("factor", "kept"), [(1.0, True), (0.56, True), (0.54, False), (1.89, True), (1.91, False)])
def test_curvature_that_is_kept(factor: float, kept: bool) -> None:
    H = dense(220, 1, 1, 0, 1e-4)
    seen = factored_at(quadratic(H), np.ones(220), np.arange(220))
    assert seen is not None
    low, high = seen.ratio(dataclasses.replace(seen.H, upper=factor * seen.H.upper, columns=factor * seen.H.columns))
    assert (low >= 0.55 and high <= 1.9) == kept


def at_zero(H: Any) -> Verdict:
    function = quadratic(H)
    return judge(function, Point.at(function, 0, np.zeros(len(H))), 1e-8, Status.CONVERGED)


def blocks(hidden: float) -> Any:
    """Two pairs with curvature 5e-13 along (1, −1), joined by an entry that no comb finds and no check at 1e-10."""
    H = np.eye(600)
    for k in (100, 406):
        H[k : k + 2, k : k + 2] = [[1.0, 1.0], [1.0, 1.0 + 1e-12]]
    return with_entry(H, 100, 406, hidden)  # 306 is a multiple of 3 and 17: it is read as on the diagonal


@pytest.mark.parametrize(
    ("H", "kind"),
    [
        (blocks(0.0), "minimum"),
        (blocks(1e-11), "degenerate"),
        (dense(600, 1, 0, 0, 1e-9), "minimum"),
        (dense(600, 1, 2, 0, -1e-9), "saddle"),
        (dense(600, 1, 0, 0, 0.0), "degenerate"),
        (-dense(600, 3, 1, 0, 1e-3), "maximum"),
    ],
    ids=["pairs", "hidden", "positive", "indefinite", "singular", "negative"],
)
def test_verdicts_of_quadratics(H: Any, kind: str) -> None:
    verdict = at_zero(H)
    assert verdict.kind == kind, verdict
    if kind == "saddle":
        assert verdict.direction is not None
        assert verdict.direction @ H @ verdict.direction < 0.0


VERDICTS = {
    "dixon_price": "minimum",
    "dixon3dq": "minimum",
    "arwhead": "minimum",
    "engval1": "minimum",
    "dqdrtic": "minimum",
    "cosine": "degenerate",  # a whole surface of minimizers
    "nondquar": "degenerate",
    "extended_powell_singular": "degenerate",
}


@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts_of_large_problems(name: str) -> None:
    result = optcli.minimize(name, params={"n": 2000}, every=0)
    assert (result.status, result.verdict.kind) == ("converged", VERDICTS[name])
    exact_zero = name not in ("cosine", "engval1")
    assert not exact_zero or abs(result.value) <= 1e-10
    assert (result.verdict.digits is not None) == (VERDICTS[name] == "minimum")


@pytest.mark.parametrize(
    ("n", "tol", "more"),
    [
        *((2000, tol, {}) for tol in (1e-5, 1e-8, 1e-12)),
        *((2000, tol, {"method": "newton"}) for tol in (1e-5, 1e-8, 1e-12)),
        (4000, 1e-10, {"method": "newton", "settings": {"radius": 1.0}}),  # it fades after the first step
    ],
)
def test_a_quartic_bottom_is_degenerate_however_near(n: int, tol: float, more: dict[str, Any]) -> None:
    """On the way of Newton's method from there the curvature fades."""
    result = optcli.minimize("nondquar", params={"n": n}, every=0, tol=tol, **more)
    assert (result.status, result.verdict.kind) == ("converged", "degenerate")


# ---- when Newton's method has its turn


class Judged(dict[str, Any]):
    def __init__(self, result: Result) -> None:
        self.status, self.verdict = result.status, Verdict("not_stationary", "")


def legs(function: Problem, start: Any, course: Course | None = None) -> list[tuple[str, int]]:
    def judged(problem: Problem, method: Any, result: Result) -> Judged:
        return Judged(result)

    methods = [make("gd", {"lr": 1e-9}), make("newton", {})]
    run = pursue(methods, lambda method: function, judged, start, Stop(max_time=60.0), course=course)
    return [(leg.method, leg.begin) for leg in run.legs]


TURNS = [("dixon_price", EARLY), ("trigonometric", TURN)]


@pytest.mark.parametrize(("name", "turn"), TURNS)
def test_newtons_turn_is_early_where_it_has_factors(name: str, turn: int) -> None:
    function, start = ready(name, 300)
    assert legs(function, start) == [("gd", 0), ("newton", turn)]


@pytest.mark.parametrize(("name", "turn"), TURNS)
@pytest.mark.parametrize("after", [EARLY - 1, EARLY, EARLY + 1])
def test_a_run_that_goes_on_has_the_same_turns(name: str, turn: int, after: int) -> None:
    function, start = ready(name, 300)
    iterate = solve(function, make("gd", {"lr": 1e-9}), start, Stop(iters=after)).iterate
    if after > turn:
        return  # its turn had come
    assert legs(function, iterate, Course(legs=[Leg("gd", 0, "")])) == [("gd", 0), ("newton", turn)]
