"""Which part of a text is to blame: for a value or derivative that is not finite, or for a kink near a point.

What the judge in `optimize/` is handed as names for what it only sees as numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optcli.autograd import ops
from optcli.autograd.kernels import chain
from optcli.expr.functions import FUNCTIONS
from optcli.expr.resolve import Resolved
from optcli.expr.syntax import SyntaxNode
from optcli.expr.trace import TooLongError, Tracer, is_condition
from optcli.optimize.culprit import Culprit

Array = NDArray[np.float64]
Cell = tuple[int, ...]
SIGNED = {ops.abs_, ops.sign, ops.heaviside, ops.cbrt}  # kinked, stepped, or infinitely steep where the argument is 0
STEPPED = {ops.floor, ops.ceil}
PICKED = {ops.largest, ops.smallest}
TIP = 0.25  # a root below this share of its values around is at its tip; a smooth root keeps its value
LONG = 60  # characters of a part that are quoted


class Blame:
    """Names for the parts of one resolved text. Nothing is said of texts whose sums are too long to keep."""

    def __init__(self, resolved: Resolved | None) -> None:
        self._tracer: Tracer | None = None
        with contextlib.suppress(TooLongError):
            self._tracer = None if resolved is None else Tracer(resolved)

    @property
    def smooth(self) -> bool:
        """Whether no part of the text can have a kink or a jump, as far as is known."""
        tracer = self._tracer
        return tracer is not None and not any(_may_kink(tracer, k) for k in tracer.needed)

    # ------------------------------------------------------------ what is not finite

    def nonfinite(self, x: Array) -> Culprit | None:
        """The part with finite operands whose value is not finite at x and makes the whole so; or, where the value is
        finite, the part whose derivative is not. None where all is finite, or nothing is known."""
        tracer = self._tracer
        if tracer is None:
            return None
        values = tracer.values(x)
        root = tracer.resolved.syntax.root
        if not np.all(np.isfinite(values[root])):
            return self._value_culprit(tracer, values, root)
        return self._slope_culprit(tracer, values)

    def _value_culprit(self, tracer: Tracer, values: list[Any], root: int) -> Culprit:
        k = root
        cell: Cell = ()
        while True:
            node = tracer.nodes[k]
            bad = [arg for arg in self._taken(node, values, cell) if not _finite(values[arg], cell)]
            if node.kind in ("sum", "product"):
                inner = self._bad_term(tracer, k, values, cell)
                if inner is None:
                    break
                k, cell = node.args[0], inner
            elif node.kind == "use":
                k, cell = node.args[0], ()
            elif node.value == "Piecewise" and (taken := int(_at(_branch(values, node), cell))) >= 0:
                k = tracer.nodes[node.args[taken]].args[0]
            elif bad:
                k = bad[0]
            else:
                break
        return self._culprit(tracer, k, cell, values, f"is {_number(_at(values[k], cell))}")

    @staticmethod
    def _bad_term(tracer: Tracer, k: int, values: list[Any], cell: Cell) -> Cell | None:
        axis, body = tracer.axes[k], values[tracer.nodes[k].args[0]]
        bad = ~np.isfinite(_line(body, cell))
        if axis.mask is not None:
            bad = bad & _line(axis.mask, cell)
        return (*cell, int(bad.argmax())) if axis.length and bad.any() else None

    @staticmethod
    def _taken(node: SyntaxNode, values: list[Any], cell: Cell) -> list[int]:
        """The arguments that the value there is made of: of a choice the branch that is taken."""
        if node.kind == "call" and node.value == "where":
            return [node.args[1] if _at(values[node.args[0]], cell) else node.args[2]]
        if node.kind == "call" and node.value == "Piecewise":
            return []
        return [arg for arg in node.args if not isinstance(values[arg], tuple)]

    def _slope_culprit(self, tracer: Tracer, values: list[Any]) -> Culprit | None:
        """Reverse mode over the text, until an adjoint that is not finite comes out of finite ones."""
        adjoints: dict[int, Any] = {tracer.resolved.syntax.root: np.float64(1.0)}
        found: Culprit | None = None
        with np.errstate(all="ignore"):
            for k in reversed(tracer.needed):
                adjoint = adjoints.get(k)
                if adjoint is None or not tracer.moving[k]:
                    continue
                for i, arg in enumerate(tracer.nodes[k].args):
                    if not tracer.moving[arg] or is_condition(tracer.nodes[arg]):
                        continue
                    part = self._pulled(tracer, k, i, adjoint, values)
                    if part is None:
                        continue
                    bad = np.argwhere(~np.isfinite(part))
                    if bad.size or not np.all(np.isfinite(part)):
                        cell = tuple(int(at) for at in bad[0]) if bad.size else ()
                        slope = _at(part, cell)
                        said = f"has a derivative that is {'infinite' if np.isinf(slope) else 'nan'}"
                        found = found or self._culprit(tracer, k, cell, values, said)
                        continue
                    part = np.sum(part) if tracer.nodes[k].kind == "use" else tracer.gathered(arg, part)
                    adjoints[arg] = adjoints.get(arg, 0.0) + part
        return found

    @staticmethod
    def _pulled(tracer: Tracer, k: int, i: int, adjoint: Any, values: list[Any]) -> Any:
        """The adjoint that argument i of node k receives; None where there is none, or it is finite anyway."""
        node = tracer.nodes[k]
        if node.kind == "use" or node.kind == "pair":
            return adjoint if i == 0 else None
        if node.kind in ("sum", "product"):
            if i:
                return None
            full, mask = np.expand_dims(adjoint, -1), tracer.axes[k].mask
            full = full if mask is None else np.where(mask, full, 0.0)
            for others in () if node.kind == "sum" else tracer.other_factors(k, values[node.args[0]]):
                full = chain(full, others)
            return full
        op = tracer.op(node)
        if node.kind == "call" and node.value == "Piecewise":
            return chain(adjoint, _chosen(values, node)[i])
        if op is None:
            return None
        args = tuple(values[arg] for arg in node.args)
        if op is ops.log and len(args) == 2:
            return None if i else chain(adjoint, 1.0 / (args[0] * np.log(args[1])))
        partial = op.partial(i, values[k], args)
        return None if partial is None else chain(adjoint, partial)

    # ------------------------------------------------------------ kinks

    def kinks(self, x: Array, around: Sequence[Array]) -> list[Culprit]:
        """The parts that have a kink, a jump or the tip of a root between x and the points around it."""
        tracer = self._tracer
        if tracer is None:
            return []
        candidates = [k for k in tracer.needed if _may_kink(tracer, k)]
        if not candidates:
            return []
        here = tracer.values(x)
        every = [tracer.values(point) for point in around]
        found = []
        for k in candidates:
            switched = _switched(tracer, k, here, every)
            if switched is not None:
                node, cell = tracer.nodes[k], switched
                what = "jumps" if node.kind == "call" and FUNCTIONS.get(node.value) in (
                    *STEPPED, ops.sign, ops.heaviside, ops.mod
                ) else "has a kink"  # fmt: skip
                found.append(self._culprit(tracer, k, cell, here, what))
        return found

    # ------------------------------------------------------------ words

    def _culprit(self, tracer: Tracer, k: int, cell: Cell, values: list[Any], said: str) -> Culprit:
        node = tracer.nodes[k]
        text = _short(tracer.text(k))
        operands = []
        if node.kind not in ("sum", "product", "pair") and not (node.kind == "call" and node.value == "Piecewise"):
            for arg in node.args:
                if tracer.moving[arg] and np.ndim(values[arg]) <= max(len(cell), np.ndim(values[k])):
                    operands.append(f"{_short(tracer.text(arg))} is {_number(_at(values[arg], cell))}")
        operands = list(dict.fromkeys(operands))
        where = tracer.place(k, cell)
        sentence = f"{text} {said}"
        if where:
            sentence += f" at {where}"
        if operands:
            sentence += f", where {' and '.join(operands)}"
        return Culprit(text, (node.start, node.end), sentence)


def _may_kink(tracer: Tracer, k: int) -> bool:
    node = tracer.nodes[k]
    if not tracer.moving[k]:
        return False
    if node.kind == "**":
        power = tracer.nodes[node.args[1]]
        return not (power.kind == "number" and float(power.value).is_integer())
    if node.kind != "call":
        return False
    if node.value in ("where", "Piecewise", "norm"):
        return True
    op = FUNCTIONS.get(node.value)
    return op in SIGNED or op in STEPPED or op in PICKED or op in (ops.sqrt, ops.hypot, ops.mod)


def _switched(tracer: Tracer, k: int, here: list[Any], around: list[list[Any]]) -> Cell | None:
    """The first cell in which node k goes another way at one of the points than here, or has the tip of a root."""
    node = tracer.nodes[k]
    op = tracer.op(node)
    if node.kind == "**" or node.value == "norm" or op in (ops.sqrt, ops.hypot):
        with np.errstate(all="ignore"):
            largest = np.max(np.abs(np.array([np.asarray(values[k]) for values in around])), axis=0)
            tip = np.isfinite(largest) & (np.abs(here[k]) < TIP * largest)
            if node.kind == "**":  # x**2.5 is small near 0 too, but has no tip; x**-0.5 has a pole
                power = np.asarray(here[node.args[1]])
                tip = tip & (power > 0.0) & (power < 2.0)
        return _first(tip)
    first = _way(tracer, node, op, here)
    for values in around:
        cell = _first(np.asarray(first) != np.asarray(_way(tracer, node, op, values)))
        if cell is not None:
            return cell
    return None


def _way(tracer: Tracer, node: SyntaxNode, op: Any, values: list[Any]) -> Any:
    """Which way the node goes: the sign, the step, the argument picked, the branch taken."""
    args = [values[arg] for arg in node.args]
    if node.value == "Piecewise":
        return _branch(values, node)
    if op is ops.where:
        return np.not_equal(args[0], 0.0)
    if op in SIGNED:
        return np.sign(args[0])
    if op is ops.mod:
        with np.errstate(all="ignore"):
            return np.floor(args[0] / args[1])
    if op in STEPPED:
        return op.kernel(args[0])
    stack = np.array(np.broadcast_arrays(*args))
    best = np.max(stack, axis=0) if op is ops.largest else np.min(stack, axis=0)
    weights = 2.0 ** np.arange(len(args)).reshape([-1] + [1] * (stack.ndim - 1))
    return np.sum((stack == best) * weights, axis=0)  # a tie is a way of its own


def _branch(values: list[Any], node: SyntaxNode) -> Any:
    """The number of the pair of a Piecewise that is taken, -1 for none."""
    taken: Any = np.float64(-1.0)
    for number in range(len(node.args) - 1, -1, -1):
        taken = np.where(np.not_equal(values[node.args[number]][1], 0.0), float(number), taken)
    return taken


def _chosen(values: list[Any], node: SyntaxNode) -> list[Any]:
    taken = _branch(values, node)
    return [np.equal(taken, float(number)) * 1.0 for number in range(len(node.args))]


def _first(flags: Any) -> Cell | None:
    where = np.argwhere(np.asarray(flags))
    if where.size:
        return tuple(int(at) for at in where[0])
    return () if np.ndim(flags) == 0 and bool(flags) else None


def _at(value: Any, cell: Cell) -> Any:
    """The entry of a value in a cell; axes of length 1 and missing ones stand for equal entries."""
    shape = np.shape(value)
    if not shape:
        return value
    return value[tuple(min(at, n - 1) for at, n in zip((*cell, *[0] * len(shape)), shape, strict=False))]


def _line(value: Any, cell: Cell) -> Any:
    """The entries of a Sum's body there along its index, one where they are equal."""
    shape = np.shape(value)
    return (
        value[tuple(min(at, n - 1) for at, n in zip(cell, shape[:-1], strict=True))] if shape else np.reshape(value, 1)
    )


def _finite(value: Any, cell: Cell) -> bool:
    return not isinstance(value, tuple) and bool(np.all(np.isfinite(_at(value, cell))))


def _number(value: Any) -> str:
    return f"{float(value) + 0.0:.6g}"


def _short(text: str) -> str:
    return text if len(text) <= LONG else text[: LONG - 1] + "…"
