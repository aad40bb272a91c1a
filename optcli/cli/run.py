"""`optcli run CONFIG.yaml`, and `optcli run RESULT.json` to carry out a result's run again."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from optcli.cli.command import Command
from optcli.cli.options import files, options
from optcli.cli.signals import Signals
from optcli.config import SETTINGS


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return files(ctx, param, incomplete)


def _run(file: str, **flags: Any) -> int:
    from optcli.cli.solving import solve

    signals = click.get_current_context().find_object(Signals)
    return solve(flags, file, signals or Signals())


run = Command(
    "run",
    params=[
        click.Argument(["file"], metavar="CONFIG", shell_complete=_complete),
        *options(key for key in SETTINGS if key != "config"),
    ],
    callback=_run,
    help="Carry out the run that a YAML file describes, or the one that a result in JSON came from. Flags override it.",
    examples=(
        "optcli run rosenbrock.yaml",
        "optcli run rosenbrock.yaml --iters 5000 --set lr=0.005",
        "optcli run result.json",
    ),
)
