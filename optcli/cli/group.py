"""`optcli` itself: the table of commands, each imported only when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

import optcli as package
from optcli.cli.command import SETTINGS, no_such_option, said_shortly, write_examples
from optcli.errors import UsageError, nearest

# name → (module, attribute, what `optcli -h` says about it)
COMMANDS = {
    "minimize": ("optcli.cli.minimize", "minimize", "find a minimum of a function"),
    "maximize": ("optcli.cli.minimize", "maximize", "find a maximum of a function"),
    "run": ("optcli.cli.run", "run", "carry out a YAML file, or replay a result"),
    "resume": ("optcli.cli.resume", "resume", "go on from a checkpoint"),
    "functions": ("optcli.cli.functions", "functions", "the library of named functions"),
    "methods": ("optcli.cli.methods", "methods", "the methods, their fields and sources"),
    "check": ("optcli.cli.check", "check", "compare derivatives with independent ones"),
    "explain": ("optcli.cli.explain", "explain", "show every stage from text to derivative"),
    "cache": ("optcli.cli.cache", "cache", "show or empty the graphs kept on disk"),
    "completion": ("optcli.cli.completion", "completion", "print the script that completes in your shell"),
}

EXAMPLES = (
    "optcli minimize rosenbrock --lr 0.01 --iters 1000",
    "optcli minimize '(x - 1)^2 + (y + 2)^2' --method adam --lr 0.1",
    "optcli maximize 'sin(x)/x' --start x=5 --format json",
    "optcli functions",
)


class Group(click.Group):
    """A group whose commands are named in `COMMANDS` and imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None or ctx.resilient_parsing:
            return (name if command else None), command, args[1:]
        if hits := nearest(name, COMMANDS):
            remedy = f"Did you mean {' or '.join(hits)}?"
        elif any(mark in name for mark in "()+*/^ ") or len(args) == 1:
            remedy = f"The commands are {', '.join(COMMANDS)}. To minimize a function: optcli minimize FUNCTION"
        else:
            remedy = f"The commands are {', '.join(COMMANDS)}."
        raise UsageError(f"no such command: {name[:60]}", remedy)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = [name for param in self.get_params(ctx) for name in param.opts]
            raise no_such_option(error.option_name, known, ctx) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(EXAMPLES, formatter)
        super().format_help(ctx, formatter)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return said_shortly(super().get_help_option(ctx))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


def _version(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"optcli {package.__version__}")
        ctx.exit()


optcli = Group(
    name="optcli",
    help="The command-line optimizer: type a formula, get its minimum and the truth about it.",
    epilog="optcli COMMAND -h says more about each.",
    no_args_is_help=True,
    context_settings=SETTINGS,
    params=[
        click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="the version"
        )
    ],
)
