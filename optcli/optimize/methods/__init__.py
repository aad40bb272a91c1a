"""The methods: a file each, and a line each in METHODS."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from optcli.errors import UsageError, did_you_mean, visible
from optcli.optimize.methods.method import Method, parameters

# name → file and class: a method is imported when it is wanted
METHODS = {
    "gd": "gd.GradientDescent",
    "momentum": "momentum.Momentum",
    "nesterov": "nesterov.Nesterov",
    "adagrad": "adagrad.Adagrad",
    "rmsprop": "rmsprop.RMSProp",
    "adadelta": "adadelta.Adadelta",
    "adam": "adam.Adam",
    "adamw": "adamw.AdamW",
    "amsgrad": "amsgrad.AMSGrad",
    "nadam": "nadam.NAdam",
    "radam": "radam.RAdam",
    "lion": "lion.Lion",
    "rprop": "rprop.Rprop",
    "bb": "bb.BarzilaiBorwein",
    "cg": "cg.ConjugateGradients",
    "bfgs": "bfgs.BFGS",
    "lbfgs": "lbfgs.LBFGS",
    "newton": "newton.Newton",
    "lbfgsb": "lbfgsb.LBFGSB",
    "projected_gradient": "projected_gradient.ProjectedGradient",
    "projected_newton": "projected_newton.ProjectedNewton",
    "nelder_mead": "nelder_mead.NelderMead",
}


def make(name: str, settings: Mapping[str, Any]) -> Method:
    """The method `name` with the fields given. Raises UsageError for an unknown method or field, or a bad value."""
    kind = find(name)
    known = [each.name for each in parameters(kind)]
    for key in settings:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"Its fields are {', '.join(known)}."
            raise UsageError(f"method {name} has no field '{visible(str(key)[:64])}'", hint)
    return kind(**settings)


def describe(name: str) -> dict[str, Any]:
    """The method `name`, ready for JSON. Raises UsageError for an unknown method."""
    kind = find(name)
    return {
        "name": kind.name,
        "summary": kind.summary,
        "formula": inspect.getdoc(kind) or "",
        "reference": kind.reference,
        "parameters": [
            {
                "name": each.name,
                "default": each.default,
                "help": each.metadata["help"],
                "range": each.metadata["range"].text(each.name),
                "shared": each.metadata.get("shared", False),
            }
            for each in parameters(kind)
        ],
    }


def find(name: str) -> type[Method]:
    """The class of the method `name`. Raises UsageError with the nearest names."""
    if name not in METHODS:
        hint = did_you_mean(str(name), METHODS) or f"The methods are {', '.join(METHODS)}."
        raise UsageError(f"there is no method '{visible(str(name)[:64])}'", hint)
    file, _, kind = METHODS[name].partition(".")
    found: type[Method] = getattr(importlib.import_module(f"optcli.optimize.methods.{file}"), kind)
    return found
