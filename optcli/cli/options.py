"""Options made from the one table of settings; what completes them in a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from optcli.config import SETTINGS

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

FIELDS_OF = "gd"  # the method whose fields are offered where none is named: auto takes it with --lr
FILES = ("output", "log", "save_x", "checkpoint", "config")


def options(keys: Iterable[str] = tuple(SETTINGS)) -> list[click.Parameter]:
    """An option for each of `keys` that has a flag. Values stay texts, which `config` judges."""
    made: list[click.Parameter] = []
    for key in keys:
        setting = SETTINGS[key]
        if setting.flag is None:
            continue
        if setting.is_switch:
            off = setting.config and setting.default is not False
            flag = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}" if off else setting.flag
            made.append(click.Option([flag, key], is_flag=True, default=None, help=setting.help))
            continue
        metavar = "|".join(setting.choices) if len(setting.choices) > 1 else setting.metavar
        made.append(
            click.Option(
                [setting.flag, key],
                type=click.STRING,
                metavar=metavar,
                multiple=setting.repeatable,
                help=setting.help,
                shell_complete=_completer(key),
            )
        )
    return made


def function_argument(required: bool = True) -> click.Argument:
    """FUNCTION: completed by the names of the library and by files."""
    return click.Argument(["function"], required=required, metavar="FUNCTION", shell_complete=_functions)


def words(choices: Callable[[], Iterable[str]]) -> Complete:
    """Complete by words, which are looked up only then."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in choices() if word.startswith(incomplete)]

    return complete


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete by the shell's own list of files."""
    return [CompletionItem(incomplete, type="file")]


def function_names() -> Iterable[str]:
    from optcli import library

    return library.names()


def method_names() -> Iterable[str]:
    from optcli.optimize.methods import METHODS

    return METHODS


def _functions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    found = words(function_names)(ctx, param, incomplete.lower())
    return found or files(ctx, param, incomplete)


def _completer(key: str) -> Complete:
    setting = SETTINGS[key]
    if key in FILES:
        return files
    if key == "method":
        return words(method_names)
    if key == "set":
        return _assignments
    if key == "print":
        return words(lambda: ("value", "x", "x.", "status"))
    return words(lambda: (*setting.choices, *(("domain",) if key == "bounds" else ())))


def _assignments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`--set` takes any key, and the fields of the method chosen before it with the words that they may be."""
    from optcli.optimize.methods import METHODS, find
    from optcli.optimize.methods.method import parameters

    chosen = ctx.params.get("method") or FIELDS_OF
    own = {field.name: field.metadata["range"] for field in parameters(find(chosen))} if chosen in METHODS else {}
    name, given, _ = incomplete.partition("=")
    if given and name in own:
        return [CompletionItem(item) for word in own[name].known if (item := f"{name}={word}").startswith(incomplete)]
    keys = [key for key, setting in SETTINGS.items() if setting.config and key not in ("function", "command")]
    return [CompletionItem(f"{key}=") for key in dict.fromkeys((*own, *keys)) if key.startswith(incomplete)]
