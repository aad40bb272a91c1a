"""The strict YAML reader: what is refused, where, and that both parsers of PyYAML agree on it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from optcli.config import load, resolve, safe_output
from optcli.config.tree import Scalar, Sequence, Table
from optcli.config.yaml_reader import MAX_BYTES, MAX_DEPTH, parse_yaml, read_text, read_yaml
from optcli.errors import ConfigError, FileError

HOSTILE = json.loads((Path(__file__).parent / "data" / "hostile_yaml.json").read_text(encoding="utf-8"))["items"]


@pytest.fixture(params=["C parser", "Python parser"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either of PyYAML's parsers."""
    if request.param == "Python parser":
        monkeypatch.setattr(yaml, "__with_libyaml__", False)
    elif not yaml.__with_libyaml__:
        pytest.skip("this PyYAML is built without libyaml")


def plain(node: Any) -> Any:
    """A tree as strings, lists and dicts."""
    match node:
        case Scalar(text):
            return text
        case Sequence(held):
            return [plain(item) for item in held]
        case Table(entries):
            return {key.text: plain(value) for key, value in entries}


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("lr: 1e-3", {"lr": "1e-3"}),
        ("on: no\ny: 010\n~: null", {"on": "no", "y": "010", "~": "null"}),
        ("a: 1_000\nb: 2020-01-01\nc: .inf", {"a": "1_000", "b": "2020-01-01", "c": ".inf"}),
        ("\ufefff: >\n  x**2\n  + 1\n", {"f": "x**2 + 1\n"}),
        ("start: {x: [1, [2, 3]], 'y z': \"q\"}", {"start": {"x": ["1", ["2", "3"]], "y z": "q"}}),
        ("f: -x**2 + 3 # comment", {"f": "-x**2 + 3"}),
        ("%YAML 1.1\n---\na: 1\n...\n", {"a": "1"}),
        ('{"a": 1, "b": {"c": [true, null]}}', {"a": "1", "b": {"c": ["true", "null"]}}),
        ("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), None),
    ],
)
def test_plain_words_stay_text(text: str, want: Any) -> None:
    tree = parse_yaml(text, "f.yaml")
    assert want is None or plain(tree) == want


def test_quoted_words_are_known_as_such() -> None:
    flags = {key.text: value.plain for key, value in parse_yaml("a: 1\nb: '1'\nc: \"1\"\nd: |\n  1\n", "f").entries}
    assert flags == {"a": True, "b": False, "c": False, "d": False}


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "1:1", ["empty"]),
        ("# only a comment\n", "1:1", ["empty"]),
        ("---\n", "1:1", ["empty"]),
        ("just text", "1:1", ["mapping", "'just text'"]),
        ("- 1\n- 2\n", "1:1", ["mapping", "a list"]),
        ("a: 1\nb: 2\na: 3\n", "3:1", ["'a'", "line 1"]),
        ("s:\n  x: 1\n  x: 2\n", "3:3", ["'x'", "line 2"]),
        ("a: &r 1\n", "1:4", ["&r", "quotes"]),
        ("a: *r\n", "1:4", ["*r", "quotes"]),
        ("a: !!python/name:os.system\n", "1:4", ["!!python/name:os.system"]),
        ("a: !foo x\n", "1:4", ["!foo"]),
        ("a: ! x\n", "1:4", ["tag !"]),
        ("<<: {a: 1}\n", "1:1", ["merge"]),
        ("? [a, b]\n: 1\n", "1:3", ["key must be a word"]),
        ("a: 1\n---\nb: 2\n", "2:1", ["second document"]),
        ("a: 'x\n", "1:4", ["never closed", "Close the quote"]),
        ("a: [\n", "2:1", ["not YAML", "Close every"]),
        ("a: @file.csv\n", "1:4", ["not YAML", "quotes"]),
        ("a: |x| + 1\n", "1:5", ["not YAML", "quotes"]),
        ("lr:0.01\nx: 1\n", "2:2", ["blank", "colon"]),
        ("a: b: c\n", "1:5", ["blank", "colon"]),
        ("\ta: 1\n", "1:1", ["not YAML"]),
        ("a: 1\nb: x\x07y\n", "2:5", ["\\x07"]),
        ("a: \x00\n", "1:4", ["\\x00"]),
        ("[" * 20_000, f"1:{MAX_DEPTH + 1}", ["deep"]),
        ("{a: " * 20_000, None, ["deep"]),
        ("- " * 5_000 + "1", f"1:{2 * MAX_DEPTH + 1}", ["deep"]),
    ],
)
def test_refused_with_place_and_remedy(text: str, place: str | None, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    error = caught.value
    assert place is None or error.where == f"f.yaml:{place}"
    assert error.where.startswith("f.yaml:")
    assert all(word in str(error) for word in words)
    assert len(str(error).splitlines()) <= 2
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"a: 1\nb: \xff\n", ":2:4"), ("a: 1".encode("utf-16"), ":1:1"), (b"a: " + b"x" * MAX_BYTES, "")],
)
def test_bytes_that_are_no_text(tmp_path: Path, data: bytes, place: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_text(path)
    assert caught.value.where == f"{path}{place}"


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_yaml(f"{tmp_path}/{name}")


def test_a_control_character_in_a_path_is_shown_escaped() -> None:
    with pytest.raises(FileError) as caught:
        read_yaml("no\x1b[31m.yaml")
    assert "\x1b" not in str(caught.value)


def text_of(item: dict[str, Any]) -> str:
    given = item["input"]
    return given if isinstance(given, str) else "".join(text * times for text, times in given["parts"])


@pytest.mark.parametrize("item", HOSTILE, ids=[item["id"] for item in HOSTILE])
def test_hostile_items(item: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "existing_file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    path = tmp_path / "run.yaml"
    path.write_text(text_of(item), encoding="utf-8")

    def read() -> None:
        config = resolve(load(path))
        if item.get("by") == "writer":
            assert config.output is not None
            safe_output(tmp_path, config.output.name)

    if "accept" in (item["must"], item.get("may")) or item.get("by") == "language":
        with contextlib.suppress(ConfigError) if "may" in item else contextlib.nullcontext():
            read()
    else:
        with pytest.raises(ConfigError) as caught:
            read()
        assert len(str(caught.value)) < 600
        assert all(char == "\n" or char.isprintable() for char in str(caught.value))
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


@pytest.mark.parametrize(
    ("id_", "function", "start"),
    [
        ("yaml-019", "np+math", {"np": 1.0, "math": 2.0}),
        ("yaml-025", "x**2", {"x": 10.0}),
        ("yaml-033", "on+no", {"on": 1.0, "no": 2.0}),
        ("yaml-065", "x**2 + 1", {"x": 1.0}),
    ],
)
def test_hostile_items_that_are_read_as_meant(id_: str, function: str, start: dict[str, float], tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text_of(next(item for item in HOSTILE if item["id"] == id_)), encoding="utf-8")
    config = resolve(load(path))
    assert config.function is not None
    assert config.function.strip() == function
    assert {entry.name: entry.value for entry in config.start} == start


@given(st.text(st.sampled_from("ab:-?,[]{}#&*!|>'\"%@` \n\t\\01~<\ufeff"), max_size=40))
def test_any_text_is_a_mapping_or_refused_with_its_place(text: str) -> None:
    try:
        tree = parse_yaml(text, "f.yaml")
    except ConfigError as error:
        assert error.where.startswith("f.yaml:")  # noqa: PT017
    else:
        assert isinstance(tree, Table)
