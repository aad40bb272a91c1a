"""Arrays that a run reads: CSV and .npy files, nested lists."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from optcli.errors import DataError, FileError, visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_ENTRIES = 10**8  # 0.8 GB of doubles
MAX_CSV_BYTES = 4 << 30
DELIMITERS = ",;\t"
SHOWN = 40


class DataFile(NamedTuple):
    """A file that holds numbers; `where` is the place that names it, `sha256` what its bytes must have, if not ''."""

    path: Path
    where: str = ""
    sha256: str = ""


def load_array(spec: object, folder: Path | None = None) -> NDArray[np.float64]:
    """The numbers of a file (.npy, else CSV; relative to `folder`), of nested lists or of an array: one or two axes.

    Raises FileError if a file cannot be read, DataError if it holds anything but finite numbers of one shape, or is
    not the file whose hash is given.
    """
    if isinstance(spec, str | os.PathLike):
        spec = DataFile((folder or Path()) / spec)
    if not isinstance(spec, DataFile):
        return _from_values(spec)
    path, name = spec.path, visible(str(spec.path))
    try:
        if spec.sha256 and _hash(path) != spec.sha256:
            raise DataError(
                f"the file has changed: its SHA-256 is no longer {spec.sha256[:12]}…",
                name,
                "Bring back the file of the first run, or start a new run.",
            )
        return _load_npy(path, name) if path.suffix.lower() == ".npy" else _load_csv(path, name)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError | FileError):
            raise
        reason = getattr(error, "strerror", None) or visible(str(error))[:200]
        told = f" (named in {spec.where})" if spec.where else ""
        raise FileError(
            f"{name} cannot be read{told}: {reason}", "Check the path; it is relative to the config."
        ) from None


def record(spec: object, folder: Path | None = None) -> dict[str, Any]:
    """What a result says of an array, so that it can be loaded again: file and SHA-256, or the values.

    Raises FileError if the file cannot be read.
    """
    if isinstance(spec, str | os.PathLike):
        spec = DataFile((folder or Path()) / spec)
    if not isinstance(spec, DataFile):
        return {"values": spec}
    path = os.path.abspath(spec.path)
    try:
        return {"path": path, "sha256": _hash(path)}
    except OSError as error:
        raise FileError(f"{visible(path)} cannot be read: {error.strerror}", "Check the path.") from None


def _hash(path: str | os.PathLike[str]) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_values(values: object) -> NDArray[np.float64]:
    """Lists, or lists of rows, as an array. Raises DataError with the place of the first row that does not fit."""
    import numpy as np

    if isinstance(values, list | tuple):
        lengths = [len(row) if isinstance(row, list | tuple) else 0 for row in values]
        for n, length in enumerate(lengths, 1):
            if length != lengths[0]:
                raise DataError(f"row {n} has {length or 'no'} entries, row 1 has {lengths[0] or 'none'}")
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("the data are not numbers of one shape") from None
    return _checked(array, "the data")


def _load_npy(path: Path, name: str) -> NDArray[np.float64]:
    import numpy as np

    try:
        stored = np.lib.format.open_memmap(path, mode="r")  # reads the header only, and never a pickle
    except (ValueError, EOFError, SyntaxError, KeyError) as error:
        raise DataError(
            f"no .npy file of numbers: {visible(str(error))[:120]}", name, "Write it with numpy.save."
        ) from None
    if stored.dtype.kind not in "iuf":
        raise DataError(f"the array holds {stored.dtype}, not real numbers", name, "Save it as float64.")
    if stored.size > MAX_ENTRIES:
        raise DataError(f"the array has {stored.size} entries, more than {MAX_ENTRIES}", name)
    return _checked(np.array(stored, dtype=np.float64), name)


def _checked(array: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    import numpy as np

    if array.ndim not in (1, 2) or not array.size:
        raise DataError(f"the array has shape {array.shape}", name, "A vector or a matrix is wanted, and not empty.")
    finite = np.isfinite(array)
    if not finite.all():
        place = ",".join(str(int(k) + 1) for k in np.argwhere(~finite)[0])
        raise DataError(f"entry [{place}] is {array[~finite][0]}", name, "Numbers must be finite: remove or fill it.")
    return array


def _load_csv(path: Path, name: str) -> NDArray[np.float64]:
    """Numbers only, after at most one line of headings; blank lines and lines that begin with # are skipped."""
    import numpy as np

    if path.stat().st_size > MAX_CSV_BYTES:
        raise DataError("the file is larger than 4 GiB", name, "Save it as .npy.")
    rows: list[list[float]] = []
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            for row, line in _csv_rows(file, name):
                if rows and len(row) != len(rows[0]):
                    message = f"{len(row)} values, where the first row has {len(rows[0])}"
                    raise DataError(message, f"{name}:{line}", "Every row has the same number of values.")
                rows.append(row)
                if len(rows) * len(row) > MAX_ENTRIES:
                    raise DataError(f"more than {MAX_ENTRIES} numbers", f"{name}:{line}", "Take fewer rows.")
        except UnicodeDecodeError:
            raise DataError("the file is not UTF-8 text", name, "Save it as UTF-8, or as .npy.") from None
    if not rows:
        raise DataError("the file holds no numbers", name)
    array = np.array(rows, dtype=np.float64)
    return array[:, 0] if array.shape[1] == 1 else array


def _csv_rows(file: TextIO, name: str) -> Iterator[tuple[list[float], int]]:
    """The rows and their lines, counted from 1. Raises DataError."""
    import csv

    head = ""
    for head in file:
        if head.strip() and not head.lstrip().startswith("#"):
            break
    delimiter = next((mark for mark in DELIMITERS[1:] if mark in head), ",")
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
    first = True
    try:
        for cells in reader:
            if not any(map(str.strip, cells)) or cells[0].lstrip().startswith("#"):
                continue
            try:
                row = list(map(_number, cells))
            except ValueError:
                if first and not any(map(_is_number, cells)):
                    first = False
                    continue
                raise _bad_cell(cells, f"{name}:{reader.line_num}") from None
            first = False
            yield row, reader.line_num
    except csv.Error as error:
        raise DataError(f"no CSV: {error}", f"{name}:{reader.line_num}") from None


def _number(cell: str) -> float:
    value = float(cell)
    if value - value != 0 or "_" in cell:  # inf and nan; 1_000, which float() takes
        raise ValueError
    return value


def _is_number(cell: str) -> bool:
    """Whether a cell is a number of any sort, so that its line is no heading."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _bad_cell(cells: list[str], where: str) -> DataError:
    column = next(n for n, cell in enumerate(cells) if not _fits(cell))
    cell: Any = visible(cells[column].strip()[:SHOWN])
    what = f"'{cell}' is no finite number" if cell else "a value is missing"
    remedy = "Write decimals with a point." if "," in cell else "Separate values by commas." if " " in cell else ""
    return DataError(f"column {column + 1}: {what}", where, remedy)


def _fits(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True
