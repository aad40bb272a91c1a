"""The harness of benchmarks/: its arithmetic, its words, and that docs/performance.md has its rows. No timings."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import optcli

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def harness() -> Iterator[Any]:
    sys.path.insert(0, str(FOLDER))
    import harness

    yield harness
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def rows(harness: Any) -> Any:
    import rows

    return rows.ROWS


def row(harness: Any, ours: list[float], peer: list[float], **more: Any) -> Any:
    return harness.Row(
        "a-row",
        "ours / theirs",
        lambda: harness.Pair(itertools.cycle(ours).__next__, itertools.cycle(peer).__next__),
        **more,
    )


def test_medians_and_their_ratio(harness: Any) -> None:
    found = harness.measure(row(harness, [1.0, 9.0, 2.0], [4.0, 4.0, 400.0]), 3)
    assert (found.ours, found.peer, found.ratio) == (2.0, 4.0, 0.5)


def test_a_row_says_how_often_it_is_worth_it(harness: Any) -> None:
    calls = []

    def once() -> float:
        calls.append(1)
        return 1.0

    harness.measure(harness.Row("r", "r", lambda: harness.Pair(once, lambda: 1.0), repetitions=2), 9)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("must", "aim", "reached"),
    [
        (1.0, 0.5, "aim"),
        (1.0, 0.4, "must"),
        (0.4, 0.3, "**no**"),
        (None, 0.4, ""),
        (None, 0.6, "aim"),
        (None, None, ""),
    ],
)
def test_what_is_reached(harness: Any, must: float | None, aim: float | None, reached: str) -> None:
    found = harness.measure(row(harness, [1.0], [2.0], must=must, aim=aim), 1)
    assert found.reached == reached
    assert harness.cells(found)[3] == "**0.5**"


def test_a_peer_that_is_missing_is_no_error(harness: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def prepare() -> Any:
        raise harness.MissingError("jax")

    assert harness.main([harness.Row("r", "ours / jax", prepare, 1.0)], "", ["--strict"]) == 0
    assert "| ours / jax |  | jax is not installed |" in capsys.readouterr().out


def test_strict_is_an_exit_code(harness: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table = [row(harness, [3.0], [2.0], must=1.0)]
    assert harness.main(table, "", []) == 0
    assert harness.main(table, "", ["--strict"]) == 1
    assert "**no**" in capsys.readouterr().out


def test_words_choose_rows(harness: Any, rows: Any) -> None:
    assert [one.name for one in harness.chosen(rows, ["loop", "help"])] == ["loop-c", "loop-jax", "help"]
    assert harness.chosen(rows, []) == list(rows)
    with pytest.raises(ValueError, match="no row begins with lop"):
        harness.chosen(rows, ["lop"])


def test_the_page_is_written_between_its_marks(harness: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{harness.BEGIN}\nold\n{harness.END}\nafter\n")
    monkeypatch.setattr(harness, "PAGE", page)
    for _ in range(2):
        harness.keep(["new"])
        assert page.read_text() == f"before\n{harness.BEGIN}\n\nnew\n\n{harness.END}\nafter\n"


def test_names_are_names(rows: Any) -> None:
    names = [one.name for one in rows]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)


def test_the_page_has_every_row(harness: Any, rows: Any) -> None:
    text = (ROOT / "docs" / "performance.md").read_text("utf-8")
    kept = text.partition(harness.BEGIN)[2].partition(harness.END)[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in kept.split("\n") if line.startswith("| ")
    ]
    assert [cells[0] for cells in lines[2:]] == [one.label for one in rows]
    for one, cells in zip(rows, lines[2:], strict=True):
        limits = ["" if limit is None else f"≤ {limit:g}" for limit in (one.must, one.aim)]
        assert cells[4:6] == limits, one.name


def test_the_list_needs_no_peer() -> None:
    hidden = "import sys\nfor name in ('jax', 'torch', 'casadi', 'scipy'): sys.modules[name] = None\n"
    path = "benchmarks/run.py"
    run = f"{hidden}import runpy\nsys.argv = ['run.py', '--list']\nrunpy.run_path({path!r}, run_name='__main__')"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path.insert(0, 'benchmarks')\n{run}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("loop-c ")


def test_bounds_cut_minimizers_off(harness: Any) -> None:
    """Each problem's start may lie anywhere, but the minimizer that is known lies beyond the bound."""
    import bounded

    for each in itertools.islice(bounded.cut_off(), 4):
        free = optcli.minimize(each.text, start=each.start)
        ends = [end for end in each.bounds.values() if end != [None, None]]
        assert len(ends) == 1
        outside = [
            (low is not None and x < low) or (high is not None and x > high)
            for x, (low, high) in zip(free.minimizer, each.bounds.values(), strict=True)
        ]
        assert sum(outside) == 1
        assert optcli.minimize(each.text, start=each.start, bounds=each.bounds).verdict.kind == "minimum"
    assert harness.near(1.0 + 1e-7, [1.0])
    assert not harness.near(1.0 + 1e-5, [1.0])
