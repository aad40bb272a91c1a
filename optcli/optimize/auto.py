"""Which methods `auto` takes, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

NAME = "auto"
FEW = 5  # variables up to which a Hessian, a gradient for each, saves more evaluations than it costs
DENSE = 200  # variables up to which a full matrix costs little beside the evaluations
SIMPLEX = 12  # variables up to which a simplex of values gets somewhere
# Variables from which on the pairs of L-BFGS cost more than the evaluations that they save conjugate gradients, as long
# as an evaluation computes no more numbers than these for each variable; and the updates that an easy problem takes.
LONG, LIGHT, EASY = 5000, 50, 30


class Plan(NamedTuple):
    """The methods to try, the first one first, and a sentence.

    With an `attempt` the first one has so many updates to converge in; if it does not, the next begins at the start.
    """

    methods: tuple[str, ...]
    why: str
    attempt: int = 0


def plan(size: int, bounded: bool, smooth: bool, lr_given: bool, work: Callable[[], int] | None = None) -> Plan:
    """What suits a problem of `size` variables; `smooth`: no operation of it has kinks or jumps.

    `work` tells how many numbers an evaluation of value and gradient computes; None: no attempt is wanted.
    """
    variables = "1 variable" if size == 1 else f"{size} variables"
    kind = f"{variables}, {'smooth' if smooth else 'with kinks'}{', bounds' if bounded else ''}"
    if lr_given:
        return Plan(("gd",), "a learning rate is given")
    if not smooth:
        first = ("lbfgsb",) if bounded else ("bfgs",) if size <= DENSE else ("lbfgs",)
        return Plan((*first, "nelder_mead") if size <= SIMPLEX else first, kind)
    if size <= DENSE:
        if bounded:
            methods: tuple[str, ...] = ("projected_newton", "lbfgsb")
        else:
            methods = ("newton", "bfgs") if size <= FEW else ("bfgs", "newton")
        return Plan((*methods, "nelder_mead") if size <= SIMPLEX else methods, kind)
    if bounded:
        return Plan(("lbfgsb", "projected_newton"), kind)
    methods = ("lbfgs", "newton", "lbfgs")
    if size >= LONG and work is not None and work() <= LIGHT * size:
        return Plan(("cg", *methods), kind, EASY)
    return Plan(methods, kind)
