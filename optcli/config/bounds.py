"""Bounds of variables: two sides, one of which may be open, or the library's domain."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from optcli.config.kinds import NOTHING, misfit
from optcli.config.points import Part, pairs, path_of, scalar_value, split, target
from optcli.config.tree import Array, Node, Scalar, Sequence, items
from optcli.data import DataFile
from optcli.errors import ConfigError

INFINITE = re.compile(r"([+-]?)(?:oo|\.?inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bound:
    """The sides of a variable or of one entry: floats (-inf and inf where open) or texts of constant expressions."""

    name: str
    index: str | None
    lower: float | str
    upper: float | str
    where: str


def bounds(key: str, node: Node, folder: Path | None) -> list[Part]:
    """`x=0:1` or {x: [0, 1]}, one side may be open; the word `domain` takes the library's."""
    if isinstance(node, Scalar) and "domain" in (words := [part.strip() for part in split(node.text)]):
        rest = ",".join(part for part in words if part != "domain")
        return [Part("", "domain", node.where), *(bounds(key, Scalar(rest, node.where), folder) if rest else [])]
    out = []
    for k, v in pairs(key, node, "like x=0:1, or the word domain").entries:
        name, index = target(key, k)
        path = path_of(name, index)
        lower, upper = _sides(f"{key} of {path}", v)
        out.append(Part(path, Bound(name, index, lower, upper, v.where), v.where))
    return out


def _sides(key: str, node: Node) -> tuple[float | str, float | str]:
    expected = "two sides like 0:1, of which one may be empty"
    if isinstance(node, Scalar):
        halves: tuple[Node, ...] = tuple(Scalar(half.strip(), node.where) for half in split(node.text, ":"))
    elif isinstance(node, Sequence | Array):
        halves, expected = items(node), "two sides like [0, 1], of which one may be null"
    else:
        raise misfit(key, expected, node)
    if len(halves) != 2:
        raise misfit(key, expected, node)
    lower = _side(f"the lower side of {key}", halves[0], -math.inf)
    upper = _side(f"the upper side of {key}", halves[1], math.inf)
    if isinstance(lower, float) and isinstance(upper, float):
        if lower > upper:
            raise ConfigError(f"{key}: the lower side {lower:g} is above the upper {upper:g}", node.where, "Swap them.")
        if (math.isinf(lower) and lower > 0) or (math.isinf(upper) and upper < 0):
            raise misfit(key, "a range that holds a finite number", node)
    return lower, upper


def _side(key: str, node: Node, open_: float) -> float | str:
    if not isinstance(node, Scalar):
        raise misfit(key, "a number", node)
    text = node.text.strip()
    if text.lower() in NOTHING:
        return open_
    if infinite := INFINITE.fullmatch(text):
        return -math.inf if infinite[1] == "-" else math.inf
    value = scalar_value(key, node, None, files=False)
    assert not isinstance(value, DataFile)
    return value
