"""Where a run starts and what bounds it: what was given by name becomes flat vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.build import build
from optcli.config import Bound, Config, StartEntry
from optcli.data import DataFile, load_array
from optcli.engine.numpy_engine import evaluate
from optcli.errors import ConfigError, ExpressionError, did_you_mean, visible
from optcli.expr.parse import variables_of
from optcli.layout import Layout, Variable
from optcli.objective import Objective

Array = NDArray[np.float64]
TRIES = 64  # seeded points that are tried where a default start is not finite
TRYING = 3_000_000_000  # numbers that are computed for it at most: some seconds
RADII = (1.0, 0.1, 10.0, 3.0)  # of the boxes around the default they are drawn from, in turn


def start_of(entries: Iterable[StartEntry], layout: Layout, params: Mapping[str, float]) -> Array:
    """The flat start: 0 where nothing is given. Raises ConfigError for names and lengths that do not fit."""
    flat = np.zeros(layout.size)
    at = 0
    for entry in entries:
        if entry.name is None:
            values = np.atleast_1d(_numbers(entry.value, entry.where, params)).reshape(-1)
            if at + values.size > flat.size:
                raise _count(entry.where, at + values.size, layout)
            flat[at : at + values.size] = values
            at += values.size
        else:
            _assign(flat, entry, layout, params)
    if 0 < at < flat.size:
        raise _count(next(e.where for e in entries if e.name is None), at, layout)
    return flat


def bounds_of(bounds: Iterable[Bound], layout: Layout, params: Mapping[str, float]) -> tuple[Array, Array] | None:
    """(lower, upper), shape (size,) each, infinite where open; None where nothing is bounded."""
    bounds = tuple(bounds)
    if not bounds:
        return None
    lower, upper = np.full(layout.size, -np.inf), np.full(layout.size, np.inf)
    for bound in bounds:
        for side, flat in ((bound.lower, lower), (bound.upper, upper)):
            _assign(flat, StartEntry(bound.name, bound.index, side, bound.where), layout, params, finite=False)
        if np.any(lower > upper):
            raise ConfigError(f"the bounds of {visible(bound.name)} leave no room", bound.where, "Swap them.")
    return None if np.isinf(lower).all() and np.isinf(upper).all() else (lower, upper)


def named_bounds(bounds: tuple[Array, Array] | None, layout: Layout) -> dict[str, list[float | None]]:
    """The bounds by entry, None where a side is open, for those entries that have any."""
    if bounds is None:
        return {}
    sides = zip(layout.entries(), *(side.tolist() for side in bounds), strict=True)
    open_ = {-math.inf: None, math.inf: None}
    return {name: [open_.get(a, a), open_.get(b, b)] for name, a, b in sides if math.isfinite(a) or math.isfinite(b)}


def finite_start(objective: Objective, start: Array, seed: int, box: tuple[Array, Array] | None) -> tuple[Array, int]:
    """A start with finite value and gradient near a default one, and how many seeded points were tried for it.

    Points are drawn from boxes around the default of several radii, within the bounds; fewer where an evaluation takes
    long. The default comes back if none is finite.
    """

    def fine(x: Array) -> bool:
        value, slope = objective.value_and_gradient(x)
        return math.isfinite(value) and bool(np.isfinite(slope).all())

    if fine(start):
        return start, 0
    random = np.random.default_rng(seed)
    for k in range(min(TRIES, max(1, TRYING // objective.work))):
        x = start + RADII[k % len(RADII)] * random.uniform(-1.0, 1.0, start.size)
        if box is not None:
            x = np.clip(x, *box)
        if fine(x):
            return x, k + 1
    return start, 0


def constant(text: str, params: Mapping[str, float], where: str) -> float:
    """The value of a text without variables, such as -pi/2. Raises ConfigError."""
    return float(_computed(text, params, where, {})[()])


def _computed(text: str, params: Mapping[str, float], where: str, indices: Mapping[str, Array]) -> Array:
    """A text over arrays of indices (or over none), as an array of their shape."""
    try:
        names = variables_of(text)
        known = {name: value for name, value in params.items() if name in names and name not in indices}
        objective = build(text, known)
    except ExpressionError as error:
        raise ConfigError(str(error), where) from None
    missing = [name for name in objective.layout.names if name not in indices]
    if missing:
        raise ConfigError(
            f"{visible(missing[0])} has no value in {visible(text[:60])}",
            where,
            did_you_mean(missing[0], [*indices, *params]) or "Use numbers, parameters and the indices in the brackets.",
        )
    inputs = [indices[name] for name in objective.layout.names]
    shape = np.broadcast_shapes(*(np.shape(array) for array in indices.values())) if indices else ()
    result: Array = np.broadcast_to(evaluate(objective.graph, inputs)[0], shape)
    return result


def _numbers(value: Any, where: str, params: Mapping[str, float]) -> Array:
    if isinstance(value, DataFile):
        return load_array(value)
    if isinstance(value, str):
        return np.float64(constant(value, params, where))  # type: ignore[return-value]  # a scalar is an array of shape ()
    if isinstance(value, list):
        return np.array([_numbers(item, where, params) for item in value], dtype=np.float64)
    return np.asarray(value, dtype=np.float64)


def _assign(flat: Array, entry: StartEntry, layout: Layout, params: Mapping[str, float], finite: bool = True) -> None:
    variable = next((v for v in layout.variables if v.name == entry.name), None)
    name = visible(str(entry.name))
    if variable is None:
        remedy = did_you_mean(str(entry.name), layout.names) or f"The variables are {', '.join(layout.names[:8])}."
        raise ConfigError(f"there is no variable {name}", entry.where, remedy)
    part = flat[layout.slices()[variable.name]].reshape(variable.shape)
    if entry.index is not None:
        _assign_entries(part, entry, variable, params)
    else:
        values = _numbers(entry.value, entry.where, params)
        if values.shape not in ((), variable.shape):
            if values.size != variable.size or len(variable.shape) > 1:
                wanted = f"{variable.size} entries" if variable.shape else "one number"
                raise ConfigError(f"{name} takes {wanted}, not {values.size}", entry.where)
            values = values.reshape(variable.shape)
        part[...] = values
    if finite and not np.isfinite(part).all():
        raise ConfigError(f"the start of {name} is not finite", entry.where, "Give finite numbers.")


def _assign_entries(part: Array, entry: StartEntry, variable: Variable, params: Mapping[str, float]) -> None:
    """One entry, x[3], or all of them computed from their indices, x[i]."""
    words = [word.strip() for word in str(entry.index).split(",")]
    label = f"{variable.name}[{', '.join(words)}]"
    if len(words) != len(variable.shape):
        what = f"{len(variable.shape)} indices" if variable.shape else "no index"
        raise ConfigError(f"{visible(label)}: {variable.name} has {what}", entry.where)
    if all(word.isidentifier() and word not in params for word in words):
        grids = np.meshgrid(
            *(np.arange(low, low + n, dtype=np.float64) for low, n in zip(variable.first, variable.shape, strict=True)),
            indexing="ij",
        )
        if isinstance(entry.value, str):
            part[...] = _computed(entry.value, params, entry.where, dict(zip(words, grids, strict=True)))
        else:
            part[...] = entry.value
        return
    place = []
    for word, low, count in zip(words, variable.first, variable.shape, strict=True):
        at = constant(word, params, entry.where)
        if at != int(at) or not low <= at < low + count:
            raise ConfigError(
                f"{visible(label)} is no entry: {variable.name} has {low} to {low + count - 1}", entry.where
            )
        place.append(int(at) - low)
    part[tuple(place)] = _numbers(entry.value, entry.where, params)


def _count(where: str, given: int, layout: Layout) -> ConfigError:
    return ConfigError(
        f"{given} numbers for {layout.size} entries", where, f"The order is {', '.join(layout.entries()[:8])}."
    )


def origin_of(config: Config) -> str:
    """Where the start comes from, in words."""
    return config.origins.get("start", "default")
