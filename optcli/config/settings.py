"""The one table of everything a user can set: options, environment variables, YAML keys and Python keywords."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from optcli.config import kinds, points
from optcli.config.bounds import bounds
from optcli.config.kinds import Kind, number, switch, text, whole, word
from optcli.config.paths import output
from optcli.config.points import Part
from optcli.config.tree import Node

COMMANDS = ("minimize", "maximize")
ENGINES = ("auto", "native", "numpy")
FORMATS = ("table", "json", "ndjson", "csv")
STATUSES = (
    "completed",
    "converged",
    "limit",
    "stalled",
    "diverged",
    "nonfinite",
    "unbounded",
    "interrupted",
    "failed",
)
MAX_LABEL = 200  # contract §2


class Setting(NamedTuple):
    """One row: how it is written, what it may be, and what `-h` says about it.

    `kind` converts a single value; `parts` instead converts a mapping, merged over the layers entry by entry.
    """

    key: str
    help: str
    metavar: str = ""
    kind: Kind | None = None
    parts: Callable[[str, Node, Path | None], list[Part]] | None = None
    default: Any = None
    flag: str | None = None  # its spelling on the command line; None: no flag
    config: bool = True  # whether it is a YAML key, a Python keyword and a path of --set
    environment: bool = True  # whether OPTCLI_<KEY> sets it
    repeatable: bool = False  # whether the flag may be given several times
    is_switch: bool = False  # a flag without a value; one that is not off by itself has a --no-… too
    choices: tuple[str, ...] = ()


def _key(key: str, help_: str, metavar: str = "", kind: Kind | None = None, **more: Any) -> Setting:
    more.setdefault("flag", "--" + key.replace("_", "-"))
    return Setting(key, help_, metavar, kind, **more)


def _flag(key: str, help_: str, metavar: str = "", **more: Any) -> Setting:
    return _key(key, help_, metavar, config=False, environment=False, **more)


_HERE: dict[str, Any] = {"flag": None, "environment": False}  # what a file or Python says, not a flag

_ROWS = (
    _key("command", "minimize or maximize", kind=word(*COMMANDS), default="minimize", choices=COMMANDS, **_HERE),
    _key("function", "what to minimize: a name, a file or an expression", "FUNCTION", kinds.code_text, **_HERE),
    _key(
        "start",
        "the first point: x=-1,y=1, or -1,1, or x=@file.csv (default: the library's, else 0)",
        "POINT",
        parts=points.starts,
    ),
    _key(
        "params",
        "a fixed number of the function (repeatable)",
        "NAME=NUMBER",
        parts=points.parameters,
        flag="--param",
        repeatable=True,
    ),
    _key("data", "arrays named in the text", "NAME=FILE", parts=points.arrays, **_HERE),
    _key(
        "method",
        "the method; `optcli methods` lists them (default auto: gd with --lr, else what suits the function)",
        "NAME",
        text(what="the name of a method"),
        default="auto",
    ),
    _key("lr", "the learning rate of the method", "NUMBER", number(above=0)),
    _key("settings", "further fields of the method", "FIELD=VALUE", parts=points.fields, flag=None),
    _key("iters", "stop after N iterations; without --tol, run exactly N", "N", whole()),
    _key("tol", "converged once the gradient norm is at most T (default 1e-8*max(1, |f|))", "T", number(least=0)),
    _key("max_time", "stop after so many seconds", "SECONDS", number(above=0)),
    _key("max_evals", "stop after N evaluations of the gradient", "N", whole(least=1)),
    _key("target", "stop as soon as the value reaches F", "F", number()),
    _key("every", "a row every N-th iteration; 0: none", "N", whole(), default=100),
    _key(
        "bounds",
        "keep a variable between two numbers, one of which may be missing; or the word domain (repeatable)",
        "NAME=LOW:HIGH",
        parts=bounds,
        repeatable=True,
    ),
    _key(
        "starts",
        "search from N points, in the bounds or around the start; minima are told with how often each was found",
        "N",
        whole(least=1),
        default=1,
    ),
    _key(
        "escape",
        "from a saddle go on downhill (default: auto alone does)",
        kind=switch,
        is_switch=True,
    ),
    _key(
        "scaling",
        "measure variables of very different size in units of their own (methods without a learning rate)",
        kind=switch,
        default=True,
        is_switch=True,
    ),
    _key("seed", "the seed of everything random", "N", whole(), default=0),
    _key("engine", "what evaluates the function", kind=word(*ENGINES), default="auto", choices=ENGINES),
    _key("format", "what goes to standard output", kind=word(*FORMATS), default="table", choices=FORMATS),
    _key("output", "write the data into FILE instead of standard output", "FILE", output),
    _key("name", "a label for the summary, up to 200 characters", "LABEL", text(most=MAX_LABEL, what="a label")),
    _key("quiet", "nothing on standard error but errors", kind=switch, default=False, is_switch=True),
    _key("accept", "exit codes to turn into 0, as 10,11", "CODES", kinds.codes, default=()),
    _key("expect", "the status this run is meant to end in", kind=word(*STATUSES), choices=STATUSES, **_HERE),
    _flag("print", "print one bare value: value, x, x.NAME or status", "WHAT"),
    _flag("log", "write the rows to FILE as they come, as NDJSON", "FILE"),
    _flag("save_x", "write the minimizer in full to FILE.npy", "FILE"),
    _flag("checkpoint", "keep in FILE where the run stands: `optcli resume FILE` goes on from there", "FILE"),
    _flag("force", "overwrite a file that optcli did not write", is_switch=True),
    _flag("no_color", "no colors", is_switch=True),
    _flag("config", "read a YAML file first; flags override it", "FILE"),
    _flag("set", "set any key by its path, or a field of the method (repeatable)", "PATH=VALUE", repeatable=True),
)

SETTINGS: dict[str, Setting] = {row.key: row for row in _ROWS}
CONFIG_KEYS = tuple(key for key, row in SETTINGS.items() if row.config)
