"""`optcli minimize FUNCTION` and `optcli maximize FUNCTION`."""

from __future__ import annotations

from typing import Any

import click

from optcli.cli.command import Command
from optcli.cli.options import function_argument, options
from optcli.cli.signals import Signals

SECTIONS = {
    "FUNCTION is": (
        ("rosenbrock", "a name of the library: `optcli functions` lists them"),
        ("f.yaml, f.txt", "a file like those of the library, or one with an expression"),
        ("-", "standard input"),
        ("'x^2 + sin(y)'", "an expression; it may begin with a minus"),
    ),
    "Exit codes": (
        ("0", "converged to what was looked for, or completed"),
        ("2, 3", "usage or expression; file or data"),
        ("10, 11, 12", "converged elsewhere; limit; stalled"),
        ("13, 14, 17", "unbounded; not finite; diverged"),
        ("130, 143", "interrupted, with the best point"),
    ),
    "Environment": (("OPTCLI_LR=0.1", "sets what --lr does, and so on; flags come first, then these, then files"),),
}


def _command(name: str, what: str, examples: tuple[str, ...]) -> Command:
    def callback(**flags: Any) -> int:
        from optcli.cli.solving import solve

        signals = click.get_current_context().find_object(Signals)
        return solve({**flags, "command": name}, flags["config"], signals or Signals())

    return Command(
        name,
        params=[function_argument(required=False), *options()],
        callback=callback,
        help=f"Find a {what} of FUNCTION, from one start.",
        sections=SECTIONS,
        examples=examples,
        function=True,
    )


minimize = _command(
    "minimize",
    "minimum",
    (
        "optcli minimize rosenbrock --lr 0.01 --iters 1000",
        "optcli minimize '(x - 1)^2 + 5*(y - x^2)^2' --start x=-1,y=1 --lr 0.01",
        "optcli minimize '-x**2 + x**4' --start 0.5 --method adam --lr 0.01",
        "optcli minimize rosenbrock --param b=100 --lr 0.001 --format json --output result.json",
        "optcli minimize rosenbrock --iters 1000 --print x.y",
    ),
)

maximize = _command(
    "maximize",
    "maximum",
    (
        "optcli maximize '3 - (x - 2)^2' --lr 0.1",
        "optcli maximize 'sin(x)/x' --start 7 --lr 0.1 --format json",
        "optcli maximize 'x*y*exp(-x^2 - y^2)' --start 1,1 --print value",
    ),
)
