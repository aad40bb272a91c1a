"""Every example run in configs/ ends in the status that it declares."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from optcli import library

NAMES = library.config_names()

# Where an example ends, by variable.
PROMISED: dict[str, dict[str, Any]] = {
    "ill_conditioned_momentum": {"x": 0, "y": 0},
    "quadratic_form": {"x": [1, 2, 3, 4, 5]},
    "ring_with_definitions": {"x": 1.7551651237807455, "y": 0.958851077208406},  # 2*cos(0.5), 2*sin(0.5)
    "rosenbrock_loop": {"x": 0.9918216738881531, "y": 0.9830474495799582},
}


def run(name: str, *flags: str) -> dict[str, Any]:
    """The result of an example run, read from its JSON."""
    command = [sys.executable, "-m", "optcli", "run", str(library.configs_folder() / f"{name}.yaml"), *flags]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_there_are_enough() -> None:
    assert len(NAMES) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_what_one_learns(name: str) -> None:
    text = (library.configs_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    header = [line for line in text.splitlines() if line.startswith("# ")]
    assert len(header) >= 3
    assert text.startswith(header[0])
    assert {"name", "function", "expect"} <= set(yaml.safe_load(text))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_ends_as_declared(name: str) -> None:
    text = (library.configs_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    result = run(name)
    assert result["status"] == yaml.safe_load(text)["expect"], result["message"]
    for variable, value in PROMISED.get(name, {}).items():
        assert result["x"][variable] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "flags", "below", "above"),
    [
        pytest.param(
            "noisy_valley_adam", ("--method", "gd", "--lr", "0.1"), 3, 2, id="gd stays among the first ripples"
        ),
        pytest.param("noisy_valley_adam", (), 0, -0.1, id="adam reaches the lowest ripples"),
        pytest.param("highest_wave", (), 0.9, 0.89, id="the highest top"),
        pytest.param("highest_wave", ("--start", "5,1"), 0.1, 0, id="a lower top from another start"),
    ],
)
def test_what_a_header_says_about_values(name: str, flags: tuple[str, ...], below: float, above: float) -> None:
    assert above < run(name, *flags)["value"] < below


@pytest.mark.parametrize(
    ("flags", "status"), [(("--iters", "20000"), "converged"), (("--method", "momentum"), "converged")]
)
def test_the_remedies_for_too_few_iterations(flags: tuple[str, ...], status: str) -> None:
    assert run("too_few_iterations", *flags)["status"] == status
