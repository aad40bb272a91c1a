"""Random formulas as trees: their text, their value in numpy doubles in the order typed, and their meaning in SymPy.

Nothing here uses optcli's parser or its table of primitives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import sympy

Point = Mapping[str, np.float64]


@dataclass(frozen=True)
class Tree:
    """`kind` is number, name, neg, an operator, a function, where, or a comparison; `word` the text of a leaf."""

    kind: str
    args: tuple[Tree, ...] = ()
    word: str = ""

    @property
    def constant(self) -> bool:
        return self.kind != "name" and all(arg.constant for arg in self.args)


def smooth_step(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return (small if x < 0.0 else np.float64(1.0)) / (1.0 + small)


ONE: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log")},
    **{name: getattr(np, name) for name in ("log1p", "log2", "log10", "sqrt", "cbrt", "sign", "floor", "ceil")},
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "abs": np.abs,
    "Abs": np.abs,
    "ln": np.log,
    "ceiling": np.ceil,
    "erf": lambda x: np.float64(math.erf(x)),
    "erfc": lambda x: np.float64(math.erfc(x)),
    "sigmoid": smooth_step,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "Heaviside": lambda x: np.heaviside(x, 0.5),
}
TWO: dict[str, Callable[[Any, Any], Any]] = {
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "Mod": np.mod,
    "log": lambda x, b: np.log(x) / np.log(b),
}
SOME: dict[str, Callable[[Any, Any], Any]] = {
    "Max": np.maximum,
    "max": np.maximum,
    "Min": np.minimum,
    "min": np.minimum,
}
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
TAME = ("sin", "cos", "tanh", "atan", "asinh", "sigmoid", "erf")  # bounded slopes everywhere
NUMBERS = ("1", "2", "3", "0.5", ".25", "7.", "1e-3", "2.5e2", "0.1", "10", "12345678901234567890", "1E+2")
POWERS = ("2", "3", "4", "1", "0", "0.5", "1.5", "2.5", "-1", "-2", "-0.5", "(1/3)", "12")
STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}


def power(a: Any, b: Any) -> Any:
    """a**b as the language says: a square is one product."""
    return np.square(a) if b == 2.0 else np.power(a, b)


OPERATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": power,
}


def random_tree(random: Random, depth: int, names: str = "xyz", tame: bool = False) -> Tree:
    """A tree with at least one variable. `tame`: smooth everywhere, and its values stay moderate."""
    if depth == 0 or random.random() < 0.08:
        return Tree("name", word=random.choice(names))

    def part() -> Tree:
        return random_tree(random, depth - 1, names, tame)

    def operand() -> Tree:
        return part() if random.random() < 0.8 else _number(random, tame)

    kind = random.choice(("+", "-", "*", "/", "**", "neg", "call") + (() if tame else ("two", "some", "where")))
    if kind == "neg":
        return Tree("neg", (part(),))
    if kind == "call":
        return Tree(random.choice(TAME if tame else tuple(ONE)), (part(),))
    if kind == "two":
        name = random.choice(tuple(TWO))
        return Tree(name, (part(), Tree("number", word="2") if name == "log" else part()))
    if kind == "some":
        return Tree(random.choice(tuple(SOME)), tuple(part() for _ in range(random.randint(2, 4))))
    if kind == "where":
        return Tree("where", (_condition(random, part, operand), part(), operand()))
    if kind == "**":
        if tame:
            return Tree("**", (part(), Tree("number", word=random.choice("23"))))
        exponent = Tree("number", word=random.choice(POWERS)) if random.random() < 0.8 else part()
        return Tree("**", (part(), exponent))
    if kind == "/" and tame:  # a divisor of at least 1
        return Tree("/", (part(), Tree("+", (Tree("number", word="2"), Tree("sin", (part(),))))))
    left, right = operand(), part()
    return Tree(kind, (left, right) if random.random() < 0.5 and kind != "/" else (right, left))


def _number(random: Random, tame: bool) -> Tree:
    return Tree("number", word=random.choice(NUMBERS[:5] if tame else NUMBERS))


def _condition(random: Random, part: Callable[[], Tree], operand: Callable[[], Tree]) -> Tree:
    kind = random.choice((*COMPARE, "and", "or", "not"))
    if kind == "not":
        return Tree("not", (Tree("<", (part(), operand())),))
    if kind in ("and", "or"):
        return Tree(kind, (Tree("<", (part(), operand())), Tree(">=", (operand(), part()))))
    return Tree(kind, (part(), operand()))


def text_of(tree: Tree, random: Random) -> str:
    """The tree as a person may type it: with the brackets it needs, now and then one more, and some blanks."""

    def blank() -> str:
        return random.choice(("", "", " ", "\t", "\n", "\u00a0"))

    def write(node: Tree) -> tuple[str, int]:
        """The text and how tight its loosest operator binds."""
        if node.kind in ("number", "name"):
            strength = 9 if node.word[0] not in "-(" else 3  # a power like -2
            return (node.word, strength)
        if node.kind in STRENGTH:
            strength = STRENGTH[node.kind]
            if node.kind == "neg":
                text = "-" + blank() + wrap(node.args[0], strength)
            else:
                right = strength if node.kind == "**" else strength + 1
                left = strength + 1 if node.kind == "**" else strength
                a, b = wrap(node.args[0], left), wrap(node.args[1], 3 if node.kind == "**" else right)
                sign = random.choice(("**", "^")) if node.kind == "**" else node.kind
                text = a + blank() + sign + blank() + b
        elif node.kind in COMPARE or node.kind in ("and", "or"):
            a, b = (wrap(arg, 0) for arg in node.args)
            return f"{a} {node.kind} {b}", 0
        elif node.kind == "not":
            return f"not {wrap(node.args[0], 0)}", 0
        else:
            return node.kind + "(" + ("," + blank()).join(write(arg)[0] for arg in node.args) + blank() + ")", 9
        if random.random() < 0.1:
            return "(" + blank() + text + ")", 9
        return text, strength

    def wrap(node: Tree, least: int) -> str:
        text, strength = write(node)
        return text if strength >= least else f"({text})"

    return write(tree)[0]


def evaluate(tree: Tree, point: Point) -> np.float64:
    """The value in doubles, one rounding after the other in the order typed."""
    args = [evaluate(arg, point) for arg in tree.args]
    result = _compute(tree, args, point)
    assert isinstance(result, np.float64 | np.bool_)
    return result  # type: ignore[return-value]


def _compute(tree: Tree, args: list[Any], point: Point) -> Any:
    kind = tree.kind
    if kind == "name":
        return point[tree.word]
    if kind == "number":
        return np.float64(1.0) / np.float64(3.0) if tree.word == "(1/3)" else np.float64(tree.word)
    if kind == "neg":
        return -args[0]
    if kind == "where":
        return args[1] if args[0] else args[2]
    if kind in ("and", "or"):
        return args[0] & args[1] if kind == "and" else args[0] | args[1]
    if kind == "not":
        return ~args[0]
    if kind in OPERATE:
        return OPERATE[kind](*args)
    if kind in COMPARE:
        return COMPARE[kind](*args)
    if kind in SOME:
        result = args[0]
        for arg in args[1:]:
            result = SOME[kind](result, arg)
        return result
    return TWO[kind](*args) if len(args) == 2 else ONE[kind](*args)


def sympy_of(tree: Tree) -> Any:
    """A tame tree as an ordinary SymPy expression with exact numbers."""
    args = [sympy_of(arg) for arg in tree.args]
    if tree.kind == "name":
        return sympy.Symbol(tree.word)
    if tree.kind == "number":
        return sympy.Rational(float(tree.word))
    if tree.kind == "sigmoid":
        return 1 / (1 + sympy.exp(-args[0]))
    simple: dict[str, Callable[..., Any]] = {
        "neg": lambda a: -a,
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "**": lambda a, b: a**b,
    }
    return (simple.get(tree.kind) or getattr(sympy, tree.kind))(*args)
