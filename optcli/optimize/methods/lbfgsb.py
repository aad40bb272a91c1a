"""L-BFGS-B: limited-memory BFGS in a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optcli.optimize.compact import Compact, Pairs, cauchy_point, reach, subspace_minimizer
from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.line import NOISE
from optcli.optimize.line_search import search
from optcli.optimize.methods.method import Method, Whole, parameter
from optcli.optimize.products import dot, norm
from optcli.optimize.rounding import FLOOR, nothing_yet, waited

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

C1 = 1e-4  # sufficient decrease, Nocedal & Wright section 3.1
C2 = 0.9  # curvature condition for quasi-Newton directions, Nocedal & Wright section 3.1
SMALL = 1e-300  # against a division by zero
SIZE = FLOOR / NOISE  # of f at least: below it, differences may be the rounding of terms that cancel


@dataclass(frozen=True)
class LBFGSB(Method):
    """x_c: the first minimizer of m(z) = ∇f(x)·(z − x) + ½ (z − x)·B(z − x) along P(x − t∇f(x))
    x̄: the minimizer of m over the variables that x_c leaves within their bounds, projected
    x₊ = x + α(x̄ − x)

    where B = θI − WMWᵀ holds the last `memory` pairs s = x₊ − x, y = ∇f(x₊) − ∇f(x), and α fulfils the strong Wolfe
    conditions with 1e-4 and 0.9 (or their approximate form where differences of f are rounding) or ends at a bound.
    Without bounds it is L-BFGS.
    """

    name = "lbfgsb"
    summary = "limited-memory BFGS that keeps bounds: the usual choice with bounds and no second derivatives"
    reference = (
        "R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, A limited memory algorithm for bound constrained optimization, SIAM "
        "J. Sci. Comput. 16 (1995) 1190–1208; J. L. Morales, J. Nocedal, Remark on Algorithm 778, ACM Trans. Math. "
        "Softw. 38 (2011) 7"
    )

    memory: int = parameter(10, "pairs of displacements and changes of the gradient that are kept", Whole(1))

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start; the state is the pairs s and y, a row each, and the record of the last digits."""
        point = Point.at(problem, 0, problem.project(start))
        return Iterate.start(point, (*Pairs.none(problem.size), nothing_yet(point)))

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """With the memory emptied where no step length is found."""
        *arrays, since = iterate.state
        pairs = Pairs(*arrays)
        after = _along(problem, iterate, pairs)
        if after is None and len(pairs.S):
            pairs = Pairs.none(problem.size)
            after = _along(problem, iterate, pairs)
        if after is None:
            return iterate.unmoved()
        s, y = after.x - iterate.x, after.gradient - iterate.gradient
        record = waited(since, iterate.point, after, -0.5 * dot(iterate.gradient, s))
        if record is None:
            return iterate.unmoved()
        return iterate.then(after, (*pairs.after(s, y, self.memory), record))


def _along(problem: Problem, iterate: Iterate, pairs: Pairs) -> Point | None:
    """The point after a search towards the minimizer of the model; None if there is no lower one."""
    x, g = iterate.x, iterate.gradient
    B = Compact.of(pairs)
    if B is None:
        return None
    lower, upper = problem.box()
    cauchy, c = cauchy_point(x, g, lower, upper, B)
    d = subspace_minimizer(x, g, lower, upper, B, cauchy, c) - x
    first = 1.0 if len(pairs.S) else min(1.0, 1.0 / max(norm(d), SMALL))
    ends = reach(x, d, lower, upper)
    found = search("wolfe", problem, iterate.point, d, first, C1, C2, SIZE, ends)
    if found.end in ("rounding", "failed"):
        return None
    trial = found.trial
    return Point.of(problem, iterate.iteration + 1, trial.x, trial.f, trial.g)
