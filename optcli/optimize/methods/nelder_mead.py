"""The Nelder–Mead simplex method."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optcli.optimize.iterate import Array, Iterate, Point
from optcli.optimize.methods.method import POSITIVE, SQUARE, Method, parameter
from optcli.optimize.rounding import EPS

if TYPE_CHECKING:
    from optcli.optimize.problem import Problem

COLLAPSED = 16 * EPS  # extent of a simplex, in parts of max(1, |x|), within which vertices are rounding
STILL = 1e-7  # the same where the values are equal in doubles: about the root of their rounding
RESTART = 0.05  # edge of the first restart, in parts of `size`
SMALLER = 0.1  # factor of the next edge where a restart found little
LITTLE = 1e-2  # part of |f| that is little
NOTHING = 1e-12  # part of |f| that is not worth another restart


@dataclass(frozen=True)
class NelderMead(Method):
    """Of n + 1 vertices, sorted by value, the worst x_w gives way to a point of the line through it and the centroid c
    of the others:

    reflection  c + (c − x_w); better than all: expansion  c + (1 + 2/n)(c − x_w), if lower still
    no better than the second worst: contraction  c ± (¾ − 1/(2n))(c − x_w), on the better side
    nothing better: all shrink to the best, x_b + (1 − 1/n)(x − x_b)

    with the factors of Gao & Han, which for n = 2 are those of Nelder and Mead. Trial points are moved into the bounds.
    A simplex that has collapsed begins anew, smaller, around its best vertex, down the differences it has seen
    (Kelley's oriented restart); the run ends when that gains nothing. Only values are used: for kinks. The gradient of
    the rows is evaluated once for each new best vertex.
    """

    name = "nelder_mead"
    summary = "simplex method: values only, for functions with kinks and few variables"
    reference = (
        "J. A. Nelder, R. Mead, A simplex method for function minimization, Computer J. 7 (1965) 308–313; F. Gao, L. "
        "Han, Implementing the Nelder–Mead simplex algorithm with adaptive parameters, Comput. Optim. Appl. 51 "
        "(2012) 259–277; C. T. Kelley, Detection and remediation of stagnation in the Nelder–Mead algorithm using a "
        "sufficient decrease condition, SIAM J. Optim. 10 (1999) 43–55"
    )
    gradients: ClassVar[bool] = False

    size: float = parameter(0.1, "edge of the first simplex along each variable, in parts of max(1, |x|)", POSITIVE)

    @property
    def size_limit(self) -> int:
        return SQUARE

    def init(self, problem: Problem, start: Array) -> Iterate:
        """The evaluated start; the state is the vertices, best first, their values, and of the restarts the next edge
        and the value at the last one. The first update makes the simplex."""
        point = Point.at(problem, 0, problem.project(start))
        restarts = np.array([RESTART * self.size, math.inf])
        return Iterate.start(point, (np.zeros((0, problem.size)), np.zeros(0), restarts))

    def step(self, problem: Problem, iterate: Iterate) -> Iterate:
        """The next simplex; a new one in place of one that has collapsed."""
        X, F, restarts = iterate.state
        edge, since = restarts
        if not len(F):
            X, F = simplex(problem, iterate.point, np.full(problem.size, self.size))
        elif not collapsed(X, F):
            X, F = changed(problem, X, F)
        else:
            gain = since - iterate.value
            if edge < STILL or not gain > NOTHING * abs(since if since < math.inf else iterate.value):
                return iterate.unmoved()
            X, F = simplex(problem, iterate.point, np.where(simplex_gradient(X, F) > 0.0, -edge, edge))
            edge = edge if LITTLE * abs(since) < gain < math.inf else SMALLER * edge
            restarts = np.array([edge, iterate.value])
        i = iterate.iteration + 1
        same = np.array_equal(X[0], iterate.x)
        return iterate.then(
            replace(iterate.point, iteration=i) if same else Point.at(problem, i, X[0]), (X, F, restarts)
        )


def value_at(problem: Problem, x: Array) -> float:
    """f(x), and ∞ for NaN, which is no better than anything."""
    value = problem.value(x)
    return math.inf if math.isnan(value) else value


def simplex(problem: Problem, point: Point, edges: Array) -> tuple[Array, Array]:
    """Vertices, shape (n + 1, n), and values of a simplex from the point along the axes, best first.

    `edges` are in parts of max(1, |x|); an edge that leaves the bounds goes the other way, or as far as there is room.
    """
    x = point.x
    lower, upper = problem.box()
    s = edges * np.maximum(1.0, np.abs(x))
    s = np.where((x + s < lower) | (x + s > upper), -s, s)
    room = np.where(upper - x > x - lower, upper - x, lower - x)
    s = np.where((x + s < lower) | (x + s > upper), room, s)
    X = np.vstack([x, x + np.diag(s)])
    return ordered(X, np.array([point.value, *(value_at(problem, each) for each in X[1:])]))


def ordered(X: Array, F: Array) -> tuple[Array, Array]:
    """The vertices by value; of equal ones the earlier first."""
    order = np.argsort(F, kind="stable")
    return X[order], F[order]


def changed(problem: Problem, X: Array, F: Array) -> tuple[Array, Array]:
    """The next simplex, with the factors 1, 1 + 2/n, ¾ − 1/(2n) and 1 − 1/n of Gao & Han."""
    n = max(len(F) - 1, 2)  # a single variable would have a shrinkage to nothing
    c = np.mean(X[:-1], axis=0)
    away = c - X[-1]

    def tried(factor: float) -> tuple[float, Array]:
        x = problem.project(c + factor * away)
        return value_at(problem, x), x

    reflected = tried(1.0)
    if reflected[0] < F[0]:
        found = min(reflected, tried(1.0 + 2.0 / n), key=lambda trial: trial[0])
    elif reflected[0] < F[-2]:
        found = reflected
    else:
        outside = reflected[0] < F[-1]
        found = tried((0.75 - 0.5 / n) * (1.0 if outside else -1.0))
        if not (found[0] <= reflected[0] if outside else found[0] < F[-1]):
            X = np.vstack([X[:1], X[0] + (1.0 - 1.0 / n) * (X[1:] - X[0])])
            return ordered(X, np.array([F[0], *(value_at(problem, each) for each in X[1:])]))
    return ordered(np.vstack([X[:-1], found[1]]), np.append(F[:-1], found[0]))


def collapsed(X: Array, F: Array) -> bool:
    """Whether rounding is all that tells the vertices, or their values, apart."""
    extent = float(np.max(np.abs(X[1:] - X[0]) / np.maximum(1.0, np.abs(X[0]))))
    return extent <= COLLAPSED or (extent <= STILL and not F[-1] - F[0] > 2.0 * EPS * abs(F[0]))


def simplex_gradient(X: Array, F: Array) -> Array:
    """The gradient of the linear function through the vertices, Kelley's simplex gradient; zeros where it has none."""
    edges, differences = X[1:] - X[0], F[1:] - F[0]
    if not np.isfinite(differences).all():
        return np.zeros(X.shape[1])
    found: Array = np.linalg.lstsq(edges, differences)[0]
    return found
