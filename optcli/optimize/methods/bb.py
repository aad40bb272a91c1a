"""Barzilai–Borwein: gradient descent whose step length comes from the last step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point, State, largest_entry
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.methods.method import POSITIVE, Whole, Words, parameter
from optcli.optimize.products import dot

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

C1 = 1e-4  # sufficient decrease, Raydan, γ
SHORTEST, LONGEST = 0.1, 0.5  # part of a refused step that the next trial takes, Raydan, σ
GROWTH = 10.0  # of the step length where the gradient stays the same: nothing says how far is far enough
TINY = float(np.finfo(np.float64).tiny)
TRIALS = 100  # enough for any double: each is at most half of the one before


@dataclass(frozen=True)
class BarzilaiBorwein(FirstOrder):
    """x_{i} = x_{i-1} + λ·(P(x_{i-1} − alpha_i·∇f(x_{i-1})) − x_{i-1}),  alpha_1 = lr/‖∇f(x_0)‖∞
    alpha_{i+1} = sᵀs/sᵀy (long) or sᵀy/yᵀy (short), the two step lengths of Barzilai & Borwein,
    s = x_i − x_{i-1},  y = ∇f(x_i) − ∇f(x_{i-1})

    `alternate` takes one after the other, Dai & Fletcher, Numer. Math. 100 (2005) 21–47. Where sᵀy ≤ 0 it is ‖s‖/‖y‖,
    the positive step length of Dai, Al-Baali & Yang (2015), between the two where both are positive.
    λ = 1 where the value is then below the highest of the last `memory` ones by 1e-4·λ·|∇fᵀd|; else it is shortened
    until it is: Raydan's nonmonotone safeguard, without which the method may run away. With bounds it is the spectral
    projected gradient method SPG2, Birgin, Martínez & Raydan, SIAM J. Optim. 10 (2000) 1196–1211. With weight decay
    all this holds of f + weight_decay/2·‖x‖²; a schedule scales alpha, by its learning rate over lr.
    """

    name = "bb"
    summary = "gradient descent whose step length is the curvature seen along the last step, with a safeguard"
    reference = (
        "J. Barzilai, J. M. Borwein, Two-point step size gradient methods, IMA J. Numer. Anal. 8 (1988) 141–148; "
        "M. Raydan, The Barzilai and Borwein gradient method for the large scale unconstrained minimization problem, "
        "SIAM J. Optim. 7 (1997) 26–33"
    )
    elementwise = False

    lr: float = parameter(0.01, "the length of the first step in its longest entry", POSITIVE)
    length: str = parameter("short", "which of the two step lengths", Words(("long", "short", "alternate")))
    memory: int = parameter(10, "values of which the highest may not be exceeded; 1: the value never rises", Whole())

    def init_state(self, x: Array) -> State:
        return np.array([0.0]), np.full(self.memory, -math.inf)

    def rule(self, state: State, x: Array, g: Array, i: int, lr: float) -> tuple[State, Array]:
        alpha, recent = state
        if i == 1:
            alpha = np.array([self.lr / max(largest_entry(g), TINY)])
        return (alpha, recent), -(lr / self.lr * float(alpha[0])) * g

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """One accepted step; as many evaluations as trials."""
        before, (alpha, recent), seen, s = self.proposed(iterate)
        x, i, slope = iterate.x, iterate.iteration + 1, self._slope(iterate.point)
        d = problem.project(x + s) - x
        descent = dot(slope, d)
        if not descent < 0.0:  # clipped and decayed it may point elsewhere
            d = problem.project(x - float(alpha[0]) * slope) - x
            descent = dot(slope, d)
        here = self._merit(iterate.point)
        recent = np.append(recent[1:], here)
        point = self._search(problem, iterate.point, d, descent, float(recent.max()))
        if point is None:
            return self.arrived(iterate, replace(iterate.point, iteration=i), before, before, seen)
        after = self._length(i, float(alpha[0]), point.x - x, self._slope(point) - slope)
        return self.arrived(iterate, point, before, (np.array([after]), recent), seen)

    def _search(self, problem: Problem, start: Point, d: Array, descent: float, highest: float) -> Point | None:
        """The first point along d that is low enough; None where none is that differs from the start."""
        here, part = self._merit(start), 1.0
        for _ in range(TRIALS):
            x = problem.project(start.x + part * d)
            if np.array_equal(x, start.x):
                return None
            point = Point.at(problem, start.iteration + 1, x)
            there = self._merit(point)
            if point.value == -math.inf:  # nothing is lower: the run ends there
                return point
            if point.finite and there <= highest + C1 * part * descent:
                return point
            lowest = (
                SHORTEST * part
            )  # the minimum of the parabola through both values and the slope, where there is one
            if point.finite and (bend := there - here - part * descent) > 0.0:
                lowest = -0.5 * part * part * descent / bend
            part = min(max(lowest, SHORTEST * part), LONGEST * part)
        return None

    def _merit(self, point: Point) -> float:
        if not self.weight_decay:
            return point.value
        return point.value + 0.5 * self.weight_decay * dot(point.x, point.x)

    def _slope(self, point: Point) -> Array:
        return point.gradient + self.weight_decay * point.x if self.weight_decay else point.gradient

    def _length(self, i: int, alpha: float, s: Array, y: Array) -> float:
        """alpha of the next update, after update i; of s and y over their largest entries, against overflow."""
        large, steep = largest_entry(s), largest_entry(y)
        if steep == 0.0:
            return min(GROWTH * alpha, 1.0 / TINY)
        s, y = s / large, y / steep
        ss, sy, yy = dot(s, s), dot(s, y), dot(y, y)
        short = self.length == "short" or (self.length == "alternate" and i % 2 == 0)
        length = (sy / yy if short else ss / sy) if sy > 0.0 else math.sqrt(ss / yy)
        length *= large / steep
        return length if 0.0 < length < math.inf else alpha
