"""What every method is: a frozen dataclass of hyperparameters, each with its help and its range."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from optcli.errors import UsageError, visible

if TYPE_CHECKING:
    from optcli.optimize.iterate import Array, Iterate
    from optcli.optimize.problem import Problem


@dataclass(frozen=True)
class Range:
    """The finite numbers a hyperparameter may be: above `low`, or from it on where `closed`, and below `high`."""

    low: float
    high: float = math.inf
    closed: bool = False

    def __contains__(self, number: float) -> bool:
        return (number >= self.low if self.closed else number > self.low) and number < self.high

    def text(self, name: str) -> str:
        """`lr > 0`, or `0 <= beta < 1`."""
        if self.high == math.inf:
            return f"{name} {'>=' if self.closed else '>'} {self.low:g}"
        return f"{self.low:g} {'<=' if self.closed else '<'} {name} < {self.high:g}"


POSITIVE = Range(0.0)
FRACTION = Range(0.0, 1.0, closed=True)


def parameter(default: float, help: str, range: Range) -> Any:
    """A field of a method: a number with a default, a line of help, and the range it must be in."""
    return field(default=default, metadata={"help": help, "range": range})


@dataclass(frozen=True)
class Method(ABC):
    """Base of the methods; the subclass's docstring is its formula.

    `init` evaluates the start, `step` makes one update; both are pure but for the problem's counters. A method that
    cannot go on returns the iterate it was given with its `failure` set. Raises UsageError for a field out of range.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]

    def __post_init__(self) -> None:
        for each in fields(self):
            number = _number(self.name, each.name, getattr(self, each.name))
            if number not in each.metadata["range"]:
                raise UsageError(
                    f"method {self.name}: {each.metadata['range'].text(each.name)} is needed, not {number!r}"
                )
            object.__setattr__(self, each.name, number)

    @abstractmethod
    def init(self, problem: Problem, start: Array) -> Iterate:
        """The iterate at the start, moved into the bounds."""

    @abstractmethod
    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """The iterate after one more update."""


def _number(method: str, name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise UsageError(f"method {method}: {name} is a number, not {visible(repr(given)[:64])}")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"method {method}: {name} is a finite number, not {number}")
    return number
