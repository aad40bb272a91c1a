"""Sets of problems with known answers: `python benchmarks/sets.py [mgh] [bounds] [global] [large] … [--write]`.

Each problem is given to auto as a user would, and to the peers of the `bench` extra with the same exact derivatives.
What is counted: problems solved, verdicts that are wrong, evaluations, seconds. A table goes to docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from bounded import ABSOLUTE, RELATIVE, bounds
from harness import ROOT, header, keep, line
from truth import adversarial, fast, verdicts

import optcli
from optcli import library
from optcli.build import build

DATA = ROOT / "tests" / "data"
BEGIN, END = "<!-- sets -->", "<!-- end of sets -->"
MOST = 40.0  # seconds of one large problem
STRIDE = 3  # one in so many of the functions over a box: all take an hour
EVALS = 20_000  # of a search over a box
HEAD = ("set", "measure", "ours", "peers", "must", "aim")
Cells = tuple[str, ...]


def solved(value: Any, minima: Iterable[float]) -> bool:
    return isinstance(value, float) and any(value <= m + RELATIVE * abs(m) + ABSOLUTE for m in minima if m is not None)


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
        good = solved(ours.value, known)
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
        other = solved(float(peer.fun), known)
        theirs += other
        if good and other:
            ratios.append(work / (2 * peer.nfev))
        if not good or ours.verdict.kind != "minimum":
            print(f"    {each['name']}: {ours.value!r} {ours.status} {ours.verdict.kind}; known {known}", flush=True)
    ratio = math.exp(sum(map(math.log, ratios)) / len(ratios))
    total = len(problems)
    return [
        ("MGH from the standard starts, auto", "solved", f"{won} of {total}", f"L-BFGS-B {theirs}", f"{total}", ""),
        ("the same", "false verdicts", f"{false}", "", "0", "0"),
        ("the same", "work / SciPy L-BFGS-B, geometric mean", f"{ratio:.2f}", "1", "≤ 1.0", "≤ 0.5"),
    ]


# ------------------------------------------------------------------ over a box


def global_() -> list[Cells]:
    published = {each["name"].lower() for each in case_file("global_functions.json")}
    entries = [library.get(name) for name in library.names() if name in published][::STRIDE]
    won = 0
    for entry in entries:
        ours = optcli.minimize(entry.name, bounds="domain", starts=10**6, max_evals=EVALS, every=0)
        good = solved(ours.value, [entry.minima[0].value])
        won += good
        if not good:
            print(
                f"    {entry.name}: {ours.value!r}, known {entry.minima[0].value!r}; {ours.starts} starts", flush=True
            )
    share = won / len(entries)
    label = f"functions of the SciPy benchmark, one in {STRIDE}, over their domains, {EVALS:,} gradients"
    return [(label, "solved", f"{won} of {len(entries)}, {share:.1%}", "", "92 %", "96 %")]


# ------------------------------------------------------------------ many variables


def large() -> list[Cells]:
    from scipy.optimize import minimize

    rows = []
    for n in (10**4, 10**5):
        won, theirs, total, ratios = 0, 0, 0, []
        for each in case_file("large_scale.json"):
            name = each["name"].lower()
            size = n - n % int(each.get("n_multiple_of", 1))
            total += 1
            began = time.perf_counter()
            try:
                ours = optcli.minimize(name, params={"n": size}, every=0, max_time=MOST)
            except optcli.ExpressionError as error:  # n² terms are more than a text may have
                print(f"    {name} {size}: {error.message}", flush=True)
                continue
            mine = time.perf_counter() - began
            x0 = np.concatenate([np.ravel(part) for part in ours.preview.layout.split(ours.preview.start).values()])
            both = native(name, size)
            both(x0)
            began = time.perf_counter()
            peer = minimize(both, x0, jac=True, method="L-BFGS-B", options={"maxiter": 15_000, "maxfun": 15_000})
            took = time.perf_counter() - began
            lowest = min(ours.value, float(peer.fun))
            params = {"n": size} if "n" in each["f_star"] else {}
            known = lowest if each["f_star"] == "numeric" else optcli.function(each["f_star"], params=params)()
            good = solved(ours.value, [known])
            won += good
            theirs += solved(float(peer.fun), [known])
            if good:
                ratios.append(mine / took)
            print(
                f"    {name} {size}: {ours.value:.6g} {ours.status} {mine:.2f} s; {peer.fun:.6g} {took:.2f} s",
                flush=True,
            )
        ratio = math.exp(sum(map(math.log, ratios)) / max(1, len(ratios)))
        rows.append((f"large problems, n = {n:,}", "solved", f"{won} of {total}", f"{theirs}", "as many", "all"))
        rows.append(
            (
                "the same",
                "seconds, parsing and compiling included / SciPy L-BFGS-B on our compiled gradient, geometric mean",
                f"{ratio:.2f}",
                "1",
                "≤ 0.3",
                "≤ 0.1",
            )
        )
    return rows


def native(name: str, size: int) -> Callable[[Any], Any]:
    """Value and gradient for SciPy: our native code, compiled beforehand, which is faster than any other peer's."""
    entry = library.get(name)
    return build(entry.expression, {**entry.params, "n": float(size)}).compiled().value_and_gradient


SETS: dict[str, Callable[[], list[Cells]]] = {
    "mgh": mgh, "bounds": bounds, "global": global_, "large": large, "verdicts": verdicts, "fast": fast,
    "adversarial": adversarial,
}  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("sets", nargs="*", help=f"of {', '.join(SETS)}; all by default")
    arguments.add_argument("--write", action="store_true", help="keep the result in docs/performance.md")
    given = arguments.parse_args()
    lines = [line(HEAD), line(["---"] * len(HEAD))]
    about = header(" ".join(["python benchmarks/sets.py", *sys.argv[1:]]))
    print("\n".join([*about, "", *lines]), flush=True)
    for name in given.sets or SETS:
        for cells in SETS[name]():
            lines.append(line(cells))
            print(lines[-1], flush=True)
    if given.write:
        keep([*about, "", *lines], BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
