"""The command line. `main` is all that others need; click is imported once signals are handled."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `optcli` with the arguments of `argv` (those of the process if None) and return its exit code."""
    from optcli.cli.signals import Interrupted, listening

    with listening() as signals:
        try:
            from optcli.cli.session import run

            return run(argv, signals)
        except Interrupted as interrupted:
            import sys

            if sys.stderr is not None:
                again = "at once" if signals.received else "before the first iterate"
                sys.stderr.write(f"interrupted {again}: there is no result\n")
            return interrupted.code
