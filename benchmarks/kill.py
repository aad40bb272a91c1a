"""Kill a run 500 times: `python benchmarks/kill.py [KILLS] [SEED]`.

A run of each method on each engine writes a checkpoint at every step, is killed (SIGKILL) at a random moment, goes on
from what it left, is killed again …; then it goes on to an end, which must have the digits of the run that was never
killed. Every file found after a kill must be whole. Methods and engines take turns. Exit 0 only if nothing differs.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from optcli.checkpoint import read
from optcli.objective import native_works
from optcli.optimize.methods import METHODS, find

TEXT = "exp(sin(x)) + x**2*log(2 + y**2) + (y - 1)**2"
ROUND = 10  # kills of one run
LONGEST = 0.05  # s from the first new checkpoint to the kill
WAIT = 60.0  # s for a checkpoint to appear
SLOW = 1e-5  # learning rate: no run shall come to its end by itself
# a checkpoint at every step, in a process like any other
CHILD = """
import sys
import optcli.keeping, optcli.optimize.problem, optcli.compiled
optcli.keeping.BETWEEN, optcli.keeping.SHARE = 0.0, 0
optcli.optimize.problem.PATIENCE = optcli.compiled.PATIENCE = -1.0
from optcli.cli import main
sys.exit(main(sys.argv[1:]))
"""
QUIET = ("--format", "json", "--quiet")
SAME = ("x", "value", "gradient", "history", "evaluations", "iterations", "status", "verdict")


def child(*words: str) -> list[str]:
    return [sys.executable, "-c", CHILD, *words]


def kill_once(command: list[str], file: Path, delay: float) -> bool:
    """Whether the process was killed; False where it came to its end before."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        late = time.monotonic() + WAIT
        while (not file.exists() or file.stat().st_mtime_ns == before) and time.monotonic() < late:
            if running.poll() is not None:
                return False
            time.sleep(0.001)
        time.sleep(delay)
        running.kill()
        return running.wait() < 0


def result(*words: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-m", "optcli", *words, *QUIET], capture_output=True, text=True, check=False)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def campaign(method: str, engine: str, kills: int, chance: random.Random, folder: Path) -> tuple[int, list[str]]:
    """How often the run was killed, and what was wrong."""
    file = folder / f"{method}-{engine}.ckpt"
    words = ["minimize", TEXT, "--start", "x=-1,y=2", "--method", method, "--engine", engine, "--every", "1000"]
    if "lr" in find(method).__dataclass_fields__:
        words += ["--lr", str(SLOW)]
    command = child(*words, "--iters", str(10**9), "--tol", "0", "--checkpoint", str(file), *QUIET)
    done = 0
    for _ in range(kills):
        if not kill_once(command, file, chance.uniform(0.0, LONGEST)):
            break
        done += 1
        read(file)  # raises where it is not whole
        command = child("resume", str(file), *QUIET)
    end = str(read(file).iterate.iteration + 20)
    rest, whole = result("resume", str(file), "--iters", end), result(*words, "--iters", end, "--tol", "0")
    wrong = [f"{method} on {engine}: {key} differs" for key in SAME if rest[key] != whole[key]]
    left = [name for name in os.listdir(folder) if name.startswith(".optcli-")]
    return done, wrong + [f"{method} on {engine}: {name} is left" for name in left]


def main(kills: int = 500, seed: int = 0) -> int:
    chance = random.Random(seed)
    pairs = [(method, engine) for method in METHODS for engine in ("numpy", *(("native",) if native_works() else ()))]
    done, wrong, began = 0, list[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        turn = 0
        while done < kills and turn < 10 * (kills // ROUND + len(pairs)):
            method, engine = pairs[turn % len(pairs)]
            place = Path(folder) / str(turn)
            place.mkdir()
            count, errors = campaign(method, engine, min(ROUND, kills - done), chance, place)
            done, wrong, turn = done + count, wrong + errors, turn + 1
            print(f"{done:4d} kills, {len(wrong)} wrong: {method} on {engine}, {count} kills", flush=True)
    print("\n".join([f"{done} kills, {len(wrong)} wrong, {time.monotonic() - began:.0f} s", *wrong]))
    return 1 if wrong or done < kills else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
