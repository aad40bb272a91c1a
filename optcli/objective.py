"""A scalar function with exact derivatives: its graphs, its plans on either engine, and which engines there are."""

from __future__ import annotations

import copy
import functools
import gc
import importlib.util
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.autograd.gradient import gradient, hessian_vector_product
from optcli.autograd.graph import Constant, Graph, Input
from optcli.autograd.ops import Op
from optcli.engine.numpy_engine import Plan, overflowed
from optcli.errors import UsageError
from optcli.layout import Layout

if TYPE_CHECKING:
    from optcli.engine.native.plan import Evaluator
    from optcli.expr.resolve import Resolved

Array = NDArray[np.float64]
Product: TypeAlias = Callable[[Array, Array], Array]  # of a Hessian at x with v, all of shape (size,)
MANY_NODES = 1000  # from which on long sums are looked for
KINKED = frozenset(
    (ops.abs_, ops.sign, ops.floor, ops.ceil, ops.mod, ops.largest, ops.smallest, ops.heaviside, ops.where)
)
NATIVE = {"value": "_native_value", "gradient": "_native_gradient", "product": "_native_product"}
LONG = 20_000  # entries of the longest array from which on one evaluation is worth being compiled
LONG_IN_A_RUN = 2_000  # the same for a whole run by a method that sees curvature
COMPILING = 100_000_000  # numbers that the numpy engine computes while LLVM compiles a product
SEVERAL = 30  # products, more than a verdict mostly asks for
REMEDY = "Install it with pip install llvmlite, or use --engine numpy."


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

        with no_collection():
            return rolled(self.graph)

    @cached_property
    def value_plan(self) -> Plan:
        return Plan(self.rolled_graph)

    @cached_property
    def gradient_graph(self) -> Graph:
        with no_collection():
            return gradient(self.rolled_graph)

    @cached_property
    def gradient_plan(self) -> Plan:
        return Plan(self.gradient_graph)

    @cached_property
    def product_graph(self) -> Graph:
        with no_collection():
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

    @property
    def work(self) -> int:
        """How many numbers an evaluation of value and gradient computes."""
        return _numbers(self.gradient_graph)

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
        return self._by_numpy(x, v)

    def _by_numpy(self, x: Array, v: Array) -> Array:
        return self._flat(self.product_plan(*self.inputs(x), *self.inputs(v)))

    def brief_hvp(self) -> Product:
        """`hvp` for one who may ask but a few times: compiled only once compiling would have taken no longer.

        It depends on nothing else that was asked, so that what a verdict says depends on its point alone.
        """
        if not self._long or self._longest < LONG_IN_A_RUN:
            return self.hvp
        few = COMPILING // _numbers(self.product_graph)
        if few < SEVERAL:
            return self.hvp
        asked = itertools.count()
        return lambda x, v: self._by_numpy(x, v) if next(asked) < few else self.hvp(x, v)

    def beyond_gradients(self, maximize: bool) -> dict[str, Any]:
        """What a Problem asks of an objective, or of its negative, besides values and gradients: keywords for it."""

        def signed(product: Product) -> Product:
            return (lambda x, v: -product(x, v)) if maximize else product

        return {
            "overflow": self.overflowed,
            "product": signed(self.hvp),
            "brief": lambda: signed(self.brief_hvp()),
            "code": self,
        }

    def hessian(self, x: Array) -> Array:
        """The Hessian, shape (size, size), by one product for each column."""
        columns = [self.hvp(x, unit) for unit in np.eye(self.layout.size)]
        return np.array(columns).reshape(self.layout.size, self.layout.size).T

    def overflowed(self, x: Array) -> bool:
        """Whether what is not finite at x is a number too large, in value or gradient."""
        return overflowed(self.gradient_graph, self.inputs(x))


def _numbers(graph: Graph) -> int:
    return sum(math.prod(node.shape) for node in graph.nodes)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's cyclic collector off: a long text makes a million objects that all live, and each pass visits them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
