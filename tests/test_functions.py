"""Every named function: its file, its known minima, and its value against the formula of the benchmark suites."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import optcli
from optcli import library

DATA = Path(__file__).parent / "data"
GLOBAL: list[dict[str, Any]] = json.loads((DATA / "global_functions.json").read_text(encoding="utf-8"))
LARGE: list[dict[str, Any]] = json.loads((DATA / "large_scale.json").read_text(encoding="utf-8"))
NAMES = library.names()
MINIMA = [pytest.param(name, k, id=f"{name}-{k}") for name in NAMES for k in range(len(library.get(name).minima))]

KEYS = ("name", "summary", "expression", "params", "start", "domain", "minima", "reference", "notes")
OPTIONAL = {"params", "notes"}

# Where the gradient at a known minimizer inside the domain need not be near zero.
NOT_FLAT = {
    "dolan": "the absolute value of one equation: a kink, with rounding on one side of it",
    "meyer": "smooth, but second derivatives of 1e14 turn the rounding of x into 1e-3",
    "mishra03": "the floor of a groove, where the square root is infinitely steep",
    "newfunction01": "the floor of a groove, where the square root is infinitely steep",
    "newfunction02": "the floor of a groove, where the square root is infinitely steep",
    "weierstrass": "smooth, but terms of 1e4 that cancel in real numbers do not in doubles",
    "zimmerman": "the corner of five penalties",
}

# The suites' formula belongs to other parameters than the library's.
PARAMS = {"rosenbrock": {"b": 100}}

# Where the suites' bounds reach into places in which doubles say nothing.
BOUNDS = {"devilliersglasser02": {4: (1, 3)}}  # cos(t*exp(x5)) is chaotic beyond, says the source

# The entries of our vectors, in the order of our variables, as indices into x1, x2, … of the suites.
ORDER = {"lennardjones": [0, 3, 1, 4, 2, 5]}  # atoms there one after the other, here as vectors x, y, z


def point_of(minimum: library.Minimum) -> dict[str, Any]:
    return {str(entry.name): entry.value for entry in minimum.x}


def flat(point: dict[str, Any]) -> dict[str, list[float]]:
    return {name: list(np.atleast_1d(value)) for name, value in point.items()}


def shaped(name: str, numbers: list[float]) -> dict[str, Any]:
    """`numbers` as a point of the function, in the order of its variables."""
    template = point_of(library.get(name).minima[0])
    rest = iter(numbers)
    return {
        key: [next(rest) for _ in value] if isinstance(value, list) else next(rest)
        for key, value in sorted(template.items())
    }


def suite_value(expression: str, x: list[float]) -> float:
    """The suites' formula by Python's own parser and arithmetic; the text is our test data, not a user's."""
    names: dict[str, Any] = {f"x{i}": np.float64(v) for i, v in enumerate(x, 1)}
    names |= {name: getattr(np, name) for name in ("sin", "cos", "tanh", "exp", "log", "sqrt", "floor", "sign", "pi")}
    names |= {"Abs": abs, "Max": max, "Piecewise": lambda *pairs: next(value for value, holds in pairs if holds)}
    with np.errstate(all="ignore"):
        return float(eval(expression, {"__builtins__": {}}, names))


def test_there_are_the_functions_of_the_suites() -> None:
    wanted = {item["name"].lower() for item in (*GLOBAL, *LARGE)}
    assert wanted <= set(NAMES)
    assert len(NAMES) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_the_file(name: str) -> None:
    path = library.functions_folder() / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    keys = list(yaml.safe_load(text))
    assert keys == [key for key in KEYS if key in keys]
    assert set(KEYS) - set(keys) <= OPTIONAL
    assert "\n\n" not in text
    assert max(map(len, text.splitlines())) <= 120
    entry = library.get(name)
    assert entry.name == name == name.lower()
    assert re.fullmatch(r"[A-Z].{10,110}\.", entry.summary), "one sentence"
    assert entry.reference
    assert entry.minima


@pytest.mark.parametrize("name", NAMES)
def test_the_variables(name: str) -> None:
    """The order of the variables is the alphabetical one, and start, domain and minima name them all."""
    entry, variables = library.get(name), optcli.function(name).variables
    assert list(variables) == sorted(variables)
    assert {bound.name for bound in entry.domain} == set(variables)
    assert {start.name for start in entry.start} == set(variables)
    for minimum in entry.minima:
        assert set(point_of(minimum)) == set(variables)


@pytest.mark.parametrize("name", NAMES)
def test_the_start(name: str) -> None:
    """It lies in the domain, value and gradient are finite there, and it is no minimizer."""
    entry, f = library.get(name), optcli.function(name)
    result = optcli.minimize(name, iters=0)
    assert result.status == "completed"
    record = result.to_dict()
    assert record["start_origin"] == "library"
    for bound in entry.domain:
        values = np.asarray(record["start"][bound.name])
        assert np.all((float(bound.lower) <= values) & (values <= float(bound.upper)))
    assert math.isfinite(record["value"])
    assert all(np.all(np.isfinite(part)) for part in f.gradient(record["start"]).values())
    assert record["value"] > min(minimum.value for minimum in entry.minima)


@pytest.mark.parametrize(("name", "k"), MINIMA)
def test_the_value_at_a_minimum(name: str, k: int) -> None:
    minimum = library.get(name).minima[k]
    assert optcli.function(name)(point_of(minimum)) == pytest.approx(minimum.value, rel=1e-6, abs=1e-6)


def largest_interior_gradient(name: str, k: int) -> float:
    """The largest entry of the gradient at a minimizer, of those entries that are not on the edge of the domain."""
    entry = library.get(name)
    point = point_of(entry.minima[k])
    gradient = flat(optcli.function(name).gradient(point))
    sides = {bound.name: (bound.lower, bound.upper) for bound in entry.domain}
    inner = [
        abs(g)
        for key, values in flat(point).items()
        for x, g in zip(values, gradient[key], strict=True)
        if x not in sides[key]
    ]
    return max(inner, default=0.0)


@pytest.mark.parametrize(("name", "k"), MINIMA)
def test_the_gradient_at_a_minimum(name: str, k: int) -> None:
    scale = max(1.0, abs(float(library.get(name).minima[k].value)))
    is_flat = largest_interior_gradient(name, k) <= 1e-6 * scale
    assert is_flat == (name not in NOT_FLAT)


@pytest.mark.parametrize("item", GLOBAL, ids=lambda item: item["name"])
def test_the_suites_formula(item: dict[str, Any]) -> None:
    """Value at random points of the suites' box."""
    name = item["name"].lower()
    f = optcli.function(name, params=PARAMS.get(name, {}))
    source = random.Random(name)
    for _ in range(3):
        box = [BOUNDS.get(name, {}).get(k, side) for k, side in enumerate(item["bounds"])]
        x = [source.uniform(low, high) for low, high in box]
        ours = [x[k] for k in ORDER.get(name, range(len(x)))]
        expected = suite_value(item["expression"], x)
        assert f(shaped(name, ours)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("item", GLOBAL, ids=lambda item: item["name"])
def test_the_suites_minimum(item: dict[str, Any]) -> None:
    minimum = library.get(item["name"]).minima[0]
    assert minimum.value == pytest.approx(item["best_known_f"], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "item", [item for item in GLOBAL if "general_n" in item and item["name"] != "Rosenbrock"], ids=lambda i: i["name"]
)
def test_the_minimum_for_five_variables(item: dict[str, Any]) -> None:
    """What the suites state for any n holds for the indexed form."""
    name, stated, n = item["name"].lower(), item["general_n"], 5
    expected = stated["minimum"] * (n if stated["times_n"] else 1)
    f = optcli.function(name, params={"n": n})
    size = n - 1 if name == "mishra01" else n  # whose last coordinate is in no term
    assert f({"x": [stated["coordinate"]] * size}) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("item", LARGE, ids=lambda item: item["name"])
def test_the_standard_start_of_a_scalable_function(item: dict[str, Any], n: int) -> None:
    result = optcli.minimize(item["name"], params={"n": n}, iters=0)
    # the start 1/n makes the trigonometric function a difference of nearly equal numbers
    rel = 1e-9 if item["name"] != "TRIGONOMETRIC" else 1e-6
    assert result.value == pytest.approx(item["f_start"][str(n)], rel=rel)
