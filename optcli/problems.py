"""The problem of each method of a run, and the engine that evaluates it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optcli.build import problem
from optcli.errors import UsageError, visible
from optcli.objective import native_is_installed, native_works
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import Method
from optcli.optimize.problem import Counts, Problem
from optcli.prepare import Prepared

if TYPE_CHECKING:
    from optcli.checkpoint import Checkpoint

BRIEF = 100_000  # scalar operations of the numpy engine that take about as long as loading LLVM and compiling
UPDATE = 30  # of them are worth what else is done for an update


class Problems:
    """The problem of each method, all with the same counts; the engine of the first one, and what to know of it."""

    def __init__(self, ready: Prepared) -> None:
        self.ready = ready
        self.counts = Counts()
        self.used = ""
        self.notes: tuple[str, ...] = ()
        self._made: dict[FirstOrder | None, Problem] = {}  # None: of all methods that Python drives

    def of(self, method: Method) -> Problem:
        """Raises UsageError where the engine wanted cannot be had."""
        method = getattr(method, "inner", method)  # of one at work in units of its own
        key = method if isinstance(method, FirstOrder) else None
        if key not in self._made:
            made, used, notes = compiled(self.ready, method)
            made.counts = self.counts
            if not self._made:
                self.used, self.notes = used, notes
            self._made[key] = made
        return self._made[key]

    def begin(self, counts: Counts) -> None:
        """One of several runs begins, with these counts, as if it were the first."""
        vars(self.counts).update(vars(counts))
        for made in self._made.values():
            made.forget()

    def go_on(self, method: Method, since: Checkpoint) -> None:
        """Counts and code as they were where the run goes on."""
        problem = self.of(method)
        self.counts = problem.counts = replace(since.counts)
        for made in self._made.values():
            made.counts = self.counts
        problem.mask(since.masked)


def compiled(ready: Prepared, method: Method) -> tuple[Problem, str, tuple[str, ...]]:
    """The problem, the engine it runs on, and what the user should know of that choice."""
    objective, wanted = ready.objective, ready.config.engine
    lower, upper = ready.bounds or (None, None)
    maximize = ready.config.command == "maximize"
    notes: tuple[str, ...] = ()
    if wanted != "numpy" and not (wanted == "auto" and native_is_installed() and _without(ready, method)):
        if native_works():
            try:
                return problem(objective, maximize, lower, upper, method), "native", notes
            except RuntimeError as error:
                reason = f"the native engine cannot compile this ({visible(str(error)[:200])})"
                if wanted == "native":
                    raise UsageError(reason, "Use --engine numpy, and please report it.") from None
        else:
            reason = "the native engine needs llvmlite, which cannot be loaded"
        notes = (f"{reason}: using numpy",)
    objective = replace(objective, engine="numpy")
    objective.gradient_plan  # noqa: B018  # compiled here, so that the time is told apart
    return problem(objective, maximize, lower, upper), "numpy", notes


def _without(ready: Prepared, method: Method) -> bool:
    """Whether auto does better without LLVM."""
    return _brief(ready, method) if isinstance(method, FirstOrder) else not ready.objective.pays


def _brief(ready: Prepared, method: FirstOrder) -> bool:
    """Whether all starts are over before LLVM would be loaded, and have the same digits on both engines."""
    if ready.config.iters is None or ready.bounds is not None:
        return False
    iters = ready.config.iters * ready.config.starts
    if iters * UPDATE > BRIEF:
        return False
    exact = method.exact and ready.objective.exact
    return exact and iters * (UPDATE + len(ready.objective.gradient_graph)) <= BRIEF
