"""What a user wrote, whoever brought it: flags, environment, YAML and Python values become one tree with places.

A leaf keeps its text until a kind (see kinds.py) says what it must be: `on`, `1e-3`, `010` become what the key needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from optcli.errors import ConfigError, visible

SHOWN = 40  # characters of a wrong value that an error repeats


class Scalar(NamedTuple):
    """One word or text; `plain` is False where YAML had it in quotes or as a block."""

    text: str
    where: str
    plain: bool = True


class Sequence(NamedTuple):
    items: tuple[Node, ...]
    where: str


class Table(NamedTuple):
    """A mapping in the order written; its keys are distinct."""

    entries: tuple[tuple[Scalar, Node], ...]
    where: str


class Array(NamedTuple):
    """Numbers that Python handed over whole: a numpy array, or a list of plain ints and floats."""

    values: Any
    where: str


Node = Scalar | Sequence | Table | Array


def said(node: Node) -> str:
    """How an error repeats what came: short, on one line, harmless on a terminal."""
    match node:
        case Scalar(text, _, plain):
            if not text:
                return "nothing" if plain else "empty text"
            short = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
            return f"'{visible(short)}'"
        case Sequence():
            return "a list"
        case Table():
            return "a mapping"
        case Array():
            return "an array"


def items(node: Sequence | Array) -> tuple[Node, ...]:
    """The items of a list, however it came."""
    if isinstance(node, Sequence):
        return node.items
    return tuple(from_python(value, node.where) for value in getattr(node.values, "tolist", lambda: node.values)())


def from_python(value: object, where: str) -> Node:
    """A Python value as a tree; numpy arrays and lists of numbers stay whole.

    Raises ConfigError for a type that no key takes.
    """
    if value is None:
        return Scalar("", where)
    if isinstance(value, bool):
        return Scalar("true" if value else "false", where)
    if isinstance(value, str):
        return Scalar(value, where)
    if isinstance(value, int):
        return Scalar(int.__repr__(value) if abs(value) < 1 << 64 else f"{float(value)!r}", where)
    if isinstance(value, float):
        return Scalar(float.__repr__(value), where)
    if isinstance(value, Mapping):
        return Table(tuple((Scalar(str(k), where), from_python(v, where)) for k, v in value.items()), where)
    if isinstance(value, list | tuple):
        if value and set(map(type, value)) <= {int, float}:
            return Array(list(value), where)
        return Sequence(tuple(from_python(item, where) for item in value), where)
    if hasattr(value, "__fspath__"):
        return Scalar(str(value.__fspath__()), where)
    return _number_like(value, where)


def _number_like(value: Any, where: str) -> Node:
    """Numpy arrays and scalars, fractions, SymPy's numbers, tensors: whatever turns into numbers."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        return Array(value, where) if shape else from_python(value.item(), where)
    if hasattr(value, "numpy"):
        return from_python(value.numpy(), where)
    try:
        return Scalar(repr(float(value)), where)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"a value of type {type(value).__name__} is not understood", where) from None
