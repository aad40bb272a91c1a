"""The one place that makes a console of rich: it draws into a text, never reads markup, and obeys the screen."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from optcli.report.screen import Screen

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED = 10_000  # columns where the screen sets no limit


def console_of(screen: Screen) -> Console:
    """A console that collects what is printed, see `text_of`."""
    from rich.console import Console

    return Console(
        file=io.StringIO(),
        width=screen.width or UNLIMITED,
        force_terminal=screen.colour,
        no_color=not screen.colour,
        color_system="standard" if screen.colour else None,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )


def styled(screen: Screen, lines: Iterable[Sequence[tuple[str, str]]]) -> str:
    """Lines made of (text, style of rich) pieces, as the screen wants them; nothing is wrapped or cut."""
    from rich.text import Text

    console = console_of(Screen(colour=screen.colour))
    for pieces in lines:
        console.print(Text.assemble(*pieces))
    return text_of(console)


def text_of(console: Console) -> str:
    """What has been printed on a console of `console_of`, without blanks at the ends of lines."""
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().split("\n"))
