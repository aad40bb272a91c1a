"""Measures rows: ours and the peer take turns, medians are compared, and docs/performance.md keeps the result."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"
PACKAGES = ("optcli", "numpy", "sympy", "llvmlite", "click", "scipy", "jax", "torch", "casadi")
HEAD = ("row", "ours", "peer", "ratio", "must", "aim", "reached")

RELATIVE, ABSOLUTE = 1e-6, 1e-10  # how near to a known value counts as solved


class MissingError(Exception):
    """A peer that is not there; the message is its name."""


@dataclass(frozen=True)
class Pair:
    """Ours and the peer's: each call measures once, in `unit`. Warm-up and compilation are done beforehand."""

    ours: Callable[[], float]
    peer: Callable[[], float]
    unit: str = "s"


@dataclass(frozen=True)
class Row:
    """`prepare` raises MissingError where the peer is not there; `repetitions`: the most that is worth it."""

    name: str
    label: str
    prepare: Callable[[], Pair]
    must: float | None = None
    aim: float | None = None
    repetitions: int = 9


@dataclass(frozen=True)
class Measured:
    """Medians of both sides."""

    row: Row
    ours: float
    peer: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def reached(self) -> str:
        if self.row.aim is not None and self.ratio <= self.row.aim:
            return "aim"
        if self.row.must is not None:
            return "must" if self.ratio <= self.row.must else "**no**"
        return ""


def near(value: Any, minima: Iterable[float | None]) -> bool:
    """Whether a value is as low as one of the known minima."""
    return isinstance(value, float) and any(value <= m + RELATIVE * abs(m) + ABSOLUTE for m in minima if m is not None)


def measure(row: Row, repetitions: int) -> Measured:
    """Interleaved repetitions. Raises MissingError."""
    pair = row.prepare()
    sides = [(pair.ours(), pair.peer()) for _ in range(max(1, min(repetitions, row.repetitions)))]
    ours, peer = (statistics.median(side) for side in zip(*sides, strict=True))
    return Measured(row, ours, peer, pair.unit)


def cells(found: Measured) -> tuple[str, ...]:
    row = found.row
    limits = ("" if limit is None else f"≤ {limit:g}" for limit in (row.must, row.aim))
    amounts = (f"{amount:.3g} {found.unit}" for amount in (found.ours, found.peer))
    return (row.label, *amounts, f"**{found.ratio:.2g}**", *limits, found.reached)


def line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def versions() -> str:
    known = []
    for name in PACKAGES:
        try:
            known.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(known)


def processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def compiler() -> str:
    try:
        ran = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no C compiler"
    return ran.stdout.split("\n")[0]


def header(command: str) -> list[str]:
    return [
        f"Measured on {datetime.date.today().isoformat()} by `{command}`:",
        f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()},",
        f"{versions()}, {compiler()}.",
    ]


def chosen(rows: Sequence[Row], words: Sequence[str]) -> list[Row]:
    """Those whose name begins with one of `words`; all without. Raises ValueError for a word that fits none."""
    for word in words:
        if not any(row.name.startswith(word) for row in rows):
            raise ValueError(f"no row begins with {word}: see --list")
    return [row for row in rows if not words or any(row.name.startswith(word) for word in words)]


def keep(lines: Sequence[str], begin: str = BEGIN, end: str = END) -> None:
    """Put the lines where docs/performance.md has those of the last run, between two marks."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, _, tail = rest.partition(end)
    PAGE.write_text("\n".join([f"{head}{begin}", "", *lines, "", f"{end}{tail}"]), encoding="utf-8")


def main(rows: Sequence[Row], description: str, words: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    arguments = argparse.ArgumentParser(prog="benchmarks/run.py", description=description)
    arguments.add_argument("rows", nargs="*", metavar="ROW", help="the beginning of a row's name; all by default")
    arguments.add_argument("--list", action="store_true", help="show the rows and measure nothing")
    arguments.add_argument("--repeat", type=int, default=9, metavar="N", help="at most N repetitions (default 9)")
    arguments.add_argument("--write", action="store_true", help="keep the result in docs/performance.md")
    arguments.add_argument("--strict", action="store_true", help="exit with 1 where a row misses what it must reach")
    given = arguments.parse_args(words)
    try:
        wanted = chosen(rows, given.rows)
    except ValueError as error:
        arguments.error(str(error))
    if given.rows and given.write:
        arguments.error("--write keeps all rows: name none")
    if given.list:
        for row in wanted:
            print(f"{row.name:18} {row.label}")
        return 0
    lines = [line(HEAD), line(["---"] * len(HEAD))]
    about = header(" ".join(["python benchmarks/run.py", *words]))
    print("\n".join([*about, "", *lines]), flush=True)
    missed = 0
    for row in wanted:
        try:
            found = measure(row, given.repeat)
        except MissingError as peer:
            lines.append(line((row.label, "", f"{peer} is not installed", "", "", "", "")))
        else:
            missed += found.reached == "**no**"
            lines.append(line(cells(found)))
        print(lines[-1], flush=True)
    if given.write:
        keep([*about, "", *lines])
    return 1 if given.strict and missed else 0
