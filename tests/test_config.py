"""Settings, their kinds, the layers and their precedence."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from optcli import library
from optcli.build import build
from optcli.config import (
    CONFIG_KEYS,
    SETTINGS,
    Bound,
    Config,
    DataFile,
    Layer,
    StartEntry,
    from_environment,
    from_flags,
    from_keywords,
    load,
    resolve,
    safe_output,
)
from optcli.config.layers import Given
from optcli.config.points import split
from optcli.errors import ConfigError
from optcli.objective import Objective
from optcli.points import finite_start

INF = math.inf


def yaml_layer(folder: Path, text: str) -> Layer:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_config_has_a_field_a_key() -> None:
    fields = {field.name for field in dataclasses.fields(Config)}
    assert fields == {*CONFIG_KEYS, "use_domain", "origins", "folder"}


def test_every_setting_has_help_and_one_kind() -> None:
    for key, row in SETTINGS.items():
        assert row.key == key
        assert row.help
        assert "\n" not in row.help
        assert row.config == ((row.kind is None) != (row.parts is None))
        assert row.flag is None or row.flag.startswith("--")


def test_defaults() -> None:
    config = resolve()
    assert (config.command, config.method, config.every, config.seed) == ("minimize", "auto", 100, 0)
    assert (config.engine, config.format, config.quiet, config.accept) == ("auto", "table", False, ())
    assert config.lr is config.iters is config.tol is config.output is config.function is None
    assert config.origins["every"] == "default"
    assert "lr" not in config.origins


SCALARS = [  # key, text, value
    ("lr", "1e-2", 0.01),
    ("lr", ".5", 0.5),
    ("lr", "5.", 5.0),
    ("lr", "+2", 2.0),
    ("iters", "1e3", 1000),
    ("iters", "0", 0),
    ("iters", "010", 10),
    ("iters", "1000.0", 1000),
    ("iters", "9223372036854775807", 2**63 - 1),
    ("tol", "0", 0.0),
    ("max_time", "0.5", 0.5),
    ("max_evals", "1", 1),
    ("target", "-1e-3", -0.001),
    ("every", "0", 0),
    ("seed", "7", 7),
    ("engine", "numpy", "numpy"),
    ("format", "JSON", "json"),
    ("quiet", "true", True),
    ("quiet", "off", False),
    ("accept", "10,11", (10, 11)),
    ("method", "adam", "adam"),
    ("name", "a" * 200, "a" * 200),
]


@pytest.mark.parametrize(("key", "text", "value"), SCALARS)
def test_one_text_one_value_on_every_way(key: str, text: str, value: object, tmp_path: Path) -> None:
    layers = [
        from_flags({key: text}),
        from_flags({"set": (f"{key}={text}",)}),
        from_environment({f"OPTCLI_{key.upper()}": text}),
        yaml_layer(tmp_path, f"{key}: {text}\n"),
        from_keywords(**{key: value}),
    ]
    for layer in layers:
        got = getattr(resolve(layer), key)
        assert got == value
        assert type(got) is type(value)


MISFITS = [  # key, text, words of the error
    ("lr", "fast", ["lr", "number above 0", "'fast'"]),
    ("lr", "0", ["above 0"]),
    ("lr", "-0.1", ["above 0"]),
    ("lr", ".nan", ["finite"]),
    ("lr", "inf", ["finite"]),
    ("lr", "1e999", ["too large"]),
    ("lr", "1_000", ["Write 1000"]),
    ("lr", "0x10", ["decimal: 16"]),
    ("lr", "0o0E", ["number above 0"]),
    ("lr", "true", ["no numbers"]),
    ("lr", "2020-01-01", ["date"]),
    ("lr", "9" * 401, ["400 digits"]),
    ("lr", "−1", ["Write -1"]),
    ("iters", "many", ["iters", "whole number"]),
    ("iters", "1.5", ["whole number"]),
    ("iters", "-5", ["0 or more"]),
    ("iters", "9223372036854775808", ["2^63"]),
    ("iters", "1e300", ["2^63"]),
    ("every", "-1", ["0 or more"]),
    ("tol", "-1", ["0 or more"]),
    ("max_time", "0", ["above 0"]),
    ("max_evals", "0", ["1 or more"]),
    ("seed", "x", ["whole number"]),
    ("format", "jsn", ["json"]),
    ("engine", "nativ", ["Did you mean native"]),
    ("accept", "10,x", ["code", "'x'"]),
    ("accept", "300", ["256"]),
    ("quiet", "perhaps", ["true or false"]),
    ("name", "a" * 201, ["200 characters", "1 characters"]),
    ("params", "a", ["a=1"]),
    ("params", "a=b", ["a in params", "'b'"]),
    ("params", "1a=2", ["'1a'", "no name"]),
    ("params", "a=1,a=2", ["params.a", "twice"]),
    ("bounds", "x=1:0", ["above"]),
    ("bounds", "x=1", ["two sides"]),
    ("bounds", "x=0:1:2", ["two sides"]),
    ("bounds", "x=oo:", ["finite"]),
    ("start", "x=1,2", ["Name every value"]),
    ("start", "x=", ["nothing"]),
    ("start", "x=inf", ["start of x", "finite"]),
    ("start", "x=1e999", ["too large"]),
    ("start", "x[]=1", ["no index"]),
    ("start", "=1", ["no name"]),
    ("start", "x=1,x=2", ["start.x", "twice"]),
    ("start", "x=@", ["file"]),
    ("start", "1,,2", ["value 2"]),
]


@pytest.mark.parametrize(("key", "text", "words"), MISFITS)
def test_misfits_say_what_was_expected_and_where(key: str, text: str, words: list[str]) -> None:
    flag = SETTINGS[key].flag
    for layer, where in ((from_flags, flag), (from_environment, f"OPTCLI_{key.upper()}")):
        with pytest.raises(ConfigError) as caught:
            layer({key if layer is from_flags else f"OPTCLI_{key.upper()}": text})
        assert caught.value.where == where
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert all(char == "\n" or char.isprintable() for char in str(caught.value))


YAML_MISFITS = [  # text, place, words
    ("function: x\nitres: 5\n", "2:1", ["'itres'", "iters"]),
    ("function: x\niters: many\n", "2:8", ["iters", "'many'"]),
    ("function: [x, y]\n", "1:11", ["a list"]),
    ("function: {x: 1}\n", "1:11", ["a mapping"]),
    ("function: ''\n", "1:11", ["empty text"]),
    ("function:\n", "1:10", ["nothing"]),
    ('function: "x\\0"\n', "1:11", ["control"]),
    ("lr: '0.1'\n", "1:5", ["quotes"]),
    ("lr:\n", "1:4", ["nothing", "remove"]),
    ("lr: [0.1]\n", "1:5", ["a list"]),
    ("quiet: 'true'\n", "1:8", ["true or false"]),
    ("name: [a]\n", "1:7", ["a list"]),
    ("params: [1]\n", "1:9", ["a=1", "a list"]),
    ("params: {a: true}\n", "1:13", ["a in params"]),
    ("params: {'=H(1)': 1}\n", "1:10", ["'=H(1)'", "no name"]),
    ("start: {x: 1, y:2}\n", "1:15", ["`y: 2`"]),
    ("start: {x: true}\n", "1:12", ["start of x"]),
    ("start: {x: 2020-01-01}\n", "1:12", ["date"]),
    ("start: {x: }\n", "1:12", ["nothing"]),
    ("start: {x: []}\n", "1:12", ["list"]),
    ("start: {x: [1, .inf]}\n", "1:16", ["x[2]", "finite"]),
    ("start: {x: [[1, 2], [3]]}\n", "1:21", ["row 2", "1 entries", "2 entries"]),
    ("start: {x: [[[1]]]}\n", "1:14", ["list"]),
    ("start: [[1, 2]]\n", "1:9", ["Name the variable"]),
    ("start: {x: {y: 1}}\n", "1:12", ["a mapping"]),
    ("bounds: {x: [0]}\n", "1:13", ["two sides"]),
    ("bounds: {x: [0, .nan]}\n", "1:17", ["upper side", "finite"]),
    ("data: {A: 3}\n", "1:11", ["parameter"]),
    ("data: {A: [[1, 2], [3]]}\n", "1:20", ["row 2"]),
    ("data: {A: [1, x]}\n", "1:15", ["A in data[2]"]),
    ("settings: {beta1: [1]}\n", "1:19", ["beta1"]),
    ("settings: {lr: -1}\n", "1:16", ["above 0"]),
    ("lr: 1\nsettings: {lr: 1}\n", "2:16", ["twice", "run.yaml:1:5"]),
    ("expect: complete\n", "1:9", ["completed"]),
    ("command: minimise\n", "1:10", ["Did you mean minimize"]),
    ("force: true\n", "1:1", ["unknown key"]),
]


@pytest.mark.parametrize(("text", "place", "words"), YAML_MISFITS)
def test_misfits_in_a_file_name_the_place(
    text: str, place: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load("run.yaml")
    assert caught.value.where == f"run.yaml:{place}"
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"itres": 5}, ["'itres'", "iters", "settings"]),
        ({"lr": True}, ["lr", "'true'"]),
        ({"lr": "fast"}, ["lr"]),
        ({"lr": [0.1]}, ["an array"]),
        ({"lr": object()}, ["object"]),
        ({"iters": 1.5}, ["whole"]),
        ({"iters": 10**30}, ["2^63"]),
        ({"start": {"x": float("nan")}}, ["finite"]),
        ({"start": {"x": [1.0, INF]}}, ["finite"]),
        ({"start": np.array([1.0, np.nan])}, ["finite"]),
        ({"start": np.array(["a"])}, ["real"]),
        ({"data": {"A": np.zeros((2, 2, 2))}}, ["two axes"]),
    ],
)
def test_misfits_of_keywords(keywords: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        from_keywords(**keywords)
    assert all(word in str(caught.value) for word in words), str(caught.value)


STARTS = [  # text, (name, index, value) of each entry
    ("x=-1,y=1", [("x", None, -1.0), ("y", None, 1.0)]),
    ("-1,1", [(None, None, -1.0), (None, None, 1.0)]),
    ("-1", [(None, None, -1.0)]),
    ("x=-1.2", [("x", None, -1.2)]),
    ("x[3]=2, x=1", [("x", None, 1.0), ("x", "3", 2.0)]),
    ("x[3]=2,x[i]=i", [("x", "i", "i"), ("x", "3", 2.0)]),
    ("x[i]=where(Mod(i,2)==1,-1.2,1)", [("x", "i", "where(Mod(i,2)==1,-1.2,1)")]),
    ("A[1, 2] = 3", [("A", "1,2", 3.0)]),
    ("x=pi/2,π=1e-3", [("x", None, "pi/2"), ("π", None, 0.001)]),
    ("x=max(1, 2),y=1", [("x", None, "max(1, 2)"), ("y", None, 1.0)]),
    ("sin(1),2", [(None, None, "sin(1)"), (None, None, 2.0)]),
    ("where(1==1,2,3),4", [(None, None, "where(1==1,2,3)"), (None, None, 4.0)]),
    ("x=2x", [("x", None, "2x")]),
    ("x=@x0.csv", [("x", None, DataFile(Path("x0.csv"), "--start"))]),
    ("@x0.npy", [(None, None, DataFile(Path("x0.npy"), "--start"))]),
]


@pytest.mark.parametrize(("text", "want"), STARTS)
def test_starts_as_text(text: str, want: list[tuple[Any, ...]]) -> None:
    got = resolve(from_flags({"start": text})).start
    assert [(entry.name, entry.index, entry.value) for entry in got] == want
    assert {entry.where for entry in got} == {"--start"}


def test_starts_in_yaml(tmp_path: Path) -> None:
    text = "start: {x: [1, pi, 3], y: '@y.csv', \"A[1,1]\": 2, on: 1e1, B: [[1, 2], [3, 4]], z: 2*3}\n"
    got = resolve(yaml_layer(tmp_path, text)).start
    assert [(entry.name, entry.index) for entry in got] == [
        *((name, None) for name in ("x", "y", "on", "B", "z")),
        ("A", "1,1"),
    ]
    values = [entry.value for entry in got]
    assert values[0] == [1.0, "pi", 3.0]
    assert values[1].path == tmp_path / "y.csv"
    assert values[2:] == [10.0, [[1.0, 2.0], [3.0, 4.0]], "2*3", 2.0]
    listed = resolve(yaml_layer(tmp_path, "start: [1, -2, pi]\n")).start
    assert [(entry.name, entry.value) for entry in listed] == [(None, 1.0), (None, -2.0), (None, "pi")]


def test_starts_in_python() -> None:
    array = np.array([1, 2, 3])
    got = resolve(from_keywords(start={"x": array, "y": np.float64(0.1), "z": [1, 2.5], "u": Fraction(1, 4)})).start
    assert [entry.name for entry in got] == ["x", "y", "z", "u"]
    assert got[0].value.dtype == np.float64
    assert got[0].value is not array
    assert got[0].value.tolist() == [1.0, 2.0, 3.0]
    assert [entry.value for entry in got[1:]] == [0.1, [1, 2.5], 0.25]
    for whole in ([-1.0, 1.0], (-1.0, 1.0), np.array([-1.0, 1.0])):
        (entry,) = resolve(from_keywords(start=whole)).start
        assert entry.name is None
        assert list(entry.value) == [-1.0, 1.0]


BOUNDS = [
    ("x=0:1", [Bound("x", None, 0.0, 1.0, "--bounds")]),
    ("x=:1,y=-1e3:", [Bound("x", None, -INF, 1.0, "--bounds"), Bound("y", None, -1000.0, INF, "--bounds")]),
    ("x=-oo:oo", [Bound("x", None, -INF, INF, "--bounds")]),
    ("x=-pi:2*pi", [Bound("x", None, "-pi", "2*pi", "--bounds")]),
    ("x[2]=1:1", [Bound("x", "2", 1.0, 1.0, "--bounds")]),
]


@pytest.mark.parametrize(("text", "want"), BOUNDS)
def test_bounds_as_text(text: str, want: list[Bound]) -> None:
    assert list(resolve(from_flags({"bounds": (text,)})).bounds) == want


def test_bounds_in_yaml_and_python(tmp_path: Path) -> None:
    text = "bounds: {x: [0, 1], y: [null, 2], z: ['', oo], u: '0:', v: [-.inf, 0]}\n"
    want = [(0.0, 1.0), (-INF, 2.0), (-INF, INF), (0.0, INF), (-INF, 0.0)]
    assert [(b.lower, b.upper) for b in resolve(yaml_layer(tmp_path, text)).bounds] == want
    bounds = {"x": (0, 1), "y": (None, 2), "z": (-INF, INF), "u": (0, None), "v": [-INF, 0.0]}
    assert [(b.lower, b.upper) for b in resolve(from_keywords(bounds=bounds)).bounds] == want


def test_domain_is_the_librarys_and_single_bounds_override_it(tmp_path: Path) -> None:
    library = Layer({"domain.x": Given(Bound("x", None, -5.0, 5.0, ""), "library")})
    assert resolve(library).bounds == ()
    config = resolve(from_flags({"bounds": ("domain",)}), library)
    assert config.use_domain
    assert [(b.lower, b.upper) for b in config.bounds] == [(-5.0, 5.0)]
    config = resolve(from_flags({"bounds": ("x[1]=0:1",)}), yaml_layer(tmp_path, "bounds: domain\n"), library)
    assert [(b.index, b.lower, b.upper) for b in config.bounds] == [(None, -5.0, 5.0), ("1", 0.0, 1.0)]
    config = resolve(from_flags({"bounds": ("domain", "x=0:1")}), library)
    assert [(b.lower, b.upper) for b in config.bounds] == [(0.0, 1.0)]


def test_data_sources(tmp_path: Path) -> None:
    config = resolve(yaml_layer(tmp_path, "data: {A: m.csv, b: [1, 2.5], C: [[1, 2], [3, 4]]}\n"))
    assert config.data["A"].path == tmp_path / "m.csv"
    assert config.data["A"].where == f"{tmp_path}/run.yaml:1:11"
    assert (config.data["b"], config.data["C"]) == ([1.0, 2.5], [[1.0, 2.0], [3.0, 4.0]])
    assert resolve(from_keywords(data={"A": Path("m.npy")})).data["A"].path == Path("m.npy")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("beta1=0.8", 0.8),
        ("beta1=8", 8),
        ("beta1=1e1", 10.0),
        ("beta1=true", True),
        ("beta1=fast", "fast"),
        ("beta1=none", "none"),
        ("settings.beta1=0.8", 0.8),
    ],
)
def test_fields_of_the_method(text: str, want: object) -> None:
    config = resolve(from_flags({"set": (text,)}))
    assert config.settings == {"beta1": want}
    assert type(config.settings["beta1"]) is type(want)
    assert config.origins["settings.beta1"].startswith("flag --set")


def test_set_names_any_key(tmp_path: Path) -> None:
    texts = ("iters=7", "params.a=2", "start.x=1", "start.y[i]=where(i==1,2,3)", "bounds.x=0:1", "data.A=m.csv")
    config = resolve(from_flags({"set": texts}), yaml_layer(tmp_path, "iters: 1000\nparams: {a: 1, b: 5}\n"))
    assert (config.iters, config.params) == (7, {"a": 2.0, "b": 5.0})
    assert [(e.name, e.index, e.value) for e in config.start] == [
        ("x", None, 1.0),
        ("y", "i", "where(i==1,2,3)"),
    ]
    assert [(b.lower, b.upper) for b in config.bounds] == [(0.0, 1.0)]
    assert config.data["A"].path == Path("m.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("iters", ["PATH=VALUE"]),
        ("=3", ["PATH=VALUE"]),
        ("parms.a=2", ["'parms'", "params"]),
        ("iters.x=2", ["no entries"]),
        ("iters=many", ["--set iters", "whole number"]),
        ("1a=2", ["no field"]),
    ],
)
def test_set_misfits(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        from_flags({"set": (text,)})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_flag_and_set_for_one_key_are_refused() -> None:
    with pytest.raises(ConfigError, match="iters is given twice"):
        from_flags({"iters": "8", "set": ("iters=7",)})


def test_environment() -> None:
    layer = from_environment({"OPTCLI_LR": "0.1", "OPTCLI_PARAMS": "a=1,b=2", "OPTCLI_CACHE": "off", "OPTCLI_TOL": ""})
    config = resolve(layer)
    assert (config.lr, config.params, config.tol) == (0.1, {"a": 1.0, "b": 2.0}, None)
    assert config.origins["lr"] == "environment OPTCLI_LR"
    with pytest.raises(ConfigError, match="Did you mean OPTCLI_ITERS"):
        from_environment({"OPTCLI_ITRES": "3"})


def test_flags_not_given_are_no_entries() -> None:
    assert not from_flags({"lr": None, "params": (), "quiet": False, "force": True, "print": "x", "set": ()})
    assert resolve(from_flags({"quiet": True})).quiet is True


def test_precedence_and_origins(tmp_path: Path) -> None:
    text = "lr: 0.3\niters: 30\nseed: 3\nparams: {a: 3, b: 3}\nstart: {x: 3, y: 3}\n"
    library = Layer(
        {
            "params.a": Given(4.0, "library"),
            "params.c": Given(4.0, "library"),
            "start.z": Given(StartEntry("z", None, 4.0, "library"), "library"),
        }
    )
    config = resolve(
        from_flags({"lr": "0.1", "params": ("a=1",), "start": "x=1"}),
        from_environment({"OPTCLI_LR": "0.2", "OPTCLI_ITERS": "20"}),
        yaml_layer(tmp_path, text),
        library,
    )
    assert (config.lr, config.iters, config.seed) == (0.1, 20, 3)
    assert config.params == {"a": 1.0, "b": 3.0, "c": 4.0}
    assert {entry.name: entry.value for entry in config.start} == {"x": 1.0, "y": 3.0, "z": 4.0}
    file = tmp_path / "run.yaml"
    want = {
        "lr": "flag --lr",
        "iters": "environment OPTCLI_ITERS",
        "seed": f"{file}:3:7",
        "every": "default",
        "params.a": "flag --param",
        "params.b": f"{file}:4:19",
        "params.c": "library",
        "start": "flag --start",
        "start.z": "library",
    }
    assert {key: config.origins[key] for key in want} == want
    assert config.folder == tmp_path


LAYERED = [  # a flag's start, a file's, the entries that remain in the order to apply them
    ("x[2]=5", "{x: 1}", [("x", None, 1.0), ("x", "2", 5.0)]),
    ("x=5", "{x: 1, 'x[2]': 2}", [("x", None, 5.0)]),
    ("x[2]=5", "{'x[2]': 2, 'x[3]': 3}", [("x", "3", 3.0), ("x", "2", 5.0)]),
    ("5,6", "{x: 1, y: 2}", [(None, None, 5.0), (None, None, 6.0)]),
    ("x=5", "[1, 2]", [(None, None, 1.0), (None, None, 2.0), ("x", None, 5.0)]),
]


@pytest.mark.parametrize(("flag", "text", "want"), LAYERED)
def test_starts_of_several_layers(flag: str, text: str, want: list[tuple[Any, ...]], tmp_path: Path) -> None:
    config = resolve(from_flags({"start": flag}), yaml_layer(tmp_path, f"start: {text}\n"))
    assert [(entry.name, entry.index, entry.value) for entry in config.start] == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a,b", ["a", "b"]),
        ("f(a,b),c[1,2],{d,e}", ["f(a,b)", "c[1,2]", "{d,e}"]),
        ("f(a,b", ["f(a,b"]),
        ("a),b", ["a)", "b"]),
        ("", [""]),
    ],
)
def test_split_outside_brackets(text: str, want: list[str]) -> None:
    assert split(text) == want


OUTPUTS = [
    ("r.json", True),
    ("out/r.json", True),
    ("new/deep/r.json", True),
    ("..r", True),
    ("../r", False),
    ("out/../../r", False),
    ("/tmp/r", False),
    ("~/r", False),
    ("C:r", False),
    ("a\\b", False),
    ("", False),
    ("out/", False),
    ("./r", False),
    ("a//b", False),
    ("a\nb", False),
    ("a\x1bb", False),
    ("a\u202eb", False),
    ("-", False),
    ("--force", False),
    ("é" * 128, False),
    ("é" * 127, True),
    ("link/r", False),
    ("loose", False),
    ("mine", False),
    ("mine/r", False),
    ("out", False),
]


@pytest.mark.parametrize(("name", "fine"), OUTPUTS)
def test_outputs_of_a_config_stay_below_it(name: str, fine: bool, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "loose").symlink_to("nowhere")
    (tmp_path / "mine").write_text("kept")
    if fine:
        assert safe_output(tmp_path, name) == tmp_path / name
        assert resolve(yaml_layer(tmp_path, f"output: {name}\n")).output == tmp_path / name
    else:
        with pytest.raises(ConfigError) as caught:
            safe_output(tmp_path, name, "run.yaml:1:9")
        assert all(char == "\n" or char.isprintable() for char in str(caught.value))


def test_output_outside_a_config_is_any_path() -> None:
    assert resolve(from_flags({"output": "/tmp/../x"})).output == Path("/tmp/../x")
    assert resolve(from_keywords(output=Path("a") / "b")).output == Path("a/b")


def test_a_missing_config_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.exit_code == 2


def test_a_result_is_run_again(tmp_path: Path) -> None:
    result = {
        "schema": "optcli.result/v1",
        "version": "0.1.0",
        "command": "maximize",
        "function": "mine.txt",
        "expression": "a*x**2",
        "params": {"a": 1.0},
        "method": "adam",
        "settings": {"lr": 0.01, "iters": 1000, "beta1": 0.8, "tol": None},
        "engine": "numpy",
        "seed": 3,
        "start": {"x": [-1.0, 0.1]},
        "x": {"x": 0.99},
        "history": [],
    }
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    config = resolve(load(path))
    assert (config.command, config.function, config.params) == ("maximize", "a*x**2", {"a": 1.0})
    assert (config.method, config.lr, config.iters, config.settings) == ("adam", 0.01, 1000, {"beta1": 0.8})
    assert [(entry.name, entry.value) for entry in config.start] == [("x", [-1.0, 0.1])]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{A: {path: a.csv, sha256: abc}}", ["sha256 of A", "64"]),
        ("{A: {path: a.csv, hash: abc}}", ["A in data", "sha256"]),
        ("{A: {sha256: abc}}", ["A in data"]),
        ("{A: {values: 3}}", ["A in data"]),
        ("{A: {values: [1, b]}}", ["A in data"]),
    ],
)
def test_recorded_data_that_make_no_sense(data: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"function: x\ndata: {data}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.where.startswith(f"{path}:2:")
    assert all(word in str(caught.value) for word in words)


def test_fields_may_be_the_word_none() -> None:
    assert resolve(from_flags({"set": ("clip=none",)})).settings == {"clip": "none"}


def test_imports_are_light() -> None:
    code = "import sys, optcli.config, optcli.library; optcli.library.names(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "sympy", "rich", "yaml", "click"} & set(loaded)


@given(st.text(st.sampled_from("xyi=,:[](){}@0123456789.eE+-*/ _'\"\\\n\0πoo"), max_size=30))
def test_any_text_is_understood_or_refused_with_its_place(text: str) -> None:
    for key in ("start", "bounds", "params", "data", "settings", "accept", "lr", "iters", "name", "set"):
        try:
            flags = {key: (text,) if SETTINGS[key].repeatable else text}
            config = resolve(from_flags(flags if SETTINGS[key].flag else {"set": (f"{key}={text}",)}))
        except ConfigError as error:
            event(f"{key} refused")
            assert error.where.startswith("--")  # noqa: PT017
            assert "\0" not in str(error)  # noqa: PT017
        else:
            assert all(math.isfinite(e.value) for e in config.start if isinstance(e.value, float))
            assert all(math.isfinite(value) for value in config.params.values())


def test_words_are_those_of_the_rooms_that_own_them() -> None:
    from optcli.optimize.status import Status
    from optcli.report import FORMATS

    assert set(SETTINGS["expect"].choices) == {status.value for status in Status}
    assert set(SETTINGS["format"].choices) == set(FORMATS)


def test_a_positional_start_is_the_users_whatever_the_library_says() -> None:
    config = resolve(from_flags({"start": ("5,5",)}), library.get("rosenbrock").layer())
    assert config.origins["start"] == "flag --start"
    assert [entry.value for entry in config.start] == [5.0, 5.0]


@pytest.mark.parametrize(("room", "tried"), [(10**12, 64), (27, 27), (0, 1)])
def test_fewer_starts_are_tried_where_an_evaluation_takes_long(
    room: int, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = build("Sum(log(x[i]) + log(-x[i]), (i, 1, 50))", {})
    monkeypatch.setattr("optcli.points.TRYING", room * objective.work)
    asked = []
    inner = Objective.value_and_gradient
    monkeypatch.setattr(Objective, "value_and_gradient", lambda self, x: (asked.append(x), inner(self, x))[1])
    start, used = finite_start(objective, np.ones(50), 0, None)
    assert (len(asked), used) == (1 + tried, 0)
    assert start.tolist() == [1.0] * 50
