"""Whether eager operations are recorded for backward: on by default, for each thread and task on its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

# (whether it is on, what it was before): a stack in one value, so that a switch can be entered twice and shared
_STATE: ContextVar[tuple[bool, Any]] = ContextVar("recording", default=(True, None))


def is_recording() -> bool:
    return _STATE.get()[0]


class Switch:
    """Turns recording on or off: inside `with`, or inside every call of a function that it decorates."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __enter__(self) -> None:
        _STATE.set((self._on, _STATE.get()))

    def __exit__(self, *_: object) -> None:
        _STATE.set(_STATE.get()[1])

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generated(*args: P.args, **kwargs: P.kwargs) -> Any:
                return self._generate(function(*args, **kwargs))

            return generated

        @functools.wraps(function)
        def switched(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return switched

    def _generate(self, generator: Generator[Any, Any, R]) -> Generator[Any, Any, R]:
        # the switch holds while the generator runs, not while it waits
        resume: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                with self:
                    item = resume()
                try:
                    resume = functools.partial(generator.send, (yield item))
                except GeneratorExit:
                    with self:
                        generator.close()
                    raise
                except BaseException as error:
                    resume = functools.partial(generator.throw, error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


@overload
def no_grad() -> Switch: ...
@overload
def no_grad(function: Callable[P, R]) -> Callable[P, R]: ...


def no_grad(function: Callable[P, R] | None = None) -> Switch | Callable[P, R]:
    """Nothing is recorded: `with no_grad():`, `@no_grad()` or `@no_grad`."""
    switch = Switch(False)
    return switch if function is None else switch(function)
