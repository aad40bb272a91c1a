"""A run from its configuration to its outcome; the command line and Python go the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from optcli.build import Objective, Source, build, engine, native_is_installed, native_works, problem, source
from optcli.conclusion import conclude
from optcli.config import CONFIG_KEYS, Config, Layer, from_keywords, resolve
from optcli.data import load_array
from optcli.errors import ConfigError, ExpressionError, UsageError, did_you_mean, visible
from optcli.layout import Layout
from optcli.optimize.iterate import Array, Iterate
from optcli.optimize.methods import find, make
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Problem
from optcli.optimize.solve import Silent, solve
from optcli.optimize.status import exit_code
from optcli.optimize.stop import Stop
from optcli.outcome import Outcome, Preview, Row, Unwatched, Watch, as_record
from optcli.points import bounds_of, finite_start, named_bounds, origin_of, start_of

BRIEF = 100_000  # scalar operations of the numpy engine that take about as long as loading LLVM and compiling
UPDATE = 30  # of them are worth what else is done for an update
SUGGESTED = ("library", "default")  # origins of a start that the user did not choose
STOPPING = ("iters", "tol", "max_time", "max_evals", "target")


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


def prepare(config: Config, text: str | None = None, choose_start: bool = True) -> Prepared:
    """Everything before the first iteration. `text` stands for the function where that is `-`. Raises OptcliError.

    With `choose_start`, a default start that is not finite is replaced by a seeded point.
    """
    began = time.perf_counter()
    assert config.function is not None
    found = source(config.function) if text is None else Source(text, text)
    data = {name: load_array(spec, config.folder) for name, spec in config.data.items()}
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
    return Prepared(config, found, objective, start, origin, bounds, tried, seconds)


def execute(
    config: Config,
    watch: Watch | None = None,
    interrupted: Callable[[], str | None] = lambda: None,
    text: str | None = None,
) -> Outcome:
    """Carry out the run. Raises OptcliError for what is wrong with the configuration, before the first iteration."""
    began = time.perf_counter()
    watch = watch or Unwatched()
    method = method_of(config)
    ready = prepare(config, text)
    layout, maximize = ready.objective.layout, config.command == "maximize"
    compiling = time.perf_counter()
    compiled, used, notes = _compiled(ready, method)
    compiling = time.perf_counter() - compiling
    preview = _preview(ready, method, used, notes)
    stop = Stop(
        tol=config.tol,
        iters=config.iters,
        max_time=config.max_time,
        max_evals=config.max_evals,
        target=None if config.target is None else (-config.target if maximize else config.target),
        signal=interrupted,
        maximize=maximize,
    )
    sign = -1.0 if maximize else 1.0
    rows = _Rows(config.every, watch, layout, sign)
    watch.begin(preview)
    result = solve(compiled, method, ready.start, stop, rows)
    point = result.point
    end = conclude(ready.objective, compiled, method, result, ready.start, maximize, config.seed)
    return Outcome(
        preview=preview,
        status=str(end.status),
        message=end.message,
        verdict=end.verdict,
        minimizer=point.x,
        value=_signed(sign, point.value),
        slope=_signed(sign, point.gradient),
        gradient_norm=point.gradient_norm,
        iterations=result.iterations,
        evaluations={
            "value": result.counts.value + ready.tried,
            "gradient": result.counts.gradient + ready.tried,
            "hessian": result.counts.hessian,
        },
        seconds={
            "total": time.perf_counter() - began,
            "parse": ready.seconds,
            "compile": compiling,
            "solve": result.seconds,
        },
        history=tuple(rows.history),
        exit_code=exit_code(end.status, end.verdict, interrupted()),
    )


def _compiled(ready: Prepared, method: Method) -> tuple[Problem, str, tuple[str, ...]]:
    """The problem, the engine it runs on, and what the user should know of that choice."""
    objective, wanted = ready.objective, ready.config.engine
    lower, upper = ready.bounds or (None, None)
    maximize = ready.config.command == "maximize"
    notes: tuple[str, ...] = ()
    if wanted != "numpy" and not (wanted == "auto" and native_is_installed() and _brief(ready, method)):
        if native_works():
            try:
                return problem(objective, maximize, lower, upper, method), "native", notes
            except RuntimeError as error:
                reason = f"the native engine cannot compile this ({visible(str(error)[:200])})"
                if wanted == "native":
                    raise UsageError(reason, "Use --engine numpy, and please report it.") from None
        else:
            reason = "the native engine needs llvmlite, which cannot be loaded"
        notes = (f"{reason}: using numpy",)
    objective = replace(objective, engine="numpy")
    objective.gradient_plan  # noqa: B018  # compiled here, so that the time is told apart
    return problem(objective, maximize, lower, upper), "numpy", notes


def _brief(ready: Prepared, method: Method) -> bool:
    """Whether a run is over before LLVM would be loaded, and has the same digits on both engines."""
    iters = ready.config.iters
    if iters is None or iters * UPDATE > BRIEF or ready.bounds is not None:
        return False
    exact = isinstance(method, FirstOrder) and method.exact and ready.objective.exact
    return exact and iters * (UPDATE + len(ready.objective.gradient_graph)) <= BRIEF


def method_of(config: Config) -> Method:
    """The method with its fields. Raises ConfigError that names the place of what does not fit."""
    given = {**({} if config.lr is None else {"lr": config.lr}), **config.settings}
    try:
        known = [each.name for each in fields(find(config.method))]
    except UsageError as error:
        raise ConfigError(error.message, config.where("method"), error.remedy) from None
    for name in config.settings:
        if name not in known:
            where = config.where(f"settings.{name}")
            remedy = did_you_mean(name, [*known, *CONFIG_KEYS]) or f"Its fields are {', '.join(known)}."
            raise ConfigError(f"method {config.method} has no field {name}", where, remedy)
    try:
        return make(config.method, given)
    except UsageError as error:
        raise ConfigError(error.message, config.where("method"), error.remedy) from None


def _preview(ready: Prepared, method: Method, used: str, notes: tuple[str, ...]) -> Preview:
    config = ready.config
    given = {key: getattr(config, key) for key in STOPPING if getattr(config, key) is not None}
    if config.origins.get("every") != "default":
        given["every"] = config.every
    start = ready.start if ready.bounds is None else np.clip(ready.start, *ready.bounds)
    moved = "" if np.array_equal(start, ready.start) else ", moved into the bounds"
    return Preview(
        command=config.command,
        function=ready.source.label,
        expression=ready.source.text,
        name=config.name,
        layout=ready.objective.layout,
        params=dict(ready.objective.params),
        method=config.method,
        settings={**method.settings(), **given},
        engine=used,
        notes=notes,
        seed=config.seed,
        start=start,
        start_origin=ready.start_origin + moved,
        every=config.every,
        bounds=named_bounds(ready.bounds, ready.objective.layout),
    )


def _signed(sign: float, value: Any) -> Any:
    """The value as typed; 0 stays 0 when a maximum is told."""
    return value if sign > 0 else 0.0 - value


@dataclass(frozen=True)
class _Rows(Silent):
    """Turns iterates into rows of the function as typed, and keeps their records."""

    watch: Watch = field(default_factory=Unwatched)
    layout: Layout = field(default_factory=lambda: Layout(()))
    sign: float = 1.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def row(self, iterate: Iterate) -> None:
        row = Row(
            iterate.iteration + 1,
            _signed(self.sign, iterate.value),
            _signed(self.sign, iterate.gradient),
            iterate.x,
            iterate.gradient_norm,
        )
        self.history.append(as_record(row, self.layout))
        self.watch.row(row)

    def progress(self, iterate: Iterate) -> None:
        self.watch.progress(iterate.iteration, _signed(self.sign, iterate.value))


def minimize(function: str, **settings: Any) -> Outcome:
    """Minimize a FUNCTION (library name, path, or text); keywords are the configuration's keys.

    Environment variables and files are not read. Raises ExpressionError and ConfigError, both ValueErrors.
    """
    return _from_python("minimize", function, settings)


def maximize(function: str, **settings: Any) -> Outcome:
    """Maximize a FUNCTION; value and gradient are those of the function as typed."""
    return _from_python("maximize", function, settings)


def _from_python(command: str, function: str, settings: Mapping[str, Any]) -> Outcome:
    if not isinstance(function, str):
        raise UsageError("a FUNCTION is a text", "For SymPy expressions use optcli.function(...).")
    config = settle(from_keywords(function=function, command=command, **settings))
    return execute(config)
