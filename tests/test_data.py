"""Arrays from files and lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optcli.data import DataFile, load_array
from optcli.errors import DataError, FileError

CSV = [  # text, array
    ("1\n2\n3\n", [1, 2, 3]),
    ("1,2\n3,4\n", [[1, 2], [3, 4]]),
    ("1,2,3\n", [[1, 2, 3]]),
    ("a,b\n1,2\n", [[1, 2]]),
    ("# made by hand\n\nx\n1e-3\n # more\n\n.5\n", [0.001, 0.5]),
    ("\ufeff1\r\n2\r\n", [1, 2]),
    ('"1"," 2"\n', [[1, 2]]),
    ("1;2\n3;4\n", [[1, 2], [3, 4]]),
    ("1\t2\n", [[1, 2]]),
    ("-1, +2\n", [[-1, 2]]),
]


@pytest.mark.parametrize(("text", "want"), CSV)
def test_csv(text: str, want: list[Any], tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(text.encode())
    got = load_array("m.csv", tmp_path)
    assert got.dtype == np.float64
    assert got.tolist() == want


CSV_MISFITS = [  # bytes, line, words
    (b"1,2\n3\n", 2, ["1 values", "2"]),
    (b"1,2\n\n3,x\n", 3, ["column 2", "'x'"]),
    (b"x,1\n2,3\n", 1, ["column 1", "'x'"]),
    (b"a\nb\n1\n", 2, ["'b'"]),
    (b"1,\n", 1, ["missing"]),
    (b"1\nnan\n", 2, ["finite"]),
    (b"inf\n", 1, ["finite"]),
    (b"1_000\n", 1, ["1_000"]),
    (b"1 2\n", None, ["no numbers"]),
    (b"1\n1 2\n", 2, ["commas"]),
    (b"1\n'\x1b[31m'\n", 2, ["\\x1b"]),
    (b"1;2\n1,5;2\n", 2, ["point"]),
    (b"", None, ["no numbers"]),
    (b"a,b\n", None, ["no numbers"]),
    (b"1\n\xff\n", None, ["UTF-8"]),
]


@pytest.mark.parametrize(("data", "line", "words"), CSV_MISFITS)
def test_csv_misfits_name_the_line(data: bytes, line: int | None, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load_array(DataFile(path))
    assert caught.value.where == (str(path) if line is None else f"{path}:{line}")
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "array", [np.arange(3), np.ones((2, 3), dtype=np.float32), np.arange(4.0), np.asfortranarray(np.eye(3))]
)
def test_npy(array: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", array)
    got = load_array(DataFile(tmp_path / "m.npy"))
    assert got.dtype == np.float64
    assert got.shape == array.shape
    assert got.tolist() == array.tolist()
    assert got.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()], dtype=object),
        np.array(["a"]),
        np.array([1j]),
        np.array([True]),
        np.zeros((2, 2, 2)),
        np.array(1.0),
        np.array([1.0, np.nan]),
        np.zeros(0),
    ],
)
def test_npy_misfits(array: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", array, allow_pickle=True)
    with pytest.raises(DataError) as caught:
        load_array(DataFile(tmp_path / "m.npy"))
    assert "m.npy" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"garbage" * 9, b"\x93NUMPY\x01\x00\x02\x00{}", b"PK\x03\x04broken"])
def test_npy_that_is_none(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.npy").write_bytes(data)
    with pytest.raises((DataError, FileError)) as caught:
        load_array(DataFile(tmp_path / "m.npy"))
    assert caught.value.exit_code == 3


def test_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", a=np.ones(2))
    (tmp_path / "m.npz").rename(tmp_path / "m.npy")
    with pytest.raises(DataError, match=r"no \.npy file"):
        load_array(DataFile(tmp_path / "m.npy"))


@pytest.mark.parametrize("name", ["none.csv", "none.npy", ".", "a\0b.csv"])
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read") as caught:
        load_array(DataFile(tmp_path / name, "run.yaml:2:5"))
    assert caught.value.exit_code == 3
    assert "run.yaml:2:5" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "want"), [([1, 2.5], [1, 2.5]), ([[1, 2], [3, 4]], [[1, 2], [3, 4]]), (np.ones(2), [1, 1])]
)
def test_values(values: Any, want: list[Any]) -> None:
    assert load_array(values).tolist() == want


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1, 2], [3]], "row 2 has 1 entries"),
        ([1, [2]], "row 2"),
        (["a"], "not numbers"),
        ([1, float("inf")], r"entry \[2\] is inf"),
        ([[1, float("nan")]], r"entry \[1,2\]"),
        (3, "shape"),
        ([], "shape"),
        ([[[1]]], "shape"),
    ],
)
def test_values_that_are_no_array(values: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_array(values)
