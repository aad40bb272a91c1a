"""Sobol points against scipy's, and their evenness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from optcli.optimize.sobol import BITS, MOST_DIMENSIONS, Sobol


class Unshifted:
    """A generator whose digital shift is none."""

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)

    def uniform(self, size: tuple[int, int]) -> np.ndarray:
        return np.zeros(size)


def test_the_sequence_is_that_of_joe_and_kuo() -> None:
    ours = Sobol(MOST_DIMENSIONS, Unshifted()).take(512)  # type: ignore[arg-type]
    wanted = qmc.Sobol(MOST_DIMENSIONS, scramble=False, bits=30).random(512)
    assert np.abs(ours - wanted).max() <= 2.0**-BITS


@pytest.mark.parametrize("size", [1, 2, 5, MOST_DIMENSIONS, MOST_DIMENSIONS + 9])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_half_and_quarter_has_its_share(size: int, seed: int) -> None:
    found = Sobol(size, np.random.default_rng(seed)).take(64)
    assert found.shape == (64, size)
    assert ((found > 0.0) & (found < 1.0)).all()
    even = min(size, MOST_DIMENSIONS)
    for d in range(even):
        assert np.array_equal(np.histogram(found[:, d], 64, (0.0, 1.0))[0], np.ones(64))


def test_the_seed_decides() -> None:
    first, again, other = (Sobol(3, np.random.default_rng(seed)).take(1) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [2, MOST_DIMENSIONS + 3])
def test_points_do_not_depend_on_the_calls(size: int) -> None:
    whole = Sobol(size, np.random.default_rng(5)).take(40)
    parts = Sobol(size, np.random.default_rng(5))
    assert np.array_equal(np.vstack([parts.take(count) for count in (1, 0, 2, 30, 7)]), whole)
