"""Runs of one method from many starts at once, in vectors and over threads; each has the digits of a run of its own."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from optcli.engine.native import llvm
from optcli.engine.native.lanes_code import ACTIVE, AT, PAUSE, RESTS, STARTS, Own, Rows, module
from optcli.engine.native.loop import FIRST, SOON
from optcli.engine.native.update_code import RELATIVE, SCALE, TARGET, TOLERANCE
from optcli.threads import share

if TYPE_CHECKING:
    from optcli.engine.native.loop import Loop
    from optcli.engine.native.stand import Limits

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stands:
    """Where m runs stand: x, gradient, best_x of shape (m, n), state (m, states, n), the others (m,).

    `best_at` is −1 where nothing finite was found; `left` are those that no rule has ended; `scale` is that of the
    tolerance.
    """

    x: Array
    gradient: Array
    state: Array
    value: Array
    norm: Array
    best_x: Array
    best_value: Array
    best_norm: Array
    best_at: Integers
    moved: Integers
    done: Integers
    scale: Array
    left: NDArray[np.bool_]


class Lanes:
    """A Loop of scalars for many starts. Raises RuntimeError where LLVM refuses or an operation calls Python back."""

    def __init__(self, loop: Loop) -> None:
        if not loop.straight:
            raise RuntimeError("starts share a loop of scalars only")
        self._loop = loop
        self._rows = Rows(loop.size, loop.states)
        self._compiled = llvm.compile_text(module(loop), [], llvm.MANY + 1)
        self._begin = self._compiled.function("begin", *[ctypes.c_void_p] * 4)
        self._lanes = self._compiled.function("lanes", *[ctypes.c_void_p] * 6)
        self._pace = 0.0  # seconds that an update of one lane took

    def run(
        self,
        starts: Array,
        state: Array,
        growth: float,
        limits: Limits,
        settled: float,
        halted: Callable[[int], bool],
    ) -> Stands:
        """From each row of `starts`, shape (m, n), within the bounds, until a rule of `limits` holds for it.

        `state`, shape (states,), is the method's at a start; growth·max(1, |f there|) is the `scale` of its tolerance.
        Runs may rest only after `settled` updates. Where halted(updates made by all), those that go on are left
        where they stand.
        """
        rows, loop = self._rows, self._loop
        m = len(starts)
        lower, upper = (end.ctypes.data for end in loop.bounds or (starts, starts))
        counts = np.zeros(STARTS + 1, dtype=np.int64)
        blocks = self._blocks(starts, rows)
        width = rows.lanes
        for block in blocks:
            counts[ACTIVE] = width
            self._begin(block.ctypes.data, counts.ctypes.data, lower, upper)
        out = np.ascontiguousarray(np.concatenate(blocks, axis=1)[:, :m])
        whole = out.view(np.int64)
        value, norm = out[rows.own(Own.VALUE)], out[rows.own(Own.NORM)]
        out[[rows.state(k, j) for k in range(loop.states) for j in range(loop.size)]] = np.repeat(state, loop.size)[
            :, None
        ]
        whole[[rows.own(Own.START), rows.own(Own.DONE), rows.own(Own.MOVED)]] = [np.arange(m), np.zeros(m), np.ones(m)]
        size = np.abs(value)
        out[rows.own(Own.SCALE)] = growth * np.where(np.isfinite(size), np.maximum(1.0, size), 1.0)
        tolerance = np.maximum(limits.tolerance, limits.relative * np.minimum(size, out[rows.own(Own.SCALE)]))
        going = (whole[rows.own(Own.BEST_AT)] == 0) & (value > limits.target) & ~(norm <= tolerance)
        left = np.zeros(m, dtype=np.bool_)
        if limits.until > 0 and going.any():
            left[self._go(np.ascontiguousarray(out[:, going]), out, limits, settled, halted, (lower, upper))] = True
        take = {
            name: out[[row(j) for j in range(loop.size)]].T
            for name, row in (("x", rows.x), ("gradient", rows.g), ("best_x", rows.best_x))
        }
        states = np.array([[out[rows.state(k, j)] for j in range(loop.size)] for k in range(loop.states)])
        return Stands(
            **take,
            state=np.moveaxis(states, -1, 0) if loop.states else np.empty((m, 0, loop.size)),
            value=out[rows.own(Own.VALUE)],
            norm=out[rows.own(Own.NORM)],
            best_value=out[rows.own(Own.BEST_VALUE)],
            best_norm=out[rows.own(Own.BEST_NORM)],
            best_at=whole[rows.own(Own.BEST_AT)],
            moved=whole[rows.own(Own.MOVED)],
            done=whole[rows.own(Own.DONE)],
            scale=out[rows.own(Own.SCALE)],
            left=left,
        )

    def _blocks(self, starts: Array, rows: Rows) -> list[Array]:
        """The starts in the rows of blocks; lanes without a start have the first one of their block."""
        made = []
        many, lanes = rows.many, rows.lanes
        for begin in range(0, len(starts), lanes):
            part = starts[begin : begin + lanes]
            block = np.zeros((many, lanes))
            block[: rows.n, : len(part)] = part.T
            block[: rows.n, len(part) :] = part[:1].T
            made.append(block)
        return made

    def _go(
        self,
        going: Array,
        out: Array,
        limits: Limits,
        settled: float,
        halted: Callable[[int], bool],
        bounds: tuple[int, int],
    ) -> Integers:
        """Run the columns `going` until each is in its column of `out` again; the numbers of those that are left."""
        rows = self._rows
        numbers = np.zeros(SCALE)
        numbers[[TARGET, TOLERANCE, RELATIVE]] = limits.target, limits.tolerance, limits.relative
        blocks, counts = [], []
        many, width = rows.many, rows.lanes
        for begin in range(0, going.shape[1], width):
            part = going[:, begin : begin + width]
            block = np.zeros((many, width))
            block[:, : part.shape[1]] = part
            blocks.append(block)
            counts.append(np.array([0, limits.until, 0, 0, part.shape[1], out.shape[1]], dtype=np.int64))

        def work(k: int) -> None:
            self._lanes(
                *(array.ctypes.data for array in (blocks[k], out, numbers, counts[k])),
                *bounds,
            )

        at, active, made = 0, going.shape[1], 0
        while active:
            most = FIRST if not self._pace else max(1, int(SOON / (self._pace * active)))
            rests = limits.rest and at >= settled
            pause = min(limits.until, at + most)
            if limits.rest and not rests:
                pause = min(pause, max(at + 1, math.ceil(settled)) if math.isfinite(settled) else pause)
            for each in counts:
                each[PAUSE], each[RESTS] = pause, rests
            open_ = [k for k, each in enumerate(counts) if each[ACTIVE]]
            began = time.perf_counter()
            share(len(open_), lambda k, open_=open_: work(open_[k]))  # type: ignore[misc]  # a default binds what the loop rebinds
            self._pace = max(1e-12, (time.perf_counter() - began) / ((pause - at) * active))
            made += (pause - at) * active  # at most: some ended before
            at, active = pause, int(sum(each[ACTIVE] for each in counts))
            if active and halted(made):
                break
        left: list[Integers] = [np.empty(0, dtype=np.int64)]
        for block, count in zip(blocks, counts, strict=True):
            lanes = block[:, : count[ACTIVE]]
            lanes.view(np.int64)[rows.own(Own.DONE)] = count[AT]
            left.append(lanes.view(np.int64)[rows.own(Own.START)])
            out[:, left[-1]] = lanes
        return np.concatenate(left)
