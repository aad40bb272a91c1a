"""What the names of a syntax mean: functions and their arguments, constants, vectors and the ranges of their indices.

Everything that can be refused is refused here, before SymPy is imported.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.errors import ExpressionError, nearest, visible
from optcli.expr.functions import ELSEWHERE, FUNCTIONS, NEEDS_BRACKET, SPECIAL, WHOLE_VECTOR
from optcli.expr.syntax import CONDITIONS, Syntax, SyntaxNode
from optcli.layout import Layout, Variable

Array = NDArray[np.float64]
VALUES = {"pi": np.pi, "E": np.e}
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "neg": ops.neg.kernel,
    "+": ops.add.kernel,
    "-": ops.sub.kernel,
    "*": ops.mul.kernel,
    "/": ops.div.kernel,
    "**": ops.pow_.kernel,
    "and": ops.both.kernel,
    "or": ops.either.kernel,
    "not": ops.negate.kernel,
}
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class Resolved(NamedTuple):
    """A text whose every name has a meaning.

    `layout` holds the variables; `first` the lowest indices of every vector, variables and data alike.
    """

    syntax: Syntax
    layout: Layout
    params: Mapping[str, float]
    data: Mapping[str, Array]
    first: Mapping[str, tuple[int, ...]]


def resolve(syntax: Syntax, params: Mapping[str, float], data: Mapping[str, Array]) -> Resolved:
    """The meaning of every name. Raises ExpressionError at the first one that has none, or a wrong one."""
    return _Resolver(syntax, params, data).run()


class _Resolver:
    def __init__(self, syntax: Syntax, params: Mapping[str, float], data: Mapping[str, Array]) -> None:
        self.syntax = syntax
        self.nodes = syntax.nodes
        self.params = params
        self.data = data
        self.whole: set[int] = set()  # name nodes that stand for a whole vector

    def run(self) -> Resolved:
        for node in self.nodes:
            if node.kind == "call":
                self._call(node)
        for name, value in self.syntax.definitions:
            if name in NEEDS_BRACKET:
                self._fail(f"{name} is a function and cannot be defined", value, "Give the value another name.")
        self._constants()
        dimensions = self._roles()
        if not dimensions and not any(node.kind in ("sum", "product") for node in self.nodes):
            scalars = tuple([Variable(name) for name in self.syntax.names if name not in self.params])
            return Resolved(self.syntax, Layout(scalars), self.params, self.data, {})
        return self._with_ranges(dimensions)

    def _with_ranges(self, dimensions: Mapping[str, int]) -> Resolved:
        from optcli.expr.ranges import Ranges

        read = Ranges(self.syntax, self.params, self.data)
        first: dict[str, tuple[int, ...]] = {}
        variables: list[Variable] = []
        for name in self.syntax.names:
            if name in self.data:
                first[name] = read.data_first(name)
            elif name in dimensions:
                ranges = read.variable(name)
                first[name] = tuple(low for low, _ in ranges)
                variables.append(Variable(name, tuple(high - low + 1 for low, high in ranges), first[name]))
            elif name not in self.params:
                variables.append(Variable(name))
        return Resolved(self.syntax, Layout(tuple(variables)), self.params, self.data, first)

    # ------------------------------------------------------------ calls

    def _call(self, node: SyntaxNode) -> None:
        name, args = node.value, node.args
        if name == "Piecewise":
            self._piecewise(node)
            return
        if name in WHOLE_VECTOR:
            self._arity(node, WHOLE_VECTOR[name])
            for arg in args:
                if self.nodes[arg].kind != "name":
                    example = {"sum": "Sum(x[i]**2, (i, 1, n))", "dot": "Sum(x[i]*y[i], (i, 1, n))"}
                    instead = example.get(name, "sqrt(Sum(x[i]**2, (i, 1, n)))")
                    self._fail(f"{name} takes the name of a vector", arg, f"Write {instead} for anything else.")
                self.whole.add(arg)
            return
        op = FUNCTIONS.get(name)
        if op is None:
            self._unknown_function(node)
        if name in ("log", "ln") and len(args) == 2:
            self._numbers(args)
            return
        if op.arity is None:
            if not args:
                self._fail(f"{name} takes one argument or more", node)
        else:
            self._arity(node, op.arity)
        if op is ops.where:
            if self.nodes[args[0]].kind not in CONDITIONS:
                self._fail("where begins with a condition", args[0], "Write where(x > 0, a, b).")
            args = args[1:]
        self._numbers(args)

    def _arity(self, node: SyntaxNode, count: int) -> None:
        if len(node.args) != count:
            plural = "argument" if count == 1 else "arguments"
            example = ", ".join("xyz"[:count]) if node.value != "where" else "x > 0, a, b"
            remedy = f"Write {node.value}({example})."
            self._fail(f"{node.value} takes {count} {plural}, not {len(node.args)}", node, remedy)

    def _numbers(self, args: tuple[int, ...]) -> None:
        for arg in args:
            kind = self.nodes[arg].kind
            if kind in CONDITIONS:
                self._fail("a condition stands where a number is needed", arg, "Write where(condition, 1, 0).")
            if kind == "pair":
                self._fail("a list stands where a number is needed", arg)

    def _piecewise(self, node: SyntaxNode) -> None:
        for arg in node.args:
            pair = self.nodes[arg]
            if pair.kind != "pair" or len(pair.args) != 2 or self.nodes[pair.args[1]].kind not in CONDITIONS:
                self._fail(
                    "Piecewise takes pairs (value, condition)", arg, "Write Piecewise((x**2, x < 0), (x, True))."
                )
            self._numbers(pair.args[:1])
        if not node.args:
            self._fail("Piecewise takes pairs (value, condition)", node)

    def _unknown_function(self, node: SyntaxNode) -> NoReturn:
        name = node.value
        span = (node.start, node.start + len(name))
        if name in ELSEWHERE:
            remedy = f"Write {ELSEWHERE[name]}."
        elif len(name) == 1 or name in self.syntax.names or name in ("pi", "π", "E", *self.params):
            remedy = f"Write {visible(name)}*(…) for a product."
        else:
            # a near miss of a name from elsewhere counts only where it is close to no function of the language
            hits = nearest(name, [*FUNCTIONS, *SPECIAL]) or [ELSEWHERE[hit] for hit in nearest(name, ELSEWHERE)]
            some = "sin, exp, log, sqrt, abs, max, where, Sum"
            remedy = (
                f"Did you mean {' or '.join(hits)}?" if hits else f"Functions are {some} and others: see the README."
            )
        raise ExpressionError(f"there is no function {visible(name[:60])}", self.syntax.text, span, remedy)

    # ------------------------------------------------------------ constants

    def _constants(self) -> None:
        """Compute every part that is made of numbers alone: it must be a finite real double."""
        known: list[Any] = [None] * len(self.nodes)
        with np.errstate(all="ignore"):
            for k, node in enumerate(self.nodes):
                kind = node.kind
                if kind == "number":
                    if math.isfinite(node.value):
                        known[k] = node.value
                        continue
                    value: Any = node.value
                elif kind == "constant":
                    value = np.float64(VALUES[node.value])
                elif kind == "truth":
                    value = np.float64(node.value)
                elif kind == "use":
                    known[k] = known[node.args[0]]
                    continue
                elif kind in ("name", "bound", "binder", "at", "sum", "product", "pair"):
                    continue
                else:
                    args = [known[arg] for arg in node.args]
                    self._divisor(node, args)
                    if not args or None in args:
                        continue
                    value = self._constant(node, [np.float64(arg) for arg in args])
                    if value is None:
                        continue
                known[k] = value
                if not np.isfinite(value):
                    what = "has no real value" if np.isnan(value) else "is infinite, or beyond the largest double"
                    self._fail(f"this constant {what}", k, "Every part made of numbers must be a finite real number.")

    def _divisor(self, node: SyntaxNode, args: list[Any]) -> None:
        if node.kind != "/" and node.kind != "call":
            return
        divides = node.kind == "/" or node.value == "Mod"
        if divides and args[1] is not None and args[1] == 0.0:
            self._fail("division by zero", node.args[1], "Write a divisor that is not zero.")
        logarithm = node.kind == "call" and node.value in ("log", "ln") and len(args) == 2 and args[1] is not None
        if logarithm and not (args[1] > 0.0 and args[1] != 1.0):
            self._fail("the base of a logarithm is positive and not 1", node.args[1], "Write log(x, 10).")

    @staticmethod
    def _constant(node: SyntaxNode, args: list[Any]) -> Any:
        if node.kind in ARITHMETIC:
            return ARITHMETIC[node.kind](*args)
        if node.kind == "compare":
            return np.float64(all(COMPARE[sign](args[i], args[i + 1]) for i, sign in enumerate(node.value)))
        op = FUNCTIONS.get(node.value)
        if op is None:
            return None
        if op is ops.log and len(args) == 2:
            return np.log(args[0]) / np.log(args[1])
        return op.kernel(*args)

    # ------------------------------------------------------------ names

    def _roles(self) -> dict[str, int]:
        """The number of indices of every vector and matrix; a name is one of them or a scalar."""
        dimensions: dict[str, int] = {}
        scalars: dict[str, int] = {}
        for name in self.data:
            dimensions[name] = self.data[name].ndim
        for name, root in self.syntax.definitions:
            if name in NEEDS_BRACKET:
                self._fail(f"{name} is a function and cannot be defined", root, "Choose another name.")
        for k, node in enumerate(self.nodes):
            if node.kind == "at":
                if node.value in NEEDS_BRACKET:
                    self._fail(f"{node.value} is a function", k, f"Write {node.value}(…).")
                self._vector(dimensions, node.value, len(node.args), k)
            elif k in self.whole and node.kind == "name":
                self._vector(dimensions, node.value, dimensions.get(node.value, 1), k)
            elif node.kind == "name":
                if node.value in NEEDS_BRACKET:
                    self._fail(f"{node.value} is a function", k, f"Write {node.value}(…).")
                scalars.setdefault(node.value, k)
        for name, k in scalars.items():
            if name in dimensions:
                self._fail(f"{name} is used with an index and without", k, f"Write {name}[1], or use two names.")
        for name in self.params:
            if name in dimensions:
                k = next(k for k, node in enumerate(self.nodes) if node.kind in ("at", "name") and node.value == name)
                self._fail(f"{name} is a parameter, a single number, and has no entries", k)
        return dimensions

    def _vector(self, dimensions: dict[str, int], name: str, count: int, k: int) -> None:
        if dimensions.setdefault(name, count) != count:
            self._fail(f"{name} is used with {count} and with {dimensions[name]} indices", k)

    def _fail(self, message: str, at: int | SyntaxNode, remedy: str = "") -> NoReturn:
        node = self.nodes[at] if isinstance(at, int) else at
        raise ExpressionError(message, self.syntax.text, (node.start, node.end), remedy)
