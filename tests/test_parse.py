"""Texts to syntax: precedence as Python has it, spans, names, ranges of indices, limits, and texts gone wrong."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from random_texts import random_tree, text_of

import optcli
from optcli import ExpressionError
from optcli.build import build
from optcli.errors import underline, visible
from optcli.expr.parse import parse
from optcli.expr.syntax import CONDITIONS
from optcli.expr.tokens import GREEK, LOOKALIKE

POINT = {"x": 1.5, "y": -0.5, "z": 3.0}

# as Python reads them: the text itself is evaluated by Python
PRECEDENCE = [
    "x+y*z",
    "x*y+z",
    "x-y-z",
    "x-(y-z)",
    "x/y/z",
    "x/y*z",
    "x/(y*z)",
    "x*y/z*x",
    "-x**2",
    "(-x)**2",
    "-x**-2",
    "x**-y",
    "x**-y**2",
    "2**3**2*x",
    "x**2**y",
    "(x**2)**y",
    "--x",
    "-+-x",
    "x--y",
    "x+-y*z",
    "x*-y",
    "x*-y**2",
    "x/-y/z",
    "-x*y",
    "-x/y",
    "-(x+y)*z",
    "+x-y",
    "2*-x**2*-3",
    "x**+2",
    "1/x**2",
    "x*2**-1",
    "-2**2*x",
    "((x))",
    "x*(y+z)*(x-y)",
    "x+y-z+x-y",
]


@pytest.mark.parametrize("text", PRECEDENCE)
def test_precedence_is_pythons(text: str) -> None:
    wanted = eval(text, {}, POINT)  # the table above, nobody's input
    for spelling in (text, text.replace("**", "^"), text.replace("*", " * ").replace(" *  * ", " ** ")):
        f = optcli.function(spelling)
        got = f({name: POINT[name] for name in f.variables})
        assert got == pytest.approx(float(wanted), rel=1e-15), spelling


# condition, Python's spelling of the same
CONDITIONS_TRIED = [
    "x < y",
    "x <= 1.5",
    "x == 1.5",
    "x != 1.5",
    "x > y and y > z",
    "x > y or y > z",
    "not x > y",
    "not x > y or y < z",
    "not (x > y or y < z)",
    "not not x > y",
    "x > y or y > z and z > x",
    "(x > y or y > z) and z < x",
    "y < x < z",
    "z > x >= y",
    "y < x > z",
    "0 < x < y < z",
    "x + y < z * 2 and x == 3/2",
    "(x < y) or True",
    "False or x < 5",
    "-1 < y <= -0.5 != x",
]


@pytest.mark.parametrize("condition", CONDITIONS_TRIED)
def test_conditions_are_pythons(condition: str) -> None:
    wanted = 10.0 if eval(condition, {}, POINT) else 20.0  # the table above, nobody's input
    f = optcli.function(f"where({condition}, 10, 20) + 0*(x + y + z)")
    assert f(POINT) == wanted
    assert optcli.function(f"Piecewise((10, {condition}), (20, True)) + 0*(x + y + z)")(POINT) == wanted


@pytest.mark.parametrize("seed", range(20))
def test_every_span_is_the_text_of_its_node(seed: int) -> None:
    """Cut out by its span, a part reads as the same part."""
    random = Random(seed)
    text = text_of(random_tree(random, 5), random)
    syntax = parse(text)
    assert syntax.nodes[syntax.root].start <= len(text) - len(text.lstrip())
    for node in syntax.nodes:
        if node.kind in CONDITIONS or node.kind == "pair":
            continue
        part = text[node.start : node.end]
        alone = parse(part)
        root = alone.nodes[alone.root]
        assert (root.kind, root.value, len(root.args)) == (node.kind, node.value, len(node.args)), part


# ------------------------------------------------------------------ texts gone wrong

UNUSUAL = "\u00a0\u200b\u202e\ufeff²½π∞х１é\u0301宽😀\ud800"
DIRT = UNUSUAL + "x y(()))[],;=+-*/^.|!'\"\\{}<>&~@#$%?:_\t\n\r\x00\x1b\x7fSum where and not e"


@pytest.mark.parametrize("seed", range(30))
def test_a_text_gone_wrong_is_read_or_refused(seed: int) -> None:
    """Characters lost, doubled, or of the wrong sort: a value or an ExpressionError with a span, nothing else."""
    random = Random(1000 + seed)
    refused = faults = 0
    for _ in range(60):
        text = text_of(random_tree(random, random.randint(1, 4)), random)
        if random.random() < 0.5:
            text = f"a = {text}; Sum(x[i]*a, (i, 1, 3))"
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(text) + 1)
            text = (
                text[:at]
                + random.choice(("", random.choice(DIRT), text[at : at + 3] * 2))
                + text[at + random.randint(0, 2) :]
            )
        try:
            f = optcli.function(f" {text}")
            f({v.name: np.full(v.shape, 1.5)[()] for v in f.objective.layout.variables})
        except ExpressionError as error:
            refused += 1
            faults += not 0 <= error.span[0] <= error.span[1] <= len(text) + 1
            faults += not (error.message and str(error).replace("\n", "").isprintable())
    assert faults == 0
    assert 5 < refused < 60


@pytest.mark.parametrize("char", sorted(LOOKALIKE))
def test_lookalikes_are_named(char: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        optcli.function(f"{char} + 1")
    assert caught.value.span == (0, 1)
    assert "CYRILLIC" in str(caught.value) or "ARMENIAN" in str(caught.value)
    assert f"Latin letter {LOOKALIKE[char]}" in str(caught.value)


def test_greek_letters_are_names() -> None:
    letters = "αβγδεζηθικλμνξορςστυφχψωΓΔΘΛΞΦΨΩ"
    assert GREEK
    f = optcli.function(" + ".join(letters))
    assert f.variables == tuple(letters)
    assert optcli.function("π*x")(x=2.0) == 2.0 * math.pi


@pytest.mark.parametrize("name", ["pi", "E", "I", "oo", "and", "or", "not", "True", "False", "None", "π"])
def test_reserved_names_cannot_be_defined_or_indexed(name: str) -> None:
    for text in (f"{name} = 2; {name}*x", f"{name}[1] + x"):
        with pytest.raises(ExpressionError):
            optcli.function(text)


@pytest.mark.parametrize(
    "name", ["beta", "S", "N", "lambda", "e", "gamma", "sum", "dot", "norm", "Q", "x_1", "_a", "import"]
)
def test_ordinary_names(name: str) -> None:
    assert optcli.function(f"({name})**2 + 1").gradient({name: 3.0}) == {name: 6.0}
    assert optcli.function(f"{name} = y + 1; {name}*{name}")(y=2.0) == 9.0


@pytest.mark.parametrize(
    "name", ["sin", "exp", "Max", "max", "where", "Piecewise", "Sum", "Product", "abs", "Mod", "erf"]
)
def test_a_functions_name_alone_is_refused(name: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        optcli.function(f"x + {name}")
    assert caught.value.span == (4, 4 + len(name))


# ------------------------------------------------------------------ definitions

DEFINITIONS: list[tuple[str, dict[str, Any], float]] = [
    ("a = x; b = a*a; c = b*b; c*c", {"x": 2.0}, 256.0),
    ("a = 2; x*a", {"x": 3.0}, 6.0),
    ("unused = log(x); x**2", {"x": 3.0}, 9.0),
    ("a = x + 1; Sum(a*i, (i, 1, 3))", {"x": 1.0}, 12.0),
    ("i = x; Sum(i, (i, 1, 3)) + i", {"x": 5.0}, 11.0),  # the index hides the definition
    ("i = x + 1; Sum(i + x, (i, 1, 3)) + i", {"x": 5.0}, 27.0),
    ("a = x; b = a + a; Sum(Sum(a*b, (a, 1, 2)) + a, (b, 1, 2))", {"x": 5.0}, 19.0),
    ("a = 2*i; Sum(a + i, (i, 1, 3))", {"i": 10.0}, 66.0),  # a definition keeps the names it was made of
    ("a = x^2;\n b = a - 1;\n a*b", {"x": 2.0}, 12.0),
    ("a = -x; a^2", {"x": 3.0}, 9.0),  # a definition is one value, not a piece of text
    ("a = x + 1; 2*a", {"x": 3.0}, 8.0),
    ("s = Sum(v[i]**2, (i, 1, 3)); s*s", {"v": [1.0, 2.0, 3.0]}, 196.0),
]


@pytest.mark.parametrize(("text", "point", "wanted"), DEFINITIONS)
def test_definitions(text: str, point: dict[str, Any], wanted: float) -> None:
    f = optcli.function(text)
    assert f({name: point[name] for name in f.variables}) == wanted


NO_DEFINITIONS = [
    ("a = x; b = a", "without a value"),
    ("a = x", "without a value"),
    ("a = b; b = x; a", "before its definition"),
    ("a = a + 1; a", "its own definition"),
    ("a[1] + 1; a = 2; a", "; ends a definition"),
    ("b = a[1]; a = 2; a", "before its definition"),
    ("a = 1; a[1] + x", "has no entries"),
    ("a = Sum(a*i, (i, 1, 3)); a", "its own definition"),
    ("a = a[1] + 1; x", "its own definition"),
    ("a = ; x", "cannot stand here"),
    ("a == x; a", "condition"),
    ("a = x > 1; a", "condition"),
    ("= x", "leading ="),
    ("a = x;; a", "cannot stand here"),
    ("a = x; a; a", "; ends a definition"),
    ("a[1] = x; a", "="),
    ("sin = x; sin(x)", "is a function"),
]


@pytest.mark.parametrize(("text", "said"), NO_DEFINITIONS)
def test_definitions_that_do_not_fit(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        optcli.function(text)
    assert said in str(caught.value)


def test_a_definition_is_one_node() -> None:
    text = "a0 = x + y; " + "; ".join(f"a{k} = a{k - 1}*a{k - 1}" for k in range(1, 60)) + "; a59"
    assert len(build(text).graph) == 60


# ------------------------------------------------------------------ vectors and their ranges

# text, parameters, the (first, count) of each dimension of x
RANGES: list[tuple[str, dict[str, float], list[tuple[int, int]]]] = [
    ("x[1]", {}, [(1, 1)]),
    ("x[0] + x[1]", {}, [(0, 2)]),
    ("x[-2] + x[-1]*x[0]", {}, [(-2, 3)]),
    ("x[3] + x[2]", {}, [(2, 2)]),
    ("Sum(x[i], (i, 1, n))", {"n": 7}, [(1, 7)]),
    ("Sum(x[i+1] - x[i-1], (i, 1, n))", {"n": 7}, [(0, 9)]),
    ("Sum(x[2*i-1]*x[2*i], (i, 1, n/2))", {"n": 8}, [(1, 8)]),
    ("Sum(x[3*i]*x[3*i+1]*x[3*i+2], (i, 0, 4))", {}, [(0, 15)]),
    ("Sum(x[n-i], (i, 0, n))", {"n": 4}, [(0, 5)]),
    ("Sum(x[-i], (i, 1, 4))", {}, [(-4, 4)]),
    ("Sum(x[i+j], (i, 0, 3), (j, 0, 3))", {}, [(0, 7)]),
    ("Sum(x[4*i+j], (i, 0, 3), (j, 0, 3))", {}, [(0, 16)]),
    ("Sum(x[i,j], (i, 1, 2), (j, 0, 4))", {}, [(1, 2), (0, 5)]),
    ("Sum(x[i,j], (j, 1, i), (i, 1, 3)) + x[1,2] + x[1,3] + x[2,3]", {}, [(1, 3), (1, 3)]),
    ("where(x[1] > 0, x[2], x[3])", {}, [(1, 3)]),
    ("Sum(x[i], (i, 5, 4)) + x[1]", {}, [(1, 1)]),
    ("Sum(x[i], (i, 1, 2^3))", {}, [(1, 8)]),
    ("Sum(x[i], (i, 1, floor(n/2)))", {"n": 5}, [(1, 2)]),
    ("Sum(x[k*i], (i, 1, 3)) + x[3] + x[5]", {"k": 2}, [(2, 5)]),
    ("Sum(Sum(x[j], (j, i, i+2)), (i, 1, 3))", {}, [(1, 5)]),
]


@pytest.mark.parametrize(("text", "params", "ends"), RANGES)
def test_ranges(text: str, params: dict[str, float], ends: list[tuple[int, int]]) -> None:
    (variable,) = build(text, params).layout.variables
    assert list(zip(variable.first, variable.shape, strict=True)) == ends


NO_RANGES = [
    "x[1] + x[4]",
    "Sum(x[2*i], (i, 1, 3))",
    "Sum(x[5*i+j], (i, 0, 3), (j, 0, 3))",
    "Sum(x[i,j], (j, 1, i), (i, 1, 3))",
    "x[i]",
    "Sum(x[i/2], (i, 1, 4))",
    "Sum(x[i**2], (i, 1, 4))",
    "Sum(x[y], (i, 1, 4))",
    "Sum(x[i], (i, 1, y)) + y",
    "Sum(x[i], (i, 1, x[1]))",
    "Sum(x[i], (i, 1, 2.5))",
    "Sum(x[i], (i, 1, i))",
    "Sum(x[i], (j, 1, 3))",
    "Sum(i, (i, j, 3), (i, 1, 3))",
    "Sum(x[i], (i, 5, 4))",
    "Sum(x[i], i, 1, 3)",
    "Sum(x[i], (1, 1, 3))",
    "Sum(x[i], (i, 1))",
    "Sum((i, 1, 3))",
    "sum(v)",
    "norm(v)",
    "x[1][2]",
    "(x)[1]",
    "x[]",
    "x[1,2,3]*x[1]",
    "x[1e300] + x[0]",
    "sin[1]*x",
]


@pytest.mark.parametrize("text", NO_RANGES)
def test_ranges_that_do_not_fit(text: str) -> None:
    with pytest.raises(ExpressionError):
        build(text)


def test_order_of_index_triples_is_sympys() -> None:
    """The last triple is the outermost, and bounds see what stands outside."""
    assert build("Sum(i*x, (i, 1, j), (j, 1, 3))").value(np.array([1.0])) == 1.0 + 3.0 + 6.0
    with pytest.raises(ExpressionError):
        build("Sum(i*x, (i, 1, 3), (j, 1, i))")


def test_a_definition_is_computed_outside_of_the_sums_that_use_it() -> None:
    text = "m = Sum(x[i], (i, 1, n))/n; Sum((x[i] - m)**2, (i, 1, n))/n"
    objective = build(text, {"n": 1e5})  # nested, these ranges would have 10^10 terms
    x = np.sin(np.arange(1e5))
    value, slope = objective.value_and_gradient(x)
    assert value == pytest.approx(float(np.var(x)), rel=1e-12)
    assert np.allclose(slope, 2.0 * (x - x.mean()) / x.size, rtol=1e-9, atol=1e-16)
    assert build("s = Product(i*v[i], (i, 1, 3)); Sum(s*i, (i, 1, 3)) - s").value(np.ones(3)) == 30.0


def test_limits_of_ranges() -> None:
    assert len(build("Sum(i, (i, 1, 10^6))*x").graph.nodes) < 8
    for text in ("Sum(x, (i, 1, 10^8))", "Sum(Sum(x, (i, 1, 10^5)), (j, 1, 10^4))"):
        f = optcli.function(text)
        assert f(x=1.0) == {"Sum(x, (i, 1, 10^8))": 1e8}.get(text, 1e9)
    for text in ("Sum(x, (i, 0, 10^8))", "Sum(Sum(x*i*j, (i, 1, 10^5)), (j, 0, 10^4))", "x[1] + x[10^8+1]"):
        with pytest.raises(ExpressionError):
            build(text)


# ------------------------------------------------------------------ what is shown


def test_carets_follow_the_columns_of_a_terminal() -> None:
    for text, wanted in (
        ("x + \t2y", "         ^"),
        ("宽", "  ^^"),
        ("y + e\u0301", "       ^"),
        ("a\u00a0+ 2 b", "           ^"),
    ):
        with pytest.raises(ExpressionError) as caught:
            optcli.function(text)
        shown, carets = underline(text, caught.value.span)
        assert carets == wanted, (shown, carets)


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert visible("a\x1b[31m\r\u202e\u200b\ud800π") == "a\\x1b[31m\\r\\u202e\\u200b\\ud800π"
    with pytest.raises(ExpressionError) as caught:
        optcli.function("x + \x1b[31mfoo")
    assert "\x1b" not in str(caught.value)


def test_lines() -> None:
    text = "a = x +\n  1;\n b = 2y;\n a"
    with pytest.raises(ExpressionError) as caught:
        optcli.function(text)
    shown, carets = underline(text, caught.value.span)
    assert shown.strip() == "b = 2y;"
    assert shown[carets.index("^")] == "y"


def test_tens_of_thousands_of_terms() -> None:
    graph = build("x*y+" * 15_000 + "x/2-" * 15_000 + "1").graph
    assert len(graph) == 2 + 30_000
    deep = build("+".join(f"sin(x*{k}.5)" for k in range(5_000)))
    assert len(deep.graph) == 15_000 - 1
    assert len(deep.gradient_graph) <= 4 * len(deep.graph)
