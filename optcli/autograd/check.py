"""Checking derivatives against differences of values, component by component."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RTOL = 1e-6  # relative error of a component that still agrees
STEPS = 8  # central differences at h, h/2, h/4, …
FIRST_STEP = 0.05  # the largest h relative to max(1, |x|)
MOST = 60  # components that are checked one by one; of more, so many are drawn and one direction is added
DOUBT = 10.0  # a mismatch counts only where it exceeds so many times the differences' own error


@dataclass(frozen=True)
class Component:
    """One partial derivative: as given, as differences say, and what the comparison means."""

    name: str
    gradient: float
    independent: float
    uncertainty: float  # estimated error of the differences
    error: float  # |gradient - independent| relative to the larger of both
    wrong: bool
    said: str


@dataclass(frozen=True)
class GradientCheck:
    """All components that were compared, and a sentence about them."""

    value: float
    entries: tuple[Component, ...]
    text: str

    @property
    def agrees(self) -> bool:
        """Whether everything is finite and no component is wrong."""
        return math.isfinite(self.value) and not any(entry.wrong for entry in self.entries)


def check_gradient(
    value: Callable[[Array], float],
    gradient: Array,
    x: Array,
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> GradientCheck:
    """Compare `gradient` at x, both shape (n,), with differences of `value`.

    Central differences at several steps are extrapolated to step 0 (Ridders, Advances in Engineering Software 4 (1982)
    75; the tableau also estimates their error). Of more than MOST components some are drawn, and the slope along one
    random direction stands for the rest.
    """
    random = np.random.default_rng(seed)
    places: Sequence[int] = range(x.size)
    if x.size > MOST:
        places = sorted(random.choice(x.size, MOST, replace=False).tolist())
    here = float(value(x))
    entries = []
    for k in places:
        unit = np.zeros(x.size)
        unit[k] = 1.0
        name = f"x[{k}]" if names is None else names[k]
        entries.append(_compare(name, float(gradient[k]), *_slope(value, x, unit, max(1.0, abs(x[k])))))
    if x.size > MOST:
        direction = random.standard_normal(x.size)
        direction /= np.linalg.norm(direction)
        given = float(gradient @ direction)
        entries.append(_compare("a random direction", given, *_slope(value, x, direction, 1.0)))
    return GradientCheck(here, tuple(entries), _sentence(here, entries))


def _slope(value: Callable[[Array], float], x: Array, direction: Array, scale: float) -> tuple[float, float, bool]:
    """The derivative along a direction, its estimated error, and whether both sides seem to have the same slope."""
    h = FIRST_STEP * scale
    table: list[list[float]] = []
    best, uncertainty = math.nan, math.inf
    here = float(value(x))
    left = right = math.nan
    for k in range(STEPS):
        ahead, behind = float(value(x + h * direction)), float(value(x - h * direction))
        left, right = (here - behind) / h, (ahead - here) / h
        noise = 2.0**-52 * max(abs(ahead), abs(behind)) / h
        row = [(ahead - behind) / (2.0 * h)]
        for j, before in enumerate(table[-1] if table else [], 1):
            factor = 4.0**j
            row.append((factor * row[j - 1] - before) / (factor - 1.0))
        if k == 0 or not math.isfinite(best):
            best = row[0]
        for j in range(1, len(row)):
            error = max(abs(row[j] - row[j - 1]), abs(row[j] - table[-1][j - 1])) + noise
            if error < uncertainty:
                best, uncertainty = row[j], error
        table.append(row)
        h /= 2.0
    size = max(abs(left), abs(right), 1e-300)
    kink = math.isfinite(left) and math.isfinite(right) and abs(right - left) > 0.1 * size and abs(right - left) > 1e-3
    return best, uncertainty, kink


def _compare(name: str, given: float, independent: float, uncertainty: float, kink: bool) -> Component:
    size = max(abs(given), abs(independent))
    difference = abs(given - independent)
    error = difference / size if size > 0 else 0.0
    if not math.isfinite(given):
        return Component(name, given, independent, uncertainty, math.inf, True, "the gradient is not finite")
    if not math.isfinite(independent):
        return Component(name, given, independent, math.inf, math.nan, False, "values nearby are not finite")
    if difference <= max(RTOL * size, DOUBT * uncertainty):
        vague = difference > RTOL * size and uncertainty > RTOL * size
        said = "agrees as far as differences can tell" if vague else "agrees"
        return Component(name, given, independent, uncertainty, error, False, said)
    if kink:
        return Component(name, given, independent, uncertainty, error, False, "a kink or a jump: the two sides differ")
    return Component(name, given, independent, uncertainty, error, True, "differs")


def _sentence(value: float, entries: Sequence[Component]) -> str:
    wrong = [entry.name for entry in entries if entry.wrong]
    if not math.isfinite(value):
        return "the value is not finite here, so there is nothing to compare"
    infinite = [entry.name for entry in entries if not math.isfinite(entry.gradient)]
    if infinite:
        return f"the gradient is not finite in {len(infinite)} of {len(entries)} components: {', '.join(infinite[:5])}"
    if wrong:
        return f"{len(wrong)} of {len(entries)} components do not agree: {', '.join(wrong[:5])}"
    odd = sum(entry.said != "agrees" for entry in entries)
    worst = max((entry.error for entry in entries if entry.said == "agrees"), default=0.0)
    return f"the gradient agrees with differences of the value (largest relative error {worst:.2g})" + (
        f"; {odd} of {len(entries)} components could not be told exactly" if odd else ""
    )
