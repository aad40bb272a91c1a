"""Sums of products over shared axes, and the norm: structural operations with two arguments, or none linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optcli.autograd.kernels import into
from optcli.autograd.ops import Shape, chain, eq, where
from optcli.autograd.structural import Structural


@dataclass(frozen=True)
class Contract(Structural):
    """The sum of products of two arrays over shared axes: `out[labels] = sum a[left]*b[right]`.

    Axes are named by small integers; each of an argument's axes stands in the other argument or in the result. With
    `masked` a zero on either side gives zero, as adjoint products demand.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    labels: tuple[int, ...]
    masked: bool = field(default=False)

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        size = dict(zip(self.left, shapes[0], strict=True)) | dict(zip(self.right, shapes[1], strict=True))
        return tuple(size[label] for label in self.labels)

    def kernel(self, a: Any, b: Any, out: Any = None) -> Any:
        result = self._product(a, b)
        if self.masked and not np.isfinite(result).all():
            result = self._masked(a, b)
        return into(result, out)

    def _product(self, a: Any, b: Any) -> Any:
        left, right, labels = self.left, self.right, self.labels
        if len(left) == 1 == len(right):
            if not labels:
                return np.dot(a, b)
            if left != right:
                return np.multiply.outer(a, b) if labels == left + right else np.multiply.outer(b, a)
        if len(left) == 2 and len(right) == 1 and len(labels) == 1:
            return a @ b if left[1:] == right else b @ a
        if len(right) == 2 and len(left) == 1 and len(labels) == 1:
            return b @ a if right[1:] == left else a @ b
        return np.einsum(a, list(left), b, list(right), list(labels), optimize=True)

    def _masked(self, a: Any, b: Any) -> Any:
        every = sorted({*self.left, *self.right})
        product = chain.kernel(_aligned(a, self.left, every), _aligned(b, self.right, every))
        summed = np.sum(product, axis=tuple(d for d, label in enumerate(every) if label not in self.labels))
        kept = [label for label in every if label in self.labels]
        return np.transpose(summed, [kept.index(label) for label in self.labels])

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        if i == 0:
            return Contract(self.labels, self.right, self.left, masked=True)(cotangent, args[1])
        return Contract(self.labels, self.left, self.right, masked=True)(cotangent, args[0])

    def jvp(self, tangents: Sequence[Any], y: Any, args: tuple[Any, ...]) -> Any:
        masked = Contract(self.left, self.right, self.labels, masked=True)
        parts = []
        if tangents[0] is not None:
            parts.append(masked(tangents[0], args[1]))
        if tangents[1] is not None:
            parts.append(masked(args[0], tangents[1]))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _aligned(x: Any, labels: tuple[int, ...], every: Sequence[int]) -> Any:
    present = [label for label in every if label in labels]
    moved = np.transpose(x, [labels.index(label) for label in present])
    return np.reshape(moved, [moved.shape[present.index(label)] if label in labels else 1 for label in every])


@dataclass(frozen=True)
class Norm(Structural):
    """The Euclidean norm of all entries, without overflow on the way; its derivative at the origin is 0."""

    source: Shape

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return ()

    def kernel(self, x: Any, out: Any = None) -> Any:
        flat = np.reshape(x, -1)
        square = np.dot(flat, flat)
        # squares below 1e-280 lose digits and above 1e300 overflow: scale only there
        if not 1e-280 < square < 1e300:
            scale = np.max(np.abs(flat), initial=0.0)
            if scale == 0.0 or not np.isfinite(scale):
                return into(scale, out)
            scaled = flat / scale
            return into(scale * np.sqrt(np.dot(scaled, scaled)), out)
        return into(np.sqrt(square), out)

    def vjp(self, i: int, cotangent: Any, y: Any, args: tuple[Any, ...]) -> Any:
        return chain(cotangent, self._direction(y, args[0]))

    def jvp(self, tangents: Sequence[Any], y: Any, args: tuple[Any, ...]) -> Any:
        axes = tuple(range(len(self.source)))
        return Contract(axes, axes, (), masked=True)(tangents[0], self._direction(y, args[0]))

    @staticmethod
    def _direction(y: Any, x: Any) -> Any:
        return where(eq(y, 0.0), 0.0, x / y)
