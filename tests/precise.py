"""Functions of the library in mpmath, without anything of the product: Python's own parser, and differences in place of
derivatives, which in 100 digits are right to 40 and more."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from typing import Any

import mpmath
from mpmath import mpf

DIGITS = 100
STEP = mpf(10) ** -25  # of differences; third derivatives enter with its square
NAMES = (
    "sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh exp expm1 log log1p log10 "
    "sqrt cbrt hypot erf gamma loggamma floor"
)
CONSTANTS = {"pi": lambda: +mpmath.pi, "E": lambda: +mpmath.e}


class WrongError(ArithmeticError):
    """The function has no real value there."""


def _real(z: Any) -> Any:
    if isinstance(z, mpmath.mpc) or mpmath.isnan(z) or mpmath.isinf(z):
        raise WrongError(f"{z}")
    return z


def _sum(f: Any, a: Any, b: Any) -> Any:
    return mpmath.fsum(f(mpf(i)) for i in range(int(a), int(b) + 1))


def _product(f: Any, a: Any, b: Any) -> Any:
    return mpmath.fprod(f(mpf(i)) for i in range(int(a), int(b) + 1))


def _choice(*pairs: Any) -> Any:
    return next(value() for value, condition in pairs if condition())


FUNCTIONS: dict[str, Any] = {
    **{name: getattr(mpmath, name) for name in NAMES.split()},
    "abs": abs, "Abs": abs, "max": max, "Max": max, "min": min, "Min": min, "sign": mpmath.sign,
    "ceil": mpmath.ceil, "ceiling": mpmath.ceil, "ln": mpmath.log, "Sum": _sum, "Product": _product,
    "Mod": lambda a, b: a - b * mpmath.floor(a / b), "Piecewise": _choice,
    "where": lambda c, a, b: a() if c() else b(), "log2": lambda z: mpmath.log(z, 2),
    "sum": lambda v: mpmath.fsum(v.values()), "norm": lambda v: mpmath.norm(list(v.values())),
}  # fmt: skip


class _Meaning(ast.NodeTransformer):
    """Numbers become exact doubles, sums and products functions of their index, branches wait to be taken."""

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node if isinstance(node.value, bool) else ast.parse(f"mpf({float(node.value)!r})", mode="eval").body

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        self.generic_visit(node)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        key = ast.Tuple([_call("int", part) for part in parts], ast.Load())
        return ast.Subscript(node.value, key, ast.Load())

    def visit_Call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        self.generic_visit(node)
        if name in ("Sum", "Product"):
            inner = node.args[0]
            for triple in node.args[1:]:
                assert isinstance(triple, ast.Tuple)
                index, low, high = triple.elts
                assert isinstance(index, ast.Name)
                inner = _call(name, _later(inner, index.id), low, high)
            return inner
        if name == "where":
            return _call(name, *map(_later, node.args))
        if name == "Piecewise":
            pairs = [ast.Tuple([_later(e) for e in pair.elts], ast.Load()) for pair in node.args]  # type: ignore[attr-defined]
            return _call(name, *pairs)
        return node


def _call(name: str, *args: Any) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _later(body: Any, *names: str) -> ast.Lambda:
    arguments = ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])
    return ast.Lambda(arguments, body)


class Exact:
    """A text of the language as a function of doubles or numbers of mpmath, in the order of `names`.

    `names` are those of the entries as a layout gives them: x, x[1], A[1,2].
    """

    def __init__(self, text: str, params: Mapping[str, float], names: Sequence[str]) -> None:
        *definitions, last = text.replace("^", "**").split(";")
        self._places = [(name.partition("[")[0], name.partition("[")[2].rstrip("]")) for name in names]
        self._params = dict(params)
        self._code = [(None, _compiled(last))]
        for definition in reversed(definitions):
            name, _, body = definition.partition("=")
            self._code.insert(0, (name.strip(), _compiled(body)))

    def __call__(self, x: Sequence[Any]) -> Any:
        """The value. Raises WrongError where there is none that is real and finite."""
        room: dict[str, Any] = {**FUNCTIONS, "mpf": mpf, "int": int, **{k: make() for k, make in CONSTANTS.items()}}
        room.update({name: mpf(value) for name, value in self._params.items()})
        for (name, index), entry in zip(self._places, x, strict=True):
            if index:
                room.setdefault(name, {})[tuple(map(int, index.split(",")))] = mpf(entry)
            else:
                room[name] = mpf(entry)
        value: Any = None
        try:
            for name, code in self._code:
                value = _real(eval(code, room))
                if name is not None:
                    room[name] = value
        except (ZeroDivisionError, ValueError, OverflowError, TypeError, StopIteration) as error:
            raise WrongError(str(error)) from None
        return value

    def gradient(self, x: Sequence[Any]) -> Any:
        """By central differences, an mpmath matrix of shape (n, 1). Raises WrongError."""
        x = [mpf(entry) for entry in x]
        return mpmath.matrix([(self(_moved(x, (i, 1))) - self(_moved(x, (i, -1)))) / (2 * STEP) for i in range(len(x))])

    def hessian(self, x: Sequence[Any]) -> Any:
        """By central differences, an mpmath matrix of shape (n, n). Raises WrongError."""
        x = [mpf(entry) for entry in x]
        n, here = len(x), self(x)
        H = mpmath.matrix(n, n)
        for i in range(n):
            H[i, i] = (self(_moved(x, (i, 1))) - 2 * here + self(_moved(x, (i, -1)))) / STEP**2
            for j in range(i):
                ends = [s * t * self(_moved(x, (i, s), (j, t))) for s in (1, -1) for t in (1, -1)]
                H[i, j] = H[j, i] = mpmath.fsum(ends) / (4 * STEP**2)
        return H

    def newton(self, x: Sequence[Any], most: int = 40) -> list[Any] | None:
        """Where Newton's method converges to from x; None where it does not, or goes farther than 1 in max(1, |x|)."""
        y = [mpf(entry) for entry in x]
        for _ in range(most):
            try:
                s = mpmath.lu_solve(self.hessian(y), -self.gradient(y))
            except (WrongError, ZeroDivisionError):
                return None
            y = [a + b for a, b in zip(y, s, strict=True)]
            far = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(y, x, strict=True))
            if far > 1:
                return None
            if max(abs(e) for e in s) < mpf(10) ** -20 * max(1, *map(abs, y)):
                return y
        return None


def _compiled(text: str) -> Any:
    tree = _Meaning().visit(ast.parse(" ".join(text.split()), mode="eval"))
    return compile(ast.fix_missing_locations(tree), "text", "eval")


def _moved(x: list[Any], *by: tuple[int, int]) -> list[Any]:
    x = list(x)
    for i, sign in by:
        x[i] = x[i] + sign * STEP
    return x


def eigenvalues(H: Any) -> list[Any]:
    """Of a symmetric matrix, ascending."""
    return sorted(mpmath.eigsy(H, eigvals_only=True))


def finite(value: Any) -> bool:
    """Whether a number of mpmath is one that doubles have."""
    return abs(value) < mpf(math.ldexp(1.0, 1023)) * 2
