"""Runs over the library whose verdicts are held against mpmath: sets of benchmarks/sets.py, and of tests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from harness import ROOT

import optcli
from optcli import library
from optcli.build import build
from optcli.conclusion import Entries
from optcli.optimize.methods import METHODS, find
from optcli.optimize.methods.first_order import FirstOrder

sys.path.insert(0, str(ROOT / "tests"))
from adversarial import BOUNDED, BOXED, FACTS, RUNS, outcome_of
from claims import false_claims, wrong
from precise import Exact

Cells = tuple[str, ...]
SEED = 20
MANNERS = ("whole", "early", "astray", "odd")
CHOICES = ("auto", *METHODS)
TOO_FAST = 10.0  # times 2/L, where gradient descent begins to diverge on a quadratic of curvature L
LEARNING = (0.1, 1.0, 10.0)  # rates that lead astray
ITERS = 2000


class Run(NamedTuple):
    """A function of the library and how to minimize it."""

    function: str
    manner: str
    settings: dict[str, Any]


def exact(name: str) -> Exact:
    """A function of the library in mpmath."""
    entry = library.get(name)
    return Exact(entry.expression, entry.params, list(Entries(build(entry.expression, entry.params).layout)))


def runs(names: Sequence[str], each: int = 2) -> Iterator[Run]:
    """`each` runs of every function: methods and manners take turns, half are cut off or led astray."""
    random = np.random.default_rng(SEED)
    for k, name in enumerate(names):
        for turn in range(each):
            manner, method = MANNERS[(k + turn) % len(MANNERS)], CHOICES[(5 * k + 11 * turn) % len(CHOICES)]
            settings: dict[str, Any] = {"method": method, "iters": ITERS, "tol": 1e-8, "every": 0}
            rated = method != "auto" and issubclass(find(method), FirstOrder)
            if rated:
                settings["lr"] = 1e-3
            if manner == "early":
                settings["iters"] = int(random.choice([1, 5, 30]))
            if manner == "astray" and rated:
                settings["lr"] = float(random.choice(LEARNING))
            if manner == "odd" or (manner == "astray" and not rated):
                settings["start"] = _start(name, random)
            yield Run(name, manner, settings)


def _start(name: str, random: Any) -> list[float]:
    """Near a known minimum, at a round point, or far out."""
    entry = library.get(name)
    layout = build(entry.expression, entry.params).layout
    size = layout.size
    kind = int(random.integers(4))
    if kind == 0:
        return [float(each) for each in np.round(random.standard_normal(size) * 2.0)]
    if kind == 1:
        return [float(each) for each in 50.0 * random.standard_normal(size)]
    known = np.concatenate([np.ravel(np.asarray(each.value, dtype=np.float64)) for each in entry.minima[0].x])
    if known.size != size:
        known = np.full(size, known[0])
    return [float(each) for each in known + random.choice([1e-9, 1e-4]) * random.standard_normal(size)]


def too_fast(name: str) -> Run | None:
    """Gradient descent with ten times the largest learning rate that a quadratic with the start's curvature bears."""
    f = optcli.function(name)
    outcome = optcli.minimize(name, iters=0)
    H = f.objective.hessian(outcome.minimizer)
    if not np.isfinite(H).all():
        return None
    top = float(np.max(np.abs(np.linalg.eigvalsh(H))))
    return None if not top > 0.0 else Run(name, "too fast", {
        "method": "gd", "lr": TOO_FAST * 2.0 / top, "iters": ITERS, "tol": 1e-8, "every": 0
    })  # fmt: skip


def judged(run: Run) -> tuple[Any, str]:
    """The outcome, and what is wrong with its verdict."""
    settings = dict(run.settings)
    if isinstance(start := settings.get("start"), list):
        settings["start"] = ",".join(map(repr, start))
    outcome = optcli.minimize(run.function, **settings)
    return outcome, wrong(outcome, exact(run.function))


# ------------------------------------------------------------------ the sets


def verdicts() -> list[Cells]:
    return _counted(
        "finished runs over the library, half cut off or led astray", "wrong verdicts, by mpmath", runs(library.names())
    )


def fast() -> list[Cells]:
    found = (run for name in library.names() if (run := too_fast(name)) is not None)
    return _counted(
        "gradient descent ten times too fast over the library", "runs that claim more than they found", found
    )


def _counted(label: str, measure: str, tried: Iterable[Run]) -> list[Cells]:
    count = bad = 0
    for run in tried:
        outcome, said = judged(run)
        count += 1
        bad += bool(said)
        if said:
            print(f"    {run.function} {run.settings}: {said}; {outcome.status} {outcome.verdict.text}", flush=True)
    return [(label, measure, f"{bad} of {count}", "", "0", "0")]


def adversarial() -> list[Cells]:
    """The table of tests/adversarial.py."""
    count = bad = 0
    rows = [(text, start, None, *rest) for text, start, *rest in FACTS]
    for text, start, bounds, settings, facts in [*rows, *BOXED]:
        for name in RUNS if bounds is None else sorted(BOUNDED):
            said = false_claims(outcome_of(text, name, start, settings, bounds), facts)
            count += 1
            bad += len(said)
            if said:
                print(f"    {text} by {name}: {said}", flush=True)
    label = f"{len(FACTS) + len(BOXED)} adversarial problems, every method that runs on them"
    return [(label, "false claims", f"{bad} in {count} runs", "", "0", "0")]
