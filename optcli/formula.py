"""What Python users hold: a function with names, values and exact derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.build import build, build_sympy, source
from optcli.errors import UsageError, did_you_mean, visible
from optcli.layout import Layout
from optcli.objective import Objective

Array = NDArray[np.float64]


class Function:
    """A scalar function of named variables.

    Points are keywords, or one mapping from names to values: a number for a scalar, an array of its shape for a vector.
    Raises UsageError (a ValueError) for names that are missing or unknown and for arrays of another shape.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the variables in the order of their first appearance."""
        return self.objective.layout.names

    @property
    def expression(self) -> Any:
        """The unevaluated SymPy expression."""
        return self.objective.expression

    @property
    def params(self) -> dict[str, float]:
        return dict(self.objective.params)

    def __call__(self, point: Mapping[str, Any] | None = None, /, **names: Any) -> float:
        """The value, in IEEE doubles as typed; Inf and NaN come back as such."""
        return self.objective.value(self._flat(point, names))

    def gradient(self, point: Mapping[str, Any] | None = None, /, **names: Any) -> dict[str, Any]:
        """Partial derivatives by name: a float for a scalar, an array of its shape for a vector."""
        return self.value_and_gradient(point, **names)[1]

    def value_and_gradient(
        self, point: Mapping[str, Any] | None = None, /, **names: Any
    ) -> tuple[float, dict[str, Any]]:
        value, flat = self.objective.value_and_gradient(self._flat(point, names))
        return value, self.objective.layout.split(flat)

    def hessian(self, point: Mapping[str, Any] | None = None, /, **names: Any) -> Array:
        """Second derivatives, shape (N, N), in the order of `variables` with vectors flattened."""
        return self.objective.hessian(self._flat(point, names))

    def hvp(self, point: Mapping[str, Any], direction: Mapping[str, Any]) -> dict[str, Any]:
        """The product of the Hessian at a point with a direction, by name."""
        flat = self.objective.hvp(self._flat(point, {}), self._flat(direction, {}))
        return self.objective.layout.split(flat)

    def __repr__(self) -> str:
        text = self.objective.text
        return f"<optcli.function {visible(text[:60])}{'…' if len(text) > 60 else ''} of {', '.join(self.variables)}>"

    def _flat(self, point: Mapping[str, Any] | None, names: Mapping[str, Any]) -> Array:
        if point is not None and not isinstance(point, Mapping):
            raise UsageError("a point is given by names", "Write f(x=1, y=2) or f({'x': 1, 'y': 2}).")
        return flat_point({**(point or {}), **names}, self.objective.layout)


def flat_point(values: Mapping[str, Any], layout: Layout) -> Array:
    """The flat vector of a point given by names. Raises UsageError for what does not fit."""
    for name in values:
        if name not in layout.names:
            raise UsageError(f"there is no variable {visible(str(name))}", did_you_mean(str(name), layout.names))
    missing = [name for name in layout.names if name not in values]
    if missing:
        raise UsageError(f"no value for {', '.join(missing[:8])}", "Give every variable a value.")
    try:
        return layout.join(values)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"a value does not fit: {error}", "Scalars are numbers, vectors arrays of their length."
        ) from None


def function(expression: Any, params: Mapping[str, float] | None = None) -> Function:
    """The function of a text, a library name, a path to a file, or a SymPy expression.

    Raises ExpressionError, a ValueError with `.span`, for a text that is refused.
    """
    if not isinstance(expression, str):
        return Function(build_sympy(expression, _numbers(params)))
    found = source(expression)
    given = {**(found.entry.params if found.entry else {}), **_numbers(params)}
    return Function(build(found.text, given))


def _numbers(params: Mapping[str, float] | None) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in (params or {}).items()}
    except (TypeError, ValueError):
        raise UsageError("a parameter is a number", "Write params={'a': 3}.") from None
