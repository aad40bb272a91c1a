"""What a person sees: runs in a real terminal of several widths, drawn, coloured or not, with a progress line."""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any

import pexpect
import pytest

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MAIN_JOB = ("minimize", "rosenbrock", "--lr", "0.01", "--iters", "1000")


def terminal(*args: str, columns: int = 80, **environ: str) -> str:
    """Everything that a terminal of so many columns is sent."""
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "optcli", *args],
        env={**clean, "TERM": "xterm", **environ},
        dimensions=(50, columns),
        encoding="utf-8",
        timeout=60,
    )
    child.expect(pexpect.EOF)
    sent: str = child.before
    child.close()
    return sent.replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 100, 120])
def test_the_main_job_fits_the_terminal(columns: int) -> None:
    text = ESCAPE.sub("", terminal(*MAIN_JOB, columns=columns))
    lines = text.split("\n")
    assert max(map(len, lines)) <= columns
    assert "─" in text
    row = next(line for line in lines if line.split()[:1] == ["1000"])
    assert float(row.split()[1]) == pytest.approx(6.962694008850682e-05, rel=1e-3)
    assert re.search(r"\(-0\.0032\d*, -0\.006[67]\d*\)", row)
    assert "x = 0.9918216738881531" in text
    assert "y = 0.9830474495799582" in text


def test_colour_is_for_terminals_that_want_it() -> None:
    assert ESCAPE.search(terminal(*MAIN_JOB))


@pytest.mark.parametrize(("args", "environ"), [((), {"NO_COLOR": "1"}), (("--no-color",), {}), ((), {"TERM": "dumb"})])
def test_colour_can_be_refused(args: tuple[str, ...], environ: dict[str, str]) -> None:
    text = terminal(*MAIN_JOB, *args, **environ)
    assert "\x1b" not in text
    assert "0.9918216738881531" in text


def test_drawn_and_plain_rows_agree() -> None:
    def rows(text: str) -> list[str]:
        return [line for line in text.split("\n") if re.match(r" *\d+00 ", line)]

    drawn = rows(ESCAPE.sub("", terminal(*MAIN_JOB)))
    assert len(drawn) == 10
    assert drawn == rows(terminal(*MAIN_JOB, TERM="dumb"))


def test_markup_in_a_label_is_text() -> None:
    text = terminal(*MAIN_JOB, "--name", "[red]a[/red] :smile: \x1b[31m")
    assert r"[red]a[/red] :smile: \x1b[31m" in text


@pytest.mark.parametrize(
    ("command", "columns"),
    [
        *((command, width) for command in ("functions", "functions rosenbrock", "methods") for width in (40, 80, 120)),
        *((command, width) for command in ("-h", "minimize -h") for width in (80, 120)),
    ],
)
def test_lists_and_help_fit_the_terminal(command: str, columns: int) -> None:
    text = ESCAPE.sub("", terminal(*command.split(), columns=columns))
    longest = max((line for line in text.split("\n") if not line.startswith("  optcli ")), key=len)
    assert len(longest) <= columns, longest


LONG = ("minimize", "rosenbrock", "--lr", "1e-6", "--max-time", "1.5", "--iters", "1e15", "--every", "0")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_long_run_shows_its_progress_and_leaves_no_trace(columns: int) -> None:
    text = terminal(*LONG, columns=columns)
    drawn = re.findall(r"iteration [\d,]+[^\r]*", text)
    assert len(drawn) >= 3
    assert all(len(line) < columns for line in drawn)
    assert shown_at_the_end(text).count("iteration ") == 0


def test_a_short_run_and_a_quiet_one_show_none() -> None:
    assert "\r" not in terminal(*MAIN_JOB)
    assert "iteration " not in terminal(*LONG, "--quiet")


def test_progress_is_on_standard_error_while_data_is_elsewhere(tmp_path: Any) -> None:
    text = terminal(*LONG, "--format", "json", "--output", str(tmp_path / "r.json"))
    assert "iteration " in text
    assert "{" not in text


def shown_at_the_end(text: str) -> str:
    """What is left on the screen once carriage returns and erasures are carried out."""
    lines = []
    for line in text.split("\n"):
        line = line.rsplit("\x1b[K", 1)[-1]
        lines.append(line.rsplit("\r", 1)[-1])
    return "\n".join(lines)


def test_an_interrupt_from_the_keyboard_gives_the_best_point() -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "optcli", "minimize", "rosenbrock", "--lr", "1e-9", "--iters", "1e15", "--every", "0"],
        env={**os.environ, "TERM": "xterm"},
        dimensions=(50, 80),
        encoding="utf-8",
        timeout=60,
    )
    child.expect("iteration ")
    child.sendintr()
    begun = time.monotonic()
    child.expect("status.*interrupted")
    child.expect("minimizer")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert time.monotonic() - begun < 30


def test_standard_input_that_is_the_terminal_is_said() -> None:
    text = terminal("minimize", "-")
    assert text.startswith("error: ")
    assert "standard input" in text
