"""`python -m optcli`: the command line."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from optcli.cli import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
