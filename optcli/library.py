"""Named functions and example runs: files in functions/ and configs/, which stand at the top level of the project.

Inside an installed wheel they are optcli/_functions and optcli/_configs.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from optcli.config.bounds import Bound, bounds
from optcli.config.kinds import code_text, misfit, text
from optcli.config.layers import Given, Layer, unknown_key
from optcli.config.points import Part, StartEntry, parameters, starts
from optcli.config.tree import Array, Node, Scalar, Sequence, Table, items
from optcli.config.yaml_reader import read_yaml
from optcli.errors import ConfigError, UsageError, did_you_mean, visible

KEYS = ("name", "summary", "expression", "params", "start", "domain", "minima", "reference", "notes")
ENDING = ".yaml"


class Minimum(NamedTuple):
    """A known minimizer and its value; texts are expressions of the parameters."""

    x: tuple[StartEntry, ...]
    value: float | str


class Entry(NamedTuple):
    """A function with a name, as its file says; `expression` is in the language of contract §1."""

    name: str
    summary: str
    expression: str
    params: dict[str, float]
    start: tuple[StartEntry, ...]
    domain: tuple[Bound, ...]
    minima: tuple[Minimum, ...]
    reference: str
    notes: str
    path: Path

    def layer(self) -> Layer:
        """What the function suggests for a run: start, parameters, and the domain for the bounds."""
        given = {f"params.{name}": Given(value, "library") for name, value in self.params.items()}
        if positional := tuple(entry for entry in self.start if entry.name is None):
            given["start"] = Given(positional, "library")
        for key, entries in (("start", self.start), ("domain", self.domain)):
            for entry in entries:
                if entry.name is not None:
                    index = "" if entry.index is None else f"[{entry.index}]"
                    given[f"{key}.{entry.name}{index}"] = Given(entry, "library")
        return Layer(given)


def functions_folder() -> Path:
    """Where the named functions are."""
    return _folder("functions")


def configs_folder() -> Path:
    """Where the example runs are."""
    return _folder("configs")


@cache
def _folder(kind: str) -> Path:
    package = Path(__file__).parent
    packed = package / f"_{kind}"
    return packed if packed.is_dir() else package.parent / kind


@cache
def _listing(folder: Path) -> tuple[str, ...]:
    try:
        found = os.listdir(folder)
    except OSError:
        return ()
    return tuple(sorted(name.removesuffix(ENDING) for name in found if name.endswith(ENDING) and name[0] != "."))


def names() -> tuple[str, ...]:
    """The names of all functions, in alphabetical order; no file is read."""
    return _listing(functions_folder())


def config_names() -> tuple[str, ...]:
    """The names of all example runs, in alphabetical order; no file is read."""
    return _listing(configs_folder())


def get(name: str) -> Entry:
    """The function of that name, upper or lower case. Raises UsageError with the nearest names."""
    if name.lower() not in names():
        remedy = did_you_mean(name, names()) or "`optcli functions` lists the names."
        raise UsageError(f"no function is called '{visible(name[:60])}'", remedy)
    return load_file(functions_folder() / (name.lower() + ENDING))


def config_path(name: str) -> Path:
    """The file of the example run of that name. Raises UsageError with the nearest names."""
    if name not in config_names():
        remedy = did_you_mean(name, config_names()) or f"There are: {', '.join(config_names())}."
        raise UsageError(f"no example run is called '{visible(name[:60])}'", remedy)
    return configs_folder() / (name + ENDING)


def load_file(path: str | os.PathLike[str]) -> Entry:
    """The function in a YAML file of the library's form. Raises FileError, ConfigError with file:line:column."""
    path = Path(path)
    table = read_yaml(path)
    given: dict[str, Node] = {}
    for key, node in table.entries:
        if key.text not in KEYS:
            raise unknown_key(key, KEYS)
        given[key.text] = node
    if "expression" not in given:
        raise ConfigError("the key 'expression' is missing", table.where, "Add `expression: …`.")
    name = _text("name", given.get("name")) or path.stem
    if path.parent == functions_folder() and name != path.stem:
        raise ConfigError(f"name must be '{path.stem}', as the file is", given["name"].where, "Rename one of the two.")
    folder = path.parent
    return Entry(
        name=name,
        summary=_text("summary", given.get("summary")),
        expression=str(code_text("expression", given["expression"], folder)),
        params={part.path: part.value for part in _parts(parameters, "params", given.get("params"), folder)},
        start=_entries("start", given.get("start"), folder),
        domain=tuple(part.value for part in _parts(bounds, "domain", given.get("domain"), folder)),
        minima=_minima(given.get("minima"), folder),
        reference=_text("reference", given.get("reference")),
        notes=_text("notes", given.get("notes")),
        path=path,
    )


def _text(key: str, node: Node | None) -> str:
    return "" if node is None else str(text()(key, node, None)).strip()


def _parts(kind: Any, key: str, node: Node | None, folder: Path) -> list[Part]:
    """The parts of a mapping, none where it is missing. Raises ConfigError."""
    if node is None:
        return []
    parts: list[Part] = kind(key, node, folder)
    if any(part.value == "domain" for part in parts):
        raise misfit(key, "a mapping like {x: [0, 1]}", node)
    return parts


def _entries(key: str, node: Node | None, folder: Path) -> tuple[StartEntry, ...]:
    """A point, whether named or in the order of the variables. Raises ConfigError."""
    out: list[StartEntry] = []
    for part in _parts(starts, key, node, folder):
        out += part.value if isinstance(part.value, tuple) else [part.value]
    return tuple(out)


def _minima(node: Node | None, folder: Path) -> tuple[Minimum, ...]:
    if node is None:
        return ()
    form = "a list of entries like {x: {x: 1, y: 1}, value: 0}"
    if not isinstance(node, Sequence | Array):
        raise misfit("minima", form, node)
    return tuple(_minimum(item, form, folder) for item in items(node))


def _minimum(node: Node, form: str, folder: Path) -> Minimum:
    if not isinstance(node, Table):
        raise misfit("minima", form, node)
    keys = ("x", "value")
    for key, _ in node.entries:
        if key.text not in keys:
            raise unknown_key(key, keys)
    held = {key.text: value for key, value in node.entries}
    if set(held) != set(keys):
        raise ConfigError("a minimum needs both x and value", node.where, "Write {x: {x: 1, y: 1}, value: 0}.")
    ((value,),) = (part.value for part in starts("value", _single(held["value"]), folder))
    return Minimum(_entries("x", held["x"], folder), value.value)


def _single(node: Node) -> Node:
    """A value alone, as a point of one entry."""
    if not isinstance(node, Scalar):
        raise misfit("value", "a number", node)
    return Sequence((node,), node.where)
