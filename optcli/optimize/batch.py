"""Where runs of one method from many starts ended, as arrays; an iterate is made where one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optcli.optimize.iterate import Array, Iterate, Mask
from optcli.optimize.stop import Stop

ULPS = 4.0  # a displacement of so many changes nothing that doubles could tell


@dataclass(frozen=True, eq=False)
class Batch:
    """The last points of m runs, x of shape (m, n), else (m,); `iterate(k)` is all of the k-th.

    `norm` is the gradient norm, `done` the updates made, `best_x` and `best_value` are the lowest finite point; `scale`
    is that of the tolerance, `still` tells whose next update would change nothing, `left` those that no rule has ended,
    `doubtful` those that a run alone may judge otherwise: value finite and gradient not, or apart from a bound.
    """

    x: Array
    value: Array
    norm: Array
    finite: Mask
    best_x: Array
    best_value: Array
    done: NDArray[np.int64]
    scale: Array
    still: Mask
    left: Mask
    doubtful: Mask
    iterate: Callable[[int], Iterate]

    def reported(self, stop: Stop) -> tuple[Array, Array]:
        """x and value of the points to report, contract §4: the last one of a run that ended well, else the lowest."""
        last = self.finite & ~self.left & (self.reached(stop) | (self.flat(stop) if stop.judges else True))
        return np.where(last[:, None], self.x, self.best_x), np.where(last, self.value, self.best_value)

    def reached(self, stop: Stop) -> Mask:
        """Whose value is at the target."""
        return self.finite & (self.value <= (-np.inf if stop.target is None else stop.target))

    def flat(self, stop: Stop) -> Mask:
        """Whose gradient is within the tolerance, whether that is active or not."""
        least, relative = stop.tolerance_terms
        found: Mask = self.finite & (
            self.norm <= np.maximum(least, relative * np.minimum(np.abs(self.value), self.scale))
        )
        return found
