"""`python -m optcli`: the command line."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from optcli.cli import main as run

        code = run()
    except KeyboardInterrupt:  # before the command line's own handler is there
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
