"""What a judgement asks of the second derivatives at a point, however they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from optcli.optimize.iterate import Array

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem


class Seen(Protocol):
    """The curvature of a Hessian H on m free variables, and of its scaled form S = D·H·D; vectors have shape (m,).

    `curvature.Spectrum` has all of S, `factored.Factored` the factors of a band.
    """

    @property
    def smallest(self) -> float:
        """The smallest eigenvalue of H."""

    @property
    def largest(self) -> float:
        """The largest one."""

    @property
    def lowest(self) -> float:
        """The smallest eigenvalue of S."""

    @property
    def positive(self) -> int:
        """How many eigenvalues are, for sure."""

    @property
    def negative(self) -> int: ...

    @property
    def zero(self) -> int:
        """How many cannot be told from zero."""

    @property
    def vague(self) -> bool:
        """Whether Newton's steps fall short in directions not told from flat, so that where they lead says little."""

    @property
    def down(self) -> Array:
        """A unit vector along the smallest eigenvalue of S."""

    @property
    def flat(self) -> Array:
        """A unit vector along the one nearest to zero."""

    def nulls(self) -> list[Array]:
        """Unit vectors along those that cannot be told from zero, as far as they are known."""

    def product(self, v: Array) -> Array:
        """Hv."""

    def newton(self, g: Array) -> Array:
        """−H⁺g, without a part along flat directions."""

    def at(self, problem: Problem, x: Array, free: Array) -> Any:
        """The Hessian elsewhere; None where it is not finite."""

    def of(self, other: Any) -> Seen | None:
        """What is seen of such a Hessian, without a doubt of its own; None where that is nothing."""

    def ratio(self, other: Any) -> tuple[float, float]:
        """The smallest and largest curvature of such a Hessian in terms of this one's, without its flat directions.

        Or else bounds: KEPT, or (0, ∞) where they are beyond that.
        """

    def bottom(self, other: Any) -> float:
        """The smallest eigenvalue of such a Hessian scaled by D, or a bound from above."""
