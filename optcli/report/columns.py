"""What a row is: the one table of its columns. A format asks for the columns it shows and never names one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from optcli.report.numbers import largest

if TYPE_CHECKING:
    from optcli.layout import Layout
    from optcli.outcome import Row

SHORTENED = 1000  # in records a vector with more entries is its norm and its ends (contract §3)

Place = Literal["table", "csv", "record"]


class Column(NamedTuple):
    """`kind`: an integer, a float, or a point, which is a flat vector with an entry for each variable's."""

    name: str
    title: str
    kind: Literal["count", "number", "point"]
    places: tuple[Place, ...]
    read: Callable[[Row], Any]


COLUMNS = (
    Column("iteration", "Iteration", "count", ("table", "csv", "record"), lambda row: row.iteration),
    Column("value", "Value", "number", ("table", "csv", "record"), lambda row: row.value),
    Column("gradient_norm", "Norm", "number", ("csv",), lambda row: row.gradient_norm),
    Column("gradient", "Gradient", "point", ("table", "csv", "record"), lambda row: row.gradient),
    Column("x", "x", "point", ("record",), lambda row: row.x),
)


def columns_of(place: Place) -> tuple[Column, ...]:
    """The columns that `place` shows, in order."""
    return tuple(column for column in COLUMNS if place in column.places)


def record(row: Row, layout: Layout) -> dict[str, Any]:
    """The row as the JSON formats write it; floats may still be non-finite (see `numbers.strict`)."""
    return {
        column.name: _named(column.read(row), layout) if column.kind == "point" else column.read(row)
        for column in columns_of("record")
    }


def csv_header(layout: Layout) -> list[str]:
    """The names of the cells of `csv_cells`."""
    header: list[str] = []
    for column in columns_of("csv"):
        header += [f"{column.name}.{name}" for name in _scalars(layout)] if column.kind == "point" else [column.name]
    return header


def csv_cells(row: Row, layout: Layout) -> list[Any]:
    """The row as plain ints and floats; of a point only the scalar variables (its norm has a column of its own)."""
    cells: list[Any] = []
    for column in columns_of("csv"):
        value = column.read(row)
        if column.kind == "point":
            cells += [float(value[at]) for at in _scalars(layout).values()]
        else:
            cells.append(int(value) if column.kind == "count" else float(value))
    return cells


def _scalars(layout: Layout) -> dict[str, int]:
    slices = layout.slices()
    return {variable.name: slices[variable.name].start for variable in layout.variables if not variable.shape}


def _named(flat: Any, layout: Layout) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in layout.split(flat).items():
        if isinstance(value, float):
            out[name] = value
        elif value.size > SHORTENED:
            entries = value.reshape(-1)
            out[name] = {"norm": largest(entries), "first": float(entries[0]), "last": float(entries[-1])}
        else:
            out[name] = value.tolist()
    return out
