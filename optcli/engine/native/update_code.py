"""The parts of a run in LLVM's language: one entry's update, its norm, and the rules that may end the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from optcli.autograd import ops
from optcli.autograd.graph import Builder, Constant, Graph, Node
from optcli.autograd.ops import Op
from optcli.engine.native.lines import Lines, double, elementwise

if TYPE_CHECKING:
    from optcli.engine.native.loop import Loop

Update = Callable[[tuple[Any, ...], Any, Any, Any], tuple[tuple[Any, ...], Any]]

# where the numbers of a run stand: doubles, then integers
VALUE, NORM, BEST_VALUE, BEST_NORM, TARGET, TOLERANCE, RELATIVE, SCALE, CAP = range(9)
DONE, UNTIL, MOVED, BEST_AT, REST, OWN = range(6)
NUMBER = 2  # the place of i among the inputs of a step


class Step(NamedTuple):
    """One entry's update: inputs (x, g, i, lower, upper, *state) → outputs (x after, measure of the gradient, *state).

    The measure is |x − P(x − g)|, whose largest entry is the gradient norm.
    """

    graph: Graph

    def numbers(self, lines: Lines, i: str) -> dict[Node, str]:
        """The operands of what depends on the number of the update alone, as powers of decays and schedules do: the
        same for every entry."""
        known = {self.graph.inputs[NUMBER]: i}
        fixed = {node: double(node.value) for node in self.graph.nodes if isinstance(node.op, Constant)}
        for node in self.graph.nodes:
            if node.args and node not in fixed and all(arg in known or arg in fixed for arg in node.args):
                args = [known.get(arg) or fixed[arg] for arg in node.args]
                known[node] = elementwise(lines, node, f"%i.{node.number}", args, False)
        return known

    def emit(
        self,
        lines: Lines,
        given: Sequence[str],
        name: str,
        which: Sequence[int],
        known: Mapping[Node, str] | None = None,
    ) -> list[str]:
        """The operands of the outputs `which`, where those of `known` are there already."""
        found = dict(zip(self.graph.inputs, given, strict=True)) | dict(known or {})
        outputs = [self.graph.outputs[k] for k in which]
        for node in Graph.of(self.graph.inputs, outputs).nodes:
            if isinstance(node.op, Constant):
                found[node] = double(node.value)
            elif node not in found:
                args = [found[arg] for arg in node.args]
                found[node] = elementwise(lines, node, f"%{name}.{node.number}", args, False)
        return [found[node] for node in outputs]


# max and min that keep a NaN of the first argument alone, in one instruction of the processor. The second one is NaN
# only where the first is or x is infinite, which ends a run whatever the measure.
_KEPT = "{y}.c = fcmp ogt double {1}, {0}\n{y} = select i1 {y}.c, double {1}, double {0}"
AT_LEAST = Op("at least", np.maximum, None, native=_KEPT)
AT_MOST = Op("at most", np.minimum, None, native=_KEPT.replace("ogt", "olt"))


def step_of(update: Update, states: int, bounded: bool) -> Step:
    """A method's update, traced with one entry's nodes; bounds enter the projection and the measure."""
    builder = Builder()
    labels = ("x", "g", "i", "lower", "upper", *(f"s{k}" for k in range(states)))
    inputs = [builder.input(number, (), label) for number, label in enumerate(labels)]
    x, g, i, lower, upper, *state = inputs

    def project(point: Any) -> Any:
        return AT_MOST(AT_LEAST(point, lower), upper) if bounded else point

    after, displacement = update(tuple(state), x, g, i)
    moved = project(x + displacement)
    # x − P(x − g), as Problem.projected_gradient computes it
    measure = ops.abs_(AT_MOST(ops.largest(g, x - upper), x - lower) if bounded else g)
    outputs = [part if isinstance(part, Node) else builder.constant(part) for part in (moved, measure, *after)]
    return Step(Graph.of(inputs, outputs))


def size_of(lines: Lines, value: str) -> str:
    """|value| as an integer: the patterns of doubles that are not negative are in their order, NaN above all."""
    bits = lines.new(f"bitcast double {value} to i64")
    return lines.new(f"and i64 {bits}, {2**63 - 1}")


def maximum(lines: Lines, a: str, b: str) -> str:
    return lines.new(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")


def double_of(lines: Lines, bits: str) -> str:
    return lines.new(f"bitcast i64 {bits} to double")


def function(head: str, lines: Lines) -> str:
    """The text of a function; not inlined, so that loops keep their own registers."""
    body = "\n".join(lines.out)
    return f"define {head} noinline {{\n{body}\n}}"


def update_function(loop: Loop) -> str:
    """x after the update and the new state, from entry %a up to %b; one of `%moved` where any of them changed."""
    lines = Lines()
    lines.label("entry")
    numbers = loop.step.numbers(lines, "%i")
    lines.add("br label %loop")
    lines.label("loop")
    lines.add("%j = phi i64 [%a, %entry], [%j.next, %loop]")
    lines.add("%m = phi i64 [0, %entry], [%m.next, %loop]")
    x, g = lines.load("%x", "%j"), lines.load("%g", "%j")
    ends = [lines.load("%lower", "%j"), lines.load("%upper", "%j")] if loop.bounds else ["0.0", "0.0"]
    places = [lines.at("%state", lines.new(f"add i64 %j, {lines.new(f'mul i64 %n, {k}')}")) for k in range(loop.states)]
    state = [lines.load(place, 0) for place in places]
    which = [0, *range(2, 2 + loop.states)]
    after, *states = loop.step.emit(lines, [x, g, "%i", *ends, *state], "u", which, numbers)
    lines.store(after, "%y", "%j")
    changed = lines.new(f"fcmp une double {after}, {x}")
    for place, old, new in zip(places, state, states, strict=True):
        lines.store(new, place, 0)
        changed = lines.new(f"or i1 {changed}, {lines.new(f'fcmp une double {new}, {old}')}")
    lines.add(f"%m.next = or i64 %m, {lines.new(f'zext i1 {changed} to i64')}")
    lines.again("%j", "%b", "end")
    lines.add("store i64 %m.next, ptr %moved")
    lines.add("ret void")
    pointers = ", ".join(f"ptr noalias {name}" for name in ("%x", "%g", "%state", "%y", "%lower", "%upper", "%moved"))
    return function(f"void @update({pointers}, double %i, i64 %n, i64 %a, i64 %b)", lines)


def norm_function(loop: Loop) -> str:
    """The largest measure of the gradient, and the largest |x| or |g|, from entry %a up to %b."""
    lines = Lines()
    lines.label("entry")
    lines.add("br label %loop")
    lines.label("loop")
    lines.add("%j = phi i64 [%a, %entry], [%j.next, %loop]")
    lines.add("%p = phi i64 [0, %entry], [%p.next, %loop]")
    lines.add("%q = phi i64 [0, %entry], [%q.next, %loop]")
    x, g = lines.load("%x", "%j"), lines.load("%g", "%j")
    ends = [lines.load("%lower", "%j"), lines.load("%upper", "%j")] if loop.bounds else ["0.0", "0.0"]
    (measure,) = loop.step.emit(lines, [x, g, "0.0", *ends, *["0.0"] * loop.states], "v", [1])
    size = maximum(lines, size_of(lines, x), size_of(lines, g)) if loop.bounds else size_of(lines, x)
    lines.add(f"%p.next = call i64 @llvm.smax.i64(i64 %p, i64 {size_of(lines, measure)})")
    lines.add(f"%q.next = call i64 @llvm.smax.i64(i64 %q, i64 {size})")
    lines.again("%j", "%b", "end")
    lines.store(double_of(lines, "%p.next"), "%out", 0)
    lines.store(double_of(lines, "%q.next"), "%out", 1)
    lines.add("ret void")
    pointers = ", ".join(f"ptr noalias {name}" for name in ("%x", "%g", "%lower", "%upper", "%out"))
    return function(f"void @norm({pointers}, i64 %a, i64 %b)", lines)


class After(NamedTuple):
    """Operands at an evaluated point, for the rules that both kinds of loop share."""

    done: str
    value: str
    norm: str
    largest: str  # bits of the largest size among x and gradient
    moved: str  # i1


def limits(lines: Lines) -> None:
    """What the rules compare with, loaded once: `%limitK`, `%until`, and whether the run ends where nothing moves."""
    for k in (TARGET, TOLERANCE, RELATIVE, SCALE, CAP):
        lines.add(f"%limit{k} = load double, ptr {lines.at('%numbers', k)}")
    lines.add(f"%until = load i64, ptr {lines.at('%counts', UNTIL, 'i64')}")
    lines.add(f"%rests = icmp ne i64 {lines.load('%counts', REST, 'i64')}, 0")


def judge(lines: Lines, after: After, best_value: str, best_norm: str) -> tuple[str, str]:
    """(whether the point is the lowest finite one, whether to return), both i1."""

    def number(k: int) -> str:
        return f"%limit{k}"

    def both(a: str, b: str) -> str:
        return lines.new(f"and i1 {a}, {b}")

    def either(a: str, b: str) -> str:
        return lines.new(f"or i1 {a}, {b}")

    infinite = int(double(math.inf), 16)
    size = size_of(lines, after.value)
    finite = lines.new(f"icmp slt i64 {maximum(lines, size, after.largest)}, {infinite}")
    size = double_of(lines, size)
    lower = lines.new(f"fcmp olt double {after.value}, {best_value}")
    equal = lines.new(f"fcmp oeq double {after.value}, {best_value}")
    flatter = lines.new(f"fcmp ole double {after.norm}, {best_norm}")
    better = both(finite, either(lower, both(equal, flatter)))
    counted = lines.new(f"fcmp olt double {size}, {number(SCALE)}")
    counted = lines.new(f"select i1 {counted}, double {size}, double {number(SCALE)}")
    tolerance = lines.new(f"fmul double {counted}, {number(RELATIVE)}")
    small = lines.new(f"fcmp ole double {after.norm}, {tolerance}")
    small = either(small, lines.new(f"fcmp ole double {after.norm}, {number(TOLERANCE)}"))
    active = lines.new(f"fcmp oge double {number(TOLERANCE)}, 0.0")
    reached = lines.new(f"fcmp ole double {after.value}, {number(TARGET)}")
    ended = lines.new(f"icmp sge i64 {after.done}, %until")
    still = both("%rests", lines.new(f"xor i1 {after.moved}, true"))
    stop = either(either(both(small, active), reached), either(ended, still))
    return better, either(stop, lines.new(f"xor i1 {finite}, true"))
