"""Learning rates that change from update to update: a table of formulas lr(i), i = 1, 2, …

Each takes the base rate lr and t = i − 1, the number of updates made before. t is a number or a graph node, so that
formulas are traced with a method's update: ordinary operators and numpy's functions only, no branch on t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

# one-cycle, as torch.optim.lr_scheduler.OneCycleLR(three_phase=True, anneal_strategy="linear") has them by default
RISE = 0.3  # the part of the period in which lr rises, and again the one in which it falls back
BEGIN = 1.0 / 25.0  # where it begins, of lr
THRESHOLD = 1e-4  # part of |f| by which a value must be lower to count, torch.optim.lr_scheduler.ReduceLROnPlateau


if TYPE_CHECKING:
    from typing import Protocol

    class Terms(Protocol):
        """What formulas depend on besides lr and t: a first-order method."""

        @property
        def period(self) -> int: ...
        @property
        def decay(self) -> float: ...
        @property
        def power(self) -> float: ...
        @property
        def final(self) -> float: ...
        @property
        def growth(self) -> int: ...


def constant(lr: float, t: Any, terms: Terms) -> Any:
    """lr"""
    return lr


def step(lr: float, t: Any, terms: Terms) -> Any:
    """max(final, lr·decay^⌊t/period⌋)"""
    return np.maximum(lr * terms.decay ** np.floor(t / terms.period), terms.final)


def exponential(lr: float, t: Any, terms: Terms) -> Any:
    """max(final, lr·decay^(t/period))"""
    return np.maximum(lr * terms.decay ** (t / terms.period), terms.final)


def inverse(lr: float, t: Any, terms: Terms) -> Any:
    """max(final, lr/(1 + t/period)^power): half of lr after a period where power is 1.

    H. Robbins, S. Monro, A stochastic approximation method, Ann. Math. Statist. 22 (1951) 400–407, with power 1.
    """
    return np.maximum(lr / _raised(1.0 + t / terms.period, terms.power), terms.final)


def polynomial(lr: float, t: Any, terms: Terms) -> Any:
    """final + (lr − final)·(1 − min(t, period)/period)^power: a straight line where power is 1"""
    rest = 1.0 - np.minimum(t, terms.period) / terms.period
    return terms.final + (lr - terms.final) * _raised(rest, terms.power)


def cosine(lr: float, t: Any, terms: Terms) -> Any:
    """final + (lr − final)·(1 + cos(π·s/T))/2, s updates after the last restart of a cycle T long

    The first cycle has T = period, each later one growth times the T before it. I. Loshchilov, F. Hutter, SGDR:
    stochastic gradient descent with warm restarts, ICLR 2017, arXiv:1608.03983, eq. (5), T_mult = growth.
    """
    first, growth = float(terms.period), float(terms.growth)
    if growth == 1.0:
        since, length = t - first * np.floor(t / first), first
    else:
        # cycle k begins at first·(growth^k − 1)/(growth − 1), a whole number; the logarithm says which k it is but for
        # rounding, so the nearest is taken and compared
        k = np.floor(np.log(1.0 + t * ((growth - 1.0) / first)) / math.log(growth) + 0.5)
        k = k - np.less(t, _beginning(k, first, growth))
        since, length = t - _beginning(k, first, growth), first * growth**k
    return terms.final + (0.5 * (lr - terms.final)) * (1.0 + np.cos(math.pi * (since / length)))


def _beginning(k: Any, first: float, growth: float) -> Any:
    return np.floor(first * ((growth**k - 1.0) / (growth - 1.0)) + 0.5)


def one_cycle(lr: float, t: Any, terms: Terms) -> Any:
    """from lr/25 up to lr, back again, and down to final, along straight lines: 30 %, 30 % and 40 % of the period

    L. N. Smith, N. Topin, Super-convergence: very fast training of neural networks using large learning rates, 2018,
    arXiv:1708.07120. The momentum is not cycled.
    """
    low, width = lr * BEGIN, max(RISE * terms.period - 1.0, 1.0)
    rest = max(terms.period - 1.0 - 2.0 * width, 1.0)

    def part(begin: float, length: float) -> Any:
        return np.minimum(np.maximum((t - begin) / length, 0.0), 1.0)

    up, down = part(0.0, width), part(width, width)
    return low + (lr - low) * (up - down) + (terms.final - low) * part(2.0 * width, rest)


def _raised(base: Any, power: float) -> Any:
    """base**power, without the C library where one operation does it."""
    if power == 1.0:
        return base
    return base * base if power == 2.0 else base**power


SCHEDULES: dict[str, Callable[[float, Any, Terms], Any]] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "inverse": inverse,
    "polynomial": polynomial,
    "cosine": cosine,
    "one-cycle": one_cycle,
    "plateau": constant,  # times the factor that `watched` finds
}
CALLING = {"step", "exponential", "cosine"}  # they call the C library
POWERED = {"inverse", "polynomial"}  # they do where power is neither 1 nor 2


def rate(schedule: str, lr: float, i: Any, terms: Terms, warmup: int = 0) -> Any:
    """The learning rate of update i, from 1 on.

    The first `warmup` updates go up to it along a straight line, lr·i/(warmup + 1); the schedule begins after them.
    P. Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017, arXiv:1706.02677: the gradual
    warmup.
    """
    formula = SCHEDULES[schedule]
    if not warmup:
        return formula(lr, i - 1, terms)
    ramp = np.minimum(i, warmup + 1) / (warmup + 1)
    return ramp * formula(lr, np.maximum(i - 1 - warmup, 0), terms)


def exact(schedule: str, terms: Terms) -> bool:
    """Whether its digits are the same everywhere: correctly rounded operations alone."""
    return schedule not in CALLING and not (schedule in POWERED and terms.power not in (1.0, 2.0))


def settled(schedule: str, lr: float, terms: Terms, warmup: int = 0) -> float:
    """The number of updates from which on the rate never rises again; infinite where there is none."""
    if schedule == "cosine":
        return math.inf
    rises = schedule == "one-cycle" or (schedule == "polynomial" and terms.final > lr)
    return float(warmup + (terms.period if rises else 0))


def watched(value: float, seen: Any, decay: float, patience: int) -> Any:
    """Plateau: what was seen so far, (lowest value, updates since, factor of lr), after one more value.

    The factor is multiplied by `decay` when more than `patience` values in a row were not lower than the lowest by
    1e-4 of it, and counting begins anew, as torch.optim.lr_scheduler.ReduceLROnPlateau does without cooldown (which
    takes a rise by 1e-4 for a fall where values are negative; here it is a fall by 1e-4·|lowest|).
    """
    lowest, since, factor = (float(entry) for entry in seen)
    if value < lowest - THRESHOLD * abs(lowest) or lowest == math.inf:
        return np.array([value, 0.0, factor])
    if since + 1.0 > patience:
        return np.array([lowest, 0.0, factor * decay])
    return np.array([lowest, since + 1.0, factor])
