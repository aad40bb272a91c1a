"""Where a run stands, as a file: JSON whose numbers keep every bit, under a seal.

    {"schema": "optcli.checkpoint/v1",
     "version": "0.1.0",
     …,
     "sha256": "…"}

A key a line, in the order of `Checkpoint`. Doubles are C99 hexadecimal texts (`float.hex`), arrays
{"shape": [2], "float64": "…"}, base64 of little-endian doubles in C order. The seal is the SHA-256 of all bytes before
the line break and comma that precede its own line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from optcli import __version__
from optcli.errors import DataError, FileError, visible
from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.problem import Counts
from optcli.optimize.status import Status
from optcli.report.numbers import strict

SCHEMA = "optcli.checkpoint/v1"
BEGINS = b'{"schema": "optcli.checkpoint/'
SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\}\n')
RUN_KEYS = (
    *("command", "function", "expression", "params", "method", "settings", "settings_origin", "engine", "seed"),
    *("start", "start_origin", "bounds", "tried"),
)
TAIL = 96  # bytes in which the seal stands
AGAIN = "Start the run again, or take another checkpoint."


class Checkpoint(NamedTuple):
    """All that the rest of a run depends on."""

    version: str  # optcli's
    run: Mapping[str, Any]  # `Preview.to_dict`, and how the run was made ready, see run.py
    status: Status | None  # how the run ended; None: it had not
    iterate: Iterate
    counts: Counts
    masked: tuple[str, ...]  # parts of the code that had gone over, see optimize.problem.Code
    scale: float  # of the tolerance, see optimize.stop.Check
    used: float  # seconds that count for max_time
    seconds: float  # in all
    extra: Mapping[str, Any]  # what a plan of several methods or starts adds, ready for JSON; arrays may be in it
    history: Sequence[dict[str, Any]]  # the rows so far, ready for JSON


def pieces(checkpoint: Checkpoint, run: bytes | None = None, rows: Sequence[bytes] | None = None) -> Iterator[bytes]:
    """The file without its seal; `run` and `rows` may have been written before by `part`."""
    iterate = checkpoint.iterate
    yield b'{"schema": ' + part(SCHEMA)
    for key, value in (
        ("version", checkpoint.version),
        ("run", run if run is not None else checkpoint.run),
        ("status", checkpoint.status),
        ("iterate", _iterate(iterate)),
        ("counts", asdict(checkpoint.counts)),
        ("masked", list(checkpoint.masked)),
        ("scale", checkpoint.scale.hex()),
        ("used", checkpoint.used.hex()),
        ("seconds", checkpoint.seconds.hex()),
        ("extra", checkpoint.extra),
    ):
        yield b",\n " + part(key) + b": " + (value if isinstance(value, bytes) else part(value))
    yield b',\n "history": [\n  '
    yield b",\n  ".join(rows if rows is not None else map(part, checkpoint.history))
    yield b"]"


def sealed(parts: Iterator[bytes]) -> bytes:
    """The whole file."""
    text = b"".join(parts)
    return text + b',\n "sha256": "' + hashlib.sha256(text).hexdigest().encode() + b'"}\n'


def part(value: Any) -> bytes:
    """A value as JSON on one line; arrays keep their bits."""
    return json.dumps(strict(_plain(value)), allow_nan=False).encode()


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a file. Raises FileError where it cannot be read, DataError where it is none, or damaged."""
    name = visible(os.fspath(path))
    try:
        with open(path, "rb") as file:
            content = file.read(len(BEGINS))
            if content == BEGINS:
                content += file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or "no such file can exist"
        raise FileError(f"{name} cannot be read: {reason}", "Check the path.") from None
    return loads(content, name)


def loads(content: bytes, name: str) -> Checkpoint:
    """The checkpoint that `content` holds. Raises DataError, which says `name`."""
    if not content.startswith(BEGINS):
        if content.startswith(b'{"schema": "optcli.result/'):
            raise DataError("this is a result, no checkpoint", name, f"Run it again with optcli run {name}.")
        if content and BEGINS.startswith(content):
            raise DataError("the checkpoint is cut off", name, AGAIN)
        raise DataError("this is no checkpoint of optcli", name, "`--checkpoint FILE` of a run writes one.")
    schema = content[len(b'{"schema": ') :].split(b",", 1)[0].strip()
    if schema != part(SCHEMA):
        if re.fullmatch(rb'"optcli\.checkpoint/v[0-9]+"', schema):
            raise DataError(
                f"the checkpoint has the schema {schema[1:-1].decode()}; optcli {__version__} reads {SCHEMA}",
                name,
                "Use the optcli that wrote it, or a newer one.",
            )
        raise DataError("the checkpoint is damaged: its first line makes no sense", name, AGAIN)
    seal = SEAL.search(content, max(0, len(content) - TAIL))
    if seal is None or seal.end() != len(content):
        raise DataError("the checkpoint is damaged: it is cut off, or something follows its end", name, AGAIN)
    if hashlib.sha256(content[: seal.start()]).hexdigest().encode() != seal[1]:
        raise DataError("the checkpoint is damaged: its SHA-256 does not fit what it holds", name, AGAIN)
    try:
        return _checkpoint(json.loads(content))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"the checkpoint makes no sense: {visible(what)[:120]}", name, AGAIN) from None


def _checkpoint(held: dict[str, Any]) -> Checkpoint:
    run = _restored(held["run"])
    if missing := [key for key in RUN_KEYS if key not in run]:
        raise KeyError(missing[0])
    size = run["start"].size
    status = held["status"]
    counts = Counts(**held["counts"])
    if not all(type(count) is int and count >= 0 for count in asdict(counts).values()):
        raise ValueError("the counts are no whole numbers")
    if not isinstance(held["history"], list) or not all(isinstance(row, dict) for row in held["history"]):
        raise ValueError("the history holds no rows")
    return Checkpoint(
        version=str(held["version"]),
        run=run,
        status=None if status is None else Status(status),
        iterate=_read_iterate(held["iterate"], size),
        counts=counts,
        masked=tuple(map(str, held["masked"])),
        scale=float.fromhex(held["scale"]),
        used=_seconds(held["used"]),
        seconds=_seconds(held["seconds"]),
        extra=_restored(held["extra"]),
        history=held["history"],
    )


def _seconds(text: str) -> float:
    value = float.fromhex(text)
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"{text} is no time")
    return value


def _iterate(iterate: Iterate) -> dict[str, Any]:
    best = "point" if iterate.best is iterate.point else None if iterate.best is None else _point(iterate.best)
    return {
        "point": _point(iterate.point),
        "best": best,
        "state": list(iterate.state),
        "moved": iterate.moved,
        "failure": iterate.failure,
    }


def _read_iterate(held: dict[str, Any], size: int) -> Iterate:
    point = _read_point(held["point"], size)
    best = point if held["best"] == "point" else None if held["best"] is None else _read_point(held["best"], size)
    state = _restored(held["state"])
    if not all(isinstance(array, np.ndarray) for array in state):
        raise ValueError("the state holds no arrays")
    failure = held["failure"]
    return Iterate(point, tuple(state), best, bool(held["moved"]), None if failure is None else str(failure))


def _point(point: Point) -> dict[str, Any]:
    return {
        "iteration": point.iteration,
        "x": point.x,
        "value": float(point.value).hex(),
        "gradient": point.gradient,
        "gradient_norm": float(point.gradient_norm).hex(),
        "finite": bool(point.finite),
    }


def _read_point(held: dict[str, Any], size: int) -> Point:
    x, gradient = _restored(held["x"]), _restored(held["gradient"])
    iteration = held["iteration"]
    if x.shape != (size,) or gradient.shape != (size,):
        raise ValueError(f"a point does not have {size} entries")
    if type(iteration) is not int or iteration < 0:
        raise ValueError(f"{iteration!r} is no number of an iteration")
    value, norm = float.fromhex(held["value"]), float.fromhex(held["gradient_norm"])
    return Point(iteration, x, value, gradient, norm, bool(held["finite"]))


def _plain(value: Any) -> Any:
    """`value` with arrays as their bits."""
    if isinstance(value, np.ndarray):
        bits = np.ascontiguousarray(value, dtype="<f8")
        return {"shape": list(value.shape), "float64": base64.b64encode(bits.tobytes()).decode()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _restored(value: Any) -> Any:
    """The inverse of `_plain`."""
    if isinstance(value, dict):
        if value.keys() == {"shape", "float64"}:
            return _array(value["shape"], value["float64"])
        return {key: _restored(item) for key, item in value.items()}
    return [_restored(item) for item in value] if isinstance(value, list) else value


def _array(shape: Sequence[int], text: str) -> Array:
    array = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").astype(np.float64)
    return array.reshape([int(n) for n in shape])
