"""The language on many texts: values and gradients by mpmath, refusals with their place, habits explained."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optcli
from optcli import ExpressionError
from optcli.build import build
from optcli.errors import underline

DATA = Path(__file__).parent / "data"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def load(name: str) -> list[dict[str, Any]]:
    return json.loads((DATA / name).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def text_of(item: dict[str, Any]) -> str:
    given = item["input"]
    return given if isinstance(given, str) else "".join(part * times for part, times in given["parts"])


def number(value: Any) -> float:
    return float(value)


def point_of(at: dict[str, float]) -> dict[str, Any]:
    """{"x[0]": 1, "x[1]": 2} as a vector."""
    point: dict[str, Any] = {}
    for key, value in at.items():
        match = re.fullmatch(r"(\w+)\[(\d+)\]", key)
        if match:
            point.setdefault(match[1], []).append(value)
        else:
            point[key] = value
    return point


def same(got: float, expected: float, rtol: float) -> bool:
    if math.isnan(expected):
        return math.isnan(got)
    return got == expected or abs(got - expected) <= rtol * abs(expected)


def attempt(text: str, params: dict[str, float] | None = None) -> tuple[optcli.Function | None, ExpressionError | None]:
    """The function, or why it is refused."""
    try:
        return optcli.function(text, params=params), None
    except ExpressionError as error:
        return None, error


VALID = load("valid_expressions.json")
HOSTILE = load("hostile_expressions.json")


@pytest.mark.parametrize("item", VALID, ids=lambda item: item["id"])
def test_valid_expression(item: dict[str, Any]) -> None:
    text = text_of(item)
    f, refusal = attempt(text, item.get("params"))
    if f is None:
        assert item["must"] != "accept", str(refusal)
        assert refusal is not None
        assert refusal.remedy
        return
    assert item["must"] != "explain"
    rtol = max(item["rtol"], 1e-12)
    for case in item["points"]:
        point = {name: value for name, value in point_of(case["at"]).items() if name in f.variables}
        assert same(f(point), number(case["value"]), 10 * rtol)
        for name, expected in (case.get("grad") or {}).items():
            slope: Any = f.gradient(point)
            key, _, index = name.partition("[")
            got = slope[key][int(index[:-1])] if index else slope[key]
            assert same(float(got), number(expected), max(1e-8, 100 * rtol)), name


@pytest.mark.parametrize("item", HOSTILE, ids=lambda item: item["id"])
def test_hostile_expression(item: dict[str, Any]) -> None:
    text = text_of(item)
    f, refusal = attempt(text)
    if f is None:
        assert refusal is not None
        assert item["must"] == "reject", str(refusal)
        assert refusal.remedy
        start, end = refusal.span
        assert 0 <= start <= end <= len(text)
        assert len(str(refusal)) < 4000
        assert not CONTROL.search(str(refusal).replace("\n", ""))
        return
    assert item["must"] == "accept" or item.get("may") == "accept"
    f(dict.fromkeys(f.variables, 1.5))


REFUSED = [  # text, what is underlined, a word of the message or of the remedy
    ("x +* y", "+*", "together"),
    ("2x", "x", "2*x"),
    ("(x+1)(x-1)", "(", "*"),
    ("2 sin(x)", "sin", "*"),
    ("sin x", "sin x", "sin(x)"),
    ("sin^2(x)", "sin^2(", "sin(x)**2"),
    ("x²", "²", "x**2"),
    ("|x|", "|", "abs(x)"),
    ("x!", "!", "gamma(x + 1)"),
    ("1,5*x", ",", "1.5"),
    ("f(x) = x^2", "f(x) =", "formula alone"),
    ("x^2 + y = 1", "=", "definition"),
    (r"\frac{x}{2}", "\\", "LaTeX"),
    ("e^x", "e^", "exp(x)"),
    ("if(x>0,x,0)", "if", "where(condition, a, b)"),
    ("arcsin(x)", "arcsin", "asin(x)"),
    ("sine(x)", "sine", "sin"),
    ("foo(x)", "foo", "no function"),
    ("x(2) + x", "x", "x*"),
    ("sin + x", "sin", "sin("),
    ("sin(x, y)", "sin(x, y)", "1 argument"),
    ("х + 1", "х", "Latin letter x"),
    ("１ + x", "１", "1"),
    ("x–1", "–", "Write -"),
    ("numpy.sin(x)", ".", "sin(x)"),
    ("'x'", "'", "quotes"),
    ("x if x > 0 else y", "if", "where"),
    ("x > 0", "x > 0", "where"),
    ("where(x, 1, 2)", "x", "condition"),
    ("x and y", "x", "Compare"),
    ("1/0 + x", "0", "zero"),
    ("x/0", "0", "zero"),
    ("x + sqrt(-1)", "sqrt(-1)", "real"),
    ("x*(-8)**(1/3)", "(-8)**(1/3)", "real"),
    ("1e400*x", "1e400", "largest double"),
    ("I*x", "I", "real"),
    ("oo*x", "oo", "--bounds"),
    ("Sum(x[i], (i, 1, n))", "n", "--param n="),
    ("Sum(x[i])", "Sum(x[i])", "(i, 1, n)"),
    ("Sum(x[i*j], (i,1,3), (j,1,3))", "i*j", "product of two indices"),
    ("x[1] + x[3]", "x[1]", "never read"),
    ("x[1] + x", "x", "with an index and without"),
    ("x[1] + x[1,2]", "x[1,2]", "indices"),
    ("x[1.5]", "1.5", "whole"),
    ("Sum(x[i], (i, 1, 10**9))", "Sum(x[i], (i, 1, 10**9))", "100,000,000"),
    ("Sum(x[i]*y[j], (i, 1, 10**5), (j, 1, 10**5))", "Sum(x[i]*y[j], (i, 1, 10**5), (j, 1, 10**5))", "1,000,000,000"),
    ("a = 1; a = 2; a*x", "a", "twice"),
    ("x + a; a = 1; x", ";", "definition"),
    ("a = x;", ";", "value"),
    ("sum(x**2) + x", "x**2", "Sum(x[i]**2"),
    ("x[0", "[", "]"),
    ("(x + 1", "(", ")"),
    ("x + 1)", ")", "Delete"),
    ("x +", "+", "Complete"),
    ("", "", "empty"),
    ("x\u200b+1", "\u200b", "invisible"),
    ("x # y", "#", ".txt"),
]


@pytest.mark.parametrize(("text", "spot", "word"), REFUSED, ids=[text[:30] for text, *_ in REFUSED])
def test_refusal_points_at_the_spot_and_names_the_remedy(text: str, spot: str, word: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        optcli.function(text)
    start, end = caught.value.span
    assert text[start:end] == spot
    assert word in str(caught.value)


CARETS = [
    ("x + é", (4, 5), "    ^"),
    ("宽+x", (1, 2), "  ^"),  # a wide character takes two columns
    ("e\u0301+x", (2, 3), " ^"),  # a combining character takes none
    ("a\x07b", (2, 3), "     ^"),  # an escape is shown in full
    ("x\n+ yy", (4, 6), "  ^^"),  # the line of the spot
]


@pytest.mark.parametrize(("text", "span", "carets"), CARETS)
def test_caret_stands_under_the_spot(text: str, span: tuple[int, int], carets: str) -> None:
    assert underline(text, span)[1] == "  " + carets


def test_a_long_line_is_shown_around_the_spot() -> None:
    text = "x+" * 5000 + "foo(x)" + "+x" * 5000
    with pytest.raises(ExpressionError) as caught:
        optcli.function(text)
    shown, carets = underline(text, caught.value.span)
    assert len(shown) < 90
    assert shown[carets.index("^") :].startswith("foo")


VALUES = [  # text, params, point, value by hand
    ("-x**2", {}, {"x": 3}, -9.0),
    ("2**-x", {}, {"x": 1}, 0.5),
    ("x**y**2", {}, {"x": 2, "y": 3}, 512.0),
    ("a/b/c", {}, {"a": 8, "b": 2, "c": 2}, 2.0),
    ("x × y ÷ 2 − 1", {}, {"x": 3, "y": 4}, 5.0),
    ("log(x, 2)", {}, {"x": 8}, 3.0),
    ("r = x + 1; s = r*r; s - r", {}, {"x": 2}, 6.0),
    ("where(0 < x < 1, 1, 2)", {}, {"x": 0.5}, 1.0),
    ("where(0 < x < 1, 1, 2)", {}, {"x": 1}, 2.0),
    ("where(not x < 0 and (x > 5 or x == 2), 1, 2)", {}, {"x": 2}, 1.0),
    ("Piecewise((1, x < 0), (2, x < 1), (3, True)) + 0*x", {}, {"x": 5}, 3.0),
    ("Piecewise((1, x < 0)) + 0*x", {}, {"x": 5}, math.nan),
    ("x/x", {}, {"x": 0}, math.nan),
    ("cbrt(x)", {}, {"x": -8}, -2.0),
    ("Mod(x, 3)", {}, {"x": -1}, 2.0),
    ("Heaviside(x)", {}, {"x": 0}, 0.5),
    ("Max(x, y)", {}, {"x": math.nan, "y": 1}, math.nan),
    ("softplus(800 + x)", {}, {"x": 0}, 800.0),
    ("Sum(i*x[i], (i, 1, n))", {"n": 3}, {"x": [1, 2, 3]}, 14.0),
    ("Sum(x[i], (i, 0, n-1))", {"n": 3}, {"x": [1, 2, 3]}, 6.0),
    ("Sum(x[2*i-1] - x[2*i], (i, 1, n/2))", {"n": 4}, {"x": [1, 2, 3, 5]}, -3.0),
    ("Sum(2, (i, 1, 5)) + 0*x", {}, {"x": 1}, 10.0),
    ("Product(2, (i, 1, 5)) + 0*x", {}, {"x": 1}, 32.0),
    ("Sum(x, (i, 3, 1)) + x", {}, {"x": 7}, 7.0),
    ("Product(x, (i, 3, 1)) + x", {}, {"x": 7}, 8.0),
    ("Product(x[i], (i, 1, 5))", {}, {"x": [1, 2, 3, 4, 5]}, 120.0),
    ("Sum(Sum(x[j], (j, 1, i))**2, (i, 1, n))", {"n": 3}, {"x": [1, 2, 3]}, 46.0),
    ("Sum(Product(x[j], (j, 1, i)), (i, 1, 3))", {}, {"x": [2, 3, 4]}, 32.0),
    ("Sum(i*j, (i, 1, j), (j, 1, 3)) + 0*x", {}, {"x": 0}, 25.0),  # 1·1 + 2·(1+2) + 3·(1+2+3)
    ("Sum(x[i+j], (i, 0, 1), (j, 0, 1))", {}, {"x": [1, 10, 100]}, 121.0),
    ("i + Sum(i, (i, 1, 3))", {}, {"i": 100}, 106.0),  # the index hides the variable
    ("Sum(Sum(i, (i, 1, 2)) + i, (i, 1, 3)) + 0*x", {}, {"x": 0}, 15.0),
    ("Sum(A[i,j]*x[i]*x[j], (i, 1, 2), (j, 1, 2))", {}, {"A": [[1, 2], [3, 4]], "x": [1, 10]}, 451.0),
    ("A[1,1] + A[1,2] + A[2,1] + 2*A[2,2]", {}, {"A": [[1, 2], [3, 4]]}, 14.0),
    ("x[1] + x[2] + sum(x) + norm(x)", {}, {"x": [3, 4]}, 19.0),
    ("dot(x, y) + 0*x[1] + 0*x[2] + 0*y[1] + 0*y[2]", {}, {"x": [1, 2], "y": [3, 4]}, 11.0),
]


@pytest.mark.parametrize(("text", "params", "point", "expected"), VALUES, ids=[case[0][:40] for case in VALUES])
def test_value(text: str, params: dict[str, float], point: dict[str, Any], expected: float) -> None:
    got = optcli.function(text, params=params)(point)
    assert math.isnan(got) if math.isnan(expected) else got == pytest.approx(expected, rel=1e-15)


def test_order_of_variables_is_that_of_their_first_appearance() -> None:
    assert optcli.function("s = z + a; b*s + a + x[1]").variables == ("z", "a", "b", "x")


def test_data_are_read_from_1_or_from_0_where_the_text_does() -> None:
    data = {"A": np.array([10.0, 20.0, 30.0])}
    assert build("x*A[1] + A[3]", data=data).value(np.array([1.0])) == 40.0
    assert build("x*A[0] + A[2]", data=data).value(np.array([1.0])) == 40.0
    with pytest.raises(ExpressionError, match="indices 1 to 3"):
        build("x*A[4]", data=data)


LIMITS = [  # just within, one beyond
    ("(" * 200 + "x" + ")" * 200, "(" * 201 + "x" + ")" * 201),
    ("x" + "**x" * 200, "x" + "**x" * 201),
    ("-" * 200 + "x", "-" * 201 + "x"),
    ("sin(" * 200 + "x" + ")" * 200, "sin(" * 201 + "x" + ")" * 201),
    ("0." + "1" * 399 + "*x", "0." + "1" * 400 + "*x"),
    ("(" + "v" * 255 + ")", "(" + "v" * 256 + ")"),
]


@pytest.mark.parametrize(("within", "beyond"), LIMITS, ids=["brackets", "powers", "signs", "calls", "digits", "name"])
def test_limits(within: str, beyond: str) -> None:
    assert len(optcli.function(within).variables) == 1
    with pytest.raises(ExpressionError):
        optcli.function(beyond)


def test_text_beyond_16_mib_is_refused() -> None:
    with pytest.raises(ExpressionError, match="16 MiB"):
        optcli.function("x" + " " * 2**24)


def test_long_texts_make_nodes_in_proportion() -> None:
    short, long = (build("+".join(f"sin(x{i % 7})*{i}.5" for i in range(n))) for n in (1000, 4000))
    assert len(long.graph) == pytest.approx(4 * len(short.graph), rel=0.01)
    assert len(build("x+" * 50_000 + "x").graph) == 50_000


def test_a_million_entries_make_no_more_nodes_than_ten() -> None:
    text = "Sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, (i, 1, n-1))"
    small, large = (build(text, {"n": n}).gradient_graph for n in (10.0, 1e6))
    assert len(small) == len(large)


def test_sympy_expression_from_python() -> None:
    import sympy

    x, y = sympy.symbols("x y")
    i = sympy.Symbol("i", integer=True)
    v = sympy.IndexedBase("v")
    e = (
        sympy.sin(x) / y
        + sympy.Sum(v[i] ** 2, (i, 1, 3))
        + sympy.Piecewise((x, x < 1), (y, True))
        + sympy.Rational(1, 3)
    )
    f = optcli.function(e)
    assert f.variables == ("v", "x", "y")
    point = {"x": 2.0, "y": 3.0, "v": [1.0, 2.0, 3.0]}
    assert f(point) == pytest.approx(math.sin(2) / 3 + 14 + 3 + 1 / 3, rel=1e-15)
    assert f.gradient(point)["x"] == pytest.approx(math.cos(2) / 3, rel=1e-15)
    with pytest.raises(ExpressionError, match="besselj"):
        optcli.function(sympy.besselj(0, x))
