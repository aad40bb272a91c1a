"""docs/language.md says what is so: its tables and claims are computed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import optcli

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "language.md").read_text(encoding="utf-8")
DERIVATIVES = re.findall(r"\| `([^`]*)` \| ([\d.]+) (?=\|)", PAGE.partition("| at x = 0 |")[2].partition("\n\n")[0])
# formula, point, value by hand
VALUES = {
    "-x**2": ({"x": 3.0}, -9.0),
    "x**y**z": ({"x": 2.0, "y": 3.0, "z": 2.0}, 512.0),
    "x^2": ({"x": 3.0}, 9.0),
    "x·y": ({"x": 3.0, "y": 2.0}, 6.0),
    "x × y": ({"x": 3.0, "y": 2.0}, 6.0),
    "x ÷ y": ({"x": 3.0, "y": 2.0}, 1.5),
    "x − y": ({"x": 3.0, "y": 2.0}, 1.0),
    "where(0 < x < 1, 5, 7)": ({"x": 0.5}, 5.0),
    "where(x < 0 or not x > 2, 5, 7)": ({"x": 3.0}, 7.0),
    "Piecewise((5, x < 0))": ({"x": 1.0}, math.nan),
    "log(x, 2)": ({"x": 8.0}, 3.0),
    "π*x": ({"x": 1.0}, math.pi),
    "E**x": ({"x": 0.0}, 1.0),
    "x/x": ({"x": 0.0}, math.nan),
    "x + 1e16 - 1e16": ({"x": 1.0}, 0.0),
    "Heaviside(x)": ({"x": 0.0}, 0.5),
    "Mod(x, -3)": ({"x": 1.0}, -2.0),
    "cbrt(x)": ({"x": -8.0}, -2.0),
    "Max(x, y)": ({"x": math.nan, "y": 1.0}, math.nan),
    "loggamma(x)": ({"x": -0.5}, math.log(2 * math.sqrt(math.pi))),
    "Sum(i*x[i], (i, 1, 3))": ({"x": [1.0, 10.0, 100.0]}, 321.0),
    "Sum(x, (i, 2, 1))": ({"x": 1.0}, 0.0),
    "Product(x, (i, 2, 1))": ({"x": 9.0}, 1.0),
    "Sum(x*i, (i, 1, j), (j, 1, 3))": ({"x": 1.0}, 10.0),
    "Sum(Sum(x[j], (j, 1, i))^2, (i, 1, 3))": ({"x": [1.0, 1.0, 1.0]}, 14.0),
    "dot(u, v) + sum(u) + norm(v) + 0*(u[1] + u[2] + v[1] + v[2])": ({"u": [1.0, 2.0], "v": [3.0, 4.0]}, 19.0),
    "r = sqrt(x^2 + y^2); sin(r)/r": ({"x": 3.0, "y": 4.0}, math.sin(5.0) / 5.0),
}
# formula, where the fault begins and ends
REFUSED = {"1/0": (2, 3), "x + sqrt(-1)": (4, 12), "(-8)**(1/3)": (0, 11), "e**x": (0, 3), "x[1] + x[3]": (0, 4)}


@pytest.mark.parametrize(("formula", "derivative"), DERIVATIVES)
def test_table_of_derivatives_at_zero(formula: str, derivative: str) -> None:
    assert optcli.function(formula).gradient(x=0.0) == {"x": float(derivative)}


def test_the_table_was_found() -> None:
    assert len(DERIVATIVES) == PAGE.partition("| at x = 0 |")[2].partition("\n\n")[0].count("`") // 2


@pytest.mark.parametrize("formula", VALUES)
def test_value(formula: str) -> None:
    point, value = VALUES[formula]
    assert optcli.function(formula)(point) == pytest.approx(value, rel=1e-15, nan_ok=True)


@pytest.mark.parametrize("formula", REFUSED)
def test_refusal(formula: str) -> None:
    with pytest.raises(optcli.ExpressionError) as caught:
        optcli.function(formula)
    assert caught.value.span == REFUSED[formula]


def test_variables_come_in_the_order_of_their_first_appearance() -> None:
    assert optcli.function("beta + S*lambda + N/e").variables == ("beta", "S", "lambda", "N", "e")


def test_200_brackets_and_not_one_more() -> None:
    assert optcli.function("(" * 200 + "x" + ")" * 200)(x=2.0) == 2.0
    with pytest.raises(optcli.ExpressionError, match="200"):
        optcli.function("(" * 201 + "x" + ")" * 201)
