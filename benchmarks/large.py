"""Problems of many variables against SciPy's L-BFGS-B with gradients by JAX: how many are solved, and how fast."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from harness import ROOT, near
from peers import jax_both

import optcli

SIZES = (10**4, 10**5)
MOST = 40.0  # seconds of one problem
TURNS = 3  # of each side, one after the other
LIMITS = {"maxiter": 15_000, "maxfun": 15_000}


def large() -> list[tuple[str, ...]]:
    """Two rows for each size: problems solved, seconds."""
    problems = json.loads((ROOT / "tests" / "data" / "large_scale.json").read_text("utf-8"))
    rows = []
    for n in SIZES:
        won = theirs = 0
        ratios, judged = [], []
        for each in problems:
            name = each["name"].lower()
            size = n - n % int(each.get("n_multiple_of", 1))
            try:
                ours, start = run(name, size)
            except optcli.ExpressionError as error:  # n² terms are more than a text may have
                print(f"    {name} {size}: {error.message}", flush=True)
                continue
            theirs_on = scipy(name, start)
            peer, took = theirs_on()
            seconds = [(took, *clock(ours))]
            if seconds[0][0] + seconds[0][2] < MOST:
                seconds += [(theirs_on()[1], *clock(run(name, size)[0])) for _ in range(TURNS - 1)]
            other, solving, all_ = (median(column) for column in zip(*seconds, strict=True))
            if each["f_star"] == "numeric":
                known = min(ours.value, float(peer.fun), run(name, size, method="newton")[0].value)
            else:
                known = optcli.function(each["f_star"], params=of(each, size))()
            good, also = near(ours.value, [known]), near(float(peer.fun), [known])
            won, theirs = won + good, theirs + also
            if good and also:
                ratios.append(solving / other)
                judged.append(all_ / other)
            print(
                f"    {name} {size}: {ours.value:.6g} {ours.status} {ours.verdict.kind} "
                f"{solving:.3f} s, {all_:.3f} s with the verdict; {peer.fun:.6g} {other:.3f} s",
                flush=True,
            )
        label = f"large problems, n = {n:,}"
        rows.append((label, "solved", f"{won} of {len(problems)}", f"L-BFGS-B {theirs}", f"{theirs}", "all"))
        about = f"those that both solve, seconds / SciPy L-BFGS-B with JAX gradients, n = {n:,}, geometric mean"
        rows.append((about, "the methods at work", f"{mean(ratios):.2f}", "1", "≤ 0.3", "≤ 0.1"))
        rows.append(("the same", "with the verdict", f"{mean(judged):.2f}", "1", "", ""))
    return rows


def run(name: str, size: int, **settings: Any) -> tuple[Any, Any]:
    """The outcome, and the flat start."""
    ours = optcli.minimize(name, params={"n": size}, every=0, max_time=MOST, **settings)
    return ours, np.ravel(ours.preview.start)


def scipy(name: str, start: Any) -> Callable[[], tuple[Any, float]]:
    """A run of SciPy's L-BFGS-B and its seconds; the gradient is compiled beforehand."""
    from scipy.optimize import minimize

    both = jax_both(WRITTEN[name], start)

    def once() -> tuple[Any, float]:
        began = time.perf_counter()
        result = minimize(both, start, jac=True, method="L-BFGS-B", options=LIMITS)
        return result, time.perf_counter() - began

    return once


def clock(outcome: Any) -> tuple[float, float]:
    """Seconds of the methods, and with the verdict, which compiles products with the Hessian."""
    seconds = outcome.seconds
    return seconds["solve"], seconds["total"] - seconds["parse"] - seconds["compile"]


def mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / max(1, len(ratios)))


def of(each: dict[str, Any], size: int) -> dict[str, float]:
    return {"n": float(size)} if "n" in each["f_star"] else {}


# ------------------------------------------------------------------ the problems as one writes them for arrays


def powell(np_: Any, x: Any) -> Any:
    a, b, c, d = x[0::4], x[1::4], x[2::4], x[3::4]
    return np_.sum((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4)


def trigonometric(np_: Any, x: Any) -> Any:
    i, cosines = np_.arange(1, x.size + 1), np_.cos(x)
    return np_.sum((x.size - np_.sum(cosines) + i * (1 - cosines) - np_.sin(x)) ** 2)


def variably(np_: Any, x: Any) -> Any:
    t = np_.sum(np_.arange(1, x.size + 1) * (x - 1))
    return np_.sum((x - 1) ** 2) + t**2 + t**4


def cragg(np_: Any, x: Any) -> Any:
    a, b, c, d = x[0:-2:2], x[1:-2:2], x[2::2], x[3::2]
    tangent = (np_.tan(c - d) + c - d) ** 4
    return np_.sum((np_.exp(a) - b) ** 4 + 100 * (b - c) ** 6 + tangent + a**8 + (d - 1) ** 2)


WRITTEN: dict[str, Callable[[Any, Any], Any]] = {
    "extended_rosenbrock": lambda np_, x: np_.sum(100 * (x[1::2] - x[0::2] ** 2) ** 2 + (1 - x[0::2]) ** 2),
    "dixon_price": lambda np_, x: (x[0] - 1) ** 2 + np_.sum(np_.arange(2, x.size + 1) * (2 * x[1:] ** 2 - x[:-1]) ** 2),
    "extended_powell_singular": powell,
    "trigonometric": trigonometric,
    "variably_dimensioned": variably,
    "arwhead": lambda np_, x: np_.sum(3 - 4 * x[:-1]) + np_.sum((x[:-1] ** 2 + x[-1] ** 2) ** 2),
    "engval1": lambda np_, x: np_.sum((x[:-1] ** 2 + x[1:] ** 2) ** 2) + np_.sum(3 - 4 * x[:-1]),
    "dqdrtic": lambda np_, x: np_.sum(x[:-2] ** 2 + 100 * x[1:-1] ** 2 + 100 * x[2:] ** 2),
    "cosine": lambda np_, x: np_.sum(np_.cos(x[:-1] ** 2 - x[1:] / 2)),
    "nondquar": lambda np_, x: (x[0] - x[1]) ** 2 + (x[-2] - x[-1]) ** 2 + np_.sum((x[:-2] + x[1:-1] + x[-1]) ** 4),
    "dixon3dq": lambda np_, x: (x[0] - 1) ** 2 + np_.sum((x[1:-1] - x[2:]) ** 2) + (x[-1] - 1) ** 2,
    "cragglvy": cragg,
}
