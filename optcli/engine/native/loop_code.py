"""The loops around the parts of a run: one that keeps scalars in registers, and one that goes through vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optcli.autograd.graph import Constant, Input
from optcli.engine.native.emit import Emitter
from optcli.engine.native.lines import Lines, double
from optcli.engine.native.update_code import (
    BEST_AT,
    BEST_NORM,
    BEST_VALUE,
    CAP,
    DONE,
    MOVED,
    NORM,
    OWN,
    TARGET,
    VALUE,
    After,
    double_of,
    function,
    judge,
    limits,
    maximum,
    size_of,
)

if TYPE_CHECKING:
    from optcli.engine.native.loop import Loop


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
    limits(head)
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
        norm = maximum(lines, norm, size_of(lines, measure))
        largest = maximum(lines, largest, size_of(lines, later[f"x{j}"]))
        if loop.bounds:
            largest = maximum(lines, largest, size_of(lines, parts[j]))
    largest, norm = maximum(lines, largest, norm), double_of(lines, norm)
    later["f"] = value
    _quick(lines, value, norm, largest)
    lines.label("slow")
    moved = lines.new(f"fcmp une double {value}, %f")
    for name in (f"{kind}{j}" for j in range(n) for kind in ("x", *(f"s{k}." for k in range(loop.states)))):
        moved = lines.new(f"or i1 {moved}, {lines.new(f'fcmp une double %{name}, {later[name]}')}")
    better, stop = judge(lines, After("%k.next", value, norm, largest, moved), "%bf", "%bn")
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
    return function("void @run(ptr noalias %t, ptr noalias %numbers, ptr noalias %counts)", head)


def vector_run(loop: Loop) -> str:
    """The loop of a function of vectors: two pairs (x, gradient) take turns; the best is kept when it is left."""
    n = loop.size
    lines = Lines()
    lines.label("entry")
    x0, g0, x1, g1, best_x, best_g, state, lower, upper = (lines.load("%t", slot, "ptr") for slot in loop.slots)
    k0, bk0 = lines.load("%counts", DONE, "i64"), lines.load("%counts", BEST_AT, "i64")
    f0, bf0, bn0 = (lines.load("%numbers", k) for k in (VALUE, BEST_VALUE, BEST_NORM))
    limits(lines)
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
    largest = maximum(lines, lines.load("%norms", 0, "i64"), lines.load("%norms", 1, "i64"))
    changed = lines.new(f"icmp ne i64 {lines.load('%moved', 0, 'i64')}, 0")
    moved = lines.new(f"or i1 {changed}, {lines.new('fcmp une double %v, %f')}")
    better, stop = judge(lines, After("%k.next", "%v", norm, largest, moved), "%bf", "%bn")
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
    return function("void @run(ptr %t, ptr noalias %numbers, ptr noalias %counts)", lines)
