"""`optcli check FUNCTION`: value and gradient at the start against independent derivatives."""

from __future__ import annotations

import math
import os
import sys
from typing import Any

from optcli.cli.command import Command
from optcli.cli.listing import show_table
from optcli.cli.options import function_argument, options
from optcli.cli.streams import standard_output
from optcli.errors import visible
from optcli.report.numbers import exact, short, wrap
from optcli.report.screen import screen_of

MISMATCH = 10  # exit code, contract §2
SHOWN = 40  # entries of the gradient that are listed: the worst ones
DIGITS = 10


def _check(**flags: Any) -> int:
    from optcli.cli.solving import layers_of, settle_with_text
    from optcli.stages import check as compare

    config, text = settle_with_text(layers_of(flags, flags["config"]))
    found = compare(config, text)
    entries = list(found.entries)
    if len(entries) > SHOWN:
        entries.sort(key=lambda entry: (not entry.wrong, not math.isnan(entry.error), -entry.error))
    rows = [
        (entry.name, short(entry.gradient, DIGITS), short(entry.independent, DIGITS), short(entry.error, 2), entry.said)
        for entry in entries[:SHOWN]
    ]
    show_table(("Entry", "Gradient", "Independent", "Relative error", "Verdict"), rows, bool(flags["no_color"]))
    if len(found.entries) > SHOWN and not config.quiet:
        sys.stderr.write(f"the {SHOWN} worst of {len(found.entries)} entries are shown\n")
    width = screen_of(sys.stdout, os.environ).width
    standard_output("\n" + "\n".join(wrap(f"value {exact(found.value)}: {visible(found.text)}", width)) + "\n")
    return 0 if found.agrees or MISMATCH in config.accept else MISMATCH


check = Command(
    "check",
    params=[
        function_argument(required=False),
        *options(("start", "params", "seed", "config", "set", "quiet", "accept", "no_color")),
    ],
    callback=_check,
    help="Evaluate FUNCTION at --start and compare its gradient, entry by entry, with independent derivatives.",
    examples=(
        "optcli check rosenbrock --start x=-1.2,y=1",
        "optcli check 'sqrt(x^2 + y^2)' --start 3,4",
        "optcli check '-cosh(x)' --start 1 && echo right",
    ),
    sections={"Exit codes": (("0", "all entries agree"), ("10", "a mismatch, or a value that is not finite"))},
    function=True,
)
