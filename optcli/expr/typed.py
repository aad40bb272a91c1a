"""SymPy objects that stay as typed, and the way from syntax to them.

SymPy sorts, merges or computes even with `evaluate=False` in places (Max, And, Sum of a Piecewise, …), so subclasses of
our own stand in there; they print in SymPy's usual form. All objects are made by `Basic.__new__` alone: nothing is
evaluated, no text is ever given to SymPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sympy
from sympy.core.basic import Basic

from optcli.autograd import ops
from optcli.expr.functions import FUNCTIONS
from optcli.expr.resolve import Resolved
from optcli.expr.syntax import Syntax, SyntaxNode

TOO_DEEP_TO_PRINT = 150


class Typed(sympy.Function):  # type: ignore[misc]
    """A function that is never evaluated, whatever its arguments."""

    def __new__(cls, *args: Any) -> Any:
        return Basic.__new__(cls, *args)

    label = ""  # how it prints, where that is not the class's name

    def _sympystr(self, printer: Any) -> str:
        return f"{self.label or type(self).__name__}({', '.join(printer._print(arg) for arg in self.args)})"


class Where(Typed):
    """where(condition, a, b)."""

    def _sympystr(self, printer: Any) -> str:
        condition, a, b = map(printer._print, self.args)
        return f"Piecewise(({a}, {condition}), ({b}, True))"


class _Reduction(Typed):
    """(body, index, low, high); the index is a Symbol that is bound in the body."""

    def _sympystr(self, printer: Any) -> str:
        body, index, low, high = map(printer._print, self.args)
        return f"{type(self).__name__}({body}, ({index}, {low}, {high}))"


Sum = type("Sum", (_Reduction,), {"__doc__": "A sum over an index."})
Product = type("Product", (_Reduction,), {"__doc__": "A product over an index."})


class Both(Typed):
    """Both conditions, in this order."""

    def _sympystr(self, printer: Any) -> str:
        return " & ".join(f"({printer._print(arg)})" for arg in self.args)


class Either(Typed):
    """One condition or the other."""

    def _sympystr(self, printer: Any) -> str:
        return " | ".join(f"({printer._print(arg)})" for arg in self.args)


class Negate(Typed):
    """The opposite condition."""

    def _sympystr(self, printer: Any) -> str:
        return f"~({printer._print(self.args[0])})"


class Defined(Typed):
    """A definition that holds a Sum or Product: it is computed once, outside of every Sum that uses it."""

    def _sympystr(self, printer: Any) -> str:
        return f"({printer._print(self.args[0])})"


class VectorSum(Typed):
    """sum(v) of a whole vector."""

    label = "sum"


class Dot(Typed):
    """dot(u, v) of whole vectors."""

    label = "dot"


class Norm(Typed):
    """norm(v) of a whole vector."""

    label = "norm"


# one class for each row of the table that SymPy does not have with exactly its meaning
STAND_INS: dict[ops.Op, type[Typed]] = {
    op: type(op.spellings[0], (Typed,), {"__doc__": op.formula or op.name})
    for op in ops.OPS.values()
    if op.spellings and not op.sympy and op not in (ops.where, ops.sqrt)
}
CLASS_OF: dict[ops.Op, Any] = {
    **STAND_INS,
    ops.where: Where,
    **{op: getattr(sympy, op.sympy) for op in ops.OPS.values() if op.sympy},
}
RELATIONS = {
    "<": sympy.StrictLessThan,
    "<=": sympy.LessThan,
    ">": sympy.StrictGreaterThan,
    ">=": sympy.GreaterThan,
    "==": sympy.Equality,
    "!=": sympy.Unequality,
}
WHOLE = {"sum": VectorSum, "dot": Dot, "norm": Norm}
FAMILY = {"+": "+", "-": "+", "*": "*", "/": "*"}  # chains that are one flat Add or Mul


def to_sympy(resolved: Resolved, named: Mapping[int, str] = MappingProxyType({})) -> Any:
    """The unevaluated SymPy expression of a text, in typed order. Equal parts are one object.

    Numbers of the syntax that are `named` (node → name) become symbols of that name.
    """
    return _Writer(resolved.syntax, named).run()


def show(expression: Any) -> str:
    """The expression in SymPy's usual form, or its size where it is too deep for SymPy's printer."""
    from sympy.printing.str import StrPrinter

    if _depth(expression) > TOO_DEEP_TO_PRINT:
        return f"(nested more than {TOO_DEEP_TO_PRINT} deep: too deep to print)"
    return str(StrPrinter({"order": "none"}).doprint(expression))


def _depth(expression: Any) -> int:
    depth = 0
    level = [expression]
    while level and depth <= TOO_DEEP_TO_PRINT:
        level = list({id(arg): arg for node in level for arg in node.args}.values())
        depth += 1
    return depth


class _Writer:
    def __init__(self, syntax: Syntax, named: Mapping[int, str]) -> None:
        self.syntax = syntax
        self.nodes = syntax.nodes
        self.named = named
        self.known: dict[Any, Any] = {}

    def run(self) -> Any:
        chains: dict[int, list[tuple[str, int]]] = {}
        needed = bytearray(len(self.nodes))
        needed[self.syntax.root] = 1
        for k in range(len(self.nodes) - 1, -1, -1):
            if needed[k]:
                node = self.nodes[k]
                if node.kind in FAMILY:
                    chains[k] = self._chain(k)
                    for _, part in chains[k]:
                        needed[part] = 1
                else:
                    for arg in node.args:
                        needed[arg] = 1
        made: list[Any] = [None] * len(self.nodes)
        reduces = bytearray(len(self.nodes))  # whether a part holds a Sum or Product
        for k, node in enumerate(self.nodes):
            reduces[k] = node.kind in ("sum", "product") or any(reduces[arg] for arg in node.args)
            if needed[k]:
                if k in self.named:
                    made[k] = self._leaf(sympy.Symbol, self.named[k])
                elif node.kind == "use":
                    value = made[node.args[0]]
                    made[k] = self._new(Defined, value) if reduces[k] else value
                elif k in chains:
                    made[k] = self._flat(FAMILY[node.kind], [(sign, made[part]) for sign, part in chains[k]])
                else:
                    made[k] = self._make(node, [made[arg] for arg in node.args])
        return made[self.syntax.root]

    def _chain(self, k: int) -> list[tuple[str, int]]:
        """The operands of a left-nested chain with their operators, in typed order."""
        family = FAMILY[self.nodes[k].kind]
        parts: list[tuple[str, int]] = []
        while True:
            node = self.nodes[k]
            parts.append((node.kind, node.args[1]))
            k = node.args[0]
            if FAMILY.get(self.nodes[k].kind) != family:
                parts.append((family, k))
                return parts[::-1]

    def _flat(self, family: str, parts: list[tuple[str, Any]]) -> Any:
        if family == "+":
            return self._new(
                sympy.Add,
                *(part if sign == "+" else self._new(sympy.Mul, sympy.S.NegativeOne, part) for sign, part in parts),
            )
        return self._new(
            sympy.Mul,
            *(part if sign == "*" else self._new(sympy.Pow, part, sympy.S.NegativeOne) for sign, part in parts),
        )

    def _new(self, cls: Any, *args: Any) -> Any:
        key = (cls, *map(id, args))
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = Basic.__new__(cls, *args)
            if cls in (sympy.Add, sympy.Mul, sympy.Pow):
                found.is_commutative = True
        return found

    def _leaf(self, cls: Any, value: Any, **assumptions: bool) -> Any:
        key = (cls, value, *assumptions)
        if key not in self.known:
            self.known[key] = cls(value, **assumptions)
        return self.known[key]

    def _make(self, node: SyntaxNode, args: list[Any]) -> Any:
        kind = node.kind
        if kind == "number":
            digits = self.syntax.text[node.start : node.end].strip("( \t\r\n\u00a0)")
            return self._leaf(sympy.Integer, int(digits)) if digits.isdigit() else self._leaf(sympy.Float, node.value)
        if kind == "name":
            return self._leaf(sympy.Symbol, node.value)
        if kind in ("bound", "sum", "product"):
            index = self._leaf(sympy.Symbol, node.value[0], integer=True)
            if kind == "bound":
                return index
            return self._new(Sum if kind == "sum" else Product, args[0], index, args[1], args[2])
        if kind == "constant":
            return sympy.pi if node.value == "pi" else sympy.E
        if kind == "truth":
            return sympy.true if node.value else sympy.false
        if kind == "neg":
            return self._new(sympy.Mul, sympy.S.NegativeOne, args[0])
        if kind == "**":
            return self._new(sympy.Pow, *args)
        if kind == "at":
            return self._new(sympy.Indexed, self._leaf(sympy.IndexedBase, node.value), *args)
        if kind == "compare":
            signs = [self._new(RELATIONS[sign], args[i], args[i + 1]) for i, sign in enumerate(node.value)]
            return signs[0] if len(signs) == 1 else self._new(Both, *signs)
        if kind in ("and", "or"):
            return self._new(Both if kind == "and" else Either, *args)
        if kind == "not":
            return self._new(Negate, *args)
        if kind == "pair":
            return self._new(sympy.Tuple, *args)
        assert kind == "call", kind
        return self._call(node, args)

    def _call(self, node: SyntaxNode, args: list[Any]) -> Any:
        if node.value in WHOLE:
            vectors = [self._leaf(sympy.IndexedBase, self.nodes[arg].value) for arg in node.args]
            return self._new(WHOLE[node.value], *vectors)
        if node.value == "Piecewise":
            choice: Any = sympy.nan
            for pair in reversed(args):
                value, condition = pair.args
                choice = value if condition is sympy.true else self._new(Where, condition, value, choice)
            return choice
        op = FUNCTIONS[node.value]
        if op is ops.log and len(args) == 2:
            logs = [self._new(sympy.log, arg) for arg in args]
            return self._flat("*", [("*", logs[0]), ("/", logs[1])])
        if op is ops.sqrt:
            return self._new(sympy.Pow, args[0], sympy.S.Half)
        return self._new(CLASS_OF[op], *args)
