"""Matrices and problems whose Hessians are bands, for the tests of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import optcli
from optcli.build import build, problem
from optcli.optimize.band import Band
from optcli.optimize.problem import Problem


def drawn(n: int, width: int, border: int, seed: int, least: float | None = None) -> tuple[Any, Band]:
    """A random symmetric matrix, plain and as a band; with `least` its smallest eigenvalue."""
    random = np.random.default_rng([n, width, border, seed])
    H = np.zeros((n, n))
    width = min(width, n - 1)
    for o in range(width + 1):
        line = random.normal(size=n - o)
        H += np.diag(line, o) + (np.diag(line, -o) if o else 0.0)
    rows = np.sort(random.choice(n, size=min(border, n), replace=False))
    for j in rows:
        H[j] = H[:, j] = random.normal(size=n)
    if least is not None:
        H += (least - np.linalg.eigvalsh(H)[0]) * np.eye(n)
    return H, band(H, width, rows)


def dense(n: int, width: int, border: int, seed: int, least: float | None = None) -> Any:
    return drawn(n, width, border, seed, least)[0]


def band(H: Any, width: int, border: Any = ()) -> Band:
    n, rows = len(H), np.asarray(border, dtype=np.int64)
    upper = np.zeros((width + 1, n))
    for o in range(width + 1):
        upper[o, : n - o] = np.diag(H, o)
    upper = Band(upper, rows[:0], np.zeros((0, n))).widened(width, rows).upper
    return Band(upper, rows, H[rows])


def with_entry(H: Any, i: int, j: int, value: float) -> Any:
    H = H.copy()
    H[i, j] = H[j, i] = value
    return H


CHAIN = 2.0 * np.eye(400) - np.eye(400, k=1) - np.eye(400, k=-1)


def ready(name: str, n: int) -> tuple[Problem, Any]:
    entry = optcli.minimize(name, params={"n": n}, iters=0)
    objective = build(entry.preview.expression, {"n": float(n)}, engine="numpy")
    return problem(objective), np.asarray(entry.preview.start)
