"""Names for what the judge sees as numbers: handed in from outside, as methods and judges know no texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from optcli.optimize.iterate import Array


class Culprit(NamedTuple):
    """A part of the function's text: the text, its place (start, end) in characters, and a sentence about it."""

    text: str
    span: tuple[int, int]
    sentence: str


class Names(Protocol):
    """What can be told of a function beyond its numbers."""

    @property
    def smooth(self) -> bool:
        """Whether no part of it can have a kink or a jump."""

    def nonfinite(self, x: Array) -> Culprit | None:
        """The part that is not finite at x, or whose derivative is not."""

    def kinks(self, x: Array, around: Sequence[Array]) -> list[Culprit]:
        """The parts with a kink or a jump between x and the points around it."""


class Nameless:
    """A function of which nothing is known but its numbers."""

    smooth = False

    def nonfinite(self, x: Array) -> Culprit | None:
        return None

    def kinks(self, x: Array, around: Sequence[Array]) -> list[Culprit]:
        return []
