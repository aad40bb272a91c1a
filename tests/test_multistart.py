"""Many starts: where they are, what is collected, when they end."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optcli.optimize.multistart import Found, Local, box, search
from optcli.optimize.sobol import points

INF = math.inf


@pytest.mark.parametrize(
    ("start", "lower", "upper", "low", "high"),
    [
        ([0.5], [0.0], [1.0], [0.0], [1.0]),
        ([0.5], None, None, [-9.5], [10.5]),
        ([3.0, -2.0], None, None, [-27.0, -22.0], [33.0, 18.0]),
        ([0.0], [-INF], [1.0], [-10.0], [1.0]),
        ([0.0], [-1.0], [INF], [-1.0], [10.0]),
        ([5.0], [-INF], [1.0], [-49.0], [1.0]),
    ],
)
def test_the_box(
    start: list[float], lower: list[float] | None, upper: list[float] | None, low: list[float], high: list[float]
) -> None:
    ends = box(*(None if each is None else np.array(each) for each in (start, lower, upper)))  # type: ignore[arg-type]
    assert np.allclose(ends, [low, high])


def wells(x: np.ndarray) -> Local:
    """The nearest whole number of each coordinate is a minimum; the value is Σ (k − 3)²."""
    bottom = np.round(x)
    return Local(bottom, float(np.sum((bottom - 3.0) ** 2)), True, tuple(x))


def run(count: int, seed: int = 0, size: int = 2) -> Found:
    ends = np.full(size, -10.4), np.full(size, 10.4)
    return search(wells, np.zeros(size), count, ends, np.random.default_rng(seed))


def test_minima_are_counted_and_sorted() -> None:
    found = run(300)
    assert found.starts == sum(minimum.times for minimum in found.minima) == 300
    values = [minimum.value for minimum in found.minima]
    assert values == sorted(values)
    places = [tuple(minimum.x) for minimum in found.minima]
    assert len(set(places)) == len(places)
    assert found.best.value == values[0] == 0.0
    assert max(abs(entry) for place in places for entry in place) <= 10.0


def test_the_start_is_the_first_and_the_seed_decides() -> None:
    seen: list[tuple[float, ...]] = []

    def local(x: np.ndarray) -> Local:
        seen.append(tuple(x))
        return wells(x)

    for seed in (0, 0, 1):
        search(local, np.array([1.5, 2.5]), 20, (np.full(2, -9.0), np.full(2, 9.0)), np.random.default_rng(seed))
    first, again, other = seen[:20], seen[20:40], seen[40:]
    assert first[0] == other[0] == (1.5, 2.5)
    assert first == again
    assert first[1:] != other[1:]


def test_hops_find_what_even_points_miss() -> None:
    """In ten dimensions no point of thousands is near the bottom, but hops get there."""
    even = points(10, np.random.default_rng(0))
    assert min(wells(20.8 * next(even) - 10.4).value for _ in range(2000)) > 40.0
    assert run(2000, size=10).best.value <= 10.0


def test_the_end_of_the_budget() -> None:
    left = iter(range(7))
    found = search(
        lambda x: None if next(left, None) is None else wells(x),
        np.zeros(1), 100, (np.full(1, -9.0), np.full(1, 9.0)), np.random.default_rng(0),
    )  # fmt: skip
    assert found.starts == 7


@pytest.mark.parametrize(
    ("ends", "best"),
    [
        ([(math.nan, False), (5.0, False)], 5.0),
        ([(5.0, False), (math.nan, False)], 5.0),
        ([(5.0, True), (4.0, False)], 4.0),  # lower, though no minimum was reached
        ([(4.0 - 1e-9, False), (4.0, True)], 4.0),  # alike: the one that is a minimum
        ([(math.inf, False), (math.nan, False)], math.inf),
    ],
)
def test_which_end_is_the_best(ends: list[tuple[float, bool]], best: float) -> None:
    waiting = iter(ends)
    found = search(
        lambda x: Local(x, *next(waiting)), np.zeros(1), 2, (np.zeros(1), np.ones(1)), np.random.default_rng(0)
    )
    assert found.best.value == best
    assert len(found.minima) == sum(kept for _, kept in ends)
