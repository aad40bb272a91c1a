"""LLVM's language as text: the lines of a function, elementary operations in them, and a module of functions."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from optcli.autograd import native_rules, ops
from optcli.autograd.graph import Node
from optcli.engine.native.functions import FUNCTIONS

POWERS = range(3, 9)  # exponents that become products: at most (p − 1)/2 ulp more than pow
CALL = re.compile(r"call (\w+) (@[\w.]+)\(([^)]*)\)")
DEFINED = re.compile(r"define (?:internal )?\w+ (@[\w.]+)\(")
# short loops, of which vectors would only make more code
AS_IT_IS = """
!0 = distinct !{!0, !1, !2}
!1 = !{!"llvm.loop.vectorize.enable", i1 false}
!2 = !{!"llvm.loop.unroll.disable"}
"""


def double(value: float) -> str:
    """A double in LLVM's spelling: shortest digits that give it back, bits where there are none."""
    if math.isfinite(value):
        digits, e, power = repr(float(value)).partition("e")
        return (digits if "." in digits else digits + ".0") + e + power
    return f"0x{struct.unpack('>Q', struct.pack('>d', float(value)))[0]:016X}"


@dataclass
class Lines:
    """The body of a function in the making."""

    out: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, line: str) -> None:
        self.out.append("  " + line)

    def label(self, name: str) -> None:
        self.out.append(f"{name}:")

    def new(self, expression: str) -> str:
        """A fresh name for the value of `expression`."""
        self.count += 1
        name = f"%t{self.count}"
        self.add(f"{name} = {expression}")
        return name

    def again(self, index: str, bound: str, after: str) -> None:
        """The end of a loop %loop: once more while the next index is below the bound, then on to the label `after`."""
        self.add(f"{index}.next = add nuw nsw i64 {index}, 1")
        self.add(f"%more = icmp slt i64 {index}.next, {bound}")
        self.add(f"br i1 %more, label %loop, label %{after}")
        self.label(after)

    def times(self, index: str, factor: int) -> str:
        return index if factor == 1 else self.new(f"mul nsw i64 {index}, {factor}")

    def plus(self, index: str, term: int) -> str:
        return index if term == 0 else self.new(f"add nsw i64 {index}, {term}")

    def at(self, pointer: str, index: str | int, kind: str = "double") -> str:
        return pointer if index == 0 else self.new(f"getelementptr {kind}, ptr {pointer}, i64 {index}")

    def load(self, pointer: str, index: str | int, kind: str = "double") -> str:
        return self.new(f"load {kind}, ptr {self.at(pointer, index, kind)}, align 8")

    def store(self, value: str, pointer: str, index: str | int) -> None:
        self.add(f"store double {value}, ptr {self.at(pointer, index)}, align 8")


def elementwise(lines: Lines, node: Node, name: str, args: Sequence[str], masked: bool) -> str:
    """Lines that compute one elementary operation; returns the operand that holds its value."""
    op = node.op
    if op is ops.pow_ and node.args[1].shape == () and node.args[1].value is None:
        return _rule(lines, native_rules.POWER, name, args)
    if op is ops.pow_ and node.args[1].shape == ():
        power = float(node.args[1].value)
        if power in POWERS:
            return _power(lines, args[0], int(power))
        if power == 0.5:
            return lines.new(f"call double @llvm.sqrt.f64(double {args[0]})")
        if power == -1.0:
            return lines.new(f"fdiv double 1.0, {args[0]}")
    rule = native_rules.MASKED_CHAIN if op is ops.chain and masked else op.native
    if not rule:
        rule = f"@optcli.{op.name}"
    if op.arity is None:
        total = args[0]
        for k, arg in enumerate(args[1:]):
            total = _rule(lines, rule, f"{name}.{k}.", (total, arg))
        return total
    return _rule(lines, rule, name, args)


def _rule(lines: Lines, rule: str, name: str, args: Sequence[str]) -> str:
    if "{" in rule:
        for line in rule.split("\n"):
            lines.add(line.format(*args, y=name))
    elif rule.startswith("@"):
        lines.add(f"{name} = call double {rule}({', '.join(f'double {arg}' for arg in args)})")
    elif len(args) == 1:
        lines.add(f"{name} = {rule} double {args[0]}")
    else:
        lines.add(f"{name} = {rule} double {', '.join(args)}")
    return name


def _power(lines: Lines, x: str, power: int) -> str:
    """x**power by squaring."""
    total, square = "", x
    while True:
        if power & 1:
            total = lines.new(f"fmul double {total}, {square}") if total else square
        power >>= 1
        if not power:
            return total
        square = lines.new(f"fmul double {square}, {square}")


def merged(node: Node) -> tuple[float, Node] | None:
    """c·y for products of constants one on the other, and their negatives, where that changes no digit.

    It does not where all of them but one are powers of two, and none is below 1: nothing is lost below, nothing
    overflows that did not.
    """
    scaled = _scaled(node)
    if scaled is None:
        return None
    c, rest = scaled
    found = None
    while (inner := _scaled(rest)) is not None:
        d, y = inner
        exact = 0.5 in (abs(math.frexp(c)[0]), abs(math.frexp(d)[0])) and math.isfinite(c * d)
        if not (exact and abs(c) >= 1.0 and abs(d) >= 1.0):
            break
        c, rest = c * d, y
        found = c, rest
    return found


def _scaled(node: Node) -> tuple[float, Node] | None:
    """(c, y) where a node is c·y with a finite constant."""
    if node.op is ops.neg:
        return -1.0, node.args[0]
    if node.op is not ops.mul and node.op is not ops.chain:
        return None
    for constant, rest in (node.args, node.args[::-1]):
        if constant.value is not None and constant.shape == () and math.isfinite(constant.value):
            return float(constant.value), rest
    return None


def finish(functions: Iterable[str], vectors: Mapping[str, Mapping[int, str]]) -> str:
    """A module: the functions, and a declaration of everything they call.

    `vectors` holds the names of the variants for several doubles that functions have on this machine.
    """
    text = "\n\n".join(functions)
    text = "\n\n".join([text, *(known for name, known in FUNCTIONS.items() if f"{name}(" in text)])
    defined = set(DEFINED.findall(text))
    declared, groups = {}, {}
    variants: list[str] = []
    for result, name, args in CALL.findall(text):
        if name in defined or name in declared:
            continue
        kinds = [arg.split()[0] for arg in args.split(", ")]
        effects = "" if name.startswith(("@llvm.", "@optcli.")) else " nounwind willreturn memory(none)"
        declared[name] = f"declare {result} {name}({', '.join(kinds)}){effects}"
        mapped = []
        for width, variant in vectors.get(name[1:], {}).items():
            several = ", ".join([f"<{width} x double>"] * len(kinds))
            declared["@" + variant] = (
                f"declare <{width} x double> @{variant}({several}) nounwind willreturn memory(none)"
            )
            mapped.append(f"_ZGV_LLVM_N{width}{'v' * len(kinds)}_{name[1:]}({variant})")
            variants.append(variant)
        if mapped:
            groups[name] = f'"vector-function-abi-variant"="{",".join(mapped)}"'
    numbers = {name: number for number, name in enumerate(groups)}

    def with_group(call: re.Match[str]) -> str:
        return f"{call[0]} #{numbers[call[2]]}" if call[2] in numbers else call[0]

    used = ", ".join(f"ptr @{variant}" for variant in variants)
    keep = f'@llvm.compiler.used = appending global [{len(variants)} x ptr] [{used}], section "llvm.metadata"\n'
    attributes = "".join(f"attributes #{numbers[name]} = {{ {text} }}\n" for name, text in groups.items())
    head = "\n".join([*declared.values(), keep if groups else ""])
    foot = AS_IT_IS if "!llvm.loop" in text else ""
    return f"{head}\n{CALL.sub(with_group, text)}\n{attributes}{foot}"
