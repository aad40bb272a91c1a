"""BLAS: digits do not depend on the number of its threads, as inner products of long vectors are added by blocks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RUN = """
import numpy as np
from optcli.optimize.methods import make
from optcli.optimize.problem import Problem
from optcli.optimize.solve import Stop, solve

n = 50_000  # beyond optcli.optimize.products.SHORT, where BLAS shares a product
random = np.random.default_rng(0)
c, t = random.uniform(0.1, 50.0, n), random.normal(size=n)

def both(x):
    r = x - t
    return float(np.add.reduce(c * r**2 + np.cosh(x))), 2 * c * r + np.sinh(x)

for name, settings, bounded in {cases}:
    lower = np.full(n, -0.5) if bounded else None
    problem = Problem(n, lambda x: both(x)[0], both, lower=lower, product=lambda x, v: (2 * c + np.cosh(x)) * v)
    end = solve(problem, make(name, settings), np.zeros(n), Stop(iters=12, tol=0.0)).iterate
    print(name, float.hex(end.value), end.x.tobytes().hex()[:4000], [float(np.sum(s)).hex() for s in end.state])
"""
CASES = [
    ("gd", {"clip_norm": 1.0}, False),
    ("bb", {}, True),
    ("bb", {"length": "long", "weight_decay": 0.1}, True),
    ("cg", {}, False),
    ("lbfgs", {}, False),
    ("projected_gradient", {}, True),
    ("lbfgsb", {}, True),
    ("newton", {}, False),
    ("projected_newton", {}, True),
]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="BLAS has one thread here in any case")
def test_runs_have_the_same_digits_with_one_thread_and_two() -> None:
    code = RUN.replace("{cases}", repr(CASES))
    one, two = (
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for threads in ("1", "2")
    )
    assert len(one) == len(CASES)
    for case, first, second in zip(CASES, one, two, strict=True):
        assert first == second, case


@pytest.mark.parametrize(("given", "wanted"), [(None, "1"), ("3", "3")])
def test_the_program_has_one_blas_thread_unless_told_otherwise(given: str | None, wanted: str) -> None:
    code = (
        "import os, sys\nfrom optcli.__main__ import main\nsys.argv = ['optcli', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)"
    )
    environ = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    environ |= {"OPENBLAS_NUM_THREADS": given} if given else {}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{wanted} False"
