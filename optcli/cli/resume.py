"""`optcli resume FILE`: go on from a checkpoint."""

from __future__ import annotations

import sys
from typing import Any

import click

from optcli import __version__
from optcli.cli.command import Command
from optcli.cli.options import files, options
from optcli.cli.signals import Signals
from optcli.config import SETTINGS
from optcli.errors import UsageError, visible

# what may be given anew: when to stop, and how it is shown
LIMITS = ("iters", "tol", "max_time", "max_evals", "target")
SHOWN = ("every", "format", "output", "name", "quiet", "accept")
FLAGS = ("print", "log", "save_x", "checkpoint", "force", "no_color", "set")
FROM_ENVIRONMENT = ("format", "output", "quiet", "accept")  # the rest is in the checkpoint
OFFERED = (*LIMITS, "engine", *SHOWN, *FLAGS)
FIXED = tuple(key for key, row in SETTINGS.items() if row.config and key not in OFFERED)


def _options() -> list[click.Parameter]:
    """Those that may be given, and, not shown, those whose refusal has a reason."""
    refused = options(key for key in FIXED if SETTINGS[key].flag)
    for option in refused:
        assert isinstance(option, click.Option)
        option.hidden = True
    return [*options(key for key in SETTINGS if key in OFFERED), *refused]


def _resume(file: str, **flags: Any) -> int:
    from optcli.checkpoint import read
    from optcli.cli.solving import carry_out, layers_of
    from optcli.config import Layer, from_run, resolve

    given, environment = layers_of(flags, None)
    for path, setting in given.items():
        if path.split(".")[0] in FIXED:
            raise UsageError(
                f"{setting.where}: a run that goes on keeps its {path.removeprefix('settings.')}",
                "Start a new run for another one: optcli minimize, with the point that was reached as --start.",
            )
    since = read(file)
    shown = Layer({path: setting for path, setting in environment.items() if path in FROM_ENVIRONMENT})
    # the text comes from the checkpoint, not from a file or the library, as for standard input
    config = resolve(given, shown, from_run({**since.run, "start": None, "bounds": None, "function": "-"}, file))
    if not config.quiet:
        _say(f"goes on from iteration {since.iterate.iteration}")
        if since.version != __version__:
            _say(f"the checkpoint is of optcli {since.version}, this is {__version__}: the last digits may differ")
        if config.engine not in (since.run["engine"], "auto"):
            _say(f"the checkpoint is of the engine {since.run['engine']}: the last digits may differ")
    if "max_time" in given:
        since = since._replace(used=0.0)
    signals = click.get_current_context().find_object(Signals)
    more = {**flags, "file": file, "checkpoint": flags["checkpoint"] or file}
    return carry_out(config, str(since.run["expression"]), more, signals or Signals(), since)


def _say(text: str) -> None:
    sys.stderr.write(visible(text) + "\n")


resume = Command(
    "resume",
    params=[click.Argument(["file"], metavar="FILE", shell_complete=files), *_options()],
    callback=_resume,
    help="Go on from FILE, which --checkpoint wrote, to the digits of the run that was never interrupted. "
    "FILE is kept up to date, unless --checkpoint names another one.",
    examples=(
        "optcli resume run.ckpt",
        "optcli resume run.ckpt --iters 10000000 --format json",
        "optcli resume run.ckpt --max-time 60 --checkpoint later.ckpt",
    ),
    sections={
        "What is kept": (
            ("everything", "function, data, method, bounds, engine, and the rules that end the run"),
            ("may be given", "other rules: --iters, --max-evals and --tol count from the first start on"),
            ("--max-time", "given here it begins anew; else the time that is left counts"),
            ("the history", "--format json and --log tell the rows of all parts, the other formats the new ones"),
        ),
    },
)
