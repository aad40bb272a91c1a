"""Completion in bash, zsh and fish: the names that a user would otherwise look up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from optcli.cli import main
from optcli.report import FORMATS

SHELLS = ("bash", "zsh", "fish")


def completed(shell: str, line: str) -> list[str]:
    """What the shell is told for `line`, whose last word is being typed."""
    words = line.split(" ")
    environ = os.environ | {"_OPTCLI_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": ""}
    environ["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(words) - 1)
    ran = subprocess.run(
        [sys.executable, "-m", "optcli"], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    if shell == "zsh":  # three lines an item: type, value, help
        return [value for kind, value in zip(lines[::3], lines[1::3], strict=True) if kind == "plain"]
    return [item.split(",", 1)[1].split("\t")[0] for item in lines if item.startswith("plain,")]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("optcli min", ["minimize"]),
        (
            "optcli ",
            [
                "minimize",
                "maximize",
                "run",
                "resume",
                "functions",
                "methods",
                "check",
                "explain",
                "cache",
                "completion",
            ],
        ),
        ("optcli minimize rosenb", ["rosenbrock"]),
        ("optcli functions rastr", ["rastrigin"]),
        ("optcli check rosenb", ["rosenbrock"]),
        ("optcli minimize rosenbrock --method adam", ["adam", "adamw"]),
        ("optcli methods nes", ["nesterov"]),
        ("optcli minimize x^2 --format ", list(FORMATS)),
        ("optcli minimize x^2 --engine n", ["native", "numpy"]),
        ("optcli minimize x^2 --max", ["--max-time", "--max-evals"]),
        ("optcli minimize x^2 --method adam --set bet", ["beta1=", "beta2="]),
        ("optcli minimize x^2 --set peri", ["period="]),
        ("optcli minimize x^2 --set schedule=co", ["schedule=constant", "schedule=cosine"]),
        ("optcli minimize x^2 --method bb --set length=s", ["length=short"]),
        ("optcli minimize x^2 --set clip_norm=", ["clip_norm=none"]),
        ("optcli minimize x^2 --set max", ["max_time=", "max_evals="]),
        ("optcli minimize x^2 --print st", ["status"]),
        ("optcli functions --format ", ["table", "json"]),
        ("optcli run rosen", ["rosenbrock_loop"]),
        ("optcli resume run.ckpt --m", ["--max-time", "--max-evals"]),
        ("optcli completion ", list(SHELLS)),
    ],
)
def test_names_are_completed(shell: str, line: str, expected: list[str]) -> None:
    found = completed(shell, line)
    assert set(expected) <= set(found)
    last = line.split(" ")[-1]
    assert all(word.startswith(last) for word in found)
    assert len(found) <= max(len(expected), 3)


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    "line", ["optcli run zz", "optcli minimize x^2 --config ru", "optcli minimize ./f", "optcli resume ru"]
)
def test_files_are_left_to_the_shell(shell: str, line: str) -> None:
    environ = os.environ | {"_OPTCLI_COMPLETE": f"{shell}_complete", "COMP_WORDS": line}
    environ["COMP_CWORD"] = line.split()[-1] if shell == "fish" else str(len(line.split()) - 1)
    ran = subprocess.run(
        [sys.executable, "-m", "optcli"], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.startswith("file,")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_names_the_program_and_is_accepted_by_its_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version, and there is no bash here")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_OPTCLI_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    """The script in a real bash, with an `optcli` that runs this interpreter."""
    program = tmp_path / "optcli"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m optcli "$@"\n')
    program.chmod(0o755)
    lines = [
        f'PATH="{tmp_path}:$PATH"',
        'eval "$(optcli completion bash)"',
        "COMP_WORDS=(optcli minimize rosenb) COMP_CWORD=2",
        "_optcli_completion optcli",
        'echo "${COMPREPLY[@]}"',
    ]
    ran = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "rosenbrock" in ran.stdout.split(), ran.stderr
    assert all(word.startswith("rosenb") for word in ran.stdout.split())
