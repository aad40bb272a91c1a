"""THE table of primitives: one row an operation.

A row holds the numpy kernel, the partial derivatives written with ordinary operators (so that the same line serves
arrays, eager Tensors and graph nodes, and derivatives of derivatives exist), how the language and SymPy spell it, and
the region in which tests try it. Products of a cotangent and a partial derivative go through `chain`, where a zero on
either side gives zero: the branch not taken never poisons a gradient.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from optcli.autograd import kernels, native_rules

Shape = tuple[int, ...]
Interval = tuple[float, float]
ANY: Interval = (-3.0, 3.0)
POSITIVE: Interval = (0.1, 3.0)


class Operation(Protocol):
    """What elementwise rows and structural operations have in common."""

    @property
    def name(self) -> str: ...

    @property
    def kernel(self) -> Callable[..., Any]: ...

    def out_shape(self, shapes: Sequence[Shape]) -> Shape: ...


class Operand:
    """What eager Tensors and graph nodes share: ordinary operators and numpy's functions make operations of the table.

    A subclass has `shape` and `apply(op, args)`, which performs or records the operation.
    """

    __slots__ = ()
    shape: Shape

    @staticmethod
    def apply(op: Operation, args: tuple[Any, ...]) -> Any:
        raise AssertionError("a subclass applies")

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        op = BY_UFUNC.get(ufunc)
        if op is None or method != "__call__" or kwargs:
            return NotImplemented
        return op(*args)

    def __add__(self, other: Any) -> Any:
        return add(self, other)

    def __radd__(self, other: Any) -> Any:
        return add(other, self)

    def __sub__(self, other: Any) -> Any:
        return sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return div(other, self)

    def __pow__(self, other: Any) -> Any:
        return pow_(self, other)

    def __rpow__(self, other: Any) -> Any:
        return pow_(other, self)

    def __mod__(self, other: Any) -> Any:
        return mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return mod(other, self)

    def __neg__(self) -> Any:
        return neg(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return abs_(self)


def call(op: Operation, args: tuple[Any, ...]) -> Any:
    """`op` on arrays, Tensors or nodes, whichever the arguments are."""
    for arg in args:
        if isinstance(arg, Operand):
            return arg.apply(op, args)
    return op.kernel(*args)


@dataclass(frozen=True, eq=False)
class Op:
    """One elementwise primitive. `partials` take (result, *arguments); None marks an argument without derivative."""

    name: str
    kernel: Callable[..., Any]
    partials: tuple[Callable[..., Any] | None, ...] | None
    spellings: tuple[str, ...] = ()  # in the language; empty: an operator or internal
    sympy: str = ""  # SymPy's class with exactly this meaning, or empty: one of our own stands in
    formula: str = ""  # its meaning in SymPy's words where SymPy has no such class
    domain: tuple[Interval, ...] = (ANY,)
    scalar: Callable[..., Any] | None = None  # the same kernel, faster on numpy scalars
    many: Callable[..., Sequence[Any]] | None = None  # all partials at once, for any number of arguments
    overflows: bool = False  # an infinite result from finite arguments is a number too large, never a pole
    native: str = ""  # LLVM: an instruction, @function, or lines that define {y} from {0}, {1}, …; empty: called back

    @property
    def arity(self) -> int | None:
        """The number of arguments, None for any number from two on."""
        return None if self.partials is None else len(self.partials)

    @property
    def exact(self) -> bool:
        """Whether IEEE 754 leaves no choice of digits: the rule calls no function of the C library."""
        return bool(self.native) and "@" not in self.native.replace("@llvm.", "")

    def __call__(self, *args: Any) -> Any:
        return call(self, args)

    def __repr__(self) -> str:
        return self.name

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return broadcast_shape(shapes)

    def partial(self, i: int, y: Any, args: tuple[Any, ...]) -> Any:
        """The i-th partial derivative at `args`, None where there is none."""
        if self.partials is None:
            return None if self.many is None else self.many(y, *args)[i]
        rule = self.partials[i]
        return None if rule is None else rule(y, *args)


def broadcast_shape(shapes: Sequence[Shape]) -> Shape:
    """numpy's broadcasting rule; raises ValueError for shapes that do not fit."""
    first = shapes[0]
    for shape in shapes:
        if shape != first and shape != ():
            return np.broadcast_shapes(*shapes) if first != () or len(shapes) > 2 else shape
    return first


def _one(*_: Any) -> float:
    return 1.0


def _zero(*_: Any) -> float:
    return 0.0


def _pow_exponent(y: Any, x: Any, p: Any) -> Any:
    # 0**p is flat in p for p >= 0, as torch has it; elsewhere y*log(x)
    return where(both(eq(x, 0.0), le(0.0, p)), 0.0, chain(y, log(x)))


def _ties(y: Any, *args: Any) -> Sequence[Any]:
    # k tied arguments of Max or Min get 1/k each
    tied = [eq(arg, y) for arg in args]
    count = tied[0]
    for flag in tied[1:]:
        count = count + flag
    return [flag / count for flag in tied]


LN2, LN10 = math.log(2.0), math.log(10.0)
TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)

# --- operators
neg: Op = Op("neg", np.negative, (lambda y, x: -1.0,), scalar=operator.neg, native="fneg")
add: Op = Op("add", np.add, (_one, _one), domain=(ANY, ANY), scalar=operator.add, overflows=True, native="fadd")
sub: Op = Op(
    "sub",
    np.subtract,
    (_one, lambda y, a, b: -1.0),
    domain=(ANY, ANY),
    scalar=operator.sub,
    overflows=True,
    native="fsub",
)
mul: Op = Op(
    "mul",
    np.multiply,
    (lambda y, a, b: b, lambda y, a, b: a),
    domain=(ANY, ANY),
    scalar=operator.mul,
    overflows=True,
    native="fmul",
)
div: Op = Op(
    "div",
    np.divide,
    (lambda y, a, b: 1.0 / b, lambda y, a, b: -y / b),
    domain=(ANY, POSITIVE),
    scalar=operator.truediv,
    native="fdiv",
)
pow_: Op = Op(
    "pow",
    kernels.power,
    (lambda y, x, p: chain(p, pow_(x, p - 1.0)), _pow_exponent),
    domain=(POSITIVE, ANY),
    native="@pow",
)
square: Op = Op(
    "square",
    np.square,
    (lambda y, x: 2.0 * x,),
    formula="x**2",
    scalar=lambda x: x * x,
    overflows=True,
    native=native_rules.SQUARE,
)
chain: Op = Op(
    "chain",
    kernels.chain,
    (lambda y, c, p: p, lambda y, c, p: c),
    formula="c*p",
    domain=(ANY, ANY),
    scalar=kernels.chain_scalar,
    overflows=True,
    native="fmul",
)

# --- elementary functions
sin: Op = Op("sin", np.sin, (lambda y, x: cos(x),), ("sin",), "sin", native="@sin")
cos: Op = Op("cos", np.cos, (lambda y, x: -sin(x),), ("cos",), "cos", native="@cos")
tan: Op = Op("tan", np.tan, (lambda y, x: 1.0 + square(y),), ("tan",), "tan", domain=((-1.4, 1.4),), native="@tan")
asin: Op = Op(
    "asin",
    np.arcsin,
    (lambda y, x: 1.0 / sqrt((1.0 - x) * (1.0 + x)),),
    ("asin",),
    "asin",
    domain=((-0.9, 0.9),),
    native="@asin",
)
acos: Op = Op(
    "acos",
    np.arccos,
    (lambda y, x: -1.0 / sqrt((1.0 - x) * (1.0 + x)),),
    ("acos",),
    "acos",
    domain=((-0.9, 0.9),),
    native="@acos",
)
atan: Op = Op("atan", np.arctan, (lambda y, x: 1.0 / (1.0 + square(x)),), ("atan",), "atan", native="@atan")
atan2: Op = Op(
    "atan2",
    np.arctan2,
    (lambda y, a, b: b / hypot(a, b) / hypot(a, b), lambda y, a, b: -a / hypot(a, b) / hypot(a, b)),
    ("atan2",),
    "atan2",
    domain=(ANY, POSITIVE),
    native="@atan2",
)
sinh: Op = Op("sinh", np.sinh, (lambda y, x: cosh(x),), ("sinh",), "sinh", overflows=True, native="@sinh")
cosh: Op = Op("cosh", np.cosh, (lambda y, x: sinh(x),), ("cosh",), "cosh", overflows=True, native="@cosh")
tanh: Op = Op("tanh", np.tanh, (lambda y, x: square(1.0 / cosh(x)),), ("tanh",), "tanh", native="@tanh")
asinh: Op = Op("asinh", np.arcsinh, (lambda y, x: 1.0 / hypot(x, 1.0),), ("asinh",), "asinh", native="@asinh")
acosh: Op = Op(
    "acosh",
    np.arccosh,
    (lambda y, x: 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0)),),
    ("acosh",),
    "acosh",
    domain=((1.1, 4.0),),
    native="@acosh",
)
atanh: Op = Op(
    "atanh",
    np.arctanh,
    (lambda y, x: 1.0 / ((1.0 - x) * (1.0 + x)),),
    ("atanh",),
    "atanh",
    domain=((-0.9, 0.9),),
    native="@atanh",
)
exp: Op = Op("exp", np.exp, (lambda y, x: y,), ("exp",), "exp", overflows=True, native="@exp")
expm1: Op = Op(
    "expm1", np.expm1, (lambda y, x: exp(x),), ("expm1",), formula="exp(x) - 1", overflows=True, native="@expm1"
)
log: Op = Op("log", np.log, (lambda y, x: 1.0 / x,), ("log", "ln"), "log", domain=(POSITIVE,), native="@log")
log1p: Op = Op(
    "log1p",
    np.log1p,
    (lambda y, x: 1.0 / (1.0 + x),),
    ("log1p",),
    formula="log(1 + x)",
    domain=((-0.9, 3.0),),
    native="@log1p",
)
log2: Op = Op(
    "log2",
    np.log2,
    (lambda y, x: 1.0 / (x * LN2),),
    ("log2",),
    formula="log(x)/log(2)",
    domain=(POSITIVE,),
    native="@log2",
)
log10: Op = Op(
    "log10",
    np.log10,
    (lambda y, x: 1.0 / (x * LN10),),
    ("log10",),
    formula="log(x)/log(10)",
    domain=(POSITIVE,),
    native="@log10",
)
sqrt: Op = Op(
    "sqrt", np.sqrt, (lambda y, x: 0.5 / y,), ("sqrt",), formula="x**(1/2)", domain=(POSITIVE,), native="@llvm.sqrt.f64"
)
cbrt: Op = Op(
    "cbrt", np.cbrt, (lambda y, x: 1.0 / (3.0 * square(y)),), ("cbrt",), formula="sign(x)*Abs(x)**(1/3)", native="@cbrt"
)
abs_: Op = Op(
    "abs", np.absolute, (lambda y, x: sign(x),), ("Abs", "abs"), "Abs", scalar=operator.abs, native="@llvm.fabs.f64"
)
sign: Op = Op("sign", kernels.sign, (_zero,), ("sign",), "sign", native=native_rules.SIGN)
floor: Op = Op("floor", np.floor, (_zero,), ("floor",), "floor", native="@llvm.floor.f64")
ceil: Op = Op("ceil", np.ceil, (_zero,), ("ceiling", "ceil"), "ceiling", native="@llvm.ceil.f64")
mod: Op = Op(
    "mod",
    kernels.modulo,
    (_one, lambda y, x, m: -floor(x / m)),
    ("Mod",),
    "Mod",
    domain=((0.1, 0.9), (1.1, 2.0)),
    native=native_rules.MOD,
)
hypot: Op = Op(
    "hypot",
    np.hypot,
    (lambda y, a, b: where(eq(y, 0.0), 0.0, a / y), lambda y, a, b: where(eq(y, 0.0), 0.0, b / y)),
    ("hypot",),
    formula="sqrt(x**2 + y**2)",
    domain=(ANY, ANY),
    overflows=True,
    native="@hypot",
)
erf: Op = Op("erf", kernels.erf, (lambda y, x: TWO_OVER_SQRT_PI * exp(-square(x)),), ("erf",), "erf", native="@erf")
erfc: Op = Op(
    "erfc", kernels.erfc, (lambda y, x: -TWO_OVER_SQRT_PI * exp(-square(x)),), ("erfc",), "erfc", native="@erfc"
)
gamma: Op = Op(
    "gamma",
    kernels.gamma,
    (lambda y, x: y * polygamma(0.0, x),),
    ("gamma",),
    "gamma",
    domain=(POSITIVE,),
    native="@tgamma",
)
loggamma: Op = Op(
    "loggamma",
    kernels.loggamma,
    (lambda y, x: polygamma(0.0, x),),
    ("loggamma",),
    "loggamma",
    domain=(POSITIVE,),
    native="@lgamma",
)
polygamma: Op = Op(
    "polygamma",
    kernels.polygamma,
    (None, lambda y, n, x: polygamma(n + 1.0, x)),
    sympy="polygamma",
    domain=((0.0, 0.0), POSITIVE),
)
sigmoid: Op = Op(
    "sigmoid",
    kernels.sigmoid,
    (lambda y, x: y * sigmoid(-x),),
    ("sigmoid",),
    formula="1/(1 + exp(-x))",
    native=native_rules.SIGMOID,
)
softplus: Op = Op(
    "softplus",
    kernels.softplus,
    (lambda y, x: sigmoid(x),),
    ("softplus",),
    formula="log(1 + exp(x))",
    native=native_rules.SOFTPLUS,
)
heaviside: Op = Op("heaviside", kernels.heaviside, (_zero,), ("Heaviside",), "Heaviside", native=native_rules.HEAVISIDE)
largest: Op = Op(
    "max", kernels.largest, None, ("Max", "max"), domain=(ANY, ANY, ANY), many=_ties, native=native_rules.LARGEST
)
smallest: Op = Op(
    "min", kernels.smallest, None, ("Min", "min"), domain=(ANY, ANY, ANY), many=_ties, native=native_rules.SMALLEST
)

# --- choice: conditions are 1.0 or 0.0
where: Op = Op(
    "where",
    kernels.select,
    (None, lambda y, c, a, b: c, lambda y, c, a, b: 1.0 - c),
    ("where",),
    domain=((1.0, 1.0), ANY, ANY),
    scalar=lambda c, a, b: a if c else b,
    native=native_rules.WHERE,
)
lt: Op = Op("lt", kernels.truth(np.less), (None, None), domain=(ANY, ANY), native=native_rules.compare("olt"))
le: Op = Op("le", kernels.truth(np.less_equal), (None, None), domain=(ANY, ANY), native=native_rules.compare("ole"))
eq: Op = Op("eq", kernels.truth(np.equal), (None, None), domain=(ANY, ANY), native=native_rules.compare("oeq"))
ne: Op = Op("ne", kernels.truth(np.not_equal), (None, None), domain=(ANY, ANY), native=native_rules.compare("une"))
both: Op = Op("and", kernels.truth(np.logical_and), (None, None), domain=(ANY, ANY), native=native_rules.AND)
either: Op = Op("or", kernels.truth(np.logical_or), (None, None), domain=(ANY, ANY), native=native_rules.OR)
negate: Op = Op("not", kernels.truth(np.logical_not), (None,), domain=(ANY,), native=native_rules.NOT)

OPS: dict[str, Op] = {
    op.name: op
    for op in (
        *(neg, add, sub, mul, div, pow_, square, chain),
        *(sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh, asinh, acosh, atanh),
        *(exp, expm1, log, log1p, log2, log10, sqrt, cbrt),
        *(abs_, sign, floor, ceil, mod, hypot, largest, smallest, heaviside),
        *(erf, erfc, gamma, loggamma, polygamma, sigmoid, softplus),
        *(where, lt, le, eq, ne, both, either, negate),
    )
}

# numpy's functions on Tensors and nodes; those whose kernel here is a function of its own are named
BY_UFUNC: dict[Any, Op] = {op.kernel: op for op in OPS.values() if isinstance(op.kernel, np.ufunc)} | {
    np.power: pow_,
    np.remainder: mod,
    np.maximum: largest,
    np.minimum: smallest,
    np.sign: sign,
    np.less: lt,
    np.less_equal: le,
    np.equal: eq,
    np.not_equal: ne,
}
