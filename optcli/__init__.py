"""optcli, the command-line optimizer: a formula in, its minimum and the truth about that minimum out.

Everything is loaded at its first use: `import optcli` alone needs neither numpy nor SymPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from optcli.autograd.check import check_gradient as check_gradient
    from optcli.autograd.tensor import Tensor as Tensor
    from optcli.autograd.tensor import no_grad as no_grad
    from optcli.autograd.tensor import tensor as tensor
    from optcli.errors import ConfigError as ConfigError
    from optcli.errors import DataError as DataError
    from optcli.errors import ExpressionError as ExpressionError
    from optcli.errors import OptcliError as OptcliError
    from optcli.errors import UsageError as UsageError
    from optcli.formula import Function as Function
    from optcli.formula import function as function
    from optcli.run import maximize as maximize
    from optcli.run import minimize as minimize

_HOME = {
    "Tensor": "optcli.autograd.tensor",
    "no_grad": "optcli.autograd.tensor",
    "tensor": "optcli.autograd.tensor",
    "check_gradient": "optcli.autograd.check",
    "ConfigError": "optcli.errors",
    "DataError": "optcli.errors",
    "ExpressionError": "optcli.errors",
    "OptcliError": "optcli.errors",
    "UsageError": "optcli.errors",
    "Function": "optcli.formula",
    "function": "optcli.formula",
    "maximize": "optcli.run",
    "minimize": "optcli.run",
}
__all__ = ["__version__", *_HOME]  # names only, built from the one table


def __getattr__(name: str) -> Any:
    import importlib

    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'optcli' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value
