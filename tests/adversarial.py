"""Adversarial problems with their facts, and the runs that every one of them gets: each method, and auto."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from claims import Truth, at, everywhere, when

import optcli
from optcli.optimize.methods import METHODS, find
from optcli.optimize.methods.first_order import FirstOrder

ROOT_HALF = math.sqrt(0.5)
RUNS: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in METHODS},
    "auto": {},
    "auto from 4 starts": {"starts": 4},
}
FIRST = {name for name in METHODS if issubclass(find(name), FirstOrder)}
BOUNDED = {name for name in RUNS if name not in METHODS or find(name).bounded}


def tied(x: Any) -> float:
    """From where two of x, −x and y are the largest."""
    a, b = abs(x[0]), x[1]
    return float(min(a if b <= 0.0 else math.inf, abs(a - b) if b >= 0.0 else math.inf))


CROSS = Truth(minima=at((0, ROOT_HALF), (0, -ROOT_HALF)), saddles=at((0, 0)))
BELOW = Truth(endless=everywhere)
NOTHING = Truth()
FAR_OUT = when(lambda x: abs(x[0]) > 15.0)
NAN = Truth(undefined=everywhere)

# ---- function, start, settings, what is true of it

FACTS: list[tuple[str, str, dict[str, Any], Truth]] = [
    ("x**2 - y**2 + y**4", "1,0", {}, CROSS),
    ("1e10*(x-1)**2 + 1e-6*(y-1e5)**2", "3,3", {}, Truth(minima=at((1, 1e5)))),
    ("1e10*(x-1)**2 + 1e-6*(y-1e5)**2", "3,3", {"tol": 1.0}, Truth(minima=at((1, 1e5)))),
    ("log(-1 - x**2)", "1", {}, NAN),
    ("abs(x-pi) + abs(y-pi)", "0,0", {},
     Truth(minima=at((math.pi, math.pi)), kinks=lambda x: float(np.min(np.abs(x - math.pi))))),
    ("abs(x-pi) + abs(y-pi)", "pi,pi", {},
     Truth(minima=at((math.pi, math.pi)), kinks=lambda x: float(np.min(np.abs(x - math.pi))))),
    ("-x**2 - y**2", "1,1", {}, Truth(maxima=at((0, 0)), endless=everywhere)),
    ("x + y", "1,1", {}, BELOW),
    ("-exp(x)", "0", {}, BELOW),
    ("x**4", "1", {"tol": 1e-7}, Truth(minima=at(0))),
    ("x**4 + y**2", "1,1", {"tol": 1e-6}, Truth(minima=at((0, 0)))),
    ("exp(-x)", "1", {"tol": 1e-5, "lr": 0.5}, NOTHING),
    ("exp(-x)", "20", {}, NOTHING),
    ("exp(-x)", "800", {}, Truth(faint=FAR_OUT)),  # the value underflows to 0
    ("-exp(-x**2)", "6", {}, Truth(minima=at(0), faint=FAR_OUT)),
    ("-exp(-x**2)", "40", {}, Truth(minima=at(0), faint=FAR_OUT)),
    ("tanh(x)**2", "25", {}, Truth(minima=at(0))),  # 1 at all doubles far out
    ("-exp(-x**2) + y**2", "40,1", {}, Truth(minima=at((0, 0)), faint=FAR_OUT)),
    ("x**2/(1 + x**2) + y**4", "1e9,0.1", {}, Truth(minima=at((0, 0)), faint=FAR_OUT)),  # noise
    ("x**3", "1", {"tol": 1e-7}, Truth(turns=at(0), endless=everywhere)),
    ("1 + x**3", "1", {"tol": 1e-7}, Truth(turns=at(0), endless=everywhere)),
    ("log(x)", "1", {"lr": 0.3}, Truth(endless=everywhere, undefined=when(lambda x: x[0] <= 0.0))),
    ("sqrt(x)", "4", {"lr": 10.0}, Truth(kinks=at(0), undefined=when(lambda x: x[0] <= 0.0))),
    ("1/x", "1", {"tol": 1e-4, "lr": 0.5}, Truth(endless=when(lambda x: x[0] < 0.0), undefined=at(0))),
    ("abs(x)", "1", {"lr": 0.3}, Truth(minima=at(0), kinks=at(0))),
    ("abs(x)", "0", {}, Truth(minima=at(0), kinks=at(0))),
    ("max(x, -x, y)", "0.3,1", {}, Truth(minima=lambda x: max(abs(x[0]), x[1], 0.0), kinks=tied)),
    ("max(x, -x, y)", "0.3,-1", {}, Truth(minima=lambda x: max(abs(x[0]), x[1], 0.0), kinks=tied)),
    ("x*abs(x)", "1", {}, Truth(turns=at(0), kinks=at(0), endless=everywhere)),
    ("0*x", "1", {}, Truth(minima=everywhere)),
    ("(x + y)**2", "1,2", {}, Truth(minima=lambda x: float(abs(x[0] + x[1])))),
    ("x**2 + 1e-300*y**2", "1,1", {}, Truth(minima=at((0, 0)))),
    ("1e-12*x**2", "1", {}, Truth(minima=at(0))),
    ("-(x-1)**2", "1", {}, Truth(maxima=at(1), endless=everywhere)),
    ("x**2 + 0*log(x - 2)", "1", {}, Truth(undefined=when(lambda x: x[0] <= 2.0))),
    ("-x + 0*sqrt(11.5 - x)", "0", {"lr": 1.0},  # gradient descent comes to NaN with its twelfth update
     Truth(kinks=at(11.5), undefined=when(lambda x: x[0] >= 11.5))),
    ("(x-2)**2 + log(x - 3)", "3.5", {"lr": 0.05}, Truth(endless=everywhere, undefined=when(lambda x: x[0] <= 3.0))),
    ("rosenbrock", "-1.2,1", {"params": {"b": 1e6}, "iters": 50, "tol": 1e-8, "lr": 1e-8}, Truth(minima=at((1, 1)))),
    ("rosenbrock", "-1.2,1", {"params": {"b": 100}, "lr": 1e-3}, Truth(minima=at((1, 1)))),
    ("(x-3)**2 + x*y + y**2", "0,0", {"lr": 0.1}, Truth(minima=at((4, -2)))),
]  # fmt: skip


# ---- within bounds: function, start, bounds, settings, what is true of it there

BROWN = "(x-1e6)**2 + (y-2e-6)**2 + (x*y-2)**2"
LEADS_DOWN = "-0.1*x + abs(x-y)"
BOXED: list[tuple[str, str, dict[str, Any], dict[str, Any], Truth]] = [
    ("x**2 - y**2 + y**4", "1,0", {"x": [-1e3, 1e3], "y": [-1e3, 1e3]}, {}, CROSS),
    ("x + y", "1,1", {"x": [-1e3, 1e3], "y": [-1e3, 1e3]}, {}, Truth(minima=at((-1e3, -1e3)))),
    ("x + y", "1,1", {"x": [-1e3, None]}, {}, BELOW),
    ("-x**2 - y**2", "1,1", {"x": [-9, 10], "y": [-7, 8]}, {},
     Truth(minima=at((-9, -7), (-9, 8), (10, -7), (10, 8)), maxima=at((0, 0)), saddles=at((0, 8), (0, -7), (10, 0)))),
    ("x**3", "1", {"x": [-1e2, 1e2]}, {"tol": 1e-7}, Truth(minima=at(-1e2), turns=at(0))),
    ("exp(-x)", "1", {"x": [-5, 1e4]}, {"lr": 0.5}, Truth(minima=at(1e4), faint=when(lambda x: x[0] > 700.0))),
    ("log(x)", "1", {"x": [0.01, 9]}, {"lr": 0.3}, Truth(minima=at(0.01))),
    ("sqrt(x)", "4", {"x": [0.25, 9]}, {"lr": 10.0}, Truth(minima=at(0.25))),
    ("1/x", "1", {"x": [0.01, 1e3]}, {"lr": 0.5, "tol": 1e-4}, Truth(minima=at(1e3))),
    ("x*y", "0,0", {"x": [0, 1], "y": [0, 1]}, {}, Truth(minima=lambda x: float(np.min(np.abs(x))))),
    ("x*y", "-4e5,5e5", {"x": [-8e5, None], "y": [-4e5, 1e6]}, {}, Truth(minima=at((-8e5, 1e6)), endless=everywhere)),
    ("abs(x) - y", "1,1", {"y": [-2, 3]}, {}, Truth(minima=at((0, 3)), kinks=lambda x: float(abs(x[0])))),
    ("-exp(-x**2 - y**2)", "7.2,1", {"x": [-9, 7.2], "y": [-2, 1]}, {}, Truth(minima=at((0, 0)))),
    (LEADS_DOWN, "1e5,9e4", {"x": [None, 2.8e5], "y": [None, 2.78229e5]}, {},
     Truth(minima=at((2.78229e5, 2.78229e5)), kinks=lambda x: float(abs(x[0] - x[1]) / max(1.0, x[0])))),
    (BROWN, "1,1", {"x": [0, 5e5], "y": [0, 1]}, {"tol": None}, Truth(minima=at((5e5, 4e-6)))),
    (BROWN, "1,1", {"x": [0, 10], "y": [0.5, 4]}, {"tol": None}, Truth(minima=at((10, 0.5)))),
]  # fmt: skip


def outcome_of(text: str, name: str, start: str, settings: dict[str, Any], bounds: Any = None) -> Any:
    """The run `name`; settings with a tolerance of None take the default one, which holds where no iters are given."""
    given: dict[str, Any] = {"iters": 3000, "tol": 1e-8, "every": 0, **settings, **RUNS[name]}
    if given["tol"] is None:
        given |= {"iters": None, "max_evals": 3000}
    rate = given.pop("lr", 0.01)
    if name in FIRST:
        given["lr"] = rate
    return optcli.minimize(text, start=start, **given, **({} if bounds is None else {"bounds": bounds}))
