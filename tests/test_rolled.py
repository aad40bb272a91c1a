"""Long sums of terms of one form: the same numbers as term by term, from a graph that does not grow with the terms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optcli.autograd.gradient import gradient
from optcli.autograd.graph import Graph, check_graph
from optcli.autograd.rolled import LEAST_LANES, LEAST_TERMS, rolled
from optcli.build import build
from optcli.engine.native.plan import NativePlan
from optcli.engine.numpy_engine import evaluate
from optcli.objective import MANY_NODES

EPS = 2.0**-52


def terms(form: Callable[[int], str], count: int = 200, sign: str = "+") -> str:
    return f" {sign} ".join(form(k) for k in range(1, count + 1))


SINES = terms(lambda k: f"sin(x{k})*{k}.5")
# text, the most nodes of its rolled graph besides inputs and constants; exact: + − * / and squares alone
TEXTS: dict[str, tuple[str, int, bool]] = {
    "one form": (terms(lambda k: f"(x{k} - {k})**2*x{k}"), 10, True),
    "subtracted": (terms(lambda k: f"(x{k} - {k})**2", sign="-"), 12, True),
    "entries of a vector": (terms(lambda k: f"(x[{k}] - {k})**2*x[{k + 1}]"), 10, True),
    "entries with a step": (terms(lambda k: f"(x[{2 * k}] + x[{2 * k - 1}])**2"), 10, True),
    "one variable in all": (terms(lambda k: f"(x{k} - y)**2/{k}"), 10, True),
    "few variables": (terms(lambda k: f"{k}*x{k % 7}*x{k % 11}"), 12, True),
    "parameters": (terms(lambda k: f"a*x{k}**2"), 8, True),
    "two forms by turns": (terms(lambda k: f"(x{k} - {k})**2" if k % 2 else f"x{k}*{k}.5"), 16, True),
    "a few of another form": (terms(lambda k: f"x{k}**2" if k % 50 else f"x{k}*x1*y"), 30, True),
    "a term again and again": (terms(lambda k: f"x*{k}*y" if k % 2 else "x*y"), 14, True),
    "powers": (terms(lambda k: f"{k}*x{k}**{k % 5}"), 30, False),
    "functions": (terms(lambda k: f"exp(-x{k}**2/{k})*cos(x{k})"), 14, False),
    "choices": (terms(lambda k: f"where(x{k} > 0, x{k}, -{k}*x{k}) + max(x{k}, y, 0.1)"), 24, True),
    "a sum inside": (f"exp(-({SINES})**2/1e6) + y**2", 14, False),
    "a sum inside of a sum": (f"s = {SINES}; " + terms(lambda k: f"cos(s/1000)*x{k} - s*{k}"), 24, False),
    # sin of a variable and sin of what sines of variables were summed to may look alike
    "a form of its own sum": (f"s = {SINES}; {SINES} + sin(s)*3.5", 16, False),
    "one sum within the other": (
        f"s = {terms(lambda k: f'x{k}*{k}')}; t = {terms(lambda k: f's*x{k}*{k}')}; s*t + {terms(lambda k: f't*x{k}')}",
        30,
        True,
    ),
}


def graphs(text: str) -> tuple[Graph, Graph, list[float]]:
    """As typed, rolled, and a point."""
    objective = build(text, {"a": 3.0} if "a*" in text else None, engine="numpy")
    x = np.random.default_rng(3).normal(size=objective.layout.size)
    return objective.graph, rolled(objective.graph), objective.inputs(x)


def flat(parts: list[object]) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in parts])


@pytest.mark.parametrize("name", TEXTS)
def test_values_and_gradients_stay(name: str) -> None:
    text, most, exact = TEXTS[name]
    typed, short, at = graphs(text)
    check_graph(short)
    assert len(short) <= most < len(typed)
    wanted, found = (flat(evaluate(gradient(graph), at)) for graph in (typed, short))
    native = flat(NativePlan(gradient(short))(*at))
    if exact:
        assert found[0] == native[0] == wanted[0]  # the order typed, to the last digit
    scale = np.abs(wanted).max()
    assert np.abs(found - wanted).max() <= 64 * EPS * scale
    assert np.abs(native - wanted).max() <= 64 * EPS * scale


def test_terms_are_added_in_the_order_typed() -> None:
    """1e16 + 1 + 1 + … keeps none of the ones; in any other order some would stay."""
    text = "1e16*x0 + " + terms(lambda k: f"x{k}*x{k}", 99) + " - 1e16*x0"
    typed, short, _ = graphs(text)
    ones = [1.0] * len(typed.inputs)
    assert len(short) < len(typed)
    assert evaluate(typed, ones) == evaluate(short, ones) == NativePlan(short)(*ones) == [0.0]


@pytest.mark.parametrize(
    "text",
    [
        terms(lambda k: f"x{k}**2", LEAST_TERMS - 1),
        terms(lambda k: f"f{k}".replace(f"f{k}", ["sin", "cos", "exp", "tan", "atan"][k % 5]) + f"(x{k})", 5 * 20),
        terms(lambda k: f"x{k}", 300),
        " * ".join(f"sin(x{k})" for k in range(200)),
    ],
    ids=["too few terms", "too few of each form", "terms without a form", "a product"],
)
def test_what_does_not_pay_stays_as_it_is(text: str) -> None:
    assert LEAST_LANES > 20
    typed, short, _ = graphs(text)
    assert short is typed


def mixed(outer: int) -> str:
    """A sum of 66 terms of three forms, none with enough terms to be rolled; the last one added or subtracted."""
    forms = ("sin(x{0})", "x{0}*y", "exp(x{0})")
    inner = [forms[k % 3].format((outer * 7 + k) % 40) for k in range(65)]
    return " + ".join(inner) + (" - " if outer % 2 else " + ") + f"x{outer % 40}*z"


def test_sums_that_are_not_rolled_within_one_that_is() -> None:
    """They are alike in nothing but that they are sums."""
    typed, short, at = graphs(terms(lambda k: f"cos(({mixed(k)})*0.01)", 80))
    assert len(short) < len(typed)
    check_graph(short)
    wanted, found = (flat(evaluate(gradient(graph), at)) for graph in (typed, short))
    assert np.abs(found - wanted).max() <= 64 * EPS * np.abs(wanted).max()
    assert np.abs(flat(NativePlan(gradient(short))(*at)) - wanted).max() <= 64 * EPS * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (terms(lambda k: f"atan2(x{k}, -1 - y{k}**2)*{k}", 100), -0.0),
        (terms(lambda k: f"1/x{k}*{k}" if k % 3 else f"2/(x{k}*(1 + y**2))", 120), -0.0),
        ("atan2(-y*z" + "".join(f"-y*sin(x{k})" if k % 2 else f"-y*x{k}" for k in range(200)) + ", -1)", 0.0),
    ],
)
def test_the_sign_of_zero_stays(text: str, start: float) -> None:
    typed, short, _ = graphs(text)
    assert len(short) < len(typed)
    at = [start] * len(typed.inputs)
    (wanted,) = evaluate(typed, at)
    (found,) = evaluate(short, at)
    assert found == pytest.approx(wanted, rel=1e-13)
    assert NativePlan(short)(*at)[0] == pytest.approx(wanted, rel=1e-13)


def test_the_cost_is_that_of_the_form() -> None:
    """Twice the terms, the same nodes in the graph of the gradient."""

    def nodes(count: int) -> int:
        return len(build(terms(lambda k: f"{k}*(x[{k}] - x[{k + 1}]**2)**2*sin(x[{k}])", count)).gradient_graph)

    assert nodes(1000) == nodes(2000) < 50


def test_objectives_are_rolled_where_they_are_long() -> None:
    short, long = (build(terms(lambda k: f"(x{k} - {k})**2", count)) for count in (MANY_NODES // 8, MANY_NODES))
    assert short.rolled_graph is short.graph
    assert len(long.rolled_graph) < 20
    x = np.random.default_rng(5).normal(size=long.layout.size)
    value, slope = long.value_and_gradient(x)
    assert value == sum((a - k) ** 2 for k, a in enumerate(x, 1))
    assert np.array_equal(slope, [2.0 * (a - k) for k, a in enumerate(x, 1)])
    v = np.ones(long.layout.size)
    assert np.array_equal(long.hvp(x, v), 2.0 * v)
