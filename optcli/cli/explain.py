"""`optcli explain FUNCTION`: every stage of the way from the text to the derivative."""

from __future__ import annotations

from typing import Any

import click

from optcli.cli.command import Command
from optcli.cli.listing import show_title
from optcli.cli.options import function_argument, options
from optcli.cli.streams import standard_output
from optcli.errors import visible


def _explain(**flags: Any) -> int:
    from optcli.cli.solving import layers_of, settle_with_text
    from optcli.stages import code
    from optcli.stages import explain as stages

    config, text = settle_with_text(layers_of(flags, flags["config"]))
    if flags["code"]:
        standard_output("".join(f"{visible(line)}\n" for line in code(config, text)))
        return 0
    for number, (title, body) in enumerate(stages(config, text)):
        lines = [visible(line).rstrip() for line in body.split("\n")]
        standard_output("\n" if number else "")
        show_title(title, bool(flags["no_color"]))
        standard_output("".join(f"  {line}\n" if line else "\n" for line in lines))
    return 0


explain = Command(
    "explain",
    params=[
        function_argument(required=False),
        *options(("start", "params", "seed", "engine", "config", "set", "no_color")),
        click.Option(["--code"], is_flag=True, help="Show the engine's code alone, whole."),
    ],
    callback=_explain,
    help="Show every stage of FUNCTION: as parsed, in SymPy's form, as a graph with values and adjoints, as code.",
    examples=(
        "optcli explain 'x*y + sin(x)' --start 1,2",
        "optcli explain rosenbrock --code",
        "optcli explain '-x**2 + x**4' --start 0.5",
    ),
    function=True,
)
