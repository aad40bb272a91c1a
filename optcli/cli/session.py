"""One run of the program: from arguments to an exit code, with every error said in one way."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence

import click

from optcli.cli.signals import Signals
from optcli.errors import OptcliError, visible

BROKEN_PIPE = 141  # 128 + SIGPIPE, what the shell shows for a program that the signal ended
MAX_LINE = 400  # characters of a line of an error that are shown
DEBUG = "OPTCLI_DEBUG"  # set to 1, an internal error shows its traceback
COMPLETE = "_OPTCLI_COMPLETE"  # the variable by which the shell's completion asks


def run(argv: Sequence[str] | None, signals: Signals) -> int:
    """Carry out the arguments and return the exit code."""
    _open_streams()
    code = _guarded(list(sys.argv[1:] if argv is None else argv), signals)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return code or BROKEN_PIPE
    except OSError as error:
        _drop_output()
        return code or fail(f"cannot write standard output: {error.strerror}", 3)
    return code


def _guarded(arguments: list[str], signals: Signals) -> int:
    """The exit code of the arguments, whatever happens; the error is said."""
    try:
        return _invoke(arguments, signals)
    except BrokenPipeError:
        return BROKEN_PIPE
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(error.format_message() + "\n")
        return 2
    except click.ClickException as error:
        return fail(_click_message(error), 2)
    except OptcliError as error:
        return fail(str(error), error.exit_code)
    except OSError as error:
        if error.filename is not None:
            return _internal(error)
        _drop_output()  # errors of files are FileErrors and name them, so that this is click's echo
        return fail(f"cannot write standard output: {error.strerror}", 3)
    except MemoryError:
        return fail("this needs more memory than there is\nUse fewer variables, or shorter ranges and data.", 2)
    except Exception as error:
        return _internal(error)


def fail(message: str, code: int) -> int:
    """Say what is wrong on standard error, harmless for a terminal, and return `code`."""
    lines = [_shortened(visible(line)) for line in message.split("\n")]
    with contextlib.suppress(OSError):
        sys.stderr.write(f"error: {lines[0]}\n" + "".join(line + "\n" for line in lines[1:]))
    return code


def _invoke(arguments: list[str], signals: Signals) -> int:
    from optcli.cli.group import optcli

    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(optcli, {}, "optcli", COMPLETE, instruction)
    try:
        with optcli.make_context("optcli", arguments, obj=signals) as context:
            return int(optcli.invoke(context) or 0)
    except click.exceptions.Exit as leave:
        return leave.exit_code


def _click_message(error: click.ClickException) -> str:
    """What click found wrong, and how to go on."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message}\nSee {context.command_path} -h."


def _internal(error: Exception) -> int:
    """A bug of ours: one line, and the traceback only for those who ask."""
    if os.environ.get(DEBUG) == "1":
        import traceback

        traceback.print_exc()
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return fail(f"internal error, please report it ({DEBUG}=1 shows where it happened): {what}", 1)


def _open_streams() -> None:
    """Closed standard streams become empty ones; what their encoding lacks is written as an escape."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115  # it lasts as long as the program
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            # PYTHONUNBUFFERED: what does not fit into one write would be lost
            if stream is getattr(sys, f"__{name}__") and isinstance(stream.buffer, io.RawIOBase):
                stream = io.TextIOWrapper(io.BufferedWriter(stream.buffer), stream.encoding, line_buffering=True)
                setattr(sys, name, stream)
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what is left in the buffer go nowhere, so that the interpreter's last flush is silent."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _shortened(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE // 2]} … {line[-MAX_LINE // 4 :]}"
