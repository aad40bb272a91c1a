"""The peers: each function returns the work to be timed, compiled and warm; MissingError where one is not there."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from harness import MissingError

Work = Callable[[], Any]
SOURCE = Path(__file__).resolve().parent / "scripts" / "loops.c"


def need(name: str) -> None:
    """Raises MissingError unless the package can be imported; "" is always there."""
    if name and importlib.util.find_spec(name) is None:
        raise MissingError(name)


# ------------------------------------------------------------------ C


@cache
def _library(*flags: str) -> ctypes.CDLL:
    """scripts/loops.c, compiled on the spot."""
    if shutil.which("cc") is None:
        raise MissingError("a C compiler")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/loops.so"
        command = ["cc", "-O3", "-march=native", *flags, "-shared", "-fPIC", str(SOURCE), "-o", path, "-lm"]
        subprocess.run(command, check=True, capture_output=True)
        return ctypes.CDLL(path)


def _address(array: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def c_loop(iterations: int) -> Work:
    document = _library().document
    document.restype = ctypes.c_double

    def work() -> float:
        point, best = np.array([-1.0, 1.0]), np.zeros(2)
        value: float = document(_address(point), _address(best), ctypes.c_long(iterations), ctypes.c_double(0.01))
        return value

    return work


def c_chained(x: Any) -> Work:
    chained = _library("-ffast-math").chained
    chained.restype = ctypes.c_double
    slope = np.empty_like(x)
    return lambda: (chained(_address(x), _address(slope), ctypes.c_long(x.size)), slope)


# ------------------------------------------------------------------ JAX, torch, numpy


def _jax() -> Any:
    need("jax")
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def _jax_run(jax: Any, iterations: int, box: tuple[float, float] | None = None) -> Callable[[Any], Any]:
    """start → (last point, best point, lowest value), within a box if there is one."""

    def function(point: Any) -> Any:
        x, y = point
        return (1 - x) ** 2 + 5 * (y - x**2) ** 2

    def update(_: Any, carried: Any) -> Any:
        point, best, lowest = carried
        value, slope = jax.value_and_grad(function)(point)
        better = value < lowest
        best = jax.numpy.where(better, point, best)
        after = point - 0.01 * slope
        after = after if box is None else jax.numpy.clip(after, *box)
        return after, best, jax.numpy.where(better, value, lowest)

    return lambda point: jax.lax.fori_loop(0, iterations, update, (point, point, jax.numpy.inf))


def jax_loop(iterations: int) -> Work:
    jax = _jax()
    run = jax.jit(_jax_run(jax, iterations))
    start = jax.numpy.array([-1.0, 1.0])
    jax.block_until_ready(run(start))
    return lambda: jax.block_until_ready(run(start))


def jax_starts(starts: Any, iterations: int, box: tuple[float, float] | None) -> Work:
    """The runs from all rows of `starts`, and the lowest value of all."""
    jax = _jax()
    runs = jax.jit(jax.vmap(_jax_run(jax, iterations, box)))
    points = jax.numpy.array(starts)

    def work() -> Any:
        _, best, lowest = jax.block_until_ready(runs(points))
        k = int(jax.numpy.nanargmin(lowest))
        return best[k], float(lowest[k])

    work()
    return work


def _jax_evaluation(function: Callable[[Any, Any], Any], x: Any) -> Work:
    jax = _jax()
    both = jax.jit(jax.value_and_grad(lambda point: function(jax.numpy, point)))
    point = jax.numpy.array(x)
    jax.block_until_ready(both(point))
    return lambda: jax.block_until_ready(both(point))


def jax_both(function: Callable[[Any, Any], Any], x: Any) -> Callable[[Any], tuple[float, Any]]:
    """Value and gradient for SciPy's methods, compiled and warm: a float and a numpy array of x's shape."""
    jax = _jax()
    compiled = jax.jit(jax.value_and_grad(lambda point: function(jax.numpy, point)))

    def both(point: Any) -> tuple[float, Any]:
        value, slope = compiled(point)
        return float(value), np.asarray(slope)

    both(x)
    return both


def jax_chained(x: Any) -> Work:
    return _jax_evaluation(
        lambda np_, p: np_.sum(100.0 * (p[1:] - p[:-1] ** 2) ** 2 + (1.0 - p[:-1]) ** 2),
        x,
    )


def jax_exponential(x: Any) -> Work:
    return _jax_evaluation(lambda np_, p: np_.sum(np_.exp(p) + p**2), x)


def torch_chained(x: Any) -> Work:
    need("torch")
    import torch

    point = torch.tensor(x, requires_grad=True)

    def work() -> Any:
        point.grad = None
        value = (100.0 * (point[1:] - point[:-1] ** 2) ** 2 + (1.0 - point[:-1]) ** 2).sum()
        value.backward()
        return value.item(), point.grad

    return work


def numpy_chained(x: Any) -> Work:
    def work() -> Any:
        a, b = x[:-1], x[1:]
        t, u = b - a * a, 1.0 - a
        slope = np.zeros_like(x)
        slope[1:] = 200.0 * t
        slope[:-1] -= 400.0 * t * a + 2.0 * u
        return float(np.sum(100.0 * t * t + u * u)), slope

    return work


# ------------------------------------------------------------------ symbolic peers


def sympy_gradient(text: str, variables: int) -> Work:
    """Parse, differentiate by every variable, compile, evaluate."""
    import sympy

    names = [f"x{k}" for k in range(variables)]

    def work() -> Any:
        expression = sympy.parse_expr(text, {name: sympy.Symbol(name) for name in names})
        symbols = [sympy.Symbol(name) for name in names]
        slopes = [sympy.diff(expression, symbol) for symbol in symbols]
        both = sympy.lambdify(symbols, [expression, *slopes])
        return both(*[0.1] * variables)

    return work


def casadi_gradient(terms: int, variables: int) -> tuple[Work, Work]:
    """(from the terms to the first gradient, one more gradient)"""
    need("casadi")
    import casadi

    def build() -> Any:
        n = variables
        x = casadi.SX.sym("x", n)
        parts = [
            (k % 7 + 1)
            * (x[k % variables] - x[k * 7 % variables] ** 2) ** 2
            * casadi.sin(x[k * 3 % variables])
            * (k + 0.5)
            for k in range(terms)
        ]
        value = casadi.SX(0)
        for part in parts:
            value = value + part
        return casadi.Function("both", [x], [value, casadi.gradient(value, x)])

    at = np.full(variables, 0.1)
    both = build()
    return lambda: build()(at), lambda: both(at)
