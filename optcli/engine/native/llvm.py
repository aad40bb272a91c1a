"""The home of llvmlite: text → machine code for this processor."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import llvmlite.binding as binding
import numpy as np

from optcli.autograd.ops import Op

# Characters of a module from which on code is made quickly rather than well. Well-made code saves half of an evaluation
# or more, but costs as much as thousands of them where loops are short.
LONG, VERY_LONG = 30_000, 100_000
FEW, MANY = 256, 20_000  # entries of the longest loop up to which vectors are not worth it; from which on they are
# vector variants of the C library's mathematics, 4 doubles by AVX2, 8 by AVX-512 (glibc's libmvec, errors below 4 ulp)
LIBMVEC = "libmvec.so.1"
WIDTHS = (("+avx2", "d", 4), ("+avx512f", "e", 8))  # the feature, its letter in the names of variants, how many doubles
VECTORIZED = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp", "expm1"),
    *("log", "log10", "log1p", "log2", "sin", "sinh", "tan", "tanh", "atan2", "hypot", "pow"),
)
T = TypeVar("T")


class Compiled:
    """A module in memory; the code lives as long as this object does."""

    def __init__(self, engine: binding.ExecutionEngine, keep: list[Any]) -> None:
        self._engine = engine
        self._keep = keep

    def function(self, name: str, *kinds: Any) -> Callable[..., None]:
        """The function `name`, without its @, with arguments of the ctypes `kinds`; it runs without Python's lock."""
        prototype = ctypes.CFUNCTYPE(None, *kinds)
        return prototype(self._engine.get_function_address(name))


@functools.cache
def _target() -> tuple[binding.Target, str, str]:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    return target, binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


def ready() -> bool:
    """Whether LLVM knows this processor."""
    return bool(_target()[1])


def fused() -> bool:
    """Whether this processor multiplies and adds in one operation."""
    return "+fma" in _target()[2].split(",") or _target()[0].name.startswith("aarch64")


@functools.cache
def vectors() -> Mapping[str, Mapping[int, str]]:
    """Function → its variants for so many doubles, where this machine has some."""
    features = _target()[2].split(",")
    if not sys.platform.startswith("linux") or WIDTHS[0][0] not in features:
        return {}
    try:
        library = ctypes.CDLL(LIBMVEC)
        binding.load_library_permanently(LIBMVEC)
    except (OSError, RuntimeError):
        return {}
    found: dict[str, dict[int, str]] = {}
    for feature, letter, width in WIDTHS:
        for name in VECTORIZED:
            variant = f"_ZGV{letter}N{width}{'vv' if name in ('atan2', 'hypot', 'pow') else 'v'}_{name}"
            if feature in features and hasattr(library, variant):
                found.setdefault(name, {})[width] = variant
    return found


def compile_text(text: str, called_back: list[Op], longest: int) -> Compiled:
    """Machine code of a module whose longest loop has `longest` entries.

    Without long loops no optimization pass is run: code is written as it shall be, only its instructions are chosen
    with care, or for a long text at once. Raises RuntimeError where LLVM refuses or a function is missing.
    """
    keep = [_call_back(op) for op in called_back]
    if len(text) < LONG:
        return _compile(text, keep, longest)
    return _patiently(lambda: _compile(text, keep, longest))


def _compile(text: str, keep: list[Any], longest: int) -> Compiled:
    module = binding.parse_assembly(text)
    target, cpu, features = _target()
    vectorize = longest > (FEW if len(text) < LONG else MANY)
    careful = len(text) < (VERY_LONG if vectorize else LONG)
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2 if careful else 0, jit=True)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    options = binding.create_pipeline_tuning_options(speed_level=0 if not vectorize else 3 if careful else 1)
    options.loop_vectorization = vectorize
    options.slp_vectorization = False
    options.loop_unrolling = vectorize
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return Compiled(engine, [*keep, machine, module])


def _patiently(work: Callable[[], T]) -> T:
    """`work` on a thread of its own, so that signals are seen meanwhile; what it raises is raised here."""
    outcome: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # None only beside an error


def _call_back(op: Op) -> Any:
    """Makes `@optcli.name` known to LLVM: the numpy kernel of an operation without a native rule."""
    kernel, count = op.kernel, op.arity or 2
    prototype = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * count)

    def quietly(*args: float) -> float:
        with np.errstate(all="ignore"):
            return float(kernel(*args))

    function = prototype(quietly)
    binding.add_symbol(f"optcli.{op.name}", ctypes.cast(function, ctypes.c_void_p).value)
    return function
