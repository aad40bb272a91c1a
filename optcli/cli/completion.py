"""`optcli completion SHELL`: the script that makes the shell complete commands, options, functions and methods."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from optcli.cli.command import Command
from optcli.cli.options import words
from optcli.cli.session import COMPLETE
from optcli.cli.streams import standard_output
from optcli.errors import UsageError, did_you_mean

SHELLS = ("bash", "zsh", "fish")


def _completion(shell: str) -> int:
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        raise UsageError(f"there is no completion for {shell!r}", did_you_mean(shell, SHELLS) or "Try bash, zsh, fish.")
    from optcli.cli.group import optcli

    standard_output(kind(optcli, {}, "optcli", COMPLETE).source() + "\n")
    return 0


completion = Command(
    "completion",
    params=[click.Argument(["shell"], metavar="SHELL", shell_complete=words(lambda: SHELLS))],
    callback=_completion,
    help="Print the script that completes commands, options, and names of functions and methods in SHELL.",
    examples=(
        "optcli completion bash >> ~/.bashrc",
        "optcli completion zsh >> ~/.zshrc",
        "optcli completion fish > ~/.config/fish/completions/optcli.fish",
    ),
)
