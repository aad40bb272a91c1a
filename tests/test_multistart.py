"""Many starts: where they are, what is collected, when they end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from optcli.optimize.multistart import NO, OPEN, YES, Ends, Found, Local, box, search
from optcli.optimize.sobol import Sobol

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


def wells(x: np.ndarray) -> Ends:
    """The nearest whole number of each coordinate is a minimum; the value is Σ (k − 3)²."""
    bottom = np.round(x)
    return Ends(bottom, ((bottom - 3.0) ** 2).sum(axis=1), np.full(len(x), YES, dtype=np.int8), lambda k: tuple(x[k]))


def nobody(outcomes: Any) -> Any:
    raise AssertionError("nothing is open")


def run(count: int, seed: int = 0, size: int = 2) -> Found:
    ends = np.full(size, -10.4), np.full(size, 10.4)
    return search(wells, np.zeros(size), count, ends, np.random.default_rng(seed), nobody)


def test_minima_are_counted_and_sorted() -> None:
    found = run(500)
    assert found.starts == sum(minimum.times for minimum in found.minima) == 500
    values = [minimum.value for minimum in found.minima]
    assert values == sorted(values)
    places = [tuple(minimum.x) for minimum in found.minima]
    assert len(set(places)) == len(places)
    assert found.best.value == values[0] == 0.0
    assert max(abs(entry) for place in places for entry in place) <= 10.0


def test_the_start_is_the_first_and_the_seed_decides() -> None:
    seen: list[tuple[float, ...]] = []

    def local(x: np.ndarray) -> Ends:
        seen.extend(map(tuple, x))
        return wells(x)

    for seed in (0, 0, 1):
        box_ = np.full(2, -9.0), np.full(2, 9.0)
        search(local, np.array([1.5, 2.5]), 20, box_, np.random.default_rng(seed), nobody)
    first, again, other = seen[:20], seen[20:40], seen[40:]
    assert first[0] == other[0] == (1.5, 2.5)
    assert first == again
    assert first[1:] != other[1:]


def test_hops_find_what_even_points_miss() -> None:
    """In ten dimensions no point of thousands is near the bottom, but hops get there."""
    even = Sobol(10, np.random.default_rng(0)).take(2000)
    assert wells(20.8 * even - 10.4).value.min() > 40.0
    assert run(2000, size=10).best.value <= 10.0


def test_the_end_of_the_budget() -> None:
    left = 40

    def local(x: np.ndarray) -> Ends:
        nonlocal left
        taken = min(left, len(x))
        left -= taken
        return wells(x[:taken])

    found = search(local, np.zeros(1), 100, (np.full(1, -9.0), np.full(1, 9.0)), np.random.default_rng(0), nobody)
    assert found.starts == 40


@pytest.mark.parametrize(
    ("ends", "best"),
    [
        ([(math.nan, NO), (5.0, NO)], 5.0),
        ([(5.0, NO), (math.nan, NO)], 5.0),
        ([(5.0, YES), (4.0, NO)], 4.0),  # lower, though no minimum was reached
        ([(4.0 - 1e-9, NO), (4.0, YES)], 4.0),  # alike: the one that is a minimum
        ([(math.inf, NO), (math.nan, NO)], math.inf),
        ([(7.0, NO), (6.0, NO), (5.0, YES), (5.5, NO), (math.nan, NO)], 5.0),
    ],
)
def test_which_end_is_the_best(ends: list[tuple[float, int]], best: float) -> None:
    waiting = iter(ends)

    def local(x: np.ndarray) -> Ends:
        value, kept = zip(*(next(waiting) for _ in x), strict=True)
        return Ends(x, np.array(value), np.array(kept, dtype=np.int8))

    found = search(local, np.zeros(1), len(ends), (np.zeros(1), np.ones(1)), np.random.default_rng(0), nobody)
    assert found.best.value == best
    assert len(found.minima) == sum(kept for _, kept in ends)


def test_only_what_is_new_is_judged() -> None:
    """Ends that are alike have one judgment, within a round and over rounds; a judge may go on to another end."""
    asked: list[float] = []

    def local(x: np.ndarray) -> Ends:
        bottom = np.round(x)
        return Ends(bottom, np.abs(bottom[:, 0]), np.full(len(x), OPEN, dtype=np.int8), lambda k: float(bottom[k, 0]))

    def judge(outcomes: Any) -> list[Local]:
        asked.extend(outcomes)
        # from 2 one gets down to 1; 3 is no minimum
        return [
            Local(np.array([1.0 if at == 2.0 else at]), 1.0 if at == 2.0 else abs(at), at != 3.0) for at in outcomes
        ]

    ends = np.full(1, -3.4), np.full(1, 3.4)
    found = search(local, np.zeros(1), 200, ends, np.random.default_rng(0), judge)
    assert sorted({at for at in asked if at != 2.0}) == [-3.0, -2.0, -1.0, 0.0, 1.0, 3.0]
    assert sum(at != 2.0 for at in asked) == 6
    assert sorted(float(each.x[0]) for each in found.minima) == [-3.0, -2.0, -1.0, 0.0, 1.0]
    assert 100 < sum(each.times for each in found.minima) < 200
