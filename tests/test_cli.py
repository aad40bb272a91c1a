"""The command line: what is parsed, what goes to which stream, every way to fail with its exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from optcli.cli import main
from optcli.cli.command import Command
from optcli.cli.group import COMMANDS, EXAMPLES, optcli
from optcli.config import SETTINGS

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
MAIN_JOB = ("minimize", "rosenbrock", "--lr", "0.01", "--iters", "1000")
ROWS = {  # issue 2 §4, the document's loop
    100: (0.35029246978084444, (-0.6676852329110925, -0.5771310972800918)),
    500: (0.0039907161524854904, (-0.02651927777881584, -0.05206312665164581)),
    1000: (6.962694008850682e-05, (-0.0032222025458647236, -0.006654080512732419)),
}
END = {"x": 0.9918216738881531, "y": 0.9830474495799582}


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Runs a command line in this process, in an empty folder and a clean environment."""
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name in list(os.environ):
        if name.startswith("OPTCLI_") or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)

    def runner(*args: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = main(args)
        return Ran(code, *capsys.readouterr())

    return runner


def process(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "optcli", *args], capture_output=True, text=True, check=False, timeout=120, **more
    )


# ------------------------------------------------------------------ help


def test_every_command_is_in_the_table_and_importable() -> None:
    context = click.Context(optcli)
    for name in COMMANDS:
        command = optcli.get_command(context, name)
        assert isinstance(command, Command)
        assert command.name == name


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_begins_with_examples(run: Any, command: str, flag: str) -> None:
    ran = run(*command.split(), flag)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "Examples:"
    assert lines[1].startswith(f"  optcli {command}".rstrip())
    assert f"Usage: optcli {command}".rstrip() in ran.out
    assert "  -h, --help" in ran.out
    assert ran.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_of_the_help_parse(command: str) -> None:
    found = optcli.get_command(click.Context(optcli), command)
    assert isinstance(found, Command)
    for example in (*found.examples, *(line for line in EXAMPLES if line.split()[1] == command)):
        words = shlex.split(re.split(r" (?:&&|>>?) ", example)[0])
        assert words[:2] == ["optcli", command]
        found.make_context(command, words[2:])


def test_every_flag_of_the_settings_is_an_option() -> None:
    command = optcli.get_command(click.Context(optcli), "minimize")
    assert command is not None
    flags = {option for param in command.params if isinstance(param, click.Option) for option in param.opts}
    assert flags == {setting.flag for setting in SETTINGS.values() if setting.flag}


@pytest.mark.parametrize(
    ("args", "heavy"),
    [
        ("--help", "numpy sympy rich yaml"),
        ("--version", "numpy sympy rich yaml"),
        ("minimise", "numpy sympy rich yaml"),
        ("minimize -h", "numpy sympy rich"),
        ("functions", "numpy sympy rich"),
    ],
)
def test_light_commands_load_nothing_heavy(args: str, heavy: str) -> None:
    probe = (
        "import sys, json; from optcli.cli import main; main(sys.argv[1].split());"
        "sys.stderr.write('LOADED ' + ' '.join(m for m in sys.argv[2].split() if m in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", probe, args, heavy], capture_output=True, text=True, check=True)
    assert ran.stderr.endswith("LOADED ")


def test_version(run: Any) -> None:
    from optcli import __version__

    ran = run("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"optcli {__version__}\n", "")


def test_no_arguments_show_the_help_as_an_error(run: Any) -> None:
    ran = run()
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("Examples:")


# ------------------------------------------------------------------ parsing


def parsed(command: str, *args: str) -> dict[str, Any]:
    found = optcli.get_command(click.Context(optcli), command)
    assert found is not None
    given = found.make_context(command, list(args)).params
    return {key: value for key, value in given.items() if value not in (None, False, ())}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("'-cosh(x)'", {"function": "-cosh(x)"}),
        ("'-sqrt(x)' --lr 1", {"function": "-sqrt(x)", "lr": "1"}),
        ("--lr 1 '-x + h'", {"function": "-x + h", "lr": "1"}),
        ("--x", {"function": "--x"}),
        ("--x --iters 3", {"function": "--x", "iters": "3"}),
        ("'-x**2 + x**4' --start 0.5", {"function": "-x**2 + x**4", "start": "0.5"}),
        ("'-h + x'", {"function": "-h + x"}),
        ("-hx", {"function": "-hx"}),
        ("-1.5*x", {"function": "-1.5*x"}),
        ("'-x == 1'", {"function": "-x == 1"}),
        ("'-r = x; r'", {"function": "-r = x; r"}),
        ("-", {"function": "-"}),
        ("- --lr 1", {"function": "-", "lr": "1"}),
        ("-- --lr", {"function": "--lr"}),
        ("--lr 1 -- '-x'", {"function": "-x", "lr": "1"}),
        ("x --start -1,1", {"function": "x", "start": "-1,1"}),
        ("x --start=-1,1", {"function": "x", "start": "-1,1"}),
        ("x --start --1", {"function": "x", "start": "--1"}),
        ("--start -1 -x", {"function": "-x", "start": "-1"}),
        ("x --param a=1 --param b=-2", {"function": "x", "params": ("a=1", "b=-2")}),
        ("x --set=lr=-1", {"function": "x", "set": ("lr=-1",)}),
        ("x --quiet", {"function": "x", "quiet": True}),
        ("--config run.yaml", {"config": "run.yaml"}),
    ],
)
def test_a_function_may_begin_with_a_minus(args: str, expected: dict[str, Any]) -> None:
    assert parsed("minimize", *shlex.split(args)) == expected


REFUSED = [  # arguments, exit code, what standard error must say
    ("minimise x**2", 2, ["no such command: minimise", "Did you mean minimize"]),
    ("'x**2 + 1'", 2, ["no such command", "optcli minimize FUNCTION"]),
    ("--versoin", 2, ["no such option: --versoin", "--version"]),
    ("minimize rosenbrock --itres 5", 2, ["no such option: --itres", "--iters"]),
    ("minimize rosenbrock --itres=5", 2, ["no such option: --itres", "--iters"]),
    ("minimize --itres=5", 2, ["no such option: --itres", "--iters"]),
    ("minimize --itres 5 rosenbrock", 2, ["no such option: --itres", "--iters"]),
    ("minimize rosenbrock -lr 0.1", 2, ["no such option: -lr", "--lr"]),
    ("run -q", 2, ["no such option: -q", "optcli run -h"]),
    ("methods --formt json", 2, ["no such option: --formt", "--format"]),
    ("minimize x^2 + y^2", 2, ["3 arguments", "optcli minimize 'x^2 + y^2'"]),
    ("minimize 'x**2' '-y*2'", 2, ["2 arguments"]),
    ("minimize 'x**2' --lr", 2, ["--lr needs a value"]),
    ("minimize 'x**2' --quiet=1", 2, ["--quiet", "value"]),
    ("minimize", 2, ["no FUNCTION"]),
    ("run", 2, ["CONFIG"]),
    ("run none.yaml", 2, ["none.yaml"]),
    ("run rosenbrok_loop", 2, ["rosenbrok_loop", "rosenbrock_loop"]),
    ("completion tcsh", 2, ["tcsh", "zsh"]),
    ("functions rosenbrok", 2, ["rosenbrok", "rosenbrock"]),
    ("functions --format yaml", 2, ["--format", "json"]),
    ("methods adm", 2, ["adm", "adam"]),
    ("minimize rosenbrok", 2, ["rosenbrok", "rosenbrock"]),
    ("minimize rosenbrock --method adm", 2, ["adm", "adam"]),
    ("minimize rosenbrock --lr fast", 2, ["--lr", "fast"]),
    ("minimize rosenbrock --lr -1", 2, ["--lr", "-1"]),
    ("minimize rosenbrock --format jsn", 2, ["--format", "json"]),
    ("minimize rosenbrock --set itres=5", 2, ["itres"]),
    ("minimize rosenbrock --set methd.x=5", 2, ["methd", "method"]),
    ("minimize rosenbrock --set beta1=5", 2, ["beta1"]),
    ("minimize rosenbrock --param c=5", 2, ["c"]),
    ("minimize rosenbrock --start z=1", 2, ["z"]),
    ("minimize rosenbrock --start 1,2,3", 2, ["--start"]),
    ("minimize rosenbrock --bounds z=0:1", 2, ["z"]),
    ("minimize rosenbrock --print valeu", 2, ["--print", "value"]),
    ("minimize rosenbrock --print x.z", 2, ["x.z", "x, y"]),
    ("minimize 'sine(x) + y'", 2, ["sin", "^"]),
    ("minimize '(1-x)**2 + 2x'", 2, ["2*x", "^"]),
    ("minimize '[bold]x[/bold]'", 2, ["[bold]x[/bold]"]),
    ("minimize '1 + 1'", 2, ["variable"]),
    ("minimize x.txt", 3, ["x.txt"]),
    ("minimize rosenbrock --output no/r.json", 3, ["no/r.json", "cannot write"]),
    ("minimize rosenbrock --log no/r.ndjson", 3, ["no/r.ndjson", "cannot write"]),
    ("minimize rosenbrock --save-x no/x.npy", 3, ["no/x.npy", "cannot write"]),
    ("minimize rosenbrock --output a --log a", 2, ["--output", "--log", "same file"]),
    ("minimize rosenbrock --output r.json --lr 0", 2, ["--lr"]),
    ("minimize 'x +* y' --output r.json --log l --save-x s.npy", 2, ["^"]),
    ("minimize rosenbrock --output r.json --log l --print x.z", 2, ["x.z"]),
    ("check rosenbrok", 2, ["rosenbrock"]),
    ("explain 'x +* y'", 2, ["^"]),
]


@pytest.mark.parametrize(("args", "code", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_errors_are_one_clear_message(run: Any, args: str, code: int, words: list[str]) -> None:
    ran = run(*shlex.split(args))
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert all(word in ran.err for word in words), ran.err
    assert len(ran.err.splitlines()) <= 5
    assert "Traceback" not in ran.err
    assert not CONTROL.search(ran.err)
    assert os.listdir() == []


@pytest.mark.parametrize("suggestion", ["minimize", "--iters", "rosenbrock", "adam"])
def test_suggestions_work(run: Any, suggestion: str) -> None:
    """What an error suggests is accepted when it is typed."""
    wrong = {"minimize": "minimise", "--iters": "--itres", "rosenbrock": "rosenbrok", "adam": "adm"}[suggestion]
    words = ["minimize", "rosenbrock", "--method", "adam", "--iters", "1", "--lr", "0.01"]
    ran = run(*(wrong if word == suggestion else word for word in words))
    assert ran.code == 2
    assert suggestion in ran.err
    assert run(*words).code == 0


def test_the_caret_stands_under_the_spot(run: Any) -> None:
    lines = run("minimize", "(1-x)**2 + 2x").err.splitlines()
    at = next(n for n, line in enumerate(lines) if "(1-x)**2 + 2x" in line)
    assert lines[at + 1].index("^") - lines[at].index("(1-x)") in (11, 12)


@pytest.mark.parametrize("text", ["\x1b[31mx", "x\x9b31m + y", "x\u202e + y", "x" * 50_000 + "é(", "x\x7f"])
def test_what_the_user_typed_is_harmless_in_an_error(run: Any, text: str) -> None:
    ran = run("minimize", "--", text)
    assert ran.code == 2
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", ran.err)
    assert len(ran.err) < 4000


# ------------------------------------------------------------------ the main job


def test_the_table_of_the_main_job(run: Any) -> None:
    ran = run(*MAIN_JOB)
    assert ran.code == 0
    assert ran.err == ""
    assert re.search(
        r"^ +1000 +6\.962694009e-05 +\(-0\.0032222, -0\.0066540\d*\)$|^ +1000 +6\.962694009e-05 ", ran.out, re.M
    )
    assert f"x = {END['x']!r}" in ran.out
    assert "completed: ran the 1000 iterations asked for" in ran.out
    assert "\x1b" not in ran.out


def test_the_formats_of_the_main_job_agree_to_the_last_digit(run: Any) -> None:
    result = run(*MAIN_JOB, "--format", "json").json
    assert next(iter(result)) == "schema"
    assert result["x"] == pytest.approx(END, rel=1e-12)
    history = {row["iteration"]: row for row in result["history"]}
    assert list(history) == list(range(100, 1001, 100))
    for iteration, (value, gradient) in ROWS.items():
        assert history[iteration]["value"] == pytest.approx(value, rel=1e-12)
        assert tuple(history[iteration]["gradient"].values()) == pytest.approx(gradient, rel=1e-12)

    *rows, last = [json.loads(line) for line in run(*MAIN_JOB, "--format", "ndjson").out.splitlines()]
    assert [{"kind": "row", **row} for row in result["history"]] == rows
    assert last.pop("kind") == "result"
    assert last.keys() == result.keys() - {"history"}
    assert last["x"] == result["x"]

    table = list(csv.DictReader(io.StringIO(run(*MAIN_JOB, "--format", "csv").out)))
    assert [float(row["value"]) for row in table] == [row["value"] for row in result["history"]]
    assert [float(row["gradient.y"]) for row in table] == [row["gradient"]["y"] for row in result["history"]]


@pytest.mark.parametrize(
    ("what", "expected"), [("x.y", END["y"]), ("status", "completed"), ("value", 6.908142593776925e-05)]
)
def test_print(run: Any, what: str, expected: Any) -> None:
    ran = run(*MAIN_JOB, "--print", what)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    assert (ran.out.strip() if isinstance(expected, str) else float(ran.out)) == (
        expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-12)
    )


def test_print_x_is_an_entry_a_line(run: Any) -> None:
    assert [float(line) for line in run(*MAIN_JOB, "--print", "x").out.split("\n")[:-1]] == pytest.approx(
        list(END.values()), rel=1e-12
    )


def test_maximize_never_shows_the_other_sign(run: Any) -> None:
    ran = run(
        "maximize", "3 - (x-2)**2", "--start", "0", "--lr", "0.1", "--iters", "5", "--every", "1", "--format", "csv"
    )
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert float(rows[0]["value"]) == -1.0
    assert float(rows[0]["gradient.x"]) == 4.0
    assert "maximizer" in run("maximize", "3 - (x-2)**2", "--lr", "0.1", "--iters", "5").out


@pytest.mark.parametrize(
    ("args", "code", "status"),
    [
        ("--iters 50 --tol 1e-12", 11, "limit"),
        ("--iters 50 --tol 1e-12 --accept 10,11", 0, "limit"),
        ("--iters 50", 0, "completed"),
    ],
)
@pytest.mark.parametrize("form", ["json", "table", "csv"])
def test_exit_codes_and_the_note(run: Any, args: str, code: int, status: str, form: str) -> None:
    ran = run("minimize", "rosenbrock", "--lr", "0.01", *args.split(), "--format", form)
    assert ran.code == code
    said = ran.out if form == "table" else ran.err
    assert (status in said) == (form == "table" or status == "limit")
    assert run("minimize", "rosenbrock", "--lr", "0.01", *args.split(), "--format", form, "--quiet").err == ""


def test_a_start_that_is_not_finite_is_strict_json(run: Any) -> None:
    ran = run("minimize", "log(x)*0 + x**2", "--start", "-1", "--lr", "0.1", "--iters", "5", "--format", "json")
    assert ran.code == 14
    assert json.loads(ran.out, parse_constant=lambda word: pytest.fail(word))["value"] == "nan"


# ------------------------------------------------------------------ input


def test_standard_input(run: Any) -> None:
    ran = run(
        "minimize",
        "-",
        "--start",
        "1,1",
        "--iters",
        "3",
        "--format",
        "json",
        stdin=b"\xef\xbb\xbf(x-1)**2 +\n(y-2)**2\n",
    )
    assert ran.code == 0
    assert ran.json["iterations"] == 3
    assert list(ran.json["x"]) == ["x", "y"]


@pytest.mark.parametrize(
    ("data", "words"), [(b"x + \xff", ["UTF-8", "0xff"]), (b"", []), (b"x + " * (5 << 20), ["16 MiB"])]
)
def test_standard_input_that_is_refused(run: Any, data: bytes, words: list[str]) -> None:
    ran = run("minimize", "-", stdin=data)
    assert ran.code == 2
    assert ran.out == ""
    assert all(word in ran.err for word in words)


def test_a_terminal_as_standard_input_is_said(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optcli.cli.streams.is_terminal", lambda stream: True)
    ran = run("minimize", "-", "--format", "json", "--quiet")
    assert ran.code == 2
    assert "standard input" in ran.err


def test_precedence(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """flag > environment > config > library > default"""
    Path("run.yaml").write_text("function: rosenbrock\nlr: 0.003\niters: 3\nstart: {x: 0.5}\n")

    def settings(*args: str) -> tuple[Any, Any]:
        result = run("run", "run.yaml", *args, "--format", "json").json
        return result["settings"]["lr"], result["start"]

    assert settings() == (0.003, {"x": 0.5, "y": 1.0})
    monkeypatch.setenv("OPTCLI_LR", "0.002")
    assert settings()[0] == 0.002
    assert settings("--lr", "0.001")[0] == 0.001
    assert settings("--set", "lr=0.0005")[0] == 0.0005
    assert settings("--start", "y=7")[1] == {"x": 0.5, "y": 7.0}


def test_an_example_run_has_a_name(run: Any) -> None:
    assert run("run", "rosenbrock_loop", "--print", "x.y", "--quiet").out.strip() == repr(END["y"])


def test_a_misspelt_environment_variable_is_said(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTCLI_ITRES", "5")
    ran = run("minimize", "rosenbrock")
    assert ran.code == 2
    assert "OPTCLI_ITERS" in ran.err


def test_config_gives_the_function_to_minimize(run: Any) -> None:
    Path("run.yaml").write_text("function: rosenbrock\niters: 3\n")
    assert run("minimize", "--config", "run.yaml", "--format", "json").json["iterations"] == 3
    assert run("minimize", "(z-1)^2", "--config", "run.yaml", "--format", "json").json["x"].keys() == {"z"}


@pytest.mark.parametrize(
    "args",
    [
        "minimize rosenbrock --lr 0.01 --iters 40",
        "minimize rosenbrock --param b=100 --start -1.2,1 --method adam --lr 0.05 --set beta1=0.8 --tol 1e-3",
        "maximize '3 - (x-2)**2 - c*y^2' --param c=2 --start 1,1 --lr 0.1 --iters 7 --seed 3",
        "minimize 'Sum(i*(x[i] - 1)**2, (i, 1, n))' --param n=4 --start x=-1 --lr 0.1 --iters 5 --name label",
        "minimize rastrigin --bounds domain --bounds x[1]=0.5:1 --start x=0.7 --lr 0.001 --iters 30 --every 3",
        "minimize 'log(x) + 1/x' --start x=2 --lr 0.1 --iters 9 --engine native",
        "minimize 'log(x - 2) + x^2' --lr 0.01 --iters 2 --seed 5",  # a seeded start
        "minimize name.txt --lr 0.1 --iters 3",
    ],
)
def test_a_result_replays_to_the_same_digits(run: Any, args: str) -> None:
    Path("name.txt").write_text("rosenbrock  # a variable, as the text of a file is never a name of the library")
    first = run(*shlex.split(args), "--format", "json", "--output", "result.json")
    assert first.code in (0, 10, 11)
    os.remove("name.txt")
    result = json.loads(Path("result.json").read_text())
    again = run("run", "result.json", "--format", "json")
    assert again.code == first.code
    same = (
        "command",
        "params",
        "method",
        "settings",
        "start",
        "status",
        "x",
        "value",
        "iterations",
        "history",
        "engine",
    )
    for key in same:
        assert again.json[key] == result[key], key
    assert again.json["expression"].strip("()") == result["expression"].strip("()")
    assert again.json.get("bounds") == result.get("bounds")


def test_a_result_says_where_its_settings_come_from(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("run.yaml").write_text("function: rosenbrock\nmethod: momentum\nparams: {a: 2}\n")
    monkeypatch.setenv("OPTCLI_LR", "0.001")
    result = run("run", "run.yaml", "--iters", "3", "--set", "max_evals=50", "--format", "json").json
    assert result["settings_origin"] == {
        "method": "run.yaml:2:9", "lr": "environment OPTCLI_LR", "beta": "default", "iters": "flag --iters",
        "max_evals": "flag --set max_evals", "params.a": "run.yaml:3:13", "params.b": "library",
        "engine": "default", "seed": "default",
    }  # fmt: skip
    assert {"python", "numpy", "platform"} <= result["versions"].keys()


def test_a_result_of_a_function_that_the_library_changed_keeps_its_text(run: Any) -> None:
    result = run("minimize", "rosenbrock", "--iters", "3", "--format", "json").json
    Path("r.json").write_text(json.dumps({**result, "expression": "(a - x)**2 + b*(y - x**2)**4"}))
    assert run("run", "r.json", "--format", "json").json["expression"] == "(a - x)**2 + b*(y - x**2)**4"


def test_a_large_result_is_run_again(run: Any) -> None:
    """More than a file of YAML may have, which is a matter of what people write by hand."""
    result = run("minimize", "rosenbrock", "--iters", "3", "--format", "json").json
    result["history"] = ["x" * 100] * 200_000
    Path("r.json").write_text(json.dumps(result))
    assert os.path.getsize("r.json") > 16 << 20
    assert run("run", "r.json", "--format", "json").json["x"] == result["x"]


# ------------------------------------------------------------------ files


def test_output_goes_into_the_file_alone(run: Any) -> None:
    ran = run(*MAIN_JOB, "--format", "json", "--output", "r.json")
    assert (ran.code, ran.out) == (0, "")
    assert json.loads(Path("r.json").read_text())["iterations"] == 1000
    assert os.listdir() == ["r.json"]


@pytest.mark.parametrize("form", SETTINGS["format"].choices)
def test_an_earlier_output_is_replaced_a_foreign_file_is_not(run: Any, form: str) -> None:
    args = (*MAIN_JOB, "--format", form, "--output", "r")
    assert [run(*args).code, run(*args).code] == [0, 0]
    Path("r").write_text("my notes\n")
    ran = run(*args)
    assert ran.code == 3
    assert "--force" in ran.err
    assert Path("r").read_text() == "my notes\n"
    assert run(*args, "--force").code == 0
    assert Path("r").read_text() != "my notes\n"


def test_log_and_saved_minimizer(run: Any) -> None:
    ran = run("minimize", "Sum(i*(x[i] - 1)**2, (i, 1, n))", "--param", "n=5", "--lr", "0.05", "--iters", "200",
              "--log", "rows.ndjson", "--save-x", "x.npy", "--print", "x")  # fmt: skip
    assert ran.code == 0
    assert [json.loads(line)["iteration"] for line in Path("rows.ndjson").read_text().splitlines()] == [100, 200]
    assert np.load("x.npy").tolist() == [float(line) for line in ran.out.split()]


def test_the_label_is_never_a_path(run: Any) -> None:
    ran = run("minimize", "rosenbrock", "--iters", "1", "--name", '../../x,"y"', "--format", "json")
    assert ran.json["name"] == '../../x,"y"'
    assert os.listdir() == []


# ------------------------------------------------------------------ lists


def test_functions_as_json(run: Any) -> None:
    entries = run("functions", "--format", "json").json
    assert len(entries) >= 60
    keys = {"name", "expression", "params", "variables", "start", "domain", "minima", "reference"}
    for entry in entries:
        assert keys <= entry.keys()
    rosenbrock = next(entry for entry in entries if entry["name"] == "rosenbrock")
    assert rosenbrock["params"] == {"a": 1.0, "b": 5.0}
    assert rosenbrock["variables"] == ["x", "y"]
    assert rosenbrock["start"] == {"x": -1.0, "y": 1.0}
    assert rosenbrock["minima"][0] == {"x": {"x": 1.0, "y": 1.0}, "value": 0.0}
    assert run("functions", "ROSENBROCK", "--format", "json").json == [rosenbrock]


@pytest.mark.parametrize("columns", ["40", "80", "120"])
@pytest.mark.parametrize("args", ["functions", "functions rastrigin", "methods", "methods adam"])
def test_lists_fit_the_screen(run: Any, monkeypatch: pytest.MonkeyPatch, args: str, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    ran = run(*args.split())
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= int(columns)


def test_methods_say_their_fields_and_source(run: Any) -> None:
    found = {method["name"]: method for method in run("methods", "--format", "json").json}
    assert {"gd", "momentum", "nesterov", "adam"} <= found.keys()
    assert [field["name"] for field in found["adam"]["parameters"] if not field["shared"]] == [
        "lr",
        "beta1",
        "beta2",
        "eps",
    ]
    text = run("methods", "adam").out
    for word in ("lr = 0.001", "beta2 = 0.999", "Kingma"):
        assert word in text


# ------------------------------------------------------------------ check, explain


def test_check_agrees_on_a_right_gradient(run: Any) -> None:
    ran = run("check", "rosenbrock", "--start", "-1.2,1")
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"^x\b.*-", ran.out, re.M)
    assert re.search(r"^y\b", ran.out, re.M)


def test_check_exits_10_where_something_is_wrong(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("check", "log(x)", "--start", "-1").code == 10
    from optcli.objective import Objective

    right = Objective.value_and_gradient
    planted = [0.0, 1e-3]
    monkeypatch.setattr(
        Objective, "value_and_gradient", lambda self, x: (right(self, x)[0], right(self, x)[1] + planted)
    )
    ran = run("check", "rosenbrock", "--start", "-1.2,1")
    assert ran.code == 10
    (x,) = re.findall(r"^x .*", ran.out, re.M)
    (y,) = re.findall(r"^y .*", ran.out, re.M)
    assert "agrees" in x
    assert "agrees" not in y
    assert run("check", "rosenbrock", "--start", "-1.2,1", "--accept", "10").code == 0


def test_explain_shows_every_stage(run: Any) -> None:
    ran = run("explain", "x*y + sin(x)", "--start", "1,2")
    assert ran.code == 0
    assert len(re.findall(r"^\S", ran.out, re.M)) >= 4
    assert "sin" in ran.out


# ------------------------------------------------------------------ bugs, pipes, signals


def test_a_bug_is_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import optcli.run

    def broken(*args: Any, **more: Any) -> Any:
        raise ZeroDivisionError("planted\x1b[31m\nbug")

    monkeypatch.setattr(optcli.run, "execute", broken)
    ran = run("minimize", "rosenbrock", "--output", "r")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert "please report" in ran.err
    assert "ZeroDivisionError: planted" in ran.err
    assert not CONTROL.search(ran.err)
    assert os.listdir() == []
    monkeypatch.setenv("OPTCLI_DEBUG", "1")
    assert "Traceback" in run("minimize", "rosenbrock").err


def test_a_broken_pipe_is_quiet() -> None:
    command = [sys.executable, "-m", "optcli", "minimize", "rosenbrock", "--lr", "0.001"]
    command += ["--iters", "20000", "--every", "1", "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith(b"iteration,")
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 141


def test_help_into_a_closed_pipe_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([sys.executable, "-m", "optcli", "-h"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.skipif(os.name != "posix", reason="limits of files are those of POSIX")
def test_a_file_that_may_not_grow_is_an_error_with_unbuffered_streams_too(tmp_path: Path) -> None:
    """Python's unbuffered text streams lose what does not fit into one write."""
    import resource

    words = ["-m", "optcli", "minimize", "Sum((x[i] - sin(i))^2, (i, 1, 3000))", "--lr", "0.1", "--iters", "5"]
    with open(tmp_path / "out.json", "w") as out:
        done = subprocess.run(
            [sys.executable, *words, "--every", "0", "--format", "json"],
            stdout=out, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "OPTCLI_CACHE": "off"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        )  # fmt: skip
    assert done.returncode == 3
    assert "cannot write standard output" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_while_nobody_reads_loses_nothing(tmp_path: Path) -> None:
    words = ["-m", "optcli", "minimize", "Sum((x[i] - sin(i))^2, (i, 1, 20000))", "--lr", "0.1", "--iters", "5"]
    with subprocess.Popen(
        [sys.executable, *words, "--every", "0", "--format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.read(1)  # it writes now, and the pipe is full soon
        time.sleep(0.3)
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
        rest = process.stdout.read()
    assert len(json.loads(first + rest)["x"]["x"]) == 20000
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("args", ["-h", "functions", "minimize rosenbrock --iters 3"])
def test_a_full_disk_is_said(args: str) -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "optcli", *args.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 3
    assert ran.stderr.startswith("error: cannot write standard output")
    assert ran.stderr.count("\n") == 1


def ended(running: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process wrote until its end, which a signal should have brought; none is left running."""
    try:
        return running.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        running.kill()
        raise


ENDLESS = ("minimize", "rosenbrock", "--lr", "1e-9", "--iters", "2000000000", "--every", "1000000000")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_and_gives_the_best_point(tmp_path: Path, number: int, code: int) -> None:
    log = tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, "-m", "optcli", *ENDLESS, "--every", "1000", "--log", str(log), "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while not (log.exists() and log.stat().st_size):
            assert running.poll() is None
        running.send_signal(number)
        out, err = ended(running)
    assert running.returncode == code
    assert json.loads(out)["status"] == "interrupted"
    assert isinstance(json.loads(out)["value"], float)
    assert "stopping at the next iterate" in err


def test_a_signal_before_the_first_iterate_is_one_line() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "optcli", "minimize", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdin is not None
        running.stdin.write(" " * (1 << 20))  # it reads from now on: the pipe is fuller than it can be
        running.send_signal(signal.SIGINT)
        out, err = ended(running)
    assert (running.returncode, out) == (130, "")
    assert err == "interrupted before the first iterate: there is no result\n"


def test_a_second_signal_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from optcli.cli.signals import Interrupted, listening

    before = signal.getsignal(signal.SIGINT)  # ignored where the tests were started in the background
    with listening() as signals:
        signals.begin()
        signals.quiet = True
        signal.raise_signal(signal.SIGINT)
        assert signals.poll() == "SIGINT"
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.code == 143
    assert signal.getsignal(signal.SIGINT) is before
