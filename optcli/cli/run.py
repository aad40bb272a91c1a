"""`optcli run CONFIG.yaml`, and `optcli run RESULT.json` to carry out a result's run again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from optcli.cli.command import Command
from optcli.cli.options import files, options, words
from optcli.cli.signals import Signals
from optcli.config import SETTINGS


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return words(_examples)(ctx, param, incomplete) or files(ctx, param, incomplete)


def _examples() -> Iterable[str]:
    from optcli import library

    return library.config_names()


def _run(file: str, **flags: Any) -> int:
    from optcli import library
    from optcli.cli.solving import solve

    if not os.path.exists(file) and not re.search(r"[./\\]", file):
        file = str(library.config_path(file))
    signals = click.get_current_context().find_object(Signals)
    return solve(flags, file, signals or Signals())


run = Command(
    "run",
    params=[
        click.Argument(["file"], metavar="CONFIG", shell_complete=_complete),
        *options(key for key in SETTINGS if key != "config"),
    ],
    callback=_run,
    help="Carry out the run that a YAML file describes, an example run by its name, or the run of a result in JSON.",
    examples=(
        "optcli run my_run.yaml",
        "optcli run my_run.yaml --iters 5000 --set lr=0.005",
        "optcli run rosenbrock_loop",
        "optcli run result.json",
    ),
)
