"""One judgement of a point: which questions are asked, in which order. `verdict.py` says what the answers mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from optcli.optimize.culprit import Culprit, Nameless, Names
from optcli.optimize.curvature import DENSE, KEPT, LOUD, Noise, Path, follow, noise, spectrum_at
from optcli.optimize.digits import digits, digits_at, rounding_of
from optcli.optimize.iterate import Array, Point, largest_entry
from optcli.optimize.probing import CLOSE, MOST, NOISE, across, around, falls_for_ever, kink_at, search, settle
from optcli.optimize.problem import Problem
from optcli.optimize.rounding import EPS
from optcli.optimize.sentences import Beside, Sentences, unit
from optcli.optimize.status import Status
from optcli.optimize.stop import RELATIVE, TOUCHING
from optcli.optimize.verdict import Verdict

if TYPE_CHECKING:
    from optcli.optimize.factored import Factored
    from optcli.optimize.seen import Seen

NEAR = 1e-2  # how far, times max(1, |x|), Newton's method may go from a point that is called the minimum: two digits
ROUGH = 1e-4  # a value that changes by more of itself between neighbouring doubles tells nothing
UNSEEN = 4.0 * EPS  # a Newton decrement below so much of the value is one that no value can show
UNSETTLED = 1e-2  # of what was gained on the way to the bottom: what may be missing to it
STEEP = 10.0  # times the largest slope met, by which a way down may be steeper than it
DEAF = 1e-10  # of the value: the largest rounding that probing is willing to believe in
REACH = 0.2  # how far, times max(1, |x|), the limit at a degenerate point may lie: x**10 within 1e-8 is 0.1 away
FEW = 50  # variables for which a Hessian is worth having for a sentence alone


@dataclass(frozen=True, eq=False)
class Judging:
    """The point and what may be asked about it. `free` are the numbers of the entries that no bound holds, `held` the
    others: those at a bound, or beyond T from a zero multiplier there."""

    problem: Problem
    point: Point
    tolerance: float
    status: Status
    names: Names
    start: Array | None
    words: Sentences
    seed: int
    held: Array = field(init=False)
    free: Array = field(init=False)

    def __post_init__(self) -> None:
        x, g, problem = self.point.x, self.point.gradient, self.problem
        held = np.zeros(len(x), dtype=bool)
        # the projected gradient is no longer than T, which may be vast where |f| is
        part = min(NEAR, max(TOUCHING, self.tolerance / max(1.0, abs(self.point.value))))
        near = np.minimum(self.tolerance, part * np.maximum(1.0, np.abs(x)))
        if problem.lower is not None:
            held |= (x - problem.lower <= near) & (g > self.tolerance)
        if problem.upper is not None:
            held |= (problem.upper - x <= near) & (g < -self.tolerance)
        if problem.lower is not None and problem.upper is not None:
            held |= problem.lower == problem.upper
        object.__setattr__(self, "held", np.flatnonzero(held))
        object.__setattr__(self, "free", np.flatnonzero(~held))

    @cached_property
    def random(self) -> np.random.Generator:
        """Made when it is needed: to load numpy.random takes longer than most judgements."""
        return np.random.default_rng(self.seed)

    @cached_property
    def newton(self) -> tuple[Array, bool]:
        """Of many variables, see krylov.newton_step."""
        from optcli.optimize.krylov import newton_step

        return newton_step(self)

    @cached_property
    def factored(self) -> Factored | None:
        """Of many variables, where the Hessian is a band."""
        from optcli.optimize.factored import factored_at

        return factored_at(self.problem, self.point.x, self.free)

    def run(self) -> Verdict:
        point, words = self.point, self.words
        if not point.finite:
            culprit = self.names.nonfinite(point.x)
            return Verdict("nonfinite", words.nonfinite(culprit), culprit=culprit)
        if self.status is Status.UNBOUNDED:
            ray = self._rays()[-1]
            return Verdict("unbounded", words.unbounded(ray), direction=ray)
        kink = None if self.names.smooth else self._kink()
        if kink is not None:
            return kink
        before = self._before_bounds()
        if before is not None:
            return before
        small = point.gradient_norm <= self.tolerance
        if not len(self.free):
            return Verdict(
                "minimum", words.corner(), digits=digits(self.point, *rounding_of(self.problem, self.point, self.held))
            )
        if not self.problem.curved:
            if small:
                return Verdict("stationary", words.stationary("there are no second derivatives"))
            return self._not_stationary(None, None)
        rough = Noise(UNSEEN * abs(point.value), np.zeros_like(point.x))
        if not small:
            rough = noise(self.problem, point.x, point.value, point.gradient)
        quiet = small or self._at_noise(rough)
        if len(self.free) > DENSE:
            from optcli.optimize.krylov import judged, unseen

            quiet = quiet or (self.status in (Status.STALLED, Status.FAILED) and unseen(self, rough))
            return judged(self, rough) if quiet else self._not_stationary(None, None)
        if not quiet and len(self.free) > FEW and self.status not in (
            Status.STALLED, Status.FAILED, Status.CONVERGED, Status.LIMIT
        ):  # fmt: skip
            return self._not_stationary(None, None)
        return self.second_order(quiet, rough, spectrum_at(self.problem, point.x, self.free))

    # ------------------------------------------------------------ first order

    def _before_bounds(self) -> Verdict | None:
        """`not_stationary`, where P(x − g) − x is within T only as a bound is nearer than that, but x is not there."""
        x, g = self.point.x, self.point.gradient
        if not self.problem.bounded or self.point.gradient_norm > self.tolerance:
            return None
        gaps = np.where(np.abs(g) > self.tolerance, self.problem.gaps(x, g), 0.0)
        gaps[self.held] = 0.0
        k = int(np.argmax(gaps))
        if not gaps[k] > 0.0:
            return None
        text = self.words.before_bound(k, float(gaps[k]), float(abs(g[k])))
        return Verdict("not_stationary", text)

    def _at_noise(self, rough: Noise) -> bool:
        """Whether every entry of the projected gradient is explained by rounding, and the value is not chaotic."""
        calm = rough.value <= ROUGH * max(1.0, abs(self.point.value))
        slope = np.abs(self._downhill())
        return calm and bool(np.all(slope <= np.maximum(self.tolerance, LOUD * rough.gradient)))

    def _downhill(self) -> Array:
        """P(x − g) − x: against the gradient, as far as the bounds let."""
        return -self.problem.projected_gradient(self.point.x, self.point.gradient)

    def _not_stationary(self, seen: Seen | None, gain: float | None) -> Verdict:
        ray = self.endless()
        if ray is not None:
            return ray
        near = None if self.names.smooth else self._near_kink()
        curvature = None if seen is None else seen.smallest
        return Verdict("not_stationary", self.words.not_stationary(gain, near), curvature=curvature, culprit=near)

    def _rays(self) -> list[Array]:
        """Where the value may fall for ever: against the gradient or its largest entry, and on from the start."""
        ways = [self._downhill()]
        ways.append(np.where(np.abs(ways[0]) == largest_entry(ways[0]), ways[0], 0.0))
        if self.start is not None and not np.array_equal(self.point.x, self.start):
            ways.append(self.point.x - self.start)
        return [unit(way) for way in ways]

    def endless(self) -> Verdict | None:
        """`unbounded`, where the value falls along a ray without end."""
        for ray in self._rays():
            if falls_for_ever(self.problem, self.point.x, self.point.value, ray):
                return Verdict("unbounded", self.words.ray(ray), direction=ray)
        return None

    # ------------------------------------------------------------ kinks

    def _kink(self) -> Verdict | None:
        point = self.point
        culprits = self.names.kinks(point.x, around(point.x, 1e-6, self.random))
        if not culprits and not isinstance(self.names, Nameless):
            return None
        fine = RELATIVE * max(1.0, abs(point.value))  # whatever tolerance the user set
        kink = kink_at(self.problem, point.x, point.value, min(fine, self.tolerance or fine), self.random)
        if kink is None:
            return None
        culprit = culprits[0] if culprits else None
        local, lower, beside = self._probed(point.x, point.value, across(kink), 0.0, kink.gradients)
        text = self.words.kink(culprits, local, beside)
        return Verdict("kink", text, culprit=culprit, local_minimum=local, direction=lower)

    def _near_kink(self) -> Culprit | None:
        """A kink further away, to be named where the gradient is not small."""
        for radius in (1e-3, 1e-1):
            found = self.names.kinks(self.point.x, around(self.point.x, radius, self.random))
            if found:
                return found[0]
        return None

    def _probed(
        self, x: Array, f: float, special: list[Array], slack: float, gradients: Sequence[Array] = ()
    ) -> tuple[bool | None, Array | None, Beside | None]:
        """Whether nothing lower is around x (None: too many variables to look, or too flat to tell), and else the way.

        The search begins at the bottom next to x; one that lies deeper than the gradients here explain is down a step.
        It comes third where it is not x itself.
        """
        if self.problem.size > MOST:
            return None, None, None
        slope = max(float(np.sum(np.abs(g))) for g in (self.point.gradient, *gradients))
        bottom, lowest = settle(self.problem, x, f, special, slope, self.random)
        way = largest_entry((bottom - x) / np.maximum(1.0, np.abs(x)))
        if gradients and way > CLOSE:  # the kink leads down: its bottom is another point
            return False, unit(bottom - x), None
        if f - lowest > STEEP * slope * largest_entry(bottom - x) + slack + NOISE * abs(f):
            return False, unit(bottom - x), None
        gap = f - lowest
        beside = Beside(gap, largest_entry(bottom - x)) if gap > NOISE * abs(f) else None
        slack += UNSETTLED * (f - lowest)
        x, f = bottom, lowest
        g = self.problem.value_and_gradient(x)[1]
        rough = noise(self.problem, x, f, g).value
        slack += max(NOISE * abs(f), min(8.0 * rough, DEAF * max(1.0, abs(f))))
        probe = search(self.problem, x, f, special, slack, self.random)
        if probe.lower:
            return False, unit(probe.x - x), None
        from optcli.optimize.valleys import flat_for_doubles

        fake = flat_for_doubles(self.problem, x, f, special, slack, self.names.smooth)
        return None if fake else True, None, beside

    # ------------------------------------------------------------ second order

    def second_order(self, quiet: bool, rough: Noise, seen: Seen | None) -> Verdict:
        """The verdict by what is seen of the curvature; `quiet`: the gradient is small."""
        point, free = self.point, self.free
        if seen is None:
            if not quiet:
                return self._not_stationary(None, None)
            local, lower, beside = self._probed(point.x, point.value, [], 0.0)
            text = self.words.no_curvature(local, beside)
            return Verdict("degenerate", text, local_minimum=local, direction=lower)
        g, gain = point.gradient[free], None
        if seen.positive == len(free):
            gain = -0.5 * float(np.dot(g, seen.newton(g)))
        if not quiet and not (gain is not None and gain <= UNSEEN * abs(point.value)):
            return self._not_stationary(seen, gain)
        path = follow(self.problem, point.x, point.value, point.gradient, free, seen, rough)
        moved = largest_entry((path.x - point.x) / np.maximum(1.0, np.abs(point.x)))
        if path.how == "fast":
            if moved > NEAR:
                return self._left(seen, path)
            kept = KEPT[0] <= path.low and path.high <= KEPT[1]
            return self._settled(seen, path, rough) if kept and not seen.zero else self._degenerate(seen, path)
        near = moved <= REACH and path.how == "linear"
        near |= seen.vague and largest_entry(path.step / np.maximum(1.0, np.abs(point.x))) <= 1.0
        return self._degenerate(seen, path) if near else self._left(seen, path)

    def _settled(self, seen: Seen, path: Path, rough: Noise) -> Verdict:
        """A point next to a stationary one with curvature in every direction."""
        right = digits_at(self.problem, self.point, self.free, self.held, seen, path, rough)
        if seen.negative == 0:
            held = [self.words.entry(int(k)) for k in self.held]
            text = self.words.minimum(seen.smallest, right, held)
            return Verdict("minimum", text, digits=right, curvature=seen.smallest)
        way = self._down(seen)
        if way is None:  # it leads out of the bounds
            return self._degenerate(seen, path)
        if seen.positive == 0 and not len(self.held):
            return Verdict("maximum", self.words.maximum(seen.largest), right, seen.smallest, way)
        return Verdict("saddle", self.words.saddle(seen.smallest, way), right, seen.smallest, way)

    def _left(self, seen: Seen, path: Path) -> Verdict:
        """The gradient is small, but Newton's method leads away from here."""
        ray = self.endless()
        if ray is not None:
            return ray
        step = unit(path.step) if largest_entry(path.step) > 0.0 else None
        text = self.words.left(path.step)
        return Verdict("not_stationary", text, curvature=seen.smallest, direction=step)

    def _degenerate(self, seen: Seen, path: Path) -> Verdict:
        from optcli.optimize.valleys import down_the_floor

        flat = [self.whole(v) for v in (seen.nulls() or [seen.flat])]
        lasting = seen.negative and path.bottom <= KEPT[0] * seen.lowest  # x²y² is indefinite only beside its axes
        way = self._down(seen) if lasting else None
        if way is not None:
            return Verdict("saddle", self.words.saddle(seen.smallest, way), None, seen.smallest, way)
        x, f = (path.x, path.value) if path.value <= self.point.value else (self.point.x, self.point.value)
        special = [*flat[:4], *([path.step] if largest_entry(path.step) > 0.0 else [])]
        slack = UNSETTLED * (self.point.value - f)
        local, lower, beside = self._probed(x, f, special, slack)
        if local and (lower := down_the_floor(self.problem, x, self.free, seen, flat, slack)) is not None:
            local = False
        if local and self.point.value - f > NOISE * abs(self.point.value):  # Newton's method went on to x
            beside = Beside(self.point.value - f, largest_entry(x - self.point.x))
        text = self.words.degenerate(seen.smallest, flat[0], local, beside)
        return Verdict(
            "degenerate",
            text,
            curvature=seen.smallest,
            direction=flat[0] if lower is None else lower,
            local_minimum=local,
        )

    # ------------------------------------------------------------ parts

    def whole(self, v: Array) -> Array:
        """A direction in the free variables as one in all."""
        out = np.zeros(self.problem.size)
        out[self.free] = v
        return out

    def _down(self, seen: Seen) -> Array | None:
        return self.way_down(self.whole(seen.down))

    def way_down(self, v: Array) -> Array | None:
        """v or −v, whichever leads lower; None where the bounds leave neither."""
        x = self.point.x
        h = 1e-3 * max(1.0, largest_entry(x))
        ends = [self.problem.project(x + sign * h * v) for sign in (1.0, -1.0)]
        values = [self.problem.value(end) for end in ends]
        slope = float(np.dot(self.point.gradient, v))
        if self.problem.bounded:
            open_ = [largest_entry(end - x - sign * h * v) <= 1e-6 * h for end, sign in zip(ends, (1, -1), strict=True)]
            if not any(open_):
                return None
            if not all(open_):
                return v if open_[0] else -v
        if values[0] == values[1] or not all(map(math.isfinite, values)):
            return v if slope <= 0.0 else -v
        return v if values[0] < values[1] else -v
