"""A command as optcli's are: a FUNCTION may begin with a minus, and help begins with examples."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click

from optcli.errors import UsageError, nearest

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
LIKE_OPTION = re.compile(r"--?[A-Za-z][A-Za-z-]*(?:=.*)?", re.DOTALL)
SHOWN = 60  # characters of a token that an error repeats


class Command(click.Command):
    """`examples` open the help, `sections` (title → terms with their texts) close it.

    `function` says that the argument is the text of a function and may begin with a minus.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        function: bool = False,
        sections: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType({}),
        **more: Any,
    ) -> None:
        more.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **more)
        self.examples = examples
        self.function = function
        self.sections = sections

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        options, words = self._separate(ctx, args)
        self._judge(ctx, words)
        return super().parse_args(ctx, [*options, "--", *(word for word, _ in words)])

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)
        super().format_help(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, terms in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(terms)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return said_shortly(super().get_help_option(ctx))

    def _separate(self, ctx: click.Context, args: list[str]) -> tuple[list[str], list[tuple[str, bool]]]:
        """Options with their values, and the other words with whether each came before a `--`."""
        takes_value = {
            name: isinstance(param, click.Option) and not param.is_flag and not param.count
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for name in (*param.opts, *param.secondary_opts)
        }
        options: list[str] = []
        words: list[tuple[str, bool]] = []
        waiting = iter(args)
        for token in waiting:
            if token == "--":
                words += [(word, False) for word in waiting]
            elif token in takes_value:
                options.append(token)
                if takes_value[token]:
                    value = next(waiting, None)
                    if value is None:
                        raise UsageError(f"{token} needs a value", f"See {ctx.command_path} -h.")
                    options.append(value)
            elif token.startswith("--") and "=" in token and token.split("=", 1)[0] in takes_value:
                options.append(token)
            else:
                words.append((token, True))
        return options, words

    def _judge(self, ctx: click.Context, words: list[tuple[str, bool]]) -> None:
        """Refuse misspelt options and more words than there are arguments."""
        slots = sum(isinstance(param, click.Argument) for param in self.params)
        known = [name for param in self.get_params(ctx) if isinstance(param, click.Option) for name in param.opts]
        spare = len(words) > slots or not (self.function and slots)
        for word, free in words:
            if not free or word == "-" or not word.startswith("-"):
                continue
            if (spare or re.match(r"--[A-Za-z][A-Za-z-]*=", word)) and LIKE_OPTION.fullmatch(word):
                raise no_such_option(word, known, ctx)
        if len(words) <= slots:
            return
        if slots == 0:
            raise UsageError(f"{ctx.command_path} takes no arguments.", f"See {ctx.command_path} -h.")
        metavar = next(param.make_metavar(ctx) for param in self.params if isinstance(param, click.Argument))
        text = _cut(" ".join(word for word, _ in words))
        raise UsageError(
            f"{len(words)} arguments came where one is expected ({metavar.strip('[]')}): {text}",
            f"If they belong together, quote them: {ctx.command_path} '{text}'" if self.function else "",
        )


def said_shortly(option: click.Option | None) -> click.Option | None:
    """The option -h in the words of the others."""
    if option is not None:
        option.help = "this text"
    return option


def no_such_option(word: str, known: Sequence[str], ctx: click.Context) -> UsageError:
    """The error of a misspelt option, with the nearest ones."""
    name = word.split("=", 1)[0]
    hits = nearest(name.lstrip("-"), [option.lstrip("-") for option in known])
    remedy = f"Did you mean {' or '.join('--' + hit for hit in hits)}?" if hits else f"See {ctx.command_path} -h."
    return UsageError(f"no such option: {_cut(name)}", remedy)


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """The block with which every help begins."""
    if not examples:
        return
    with formatter.section("Examples"):
        formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in examples))
    formatter.write_paragraph()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
