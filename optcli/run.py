"""A run from its configuration to its outcome; the command line and Python go the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from optcli.choosing import Chosen, choose, method_of
from optcli.conclusion import Conclusion, conclude
from optcli.config import SETTINGS, Config, from_keywords
from optcli.errors import UsageError
from optcli.optimize.auto import NAME as AUTO
from optcli.optimize.iterate import Array, Iterate
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Problem
from optcli.optimize.pursue import Attempt, Course, Pursuit, pursue
from optcli.optimize.solve import Result
from optcli.optimize.status import exit_code
from optcli.optimize.stop import Stop
from optcli.outcome import FoundMinimum, Outcome, Preview, Unwatched, Watch
from optcli.points import named_bounds
from optcli.prepare import Prepared, prepare, settle
from optcli.problems import Problems
from optcli.rows import Rows, signed

if TYPE_CHECKING:
    from optcli.checkpoint import Checkpoint
    from optcli.keeping import Keeper

KINDS = ("starts", "escape", "scaling")  # of a search, told where they are not as usual
STOPPING = ("iters", "tol", "max_time", "max_evals", "target")


def execute(
    config: Config,
    watch: Watch | None = None,
    interrupted: Callable[[], str | None] = lambda: None,
    text: str | None = None,
    keeper: Keeper | None = None,
    since: Checkpoint | None = None,
) -> Outcome:
    """Carry out the run. Raises OptcliError for what is wrong with the configuration, before the first iteration.

    `keeper` writes checkpoints; `since` is the one that the run goes on from.
    """
    began = time.perf_counter()
    watch = watch or Unwatched()
    if config.method != AUTO:
        method_of(config)  # refused before anything is parsed
    if keeper is not None and config.starts > 1:
        raise UsageError("a checkpoint is of one start", "Leave out --checkpoint, or --starts.")
    ready = prepare(config, text, since is None)
    if since is not None:
        from optcli.keeping import continued

        ready = continued(ready, since)
    layout, maximize = ready.objective.layout, config.command == "maximize"
    sign = -1.0 if maximize else 1.0
    objective = ready.objective
    chosen = choose(config, layout.size, ready.bounds is not None, lambda: objective.smooth, lambda: objective.work)
    problems = Problems(ready)
    compiling = time.perf_counter()
    first = problems.of(chosen.methods[0])
    batched = config.starts > 1 and len(chosen.methods) == 1 and first.batches  # compiled now
    course = _course(since, len(chosen.methods), layout.size)
    chosen, scaled = _in_units(config, chosen, problems, ready, course)
    compiling = time.perf_counter() - compiling
    stop = Stop(
        tol=config.tol,
        iters=config.iters,
        max_time=config.max_time,
        max_evals=config.max_evals,
        target=None if config.target is None else (-config.target if maximize else config.target),
        signal=interrupted,
        maximize=maximize,
        used=0.0 if since is None else since.used,
        scale=None if since is None else since.scale,
    )
    before = 0.0 if since is None else since.seconds
    escape = config.method == AUTO and config.lr is None if config.escape is None else config.escape

    def judged(problem: Problem, method: Method, result: Result) -> Conclusion:
        return conclude(ready.objective, problem, method, result, ready.start, maximize, config.seed)

    def pursued(start: Array | Iterate, stop: Stop, rows: Rows, course: Course) -> Pursuit[Conclusion]:
        attempt = Attempt(chosen.attempt, ready.start) if chosen.attempt else None
        return pursue(chosen.methods, problems.of, judged, start, stop, rows, escape, chosen.why, course, attempt)

    preview = _preview(ready, chosen, problems.used, problems.notes)
    watch.begin(preview)
    minima: tuple[FoundMinimum, ...] = ()
    if config.starts == 1:
        rows = Rows(config.every, watch, layout, sign, [] if since is None else list(since.history), keeper)
        if keeper is not None:
            keeper.extra = course.record
            keeper.begin(ready, preview, rows.history, since)
        if since is not None:
            problems.go_on(chosen.methods[course.turn], since)
        found, starts = pursued(ready.start if since is None else since.iterate, stop, rows, course), 1
        if keeper is not None:
            keeper.end(found.result.iterate, found.result.status)
    else:
        from optcli.local_runs import LocalRuns
        from optcli.starts import many

        solving = time.perf_counter()
        runs = LocalRuns(ready, stop, chosen.methods, problems, pursued, batched, watch, sign)
        found, starts, minima, rows = many(runs)
        found = found._replace(result=replace(found.result, seconds=time.perf_counter() - solving))  # of all starts
    result, end = found.result, found.end
    point = result.point
    return Outcome(
        preview=preview,
        status=str(end.status),
        message=end.message,
        verdict=end.verdict,
        minimizer=point.x,
        value=signed(sign, point.value),
        slope=signed(sign, point.gradient),
        gradient_norm=point.gradient_norm,
        iterations=result.iterations,
        evaluations={
            "value": problems.counts.value + ready.tried,
            "gradient": problems.counts.gradient + ready.tried,
            "hessian": problems.counts.hessian,
            **({"product": problems.counts.product} if problems.counts.product else {}),
        },
        seconds={
            "total": time.perf_counter() - began + before,
            "parse": ready.seconds,
            "compile": compiling,
            "solve": result.seconds + before,
        },
        history=tuple(rows.history),
        exit_code=exit_code(end.status, end.verdict, interrupted()),
        legs=found.legs if preview.why or len(found.legs) > 1 else (),
        starts=starts,
        minima=minima,
        scaling=scaled,
    )


def _course(since: Checkpoint | None, methods: int, size: int) -> Course:
    if since is None:
        return Course()
    from optcli.keeping import course

    return course(since, methods, size)


def _in_units(
    config: Config, chosen: Chosen, problems: Problems, ready: Prepared, course: Course
) -> tuple[Chosen, str]:
    """The methods at work in units where variables differ much in size, and a line about it; gd steps as typed."""
    if not config.scaling or any(isinstance(method, FirstOrder) for method in chosen.methods):
        return chosen, ""
    from optcli.optimize.scaling import Scaled, told, units

    problem = problems.of(chosen.methods[0])
    if course.units is None:
        with np.errstate(all="ignore"):
            # a Hessian at the start costs nothing where the method begins with it
            arrays = ready.objective.layout.slices().values()
            course.units = units(problem, problem.project(ready.start), chosen.methods[0].curved, arrays)
    c = course.units
    if (c == 1.0).all():
        return chosen, ""
    return chosen._replace(methods=tuple(Scaled(method, c) for method in chosen.methods)), told(c)


def _preview(ready: Prepared, chosen: Chosen, used: str, notes: tuple[str, ...]) -> Preview:
    config = ready.config
    given = {key: getattr(config, key) for key in STOPPING if getattr(config, key) is not None}
    given |= {key: getattr(config, key) for key in KINDS if getattr(config, key) != SETTINGS[key].default}
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
        method=chosen.methods[0].name,
        settings={**chosen.methods[0].settings(), **given},
        engine=used,
        notes=notes,
        seed=config.seed,
        start=start,
        start_origin=ready.start_origin + moved,
        every=config.every,
        bounds=named_bounds(ready.bounds, ready.objective.layout),
        why=chosen.why if config.method == AUTO and config.lr is None else "",
        data=ready.data,
        origins=config.said_origins((*chosen.methods[0].settings(), *given)),
    )


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
