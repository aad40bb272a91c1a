"""Numbers and points as text: short for people, exact for machines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

LONG = 8  # a vector with more entries is shown as its norm and its ends (contract §3)
ENDS = 1, 1  # entries shown from its beginning and from its end


def short(value: float, digits: int, room: int | None = None) -> str:
    """`value` with `digits` significant digits, or with as many as fit into `room` columns; never cut."""
    text = f"{value:.{digits}g}"
    while room is not None and len(text) > room and digits > 1:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text


def exact(value: float) -> str:
    """The shortest text that reads back as the same double; whole numbers without `.0`."""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


def largest(values: Iterable[float]) -> float:
    """The largest absolute entry, which is what `norm` means in every report; NaN if any entry is NaN."""
    import numpy as np

    entries = np.asarray(values, dtype=np.float64)
    # two reductions rather than abs: no temporary beside a long vector
    return max(abs(float(entries.max())), abs(float(entries.min()))) if entries.size else 0.0


def vector(values: Sequence[float], digits: int, room: int | None = None, most: int = LONG) -> str:
    """`(1, 2, 3)`, or `norm 3, (1, …, 3)` for more than `most` entries; `room` is that of one entry."""
    if len(values) <= most:
        return "(" + ", ".join(short(float(v), digits, room) for v in values) + ")"
    head, tail = ENDS
    shown = [short(float(v), digits, room) for v in (*values[:head], *values[-tail:])]
    shown.insert(head, "…")
    return f"norm {short(largest(values), digits, room)}, ({', '.join(shown)})"


def strict(value: Any) -> Any:
    """`value` with every non-finite float replaced by "nan", "inf" or "-inf", as strict JSON needs it."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if hasattr(value, "tolist"):
        return strict(value.tolist())
    return value


def flow(pieces: Iterable[str], room: int | None, between: str = ", ") -> list[str]:
    """`pieces` joined into lines of at most `room` columns, broken only between pieces (a longer one stands alone)."""
    mark = between.rstrip()
    *all_but_last, last = pieces
    lines: list[str] = []
    for piece in (*(piece + mark for piece in all_but_last), last):
        if lines and (room is None or len(lines[-1]) + len(between) - len(mark) + len(piece) <= room):
            lines[-1] += between[len(mark) :] + piece
        else:
            lines.append(piece)
    return lines


def wrap(text: str, room: int | None) -> list[str]:
    """Sentences broken at blanks into lines of at most `room` columns."""
    if room is None:
        return [text]
    import textwrap

    return textwrap.wrap(text, max(room, 8), break_on_hyphens=False) or [""]
