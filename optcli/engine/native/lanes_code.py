"""The loop of many starts: one variable of all of them stands in a row, so that vectors go through them."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from optcli.autograd.graph import Constant, Input
from optcli.engine.native.emit import Emitter, Place
from optcli.engine.native.lines import Lines, double, finish
from optcli.engine.native.program import program
from optcli.engine.native.update_code import (
    RELATIVE,
    SCALE,
    TARGET,
    TOLERANCE,
    After,
    double_of,
    function,
    judge,
    maximum,
    size_of,
)

if TYPE_CHECKING:
    from optcli.engine.native.loop import Loop

AT, UNTIL, PAUSE, RESTS, ACTIVE, STARTS = range(6)  # where the whole numbers of a call stand
BYTES = 24_576  # of the rows of one block: they stay in the fastest memory
MOST, LEAST = 128, 8  # lanes of a block; what is shorter than a vector is padded


class Own(IntEnum):
    """What a lane has one of; from BEST_AT on whole numbers."""

    VALUE = 0
    NORM = 1
    BEST_VALUE = 2
    BEST_NORM = 3
    SCALE = 4  # of the tolerance
    BEST_AT = 5
    MOVED = 6
    START = 7  # the number of the start in this lane
    DONE = 8
    ENDS = 9  # whether a rule ends it


class Rows(NamedTuple):
    """Which row holds what, for n variables and so many arrays of state; a row is one number of each lane."""

    n: int
    states: int

    def x(self, j: int) -> int:
        return j

    def g(self, j: int) -> int:
        return self.n + j

    def best_x(self, j: int) -> int:
        return 2 * self.n + j

    def state(self, k: int, j: int) -> int:
        return (3 + k) * self.n + j

    def own(self, what: Own) -> int:
        return (3 + self.states) * self.n + what

    @property
    def many(self) -> int:
        """How many rows a block has."""
        return (3 + self.states) * self.n + len(Own)

    @property
    def lanes(self) -> int:
        """How many lanes a block has, a power of two."""
        most = max(LEAST, min(MOST, BYTES // (8 * self.many)))
        return int(1 << (most.bit_length() - 1))


def module(loop: Loop) -> str:
    """The functions `begin`, which evaluates the starts of a block, and `lanes`, which runs them.

    No variants of functions for several doubles: each lane has the digits of a run of its own. Raises RuntimeError
    where an operation has no code.
    """
    nowhere = [Place(1)] * len(loop.graph.outputs)
    emitter = Emitter(program(loop.graph), {}, nowhere, 2, loop.plan.masked)
    text = finish([_begin(loop, emitter), _lanes(loop, emitter)], {})
    if emitter.called_back:
        raise RuntimeError(f"{', '.join(emitter.called_back)} would call Python back")
    return text


def _head(loop: Loop, rows: Rows) -> Lines:
    """The pointers `%rK` to the rows, and what all lanes share."""
    head = Lines(count=10**6)
    head.label("entry")
    for k in range(rows.many):
        head.add(f"%r{k} = getelementptr double, ptr %m, i64 {k * rows.lanes}")
    if loop.bounds:
        for j in range(loop.size):
            head.add(f"%low{j} = load double, ptr {head.at('%lower', j)}")
            head.add(f"%high{j} = load double, ptr {head.at('%upper', j)}")
    head.add(f"%active = load i64, ptr {head.at('%counts', ACTIVE, 'i64')}")
    return head


def _ends(loop: Loop, j: int) -> list[str]:
    return [f"%low{j}", f"%high{j}"] if loop.bounds else ["0.0", "0.0"]


def _evaluated(loop: Loop, emitter: Emitter, lines: Lines, x: list[str]) -> tuple[str, list[str], str, str]:
    """Value, gradient, norm, and the bits of the largest size among x and gradient, as in a run of its own."""
    graph = loop.graph
    known = dict(zip(graph.inputs, x, strict=True))
    inner = [node for node in graph.nodes if not isinstance(node.op, Input | Constant)]

    def nothing(slot: int) -> str:
        raise RuntimeError(f"array {slot} in a function of scalars")

    emitter.scalars(lines, inner, known, nothing, keep=False)
    value, *parts = (emitter.scalar(lines, node, known, nothing) for node in graph.outputs)
    norm = largest = "0"
    for j, part in enumerate(parts):
        given = [x[j], part, "0.0", *_ends(loop, j), *["0.0"] * loop.states]
        (measure,) = loop.step.emit(lines, given, f"v{j}", [1])
        norm = maximum(lines, norm, size_of(lines, measure))
        largest = maximum(lines, largest, size_of(lines, x[j]))
        if loop.bounds:
            largest = maximum(lines, largest, size_of(lines, part))
    largest = maximum(lines, largest, norm)
    return value, parts, double_of(lines, norm), largest


def _store(lines: Lines, operand: str, row: int, kind: str = "double") -> None:
    lines.add(f"store {kind} {operand}, ptr {lines.at(f'%r{row}', '%j', kind)}, align 8")


def _begin(loop: Loop, emitter: Emitter) -> str:
    """Evaluate where each lane stands; what is finite there is the best so far."""
    rows = Rows(loop.size, loop.states)
    lines = _head(loop, rows)
    lines.add("br label %loop")
    lines.label("loop")
    lines.add("%j = phi i64 [0, %entry], [%j.next, %loop]")
    x = [lines.load(f"%r{rows.x(j)}", "%j") for j in range(loop.size)]
    value, parts, norm, largest = _evaluated(loop, emitter, lines, x)
    size = maximum(lines, size_of(lines, value), largest)
    finite = lines.new(f"icmp slt i64 {size}, {int(double(math.inf), 16)}")
    for j in range(loop.size):
        _store(lines, parts[j], rows.g(j))
        _store(lines, x[j], rows.best_x(j))
    for operand, here, best in ((value, Own.VALUE, Own.BEST_VALUE), (norm, Own.NORM, Own.BEST_NORM)):
        _store(lines, operand, rows.own(here))
        _store(lines, lines.new(f"select i1 {finite}, double {operand}, double {double(math.inf)}"), rows.own(best))
    _store(lines, lines.new(f"select i1 {finite}, i64 0, i64 -1"), rows.own(Own.BEST_AT), "i64")
    lines.again("%j", "%active", "done")
    lines.add("ret void")
    return function('void @begin(ptr noalias %m, ptr %counts, ptr %lower, ptr %upper) "no-builtins"', lines)


def _lanes(loop: Loop, emitter: Emitter) -> str:
    """Update all active lanes, again and again; one that ends goes to its column of %out, the last takes its place."""
    rows = Rows(loop.size, loop.states)
    lines = _head(loop, rows)
    for k in (TARGET, TOLERANCE, RELATIVE):
        lines.add(f"%limit{k} = load double, ptr {lines.at('%numbers', k)}")
    k0, until, pause = (lines.load("%counts", k, "i64") for k in (AT, UNTIL, PAUSE))
    lines.add(f"%until = add i64 {until}, 0")
    lines.add(f"%rests = icmp ne i64 {lines.load('%counts', RESTS, 'i64')}, 0")
    starts = lines.load("%counts", STARTS, "i64")
    lines.add("br label %update")
    lines.label("update")
    lines.add(f"%k = phi i64 [{k0}, %entry], [%k.next, %on]")
    lines.add("%c = phi i64 [%active, %entry], [%c.left, %on]")
    lines.add("%k.next = add nsw i64 %k, 1")
    number = lines.new("sitofp i64 %k.next to double")
    numbers = loop.step.numbers(lines, number)
    padded = lines.new(f"and i64 {lines.new(f'add i64 %c, {LEAST - 1}')}, {-LEAST}")
    lines.add("br label %loop")
    lines.label("loop")
    lines.add("%j = phi i64 [0, %update], [%j.next, %loop]")
    lines.add("%any = phi i64 [0, %update], [%any.next, %loop]")
    x0 = [lines.load(f"%r{rows.x(j)}", "%j") for j in range(loop.size)]
    later, changed = [], []
    for j in range(loop.size):
        state = [lines.load(f"%r{rows.state(k, j)}", "%j") for k in range(loop.states)]
        g = lines.load(f"%r{rows.g(j)}", "%j")
        which = [0, *range(2, 2 + loop.states)]
        x, *new = loop.step.emit(lines, [x0[j], g, number, *_ends(loop, j), *state], f"u{j}", which, numbers)
        later.append(x)
        changed += [*zip(state, new, strict=True), (x0[j], x)]
        for k, operand in enumerate(new):
            _store(lines, operand, rows.state(k, j))
    value, parts, norm, largest = _evaluated(loop, emitter, lines, later)
    moved = lines.new(f"fcmp une double {value}, {lines.load(f'%r{rows.own(Own.VALUE)}', '%j')}")
    for before, after in changed:
        moved = lines.new(f"or i1 {moved}, {lines.new(f'fcmp une double {before}, {after}')}")
    lines.add(f"%limit{SCALE} = load double, ptr {lines.at(f'%r{rows.own(Own.SCALE)}', '%j')}")
    best, flattest = (lines.load(f"%r{row}", "%j") for row in (rows.own(Own.BEST_VALUE), rows.own(Own.BEST_NORM)))
    better, stop = judge(lines, After("%k.next", value, norm, largest, moved), best, flattest)
    best_at = lines.load(f"%r{rows.own(Own.BEST_AT)}", "%j", "i64")
    _store(lines, lines.new(f"select i1 {better}, i64 %k.next, i64 {best_at}"), rows.own(Own.BEST_AT), "i64")
    _store(lines, lines.new(f"select i1 {better}, double {value}, double {best}"), rows.own(Own.BEST_VALUE))
    _store(lines, lines.new(f"select i1 {better}, double {norm}, double {flattest}"), rows.own(Own.BEST_NORM))
    for j in range(loop.size):
        lowest = lines.load(f"%r{rows.best_x(j)}", "%j")
        _store(lines, lines.new(f"select i1 {better}, double {later[j]}, double {lowest}"), rows.best_x(j))
        _store(lines, later[j], rows.x(j))
        _store(lines, parts[j], rows.g(j))
    _store(lines, value, rows.own(Own.VALUE))
    _store(lines, norm, rows.own(Own.NORM))
    _store(lines, lines.new(f"zext i1 {moved} to i64"), rows.own(Own.MOVED), "i64")
    active = lines.new("icmp slt i64 %j, %c")
    ends = lines.new(f"zext i1 {lines.new(f'and i1 {stop}, {active}')} to i64")
    _store(lines, ends, rows.own(Own.ENDS), "i64")
    lines.add(f"%any.next = or i64 %any, {ends}")
    lines.again("%j", padded, "judged")
    lines.add("%some = icmp ne i64 %any.next, 0")
    lines.add("br i1 %some, label %look, label %on")
    # lanes from the last to the first, so that the one that takes an empty place was looked at
    lines.label("look")
    lines.add("%l = phi i64 [%c, %judged], [%l.next, %looked]")
    lines.add("%c.look = phi i64 [%c, %judged], [%c.after, %looked]")
    lines.add("%l.next = sub i64 %l, 1")
    flag = lines.new(f"icmp ne i64 {lines.load(f'%r{rows.own(Own.ENDS)}', '%l.next', 'i64')}, 0")
    lines.add("%c.less = sub i64 %c.look, 1")
    lines.add(f"br i1 {flag}, label %leave, label %looked")
    lines.label("leave")
    lines.add(f"store i64 %k.next, ptr {lines.at(f'%r{rows.own(Own.DONE)}', '%l.next', 'i64')}, align 8")
    lines.add(f"%id = load i64, ptr {lines.at(f'%r{rows.own(Own.START)}', '%l.next', 'i64')}, align 8")
    lines.add("br label %row")
    lines.label("row")
    lines.add("%r = phi i64 [0, %leave], [%r.next, %row]")
    base = lines.new(f"mul i64 %r, {rows.lanes}")
    here = lines.at("%m", lines.new(f"add i64 {base}, %l.next"), "i64")
    last = lines.at("%m", lines.new(f"add i64 {base}, %c.less"), "i64")
    there = lines.at("%out", lines.new(f"add i64 {lines.new(f'mul i64 %r, {starts}')}, %id"), "i64")
    lines.add(f"store i64 {lines.new(f'load i64, ptr {here}, align 8')}, ptr {there}, align 8")
    lines.add(f"store i64 {lines.new(f'load i64, ptr {last}, align 8')}, ptr {here}, align 8")
    lines.add("%r.next = add i64 %r, 1")
    lines.add(f"br i1 {lines.new(f'icmp slt i64 %r.next, {rows.many}')}, label %row, label %looked")
    lines.label("looked")
    lines.add("%c.after = phi i64 [%c.look, %look], [%c.less, %row]")
    lines.add(f"br i1 {lines.new('icmp sgt i64 %l.next, 0')}, label %look, label %on")
    lines.label("on")
    lines.add("%c.left = phi i64 [%c, %judged], [%c.after, %looked]")
    lines.add(f"%goes = icmp slt i64 %k.next, {pause}")
    lines.add("%full = icmp sgt i64 %c.left, 0")
    lines.add("%again = and i1 %goes, %full")
    lines.add("br i1 %again, label %update, label %done")
    lines.label("done")
    lines.add(f"store i64 %k.next, ptr {lines.at('%counts', AT, 'i64')}")
    lines.add(f"store i64 %c.left, ptr {lines.at('%counts', ACTIVE, 'i64')}")
    lines.add("ret void")
    pointers = ", ".join(f"ptr {name}" for name in ("noalias %m", "noalias %out", "%numbers", "%counts"))
    return function(f'void @lanes({pointers}, ptr %lower, ptr %upper) "no-builtins"', lines)
