"""The wheel works anywhere: built, installed into an environment of its own, run from another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from optcli import library

ROOT = Path(__file__).resolve().parent.parent
MAIN_JOB = ("minimize", "rosenbrock", "--lr", "0.01", "--iters", "1000", "--format", "json")


def run(*words: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without optcli that sees the packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (site / "packages_of_the_tests.pth").write_text("\n".join(packages), encoding="utf-8")
    return folder / "bin" / "python"


def test_functions_and_configs_travel_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in library.names():
        assert f"optcli/_functions/{name}.yaml" in names
    assert {f"optcli/_configs/{path.name}" for path in (ROOT / "configs").iterdir()} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "functions/", "configs/"))]


@pytest.mark.skipif(os.name == "nt", reason="the layout of an environment is another on Windows")
def test_the_installed_wheel_runs_the_main_job_in_another_folder(wheel: Path, python: Path, tmp_path: Path) -> None:
    (site,) = python.parent.parent.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)  # what an installer does with a pure wheel
    where = run(python, "-c", "import optcli; print(optcli.__file__)", cwd=tmp_path).strip()
    assert Path(where).parent == site / "optcli"
    result = json.loads(run(python, "-m", "optcli", *MAIN_JOB, cwd=tmp_path))
    assert result["status"] == "completed"
    assert result["x"] == pytest.approx({"x": 0.9918216738881531, "y": 0.9830474495799582}, rel=1e-12)
    assert (
        json.loads(run(python, "-m", "optcli", "run", "rosenbrock_loop", "--format", "json", cwd=tmp_path))["x"]
        == (result["x"])
    )


@pytest.mark.skipif(os.name == "nt", reason="the layout of an environment is another on Windows")
def test_an_editable_install_falls_back_to_the_checkout(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    (site,) = environment.glob("lib/python*/site-packages")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (site / "editable.pth").write_text(
        "\n".join([str(ROOT), *packages]), encoding="utf-8"
    )  # what pip install -e leaves
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = json.loads(run(environment / "bin" / "python", "-m", "optcli", *MAIN_JOB, cwd=elsewhere))
    assert result["function"] == "rosenbrock"
    assert result["iterations"] == 1000
