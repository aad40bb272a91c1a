"""Graphs kept on disk: what shares an entry, digits that do not depend on it, and a folder that nothing can break."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import platformdirs
import pytest

from optcli import library
from optcli.autograd.gradient import gradient
from optcli.autograd.graph import Constant, Graph, check_graph
from optcli.autograd.packed import pack, unpack
from optcli.autograd.stored import DamagedError, filled
from optcli.build import build
from optcli.cli import main
from optcli.errors import ConfigError, ExpressionError
from optcli.expr import cache, graphs, slots
from optcli.expr.lower import lower
from optcli.expr.parse import parse
from optcli.expr.resolve import Resolved, resolve
from optcli.expr.typed import to_sympy

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
ARRAYS = {"A": np.arange(9.0).reshape(3, 3) - 1.0, "t": np.array([-1.0, 0.5, 2.0])}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own: where its files will be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OPTCLI_CACHE", raising=False)
    return tmp_path / "optcli"


def resolved(text: str, params: Mapping[str, float] | None = None, data: Mapping[str, Any] | None = None) -> Resolved:
    return resolve(parse(text), dict(params or {}), dict(data or {}))


def key(text: str, params: Mapping[str, float] | None = None, data: Mapping[str, Any] | None = None) -> str:
    read = resolved(text, params, data)
    return slots.key(read, slots.find(read))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def told(graph: Graph) -> list[str]:
    """Everything that a graph and its gradient are, to the bit; nodes are numbered one after the other."""
    check_graph(graph)
    out = []
    for each in (graph, gradient(graph)):
        constants = [np.asarray(node.op.value) for node in each.nodes if type(node.op) is Constant]
        places = {str(node.number): str(k) for k, node in enumerate(each.nodes)}
        listing = re.sub(r"%(\d+)", lambda found, places=places: f"%{places[found[1]]}", str(each))
        out += [listing, *(array.tobytes().hex()[:4000] for array in constants)]
        out += [repr(node.op) for node in each.nodes if not isinstance(node.op, Constant)]
    return out


# ------------------------------------------------------------------ the same graph, however it came about

MIXED = [
    "Sum(i*x[i], (i,1,5)) + Sum(i*x[i]**2*3, (i,1,5)) + Sum(2*i*x[i],(i,1,5)) + Sum(2*i*x[i],(i,1,5))",
    "Sum((2 - i*y)**2,(i,1,5)) + Sum((2 - i*y)**2,(i,1,5))",
    "Sum((2 - i*y)**2,(i,1,5)) * Sum((3 - i*y)**2,(i,1,5))",
    "Sum(2*i - 5, (i,1,2))*x + 4*x",
    "-1*x + x*(-1) + (0-1)*y*(1-2)",
    "-x*y*2 - -3*x",
    "--2*x",
    "-(-(2.5*x))",
    "r = 2*x; s = 3; (r - 3)**2 + s*r",
    "s = 2; t = s*x; x**s + t",
    "s = 2.5; (s - x)**2 + s*y",
    "u = 7; v = 2*x; v*3",
    "r = Sum(3*x[i], (i,1,4)); r**2 + 3*r + Sum(r*2*x[i], (i,1,4))",
    "x**(2*y) + 2*y",
    "2**x*3**y",
    "where(2*x < 3, 2*x, 3*y)",
    "where(0 < 2*x < 3 and not y > 4, 2*x, 3*y)",
    "Piecewise((2*x, x<1),(3*y, True),(4*z, x>2))",
    "Piecewise((2*x, x<1),(3*y, x<2))",
    "Max(2*x, 3*y, 4) + Min(x/2, 3-y)",
    "Product(2*x[i], (i,1,7))",
    "Product(2*y, (i,1,7))",
    "Product(x[i]+3, (i,1,0)) + x[1]",
    "Sum(2*x[i]*Sum(3*x[j], (j,1,i)), (i,1,4))",
    "Sum(Product(x[j]*2+i, (j,1,i)), (i,1,4))",
    "Sum(M[i,j]*x[i]*x[j]*3, (i,1,3),(j,1,3)) - 4*Sum(x[i],(i,1,3))",
    "Sum(A[i,j]*x[i]*x[j]*3, (i,1,3),(j,1,3)) - 4*Sum(t[i]*x[i]*2,(i,1,3))",
    "A[1,1]*x + 2*A[2,2]*x*t[1] - t[1]*y*sum(t) + 3*dot(t, t)*x",
    "Sum((t[i]*2 - 3*x)**2, (i,1,3))",
    "dot(x, x)*2 + 3*norm(x) + sum(x) + x[1]-5*x[2]",
    "log(x, 2)*2 + log(3*x, 10)",
    "Mod(2*x, 3) + Mod(5.5, 2)*x",
    "sqrt(2*x)*3 + cbrt(x/4)",
    "pi*2*x + x*pi*2 + E*x/3",
    "2/x/3/y",
    "1/x + 2/y",
    "sin(2)*x + sin(2*x) + sin(2)*3",
    "x*2*3 + 2*3*x + (2*3)*x",
    "(2)*x + ( 3.0 )*x",
    "2*x + 2.0*x + 2*y + x**2",
    "0*x + 1*x + 0.0*y + 2*x",
    "1e300*x*1e300*y - 1e-320*x",
    "x - 2 - 3 - x*4",
    "2*3 + 4",
]
WITH_PARAMS = [
    "a*x + b*y**a",
    "a*2*x + b*(y - a)",
    "(a - x)**2 + b*(y - x**2)**2",
    "-a*x*b",
    "Sum((a*i - x[i])**2, (i, 1, b))",
    "x[b]*a + x[1] + x[2] + x[3] + x[4]",
    "exp(-a*x) + b/x",
    "m = a; m*x + b*y",
]


def cases() -> Iterator[tuple[str, dict[str, float]]]:
    for name in library.names():
        entry = library.get(name)
        yield entry.expression, dict(entry.params)
    for item in json.loads((DATA / "valid_expressions.json").read_text(encoding="utf-8")):
        if item["must"] == "accept":
            given = item["input"]
            text = (
                given if isinstance(given, str) else "".join(part * min(times, 300) for part, times in given["parts"])
            )
            yield text, {}
    for item in json.loads((DATA / "global_functions.json").read_text(encoding="utf-8")):
        yield item["expression"], {}
    for text in MIXED:
        yield text, {}
    for text in WITH_PARAMS:
        for a in (2.0, -3.5, 5.0, 1.0, 0.0, -1.0, -0.5):
            yield text, {"a": a, "b": 5.0}


CASES = list(cases())


def data_of(text: str) -> dict[str, Any]:
    return (
        {name: array for name, array in ARRAYS.items() if re.search(rf"\b{name}\b[\[,)]", text)}
        if text in MIXED
        else {}
    )


@pytest.mark.parametrize("part", range(8))
def test_a_graph_is_the_same_when_it_is_made_kept_or_lowered_plainly(
    part: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(part)
    with np.errstate(all="ignore"):
        for text, params in CASES[part::8]:
            data = data_of(text)
            read = resolved(text, params, data)
            plain = told(_plain(read))
            made = told(graphs.graph_of(read))
            assert made == plain, text
            with monkeypatch.context() as patch:
                patch.setattr(graphs, "_lowered", _unwanted)
                assert told(graphs.graph_of(read)) == plain, f"a hit of {text}"
                for choose in (_some_number(random), lambda: "7", lambda: "2"):
                    varied = resolved(_varied(read, choose), params, data)
                    assert told(graphs.graph_of(varied)) == told(_plain(varied)), varied.syntax.text
                patch.setenv("OPTCLI_CACHE", "off")
                patch.undo()
            with monkeypatch.context() as patch:
                patch.setenv("OPTCLI_CACHE", "off")
                assert told(graphs.graph_of(read)) == plain, f"without a cache: {text}"


def _plain(read: Resolved) -> Graph:
    return lower(to_sympy(read), read.layout, read.params, read.data, read.first)


def _unwanted(*_: Any) -> Any:
    raise AssertionError("a graph that is kept is lowered again")


def _some_number(random: Random) -> Any:
    return lambda: random.choice([f"{random.uniform(0.1, 9.0):.3f}", "10", "3", "2.50", "1e-3", "4"])


def _varied(read: Resolved, choose: Any) -> str:
    """The text with other literals in its slots."""
    text = read.syntax.text
    places = sorted((read.syntax.nodes[k].start, read.syntax.nodes[k].end) for k in slots.find(read).numbers)
    for start, end in reversed(places):
        text = text[:start] + choose() + text[end:]
    return text


# ------------------------------------------------------------------ what shares an entry

SAME = [
    ("(2 - x)**2", "(3 - x)**2"),
    ("(2 - x)**2", "(3.75e-2 - x)**2"),
    ("(2 - x)**2", "( 2-x ) ^ 2"),
    ("2*x + 2*y", "2*x + 3*y"),
    ("-2*x + y/4", "-7.5*x + y/3"),
    ("sin(2*x) + exp(x/3)", "sin(4*x) + exp(x/5)"),
    ("s = 2; s*x", "s = 3; s*x"),
    ("Sum(3*i*x[i], (i, 1, 4))", "Sum(5*i*x[i], (i, 1, 4))"),
    ("where(2*x < y, 3 - x, x)", "where(4*x < y, 5 - x, x)"),
    ("log(2*x, 10)", "log(3*x, 10)"),
]
DIFFERENT = [
    ("(2 - x)**2", "(1 - x)**2"),
    ("(2 - x)**2", "(0 - x)**2"),
    ("(2 - x)**2", "(2 - x)**3"),
    ("(2 - x)**2", "(2 + x)**2"),
    ("(2 - x)**2", "(2 - y)**2"),
    ("x*y", "y*x"),
    ("x**(2*y)", "x**(3*y)"),
    ("2**x", "3**x"),
    ("x[2] + x[1]", "x[1] + x[2]"),
    ("Sum(x[i], (i, 1, 3))", "Sum(x[i], (i, 1, 4))"),
    ("Sum(x[2*i], (i, 1, 1))", "Sum(x[3*i], (i, 1, 1))"),
    ("Product(x + i, (i, 2, 3))", "Product(x + i, (i, 3, 4))"),
    ("sin(2)*x", "sin(3)*x"),
    ("(2 + 3)*x", "(2 + 4)*x"),
    ("2*3*x", "2*4*x"),
    ("max(x, 2)", "max(x, 3)"),
    ("Mod(x, 2)", "Mod(x, 3)"),
    ("where(x < 2, x, y)", "where(x < 3, x, y)"),
    ("s = 2; x**s + s*y", "s = 3; x**s + s*y"),
    ("x + pi", "x + E"),
    ("2*x", "x*2"),
    ("2*x", "-2*x"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_share_a_graph(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_texts_that_share_none(one: str, other: str) -> None:
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("text", "one", "other", "same"),
    [
        ("(a - x)**2", {"a": 2.0}, {"a": -7.5}, True),
        ("(a - x)**2 + b*y", {"a": 2.0, "b": 3.0}, {"b": 3.0, "a": 4.0}, True),
        ("(a - x)**2", {"a": 2.0}, {"a": 1.0}, False),
        ("(a - x)**2", {"a": 2.0}, {"a": 0.0}, False),
        ("(a - x)**2", {"a": 2.0}, {"x": 2.0}, False),
        ("(a - x)**2", {"a": 2.0}, {}, False),
        ("x**a", {"a": 2.0}, {"a": 3.0}, False),
        ("a*x**a", {"a": 2.0}, {"a": 3.0}, False),
        ("sin(a)*x", {"a": 2.0}, {"a": 3.0}, False),
        ("2*a*x", {"a": 2.0}, {"a": 3.0}, False),
        ("Sum(x[i], (i, 1, a))", {"a": 2.0}, {"a": 3.0}, False),
        ("x*a", {"a": float("nan")}, {"a": 3.0}, False),
    ],
)
def test_parameters_are_slots_where_they_are_factors_and_terms(
    text: str, one: dict[str, float], other: dict[str, float], same: bool
) -> None:
    assert (key(text, one) == key(text, other)) is same


def test_data_are_open_places_and_their_shapes_are_not(folder: Path) -> None:
    text = "Sum((t[i]*x - 3)**2, (i, 1, 3))"
    for values in ([1.0, 2.0, 3.0], [0.0, -1.0, 5.0]):
        t = np.array(values)
        objective = build(text, {}, {"t": t})
        assert objective.value(np.array([2.0])) == np.sum((t * 2.0 - 3.0) ** 2)
    assert len(files(folder)) == 1
    assert key(text, {}, {"t": np.ones(3)}) != key(text, {}, {"t": np.ones(4)})
    assert key("t[0] + x + t[1]", {}, {"t": np.ones(3)}) != key("t[2] + x + t[1]", {}, {"t": np.ones(3)})


def test_another_version_has_other_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key("2*x")
    monkeypatch.setattr(slots, "__version__", "99.0")
    assert key("2*x") != before


# ------------------------------------------------------------------ what a hit still checks

REFUSED = [
    ("(2 - x)**2 + log(y - y) + 2/{}", "0", "division by zero"),
    ("(2 - x)**2*{}", "1e999", "infinite"),
    ("(2 - x)**{}", "(0 - 8)**(1/3)", "no real value"),
]


@pytest.mark.parametrize(("text", "bad", "message"), REFUSED)
def test_constant_parts_are_checked_on_a_hit_too(folder: Path, text: str, bad: str, message: str) -> None:
    build(text.format("3"))
    with pytest.raises(ExpressionError, match=message):
        build(text.format(bad))
    assert len(files(folder)) == 1


def test_a_constant_without_a_value_is_refused_after_one_with_a_value(folder: Path) -> None:
    build("log(3)*x")
    with pytest.raises(ExpressionError, match="no real value"):
        build("log(0-3)*x")


@pytest.mark.parametrize("literal", ["2", "2.0000", "12345.678e-3"])
def test_places_in_the_text_do_not_shift_with_literals(folder: Path, literal: str) -> None:
    build("(2 - x)**2 + log(y)")
    text = f"({literal} - x)**2 + log(y)"
    objective = build(text)
    assert len(files(folder)) == 1
    assert objective.resolved is not None
    nodes = objective.resolved.syntax.nodes
    assert [text[n.start : n.end] for n in nodes if n.kind == "call"] == ["log(y)"]
    assert [text[n.start : n.end] for n in nodes if n.kind == "-"] == [f"({literal} - x)"]
    with pytest.raises(ExpressionError) as caught:
        build(f"({literal} - x)**2 + lg(y)")
    assert caught.value.span == (text.index("log"), text.index("log") + 2)


def test_the_sympy_form_is_made_when_asked_for(folder: Path) -> None:
    build("(2 - x)**2")
    assert str(build("(3 - x)**2").expression) == "(3 - x)**2"


# ------------------------------------------------------------------ files that cannot be trusted

TEXT = (
    "Sum((2 - x[i]*i)**2, (i, 1, 5)) + Sum(x[j]*Sum(x[i], (i, 1, j)), (j, 1, 5))*Sum(M[i,j]*x[i]*y[j],(i,1,5),(j,1,2))"
)


def sealed(body: bytes) -> bytes:
    return cache._seal(body) + body


def _garbage() -> list[tuple[str, Any]]:
    """(what, a function from the bytes of a good file to those of a bad one)"""

    def edited(change: Any) -> Any:
        def bad(good: bytes) -> bytes:
            whole = json.loads(good[cache.SEAL :])
            change(whole)
            return sealed(json.dumps(whole).encode())

        return bad

    def gather(whole: Any) -> None:
        number = next(op for op in whole["operations"] if op[0] == "Scatter")[1][0]
        kind, shape, _ = whole["arrays"][number]
        import binascii

        far = np.full(shape, 10**6, dtype="<i8")
        whole["arrays"][number] = [kind, shape, binascii.b2a_base64(far.tobytes(), newline=False).decode()]

    def strided(whole: Any) -> None:
        next(op for op in whole["operations"] if op[0] == "Take")[1][0] = -1

    def later(whole: Any) -> None:
        whole["rows"][3][1] = len(whole["rows"]) + 5

    def turned(whole: Any) -> None:
        row = next(row for row in whole["rows"] if len(row) == 3)
        row[1] = -1

    def renamed(whole: Any) -> None:
        whole["operations"] = ["system" if isinstance(op, str) else op for op in whole["operations"]]

    def shaped(whole: Any) -> None:
        next(op for op in whole["operations"] if op[0] == "Sum")[2] = [7]

    def contracted(whole: Any) -> None:
        next(op for op in whole["operations"] if op[0] == "Contract")[1] = [9, 8]

    return [
        ("empty", lambda good: b""),
        ("one byte", lambda good: b"x"),
        ("cut in the seal", lambda good: good[:40]),
        ("cut in the middle", lambda good: good[: len(good) // 2]),
        ("one bit", lambda good: good[:-9] + bytes([good[-9] ^ 1]) + good[-8:]),
        ("other text", lambda good: b"\x80\x04\x95 this is no graph at all" * 9),
        ("sealed garbage", lambda good: sealed(b"\xff\xfe{")),
        ("too deep", lambda good: sealed(b"[" * 100_000 + b"]" * 100_000)),
        ("a number", lambda good: sealed(b"17")),
        ("an empty object", lambda good: sealed(b"{}")),
        ("another graph", lambda good: sealed(_packed("x*y*z"))),
        ("no rows", edited(lambda whole: whole.update(rows=[]))),
        ("a later argument", edited(later)),
        ("a negative argument", edited(turned)),
        ("an unknown operation", edited(renamed)),
        ("a place far outside", edited(gather)),
        ("a place before the first", edited(strided)),
        ("another shape", edited(shaped)),
        ("other labels", edited(contracted)),
        ("an input that is not there", edited(lambda whole: whole["rows"].__setitem__(0, [-1, 99]))),
        ("a list for a number", edited(lambda whole: whole["rows"].__setitem__(0, [-1, []]))),
        ("a huge array", edited(lambda whole: whole["arrays"][0].__setitem__(1, [10**15]))),
    ]


def _packed(text: str) -> bytes:
    read = resolved(text)
    return pack(graphs._lowered(read, slots.find(read)))


@pytest.mark.parametrize(("what", "spoil"), _garbage(), ids=[what for what, _ in _garbage()])
def test_a_damaged_file_is_written_anew(what: str, spoil: Any, folder: Path) -> None:
    expected = told(build(TEXT).graph)
    (path,) = files(folder)
    good = path.read_bytes()
    bad = spoil(good)
    assert bad != good
    path.write_bytes(bad)
    assert told(build(TEXT).graph) == expected
    assert path.read_bytes() == good


def test_any_single_change_of_the_data_is_refused_or_harmless() -> None:
    """Whatever is edited under a right seal: either it is refused, or a graph of the same variables comes out."""
    read = resolved(TEXT)
    found = slots.find(read)
    good = pack(graphs._lowered(read, found))
    variables = [(variable.name, variable.shape) for variable in read.layout.variables]
    random = Random(1)
    refused = 0
    for _ in range(3000):
        at = random.randrange(len(good))
        bad = good[:at] + random.choice([b"-", b"0", b"9", b"[", b"1e3", b"null", b'"', b""]) + good[at + 1 :]
        try:
            graph = filled(unpack(bad), variables, found.values)
        except DamagedError:
            refused += 1
        else:
            check_graph(graph)
    assert refused > 1000


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no owners of this sort")
@pytest.mark.parametrize("whose", ["folder", "file"])
def test_what_belongs_to_another_user_is_ignored(
    whose: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = told(build(TEXT).graph)
    (path,) = files(folder)
    planted = sealed(_packed(TEXT.replace("**2", "**3")))  # a right file of a wrong function
    path.write_bytes(planted)
    owner = os.stat(folder).st_uid

    def is_ours(found: os.stat_result) -> bool:
        return found.st_uid != owner or (whose == "file" and os.path.stat.S_ISDIR(found.st_mode))  # type: ignore[attr-defined]

    monkeypatch.setattr(cache, "_is_ours", is_ours)
    assert told(build(TEXT).graph) == expected
    if whose == "folder":
        assert path.read_bytes() == planted  # neither read nor written
        main(["cache"])
        assert "belongs to another user" in capsys.readouterr().out
        assert main(["cache", "--clear"]) == 3
        assert "belongs to another user" in capsys.readouterr().err
        assert path.exists()


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_what_is_no_file_is_no_graph(kind: str, folder: Path, tmp_path: Path) -> None:
    expected = told(build("2*x").graph)
    (path,) = files(folder)
    good = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(good)
        path.symlink_to(tmp_path / "elsewhere")
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    assert told(build("3*x").graph)[1:] != expected[1:]
    assert told(build("2*x").graph) == expected
    assert [each.suffix for each in files(folder)] == [".graph"]  # nothing half written stays


@pytest.mark.parametrize("broken", ["read only", "full disk", "a file in its place", "no home", "relative"])
def test_without_a_usable_folder_everything_works(
    broken: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise OSError(28 if broken == "full disk" else 30, "no")

    if broken == "read only":
        build("2*x")
        monkeypatch.setattr(os, "utime", refuses)
        monkeypatch.setattr(os, "replace", refuses)
        monkeypatch.setattr(cache, "WRITE", os.O_RDONLY)
    elif broken == "full disk":
        monkeypatch.setattr(os, "replace", refuses)
    elif broken == "a file in its place":
        folder.write_text("not a folder")
    elif broken == "no home":
        monkeypatch.setattr(platformdirs, "user_cache_dir", refuses)
    else:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: "here/optcli")
    before = sorted(tmp_path.rglob("*"))
    for text in ("2*x", "3*x", "x**2"):
        assert build(text).value(np.array([2.0])) in (4.0, 6.0)
    if broken != "a file in its place":
        assert sorted(tmp_path.rglob("*")) == before or [each.name for each in tmp_path.rglob("*")] == ["optcli"]


# ------------------------------------------------------------------ bounds, and many at once


def test_the_files_used_last_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    for n, name in enumerate("abc"):
        build(f"{name}**2")
        os.utime(next(path for path in files(folder) if path.stat().st_mtime > 10**6), (n, n))
    build("a**2")  # a hit, which makes it the newest
    build("d**2")
    build("g**2")
    kept = {path.name for path in files(folder)}
    assert kept == {key(f"{name}**2") + ".graph" for name in "adg"}


def test_the_bytes_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("x**2")
    (first,) = files(folder)
    monkeypatch.setattr(cache, "MOST_BYTES", 4 * first.stat().st_size)
    for n in range(10):
        build(f"x**{n + 3}")
    assert 1 < len(files(folder)) < 5
    assert sum(path.stat().st_size for path in files(folder)) <= cache.MOST_BYTES


def test_what_is_too_large_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("Sum(i*x[i], (i, 1, 1000000))")
    monkeypatch.setattr(graphs, "MOST_NODES", 3)
    build("x + y + z")
    assert files(folder) == []


def test_what_was_never_finished_goes_away(folder: Path) -> None:
    build("x**2")
    stale, fresh, foreign = (folder / f"{c * 64}.{c * 16}.partial" for c in "abz")
    for path in (stale, fresh, foreign):
        path.write_text("half")
    os.utime(stale, (0, 0))
    os.utime(foreign, (0, 0))
    build("x**3")
    assert not stale.exists()
    assert fresh.exists()
    assert foreign.exists()  # not a name that we give


BUSY = """
import os, sys
from optcli.build import build
seed = int(sys.argv[1])
for n in range(25):
    k = (seed * 7 + n) % 20
    text = f"(2.{seed} - x)**{k + 2}"
    value = build(text).value([1.0])
    assert abs(value / (float(f"2.{seed}") - 1.0) ** (k + 2) - 1.0) < 1e-14, (text, value)
    if n == 12 and seed % 5 == 0:
        from optcli.expr import cache
        cache.clear()
print("done")
"""


def test_many_processes_and_threads_at_once(folder: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    running = [
        subprocess.Popen([sys.executable, "-c", BUSY, str(seed)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, env=environ, cwd=ROOT)
        for seed in range(8)
    ]  # fmt: skip
    values: list[float] = []
    threads = [
        threading.Thread(target=lambda k=k: values.append(build(f"(2.5 - x)**{k % 5 + 2}").value(np.array([0.5]))))
        for k in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(values) == sorted(2.0 ** (k % 5 + 2) for k in range(16))
    for process in running:
        out, _ = process.communicate(timeout=120)
        assert out == "done\n", out
    assert all(path.suffix == ".graph" for path in files(folder))
    for path in files(folder):
        assert cache.read(path.stem) is not None


# ------------------------------------------------------------------ the switch and the command


@pytest.mark.parametrize("word", ["off", "0", "no", "FALSE", " Off "])
def test_switched_off_nothing_is_read_or_written(folder: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    build("2*x")
    (path,) = files(folder)
    path.write_bytes(sealed(b"[]"))
    monkeypatch.setenv("OPTCLI_CACHE", word)
    assert build("2*x").value(np.array([2.0])) == 4.0
    build("x**2")
    assert files(folder) == [path]
    assert path.read_bytes() == sealed(b"[]")


def test_another_word_for_the_switch_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPTCLI_CACHE", "oft")
    with pytest.raises(ConfigError, match="on or off"):
        build("2*x")
    assert main(["minimize", "x**2"]) == 2
    error = capsys.readouterr().err
    assert "OPTCLI_CACHE" in error
    assert "Did you mean off?" in error


def test_the_command_shows_and_empties_the_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["cache"]) == 0
    out = capsys.readouterr().out
    assert str(folder) in out.replace("\n        ", "")
    assert re.search(r"^graphs +0 of", out, re.MULTILINE)
    build("2*x")
    build("x**2")
    (folder / "notes.txt").write_text("not ours")
    assert main(["cache", "--format", "json"]) == 0
    size = sum(path.stat().st_size for path in folder.glob("*.graph"))
    assert json.loads(capsys.readouterr().out) == {"folder": str(folder), "state": "on", "entries": 2, "bytes": size}
    monkeypatch.setenv("OPTCLI_CACHE", "off")
    assert main(["cache", "--clear"]) == 0
    captured = capsys.readouterr()
    assert "removed: 2 graphs" in captured.err
    assert "off, as OPTCLI_CACHE says" in captured.out
    assert [path.name for path in files(folder)] == ["notes.txt"]
    assert main(["cache", "--format", "yaml"]) == 2
    assert main(["cache", "now"]) == 2


@pytest.mark.parametrize("words", [["cache"], ["cache", "--clear"]])
def test_a_folder_that_cannot_be_read_is_said(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write_text("a file")
    assert main(words) == 3
    error = capsys.readouterr().err
    assert str(folder) in error
    assert "Traceback" not in error


def test_the_folder_is_for_its_user_alone(folder: Path) -> None:
    build("2*x")
    if os.name == "posix":
        assert folder.stat().st_mode & 0o777 == 0o700
        assert files(folder)[0].stat().st_mode & 0o777 == 0o600
