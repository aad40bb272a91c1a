"""Problems with bounds alone: those of Hock & Schittkowski, and those of Moré, Garbow & Hillstrom whose minimizer is
cut off by a bound. Sets of benchmarks/sets.py."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from harness import ROOT, MissingError, near

import optcli
from optcli.build import Objective, build

DATA = ROOT / "tests" / "data"
SHARE, LEAST = 0.5, 0.1  # a bound is so much of |x*|, and this, before the minimizer
Cells = tuple[str, ...]


class Bounded(NamedTuple):
    """A text, a start and bounds by name in the order of the text, and the value to reach.

    A minimum of None is the lowest value that anybody finds from this start, with whatever tolerance.
    """

    name: str
    text: str
    start: dict[str, float]
    bounds: dict[str, list[float | None]]
    minimum: float | None


def hock_schittkowski() -> Iterator[Bounded]:
    for each in json.loads((DATA / "hs_bounds.json").read_text("utf-8")):
        names = build(each["expression"], engine="numpy").layout.names
        start = {name: each["start"][name] for name in names}
        yield Bounded(each["name"], each["expression"], start, {k: each["bounds"][k] for k in names}, each["minimum"])


def cut_off() -> Iterator[Bounded]:
    """Each problem of mgh.json once for each variable: x_k ≤ x*_k − |x*_k|/2 − 1/10, x* the minimizer found from the
    standard start; for every second variable the mirror image, x_k ≥ x*_k + |x*_k|/2 + 1/10."""
    for each in json.loads((DATA / "mgh.json").read_text("utf-8")):
        found = optcli.minimize(each["expression"], start=each["variables"], tol=1e-12, max_evals=20_000)
        names = found.preview.layout.names
        for k, name in enumerate(names):
            minimizer = float(found.x[name])
            gap = SHARE * abs(minimizer) + LEAST
            ends = [minimizer + gap, None] if k % 2 else [None, minimizer - gap]
            bounds: dict[str, list[float | None]] = {other: [None, None] for other in names}
            bounds[name] = ends
            start = {other: float(each["variables"][other]) for other in names}
            yield Bounded(f"{each['name']}, {name} in {ends}", each["expression"], start, bounds, None)


# ------------------------------------------------------------------ who solves them


def scipy(method: str, tight: bool = False) -> Callable[[Objective, Any, Bounded], float]:
    """The value where SciPy's `method` ends, with its own tolerances, or the tightest that it takes."""

    def solved(objective: Objective, x0: Any, problem: Bounded) -> float:
        from scipy.optimize import minimize

        ends = [(low, high) for low, high in problem.bounds.values()]
        options = TIGHT[method] if tight else {}
        # trust-constr warns of its own quasi-Newton updates; overflow on the way is no matter
        with np.errstate(all="ignore"):
            found = minimize(objective.value_and_gradient, x0, jac=True, method=method, bounds=ends, options=options)
        return float(found.fun) if _within(found.x, ends) else math.inf

    return solved


TIGHT: dict[str, dict[str, Any]] = {
    "L-BFGS-B": {"maxiter": 15_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-10},
    "TNC": {"maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-10, "xtol": 1e-15},
    "trust-constr": {"maxiter": 3000, "gtol": 1e-10, "xtol": 1e-14},
}


def _within(x: Any, ends: Any) -> bool:
    return all(
        (low is None or e >= low) and (high is None or e <= high) for e, (low, high) in zip(x, ends, strict=True)
    )


def ipopt(objective: Objective, x0: Any, problem: Bounded) -> float:
    """The value where Ipopt ends, with exact Hessians by CasADi; its point is moved into the bounds, which it widens.

    Raises MissingError.
    """
    try:
        import casadi
    except ImportError:
        raise MissingError("casadi") from None
    x = casadi.SX.sym("x", len(x0))
    room: Mapping[str, Any] = {name: x[k] for k, name in enumerate(problem.start)}
    functions = {name: getattr(casadi, name) for name in ("exp", "sin", "cos", "sqrt", "log")} | {"pi": math.pi}
    functions["E"] = math.e
    value = eval(problem.text.replace("^", "**"), {**functions, **room})  # a text of our own data
    low = [-math.inf if end is None else end for end, _ in problem.bounds.values()]
    high = [math.inf if end is None else end for _, end in problem.bounds.values()]
    quiet = {"print_time": False, "show_eval_warnings": False, "ipopt": {"print_level": 0, "sb": "yes"}}
    solve = casadi.nlpsol("solve", "ipopt", {"x": x, "f": value}, quiet)
    found = solve(x0=x0, lbx=low, ubx=high)
    return float(objective.value(np.clip(np.ravel(found["x"].full()), low, high)))


PEERS: dict[str, Callable[[Objective, Any, Bounded], float]] = {
    "L-BFGS-B": scipy("L-BFGS-B"),
    "TNC": scipy("TNC"),
    "Ipopt": ipopt,
}


def lowest(objective: Objective, problem: Bounded, x0: Any) -> float:
    """The lowest value that SciPy finds from the start with tight tolerances: what lies in other basins is no matter of
    a local method."""
    values = [scipy(method, tight=True)(objective, x0, problem) for method in TIGHT]
    return min((value for value in values if math.isfinite(value)), default=math.inf)


def measured(label: str, problems: Iterator[Bounded]) -> list[Cells]:
    """How many are solved by auto and by the peers, from the same start with the same derivatives."""
    won, total, theirs, missing = 0, 0, dict.fromkeys(PEERS, 0), set()
    for each in problems:
        total += 1
        objective = build(each.text, engine="numpy")
        x0 = np.clip(
            list(each.start.values()),
            [-math.inf if end is None else end for end, _ in each.bounds.values()],
            [math.inf if end is None else end for _, end in each.bounds.values()],
        )
        ours = optcli.minimize(each.text, start=each.start, bounds=each.bounds, every=0)
        values = {}
        for name, peer in PEERS.items():
            try:
                values[name] = peer(objective, x0, each)
            except MissingError:
                missing.add(name)
        known = each.minimum
        if known is None:
            known = min(ours.value, lowest(objective, each, x0), *(v for v in values.values() if not math.isnan(v)))
        good = near(ours.value, [known])
        won += good
        for name, value in values.items():
            theirs[name] += near(value, [known])
        if not good:
            print(
                f"    {each.name}: {ours.value!r} {ours.status} {ours.verdict.kind}; lowest {known!r} {values}",
                flush=True,
            )
    peers = ", ".join(f"{name} {'not installed' if name in missing else count}" for name, count in theirs.items())
    return [(label, "solved", f"{won} of {total}", peers, "as many as each", "all")]


def bounds() -> list[Cells]:
    return [
        *measured("Hock–Schittkowski, bounds only", hock_schittkowski()),
        *measured("MGH, a bound cuts the minimizer off", cut_off()),
    ]
