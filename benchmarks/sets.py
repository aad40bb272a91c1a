"""Sets of problems with known answers: `python benchmarks/sets.py [mgh] [bounds] [global] [large] … [--write]`.

Each problem is given to auto as a user would, and to the peers of the `bench` extra with the same exact derivatives.
What is counted: problems solved, verdicts that are wrong, evaluations, seconds. A table goes to docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from bounded import bounds
from harness import ROOT, header, keep, line, near
from large import large
from truth import adversarial, fast, verdicts

import optcli
from optcli import library
from optcli.build import build

DATA = ROOT / "tests" / "data"
EVALS = 20_000  # of a search over a box
HEAD = ("set", "measure", "ours", "peers", "must", "aim")
TITLE = (line(HEAD), line(["---"] * len(HEAD)))
Cells = tuple[str, ...]


def case_file(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / name).read_text("utf-8"))
    return found


def positive(text: str, x: Any) -> bool:
    """Whether the Hessian at a point has no negative eigenvalue beyond rounding."""
    H = build(text, engine="numpy").hessian(np.asarray(x, dtype=np.float64))
    values = np.linalg.eigvalsh(0.5 * (H + H.T))
    return bool(values[0] >= -1e-8 * max(1.0, abs(values[-1])))


# ------------------------------------------------------------------ small problems, from their standard start


def mgh() -> list[Cells]:
    from scipy.optimize import minimize

    problems = case_file("mgh.json")
    won, false, theirs, ratios = 0, 0, 0, []
    for each in problems:
        names, start = list(each["variables"]), list(each["variables"].values())
        ours = optcli.minimize(each["expression"], start=each["variables"])
        known = [each["minimum"], *each["accepted_minima"]]
        good = near(ours.value, known)
        won += good
        layout = build(each["expression"], engine="numpy").layout.names
        point = [float(ours.x[name]) for name in layout]
        false += ours.verdict.kind == "minimum" and not (good and positive(each["expression"], point))
        evaluations = ours.evaluations
        work = evaluations["value"] + evaluations["gradient"] + len(start) * evaluations["hessian"]
        work += evaluations.get("product", 0)
        objective = build(each["expression"], engine="numpy")
        order = [names.index(name) for name in objective.layout.names]
        peer = minimize(
            objective.value_and_gradient, np.array(start)[order], jac=True, method="L-BFGS-B",
            options={"maxiter": 15_000, "maxfun": 15_000, "ftol": 1e-14, "gtol": 1e-8},
        )  # fmt: skip
        other = near(float(peer.fun), known)
        theirs += other
        if good and other:
            ratios.append(work / (2 * peer.nfev))
        if not good or ours.verdict.kind != "minimum":
            print(f"    {each['name']}: {ours.value!r} {ours.status} {ours.verdict.kind}; known {known}", flush=True)
    ratio = math.exp(sum(map(math.log, ratios)) / len(ratios))
    total = len(problems)
    lowest = 0
    for each in problems:
        ours = optcli.minimize(each["expression"], start=each["variables"], starts=16, every=0)
        good = near(ours.value, [each["minimum"]])
        lowest += good
        if not good:
            print(f"    {each['name']} from 16 starts: {ours.value!r}; known {each['minimum']}", flush=True)
    return [
        ("MGH from the standard starts, auto", "solved", f"{won} of {total}", f"L-BFGS-B {theirs}", f"{total}", ""),
        ("the same", "false verdicts", f"{false}", "", "0", "0"),
        ("the same, `--starts 16`", "global minimum found", f"{lowest} of {total}", "", "", f"{total}"),
        ("the same", "work / SciPy L-BFGS-B, geometric mean", f"{ratio:.2f}", "1", "≤ 1.0", "≤ 0.5"),
    ]


# ------------------------------------------------------------------ over a box


def global_() -> list[Cells]:
    published = {each["name"].lower() for each in case_file("global_functions.json")}
    entries = [library.get(name) for name in library.names() if name in published]
    won = 0
    for entry in entries:
        ours = optcli.minimize(entry.name, bounds="domain", starts=10**6, max_evals=EVALS, every=0)
        good = near(ours.value, [entry.minima[0].value])
        won += good
        if not good:
            print(
                f"    {entry.name}: {ours.value!r}, known {entry.minima[0].value!r}; {ours.starts} starts", flush=True
            )
    share = won / len(entries)
    label = f"functions of the SciPy benchmark over their domains, {EVALS:,} gradients each"
    return [(label, "solved", f"{won} of {len(entries)}, {share:.1%}", "", "92 %", "96 %")]


SETS: dict[str, Callable[[], list[Cells]]] = {
    "mgh": mgh, "bounds": bounds, "global": global_, "large": large, "verdicts": verdicts, "fast": fast,
    "adversarial": adversarial,
}  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("sets", nargs="*", help=f"of {', '.join(SETS)}; all by default")
    arguments.add_argument("--write", action="store_true", help="keep the result in docs/performance.md")
    given = arguments.parse_args()
    about = header("python benchmarks/sets.py …")
    print("\n".join([*about, "", *TITLE]), flush=True)
    for name in given.sets or SETS:
        lines = []
        for cells in SETS[name]():
            lines.append(line(cells))
            print(lines[-1], flush=True)
        if given.write:
            about = header(f"python benchmarks/sets.py {name} --write")
            keep([*about, "", *TITLE, *lines], f"<!-- set {name} -->", f"<!-- end of set {name} -->")
    return 0


if __name__ == "__main__":
    sys.exit(main())
