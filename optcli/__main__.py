"""`python -m optcli`: the command line."""

import contextlib
import gc
import os
import sys
from typing import NoReturn

# BLAS adds in an order that depends on its threads, which wait for each other over matrices as small as those here.
BLAS = "OPENBLAS_NUM_THREADS"

# Objects made between two looks for garbage: the usual 700 would look a hundred times while modules are loaded.
PATIENCE = 50_000


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    gc.set_threshold(PATIENCE)
    os.environ.setdefault(BLAS, "1")  # read when numpy is loaded
    try:
        from optcli.cli import main as run

        code = run()
    except KeyboardInterrupt:  # before the command line's own handler is there
        sys.stderr.write("interrupted\n")
        code = 130
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End the process without taking numpy, LLVM, and a million nodes apart, which takes longer than many a run.

    All that was written is flushed, files are closed. Profilers, tracers, and programs that run this module inside of
    themselves still get the usual end.
    """
    if _is_the_program() and sys.getprofile() is None and sys.gettrace() is None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    sys.exit(code)


def _is_the_program() -> bool:
    """Whether the process was started as `python -m optcli` or by the installed script."""
    words = sys.orig_argv[1:]
    return words[:2] == ["-m", "optcli"] or (bool(words) and os.path.basename(words[0]) in ("optcli", "optcli.exe"))


if __name__ == "__main__":
    main()
