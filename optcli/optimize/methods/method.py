"""What every method is: a frozen dataclass of hyperparameters, each with its help and its range."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from optcli.errors import UsageError, did_you_mean, visible

if TYPE_CHECKING:
    from optcli.optimize.iterate import Array, Iterate
    from optcli.optimize.problem import Problem


SQUARE = 5000  # variables whose square still fits into 200 MB of doubles


@dataclass(frozen=True)
class Range:
    """The finite numbers a hyperparameter may be: above `low`, or from it on where `closed`, and below `high`."""

    low: float
    high: float = math.inf
    closed: bool = False

    known: ClassVar[tuple[str, ...]] = ()  # words that a shell can complete

    def __contains__(self, number: float) -> bool:
        return (number >= self.low if self.closed else number > self.low) and number < self.high

    def text(self, name: str) -> str:
        """`lr > 0`, or `0 <= beta < 1`."""
        if self.high == math.inf:
            return f"{name} {'>=' if self.closed else '>'} {self.low:g}"
        return f"{self.low:g} {'<=' if self.closed else '<'} {name} < {self.high:g}"

    def read(self, method: str, name: str, given: Any) -> float:
        """The number given. Raises UsageError for anything else."""
        number = _number(method, name, given)
        if number not in self:
            raise UsageError(f"method {method}: {self.text(name)} is needed, not {number!r}")
        return number


@dataclass(frozen=True)
class Whole:
    """The whole numbers from `least` on."""

    least: int = 1

    known: ClassVar[tuple[str, ...]] = ()

    def text(self, name: str) -> str:
        return f"{name} >= {self.least}, whole"

    def read(self, method: str, name: str, given: Any) -> int:
        number = _number(method, name, given)
        if not number.is_integer() or number < self.least:
            raise UsageError(f"method {method}: {self.text(name)}, is needed, not {number:g}")
        return int(number)


@dataclass(frozen=True)
class Words:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def known(self) -> tuple[str, ...]:
        return self.words

    def text(self, name: str) -> str:
        return f"{name}: {', '.join(self.words[:-1])} or {self.words[-1]}" if len(self.words) > 1 else self.words[0]

    def read(self, method: str, name: str, given: Any) -> str:
        word = given.strip().lower() if isinstance(given, str) else given
        if word not in self.words:
            shown = visible(str(given)[:64])
            hint = did_you_mean(shown, self.words) or f"Write {', '.join(self.words[:-1])} or {self.words[-1]}."
            raise UsageError(f"method {method}: {name} has no value '{shown}'", hint)
        return str(word)


@dataclass(frozen=True)
class Maybe:
    """A number of a range, or none: the word `none`, or nothing given."""

    range: Range

    known: ClassVar[tuple[str, ...]] = ("none",)

    def text(self, name: str) -> str:
        return f"{self.range.text(name)}, or none"

    def read(self, method: str, name: str, given: Any) -> float | None:
        if given is None or (isinstance(given, str) and given.strip().lower() == "none"):
            return None
        return self.range.read(method, name, given)


POSITIVE = Range(0.0)
NOT_NEGATIVE = Range(0.0, closed=True)
FRACTION = Range(0.0, 1.0, closed=True)


def parameter(default: Any, help: str, range: Range | Whole | Words | Maybe) -> Any:
    """A field of a method: its default, a line of help, and what it may be."""
    return field(default=default, metadata={"help": help, "range": range})


def parameters(kind: type[Method]) -> list[Field[Any]]:
    """The fields of a method, its own before those that it shares with others."""
    return sorted(fields(kind), key=lambda each: bool(each.metadata.get("shared")))


@dataclass(frozen=True)
class Method(ABC):
    """Base of the methods; the subclass's docstring is its formula.

    `init` evaluates the start, `step` makes one update; both are pure but for the problem's counters, and all that a
    step depends on is in the iterate: arrays alone, so that a file can hold it. A method that rounding keeps from
    getting lower returns an iterate with the same point and state under the next number, which ends a run as stalled;
    one that cannot go on at all returns the iterate it was given with its `failure` set.
    Raises UsageError for a field out of range.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    bounded: ClassVar[bool] = True  # whether it keeps bounds
    curved: ClassVar[bool] = False  # whether it needs Hessians or their products
    gradients: ClassVar[bool] = True  # whether it steps by gradients; `max_evals` counts values where not

    @property
    def size_limit(self) -> int | None:
        """Variables beyond which the n² numbers that it keeps are out of proportion."""
        return None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = each.metadata["range"].read(self.name, each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)

    def settings(self) -> dict[str, Any]:
        """The fields by name, ready for JSON: those of its own, and those shared by many that are not at rest."""
        return {
            each.name: getattr(self, each.name)
            for each in parameters(type(self))
            if not each.metadata.get("shared") or getattr(self, each.name) != each.default
        }

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
