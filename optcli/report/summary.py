"""What is said above the rows and below them, as labels and lines that fit the screen; how they look is `table`'s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from optcli.errors import underline, visible
from optcli.report.numbers import ENDS, LONG, exact, flow, largest, short, wrap

if TYPE_CHECKING:
    from optcli.layout import Layout, Variable
    from optcli.outcome import Outcome, Preview

LABEL = 14  # columns of the longest label, "gradient norm", and a blank
TEXT = 300  # characters of a function's text that are shown
DIGITS = 10  # of numbers in the summary, except the minimizer's
MINIMA = 8  # of many starts that are listed
VARIABLES = 20  # so many are listed by name


class Item(NamedTuple):
    """One entry of the summary; `tone` is "good", "bad" or nothing."""

    label: str
    lines: list[str]
    tone: str = ""


def heading(preview: Preview, width: int | None) -> list[str]:
    """What runs: the command, the function's text, its parameters, the method with its settings."""
    text = _cut(preview.expression)
    named = preview.function != preview.expression
    lines = wrap(f"optcli {preview.command} " + (_cut(preview.function) if named else text), width)
    if named:
        lines += wrap(text, width)
    if preview.params:
        lines += flow(_assignments(preview.params), width)
    method = f"{preview.method} (auto: {preview.why})" if preview.why else preview.method
    return lines + flow([method, *_assignments(preview.settings)], width)


def summary(outcome: Outcome, width: int | None) -> list[Item]:
    """Everything that is known at the end, in the order in which it is read."""
    room = None if width is None else max(width - LABEL, 16)
    preview = outcome.preview
    lowest = "minim" if preview.command == "minimize" else "maxim"
    tone = "good" if outcome.exit_code == 0 else "bad"
    items = [Item("name", wrap(visible(preview.name), room))] if preview.name else []
    items += [
        Item("status", wrap(f"{outcome.status}: {visible(outcome.message)}", room), tone),
        Item("verdict", [*wrap(_verdict(outcome), room), *_spot(outcome, room)], tone),
        Item(lowest + "izer", _point(preview.layout, outcome.minimizer, room)),
        Item(lowest + "um", [_fitting(outcome.value, room)]),
        *_found(outcome, room),
        Item("gradient norm", [short(outcome.gradient_norm, DIGITS, room)]),
        Item("iterations", [str(outcome.iterations)]),
        Item("evaluations", flow(_counts(outcome.evaluations), room)),
        Item("time", [f"{outcome.seconds['total']:.3g} s"]),
        Item("start", _start(preview, room)),
    ]
    return items


def _found(outcome: Outcome, room: int | None) -> list[Item]:
    """The way over several methods, and what many starts found."""
    items = [Item("scaling", wrap(outcome.scaling, room))] if outcome.scaling else []
    if len(outcome.legs) > 1:
        legs = [f"{leg.method} from iteration {leg.begin} ({leg.why})" for leg in outcome.legs]
        items.append(Item("methods", flow(legs, room)))
    if wanted := outcome.preview.settings.get("starts"):
        made = f"{outcome.starts}" if outcome.starts == wanted else f"{outcome.starts} of {wanted}"
        times = [f"{_fitting(each.value, room, DIGITS)} ({each.times}×)" for each in outcome.minima[:MINIMA]]
        more = [f"… and {len(outcome.minima) - MINIMA} more"] if len(outcome.minima) > MINIMA else []
        items.append(Item("starts", flow([f"{made}: {', '.join(times) or 'no minimum found'}", *more], room)))
    return items


def _verdict(outcome: Outcome) -> str:
    kind = outcome.verdict.kind.replace("_", " ")
    text = visible(outcome.verdict.text)
    return text if text.lower().startswith(kind) else f"{kind}: {text}" if text else kind


def _spot(outcome: Outcome, room: int | None) -> list[str]:
    """The part of the text that is to blame, with carets under it."""
    culprit = outcome.verdict.culprit
    lines = [] if culprit is None else underline(outcome.preview.expression, culprit.span)
    return lines if room is None or all(len(line) <= room for line in lines) else []


def _point(layout: Layout, flat: Any, room: int | None) -> list[str]:
    """A line a variable with all digits; vectors flow over several lines, long ones are their norm and ends."""
    variables = layout.variables
    values = dict(zip(layout.names, _values(layout, flat), strict=True))
    pad = max((len(v.name) for v in variables if not v.shape and len(v.name) <= LONG), default=0)
    lines: list[str] = []
    for variable in _few(variables):
        lines += _variable(variable, values[variable.name], pad, room)
    if len(variables) > VARIABLES:
        lines += wrap(f"… and {len(variables) - VARIABLES} more variables (--print x, --format json)", room)
    return lines


def _variable(variable: Variable, entries: Any, pad: int, room: int | None) -> list[str]:
    if not variable.shape:
        return _joined(f"{variable.name:{pad}} =", [_fitting(entries[0], room)], room)
    if len(entries) <= LONG:
        shown = [_fitting(entry, room) for entry in entries]
        shown[0], shown[-1] = "(" + shown[0], shown[-1] + ")"
        return _joined(f"{variable.name} =", flow(shown, room if room is None else room - 2), room)
    head, tail = ENDS
    ends = [_fitting(v, room, DIGITS) for v in (*entries[:head], *entries[-tail:])]
    pieces = [f"norm {_fitting(largest(entries), room, DIGITS)}", "(" + ends[0], *ends[1:head], "…", ends[-1] + ")"]
    return _joined(f"{variable.name}{_range(variable)} =", flow(pieces, room if room is None else room - 2), room)


def _fitting(value: float, room: int | None, digits: int = 0) -> str:
    """All digits (or so many), or as many as fit into a line of `room` columns with brackets and a comma."""
    text = short(float(value), digits) if digits else exact(value)
    return text if room is None or len(text) + 5 <= room else short(float(value), 17, room - 5)


def _start(preview: Preview, room: int | None) -> list[str]:
    pieces = []
    for variable, entries in zip(preview.layout.variables, _values(preview.layout, preview.start), strict=True):
        if variable.shape and len(set(map(float, entries))) == 1 and len(entries) > 1:
            pieces.append(f"{variable.name}{_range(variable)} = {short(float(entries[0]), DIGITS)}")
        else:
            pieces += _variable(variable, entries, 0, None)
        if len(pieces) == LONG and len(preview.layout.variables) > LONG:
            pieces.append("…")
            break
    lines = [
        part for line in flow(pieces, room) for part in (wrap(line, room) if room and len(line) > room else [line])
    ]
    return [*lines[:-1], *flow([lines[-1], f"({visible(preview.start_origin)})"], room, " ")]


def _values(layout: Layout, flat: Any) -> Iterator[Any]:
    for part in layout.slices().values():
        yield flat[part]


def _few(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    return variables[:VARIABLES]


def _range(variable: Variable) -> str:
    ends = [f"{first}…{first + n - 1}" for first, n in zip(variable.first, variable.shape, strict=True)]
    return f"[{', '.join(ends)}]"


def _joined(label: str, lines: list[str], room: int | None) -> list[str]:
    """The first line beside the label if both fit, else below it."""
    if room is None or len(label) + 1 + len(lines[0]) <= room:
        return [f"{label} {lines[0]}", *("  " + line for line in lines[1:])]
    return [*wrap(label, room), *("  " + line for line in lines)]


def _assignments(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {exact(v) if isinstance(v, float) else visible(str(v))}" for key, v in values.items()]


def _counts(evaluations: Mapping[str, int]) -> list[str]:
    plural = {"value": "values", "gradient": "gradients", "hessian": "Hessians"}
    shown = [f"{n} {plural.get(what, what) if n != 1 else what}" for what, n in evaluations.items() if n]
    return shown or ["none"]


def _cut(text: str) -> str:
    shown = visible(" ".join(text[: 4 * TEXT].split()))
    return shown if len(shown) <= TEXT else shown[: TEXT - 1] + "…"
