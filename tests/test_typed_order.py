"""What is typed is what is computed: random texts against doubles rounded one by one in typed order, bit for bit."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from oracles import same
from random_texts import Tree, evaluate, random_tree, text_of

import optcli

SEEDS = range(24)
TEXTS = 50  # for each seed
VALUES = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.5, 0.1, 1e-9, -1e9, 700.0, 1e200, -1e-200, np.inf, -np.inf, np.nan)


def points(random: Random) -> list[dict[str, np.float64]]:
    plain = [{name: np.float64(random.uniform(-3.0, 3.0)) for name in "xyz"} for _ in range(3)]
    return [*plain, *({name: np.float64(random.choice(VALUES)) for name in "xyz"} for _ in range(3))]


def compare(tree: Tree, text: str, at: list[dict[str, np.float64]]) -> int:
    """How many values were finite; every one equals the one computed in the order typed."""
    f = optcli.function(text)
    finite = 0
    for point in at:
        with np.errstate(all="ignore"):
            wanted = evaluate(tree, point)
        got = f({name: point[name] for name in f.variables})
        assert same(got, wanted), (text, point, got, wanted)
        value, _ = f.value_and_gradient({name: point[name] for name in f.variables})
        assert same(value, wanted), (text, point, value, wanted)
        finite += bool(np.isfinite(wanted))
    return finite


@pytest.mark.parametrize("seed", SEEDS)
def test_random_texts(seed: int) -> None:
    random = Random(seed)
    finite = 0
    for _ in range(TEXTS):
        tree = random_tree(random, random.randint(1, 6))
        text = text_of(tree, random)
        finite += compare(tree, f"({text})" if tree.kind == "name" else text, points(random))
    assert finite > TEXTS  # not only NaN against NaN


@pytest.mark.parametrize("signs", ["+-", "*/"])
@pytest.mark.parametrize("seed", range(4))
def test_long_chains(seed: int, signs: str) -> None:
    """Left to right: no sum or product is reordered or regrouped, however long."""
    random = Random(seed)
    tree = random_tree(random, 1)
    text = f"({text_of(tree, random)})"
    for _ in range(200):
        part, sign = random_tree(random, 1), random.choice(signs)
        tree = Tree(sign, (tree, part))
        text += f" {sign} ({text_of(part, random)})"
    compare(tree, text, points(random))


@pytest.mark.parametrize("seed", range(4))
def test_definitions_change_nothing(seed: int) -> None:
    random = Random(100 + seed)
    for _ in range(20):
        shared = random_tree(random, 3)
        other = random_tree(random, 3)
        sign = random.choice("+-*/")
        tree = Tree(sign, (Tree("+", (shared, other)), shared))
        text = f"u = {text_of(shared, random)}; v = u + ({text_of(other, random)}); v {sign} u"
        compare(tree, text, points(random))


# text, the value by Python's own doubles: places where SymPy or an eager reader would compute something else
EXACT = [
    ("x/y", {"x": 1.0, "y": 49.0}, 1.0 / 49.0),
    ("x/y", {"x": 5.0, "y": 1e-320}, np.inf),
    ("x*(1/y)", {"x": 5.0, "y": 49.0}, 5.0 * (1.0 / 49.0)),
    ("x/y/z", {"x": 1.0, "y": 3.0, "z": 7.0}, 1.0 / 3.0 / 7.0),
    ("x/(y*z)", {"x": 1.0, "y": 3.0, "z": 7.0}, 1.0 / (3.0 * 7.0)),
    ("x + 1e16 - 1e16", {"x": 1.0}, 0.0),
    ("x + (1e16 - 1e16)", {"x": 1.0}, 1.0),
    ("1e16 + x - 1e16", {"x": 1.0}, 0.0),
    ("x + y + x + y", {"x": 0.1, "y": 0.2}, 0.1 + 0.2 + 0.1 + 0.2),
    ("x + x + x", {"x": 0.1}, 0.1 + 0.1 + 0.1),
    ("x*x*x", {"x": 0.1}, 0.1 * 0.1 * 0.1),
    ("2*(x + y)", {"x": 1e308, "y": 1e308}, np.inf),
    ("0.1 + 0.2 + x", {"x": 0.0}, 0.1 + 0.2),
    ("0.1*3*x", {"x": 1.0}, 0.1 * 3),
    ("x*0.1*3", {"x": 1.0}, 0.1 * 3),
    ("1/3*x", {"x": 3.0}, 1 / 3 * 3),
    ("x - y", {"x": 0.0, "y": 0.0}, 0.0),
    ("-x + y", {"x": 0.0, "y": -0.0}, -0.0),
    ("0 - x", {"x": 0.0}, 0.0),
    ("-x", {"x": 0.0}, -0.0),
    ("x**2", {"x": 1.1}, 1.1 * 1.1),
    ("(x**2)**0.5", {"x": -3.0}, 3.0),
    ("exp(log(x))", {"x": 0.3}, float(np.exp(np.log(0.3)))),
    ("log(x**2)", {"x": -1.0}, 0.0),
    ("sqrt(x**2)", {"x": -2.0}, 2.0),
    ("sqrt(x)*sqrt(x)", {"x": 2.0}, np.sqrt(2.0) * np.sqrt(2.0)),
    ("x - x", {"x": np.inf}, np.nan),
    ("x*0", {"x": np.inf}, np.nan),
    ("x**0", {"x": np.nan}, 1.0),
    ("sin(x)**2 + cos(x)**2", {"x": 0.7}, float(np.square(np.sin(0.7)) + np.square(np.cos(0.7)))),
    ("Max(x, y, x)", {"x": 1.0, "y": 2.0}, 2.0),
    ("where(x > y, x, y) - Max(x, y)", {"x": 1.0, "y": 2.0}, 0.0),
    ("4.35*100*x", {"x": 1.0}, 4.35 * 100),
    ("1.15*x", {"x": 100.0}, 1.15 * 100),
    ("123456789012345678901234567890*x", {"x": 1.0}, 123456789012345678901234567890.0),
    ("5e-324*x", {"x": 1.0}, 5e-324),
    ("179769313486231570000*x", {"x": 1.0}, 179769313486231570000.0),
    ("0.30000000000000004*x", {"x": 1.0}, 0.30000000000000004),
    ("9007199254740993*x", {"x": 1.0}, 9007199254740992.0),
    ("9007199254740993.0*x", {"x": 1.0}, 9007199254740992.0),
    ("pi*x", {"x": 1.0}, np.pi),
    ("E**x", {"x": 1.0}, float(np.power(np.e, 1.0))),
]


@pytest.mark.parametrize(("text", "point", "wanted"), EXACT)
def test_exact(text: str, point: dict[str, float], wanted: float) -> None:
    f = optcli.function(text)
    got = f(point)
    assert same(got, wanted), got
    assert same(f.value_and_gradient(point)[0], wanted)
