"""The code of a whole run: an update, its norm, the rules that may end it, and the loop around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from optcli.autograd import ops
from optcli.autograd.graph import Builder, Constant, Graph, Input, Node
from optcli.engine.native.emit import Emitter
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


def step_of(update: Update, states: int, bounded: bool) -> Step:
    builder = Builder()
    labels = ("x", "g", "i", "lower", "upper", *(f"s{k}" for k in range(states)))
    inputs = [builder.input(number, (), label) for number, label in enumerate(labels)]
    x, g, i, lower, upper, *state = inputs

    def project(point: Any) -> Any:
        return ops.smallest(ops.largest(point, lower), upper) if bounded else point

    after, displacement = update(tuple(state), x, g, i)
    moved = project(x + displacement)
    # x − P(x − g), as Problem.projected_gradient computes it
    measure = ops.abs_(ops.smallest(ops.largest(g, x - upper), x - lower) if bounded else g)
    outputs = [part if isinstance(part, Node) else builder.constant(part) for part in (moved, measure, *after)]
    return Step(Graph.of(inputs, outputs))


def _size_of(lines: Lines, value: str) -> str:
    """|value| as an integer: the patterns of doubles that are not negative are in their order, NaN above all."""
    bits = lines.new(f"bitcast double {value} to i64")
    return lines.new(f"and i64 {bits}, {2**63 - 1}")


def _maximum(lines: Lines, a: str, b: str) -> str:
    return lines.new(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")


def _double_of(lines: Lines, bits: str) -> str:
    return lines.new(f"bitcast i64 {bits} to double")


def _function(head: str, lines: Lines) -> str:
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
    lines.add("%j.next = add nuw nsw i64 %j, 1")
    lines.add("%more = icmp slt i64 %j.next, %b")
    lines.add("br i1 %more, label %loop, label %end")
    lines.label("end")
    lines.add("store i64 %m.next, ptr %moved")
    lines.add("ret void")
    pointers = ", ".join(f"ptr noalias {name}" for name in ("%x", "%g", "%state", "%y", "%lower", "%upper", "%moved"))
    return _function(f"void @update({pointers}, double %i, i64 %n, i64 %a, i64 %b)", lines)


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
    size = _maximum(lines, _size_of(lines, x), _size_of(lines, g)) if loop.bounds else _size_of(lines, x)
    lines.add(f"%p.next = call i64 @llvm.smax.i64(i64 %p, i64 {_size_of(lines, measure)})")
    lines.add(f"%q.next = call i64 @llvm.smax.i64(i64 %q, i64 {size})")
    lines.add("%j.next = add nuw nsw i64 %j, 1")
    lines.add("%more = icmp slt i64 %j.next, %b")
    lines.add("br i1 %more, label %loop, label %end")
    lines.label("end")
    lines.store(_double_of(lines, "%p.next"), "%out", 0)
    lines.store(_double_of(lines, "%q.next"), "%out", 1)
    lines.add("ret void")
    pointers = ", ".join(f"ptr noalias {name}" for name in ("%x", "%g", "%lower", "%upper", "%out"))
    return _function(f"void @norm({pointers}, i64 %a, i64 %b)", lines)


class _After(NamedTuple):
    """Operands at an evaluated point, for the rules that both kinds of loop share."""

    done: str
    value: str
    norm: str
    largest: str  # bits of the largest size among x and gradient
    moved: str  # i1


def _limits(lines: Lines) -> None:
    """What the rules compare with, loaded once: `%limitK`, `%until`, and whether the run ends where nothing moves."""
    for k in (TARGET, TOLERANCE, RELATIVE, SCALE, CAP):
        lines.add(f"%limit{k} = load double, ptr {lines.at('%numbers', k)}")
    lines.add(f"%until = load i64, ptr {lines.at('%counts', UNTIL, 'i64')}")
    lines.add(f"%rests = icmp ne i64 {lines.load('%counts', REST, 'i64')}, 0")


def _judge(lines: Lines, after: _After, best_value: str, best_norm: str) -> tuple[str, str]:
    """(whether the point is the lowest finite one, whether to return), both i1."""

    def number(k: int) -> str:
        return f"%limit{k}"

    def both(a: str, b: str) -> str:
        return lines.new(f"and i1 {a}, {b}")

    def either(a: str, b: str) -> str:
        return lines.new(f"or i1 {a}, {b}")

    infinite = int(double(math.inf), 16)
    size = _size_of(lines, after.value)
    finite = lines.new(f"icmp slt i64 {_maximum(lines, size, after.largest)}, {infinite}")
    size = _double_of(lines, size)
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


def _quick(lines: Lines, value: str, norm: str, largest: str) -> None:
    """Go to %quick where the point is certainly the lowest and no rule can hold, to %slow where that must be judged."""
    tests = [
        f"icmp slt i64 {largest}, {int(double(math.inf), 16)}",
        f"fcmp ogt double {norm}, %limit{CAP}",
        f"fcmp ogt double {value}, %limit{TARGET}",
        "icmp slt i64 %k.next, %until",
    ]
    for k, test in enumerate(tests):
        lines.add(f"br i1 {lines.new(test)}, label %quick{k}, label %slow")
        lines.label(f"quick{k}")
    lines.add(f"br i1 {lines.new(f'fcmp olt double {value}, %bf')}, label %quick, label %equal")
    lines.label("equal")
    lines.add(f"br i1 {lines.new(f'fcmp oeq double {value}, %bf')}, label %flat, label %slow")
    lines.label("flat")
    lines.add(f"br i1 {lines.new(f'fcmp ole double {norm}, %bn')}, label %still, label %slow")
    lines.label("still")
    lines.add("br i1 %rests, label %slow, label %quick")
    lines.label("quick")
    lines.add("br label %on")


def straight_run(loop: Loop, emitter: Emitter) -> str:
    """The loop of a function of scalars: variables, gradient, and state in registers from one update to the next."""
    n, graph = loop.size, loop.graph
    lines, head = Lines(), Lines(count=10**6)
    pointer = emitter.pointers(head)
    head.label("entry")
    slots = loop.slots
    x_at, g_at, best_x, best_g, state_at = (pointer(slots[k]) for k in (0, 1, 4, 5, 6))
    ends = [pointer(slots[7]), pointer(slots[8])]
    carried = {f"x{j}": head.load(x_at, j) for j in range(n)} | {f"g{j}": head.load(g_at, j) for j in range(n)}
    carried |= {f"s{k}.{j}": head.load(state_at, k * n + j) for k in range(loop.states) for j in range(n)}
    lower = [head.load(ends[0], j) if loop.bounds else "0.0" for j in range(n)]
    upper = [head.load(ends[1], j) if loop.bounds else "0.0" for j in range(n)]
    carried |= {name: head.load("%numbers", k) for name, k in (("f", VALUE), ("bf", BEST_VALUE), ("bn", BEST_NORM))}
    k0, bk0 = head.load("%counts", DONE, "i64"), head.load("%counts", BEST_AT, "i64")
    _limits(head)
    own0 = head.new(f"icmp ne i64 {head.load('%counts', OWN, 'i64')}, 0")
    head.add("br label %loop")

    later: dict[str, str] = {}
    lines.add("%k.next = add nsw i64 %k, 1")
    number = lines.new("sitofp i64 %k.next to double")
    numbers = loop.step.numbers(lines, number)
    for j in range(n):
        states = [f"%s{k}.{j}" for k in range(loop.states)]
        which = [0, *range(2, 2 + loop.states)]
        given = [f"%x{j}", f"%g{j}", number, lower[j], upper[j], *states]
        later[f"x{j}"], *new = loop.step.emit(lines, given, f"u{j}", which, numbers)
        later |= {f"s{k}.{j}": name for k, name in enumerate(new)}
    known = {node: later[f"x{j}"] for j, node in enumerate(graph.inputs)}
    inner = [node for node in graph.nodes if not isinstance(node.op, Input | Constant)]
    emitter.scalars(lines, inner, known, pointer, keep=False)
    value, *parts = (emitter.scalar(lines, node, known, pointer) for node in graph.outputs)
    norm = largest = "0"
    for j in range(n):
        later[f"g{j}"] = parts[j]
        given = [later[f"x{j}"], parts[j], "0.0", lower[j], upper[j], *["0.0"] * loop.states]
        (measure,) = loop.step.emit(lines, given, f"v{j}", [1])
        norm = _maximum(lines, norm, _size_of(lines, measure))
        largest = _maximum(lines, largest, _size_of(lines, later[f"x{j}"]))
        if loop.bounds:
            largest = _maximum(lines, largest, _size_of(lines, parts[j]))
    largest, norm = _maximum(lines, largest, norm), _double_of(lines, norm)
    later["f"] = value
    _quick(lines, value, norm, largest)
    lines.label("slow")
    moved = lines.new(f"fcmp une double {value}, %f")
    for name in (f"{kind}{j}" for j in range(n) for kind in ("x", *(f"s{k}." for k in range(loop.states)))):
        moved = lines.new(f"or i1 {moved}, {lines.new(f'fcmp une double %{name}, {later[name]}')}")
    better, stop = _judge(lines, _After("%k.next", value, norm, largest, moved), "%bf", "%bn")
    lines.add(f"%better = or i1 {better}, false")
    lines.add(f"%bf.slow = select i1 %better, double {value}, double %bf")
    lines.add(f"%bn.slow = select i1 %better, double {norm}, double %bn")
    lines.add("%bk.slow = select i1 %better, i64 %k.next, i64 %bk")
    lines.add("%leaves = xor i1 %better, true")
    lines.add("%keeps = and i1 %leaves, %own")
    lines.add("br i1 %keeps, label %keep, label %kept")
    lines.label("keep")
    for j in range(n):
        lines.store(f"%x{j}", best_x, j)
        lines.store(f"%g{j}", best_g, j)
    lines.add("br label %kept")
    lines.label("kept")
    lines.add(f"br i1 {stop}, label %end, label %on")
    lines.label("on")
    later["bf"] = lines.new(f"phi double [{value}, %quick], [%bf.slow, %kept]")
    later["bn"] = lines.new(f"phi double [{norm}, %quick], [%bn.slow, %kept]")
    bk = lines.new("phi i64 [%k.next, %quick], [%bk.slow, %kept]")
    own = lines.new("phi i1 [true, %quick], [%better, %kept]")
    lines.add("br label %loop")
    lines.label("end")
    for j in range(n):
        lines.store(later[f"x{j}"], x_at, j)
        lines.store(later[f"g{j}"], g_at, j)
        for k in range(loop.states):
            lines.store(later[f"s{k}.{j}"], state_at, k * n + j)
    for k, operand in ((VALUE, value), (NORM, norm), (BEST_VALUE, "%bf.slow"), (BEST_NORM, "%bn.slow")):
        lines.store(operand, "%numbers", k)
    for k, flag in ((MOVED, moved), (OWN, "%better")):
        lines.add(f"store i64 {lines.new(f'zext i1 {flag} to i64')}, ptr {lines.at('%counts', k, 'i64')}")
    for k, count in ((DONE, "%k.next"), (BEST_AT, "%bk.slow")):
        lines.add(f"store i64 {count}, ptr {lines.at('%counts', k, 'i64')}")
    lines.add("ret void")
    phis = Lines()
    phis.label("loop")
    phis.add(f"%k = phi i64 [{k0}, %entry], [%k.next, %on]")
    phis.add(f"%bk = phi i64 [{bk0}, %entry], [{bk}, %on]")
    phis.add(f"%own = phi i1 [{own0}, %entry], [{own}, %on]")  # whether the current point is the best
    for name, first in carried.items():
        phis.add(f"%{name} = phi double [{first}, %entry], [{later[name]}, %on]")
    head.out += [*phis.out, *lines.out]
    return _function("void @run(ptr noalias %t, ptr noalias %numbers, ptr noalias %counts)", head)


def vector_run(loop: Loop) -> str:
    """The loop of a function of vectors: two pairs (x, gradient) take turns; the best is kept when it is left."""
    n = loop.size
    lines = Lines()
    lines.label("entry")
    x0, g0, x1, g1, best_x, best_g, state, lower, upper = (lines.load("%t", slot, "ptr") for slot in loop.slots)
    k0, bk0 = lines.load("%counts", DONE, "i64"), lines.load("%counts", BEST_AT, "i64")
    f0, bf0, bn0 = (lines.load("%numbers", k) for k in (VALUE, BEST_VALUE, BEST_NORM))
    _limits(lines)
    own0 = lines.new(f"icmp ne i64 {lines.load('%counts', OWN, 'i64')}, 0")
    x_slot, g_slot = lines.at("%t", 1, "ptr"), lines.at("%t", 3, "ptr")
    lines.add("%moved = alloca i64")
    lines.add("%norms = alloca [2 x double]")
    lines.add("br label %loop")
    lines.label("loop")
    lines.add(f"%k = phi i64 [{k0}, %entry], [%k.next, %on]")
    lines.add(f"%bk = phi i64 [{bk0}, %entry], [%bk.next, %on]")
    for name, first, after in (("x", x0, "%y"), ("g", g0, "%h"), ("y", x1, "%x"), ("h", g1, "%g")):
        lines.add(f"%{name} = phi ptr [{first}, %entry], [{after}, %on]")
    lines.add(f"%own = phi i1 [{own0}, %entry], [%better, %on]")  # whether the current point is the best
    for name, first, after in (("f", f0, "%v"), ("bf", bf0, "%bf.next"), ("bn", bn0, "%bn.next")):
        lines.add(f"%{name} = phi double [{first}, %entry], [{after}, %on]")
    lines.add("%k.next = add nsw i64 %k, 1")
    number = lines.new("sitofp i64 %k.next to double")
    lines.add(
        f"call void @update(ptr %x, ptr %g, ptr {state}, ptr %y, ptr {lower}, ptr {upper}, ptr %moved, "
        f"double {number}, i64 {n}, i64 0, i64 {n})"
    )
    lines.add(f"store ptr %y, ptr {x_slot}")
    lines.add(f"store ptr %h, ptr {g_slot}")
    lines.add("call void @evaluate(ptr %t)")
    lines.add("%v = load double, ptr %numbers")
    lines.add(f"call void @norm(ptr %y, ptr %h, ptr {lower}, ptr {upper}, ptr %norms, i64 0, i64 {n})")
    norm = lines.load("%norms", 0)
    largest = _maximum(lines, lines.load("%norms", 0, "i64"), lines.load("%norms", 1, "i64"))
    changed = lines.new(f"icmp ne i64 {lines.load('%moved', 0, 'i64')}, 0")
    moved = lines.new(f"or i1 {changed}, {lines.new('fcmp une double %v, %f')}")
    better, stop = _judge(lines, _After("%k.next", "%v", norm, largest, moved), "%bf", "%bn")
    lines.add(f"%better = or i1 {better}, false")
    lines.add("%bf.next = select i1 %better, double %v, double %bf")
    lines.add(f"%bn.next = select i1 %better, double {norm}, double %bn")
    lines.add("%bk.next = select i1 %better, i64 %k.next, i64 %bk")
    lines.add("%leaves = xor i1 %better, true")
    lines.add("%keeps = and i1 %leaves, %own")
    lines.add("br i1 %keeps, label %keep, label %on")
    lines.label("keep")
    for best, old in ((best_x, "%x"), (best_g, "%g")):
        lines.add(f"call void @llvm.memcpy.p0.p0.i64(ptr {best}, ptr {old}, i64 {8 * n}, i1 false)")
    lines.add("br label %on")
    lines.label("on")
    lines.add(f"br i1 {stop}, label %end, label %loop")
    lines.label("end")
    # the caller finds the last point where the first one was
    lines.add(f"%swapped = icmp ne ptr %y, {x0}")
    lines.add("br i1 %swapped, label %swap, label %done")
    lines.label("swap")
    for first, last in ((x0, "%y"), (g0, "%h")):
        lines.add(f"call void @llvm.memcpy.p0.p0.i64(ptr {first}, ptr {last}, i64 {8 * n}, i1 false)")
    lines.add("br label %done")
    lines.label("done")
    for k, operand in ((VALUE, "%v"), (NORM, norm), (BEST_VALUE, "%bf.next"), (BEST_NORM, "%bn.next")):
        lines.store(operand, "%numbers", k)
    for k, flag in ((MOVED, moved), (OWN, "%better")):
        lines.add(f"store i64 {lines.new(f'zext i1 {flag} to i64')}, ptr {lines.at('%counts', k, 'i64')}")
    for k, count in ((DONE, "%k.next"), (BEST_AT, "%bk.next")):
        lines.add(f"store i64 {count}, ptr {lines.at('%counts', k, 'i64')}")
    lines.add("ret void")
    return _function("void @run(ptr %t, ptr noalias %numbers, ptr noalias %counts)", lines)
