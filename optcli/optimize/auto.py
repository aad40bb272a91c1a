"""Which methods `auto` takes, in which order, and why."""

from __future__ import annotations

from typing import NamedTuple

NAME = "auto"
FEW = 5  # variables up to which a Hessian, a gradient for each, saves more evaluations than it costs
DENSE = 200  # variables up to which a full matrix costs little beside the evaluations
SIMPLEX = 12  # variables up to which a simplex of values gets somewhere


class Plan(NamedTuple):
    """The methods to try, the first one first, and a sentence."""

    methods: tuple[str, ...]
    why: str


def plan(size: int, bounded: bool, smooth: bool, lr_given: bool) -> Plan:
    """What suits a problem of `size` variables; `smooth`: no operation of it has kinks or jumps."""
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
    return Plan(("lbfgsb", "projected_newton") if bounded else ("lbfgs", "newton", "lbfgs"), kind)
