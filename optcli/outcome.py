"""What a run says of itself: before it begins, row by row, at its end. Values are those of the function as typed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from optcli import __version__
from optcli.layout import Layout
from optcli.report.columns import record
from optcli.report.numbers import strict

if TYPE_CHECKING:
    from optcli.optimize.iterate import Array
    from optcli.optimize.pursue import Leg
    from optcli.optimize.verdict import Verdict

SCHEMA = "optcli.result/v1"


class Preview(NamedTuple):
    """What is known before the first iteration; `start` is flat, shape (layout.size,)."""

    command: str
    function: str
    expression: str
    name: str | None
    layout: Layout
    params: Mapping[str, float]
    method: str
    settings: Mapping[str, Any]
    engine: str
    seed: int
    start: Array
    start_origin: str
    every: int
    bounds: Mapping[str, list[float | None]]
    why: str = ""  # why auto took this method
    notes: tuple[str, ...] = ()  # what the user should know before it begins, for standard error
    data: Mapping[str, Any] = MappingProxyType({})  # the arrays as `data.record` has them
    origins: Mapping[str, str] = MappingProxyType({})  # where the settings come from, by name; the rest are defaults

    def to_dict(self) -> dict[str, Any]:
        """What a result says of its run, all that a replay needs; floats may be non-finite, vectors arrays."""
        out: dict[str, Any] = {
            "command": self.command,
            "function": self.function,
            "expression": self.expression,
            "params": dict(self.params),
            "method": self.method,
            "settings": dict(self.settings),
            "settings_origin": dict(self.origins),
            "engine": self.engine,
            "seed": self.seed,
            "start": self.layout.split(self.start),
            "start_origin": self.start_origin,
        }
        if self.why:
            out["auto"] = self.why
        if self.name is not None:
            out["name"] = self.name
        if self.data:
            out["data"] = dict(self.data)
        if self.bounds:
            out["bounds"] = dict(self.bounds)
        return out


class FoundMinimum(NamedTuple):
    """A minimum that many starts found: the point by name, the value as typed, and how often."""

    x: Mapping[str, Any]
    value: float
    times: int
    verdict: Verdict


class Row(NamedTuple):
    """What is true before the update with this number; `gradient` and `x` are flat."""

    iteration: int
    value: float
    gradient: Array
    x: Array
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a run ended, and the point it reports; `minimizer` and `slope` are flat, shape (layout.size,).

    `history` holds the rows as records, ready for JSON.
    """

    preview: Preview
    status: str
    message: str
    verdict: Verdict
    minimizer: Array
    value: float
    slope: Array
    gradient_norm: float
    iterations: int
    evaluations: Mapping[str, int]
    seconds: Mapping[str, float]
    history: tuple[dict[str, Any], ...]
    exit_code: int
    legs: tuple[Leg, ...] = ()  # where auto or an escape was at work
    starts: int = 1
    minima: tuple[FoundMinimum, ...] = ()  # of many starts, the best first
    scaling: str = ""  # what was done about variables of very different size

    @property
    def x(self) -> dict[str, Any]:
        """The point by name: a float for a scalar, an array for a vector."""
        return self.preview.layout.split(self.minimizer)

    @property
    def gradient(self) -> dict[str, Any]:
        """The gradient at the point, by name."""
        return self.preview.layout.split(self.slope)

    def to_dict(self, history: bool = True) -> dict[str, Any]:
        """The result as contract §3 writes it in JSON: plain lists and numbers, non-finite ones as words."""
        preview = self.preview
        layout = preview.layout
        ranges = {v.name: _range(v.first, v.shape) for v in layout.variables if v.shape}
        out: dict[str, Any] = {
            "schema": SCHEMA,
            "version": __version__,
            "versions": versions(),
            **preview.to_dict(),
            "status": self.status,
            "message": self.message,
            "verdict": self.verdict.to_dict(),
            "x": self.x,
            "value": self.value,
            "gradient": self.gradient,
            "gradient_norm": self.gradient_norm,
            "iterations": self.iterations,
            "evaluations": dict(self.evaluations),
            "seconds": dict(self.seconds),
            "exit_code": self.exit_code,
        }
        if self.legs:
            out["legs"] = [{"method": leg.method, "begin": leg.begin, "why": leg.why} for leg in self.legs]
        if "starts" in self.preview.settings:
            out["starts"] = self.starts
            out["minima"] = [
                {"x": dict(each.x), "value": each.value, "found": each.times, "verdict": each.verdict.to_dict()}
                for each in self.minima
            ]
        if self.scaling:
            out["scaling"] = self.scaling
        if ranges:
            out["ranges"] = ranges
        if history:
            out["history"] = list(self.history)
        ready: dict[str, Any] = strict(out)
        return ready

    def __repr__(self) -> str:
        return f"<optcli result: {self.status}, value {self.value!r} after {self.iterations} iterations>"


class Watch(Protocol):
    """Who follows a run."""

    def begin(self, preview: Preview) -> None: ...

    def row(self, row: Row) -> None: ...

    def progress(self, iteration: int, value: float) -> None: ...


class Unwatched:
    """Nobody follows the run."""

    def begin(self, preview: Preview) -> None: ...

    def row(self, row: Row) -> None: ...

    def progress(self, iteration: int, value: float) -> None: ...


def as_record(row: Row, layout: Layout) -> dict[str, Any]:
    """The row as contract §3's history has it: long vectors by norm and ends."""
    return record(row, layout)


def versions() -> dict[str, str]:
    """What else the last digits depend on: Python, the libraries that computed, and the machine."""
    found = {"python": sys.version.split()[0]}
    for name in ("numpy", "llvmlite"):
        if (library := sys.modules.get(name)) is not None:
            found[name] = str(library.__version__)
    machine = os.uname().machine if hasattr(os, "uname") else ""
    return found | {"platform": f"{sys.platform} {machine}".strip()}


def _range(first: tuple[int, ...], shape: tuple[int, ...]) -> list[Any]:
    ends = [[low, low + count - 1] for low, count in zip(first, shape, strict=True)]
    return ends[0] if len(ends) == 1 else ends
