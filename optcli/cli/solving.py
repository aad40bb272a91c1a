"""What `minimize`, `maximize` and `run` share: settle the configuration, open the report, run, say how it went."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from optcli.cli.session import DEBUG
from optcli.cli.signals import Signals
from optcli.cli.streams import read_function, standard_output
from optcli.config import Config, Layer, from_environment, from_flags, load
from optcli.errors import UsageError, underline, visible
from optcli.report import FORMATS, beginnings
from optcli.report.bare import BareWriter
from optcli.report.files import LogFile, OutputFile
from optcli.report.ndjson import LogWriter
from optcli.report.progress import Answers, ProgressLine
from optcli.report.screen import USUAL, Screen, is_terminal, screen_of
from optcli.report.watch import Report, Writer

if TYPE_CHECKING:
    from optcli.checkpoint import Checkpoint
    from optcli.keeping import Keeper
    from optcli.outcome import Outcome

File = TypeVar("File", bound=OutputFile)


def layers_of(flags: Mapping[str, Any], file: str | None) -> list[Layer]:
    """What was given, highest precedence first: flags, environment, the config file. Raises ConfigError."""
    environ = {name: value for name, value in os.environ.items() if name != DEBUG}
    layers = [from_flags(flags), from_environment(environ)]
    return [*layers, load(file)] if file is not None else layers


def settle_with_text(layers: Sequence[Layer]) -> tuple[Config, str | None]:
    """The sum of the layers and what the library says of their function; and the text on standard input for `-`."""
    from optcli.prepare import settle

    config = settle(*layers)
    if config.function is None:
        raise UsageError("there is no FUNCTION to work on", "Give one, or a config with the key `function`.")
    return config, read_function() if config.function == "-" else None


def solve(flags: Mapping[str, Any], file: str | None, signals: Signals) -> int:
    """Run what the flags and `file` ask for, report it, and return the exit code. Raises OptcliError."""
    config, text = settle_with_text(layers_of(flags, file))
    return carry_out(config, text, flags, signals)


def carry_out(
    config: Config, text: str | None, flags: Mapping[str, Any], signals: Signals, since: Checkpoint | None = None
) -> int:
    """Run what is settled, or go on with it since a checkpoint, report it, and return the exit code."""
    from optcli.run import execute

    signals.quiet = config.quiet
    with ExitStack() as stack:
        committed: list[Callable[[], None]] = []
        report = _report(config, flags, signals, stack, committed, () if since is None else since.history)
        keeper = _keeper(flags, report) if flags.get("checkpoint") else None
        outcome = execute(config, report, signals.poll, text, keeper, since)
        report.end(outcome)
        for commit in committed:
            commit()
    _note(config, flags, outcome)
    if keeper is not None and keeper.error is not None:
        raise keeper.error
    return 0 if outcome.exit_code in config.accept else outcome.exit_code


def _report(
    config: Config,
    flags: Mapping[str, Any],
    signals: Signals,
    stack: ExitStack,
    committed: list[Callable[[], None]],
    earlier: Sequence[Mapping[str, Any]],
) -> Report:
    """The report with every file of it open; each is closed by `stack` and kept only if `committed` is called.

    `earlier` are the rows before a run went on.
    """
    no_color, force = bool(flags.get("no_color")), bool(flags.get("force"))
    _refuse_same_file(config, flags)

    def opened(kind: type[File], path: str, ours: tuple[bytes, ...]) -> File:
        file = kind(path, ours, force)
        stack.enter_context(file)
        committed.append(file.commit)
        return file

    if config.output is not None:
        file = opened(OutputFile, str(config.output), beginnings())
        write, screen = _encoder(file), Screen()
    else:
        write, screen = standard_output, screen_of(sys.stdout, os.environ, no_color)
    what = flags.get("print")
    writers: list[Writer] = [BareWriter(write, what) if what else FORMATS[config.format].make(write, screen)]
    if flags.get("log"):
        writers.append(LogWriter(opened(LogFile, flags["log"], FORMATS["ndjson"].beginnings), earlier))
    save_x = opened(OutputFile, flags["save_x"], ()) if flags.get("save_x") else None
    progress = None
    if is_terminal(sys.stderr) and not config.quiet:
        shown = screen_of(sys.stderr, os.environ, no_color)
        progress = ProgressLine(sys.stderr, shown.width or USUAL, smart=shown.terminal)
    note = _say_nothing if config.quiet else _say
    return Report(tuple(writers), progress, save_x, signals.begin, note, Answers(signals.asked, _say))


def _keeper(flags: Mapping[str, Any], report: Report) -> Keeper:
    """What keeps the checkpoint; its file is looked at now, and changed at the first iterate."""
    from optcli.checkpoint import BEGINS
    from optcli.keeping import Keeper
    from optcli.report.kept import KeptFile

    path, goes_on = str(flags["checkpoint"]), flags.get("file")
    file = KeptFile(path, (BEGINS,), bool(flags.get("force")))
    fresh = not goes_on or os.path.realpath(path) != os.path.realpath(goes_on)
    return Keeper(file.replace, report.warn, fresh)


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"{visible(text)}\n")


def _say_nothing(text: str) -> None:
    pass


def _encoder(file: OutputFile) -> Callable[[str], None]:
    return lambda text: file.write(text.encode("utf-8", "backslashreplace"))


def _refuse_same_file(config: Config, flags: Mapping[str, Any]) -> None:
    named = {
        "--output": None if config.output is None else str(config.output),
        "--log": flags.get("log"),
        "--save-x": flags.get("save_x"),
        "--checkpoint": flags.get("checkpoint"),
    }
    seen: dict[str, str] = {}
    for flag, path in named.items():
        if path and not path.startswith("/dev/"):
            other = seen.setdefault(os.path.realpath(path), flag)
            if other != flag:
                raise UsageError(f"{other} and {flag} name the same file, {visible(path)}", "Give each its own.")


def _note(config: Config, flags: Mapping[str, Any], outcome: Outcome) -> None:
    """How the run ended, on standard error, where standard output does not say so."""
    if config.quiet or (outcome.exit_code == 0 and config.output is None):
        return
    if config.output is not None or flags.get("print") or config.format != "table":
        wrote = f" ({visible(str(config.output))} is written)" if config.output is not None else ""
        culprit = outcome.verdict.culprit
        spot = [] if culprit is None else underline(outcome.preview.expression, culprit.span)
        with suppress(OSError):  # the data is out, and the exit code tells
            sys.stderr.write("\n".join([f"{outcome.status}: {visible(outcome.message)}{wrote}", *spot, ""]))
