"""What a verdict says, in one sentence each, of the function as typed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from optcli.optimize.iterate import Array, Point, largest_entry

if TYPE_CHECKING:
    from optcli.optimize.culprit import Culprit

MOST = 3  # variables of a direction that are named
SHARE = 0.1  # entries below this share of the largest one are left out


class Beside(NamedTuple):
    """A bottom beside the point: how much lower it is, and the largest displacement of an entry."""

    gap: float
    distance: float


@dataclass(frozen=True, eq=False)
class Sentences:
    """The words for one point; with `maximize` numbers handed in are those of the negated function."""

    point: Point
    tolerance: float
    entries: Sequence[str]
    maximize: bool = False

    @property
    def extremum(self) -> str:
        return "maximum" if self.maximize else "minimum"

    @property
    def opposite(self) -> str:
        return "minimum" if self.maximize else "maximum"

    @property
    def lower(self) -> str:
        return "higher" if self.maximize else "lower"

    @property
    def falls(self) -> str:
        return "rises" if self.maximize else "falls"

    def typed(self, value: float) -> float:
        """A value or curvature of the function as typed."""
        return (-value if self.maximize else value) + 0.0

    def curvature(self, smallest: float) -> str:
        return f"{'largest' if self.maximize else 'smallest'} curvature {self.typed(smallest):.3g}"

    @property
    def slope(self) -> str:
        norm = self.point.gradient_norm
        if norm <= self.tolerance:
            return f"the gradient norm {norm:.3g} is within {self.tolerance:.3g}"
        return f"the gradient norm {norm:.3g} is above {self.tolerance:.3g}"

    # ------------------------------------------------------------ a sentence a kind

    def nonfinite(self, culprit: Culprit | None) -> str:
        what = "gradient" if math.isfinite(self.point.value) else "value"
        if culprit is None:
            return "value or gradient is not a finite number here, so nothing can be said of this point"
        return f"the {what} is not a finite number here: {culprit.sentence}"

    @property
    def zero(self) -> str:
        """Of a gradient that is as small as can be asked for."""
        norm = self.point.gradient_norm
        return self.slope if norm <= self.tolerance else f"the gradient norm {norm:.3g} is what rounding leaves of zero"

    def minimum(self, smallest: float, digits: dict[str, int], held: Sequence[str]) -> str:
        bounds = f"; {_listed(held)} {'is' if len(held) == 1 else 'are'} held by bounds" if held else ""
        return (
            f"{self.zero}, {self.curvature(smallest)}; good to {_count(digits['x'])} of x "
            f"and {_count(digits['value'])} of the value{bounds}"
        )

    def corner(self) -> str:
        return (
            f"every variable is held by a bound, as the gradient leads out of them all: no {self.lower} point is near"
        )

    def stationary(self, why: str) -> str:
        return f"{self.zero}, as it is at a {self.extremum}; curvature is not judged: {why}"

    def not_stationary(self, gain: float | None, near: Culprit | None) -> str:
        text = f"{self.slope}, so it is no {self.extremum} yet"
        if gain is not None and gain > 0.0:
            text += f"; the value can still {'rise' if self.maximize else 'fall'} by about {gain:.2g}"
        if near is not None:
            text += f"; {near.sentence}: gradients do not settle there"
        return text

    def before_bound(self, k: int, gap: float, slope: float) -> str:
        """Where the k-th entry of x is `gap` from the bound that the gradient leads to."""
        return (
            f"{self.slope}, but {self.entry(k)} is still {gap:.3g} from its bound, and a gradient of {slope:.3g} leads "
            f"there, so it is no {self.extremum} yet"
        )

    def left(self, step: Array) -> str:
        """Where the gradient is small but Newton's method goes elsewhere, first by `step`."""
        size = largest_entry(step)
        if not 0.0 < size < math.inf:
            tail = "no point with gradient zero is near"
        else:
            tail = f"a Newton step goes {size:.3g} along {self.along(step)}"
        norm = self.point.gradient_norm
        return f"the gradient norm {norm:.3g} is small, but no {self.extremum} is here: {tail}"

    def unbounded(self, ray: Array) -> str:
        return (
            f"there is no {self.extremum}: the value went on until it overflowed along {self.along(ray)}, and "
            f"this point is only the {self.lower.removesuffix('er')}est finite one on the way "
            f"(gradient norm {self.point.gradient_norm:.3g})"
        )

    def ray(self, ray: Array) -> str:
        return f"there is no {self.extremum}: from here the value {self.falls} without end along {self.along(ray)}"

    def saddle(self, smallest: float, way: Array) -> str:
        sense = "upwards" if self.maximize else "downwards"
        return (
            f"{self.slope}, but the curvature along {self.along(way)} is {self.typed(smallest):.3g}: "
            f"the way {sense} is there (--escape follows it)"
        )

    def maximum(self, curvature: float) -> str:
        return (
            f"{self.slope}, but the curvature is {self.typed(curvature):.3g} or more in size the wrong way everywhere: "
            f"this is a {self.opposite}, and every way leads {'up' if self.maximize else 'down'}"
        )

    def degenerate(self, smallest: float, flat: Array, local: bool | None, beside: Beside | None) -> str:
        fades = f"along {self.along(flat)} the curvature fades to zero here"
        return f"{self.slope}, but {fades}; {self.probed(local, beside)}"

    def no_curvature(self, local: bool | None, beside: Beside | None) -> str:
        return f"{self.slope}, but second derivatives are not finite here; {self.probed(local, beside)}"

    def kink(self, culprits: Sequence[Culprit], local: bool | None, beside: Beside | None) -> str:
        if not culprits:
            said = "the gradient jumps here"
        else:
            more = f" (and {len(culprits) - 1} more)" if len(culprits) > 1 else ""
            said = f"{culprits[0].sentence}{more}"
        return f"{said}; {self.probed(local, beside)}"

    def probed(self, local: bool | None, beside: Beside | None) -> str:
        from optcli.optimize.probing import MOST as PROBED

        if local is None and len(self.point.x) <= PROBED:
            return (
                f"in doubles nothing changes along a line here, but further on along it something does: too "
                f"flat to tell whether it is a {self.extremum}"
            )
        if local is None:
            return f"whether it is a {self.extremum} was not probed, for so many variables"
        if local and beside is not None:
            return (
                f"probing found the bottom {beside.distance:.2g} away, {beside.gap:.2g} {self.lower}, and nothing "
                f"{self.lower} around that, as near a {self.extremum}"
            )
        if local:
            return f"probing found nothing {self.lower} around, as at a {self.extremum}"
        return f"probing found {self.lower} points beside it, so it is no {self.extremum}"

    # ------------------------------------------------------------ parts

    def along(self, v: Array) -> str:
        """`x`, `-y`, `x - 0.5*y + …`: a direction by the entries that matter."""
        size = largest_entry(v)
        if not 0.0 < size < math.inf:
            return "nothing"
        order = [k for k in np.argsort(-np.abs(v), kind="stable") if abs(v[k]) >= SHARE * size]
        text = ""
        for k in order[:MOST]:
            share = abs(v[k]) / size
            name = self.entry(k) if abs(share - 1.0) < 5e-3 else f"{share:.2g}*{self.entry(k)}"
            sign = "-" if v[k] < 0.0 else "+"
            text += f" {sign} {name}" if text else f"{sign.removeprefix('+')}{name}"
        return text + (" + …" if len(order) > MOST else "")

    def entry(self, k: int) -> str:
        return self.entries[k] if len(self.entries) else f"x[{k}]"


def unit(v: Array) -> Array:
    """The direction of v as a unit vector; v itself where it has none."""
    size = largest_entry(v)
    if not 0.0 < size < math.inf:
        return v
    w = v / size
    out: Array = w / np.sqrt(np.dot(w, w)) + 0.0
    return out


def _count(digits: int) -> str:
    return "1 digit" if digits == 1 else f"{digits} digits"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:MOST])
    return ", ".join(shown) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
