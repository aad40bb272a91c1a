"""Ratios against peers in one run: `python benchmarks/run.py [row …]`; `--write` keeps them in docs/performance.md.

Repetitions are interleaved and medians compared, so that a noisy machine disturbs both sides alike.
"""

from __future__ import annotations

import argparse
import datetime
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
from optcli.build import build

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
Work = Callable[[], object]


def timed(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ratio(ours: Work, peer: Work, repetitions: int) -> tuple[float, float, float]:
    """Medians of both, interleaved, and their ratio."""
    pairs = [(timed(ours), timed(peer)) for _ in range(repetitions)]
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    return a, b, a / b


def scalar_text(terms: int) -> str:
    return " + ".join(
        f"{i % 7 + 1}*(x{i % 90} - x{(i * 7) % 90}**2)**2*sin(x{(i * 3) % 90})*{i}.5" for i in range(terms)
    )


def differentiated(text: str) -> Work:
    def work() -> None:
        objective = build(text)
        objective.value_and_gradient(np.full(objective.layout.size, 0.1))

    return work


def process(*words: str) -> Work:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def work() -> None:
        subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment, cwd=ROOT)

    return work


def chained(n: int) -> tuple[Work, Work]:
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
    return lambda: objective.value_and_gradient(x), by_hand


MAIN_JOB = ("-m", "optcli", "minimize", "rosenbrock", "--lr", "0.01", "--iters", "1000")
ROWS: dict[str, tuple[str, Callable[[], tuple[float, float, float]]]] = {
    **{
        f"terms-{n}": (
            f"{2 * n:,} scalar terms to first gradient / {n:,}",
            lambda n=n: ratio(differentiated(scalar_text(2 * n)), differentiated(scalar_text(n)), 3),
        )
        for n in (5_000, 10_000, 20_000)
    },
    "chained": (
        "value + gradient, chained Rosenbrock n = 10⁶ / numpy by hand",
        lambda: ratio(*chained(1_000_000), 9),
    ),
    "help": (
        "`optcli --help` / `python -c 'import click'`",
        lambda: ratio(process("-m", "optcli", "--help"), process("-c", "import click"), 9),
    ),
    "main-numpy": (
        "whole process, main job / `python -c 'import numpy'`",
        lambda: ratio(process(*MAIN_JOB), process("-c", "import numpy"), 7),
    ),
    "main-sympy": (
        "whole process, main job / `python -c 'import sympy'`",
        lambda: ratio(process(*MAIN_JOB), process("-c", "import sympy"), 7),
    ),
}


def header() -> list[str]:
    return [
        f"Measured on {datetime.date.today().isoformat()} by `python benchmarks/run.py --write`:",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"optcli {optcli.__version__}, numpy {np.__version__}, sympy {sympy.__version__}, "
        f"click {importlib.metadata.version('click')}.",
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("rows", nargs="*", choices=[[], *ROWS], help="which rows, all by default")
    arguments.add_argument("--write", action="store_true", help="keep the result in docs/performance.md")
    given = arguments.parse_args()
    lines = ["| row | ours | peer | ratio |", "|---|---|---|---|"]
    for name in given.rows or ROWS:
        label, measure = ROWS[name]
        ours, peer, quotient = measure()
        lines.append(f"| {label} | {ours:.4g} s | {peer:.4g} s | {quotient:.2f} |")
        print(lines[-1], flush=True)
    if given.write:
        about = "Ratios are what counts: both sides ran in turns on the same machine, and medians are compared."
        PAGE.write_text("\n".join(["# Performance", "", about, "", *header(), "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
