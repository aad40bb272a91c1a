"""Formats × results: what machines read round-trips, what people read fits their screen and is never cut."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import stat
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from optcli.config import SETTINGS
from optcli.errors import FileError, UsageError
from optcli.layout import Layout, Variable
from optcli.report import FORMATS, beginnings
from optcli.report.bare import BareWriter
from optcli.report.columns import COLUMNS, columns_of
from optcli.report.files import LogFile, OutputFile
from optcli.report.ndjson import LogWriter
from optcli.report.numbers import exact, flow, short, strict, vector
from optcli.report.progress import PATIENCE, ProgressLine
from optcli.report.screen import Screen, screen_of
from optcli.report.watch import Report, minimizer_bytes

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
NAN, INF = math.nan, math.inf

PLANE = Layout((Variable("x"), Variable("y")))
LONG = Layout((Variable("x", (2000,), (1,)),))
MIXED = Layout((Variable("alpha"), Variable("x", (5,), (0,)), Variable("A", (2, 20), (1, 1))))
MANY = Layout(tuple(Variable(f"x{n}") for n in range(30)))
NAMED = Layout((Variable("a_rather_long_name_of_a_variable_indeed_it_is"), Variable("π")))
EIGHT = Layout(tuple(Variable(name) for name in "abcdefgh"))
LAYOUTS = {"plane": PLANE, "eight": EIGHT, "long": LONG, "mixed": MIXED, "many": MANY, "named": NAMED}


def made(layout: Layout, values: list[float], entry: float = 0.1, **changes: Any) -> tuple[Any, list[Any], Any]:
    """A preview, a row for each of `values`, and an outcome; every entry of a point is a multiple of `entry`."""
    point = entry * (1 + np.arange(layout.size, dtype=float))
    preview = SimpleNamespace(
        command=changes.pop("command", "minimize"),
        function="f",
        expression="(a - x)**2",
        name=changes.pop("name", None),
        layout=layout,
        params={"a": 1.0},
        method="gd",
        settings={"lr": 0.01, "iters": 1000},
        engine="numpy",
        notes=(),
        seed=0,
        start=np.full(layout.size, -1.0),
        start_origin="library",
        every=100,
        why="",
    )
    rows = [
        SimpleNamespace(iteration=100 * n, value=value, gradient=-point, x=point, gradient_norm=abs(point).max())
        for n, value in enumerate(values, 1)
    ]
    record = {"schema": "optcli.result/v1", "value": values[-1] if values else 0.0, "x": {}}
    outcome = SimpleNamespace(
        preview=preview,
        status="completed",
        message="ran the 1000 iterations asked for",
        verdict=SimpleNamespace(kind="not_stationary", text="the gradient is not zero", culprit=None),
        minimizer=point,
        gradient=-point,
        value=values[-1] if values else 0.0,
        gradient_norm=float(abs(point).max()),
        iterations=1000,
        evaluations={"value": 1001, "gradient": 1, "hessian": 0},
        seconds={"total": 0.21},
        history=tuple(rows),
        exit_code=0,
        legs=(),
        starts=1,
        minima=(),
        scaling="",
        to_dict=lambda history: record | ({"history": [{"iteration": 1}]} if history else {}),
    )
    for key, value in changes.items():
        setattr(outcome, key, value)
    return preview, rows, outcome


def shown(form: str, run: tuple[Any, list[Any], Any], screen: Screen = Screen()) -> str:  # noqa: B008
    preview, rows, outcome = run
    out: list[str] = []
    writer = FORMATS[form].make(out.append, screen)
    writer.begin(preview)
    for row in rows:
        writer.row(row)
    writer.end(outcome)
    return "".join(out)


def strict_json(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


AWKWARD = [0.1 + 0.2, 1e-308, 5e-324, 1.7976931348623157e308, -0.0, 6.962694008850682e-05, NAN, INF, -INF]


@pytest.mark.parametrize("value", AWKWARD, ids=repr)
def test_floats_round_trip_in_every_machine_format(value: float) -> None:
    run = made(PLANE, [value])

    def same(came: Any) -> bool:
        return repr(float(came)) == repr(value) and (math.isfinite(value) or isinstance(came, str))

    row, result = (strict_json(line) for line in shown("ndjson", run).splitlines())
    assert same(row["value"])
    assert same(result["value"])
    assert same(strict_json(shown("json", run))["value"])
    (cells,) = csv.DictReader(io.StringIO(shown("csv", run)))
    assert same(cells["value"])


def test_ndjson_is_rows_then_a_result_without_history() -> None:
    lines = [strict_json(line) for line in shown("ndjson", made(PLANE, [2.0, 1.0])).splitlines()]
    assert [line["kind"] for line in lines] == ["row", "row", "result"]
    assert lines[0] == {
        "kind": "row",
        "iteration": 100,
        "value": 2.0,
        "gradient": {"x": -0.1, "y": -0.2},
        "x": {"x": 0.1, "y": 0.2},
    }
    assert "history" not in lines[2]


def test_records_shorten_vectors_of_more_than_1000_entries() -> None:
    row = strict_json(shown("ndjson", made(LONG, [1.0], entry=1.0)).splitlines()[0])
    assert row["x"]["x"] == {"norm": 2000.0, "first": 1.0, "last": 2000.0}
    assert row["gradient"]["x"] == {"norm": 2000.0, "first": -1.0, "last": -2000.0}
    row = strict_json(shown("ndjson", made(MIXED, [1.0])).splitlines()[0])
    assert len(row["x"]["x"]) == 5
    assert [len(line) for line in row["x"]["A"]] == [20, 20]


@pytest.mark.parametrize(
    ("layout", "header"),
    [
        (PLANE, "iteration,value,gradient_norm,gradient.x,gradient.y"),
        (LONG, "iteration,value,gradient_norm"),
        (MIXED, "iteration,value,gradient_norm,gradient.alpha"),
    ],
)
def test_csv_has_a_column_for_each_scalar(layout: Layout, header: str) -> None:
    lines = shown("csv", made(layout, [1.0])).split("\n")
    assert lines[0] == header
    assert len(lines[1].split(",")) == len(header.split(","))
    assert lines[2:] == [""]


def test_csv_has_its_header_without_any_row() -> None:
    assert shown("csv", made(PLANE, [])) == "iteration,value,gradient_norm,gradient.x,gradient.y\n"


def test_formats_never_name_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that is renamed in the one table is renamed in every format."""
    import optcli.report.columns as module

    renamed = tuple(
        SimpleNamespace(**{**column._asdict(), "name": "q" + column.name, "title": "Q" + column.title})
        for column in COLUMNS
    )
    monkeypatch.setattr(module, "COLUMNS", renamed)
    run = made(PLANE, [1.0])
    assert shown("csv", run).startswith("qiteration,qvalue,qgradient_norm,qgradient.x")
    assert list(strict_json(shown("ndjson", run).splitlines()[0])) == [
        "kind",
        "qiteration",
        "qvalue",
        "qgradient",
        "qx",
    ]
    assert "Qiteration" in shown("table", run).replace("QIteration", "Qiteration")
    assert next(column.name for column in columns_of("csv")) == "qiteration"


def test_formats_are_those_of_the_settings() -> None:
    assert tuple(FORMATS) == SETTINGS["format"].choices


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_recognised_as_ours(form: str) -> None:
    assert shown(form, made(PLANE, [1.0])).encode().startswith(beginnings())


HOSTILE = 'a,b"c\n\x1b[31m[bold]x[/bold]\x9b\x7f\x00<img>'


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("screen", [Screen(), Screen(True, False, 80), Screen(True, True, 40)], ids=str)
def test_no_control_byte_of_the_user_reaches_the_terminal(form: str, screen: Screen) -> None:
    run = made(PLANE, [1.0], name=HOSTILE)
    run[0].expression = run[0].function = HOSTILE
    run[2].to_dict = lambda history: {"schema": "optcli.result/v1", "name": HOSTILE}
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(form, run, screen)) if screen.colour else shown(form, run, screen)
    assert not CONTROL.search(text)
    if form == "json":
        assert strict_json(text)["name"] == HOSTILE
    if form == "table":
        assert "[bold]x[/bold]" in text.replace("\n", "").replace(" ", "")


SCREENS = [Screen(drawn, False, width) for drawn in (False, True) for width in (40, 41, 60, 80, 100, 120)]
NUMBERS = [6.962694008850682e-05, -1.2345678901234567e-308, 1.2345678901234567e308, NAN, -INF, 0.0, 123456.789]


@pytest.mark.parametrize("screen", SCREENS, ids=str)
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("entry", [0.1, -1.2345678901234567e-300])
def test_the_table_fits_its_screen_and_cuts_no_number(screen: Screen, name: str, entry: float) -> None:
    text = shown("table", made(LAYOUTS[name], NUMBERS, entry, name="a label of several words"), screen)
    assert max(map(len, text.splitlines())) <= (screen.width or 0)
    for value, line in zip(NUMBERS, rows_of(text), strict=True):
        came = float(line.split()[1])
        assert math.isnan(came) if math.isnan(value) else came == pytest.approx(value, rel=1e-2)
        for number in re.findall(r"-?\d[\d.]*(?:e[-+]?\d*)?", line):
            float(number)


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r" *\d+00 ", line)]


@pytest.mark.parametrize("screen", [Screen(), Screen(False, False, 100), Screen(True, False, 100)], ids=str)
def test_the_table_has_ten_digits_where_there_is_room(screen: Screen) -> None:
    text = shown("table", made(PLANE, [0.35029246978084444, 6.962694008850682e-05]), screen)
    assert "0.3502924698" in text
    assert "6.962694009e-05" in text
    assert re.search(r"Iteration +Value +Gradient \(x, y\)", text)


def test_plain_and_drawn_rows_are_the_same() -> None:
    run = made(PLANE, NUMBERS)
    assert rows_of(shown("table", run, Screen(False, False, 80))) == rows_of(
        shown("table", run, Screen(True, False, 80))
    )


def test_many_rows_at_once_keep_one_title_and_their_order() -> None:
    text = shown("table", made(PLANE, [1.0] * 500), Screen(True, False, 80))
    assert [int(line.split()[0]) for line in rows_of(text)] == [100 * n for n in range(1, 501)]
    assert text.count("Iteration") == 1


def test_colour_only_where_it_is_wanted() -> None:
    run = made(PLANE, [1.0])
    assert "\x1b[" in shown("table", run, Screen(True, True, 80))
    assert "\x1b[" not in shown("table", run, Screen(True, False, 80))
    assert "\x1b[" not in shown("table", run, Screen())


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (PLANE, ["minimizer     x = 0.1", "              y = 0.2"]),
        (LONG, ["minimizer     x[1…2000] = norm 200, (0.1, …, 200)"]),
        (MANY, ["minimizer     x0 ", "… and 10 more variables"]),
        (MIXED, ["x = (0.2, 0.30000000000000004, 0.4, 0.5, 0.6000000000000001)", "A[1…2, 1…20] = norm 4.6"]),
    ],
)
def test_the_summary_shows_the_point(layout: Layout, expected: list[str]) -> None:
    text = shown("table", made(layout, [1.0]))
    for part in expected:
        assert part in text


def test_the_summary_of_a_maximum_says_so() -> None:
    text = shown("table", made(PLANE, [1.0], command="maximize"))
    assert "maximizer     x = 0.1" in text
    assert "maximum       1" in text
    assert "minim" not in text


def test_the_summary_says_everything() -> None:
    text = shown("table", made(PLANE, [6.908142593776925e-05], name="my run"))
    for part in (
        "name          my run",
        "status        completed: ran the 1000 iterations asked for",
        "verdict       not stationary: the gradient is not zero",
        "minimum       6.908142593776925e-05",
        "gradient norm 0.2",
        "iterations    1000",
        "evaluations   1001 values, 1 gradient\n",
        "time          0.21 s",
        "start         x = -1, y = -1 (library)",
        "gd, lr = 0.01, iters = 1000",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("value", "6.908142593776925e-05\n"),
        ("status", "completed\n"),
        ("x.alpha", "0.1\n"),
        ("x.x", "0.2\n0.30000000000000004\n0.4\n0.5\n0.6000000000000001\n"),
        ("x.x[4]", "0.6000000000000001\n"),
        ("x.A[1, 2]", "0.8\n"),
    ],
)
def test_print_gives_bare_values(what: str, expected: str) -> None:
    preview, _, outcome = made(MIXED, [6.908142593776925e-05])
    out: list[str] = []
    writer = BareWriter(out.append, what)
    writer.begin(preview)
    writer.end(outcome)
    assert "".join(out) == expected


def test_print_x_gives_every_entry() -> None:
    preview, _, outcome = made(MIXED, [1.0])
    out: list[str] = []
    writer = BareWriter(out.append, "x")
    writer.begin(preview)
    writer.end(outcome)
    assert [float(line) for line in "".join(out).split()] == list(outcome.minimizer)


@pytest.mark.parametrize(("what", "hint"), [("valeu", "value"), ("x.alhpa", "alpha"), ("x.", "x"), ("x.x[9]", "x")])
def test_print_refuses_what_it_does_not_know_before_the_run(what: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        BareWriter(print, what).begin(made(MIXED, [])[0])


@pytest.mark.parametrize(
    ("environ", "no_color", "tty", "expected"),
    [
        ({}, False, False, Screen(False, False, None)),
        ({}, False, True, Screen(True, True, 80)),
        ({"NO_COLOR": "1"}, False, True, Screen(True, False, 80)),
        ({"NO_COLOR": ""}, False, True, Screen(True, True, 80)),
        ({}, True, True, Screen(True, False, 80)),
        ({"TERM": "dumb"}, False, True, Screen(False, False, 80)),
        ({"FORCE_COLOR": "1"}, False, False, Screen(False, True, None)),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False, Screen(False, False, None)),
        ({"COLUMNS": "40"}, False, False, Screen(False, False, 40)),
        ({"COLUMNS": "40"}, False, True, Screen(True, True, 40)),
        ({"COLUMNS": "1"}, False, True, Screen(True, True, 20)),
        ({"COLUMNS": "wide"}, False, False, Screen(False, False, None)),
    ],
)
def test_the_screen_follows_the_conventions(
    environ: dict[str, str], no_color: bool, tty: bool, expected: Screen
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return tty

    assert screen_of(Stream(), environ, no_color) == expected


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "digits", "room", "expected"),
        [
            (0.1 + 0.2, 10, None, "0.3"),
            (6.962694008850682e-05, 10, None, "6.962694009e-05"),
            (-1.2345678e-300, 10, 12, "-1.2346e-300"),
            (-1.2345678e-300, 10, 4, "-1e-300"),  # a number is never cut, whatever the room
        ],
    )
    def test_short(self, value: float, digits: int, room: int | None, expected: str) -> None:
        assert short(value, digits, room) == expected

    def test_exact_reads_back(self) -> None:
        assert [exact(v) for v in (1.0, 0.1, 1e300, -0.0)] == ["1", "0.1", "1e+300", "-0"]

    def test_vector_shows_up_to_eight_entries(self) -> None:
        assert vector([1.0] * 8, 3) == "(" + ", ".join("1" * 8) + ")"
        assert vector([1.0, 2.0, *[0.0] * 6, -3.0], 3) == "norm 3, (1, …, -3)"
        assert vector([NAN] + [1.0] * 8, 3).startswith("norm nan")

    def test_strict_goes_through_everything(self) -> None:
        assert strict({"a": [INF, (NAN,)], "b": np.array([-INF, 1.0]), "c": np.float64(2), "d": True}) == {
            "a": ["inf", ["nan"]],
            "b": ["-inf", 1.0],
            "c": 2.0,
            "d": True,
        }

    def test_flow_breaks_between_pieces_only(self) -> None:
        assert flow(["aaa", "bbb", "ccccccccc", "d"], 9) == ["aaa, bbb,", "ccccccccc,", "d"]


class TestProgress:
    def line(self, monkeypatch: pytest.MonkeyPatch, width: int = 40, smart: bool = True) -> tuple[Any, Any, Any]:
        clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
        monkeypatch.setattr("optcli.report.progress.time", clock)
        stream = io.StringIO()
        return ProgressLine(stream, width, smart), stream, clock

    def test_nothing_for_a_short_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        line, stream, clock = self.line(monkeypatch)
        clock.now = PATIENCE * 0.99
        line.show(1, 1.0)
        line.erase()
        assert stream.getvalue() == ""

    @pytest.mark.parametrize("width", [20, 40, 80])
    def test_a_long_run_shows_a_line_that_is_erased(self, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
        line, stream, clock = self.line(monkeypatch, width)
        clock.now = 2.0
        line.show(1_234_567, -1.2345678e-300)
        assert stream.getvalue().startswith("iteration 1,234,567")
        assert len(stream.getvalue()) < width
        line.erase()
        assert stream.getvalue().endswith("\r\x1b[K")

    def test_a_dumb_terminal_gets_blanks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        line, stream, clock = self.line(monkeypatch, smart=False)
        clock.now = 2.0
        line.show(1, 1.0)
        line.erase()
        assert "\x1b" not in stream.getvalue()
        assert re.search(r"\r +\r$", stream.getvalue())

    def test_it_is_erased_before_a_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        line, stream, clock = self.line(monkeypatch)
        preview, rows, outcome = made(PLANE, [1.0])
        report = Report((FORMATS["csv"].make(stream.write, Screen()),), line)
        report.begin(preview)
        clock.now = 2.0
        report.progress(5, 1.0)
        report.row(rows[0])
        assert "\r\x1b[K100,1.0," in stream.getvalue()
        report.end(outcome)


class TestFiles:
    OURS = (b'{"schema": "optcli.',)

    def test_the_file_appears_whole_or_not_at_all(self, tmp_path: Any) -> None:
        path = tmp_path / "r.json"
        with OutputFile(str(path)) as file:
            file.write(b"half")
            assert not path.exists()
            file.write(b" whole")
            file.commit()
        assert path.read_bytes() == b"half whole"
        assert os.listdir(tmp_path) == ["r.json"]

    def test_nothing_is_left_behind_on_failure(self, tmp_path: Any) -> None:
        path = tmp_path / "r.json"
        path.write_bytes(b'{"schema": "optcli.result/v1"}')
        with OutputFile(str(path), self.OURS) as file:
            file.write(b"half")
        assert path.read_bytes() == b'{"schema": "optcli.result/v1"}'
        assert os.listdir(tmp_path) == ["r.json"]

    @pytest.mark.parametrize("content", [b"", b"precious", b'{"schema": "other/v1"}'])
    @pytest.mark.parametrize("kind", [OutputFile, LogFile])
    def test_a_foreign_file_is_refused_without_force(
        self, tmp_path: Any, content: bytes, kind: type[OutputFile]
    ) -> None:
        path = tmp_path / "r.json"
        path.write_bytes(content)
        with pytest.raises(FileError, match="--force"):
            kind(str(path), self.OURS)
        assert path.read_bytes() == content
        with kind(str(path), self.OURS, force=True) as file:
            file.write(b"new")
            file.commit()
        assert path.read_bytes() == b"new"

    def test_an_earlier_result_is_overwritten_and_keeps_its_permissions(self, tmp_path: Any) -> None:
        path = tmp_path / "r.json"
        path.write_bytes(b'{"schema": "optcli.result/v1", "long": "long long long"}')
        path.chmod(0o640)
        with OutputFile(str(path), self.OURS) as file:
            file.write(b"new")
            file.commit()
        assert path.read_bytes() == b"new"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_a_new_file_has_the_permissions_of_the_umask(self, tmp_path: Any) -> None:
        before = os.umask(0o027)
        try:
            with OutputFile(str(tmp_path / "r")) as file:
                file.commit()
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o640

    def test_a_link_stays_a_link(self, tmp_path: Any) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "there" / "r")
        with OutputFile(str(tmp_path / "link")) as file:
            file.write(b"new")
            file.commit()
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "r").read_bytes() == b"new"

    def test_devices_are_written_directly(self) -> None:
        with OutputFile(os.devnull) as file:
            file.write(b"gone")
            file.commit()
        assert stat.S_ISCHR(os.stat(os.devnull).st_mode)

    @pytest.mark.parametrize("name", ["no/r.json", ".", "n" * 300, "nul\0l"])
    def test_places_that_cannot_be_written_are_said(self, tmp_path: Any, name: str) -> None:
        with pytest.raises(FileError, match="cannot write") as caught:
            OutputFile(str(tmp_path / name))
        assert caught.value.exit_code == 3
        assert not CONTROL.search(str(caught.value))
        assert os.listdir(tmp_path) == []

    def test_a_log_can_be_followed_and_stays(self, tmp_path: Any) -> None:
        path = tmp_path / "rows.ndjson"
        preview, rows, outcome = made(PLANE, [2.0, 1.0])
        with LogFile(str(path)) as file:
            log = LogWriter(file)
            log.begin(preview)
            assert path.read_bytes() == b""
            log.row(rows[0])
            assert strict_json(path.read_text())["iteration"] == 100
            log.row(rows[1])
            log.end(outcome)
            file.commit()
        assert [strict_json(line)["value"] for line in path.read_text().splitlines()] == [2.0, 1.0]

    def test_a_log_of_a_run_that_never_began_is_gone(self, tmp_path: Any) -> None:
        with pytest.raises(ZeroDivisionError), LogFile(str(tmp_path / "rows")):
            raise ZeroDivisionError
        assert os.listdir(tmp_path) == []

    def test_an_earlier_log_survives_a_run_that_never_began(self, tmp_path: Any) -> None:
        path = tmp_path / "rows"
        path.write_bytes(b'{"schema": "optcli. earlier')
        with pytest.raises(ZeroDivisionError), LogFile(str(path), self.OURS):
            raise ZeroDivisionError
        assert path.read_bytes() == b'{"schema": "optcli. earlier'

    @pytest.mark.parametrize(("name", "shape"), [("plane", (2,)), ("long", (2000,)), ("mixed", (46,))])
    def test_the_minimizer_is_saved_in_full(self, name: str, shape: tuple[int, ...]) -> None:
        _, _, outcome = made(LAYOUTS[name], [1.0], entry=0.1 + 0.2)
        loaded = np.load(io.BytesIO(minimizer_bytes(outcome)))
        assert loaded.shape == shape
        assert (loaded.reshape(-1) == outcome.minimizer).all()

    def test_a_single_matrix_keeps_its_shape(self) -> None:
        _, _, outcome = made(Layout((Variable("A", (2, 3), (1, 1)),)), [1.0])
        assert np.load(io.BytesIO(minimizer_bytes(outcome))).shape == (2, 3)
