"""Layers of what was given (flags, environment, file, library, defaults), each entry with its place, and their sum.

The first layer that has a key wins; mappings such as `params` and `start` are merged entry by entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from optcli.config.bounds import Bound
from optcli.config.points import StartEntry
from optcli.config.replay import CHECKPOINT_BEGINS, MAX_BYTES, RESULT_BEGINS, beginning, result_table, run_table
from optcli.config.settings import CONFIG_KEYS, SETTINGS, Setting
from optcli.config.tree import Node, Scalar, Table, from_python, said
from optcli.config.yaml_reader import parse_yaml, read_text
from optcli.errors import ConfigError, FileError, did_you_mean, visible

PREFIX = "OPTCLI_"
OTHER_ENVIRONMENT = ("OPTCLI_CACHE", "OPTCLI_DEBUG", "OPTCLI_THREADS")  # belong to other parts


class Given(NamedTuple):
    """A converted value, the place that an error names, and what sort of place: flag, environment, keyword or ''."""

    value: Any
    where: str
    source: str = ""

    @property
    def origin(self) -> str:
        return f"{self.source} {self.where}".lstrip()


@dataclass(frozen=True)
class Layer(Mapping[str, Given]):
    """Path → Given: `lr`, or `params.a`, `start.x`, `start.x[3]` for entries of mappings, in the order written."""

    given: Mapping[str, Given]
    folder: Path | None = None

    def __getitem__(self, path: str) -> Given:
        return self.given[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)


@dataclass(frozen=True)
class Config:
    """A run as asked for: a field a key, None where nothing is given and there is no default.

    `origins` maps paths (`lr`, `params.a`, `start.x`) to where their values come from. `start` and `bounds` are to be
    applied in their order, later entries over earlier ones. `use_domain`: the word `domain` was given for the bounds.
    """

    command: str
    function: str | None
    start: tuple[StartEntry, ...]
    params: Mapping[str, float]
    data: Mapping[str, Any]
    method: str
    lr: float | None
    settings: Mapping[str, Any]
    iters: int | None
    tol: float | None
    max_time: float | None
    max_evals: int | None
    target: float | None
    every: int
    bounds: tuple[Bound, ...]
    use_domain: bool
    starts: int
    escape: bool | None
    scaling: bool
    seed: int
    engine: str
    format: str
    output: Path | None
    name: str | None
    quiet: bool
    accept: tuple[int, ...]
    expect: str | None
    origins: Mapping[str, str]
    folder: Path | None

    def where(self, path: str) -> str:
        """The place that an error about `path` names, empty where it is a default."""
        origin = self.origins.get(path, "default")
        return "" if origin in ("default", "library") else origin.removeprefix("flag ").removeprefix("environment ")

    def said_origins(self, settings: Iterable[str]) -> dict[str, str]:
        """Where `settings` and what else a result says come from, by name, in words."""
        origins = self.origins
        found = {key: origins.get(key) or origins.get(f"settings.{key}", "default") for key in ("method", *settings)}
        entries = {path: place for path, place in origins.items() if path.startswith(("params.", "data.", "bounds."))}
        return {**found, **{key: origins.get(key, "default") for key in ("engine", "seed")}, **entries}


class _Collector:
    """Builds a layer, refusing what is given twice."""

    def __init__(self, folder: Path | None, source: str) -> None:
        self.given: dict[str, Given] = {}
        self.folder = folder
        self.source = source

    def add(self, setting: Setting, node: Node) -> None:
        if setting.parts is None:
            assert setting.kind is not None
            self._put(setting.key, setting.kind(setting.key, node, self.folder), node.where)
            return
        for part in setting.parts(setting.key, node, self.folder):
            path = f"{setting.key}.{part.path}" if part.path else setting.key
            if setting.key == "settings" and part.path == "lr":
                path, part = "lr", replace(part, value=_learning_rate(part.value, part.where))
            self._put(path, part.value, part.where)

    def _put(self, path: str, value: Any, where: str) -> None:
        if path in self.given:
            raise ConfigError(f"{path} is given twice", where, f"Keep one; the other is at {self.given[path].where}.")
        self.given[path] = Given(value, where, self.source)

    def layer(self) -> Layer:
        return Layer(self.given, self.folder)


def _learning_rate(value: Any, where: str) -> object:
    kind = SETTINGS["lr"].kind
    assert kind is not None
    return kind("lr", from_python(value, where), None)


def unknown_key(key: Scalar, known: Iterable[str], what: str = "key") -> ConfigError:
    """The error of a key that is not in the table."""
    known = tuple(known)
    remedy = did_you_mean(key.text, known) or f"Known: {', '.join(known)}."
    return ConfigError(f"unknown {what} {said(key)}", key.where, remedy)


def load(path: str | os.PathLike[str]) -> Layer:
    """The layer of a YAML file, or of a result in JSON to run again. Raises ConfigError, also if it cannot be read."""
    name = visible(os.fspath(path))
    try:
        begins = beginning(path)
        if begins.startswith(CHECKPOINT_BEGINS):
            raise ConfigError("this is a checkpoint", name, f"Go on from it with optcli resume {name}.")
        content = read_text(path, *((MAX_BYTES,) if begins.startswith(RESULT_BEGINS) else ()))
    except FileError as error:
        raise ConfigError(error.message, "", error.remedy) from None
    folder = Path(path).parent
    replayed = result_table(content, name)
    return from_table(parse_yaml(content, name) if replayed is None else replayed, folder)


def from_run(run: Mapping[str, Any], name: str) -> Layer:
    """The layer of a run as a checkpoint keeps it, each setting with the origin it had. Raises ConfigError."""
    layer = from_table(run_table(run, name), None)
    origins = run["settings_origin"]
    return Layer(
        {
            path: Given(given.value, origins.get(path.removeprefix("settings."), "default"))
            for path, given in layer.items()
        }
    )


def from_table(table: Table, folder: Path | None) -> Layer:
    """The layer of a mapping as read; relative paths in it start at `folder`. Raises ConfigError."""
    collector = _Collector(folder, "")
    for key, node in table.entries:
        if key.text not in CONFIG_KEYS:
            raise unknown_key(key, CONFIG_KEYS)
        collector.add(SETTINGS[key.text], node)
    return collector.layer()


def from_environment(environ: Mapping[str, str]) -> Layer:
    """The layer of OPTCLI_LR and its kin; empty ones count as not given. Raises ConfigError."""
    known = {PREFIX + key.upper(): row for key, row in SETTINGS.items() if row.config and row.environment}
    collector = _Collector(None, "environment")
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in OTHER_ENVIRONMENT:
            continue
        if variable not in known:
            raise unknown_key(Scalar(variable, "environment"), (*known, *OTHER_ENVIRONMENT), "variable")
        if value.strip():
            collector.add(known[variable], Scalar(value, variable))
    return collector.layer()


def from_keywords(**keywords: Any) -> Layer:
    """The layer of Python's keywords; None counts as not given. Raises ConfigError."""
    collector = _Collector(None, "keyword")
    for key, value in keywords.items():
        if key not in CONFIG_KEYS:
            error = unknown_key(Scalar(key, "keyword"), CONFIG_KEYS, "keyword")
            raise ConfigError(error.message, "", f"{error.remedy} Fields of the method go in settings={{…}}.")
        if value is not None:
            collector.add(SETTINGS[key], from_python(value, key))
    return collector.layer()


def from_flags(flags: Mapping[str, Any]) -> Layer:
    """The layer of command-line options by their keys, as click hands them over; None and () are not given.

    `set` holds the texts of --set. Options that are no config keys are passed over. Raises ConfigError.
    """
    collector = _Collector(None, "flag")
    for key, value in flags.items():
        setting = SETTINGS.get(key)
        if setting is None or value is None or value == () or (value is False and setting.default is False):
            continue
        where = setting.flag or setting.metavar or key
        for one in value if isinstance(value, tuple) else (value,):
            if key == "set":
                collector.add(*_assigned(str(one)))
            elif setting.config:
                collector.add(setting, from_python(one, where))
    return collector.layer()


def _assigned(text: str) -> tuple[Setting, Node]:
    """The key and value of `--set PATH=VALUE`."""
    path, equals, value = text.partition("=")
    path = path.strip()
    where = f"--set {visible(path[:40])}"
    if not equals or not path:
        raise ConfigError(f"{said(Scalar(text, ''))} is no PATH=VALUE", "--set", "Write, say, --set iters=100.")
    node = Scalar(value.strip(), where)
    if path in CONFIG_KEYS:
        return SETTINGS[path], node
    root, dot, rest = path.partition(".")
    if not dot:
        root, rest = "settings", path
    if root not in CONFIG_KEYS:
        raise unknown_key(Scalar(root, where), CONFIG_KEYS)
    if SETTINGS[root].parts is None:
        raise ConfigError(f"{root} has no entries", where, f"Write --set {root}=VALUE.")
    return SETTINGS[root], Table(((Scalar(rest, where), node),), where)


def resolve(*layers: Layer) -> Config:
    """The sum of layers, the first first; what none gives has its default. Raises nothing: layers are valid."""
    merged: dict[str, Given] = {}
    for layer in layers:
        # fields belong to the method of their own layer: one that a higher layer replaces takes them with it
        replaced = "method" in merged and "method" in layer
        for path, given in layer.items():
            if not (replaced and path.startswith("settings.")):
                merged.setdefault(path, given)
    values: dict[str, Any] = {}
    for key, row in SETTINGS.items():
        head = key + "."
        if row.config and row.parts is None:
            merged.setdefault(key, Given(row.default, "default"))
            values[key] = merged[key].value
        elif row.config:
            held = {path.removeprefix(head): given.value for path, given in merged.items() if path.startswith(head)}
            values[key] = held
    use_domain = "bounds" in merged
    domain = _levels(layers, "domain") if use_domain else []
    values |= {"start": _overlay(_levels(layers, "start")), "use_domain": use_domain}
    values["bounds"] = _overlay([*domain, *_levels(layers, "bounds")])
    origins = {path: given.origin for path, given in merged.items() if given.value is not None}
    for layer in reversed(layers):
        # the first entry of the highest layer names the whole
        origins |= {path.split(".")[0]: given.origin for path, given in reversed(tuple(layer.items()))}
    folder = next((layer.folder for layer in layers if layer.folder is not None), None)
    return Config(**values, origins=origins, folder=folder)


def _levels(layers: Iterable[Layer], key: str) -> list[list[Any]]:
    """The entries of `key` in each layer from the last to the first; those without a name begin."""
    levels = []
    for layer in reversed(tuple(layers)):
        named = [given.value for path, given in layer.items() if path.startswith(key + ".")]
        unnamed = layer[key].value if key in layer and key == "start" else ()
        levels.append([*unnamed, *sorted(named, key=_breadth)])
    return levels


def _overlay(levels: Iterable[list[Any]]) -> tuple[Any, ...]:
    """All entries in the order to apply them, without those that a later level hides whole."""
    entries: list[Any] = []
    for level in levels:
        whole = {entry.name for entry in level if entry.index is None}
        single = {(entry.name, entry.index) for entry in level}
        hidden = whole | single
        entries = [e for e in entries if not {None, e.name, (e.name, e.index)} & hidden] + level
    return tuple(entries)


def _breadth(entry: StartEntry | Bound) -> int:
    """Whole variables come before computed entries, those before single ones."""
    return 0 if entry.index is None else 2 if entry.index.replace(",", "").isdigit() else 1
