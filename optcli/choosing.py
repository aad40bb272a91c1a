"""The methods of a run: the one asked for, or those that auto takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

from optcli.config import CONFIG_KEYS, Config
from optcli.errors import ConfigError, UsageError, did_you_mean
from optcli.optimize.auto import NAME as AUTO
from optcli.optimize.auto import plan
from optcli.optimize.methods import find, make
from optcli.optimize.methods.method import Method


class Chosen(NamedTuple):
    """The methods of a run in their order, why, and whether the first one is an attempt, as for `Plan`."""

    methods: tuple[Method, ...]
    why: str
    attempt: int = 0


def choose(config: Config, size: int, bounded: bool, smooth: Callable[[], bool], work: Callable[[], int]) -> Chosen:
    """The methods for a problem of `size` variables; `smooth` and `work` as for `plan`.

    Raises ConfigError for what does not fit.
    """
    if config.method != AUTO:
        method = method_of(config)
        if bounded and not method.bounded:
            where = config.where("method") or config.where("bounds")
            raise ConfigError(f"method {method.name} keeps no bounds", where, "Use lbfgsb, projected_newton, or gd.")
        if method.size_limit is not None and size > method.size_limit:
            reason = f"method {method.name} keeps n² numbers: {method.size_limit} variables at most, not {size}"
            remedy = f"Use {'lbfgsb' if bounded else 'lbfgs'}."
            raise ConfigError(reason, config.where("method"), remedy)
        return Chosen((method,), "asked for")
    if config.settings and config.lr is None:
        name = next(iter(config.settings))
        remedy = did_you_mean(name, CONFIG_KEYS) or "Name the method it belongs to: --method gd."
        raise ConfigError(f"auto has no field {name}", config.where(f"settings.{name}"), remedy)
    judged = config.tol is not None or config.iters is None  # otherwise one method makes the updates asked for
    weighed = work if judged and config.starts == 1 else None
    chosen = plan(size, bounded, config.lr is not None or smooth(), config.lr is not None, weighed)
    first = method_of(config, chosen.methods[0]) if config.lr is not None else make(chosen.methods[0], {})
    return Chosen((first, *(make(name, {}) for name in chosen.methods[1:])), chosen.why, chosen.attempt)


def method_of(config: Config, named: str = "") -> Method:
    """The method with its fields. Raises ConfigError that names the place of what does not fit."""
    name_of_method = named or config.method
    given = {**({} if config.lr is None else {"lr": config.lr}), **config.settings}
    try:
        known = [each.name for each in fields(find(name_of_method))]
    except UsageError as error:
        raise ConfigError(error.message, config.where("method"), error.remedy) from None
    for name in config.settings:
        if name not in known:
            where = config.where(f"settings.{name}")
            remedy = did_you_mean(name, [*known, *CONFIG_KEYS]) or f"Its fields are {', '.join(known)}."
            raise ConfigError(f"method {name_of_method} has no field {name}", where, remedy)
    try:
        return make(name_of_method, given)
    except UsageError as error:
        raise ConfigError(error.message, config.where("method"), error.remedy) from None
