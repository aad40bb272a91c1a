"""What the README and the docs show is what happens: every command is run, every shown output compared."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from optcli import library
from optcli.errors import DataError, UsageError
from optcli.expr.functions import FUNCTIONS, WHOLE_VECTOR
from optcli.optimize.methods import METHODS, describe
from optcli.optimize.status import ELSEWHERE, EXIT_CODES, TERMINATED

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/origin.md")}
VENV = "python3 -m venv .venv && .venv/bin/pip install "


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the README in a shell, with `optcli` the one of this environment."""
    here = f'optcli() {{ "{sys.executable}" -m optcli "$@"; }}\n{command}'
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")}
    return subprocess.run(
        ["bash", "-c", here], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=False
    )


INSTALLS, TESTS, *REST = blocks(README, "sh")
COMMANDS = [line for block in REST for line in block.splitlines()]


def test_the_first_two_commands_install_run_and_test() -> None:
    assert INSTALLS.startswith(VENV + ". && .venv/bin/optcli minimize rosenbrock --lr 0.01 --iters 1000")
    assert TESTS.startswith(VENV + "'.[test]' && .venv/bin/python -m pytest")


def test_ci_calls_the_test_command_to_the_letter() -> None:
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("\n" + TESTS.rstrip())


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_readme(command: str) -> None:
    done = shell(command)
    expected = 11 if "hundred_thousand" in command else 0
    assert done.returncode == expected, done.stderr
    assert done.stdout
    assert "Traceback" not in done.stderr


def timeless(text: str) -> str:
    return re.sub(r"^time +.*$", "time", text, flags=re.MULTILINE)


def test_the_main_job_prints_what_is_shown() -> None:
    shown = blocks(README, "text")[0]
    done = shell(INSTALLS.split("&&")[-1].replace(".venv/bin/", ""))
    assert done.returncode == 0
    assert timeless(done.stdout) == timeless(shown)


CONSOLE = [
    (lines.split("\n", 1)[0], lines.split("\n", 1)[1])
    for block in blocks(README, "console")
    for lines in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
]


@pytest.mark.parametrize(("command", "output"), CONSOLE)
def test_console_session_of_the_readme(command: str, output: str) -> None:
    done = shell(f"{{ {command}\n}} 2>&1")
    assert timeless(done.stdout) == timeless(output)


@pytest.mark.parametrize(
    ("page", "snippet"), [(name, code) for name, text in PAGES.items() for code in blocks(text, "python")]
)
def test_python_of_the_pages(page: str, snippet: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(snippet, {})  # the page's own code
    if page == "README.md":
        assert said.getvalue() == blocks(README, "text")[-1]
    else:
        assert "1000 6.962694008850682e-05" in said.getvalue()


def test_the_table_of_methods_is_the_one_of_the_code() -> None:
    rows = re.findall(r"^\| (\w+) \| (.*?) \| (.*?) \|$", README.partition("## Methods")[2].partition("\n## ")[0], re.M)
    expected = []
    for name in METHODS:
        about = describe(name)
        fields = ", ".join(f"{p['name']} = {p['default']}" for p in about["parameters"] if not p["shared"])
        expected.append((name, fields, about["summary"]))
    assert [row for row in rows if row[0] != "method"] == expected


def test_the_functions_are_those_of_the_table() -> None:
    listed = re.search(r"<!-- functions -->\n`(.*?)`", README, re.DOTALL)
    assert listed is not None
    assert listed[1].split() == sorted(FUNCTIONS)
    language = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    row = next(line for line in language.splitlines() if line.startswith("| functions |"))
    assert set(re.findall(r"\w+", re.findall(r"`([^`]*)`", row)[0])) == set(FUNCTIONS) - {"where"}
    assert all(f"`{name}(" in language for name in WHOLE_VECTOR)


def test_the_exit_codes_are_those_of_the_code() -> None:
    told = {
        int(code)
        for row in re.findall(r"^\|.*\|$", README.partition("| code | outcome |")[2].partition("\n\n")[0], re.M)
        for cell in row.split("|")[1:4:2]
        for code in re.findall(r"\d+", cell)
    }
    errors = {error.exit_code for error in (UsageError, DataError)}
    assert told == {*EXIT_CODES.values(), ELSEWHERE, TERMINATED, *errors, 1}  # 1: internal error, in cli/session.py


def test_what_is_counted_is_there() -> None:
    said = [int(number) for number in re.findall(r"(\d+) functions with a name", README)]
    assert said == [len(library.names())]
    words = dict(enumerate(("six", "seven", "eight", "nine", "ten", "eleven", "twelve"), 6))
    for page in (README, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")):
        assert f"{words[len(library.config_names())]} " in page
        assert f"{len(library.names())} " in page


def test_paths_that_pages_name_exist() -> None:
    for page in ("CONTRIBUTING.md", "docs/architecture.md"):
        for path in re.findall(
            r"\b(?:tests|optcli|docs|benchmarks)/[\w/]+(?:\.py|/)", (ROOT / page).read_text("utf-8")
        ):
            assert (ROOT / path).exists(), f"{page}: {path}"


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
