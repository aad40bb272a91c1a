"""Values that belong to names: starts, parameters, fields, data, entry by entry and with the place of each.

Texts that are no numbers stay texts: the language of functions, which this room does not know, evaluates them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optcli.config.kinds import (
    DATE,
    FALSE,
    NAME,
    NONFINITE,
    NOTHING,
    NUMBER,
    TRUE,
    checked_name,
    field_value,
    misfit,
    to_float,
    why_no_number,
)
from optcli.config.tree import Array, Node, Scalar, Sequence, Table, said
from optcli.data import DataFile
from optcli.errors import ConfigError

TARGET = re.compile(rf"\s*({NAME})\s*(?:\[([^\[\]]*)\])?\s*", re.DOTALL)
ASSIGNMENT = re.compile(r"(?<![<>=!])=(?!=)")


@dataclass(frozen=True, slots=True)
class StartEntry:
    """One part of a point: `name` None takes its place in the order of the variables; `index` is the text in brackets.

    `value` is a finite float, the text of an expression, a file, a (nested) list of floats and texts, or a numpy array.
    """

    name: str | None
    index: str | None
    value: Any
    where: str


@dataclass(frozen=True, slots=True)
class Part:
    """One converted entry of a mapping: `path` is its name, as in `params.a`; '' is the whole."""

    path: str
    value: Any
    where: str


def split(text: str, mark: str = ",") -> list[str]:
    """`text` at every `mark` outside brackets."""
    parts, depth, begun = [], 0, 0
    for at, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth = max(0, depth - 1)
        elif char == mark and depth == 0:
            parts.append(text[begun:at])
            begun = at + 1
    return [*parts, text[begun:]]


def assignment(key: str, text: str, where: str) -> tuple[Scalar, Scalar] | None:
    """`name = value` or `name[index] = value` as (target, value), None where no `=` assigns. Raises ConfigError."""
    if (match := TARGET.match(text)) and ASSIGNMENT.match(text, match.end()):
        return Scalar(match[0].strip(), where), Scalar(text[match.end() + 1 :].strip(), where)
    parts = split(text, "=")
    if ASSIGNMENT.match(text, len(parts[0])):
        checked_name(key, Scalar(parts[0].strip(), where))
    return None


def pairs(key: str, node: Node, expected: str) -> Table:
    """A mapping, or the text `a=1,b=2` as one. Raises ConfigError."""
    if isinstance(node, Table):
        return node
    if isinstance(node, Scalar):
        found = [assignment(key, part, node.where) for part in split(node.text)]
        if all(found):
            return Table(tuple(pair for pair in found if pair), node.where)
    raise misfit(key, expected, node)


def target(key: str, node: Scalar) -> tuple[str, str | None]:
    """The name and the text of the index of `x`, `x[3]`, `x[i]`. Raises ConfigError."""
    match = TARGET.fullmatch(node.text)
    if not match:
        return checked_name(key, node), None
    name = checked_name(key, Scalar(match[1], node.where))
    if match[2] is None:
        return name, None
    index = re.sub(r"\s+", "", match[2])
    if not index:
        raise ConfigError(f"{said(node)} in {key} has no index", node.where, f"Write {name} for the whole vector.")
    return name, index


def path_of(name: str, index: str | None) -> str:
    return name if index is None else f"{name}[{index}]"


def parameters(key: str, node: Node, folder: Path | None) -> list[Part]:
    """`a=1` or {a: 1}: names and finite numbers."""
    table = pairs(key, node, "pairs like a=1")
    return [Part(n := checked_name(key, k), to_float(f"{n} in {key}", v), v.where) for k, v in table.entries]


def fields(key: str, node: Node, folder: Path | None) -> list[Part]:
    """`beta1=0.8` or {beta1: 0.8}: fields of the method."""
    table = pairs(key, node, "pairs like beta1=0.8")
    return [
        Part(n := checked_name(key, k, "field"), field_value(f"{n} in {key}", v, folder), v.where)
        for k, v in table.entries
    ]


def starts(key: str, node: Node, folder: Path | None) -> list[Part]:
    """`x=-1,y=1`, `-1,1`, a list, an array, or a mapping of names to numbers, lists, expressions and files."""
    if isinstance(node, Array):
        return [Part("", (StartEntry(None, None, _entry_value(key, node, folder), node.where),), node.where)]
    if isinstance(node, Sequence):
        parts: tuple[Node, ...] = node.items
    elif isinstance(node, Scalar):
        if not node.text.strip():
            raise misfit(key, "a point like x=-1,y=1", node)
        pieces = split(node.text)
        found = [assignment(key, piece, node.where) for piece in pieces]
        if all(found):
            node = Table(tuple(pair for pair in found if pair), node.where)
        elif any(found):
            raise misfit(key, "a point like x=-1,y=1 or -1,1", node, "Name every value, or none.")
        else:
            parts = tuple(Scalar(piece.strip(), node.where) for piece in pieces)
    if isinstance(node, Table):
        out = []
        for k, v in node.entries:
            name, index = target(key, k)
            path = path_of(name, index)
            out.append(
                Part(path, StartEntry(name, index, _entry_value(f"{key} of {path}", v, folder), v.where), v.where)
            )
        return out
    if not parts:
        raise misfit(key, "a point like x=-1,y=1", node)
    entries = tuple(
        StartEntry(None, None, scalar_value(f"value {n} of {key}", part, folder), part.where)
        for n, part in enumerate(parts, 1)
    )
    return [Part("", entries, node.where)]


def _entry_value(key: str, node: Node, folder: Path | None, depth: int = 0) -> Any:
    """A number, text, file or nested list; an array is checked as a whole. Raises ConfigError."""
    if isinstance(node, Array):
        return _finite_array(key, node)
    if isinstance(node, Sequence):
        if depth == 2 or not node.items:
            raise misfit(key, "a number, a list, or a list of rows", node)
        values = [_entry_value(f"{key}[{n}]", item, folder, depth + 1) for n, item in enumerate(node.items, 1)]
        refuse_ragged(key, values, node.items)
        return values
    return scalar_value(key, node, folder, files=depth == 0)


def scalar_value(key: str, node: Node, folder: Path | None, files: bool = True) -> float | str | DataFile:
    expected = "a number or an expression"
    if not isinstance(node, Scalar):
        raise misfit(key, expected, node, "Name the variable: `start: {x: [1, 2]}`.")
    text = node.text.strip()
    if NUMBER.fullmatch(text):
        return to_float(key, Scalar(text, node.where))
    if text.lower() in NOTHING | TRUE | FALSE or NONFINITE.fullmatch(text) or DATE.fullmatch(text):
        raise misfit(key, "a finite number or an expression", node, why_no_number(text.lower()))
    if remedy := why_no_number(text) if re.match(r"[+−-]?[0-9]", text) and not re.search(r"[-+*/^(]", text[1:]) else "":
        raise misfit(key, expected, node, remedy)
    if text.startswith("@"):
        if not files or not text[1:].strip():
            raise misfit(key, expected, node, "A file is the whole value: x=@start.csv.")
        return _file(text[1:].strip(), node.where, folder)
    return text


def _file(text: str, where: str, folder: Path | None) -> DataFile:
    if "\0" in text:
        raise ConfigError("a path holds the character NUL", where, "Remove it.")
    return DataFile((folder or Path()) / text, where)


def _finite_array(key: str, node: Array) -> Any:
    """A list of plain numbers or a numpy array of one or two axes, finite throughout. Raises ConfigError."""
    values = node.values
    if isinstance(values, list):
        if not all(map(math.isfinite, values)):
            raise misfit(key, "finite throughout", node)
        return values
    import numpy as np

    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or not values.size:
        raise misfit(key, "real numbers in one or two axes", node)
    if not np.isfinite(values).all():
        raise misfit(key, "finite throughout", node)
    return np.array(values, dtype=np.float64)


def refuse_ragged(key: str, values: list[Any], nodes: tuple[Node, ...]) -> None:
    """Refuses a list whose items are not all values or all rows of one length. Raises ConfigError with the place."""
    lengths = [len(value) if hasattr(value, "__len__") and not isinstance(value, str) else 0 for value in values]
    for n, length in enumerate(lengths, 1):
        if length != lengths[0]:
            came, first = (f"{k} entries" if k else "no list" for k in (length, lengths[0]))
            remedy = "Rows of a matrix have one length."
            raise ConfigError(f"row {n} of {key} has {came}, row 1 has {first}", nodes[n - 1].where, remedy)


def arrays(key: str, node: Node, folder: Path | None) -> list[Part]:
    """`A=matrix.csv` or {A: matrix.csv}: files, nested lists of numbers, or numpy arrays.

    A result names them as {path: matrix.csv, sha256: …}, which must then hold, or as {values: …}.
    """
    out = []
    for k, v in pairs(key, node, "pairs like A=matrix.csv").entries:
        name = checked_name(key, k)
        out.append(Part(name, _array(f"{name} in {key}", v, folder), v.where))
    return out


def _array(key: str, node: Node, folder: Path | None, depth: int = 0) -> Any:
    expected = "a file, a list of numbers, or a list of rows"
    match node:
        case Scalar() if depth == 0:
            text = node.text.strip().removeprefix("@")
            if not text or text in NOTHING or NUMBER.fullmatch(text):
                raise misfit(key, expected, node, "A single number is a parameter: `params`.")
            return _file(text, node.where, folder)
        case Table() if depth == 0:
            return _recorded(key, node, folder)
        case Scalar():
            return to_float(key, node)
        case Array():
            return _finite_array(key, node)
        case Sequence(nodes) if depth < 2 and nodes:
            values = [_array(f"{key}[{n}]", item, folder, depth + 1) for n, item in enumerate(nodes, 1)]
            refuse_ragged(key, values, nodes)
            return values
    raise misfit(key, expected, node)


def _recorded(key: str, node: Table, folder: Path | None) -> Any:
    """An array as `data.record` has it. Raises ConfigError."""
    held = {name.text: value for name, value in node.entries}
    if held.keys() == {"values"} and isinstance(held["values"], Array | Sequence):
        return _array(key, held["values"], folder)
    path, digest = held.get("path"), held.get("sha256")
    if held.keys() - {"path", "sha256"} or not isinstance(path, Scalar) or not isinstance(digest, Scalar | None):
        raise misfit(key, "a file, numbers, or {path: FILE, sha256: HASH}", node)
    word = digest.text.strip().lower() if digest else ""
    if digest and not re.fullmatch("[0-9a-f]{64}", word):
        raise misfit(f"sha256 of {key}", "64 hexadecimal digits", digest, "sha256sum prints them.")
    file = _file(path.text.strip(), path.where, folder)
    beside = (folder or Path()) / file.path.name
    # a result that went elsewhere together with its data; the hash says whether they are the same
    moved = bool(word) and not file.path.exists() and beside.exists()
    return file._replace(path=beside if moved else file.path, sha256=word)
