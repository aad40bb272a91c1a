"""Text → objective → Problem: the one place where expr, autograd, engine and optimize meet."""

from __future__ import annotations

import copy
import functools
import gc
import importlib.util
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.autograd.gradient import gradient, hessian_vector_product
from optcli.autograd.graph import Constant, Graph, Input
from optcli.autograd.ops import Op
from optcli.engine.numpy_engine import Plan, overflowed
from optcli.errors import ExpressionError, FileError, UsageError, did_you_mean, nearest, visible
from optcli.expr.functions import FUNCTIONS
from optcli.expr.graphs import graph_of
from optcli.expr.parse import parse
from optcli.expr.resolve import Resolved, resolve
from optcli.expr.syntax import Syntax
from optcli.layout import Layout

if TYPE_CHECKING:
    from optcli.engine.native.plan import Evaluator
    from optcli.library import Entry
    from optcli.optimize.methods.method import Method
    from optcli.optimize.problem import Problem

Array = NDArray[np.float64]
ENGINES = ("auto", "native", "numpy")
MANY_NODES = 1000  # from which on long sums are looked for
KINKED = frozenset(
    (ops.abs_, ops.sign, ops.floor, ops.ceil, ops.mod, ops.largest, ops.smallest, ops.heaviside, ops.where)
)
NATIVE = {"value": "_native_value", "gradient": "_native_gradient", "product": "_native_product"}
LONG_IN_A_RUN = 2_000  # the same for a whole run by a method that sees curvature
LONG = 20_000  # entries of the longest array from which on one evaluation is worth being compiled


REMEDY = "Install it with pip install llvmlite, or use --engine numpy."


class Source(NamedTuple):
    """What a FUNCTION argument stands for: the text of the expression, and where it came from."""

    text: str
    label: str  # the library's name, or the text or path as given
    entry: Entry | None = None


def source(function: str) -> Source:
    """Find a FUNCTION: a library name, a path to a .yaml or .txt file, or else an expression.

    Raises ExpressionError for a bare name that is no library function, FileError for files that cannot be read.
    """
    from optcli import library

    name = function.strip()
    if name.lower() in library.names():
        entry = library.get(name)
        return Source(entry.expression, entry.name, entry)
    if name.endswith((".yaml", ".yml", ".txt")) and "\n" not in name and "\0" not in name:
        return _file(name)
    if name.isidentifier():
        tokens = parse(function)
        if tokens.nodes[tokens.root].kind == "name":
            known = nearest(name, [*library.names(), *FUNCTIONS])
            hint = f"Did you mean {' or '.join(known)}? " if known else "`optcli functions` lists the library. "
            raise ExpressionError(
                f"there is no function {visible(name)}",
                function,
                (0, len(function)),
                f"{hint}To minimize a variable write ({name}).",
            )
    return Source(function, function)


def _file(name: str) -> Source:
    from optcli import library

    path = Path(name)
    if name.endswith(".txt"):
        try:
            # no text holds a string, so # always begins a comment
            return Source(re.sub("#[^\n]*", "", path.read_bytes().decode("utf-8-sig")).strip(), name)
        except UnicodeDecodeError as error:
            raise FileError(f"{visible(name)}: byte {error.start} is not UTF-8", "Save the file as UTF-8.") from None
        except OSError as error:
            raise FileError(f"{visible(name)}: {error.strerror or error}", "Check the path.") from None
    entry = library.load_file(path)
    return Source(entry.expression, name, entry)


@dataclass(frozen=True)
class Objective:
    """A scalar function of a flat vector x, shape (layout.size,), with exact derivatives.

    Values, gradients, and products come from plans that are compiled at their first use: native ones where arrays are
    long, unless `engine` is "numpy".
    """

    text: str
    resolved: Resolved | None  # None for a SymPy expression
    given: Any  # the SymPy expression that was handed in, or None
    layout: Layout
    params: Mapping[str, float]
    graph: Graph
    engine: str = "auto"
    _parts: dict[str, slice] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parts", self.layout.slices())

    @cached_property
    def expression(self) -> Any:
        """The unevaluated SymPy expression, made when it is asked for."""
        if self.resolved is None:
            return self.given
        from optcli.expr.typed import to_sympy

        return to_sympy(self.resolved)

    @cached_property
    def rolled_graph(self) -> Graph:
        """The graph with long sums of terms of one form as arrays: what is computed."""
        if len(self.graph.nodes) < MANY_NODES:
            return self.graph
        from optcli.autograd.rolled import rolled

        with _no_collection():
            return rolled(self.graph)

    @cached_property
    def value_plan(self) -> Plan:
        return Plan(self.rolled_graph)

    @cached_property
    def gradient_graph(self) -> Graph:
        with _no_collection():
            return gradient(self.rolled_graph)

    @cached_property
    def gradient_plan(self) -> Plan:
        return Plan(self.gradient_graph)

    @cached_property
    def product_graph(self) -> Graph:
        with _no_collection():
            return hessian_vector_product(self.rolled_graph)

    @cached_property
    def product_plan(self) -> Plan:
        return Plan(self.product_graph)

    @cached_property
    def _longest(self) -> int:
        """Entries of the longest array that an evaluation makes."""
        return max((math.prod(node.shape) for node in self.rolled_graph.nodes), default=0)

    @cached_property
    def _long(self) -> bool:
        return self.engine != "numpy" and self._longest >= LONG and native_works()

    @cached_property
    def exact(self) -> bool:
        """Whether every engine computes the same digits: scalars and correctly rounded operations alone."""
        return all(
            node.shape == () and (isinstance(node.op, Constant | Input) or (isinstance(node.op, Op) and node.op.exact))
            for node in self.gradient_graph.nodes
        )

    @property
    def pays(self) -> bool:
        """Whether native code is worth being made for the few hundred evaluations of a method that sees curvature."""
        if self.engine == "native" or self._longest >= LONG_IN_A_RUN:
            return True
        return len(self.gradient_graph.nodes) >= MANY_NODES

    @cached_property
    def smooth(self) -> bool:
        """Whether no operation has a kink or a jump: Newton's methods count on that."""
        return not any(node.op in KINKED for node in self.graph.nodes if isinstance(node.op, Op))

    def compiled(self) -> Objective:
        """The same with every evaluation in native code, whatever its size.

        Raises RuntimeError, then or at an evaluation, where that cannot be compiled.
        """
        twin = copy.copy(self)
        twin.__dict__["_long"] = True
        twin._native_gradient.load()
        return twin

    def _native(self, graph: Graph, vectors: int, values: int) -> Evaluator:
        """The graph of `vectors` flat vectors; its outputs are `values` numbers, then the parts of one vector."""
        from optcli.engine.native.plan import Evaluator

        count = len(self.layout.variables)
        inputs = [range(k * count, (k + 1) * count) for k in range(vectors)]
        outputs = [*((k,) for k in range(values)), range(values, len(graph.outputs))]
        return Evaluator(graph, inputs, outputs[: len(outputs) if len(graph.outputs) > values else -1])

    @cached_property
    def _native_value(self) -> Evaluator:
        return self._native(self.rolled_graph, 1, 1)

    @cached_property
    def _native_gradient(self) -> Evaluator:
        return self._native(self.gradient_graph, 1, 1)

    @cached_property
    def _native_product(self) -> Evaluator:
        return self._native(self.product_graph, 2, 0)

    def masked(self) -> tuple[str, ...]:
        """The parts of the native code that gave up the quick products, see optimize.problem.Code."""
        made = self.__dict__
        return tuple(part for part, name in NATIVE.items() if name in made and made[name].masked)

    def mask(self, parts: Iterable[str]) -> None:
        """Let these parts give them up."""
        for part in parts:
            if part in NATIVE:
                getattr(self, NATIVE[part]).mask()

    def unmask(self) -> None:
        """Let all parts begin anew with the quick products."""
        for name in NATIVE.values():
            if name in self.__dict__:
                self.__dict__[name].unmask()

    @cached_property
    def _all_scalar(self) -> bool:
        return all(not variable.shape for variable in self.layout.variables)

    def inputs(self, x: Array) -> list[Any]:
        """The flat vector as the graph's inputs, without copying vectors."""
        if self._all_scalar:
            return list(x)
        return [
            x[part].reshape(variable.shape) if variable.shape else x[part.start]
            for variable, part in zip(self.layout.variables, self._parts.values(), strict=True)
        ]

    def _flat(self, parts: list[Any]) -> Array:
        if self._all_scalar:
            return np.array(parts, dtype=np.float64)
        flat = np.empty(self.layout.size)
        for part, place in zip(parts, self._parts.values(), strict=True):
            flat[place] = np.reshape(part, -1)
        return flat

    def value(self, x: Array) -> float:
        if self._long:
            return float(self._native_value(x)[0][0])
        return float(self.value_plan(*self.inputs(x))[0])

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """The value and a new array of shape (size,)."""
        if self._long:
            first, slope = self._native_gradient(x)
            return float(first[0]), slope
        value, *parts = self.gradient_plan(*self.inputs(x))
        return float(value), self._flat(parts)

    def hvp(self, x: Array, v: Array) -> Array:
        """The product of the Hessian at x with v, shape (size,)."""
        if self._long:
            return self._native_product(x, v)[0]
        return self._flat(self.product_plan(*self.inputs(x), *self.inputs(v)))

    def hessian(self, x: Array) -> Array:
        """The Hessian, shape (size, size), by one product for each column."""
        columns = [self.hvp(x, unit) for unit in np.eye(self.layout.size)]
        return np.array(columns).reshape(self.layout.size, self.layout.size).T

    def overflowed(self, x: Array) -> bool:
        """Whether what is not finite at x is a number too large, in value or gradient."""
        return overflowed(self.gradient_graph, self.inputs(x))


def build(
    text: str,
    params: Mapping[str, float] | None = None,
    data: Mapping[str, Array] | None = None,
    engine: str = "auto",
) -> Objective:
    """The objective of a text. Everything that can be refused is refused before SymPy is imported or a file is written.

    Raises ExpressionError.
    """
    params, data = dict(params or {}), dict(data or {})
    with _no_collection():
        syntax = parse(text)
        _known_names(syntax, params, "parameter")
        _known_names(syntax, data, "data array")
        resolved = resolve(syntax, params, data)
        graph = graph_of(resolved)
    return Objective(text, resolved, None, resolved.layout, params, graph, engine)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's cyclic collector off: a long text makes a million objects that all live, and each pass visits them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def build_sympy(expression: Any, params: Mapping[str, float] | None = None) -> Objective:
    """The objective of a SymPy expression. Raises ExpressionError where SymPy says what the language cannot."""
    from optcli.expr.given import read
    from optcli.expr.lower import lower

    params = dict(params or {})
    layout, first = read(expression, params)
    return Objective(str(expression), None, expression, layout, params, lower(expression, layout, params, {}, first))


def _known_names(syntax: Syntax, given: Mapping[str, Any], what: str) -> None:
    for name in given:
        if name not in syntax.names:
            bound = sorted({node.value[0] for node in syntax.nodes if node.kind == "bound"})
            remedy = did_you_mean(name, syntax.names) or (
                f"{name} is the index of a Sum here."
                if name in bound
                else f"The names are {', '.join(syntax.names[:8])}."
            )
            raise UsageError(f"there is no {what} {visible(name)} in {visible(syntax.text[:60])}", remedy)


def problem(
    objective: Objective,
    maximize: bool = False,
    lower: Array | None = None,
    upper: Array | None = None,
    method: Method | None = None,
) -> Problem:
    """The Problem of minimizing the objective, or its negative, within bounds of shape (size,).

    With a `method` its loop, or what it evaluates, is native code, unless the objective's engine is "numpy"; raises
    RuntimeError where that cannot be compiled.
    """
    from optcli.optimize.methods.first_order import FirstOrder
    from optcli.optimize.problem import Problem

    if isinstance(method, FirstOrder) and method.elementwise and objective.engine != "numpy":
        from optcli.compiled import CompiledProblem

        return CompiledProblem(objective, method, maximize, lower, upper)
    if method is not None and objective.engine != "numpy" and objective.pays:
        objective = objective.compiled()
    value, both, product = objective.value, objective.value_and_gradient, objective.hvp
    if maximize:

        def negative(x: Array) -> float:
            return -objective.value(x)

        def negative_both(x: Array) -> tuple[float, Array]:
            f, g = objective.value_and_gradient(x)
            return -f, -g

        def negative_product(x: Array, v: Array) -> Array:
            return -objective.hvp(x, v)

        value, both, product = negative, negative_both, negative_product
    size, overflow = objective.layout.size, objective.overflowed
    return Problem(size, value, both, lower=lower, upper=upper, overflow=overflow, product=product, code=objective)


def native_is_installed() -> bool:
    """Whether llvmlite can be found; it is not loaded."""
    try:
        return importlib.util.find_spec("llvmlite") is not None
    except ValueError:  # barred by None in sys.modules
        return False


@functools.cache
def native_works() -> bool:
    """Whether there is an LLVM to compile with."""
    try:
        from optcli.engine.native import llvm

        return bool(llvm.ready())
    except (ImportError, OSError, RuntimeError, AttributeError):
        return False


def engine(wanted: str) -> str:
    """The engine that will be used. Raises UsageError for one that is not there."""
    if wanted == "numpy" or (wanted == "auto" and not native_works()):
        return "numpy"
    if not native_works():
        raise UsageError("the native engine needs llvmlite, which cannot be loaded", REMEDY)
    return "native"
