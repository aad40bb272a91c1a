"""What comes before the first iteration: a configuration becomes an objective, a start and bounds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optcli.build import Source, build, source
from optcli.config import Config, Layer, resolve
from optcli.data import load_array, record
from optcli.errors import ConfigError, ExpressionError
from optcli.objective import Objective, engine
from optcli.optimize.iterate import Array
from optcli.points import bounds_of, finite_start, origin_of, start_of

SUGGESTED = ("library", "default")  # origins of a start that the user did not choose


def settle(*layers: Layer) -> Config:
    """The sum of the layers, and below them what the library says of the function. Raises ConfigError, FileError."""
    config = resolve(*layers)
    if config.function is None or config.function == "-":
        return config
    entry = source(config.function).entry
    if entry is None:
        if config.use_domain:
            raise _no_domain(config)
        return config
    config = resolve(*layers, entry.layer())
    if config.use_domain and not entry.domain:
        raise _no_domain(config)
    return config


def _no_domain(config: Config) -> ConfigError:
    return ConfigError(
        "this function has no domain to take the bounds from", config.where("bounds"), "Write --bounds x=0:1."
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A configuration made ready: the objective, the start, and the bounds."""

    config: Config
    source: Source
    objective: Objective
    start: Array
    start_origin: str
    bounds: tuple[Array, Array] | None
    tried: int  # seeded points that were evaluated to find the start
    seconds: float  # to parse and lower
    data: Mapping[str, Any]  # what a result says of the arrays


def prepare(config: Config, text: str | None = None, choose_start: bool = True) -> Prepared:
    """Everything before the first iteration. `text` stands for the function where that is `-`. Raises OptcliError.

    With `choose_start`, a default start that is not finite is replaced by a seeded point.
    """
    began = time.perf_counter()
    assert config.function is not None
    found = source(config.function) if text is None else Source(text, text)
    data = {name: load_array(spec, config.folder) for name, spec in config.data.items()}
    records = {name: record(spec, config.folder) for name, spec in config.data.items()}
    if config.engine == "native":
        engine(config.engine)  # whether it is there, before anything is done
    objective = build(found.text, config.params, data, config.engine)
    layout = objective.layout
    if not layout.size:
        raise ExpressionError(
            "there is no variable in it: nothing to vary", found.text, (0, len(found.text)), "Use a name, such as x."
        )
    seconds = time.perf_counter() - began
    bounds = bounds_of(config.bounds, layout, config.params)
    start, origin, tried = start_of(config.start, layout, config.params), origin_of(config), 0
    if origin in SUGGESTED and choose_start:
        start, tried = finite_start(objective, start, config.seed, bounds)
        if tried:
            origin = f"seeded point {tried}, as value or gradient is not finite at the {origin} start"
    return Prepared(config, found, objective, start, origin, bounds, tried, seconds, records)
