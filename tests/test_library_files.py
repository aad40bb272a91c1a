"""Function files and the folders they are in; what the functions compute is tested elsewhere."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from optcli import library
from optcli.config import from_flags, resolve
from optcli.errors import ConfigError, FileError, UsageError

TEXT = """\
name: valley
summary: A narrow valley.
expression: (a - x)**2 + b*(y - x**2)**2
params: {a: 1, b: 5}
start: {x: -1, y: 1}
domain: {x: [-2, 2], y: [-1, oo]}
minima:
  - {x: {x: 1, y: 1}, value: 0}
  - x: {x: [1, pi], y: 1e-3}
    value: -39.16*n
reference: Someone, 1960.
notes: |
  Several
  lines.
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "valley.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT)
    entry = library.load_file(path)
    assert (entry.name, entry.summary, entry.path) == ("valley", "A narrow valley.", path)
    assert entry.expression == "(a - x)**2 + b*(y - x**2)**2"
    assert entry.params == {"a": 1.0, "b": 5.0}
    assert [(e.name, e.value) for e in entry.start] == [("x", -1.0), ("y", 1.0)]
    assert [(b.name, b.lower, b.upper) for b in entry.domain] == [("x", -2.0, 2.0), ("y", -1.0, math.inf)]
    assert [m.value for m in entry.minima] == [0.0, "-39.16*n"]
    assert [e.value for e in entry.minima[1].x] == [[1.0, "pi"], 0.001]
    assert (entry.reference, entry.notes) == ("Someone, 1960.", "Several\nlines.")


def test_its_layer_is_below_flags(tmp_path: Path) -> None:
    entry = library.load_file(write(tmp_path, TEXT))
    config = resolve(from_flags({"params": ("b=100",), "bounds": ("domain",)}), entry.layer())
    assert config.params == {"b": 100.0, "a": 1.0}
    assert {e.name: e.value for e in config.start} == {"x": -1.0, "y": 1.0}
    assert [(b.name, b.lower) for b in config.bounds] == [("x", -2.0), ("y", -1.0)]
    assert (config.origins["start"], config.origins["params.b"]) == ("library", "flag --param")


def test_a_name_is_the_files_if_missing(tmp_path: Path) -> None:
    entry = library.load_file(write(tmp_path, "expression: x**2\n"))
    assert (entry.name, entry.params, entry.start, entry.minima) == ("valley", {}, (), ())


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("expresion: x\n", "1:1", ["Did you mean expression"]),
        ("name: x\n", "1:1", ["expression", "missing"]),
        ("expression: [x]\n", "1:13", ["a list"]),
        ("expression: x\nparams: {a: many}\n", "2:13", ["a in params"]),
        ("expression: x\nstart: {x: .nan}\n", "2:12", ["finite"]),
        ("expression: x\ndomain: domain\n", "2:9", ["mapping"]),
        ("expression: x\ndomain: {x: [1, 0]}\n", "2:13", ["above"]),
        ("expression: x\nminima: {x: 1}\n", "2:9", ["a list of entries"]),
        ("expression: x\nminima: [{x: {x: 1}}]\n", "2:10", ["both x and value"]),
        ("expression: x\nminima: [{x: {x: 1}, valu: 0}]\n", "2:22", ["value"]),
        ("expression: x\nminima: [{x: {x: 1}, value: [0]}]\n", "2:29", ["value"]),
        ("expression: !x y\n", "1:13", ["tag"]),
    ],
)
def test_errors_name_the_place(text: str, place: str, words: list[str], tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        library.load_file(path)
    assert caught.value.where == f"{path}:{place}"
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        library.load_file(tmp_path / "none.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of one function and one run, in place of the project's."""
    monkeypatch.setattr(library, "functions_folder", lambda: tmp_path)
    monkeypatch.setattr(library, "configs_folder", lambda: tmp_path)
    write(tmp_path, TEXT)
    (tmp_path / "README.md").write_text("no function")
    return tmp_path


def test_names_and_get(folder: Path) -> None:
    assert library.names() == library.config_names() == ("valley",)
    assert library.get("Valley").path == library.config_path("valley") == folder / "valley.yaml"
    for look_up in (library.get, library.config_path):
        with pytest.raises(UsageError, match="Did you mean valley"):
            look_up("vally")
        with pytest.raises(UsageError, match=r"'\.\./valley'"):
            look_up("../valley")


def test_a_name_in_the_library_is_its_files(folder: Path) -> None:
    write(folder, TEXT.replace("name: valley", "name: hill"))
    with pytest.raises(ConfigError, match="must be 'valley'"):
        library.get("valley")


def test_names_read_no_file(folder: Path) -> None:
    write(folder, "not: [yaml")
    assert library.names() == ("valley",)


@pytest.mark.parametrize("name", library.names() or [pytest.param("", marks=pytest.mark.skip("functions/ is empty"))])
def test_every_function_file_is_read(name: str) -> None:
    entry = library.get(name.upper())
    assert entry.name == name == name.lower()
    assert entry.summary
    assert entry.reference


def test_the_folders_are_found() -> None:
    assert library.functions_folder().is_dir()
    assert library.configs_folder().is_dir()
