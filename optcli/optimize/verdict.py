"""What the reported point is, judged from the numbers there, whatever the method said. Here: first order only."""

from __future__ import annotations

from typing import Any, NamedTuple

from optcli.optimize.status import Status


class Verdict(NamedTuple):
    """The kind of point (contract §4) and one sentence about it."""

    kind: str
    text: str
    local_minimum: bool | None = None
    direction: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"kind": self.kind, "text": self.text}


def judge(finite: bool, gradient_norm: float, tolerance: float, status: Status, maximize: bool = False) -> Verdict:
    """Judge the reported point: whether x, value and gradient are finite, and the norm of the projected gradient.

    `tolerance` is T of contract §2 at the point; `status` matters only where it proves that no minimum exists.
    """
    extremum = "maximum" if maximize else "minimum"
    if not finite:
        return Verdict(
            "nonfinite", "value or gradient is not a finite number here, so nothing can be said of this point"
        )
    if status is Status.UNBOUNDED:
        return Verdict(
            "unbounded",
            f"there is no {extremum}: the value went on until it overflowed, and this point is only the "
            f"{'highest' if maximize else 'lowest'} finite one on the way (gradient norm {gradient_norm:.3g})",
        )
    if gradient_norm <= tolerance:
        return Verdict(
            "stationary",
            f"the gradient norm {gradient_norm:.3g} is within {tolerance:.3g}, as it is at a {extremum}; "
            "curvature is not judged, so a saddle is not ruled out",
        )
    return Verdict(
        "not_stationary",
        f"the gradient norm {gradient_norm:.3g} is above {tolerance:.3g}, so by the gradient it is no {extremum} yet; "
        "curvature is not judged",
    )
