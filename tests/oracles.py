"""What tests compare with: the rows of the table in SymPy's words, computed in 50 digits, and bit-for-bit equality."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import sympy

from optcli.autograd.ops import Op

DIGITS = 50
TIMES = int(os.environ.get("OPTCLI_EXAMPLES", "1"))  # how many times the usual number of random examples are tried
EPS = 2.0**-52
MANY = 3  # arguments with which Max and Min are tried

x, y, z = sympy.symbols("x y z", real=True)
OPERATORS: dict[str, Any] = {
    "neg": -x,
    "add": x + y,
    "sub": x - y,
    "mul": x * y,
    "div": x / y,
    "pow": x**y,
    "max": sympy.Max(x, y, z),
    "min": sympy.Min(x, y, z),
    "where": sympy.Piecewise((y, sympy.Ne(x, 0)), (z, True)),
    "mod": x - y * sympy.floor(x / y),
}
CONDITIONS: dict[str, Callable[..., bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "not": lambda a: not a,
}
FLAT = {"sign", "floor", "ceil", "heaviside"}  # wherever they have a derivative


def arity(op: Op) -> int:
    return MANY if op.arity is None else op.arity


def meaning(op: Op) -> tuple[Any, list[Any]]:
    """The row in SymPy's words, and the symbols of its arguments."""
    if op.name in OPERATORS:
        return OPERATORS[op.name], [x, y, z][: arity(op)]
    if op.formula:
        names = {name: sympy.Symbol(name, real=True) for name in "cpxy"}
        expression = sympy.sympify(op.formula, locals=names)
        return expression, sorted(expression.free_symbols, key=str)
    symbols = [x, y, z][: arity(op)]
    return getattr(sympy, op.sympy)(*symbols), symbols


def derivative(expression: Any, symbol: Any) -> Any:
    """sympy.diff, where floor is flat and nothing happens at a single point."""
    flat = {step: sympy.Dummy() for step in expression.atoms(sympy.floor)}
    slope = expression.subs(flat).diff(symbol).subs({dummy: step for step, dummy in flat.items()})
    return slope.replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)


def computed(symbols: list[Any], expression: Any, digits: int = DIGITS) -> Callable[..., Any]:
    """The expression as a function of doubles, in so many digits."""
    compute = sympy.lambdify(symbols, expression, "mpmath")

    def at(*point: float) -> Any:
        with mpmath.workdps(digits):
            return mpmath.mpf(compute(*map(mpmath.mpf, point)))

    return at


@functools.cache
def precise(op: Op, *wrt: int) -> Callable[..., Any]:
    """The row, or its partial derivative with respect to these arguments one after the other, in 50 digits."""
    expression, symbols = meaning(op)
    for k in wrt:
        expression = sympy.S.Zero if op.name in FLAT else derivative(expression, symbols[k])
    return computed(symbols, expression)


def far(value: Any, wanted: Any, floor: float = 0.0) -> float:
    """The error in units of the last place of `wanted`, or of `floor` where that is larger."""
    size = max(abs(mpmath.mpf(wanted)), mpmath.mpf(floor), mpmath.mpf(5e-324) / EPS)
    return float(abs(mpmath.mpf(float(value)) - wanted) / size / EPS)


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, or both NaN."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    nan = np.isnan(a) & np.isnan(b)
    return a.shape == b.shape and bool(np.all(nan | ((a == b) & (np.signbit(a) == np.signbit(b)))))
