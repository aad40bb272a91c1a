"""Random sums and products over vectors and matrices against plain loops; slopes by complex steps.

A value is a Python complex number with a tiny imaginary part in a random direction, so that the loops give value and
directional derivative at once, both to full precision (Squire & Trapp, SIAM Review 40 (1998) 110).
"""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from test_engine import agree

from optcli.autograd.graph import check_graph
from optcli.blame import Blame
from optcli.build import build

STEP = 1e-30
N = 3  # the parameter n
Env = dict[str, int]
Part = tuple[str, Callable[[Env], complex]]


class Entries:
    """Vectors and matrices whose entries come into being when the loops read them."""

    def __init__(self) -> None:
        self.read: dict[str, dict[tuple[int, ...], complex]] = {"x": {}, "A": {}}

    def __call__(self, name: str, *index: int) -> complex:
        phase = 1.3 * (len(name) + ord(name)) + sum((2.0 + d) * k for d, k in enumerate(index))
        value = complex(1.2 + 0.5 * math.sin(phase), STEP * math.cos(3.0 * phase))
        return self.read[name].setdefault(index, value)

    def ranges(self, name: str) -> list[tuple[int, int]]:
        places = list(self.read[name])
        return [(min(side), max(side)) for side in zip(*places, strict=True)]


class Writer:
    """Writes a random text and, along with it, the loops that say what it means."""

    def __init__(self, random: Random, products: bool = True) -> None:
        self.random = random
        self.products = 0.25 if products else 0.0  # how often a reduction is one
        self.entries = Entries()
        self.scalar = complex(0.8, STEP * 0.7)
        self.names = iter("ijklpq")

    def affine(self, indices: list[str]) -> tuple[str, Callable[[Env], int]]:
        """A sum of multiples of indices and a number."""
        chosen = [(self.random.choice((1, 1, 1, 2, -1, 3)), i) for i in indices if self.random.random() < 0.6]
        constant = self.random.choice((0, 0, 1, -1, 2))
        words = [{1: i, -1: f"-{i}"}.get(factor, f"{factor}*{i}") for factor, i in chosen]
        text = " + ".join([*words, str(constant)]) if constant or not words else " + ".join(words)
        return text.replace("+ -", "- "), lambda env: sum(f * env[i] for f, i in chosen) + constant

    def bounds(self, indices: list[str]) -> tuple[str, str, Callable[[Env], range]]:
        low = self.random.choice((-1, 0, 1, 1, 1, 2))
        low_text, low_of = str(low), lambda env: low
        kind = self.random.randrange(5 if indices else 3)
        if kind == 4:  # from an outer index on
            other = self.random.choice(indices)
            low_text, low_of = other, lambda env: env[other]
        if kind <= 1:
            high = low + self.random.choice((-1, 0, 1, 2, 2, 3, 3))
            return low_text, str(high), lambda env: range(low, high + 1)
        if kind == 2:
            return low_text, "n", lambda env: range(low, N + 1)
        if kind == 3:
            outer = self.random.choice(indices)
            return low_text, f"{outer} + 1", lambda env: range(low, env[outer] + 2)
        return low_text, "n + 1", lambda env: range(low_of(env), N + 2)

    def reduction(self, indices: list[str], depth: int) -> Part:
        product = self.random.random() < self.products
        triples, inner = [], list(indices)
        for _ in range(1 if depth == 0 or self.random.random() < 0.6 else 2):
            name = next(self.names, None)
            if name is None:
                break
            triples.append((name, *self.bounds(inner)))
            inner.append(name)
        if not triples:
            return self.leaf(indices)
        body_text, body = self.part(inner, depth)

        def loop(env: Env, level: int = 0) -> complex:
            if level == len(triples):
                return body(env)
            name, _, _, ends = triples[level]
            terms = [loop({**env, name: k}, level + 1) for k in ends(env)]
            return math.prod(terms, start=complex(1.0)) if product else sum(terms, complex(0.0))

        limits = ", ".join(f"({name}, {low}, {high})" for name, low, high, _ in reversed(triples))  # outermost last
        return f"{'Product' if product else 'Sum'}({body_text}, {limits})", loop

    def leaf(self, indices: list[str]) -> Part:
        kind = self.random.randrange(6)
        if kind == 0:
            return "s", lambda env: self.scalar
        if kind == 1 and indices:
            name = self.random.choice(indices)
            return name, lambda env: complex(env[name])
        if kind == 2:
            (a, first), (b, second) = self.affine(indices), self.affine(indices)
            return f"A[{a}, {b}]", lambda env: self.entries("A", first(env), second(env))
        text, index = self.affine(indices)
        return f"x[{text}]", lambda env: self.entries("x", index(env))

    def part(self, indices: list[str], depth: int) -> Part:
        kind = self.random.randrange(8)
        if depth == 0 or kind == 0:
            return self.leaf(indices)
        if kind == 1:
            return self.reduction(indices, depth - 1)
        a, first = self.part(indices, depth - 1)
        if kind == 2:
            return f"sin({a})", lambda env: cmath.sin(first(env))
        b, second = self.part(indices, depth - 1)
        if kind == 3 and indices:
            name, cut = self.random.choice(indices), self.random.randint(0, 2)
            return (
                f"where({name} <= {cut}, {a}, {b})",
                lambda env: first(env) if env[name] <= cut else second(env),
            )
        if kind == 4:
            return f"({a})/(2 + sin({b}))", lambda env: first(env) / (2 + cmath.sin(second(env)))
        if kind == 5:
            return f"({a}) - ({b})", lambda env: first(env) - second(env)
        return f"({a})*({b})", lambda env: first(env) * second(env)


@pytest.mark.parametrize("seed", range(300))
def test_random_sums_are_loops(seed: int) -> None:
    writer = Writer(Random(seed))
    text, loops = writer.reduction([], 1 + seed % 3)
    wanted = loops({})
    text = f"{text} + 0*s"
    # the text must read everything between the ends, also in branches that the loops never take
    for name, indices in (("x", "k"), ("A", "km")):
        if f"{name}[" in text:
            ranges = [(min(low, -12), max(high, 24)) for low, high in writer.entries.ranges(name)] or [(-12, 24)] * len(
                indices
            )
            triples = [f"({index}, {low}, {high})" for index, (low, high) in zip(indices, ranges, strict=True)]
            text += f" + 0*Sum({name}[{','.join(indices)}], {', '.join(triples)})"
    objective = build(text, {"n": float(N)} if "n" in text.replace("sin", "") else {})
    check_graph(objective.gradient_graph)
    values, directions = {"s": writer.scalar.real}, {"s": writer.scalar.imag / STEP}
    for variable in objective.layout.variables:
        if variable.shape:
            grid = itertools.product(*(range(f, f + c) for f, c in zip(variable.first, variable.shape, strict=True)))
            numbers = np.array([writer.entries(variable.name, *index) for index in grid])
            values[variable.name] = numbers.real.reshape(variable.shape)
            directions[variable.name] = (numbers.imag / STEP).reshape(variable.shape)
    at, direction = objective.layout.join(values), objective.layout.join(directions)
    value, slope = objective.value_and_gradient(at)
    scale = max(1.0, abs(wanted))
    assert value == pytest.approx(wanted.real, rel=1e-10, abs=1e-11 * scale), text
    blame = Blame(objective.resolved)  # evaluates the text itself, part by part
    assert blame._tracer is not None
    traced = blame._tracer.values(at)[blame._tracer.resolved.syntax.root]
    assert traced == pytest.approx(wanted.real, rel=1e-10, abs=1e-11 * scale), text
    assert blame.nonfinite(at) is None, text
    along = float(slope @ direction)
    size = float(np.abs(slope) @ np.abs(direction))
    assert along == pytest.approx(wanted.imag / STEP, rel=1e-9, abs=1e-11 * max(size, scale)), text
    agree(objective.gradient_graph, [objective.inputs(at)])
    hessian = objective.hvp(at, direction)
    assert hessian.shape == at.shape
    ahead, behind = (objective.value_and_gradient(at + h * direction)[1] for h in (1e-5, -1e-5))
    size = float(np.max(np.abs(hessian), initial=1.0)) + float(np.max(np.abs(ahead)))
    assert np.allclose((ahead - behind) / 2e-5, hessian, rtol=1e-4, atol=1e-4 * size), text
