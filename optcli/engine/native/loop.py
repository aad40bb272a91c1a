"""Whole runs of first-order methods in machine code: evaluate, judge, update, again.

A method's update rule is traced with graph nodes and compiled beside value and gradient. Where all is scalar, the loop
is one stretch of straight code; else it calls the evaluation and goes through the vectors entry by entry. It returns
wherever a stopping rule may hold, so that Python decides; pieces of a long run give the digits of the whole one.
"""

from __future__ import annotations

import ctypes
import math
import time
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from optcli.autograd.graph import Graph
from optcli.engine.native.emit import Emitter
from optcli.engine.native.loop_code import straight_run, vector_run
from optcli.engine.native.plan import SHARED, NativePlan, chained
from optcli.engine.native.stand import Limits, Pool, Spot, Stand
from optcli.engine.native.update_code import (
    BEST_AT,
    BEST_NORM,
    BEST_VALUE,
    DONE,
    MOVED,
    NORM,
    OWN,
    UNTIL,
    VALUE,
    Update,
    norm_function,
    step_of,
    update_function,
)
from optcli.threads import share

if TYPE_CHECKING:
    from optcli.engine.native.lanes import Lanes

Array = NDArray[np.float64]
MOST_STRAIGHT = 64  # variables of a loop that keeps everything in registers
MOST_NODES = 3000  # of its gradient graph
PIECE = 1 << 18  # entries that one call goes through in a long vector
SOON = 0.02  # seconds that a call shall take: signals wait for its return
FIRST = 256  # iterations of the first call, whose speed is not known yet


class Loop:
    """A method on an objective, compiled. `graph` has the outputs (value, gradient parts…), all inputs one vector.

    `bounds` are arrays of shape (n,), infinite where there is none. Raises RuntimeError where LLVM refuses.
    """

    def __init__(
        self,
        graph: Graph,
        update: Update,
        states: int,
        bounds: tuple[Array, Array] | None = None,
        masked: bool = False,
    ) -> None:
        self.size = sum(math.prod(node.shape) for node in graph.inputs)
        self.states = states
        self.bounds = bounds
        self.graph = graph
        self._update = update
        self.step = step_of(update, states, bounds is not None)
        straight = self.size <= MOST_STRAIGHT and len(graph.nodes) <= MOST_NODES
        self.straight = straight and all(node.shape == () for node in graph.nodes)
        count = len(graph.inputs)
        groups = [tuple(range(count))], [(0,), tuple(range(1, count + 1))]
        self.plan = NativePlan(graph, *groups, masked=masked, extend=self._extend)
        self.plan.load()
        self.serial = self.plan.program.alone and self.plan.most_blocks < SHARED
        self._run = self.plan.function("run", *[ctypes.c_void_p] * 3) if self.serial else None
        self._numbers, self._counts = np.zeros(9), np.zeros(6, dtype=np.int64)
        self._pace = 0.0  # seconds an iteration took
        self._pool = Pool(self.size)

    @cached_property
    def may_mask(self) -> bool:
        """Whether another plan, with masked products, could find finite numbers where this one does not."""
        return not self.plan.masked and chained(self.graph)

    @cached_property
    def masked(self) -> Loop:
        """The same with masked products."""
        return Loop(self.graph, self._update, self.states, self.bounds, masked=True)

    @cached_property
    def lanes(self) -> Lanes | None:
        """The same for many starts at once; None where that cannot be."""
        from optcli.engine.native.lanes import Lanes

        try:
            return Lanes(self)
        except RuntimeError:
            return None

    def forget(self) -> None:
        """Write over no vector of an earlier run: its points may still be in use."""
        self._pool = Pool(self.size)
        if "masked" in self.__dict__:
            self.masked.forget()

    def evaluate(self, x: Array) -> tuple[float, Array]:
        """Value and gradient, a new array of shape (n,)."""
        value, gradient = np.empty(1), np.empty(self.size)
        self.plan.into([np.ascontiguousarray(x)], [value, gradient])
        return float(value[0]), gradient

    def run(self, stand: Stand, limits: Limits, deadline: float) -> Stand:
        """Where the run stands once a rule of `limits` may hold, something is not finite, or time.perf_counter()
        has passed `deadline`. At least one update is made."""
        if self.serial:
            return self._run_serial(stand, limits, deadline)
        return self._run_shared(stand, limits, deadline)

    # ------------------------------------------------------------ one call for many updates

    def _run_serial(self, stand: Stand, limits: Limits, deadline: float) -> Stand:
        n = self.size
        spot, best = stand.spot, stand.best
        # x and gradient of the current point, of the next, and of the best
        memory = np.empty((6, n))
        memory[0], memory[1] = spot.x, spot.gradient
        state = np.array(stand.state).reshape(self.states, n)
        numbers, counts = self._numbers, self._counts
        numbers[:] = (
            *(spot.value, spot.norm, math.inf if best is None else best.value, math.inf if best is None else best.norm),
            *(limits.target, limits.tolerance, limits.relative, limits.scale, limits.cap),
        )
        counts[:] = spot.iteration, 0, 1, -1, limits.rest, best is spot
        lower, upper = self.bounds or (memory[0], memory[0])
        self._bind(memory, state, lower, upper)
        assert self._run is not None
        while True:
            now = time.perf_counter()
            rest = deadline - now
            pace = self._pace
            most = FIRST if not pace else max(1, int(min(SOON, max(rest, 0.0)) / pace))
            before = int(counts[DONE])
            counts[UNTIL] = min(limits.until, before + most)
            self._run(self.plan.at, numbers.ctypes.data, counts.ctypes.data)
            done = int(counts[DONE]) - before
            after = time.perf_counter()
            if done >= 16:
                self._pace = (after - now) / done
            elif not pace:
                self._pace = max(1e-9, (after - now) / max(1, done))
            if counts[DONE] < counts[UNTIL] or counts[DONE] >= limits.until or after >= deadline:
                break
            if self._stops(limits):
                break
        x, g = memory[0], memory[1]
        value, norm = float(numbers[VALUE]), float(numbers[NORM])
        here = Spot(int(counts[DONE]), x, value, g, norm, bool(np.isfinite([value, norm, *map(_total, (x, g))]).all()))
        if counts[OWN]:
            best = here
        elif (at := int(counts[BEST_AT])) >= 0:
            best = Spot(at, memory[4], float(numbers[BEST_VALUE]), memory[5], float(numbers[BEST_NORM]), True)
        return Stand(here, best, tuple(state), bool(counts[MOVED]))

    def _stops(self, limits: Limits) -> bool:
        value, norm = float(self._numbers[VALUE]), float(self._numbers[NORM])
        going = math.isfinite(value) and math.isfinite(norm) and value > limits.target and norm > limits.of(value)
        return not going or (limits.rest and not self._counts[MOVED])

    def _bind(self, memory: Array, state: Array, lower: Array, upper: Array) -> None:
        plan = self.plan
        rows = [memory[k].ctypes.data for k in range(6)]
        for slot, address in zip(
            self.slots, [*rows, state.ctypes.data, lower.ctypes.data, upper.ctypes.data], strict=True
        ):
            plan.table[slot] = address
        plan.table[1], plan.table[2], plan.table[3] = rows[0], self._numbers.ctypes.data, rows[1]

    # ------------------------------------------------------------ one call for each part of an update

    def _run_shared(self, stand: Stand, limits: Limits, deadline: float) -> Stand:
        """The same for long vectors: each part is cut into pieces that threads share.

        Vectors that no spot needs any more are written over: those of earlier calls at once, and from the second update
        on the gradient where this call began.
        """
        state = np.array(stand.state).reshape(self.states, self.size)
        spot, best = stand.spot, stand.best
        began: Spot | None = stand.spot
        self._pool.keep(began, best)
        while True:
            x, g = self._pool.take(), self._pool.take()
            number = spot.iteration + 1
            changed = self._update_shared(spot, state, x, number)
            at = np.empty(1)
            self.plan.into([x], [at, g])
            value, (norm, largest) = float(at[0]), self._norm_shared(x, g)
            after = Spot(number, x, value, g, norm, math.isfinite(value + norm) and math.isfinite(largest))
            moved = changed or value != spot.value
            if after.finite and (best is None or value < best.value or (value == best.value and norm <= best.norm)):
                best = after
            spot = after
            stops = not after.finite or value <= limits.target or norm <= limits.of(value)
            if stops or number >= limits.until or (limits.rest and not moved) or time.perf_counter() >= deadline:
                return Stand(spot, best, tuple(state), moved)
            if began is not None:
                self._pool.adopt(began.gradient)
                began = None
            self._pool.keep(spot, best)

    def _update_shared(self, spot: Spot, state: Array, x: Array, number: int) -> bool:
        run = self.plan.function("update", *[ctypes.c_void_p] * 7, ctypes.c_double, *[ctypes.c_int64] * 3)
        lower, upper = self.bounds or (x, x)
        pieces = _pieces(self.size)
        moved = np.zeros(len(pieces), dtype=np.int64)
        addresses = [a.ctypes.data for a in (spot.x, spot.gradient, state, x, lower, upper)]

        def work(k: int) -> None:
            begin, end = pieces[k]
            run(*addresses, moved.ctypes.data + 8 * k, float(number), self.size, begin, end)

        share(len(pieces), work)
        return bool(moved.any())

    def _norm_shared(self, x: Array, g: Array) -> tuple[float, float]:
        run = self.plan.function("norm", *[ctypes.c_void_p] * 5, *[ctypes.c_int64] * 2)
        lower, upper = self.bounds or (x, x)
        pieces = _pieces(self.size)
        norms = np.empty((len(pieces), 2))
        addresses = [a.ctypes.data for a in (x, g, lower, upper)]

        def work(k: int) -> None:
            run(*addresses, norms.ctypes.data + 16 * k, *pieces[k])

        share(len(pieces), work)
        norm, largest = norms.max(axis=0)
        return float(norm), float(largest)

    # ------------------------------------------------------------ the code

    def _extend(self, emitter: Emitter) -> list[str]:
        self.slots = [emitter.slot(1) for _ in range(9)]
        if self.straight:
            return [straight_run(self, emitter)]
        parts = [update_function(self), norm_function(self)]
        return [*parts, vector_run(self)] if emitter.program.alone else parts


def _total(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _pieces(size: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + PIECE, size)) for begin in range(0, size, PIECE)]
