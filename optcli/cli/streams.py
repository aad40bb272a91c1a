"""Standard input and output with their ways to fail."""

from __future__ import annotations

import errno
import sys

from optcli.errors import ExpressionError, FileError, UsageError
from optcli.report.screen import is_terminal

MAX_BYTES = 16 << 20  # of the text of a function, contract §1


def standard_output(text: str) -> None:
    """Write to standard output at once. Raises FileError, or BrokenPipeError where nobody reads any more."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise BrokenPipeError from error
        raise FileError(f"cannot write standard output: {error.strerror}.") from error


def read_function() -> str:
    """The text of a function from standard input. Raises UsageError, ExpressionError or FileError."""
    if is_terminal(sys.stdin):
        raise UsageError(
            "- reads the function from standard input, which is the terminal here",
            "Pipe it in: echo 'x^2 + y^2' | optcli minimize -",
        )
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(f"cannot read standard input: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise ExpressionError("the text on standard input is longer than 16 MiB", remedy="Use vectors and Sum.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ExpressionError(
            f"the text on standard input is not UTF-8: byte 0x{data[error.start]:02x} in line {line}",
            remedy="Convert it first, say with `iconv -t UTF-8`.",
        ) from error
