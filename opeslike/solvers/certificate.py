"""The certificate: a bound on how far an answer is from optimal, whoever found it.

For convex ``F = sup_q F_q`` over the feasible set W, any probabilities q in the risk's envelope and any multipliers y
of the equalities,

    F(w) - F*  <=  [F(w) - F_q(w)]  +  max over v in W of  grad F_q(w) . (w - v),

and the last term is at most ``sum_i max(d_i (w_i - l_i), d_i (w_i - u_i))`` with ``d = grad F_q(w) - rows' y`` on the
box. Nothing here trusts a solver: it may supply q and y, but the inequality holds for every choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import Point, Problem, ScenarioProblem
from opeslike.solvers.pieces import Pieces

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """Value and certified gap at a point; ``optimal`` where the gap is within the problem's tolerance."""

    value: float
    gap: float
    tolerance: float
    point: Point

    @property
    def optimal(self) -> bool:
        """Whether the gap is small enough for the answer to count as optimal."""
        return self.gap <= self.tolerance


def linear_gap(bounds: Bounds, x: FloatArray, gradient: FloatArray, multipliers: FloatArray | None = None) -> float:
    """``max over v in W of gradient . (x - v)``, or an upper bound of it.

    With a single equality it is exact (one sort). With several, ``multipliers`` give the bound directly; where none are
    given a linear program finds the best ones.
    """
    if not np.isfinite(gradient).all():  # entropy at a weight of exactly zero
        return np.inf
    if bounds.single:
        multipliers = bounds.price(gradient)
    elif multipliers is None:
        multipliers = bounds.linear_minimum(gradient)[1]
    return box_gap(bounds, x, gradient, multipliers)


def box_gap(bounds: Bounds, x: FloatArray, gradient: FloatArray, multipliers: FloatArray) -> float:
    """The bound for given multipliers of the equalities: a sum of non-negative terms, so nothing cancels."""
    if bounds.budgeted:
        reduced = gradient - multipliers[0]
        off = abs(multipliers[0] * (x.sum() - bounds.totals[0]))
    else:
        reduced = gradient - multipliers @ bounds.rows
        off = np.abs(multipliers) @ np.abs(bounds.rows @ x - bounds.totals)
    terms = np.maximum(reduced * (x - bounds.lower), reduced * (x - bounds.upper))
    return float(terms.sum() + off)


def certify(
    problem: Problem,
    x: FloatArray,
    q: FloatArray | None = None,
    multipliers: FloatArray | None = None,
    point: Point | None = None,
    pieces: Pieces | None = None,
) -> Certificate:
    """Certify ``x``, which must satisfy the bounds.

    Parameters
    ----------
    problem : Problem
    x : ndarray of shape (n,)
    q : ndarray of shape (T,), optional
        Candidate worst-case probabilities, used where they give a smaller gap than the ones that attain the risk at
        ``x``; projected into the envelope first.
    multipliers : ndarray of shape (m,), optional
        Candidate multipliers of the equalities.
    point : Point, optional
        The problem evaluated at ``x``, if that was done already.
    pieces : Pieces, optional
        A subgradient of a regulariser with kinks that is better than the one that happens to be taken at ``x``.
    """
    if point is None:
        point = problem.evaluate(x)
    better, shortfall = np.zeros(x.size), 0.0
    if pieces is not None and problem.penalty is not None:
        w = problem.weights(x)
        better = problem.lift.pull(pieces.pull() - problem.penalty.evaluate(w)[1])
        shortfall = pieces.shortfall(w)
    gap = point.excess + shortfall + linear_gap(problem.bounds, x, point.gradient + better, multipliers)
    if q is not None and isinstance(problem, ScenarioProblem):
        envelope = problem.envelope()
        if envelope is not None:
            value, gradient = problem.value_under(x, envelope.project(q))
            other = max(point.value + point.excess - value, 0.0) + shortfall
            gap = min(gap, other + linear_gap(problem.bounds, x, gradient + better, multipliers))
    return Certificate(point.value, gap, problem.tolerance(point), point)
