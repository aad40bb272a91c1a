"""Names and shapes of the variables, and their order in the flat vector that methods see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Variable(NamedTuple):
    """One variable: a scalar has shape (), a vector (n,), a matrix (n, m); `first` are its lowest indices."""

    name: str
    shape: tuple[int, ...] = ()
    first: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The variables in the order of their first appearance; vectors are flattened in C order."""

    variables: tuple[Variable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(variable.name for variable in self.variables)

    @property
    def size(self) -> int:
        return sum(variable.size for variable in self.variables)

    def slices(self) -> dict[str, slice]:
        """Where each variable stands in the flat vector."""
        out, at = {}, 0
        for variable in self.variables:
            out[variable.name] = slice(at, at + variable.size)
            at += variable.size
        return out

    def split(self, flat: NDArray[np.float64]) -> dict[str, Any]:
        """The flat vector, shape (size,), by name: a float for a scalar, else an array of the variable's shape."""
        return {
            variable.name: flat[part].reshape(variable.shape) if variable.shape else float(flat[part.start])
            for variable, part in zip(self.variables, self.slices().values(), strict=True)
        }

    def join(self, values: Mapping[str, Any]) -> NDArray[np.float64]:
        """The inverse of `split`. Raises KeyError for a missing name, ValueError for a wrong shape."""
        import numpy as np

        flat = np.empty(self.size)
        for variable, part in zip(self.variables, self.slices().values(), strict=True):
            value = np.asarray(values[variable.name], dtype=np.float64)
            if value.shape != variable.shape:
                raise ValueError(f"{variable.name} has shape {variable.shape}, not {value.shape}")
            flat[part] = value.reshape(-1)
        return flat

    def entries(self) -> list[str]:
        """The name of every entry of the flat vector: `x`, or `x[1]`, `A[1,2]`."""
        import itertools

        out: list[str] = []
        for variable in self.variables:
            axes = [range(f, f + n) for f, n in zip(variable.first, variable.shape, strict=True)]
            for index in itertools.product(*axes):
                out.append(f"{variable.name}[{','.join(map(str, index))}]" if variable.shape else variable.name)
        return out
