"""Bands with a border: found by products, factored, and held against dense linear algebra."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bands import CHAIN, band, dense, drawn, ready, with_entry

from optcli.optimize.band import MOST, WIDEST, found, scattered
from optcli.optimize.elimination import Factor
from optcli.optimize.methods import make
from optcli.optimize.problem import Problem
from optcli.optimize.quadratic import Banded, Dense, ball_step, box_step
from optcli.optimize.solve import Stop, solve
from optcli.optimize.status import Status
from optcli.optimize.trust_region import Spectrum, by_factors, exact


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):  # as in `solve`
        yield


SIZES = (1, 2, 3, 5, 8, 13, 64, 130)
SHAPES = [(width, border) for width in range(5) for border in range(3)] + [(WIDEST, 0), (WIDEST, MOST)]


@pytest.mark.parametrize(("width", "border"), SHAPES)
@pytest.mark.parametrize("n", SIZES)
def test_the_matrix(n: int, width: int, border: int) -> None:
    (H, B), random = drawn(n, width, border, 0), np.random.default_rng(n)
    v, d = random.normal(size=n), random.uniform(0.5, 2.0, n)
    assert B @ v == pytest.approx(H @ v, rel=1e-12, abs=1e-12)
    assert B.sizes() @ v == pytest.approx(np.abs(H) @ v, rel=1e-12, abs=1e-12)
    assert B.scaled(d) @ v == pytest.approx(d * (H @ (d * v)), rel=1e-12, abs=1e-12)
    assert np.array_equal(B.diagonal, np.diag(H))
    assert B.norm() >= np.linalg.norm(H, 2) * (1.0 - 1e-14)
    other, more = drawn(n, 1, 1, 1)
    assert B.plus(more, 2.0, -3.0) @ v == pytest.approx(2.0 * H @ v - 3.0 * other @ v, rel=1e-11, abs=1e-11)
    wide = B.widened(B.width + 1, np.union1d(B.border, [0, n - 1]))
    assert wide @ v == pytest.approx(H @ v, rel=1e-12, abs=1e-12)
    assert not wide.upper[:, 0].any()
    free = random.uniform(size=n) < 0.7
    if free.any():
        assert B.among(free) @ v[free] == pytest.approx(H[np.ix_(free, free)] @ v[free], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("width", "border"), SHAPES)
@pytest.mark.parametrize("n", SIZES)
def test_factors(n: int, width: int, border: int) -> None:
    v = np.random.default_rng(n).normal(size=n)
    for seed in range(2):
        H, B = drawn(n, width, border, seed)
        for shift in (0.0, 1.0, -1.0, 100.0, -100.0, 0.5j):
            factor = Factor(B, shift)
            shifted = H + shift * np.eye(n)
            if factor.error == np.inf:
                continue
            back = factor.error * (1.0 + np.linalg.norm(factor.solve(v)))
            assert np.linalg.norm(shifted @ factor.solve(v) - v) <= 50.0 * back
            if not isinstance(shift, complex):
                e = np.linalg.eigvalsh(shifted)
                if np.min(np.abs(e)) > factor.error:
                    assert factor.negative == np.count_nonzero(e < 0.0)
                    assert factor.positive == bool(e[0] > 0.0)
        for least in (1e-8, 1e-3):
            definite = Factor(drawn(n, width, border, seed, least)[1])
            assert definite.positive
            assert definite.error <= 1e-12 * (n + 10.0)
            assert not Factor(drawn(n, width, border, seed, -least)[1]).positive


@pytest.mark.parametrize("H", [np.zeros((9, 9)), np.full((9, 9), np.nan), np.diag(np.arange(9.0))])
def test_a_pivot_that_is_none_is_no_proof(H: Any) -> None:
    factor = Factor(band(H, 1))
    assert not factor.positive
    assert factor.error == np.inf


# ---- found by products


class Counted:
    def __init__(self, H: Any) -> None:
        self.H, self.count = H, 0

    def __call__(self, v: Any) -> Any:
        self.count += 1
        return self.H @ v


@pytest.mark.parametrize(("width", "border"), [*SHAPES, (0, 1), (2, MOST)])
@pytest.mark.parametrize("n", [201, 640])
def test_a_band_is_found(n: int, width: int, border: int) -> None:
    H = dense(n, width, border, 2)
    product = Counted(H)
    B = found(product, n)
    assert B is not None
    assert (B.width, len(B.border)) == (width, border)
    assert product.count <= 3 + 2 * width + 1 + border + 1
    v = np.random.default_rng(0).normal(size=n)
    assert B @ v == pytest.approx(H @ v, rel=1e-12, abs=1e-12)
    product.count = 0
    again = found(product, n, B.shape)
    assert again is not None
    assert np.array_equal(again.upper, B.upper)
    assert product.count == 2 * width + 1 + border + 1


def arrow(n: int, at: int) -> Any:
    H = np.diag(np.arange(1.0, n + 1.0))
    H[at] = H[:, at] = 1.0
    return H


@pytest.mark.parametrize("at", [0, 1, 20, 40, 61, 250, 299])
def test_an_arrow_wherever_it_points(at: int) -> None:
    B = found(arrow(300, at).__matmul__, 300)
    assert B is not None
    assert (B.width, B.border.tolist()) == (0, [at])


@pytest.mark.parametrize(
    "H",
    [
        dense(300, WIDEST + 1, 0, 0),
        dense(300, 1, MOST + 1, 0),
        np.ones((300, 300)),
        with_entry(CHAIN, 33, 277, 1e-6),
        with_entry(CHAIN, 33, 42, 1.0),
        with_entry(CHAIN, 5, 5, np.nan),
        np.full((300, 300), np.nan),
        with_entry(CHAIN, 7, 8, np.inf),
    ],
    ids=["wide", "bordered", "dense", "far entry", "near entry", "nan", "all nan", "inf"],
)
def test_what_is_no_band_is_not_found(H: Any) -> None:
    assert found(H.__matmul__, len(H)) is None
    assert found(H.__matmul__, len(H), band(CHAIN, 1).shape) is None


def test_what_the_combs_miss_is_found_all_the_same() -> None:
    H = with_entry(CHAIN, 33, 36, 1.0)
    product = Counted(H)
    B = found(product, 400)
    assert B is not None
    assert B.width == 3
    assert B @ scattered(400, 9) == pytest.approx(H @ scattered(400, 9), rel=1e-12)
    assert product.count == 2 + 3 + 1 + 2 * WIDEST + 1 + 1


def test_a_dense_matrix_costs_two_products() -> None:
    product = Counted(np.ones((300, 300)))
    assert found(product, 300) is None
    assert product.count == 2


def test_scattered_numbers() -> None:
    v, w = scattered(10_000, 0), scattered(10_000, 1)
    assert 0.5 <= np.min(np.abs(v)) <= np.max(np.abs(v)) <= 1.0
    for u in (v, w, v * w, v[1:] * v[:-1]):
        assert abs(np.mean(u)) < 5.0 / np.sqrt(len(u))
    for order in (1, 2, 3):
        assert np.min(np.abs(np.diff(v, order))) < 0.01 < np.mean(np.abs(np.diff(v, order)))


# ---- steps


@pytest.mark.parametrize("n", [1, 3, 10, 40])
@pytest.mark.parametrize("least", [1e-6, 1e-2, 1.0])
def test_steps_by_factors_are_nearly_those_of_more_and_sorensen(n: int, least: float) -> None:
    (H, B), random = drawn(n, 2, 1, 0, least), np.random.default_rng(n)
    for radius in (1e-6, 1e-2, 1.0, 1e2, 1e9):
        g = random.normal(size=n)
        step = by_factors(B.__matmul__, lambda shift, B=B: Factor(B, shift), g, radius)
        best = exact(Spectrum.of(H), g, radius)
        assert np.linalg.norm(step.d) <= radius * (1.0 + 1e-12)
        assert step.reduction == pytest.approx(-(g @ step.d + 0.5 * step.d @ H @ step.d), rel=1e-8)
        assert step.reduction >= 0.95 * best.reduction
        if best.shift == 0.0:
            assert step.d == pytest.approx(best.d, rel=1e-6, abs=1e-6 * best.norm)


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e6, np.inf])
def test_the_model_is_that_of_the_whole_hessian(radius: float) -> None:
    n, random = 60, np.random.default_rng(1)
    H, B = drawn(n, 1, 1, 3, 1e-2)
    g, bound = random.normal(size=n), random.uniform(0.0, 0.3, n)
    whole, lean = Dense(H, g, np.zeros(n)), Banded(B, g, np.zeros(0))
    assert np.allclose(lean.D, whole.D, rtol=1e-14)
    assert lean.first_radius(g) == pytest.approx(whole.first_radius(g), rel=1e-8)
    for step, best in (
        (ball_step(lean, radius), ball_step(whole, radius)),
        (box_step(lean, radius, -bound, bound), box_step(whole, radius, -bound, bound)),
    ):
        assert step.reduction >= 0.9 * best.reduction
        assert np.linalg.norm(whole.D * step.d) <= radius * (1.0 + 1e-10)


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e3, np.inf])
def test_the_model_without_positive_curvature_goes_down(radius: float) -> None:
    (_, B), g = drawn(60, 1, 1, 3, -1.0), np.random.default_rng(1).normal(size=60)
    step = ball_step(Banded(B, g, np.zeros(0)), radius)
    assert g @ step.d < 0.0
    assert np.isfinite(step.d).all()


# ---- runs


RUNS = {  # iterations and products, at most
    "dixon3dq": (1, 6),
    "dixon_price": (10, 50),
    "nondquar": (30, 140),
    "cosine": (25, 110),
    "arwhead": (8, 30),
    "engval1": (10, 50),
    "cragglvy": (20, 90),
}


@pytest.mark.parametrize("name", RUNS)
def test_newton_takes_few_products(name: str) -> None:
    iterations, products = RUNS[name]
    function, start = ready(name, 2000)
    result = solve(function, make("newton", {}), start, Stop())
    assert result.status is Status.CONVERGED
    assert result.iterations <= iterations
    assert result.counts.product <= products
    known = {"cosine": -1999.0, "engval1": None, "cragglvy": None}.get(name, 0.0)
    assert known is None or result.point.value == pytest.approx(known, abs=1e-10 * max(1.0, abs(known)))


def test_a_run_goes_on_with_its_digits() -> None:
    function, start = ready("nondquar", 2000)
    whole = solve(function, make("newton", {}), start, Stop(iters=12))
    half = solve(function, make("newton", {}), start, Stop(iters=5)).iterate
    function.forget()
    rest = solve(function, make("newton", {}), half, Stop(iters=12))
    assert np.array_equal(rest.iterate.x, whole.iterate.x)
    assert all(map(np.array_equal, rest.iterate.state, whole.iterate.state))


@pytest.mark.parametrize("name", ["trigonometric", "variably_dimensioned"])
def test_what_is_no_band_goes_as_by_products_alone(name: str) -> None:
    function, start = ready(name, 300)
    plain = solve(function, make("newton", {"subproblem": "cg"}), start, Stop())
    counted = function.counts.product
    function.counts.product = 0
    result = solve(function, make("newton", {}), start, Stop())
    assert np.array_equal(result.iterate.x, plain.iterate.x)
    assert function.counts.product == counted + 2


def test_a_radius_is_of_its_norm() -> None:
    """The Hessian is a band at the start alone: the region begins anew, in the other norm."""
    full, g = CHAIN + np.ones((400, 400)), np.linspace(1.0, 2.0, 400)
    function = Problem(
        400, lambda x: g @ x, lambda x: (g @ x, g), product=lambda x, v: (full if x.any() else CHAIN) @ v
    )
    method = make("newton", {"radius": 1e-3})
    first = method.step(function, method.init(function, np.zeros(400)))
    second = method.step(function, first)
    assert first.state[0][0] == pytest.approx(2e-3)
    assert [state.tolist() for state in second.state[1:]] == [[], [-1.0]]
    assert np.linalg.norm(second.x - first.x) == pytest.approx(1e-3)


def test_within_bounds() -> None:
    function, start = ready("dixon_price", 1000)
    lower, upper = np.full(1000, 0.52), np.full(1000, 2.0)
    bounded = Problem(1000, function.value, function.value_and_gradient, lower=lower, upper=upper, product=function.hvp)
    result = solve(bounded, make("projected_newton", {}), start, Stop())
    assert result.status is Status.CONVERGED
    plain = solve(bounded, make("projected_newton", {"subproblem": "cg"}), start, Stop(tol=1e-7))
    assert result.point.value == pytest.approx(plain.point.value, rel=1e-9)
    assert result.iterations <= 30
