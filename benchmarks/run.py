"""Ratios against peers in one run: `python benchmarks/run.py [row …]`; `--write` keeps them in docs/performance.md.

Repetitions are interleaved and medians compared, so that a noisy machine disturbs both sides alike.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sympy

import optcli
from optcli.autograd.gradient import gradient
from optcli.build import build
from optcli.engine.numpy_engine import Plan
from optcli.expr.lower import lower
from optcli.expr.parse import parse
from optcli.expr.resolve import resolve
from optcli.expr.typed import to_sympy

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
Work = Callable[[], object]
Prepare = Callable[[], Work]
Clock = Callable[[], float]


def timed(prepare: Prepare, clock: Clock) -> float:
    """Seconds of the work, not of its preparation; the collector rests, as it does in optcli.build."""
    work = prepare()
    gc.collect()
    gc.disable()
    try:
        began = clock()
        work()
        return clock() - began
    finally:
        gc.enable()


def ratio(
    ours: Prepare, peer: Prepare, repetitions: int, clock: Clock = time.process_time
) -> tuple[float, float, float]:
    """Medians of both, interleaved, and their ratio."""
    pairs = [(timed(ours, clock), timed(peer, clock)) for _ in range(repetitions)]
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    return a, b, a / b


def scalar_text(terms: int) -> str:
    return " + ".join(
        f"{i % 7 + 1}*(x{i % 90} - x{(i * 7) % 90}**2)**2*sin(x{(i * 3) % 90})*{i}.5" for i in range(terms)
    )


def parsing(terms: int) -> Prepare:
    """Text to what is known of it before SymPy."""
    text = scalar_text(terms)
    return lambda: lambda: resolve(parse(text), {}, {})


def lowering(terms: int) -> Prepare:
    """From there to the graph of the value."""
    resolved = resolve(parse(scalar_text(terms)), {}, {})
    return lambda: lambda: lower(to_sympy(resolved), resolved.layout, {}, {}, resolved.first)


def differentiating(terms: int) -> Prepare:
    """From there to the compiled gradient; each time on a new graph, as a graph remembers its nodes."""
    resolved = resolve(parse(scalar_text(terms)), {}, {})
    expression = to_sympy(resolved)

    def prepare() -> Work:
        graph = lower(expression, resolved.layout, {}, {}, resolved.first)
        return lambda: Plan(gradient(graph))

    return prepare


def evaluating(terms: int) -> Prepare:
    """One value and gradient."""
    objective = build(scalar_text(terms))
    x = np.full(objective.layout.size, 0.1)
    objective.value_and_gradient(x)
    return lambda: lambda: objective.value_and_gradient(x)


def process(*words: str, **more: str) -> Prepare:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **more}

    def work() -> None:
        subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment, cwd=ROOT)

    return lambda: work


def chained(n: int) -> tuple[Prepare, Prepare]:
    objective = build("Sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, (i, 1, n-1))", {"n": float(n)})
    x = np.linspace(-1.0, 1.0, n)

    def by_hand() -> tuple[float, object]:
        a, b = x[:-1], x[1:]
        t, u = b - a * a, 1.0 - a
        g = np.zeros_like(x)
        g[1:] = 200.0 * t
        g[:-1] -= 400.0 * t * a + 2.0 * u
        return float(np.sum(100.0 * t * t + u * u)), g

    value, gradient = objective.value_and_gradient(x)
    hand = by_hand()
    assert np.allclose(value, hand[0])
    assert np.allclose(gradient, hand[1])  # type: ignore[arg-type]  # an array
    return lambda: lambda: objective.value_and_gradient(x), lambda: by_hand


MAIN_JOB = ("-m", "optcli", "minimize", "rosenbrock", "--lr", "0.01", "--iters", "1000")
ROWS: dict[str, tuple[str, Callable[[], tuple[float, float, float]]]] = {
    **{
        f"{name}-{n}": (
            f"{what} {2 * n:,} scalar terms / {n:,}",
            lambda n=n, stage=stage: ratio(stage(2 * n), stage(n), 21 if stage is evaluating else 5),
        )
        for name, what, stage in (
            ("parse", "parse", parsing),
            ("lower", "lower", lowering),
            ("differentiate", "differentiate", differentiating),
            ("evaluate", "value + gradient of", evaluating),
        )
        for n in (5_000, 10_000, 20_000)
    },
    "chained": (
        "value + gradient, chained Rosenbrock n = 10⁶ / numpy by hand",
        lambda: ratio(*chained(1_000_000), 9),
    ),
    "help": (
        "`optcli --help` / `python -c 'import click'`",
        lambda: ratio(process("-m", "optcli", "--help"), process("-c", "import click"), 9, time.perf_counter),
    ),
    "main-numpy": (
        "whole process, main job on a graph that is kept / `python -c 'import numpy'`",
        lambda: ratio(process(*MAIN_JOB), process("-c", "import numpy"), 7, time.perf_counter),
    ),
    "main-sympy": (
        "whole process, main job without a cache / `python -c 'import sympy'`",
        lambda: ratio(process(*MAIN_JOB, OPTCLI_CACHE="off"), process("-c", "import sympy"), 7, time.perf_counter),
    ),
}


def header() -> list[str]:
    command = " ".join(["python benchmarks/run.py", *sys.argv[1:]])
    return [
        f"Measured on {datetime.date.today().isoformat()} by `{command}`:",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"optcli {optcli.__version__}, numpy {np.__version__}, sympy {sympy.__version__}, "
        f"click {importlib.metadata.version('click')}.",
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("rows", nargs="*", metavar="ROW", help=f"all by default; one of {', '.join(ROWS)}")
    arguments.add_argument("--write", action="store_true", help="keep the result in docs/performance.md")
    given = arguments.parse_args()
    lines = ["| row | ours | peer | ratio |", "|---|---|---|---|"]
    unknown = [name for name in given.rows if name not in ROWS]
    if unknown:
        arguments.error(f"no such row: {', '.join(unknown)}. There are {', '.join(ROWS)}")
    if given.rows and given.write:
        arguments.error("--write keeps all rows: name none")
    print("\n".join([*header(), "", *lines]), flush=True)
    for name in given.rows or ROWS:
        label, measure = ROWS[name]
        ours, peer, quotient = measure()
        lines.append(f"| {label} | {ours:.4g} s | {peer:.4g} s | {quotient:.2f} |")
        print(lines[-1], flush=True)
    if given.write:
        about = (
            "Ratios are what counts: both sides ran in turns on the same machine, and medians are compared. "
            "Rows\nof whole processes show elapsed time, the others processor time."
        )
        PAGE.write_text("\n".join(["# Performance", "", about, "", *header(), "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
