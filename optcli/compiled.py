"""A Problem whose value, gradient and first-order methods run in native code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from optcli.autograd.gradient import gradient
from optcli.autograd.graph import Graph
from optcli.engine.native.loop import Loop
from optcli.engine.native.stand import Limits, Spot, Stand
from optcli.optimize.iterate import Array, Iterate, Point, all_finite
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.problem import PATIENCE, Problem
from optcli.optimize.stop import GROWTH, at_bounds

if TYPE_CHECKING:
    from optcli.objective import Objective
    from optcli.optimize.batch import Batch
    from optcli.optimize.methods.method import Method
    from optcli.optimize.stop import Check, Stop

ENDLESS = 2**62  # updates
LOOP = "loop"  # the part of the code that this file adds, see optimize.problem.Code


class CompiledProblem(Problem):
    """Minimize an objective, or its negative, with `method` compiled into its loop.

    Products of adjoints and partials are compiled without the rule that zero times anything is zero, which is right
    wherever the result is finite; where it is not, the code that has the rule decides, and from then on goes on.
    Vectors of an iterate that `advance` was given may be written over once it is called with a later one; its gradient
    as soon as two updates are made.
    Raises RuntimeError where LLVM refuses.
    """

    def __init__(
        self,
        objective: Objective,
        method: FirstOrder,
        maximize: bool = False,
        lower: Array | None = None,
        upper: Array | None = None,
    ) -> None:
        size = objective.layout.size
        super().__init__(
            size,
            lambda x: -objective.value(x) if maximize else objective.value(x),
            self._evaluate,
            lower=lower,
            upper=upper,
            **objective.beyond_gradients(maximize),
        )
        graph = objective.gradient_graph
        if maximize:
            graph = gradient(Graph.of(graph.inputs, [-graph.outputs[0]]))
        bounds = None
        if self.bounded:
            bounds = (
                np.full(size, -math.inf) if lower is None else np.ascontiguousarray(lower),
                np.full(size, math.inf) if upper is None else np.ascontiguousarray(upper),
            )
        self.method = method
        self._quick = self._loop = Loop(graph, method.update, len(method.init_state(np.zeros(1))), bounds)

    def masked(self) -> tuple[str, ...]:
        return (*((LOOP,) if self._loop.plan.masked else ()), *super().masked())

    def mask(self, parts: Iterable[str]) -> None:
        super().mask(parts)
        if LOOP in parts and self._loop.may_mask:
            self._loop = self._loop.masked

    def forget(self) -> None:
        super().forget()
        self._quick.forget()

    def unmask(self) -> None:
        super().unmask()
        self._loop = self._quick

    def _evaluate(self, x: Array) -> tuple[float, Array]:
        value, slope = self._loop.evaluate(x)
        if self._loop.may_mask and not (math.isfinite(value) and all_finite(slope)):
            value, slope = self._masked(x, value, slope)
        return value, slope

    def _masked(self, x: Array, value: float, slope: Array) -> tuple[float, Array]:
        """Value and gradient by the rule that zero times anything is zero; where it helps, it stays."""
        loop = self._loop.masked
        better, steeper = loop.evaluate(x)
        if np.count_nonzero(~np.isfinite([better, *steeper])) < np.count_nonzero(~np.isfinite([value, *slope])):
            self._loop = loop
        return better, steeper

    def advance(self, method: Method, iterate: Iterate, stop: Check, up_to: int | None) -> Iterate:
        """As the plain version, to the same digits, in native code for the method compiled."""
        if method is not self.method:
            return super().advance(method, iterate, stop, up_to)
        point, best = iterate.point, iterate.best
        here = _spot(point)
        lowest = here if best is point else None if best is None else _spot(best)
        stand = self._loop.run(
            Stand(here, lowest, iterate.state), self._limits(stop, point.iteration, up_to), stop.clock() + PATIENCE
        )
        steps = stand.spot.iteration - point.iteration
        self.counts.value += steps
        self.counts.gradient += steps
        after = stand.spot
        if not after.finite and self._loop.may_mask:
            value, slope = self._masked(after.x, after.value, after.gradient)
            now = Point.of(self, after.iteration, after.x, value, slope)
        else:
            now = Point(after.iteration, after.x, after.value, after.gradient, after.norm, after.finite)
        if stand.best is after:
            best = now
        elif stand.best is not lowest:
            assert stand.best is not None
            best = Point(
                stand.best.iteration, stand.best.x, stand.best.value, stand.best.gradient, stand.best.norm, True
            )
        if now.finite and not after.finite:
            return Iterate(point, iterate.state, best).then(now, stand.state)
        return Iterate(now, stand.state, best, stand.moved or now.iteration <= self.method.settled)

    @property
    def batches(self) -> bool:
        return self._loop.straight and self._loop.lanes is not None

    def batch(self, method: Method, starts: Array, stop: Stop, halted: Callable[[int], bool]) -> Batch | None:
        if method is not self.method or self._loop.lanes is None:
            return None
        from optcli.optimize.batch import ULPS, Batch

        starts = np.ascontiguousarray(self.project(starts))
        until = _least(stop.limit, None if stop.max_evals is None else stop.max_evals - 1)
        target = -math.inf if stop.target is None else stop.target
        tolerance, relative = stop.tolerance_terms if stop.judges else (-1.0, 0.0)
        limits = Limits(until, target, tolerance, relative, math.inf, stop.judges)
        kinds = method.init_state(np.zeros(1))
        with np.errstate(all="ignore"):
            state = np.array([float(each[0]) for each in kinds])
            ends = self._loop.lanes.run(starts, state, GROWTH, limits, method.settled, halted)
            x, g = ends.x, ends.gradient
            fine = np.isfinite(x).all(axis=1) & np.isfinite(ends.value)
            finite = fine & np.isfinite(g).all(axis=1) & np.isfinite(ends.norm)
            _, s = method.update(tuple(np.moveaxis(ends.state, 1, 0)), x, g, ends.done[:, None] + 1.0)  # type: ignore[arg-type]  # a number for each row
            still = (np.abs(self.project(x + s) - x) <= ULPS * np.spacing(np.abs(x))).all(axis=1)
            apart = finite & ~at_bounds(stop, self, x, g)  # lanes know the projected gradient alone
        left = ends.left | (finite & (ends.done >= until) & (until < _least(stop.limit)))

        def iterate(k: int) -> Iterate:
            best = None
            if ends.best_at[k] >= 0:
                slope = self._evaluate(ends.best_x[k])[1]
                numbers = float(ends.best_value[k]), slope, float(ends.best_norm[k])
                best = Point(int(ends.best_at[k]), ends.best_x[k].copy(), *numbers, True)
            numbers = float(ends.value[k]), g[k].copy(), float(ends.norm[k])
            point = Point(int(ends.done[k]), x[k].copy(), *numbers, bool(finite[k]))
            if best is not None and best.iteration == point.iteration:
                best = point
            moved = bool(ends.moved[k]) or point.iteration <= method.settled
            return Iterate(point, tuple(ends.state[k].copy()), best, moved)

        return Batch(
            x=x,
            value=ends.value,
            norm=ends.norm,
            finite=finite,
            best_x=ends.best_x,
            best_value=ends.best_value,
            done=ends.done,
            scale=ends.scale,
            still=still & finite,
            left=left,
            doubtful=(fine & ~finite & self._loop.may_mask) | apart,
            iterate=iterate,
        )

    def _limits(self, stop: Check, iteration: int, up_to: int | None) -> Limits:
        rules = stop.stop
        ends = [end for end in (up_to, rules.limit) if end is not None]
        if rules.max_evals is not None:
            ends.append(iteration + rules.max_evals - self.counts.gradient)
        target = -math.inf if rules.target is None else rules.target
        tolerance, relative = rules.tolerance_terms if rules.judges else (-1.0, 0.0)
        rests = iteration >= self.method.settled  # a step too small is the last one only once none is longer
        if not rests and self.method.settled < math.inf:
            ends.append(int(self.method.settled))
        until = max(iteration + 1, _least(*ends))
        return Limits(until, target, tolerance, relative, stop.scale, rules.judges and rests)


def _least(*limits: int | None) -> int:
    """The first of the limits; without any, more than a loop counts to."""
    return min((limit for limit in limits if limit is not None), default=ENDLESS)


def _spot(point: Point) -> Spot:
    x, slope = np.ascontiguousarray(point.x), np.ascontiguousarray(point.gradient)
    return Spot(point.iteration, x, point.value, slope, point.gradient_norm, point.finite)
