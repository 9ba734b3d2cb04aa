"""Primal-dual Newton for smooth objectives over a box cut by a few equalities.

Each step costs one Hessian, ``O(T N^2)``, and a Cholesky factorisation of size N. Iterates stay strictly inside the
box and on the equalities, so every one of them has a certified gap, and that gap is the stopping rule. See Wright,
*Primal-Dual Interior-Point Methods* (1997), for the predictor-corrector, and Waechter and Biegler (2006) for the
safeguards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from opeslike.modelling.problem import Point, Problem
from opeslike.proof import box_gap, linear_gap

FloatArray = NDArray[np.float64]

_STAY_INSIDE = 0.995
_SPREAD = 1e8
_OFF = 1e-14


@dataclass(frozen=True)
class Iterate:
    """Where a solver stopped.

    ``gap`` is certified; ``multipliers`` belong to the equalities; ``q`` are worst-case probabilities where the solver
    has better ones than those that attain the risk at ``x``, ``slopes`` to the kinks of a regulariser.
    """

    x: FloatArray
    point: Point
    gap: float
    multipliers: FloatArray
    iterations: int
    q: FloatArray | None = None
    slopes: tuple[FloatArray, ...] = ()


def solve_positive(matrix: FloatArray, sides: FloatArray) -> FloatArray:
    """Solve ``matrix z = sides`` by Cholesky, adding to the diagonal only where rounding left the matrix indefinite."""
    factor, shifted = _cholesky(matrix)
    if factor is None:
        return np.asarray(np.linalg.lstsq(shifted, sides, rcond=None)[0])
    return np.asarray(lapack.dpotrs(factor, sides, lower=1)[0])


def _cholesky(matrix: FloatArray) -> tuple[FloatArray | None, FloatArray]:
    shift = 0.0
    trial = matrix
    for _ in range(8):
        factor, info = lapack.dpotrf(trial, lower=1)
        if info == 0:
            return factor, trial
        shift = max(1e-15, 100.0 * shift)
        scale = np.abs(matrix.diagonal())
        trial = matrix + np.diag(shift * (scale + scale.max()))
    return None, matrix


class KKT:
    """The system ``matrix d - rows' y = side``, ``rows d = missing``, factored once for several right-hand sides."""

    def __init__(self, matrix: FloatArray, rows: FloatArray) -> None:
        self._rows = rows
        self._factor, self._matrix = _cholesky(matrix)
        self._across = self._apply(rows.T)
        self._price = rows @ self._across
        self._single = len(rows) == 1

    def _apply(self, sides: FloatArray) -> FloatArray:
        if self._factor is None:
            return np.asarray(np.linalg.lstsq(self._matrix, sides, rcond=None)[0])
        return np.asarray(lapack.dpotrs(self._factor, sides, lower=1)[0])

    def solve(self, side: FloatArray, missing: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Solve for one right-hand side; returns (d, y), refined where rounding left the equalities behind."""
        d, y = self._once(side, missing)
        off = missing - self._rows @ d
        if (abs(off[0]) if self._single else np.abs(off).max()) > _OFF:
            more, more_y = self._once(side - self._matrix @ d + y @ self._rows, off)
            return d + more, y + more_y
        return d, y

    def _once(self, side: FloatArray, missing: FloatArray) -> tuple[FloatArray, FloatArray]:
        along = self._apply(side)
        if self._single:
            y = (missing - self._rows @ along) / self._price[0]
            return along + self._across[:, 0] * y, y
        y = np.asarray(np.linalg.lstsq(self._price, missing - self._rows @ along, rcond=None)[0], dtype=np.float64)
        return along + self._across @ y, y


def _largest(slack: FloatArray, change: FloatArray) -> float:
    """Largest step in [0, 1] that keeps ``slack + step * change`` positive, a little short of the edge."""
    fastest = float((change / slack).min()) if slack.size else 0.0
    return min(1.0, -_STAY_INSIDE / fastest) if fastest < 0 else 1.0


def interior_point(problem: Problem, start: FloatArray, aim: float, max_iterations: int = 60) -> Iterate:
    """Minimise a smooth problem from a point strictly inside its bounds.

    Parameters
    ----------
    problem : Problem
    start : ndarray of shape (n,)
        Strictly inside the box (on the coordinates that can move), on the equalities, and in the objective's domain.
    aim : float
        Certified gap at which to stop, in tolerances of the problem (1 is just optimal).
    max_iterations : int

    Returns
    -------
    Iterate
        The best iterate seen; its gap says how good it is. Stopping early (a kink, a stalled step, the iteration
        limit) is not an error here: the caller reads the gap.
    """
    bounds = problem.bounds
    free = np.flatnonzero(bounds.free)
    n = free.size
    index = None if n == bounds.lower.size else free
    rows = bounds.rows if index is None else bounds.rows[:, free]
    limits = np.concatenate([bounds.lower[free], -bounds.upper[free]])

    x = start.copy()
    point = problem.evaluate(x)
    gap = linear_gap(bounds, x, point.gradient) + point.excess
    best = Iterate(x, point, gap, np.zeros(len(bounds.totals)), 0)
    target = aim * problem.tolerance(point)
    if not point.smooth or gap <= target:
        return best
    # slack and multiplier of the lower bounds, then of the upper ones
    slack = np.concatenate([x[free], -x[free]]) - limits
    dual = gap / (2 * n) / slack
    careful = 0
    for iteration in range(1, max_iterations + 1):
        gradient = point.gradient if index is None else point.gradient[free]
        ratio = dual / slack
        matrix = problem.hessian(point, index)
        matrix.flat[:: n + 1] += ratio[:n] + ratio[n:]
        missing = bounds.totals - bounds.rows @ x
        complementarity = float(dual @ slack)

        # predictor: how far does the step to the unperturbed conditions go?
        factor = KKT(matrix, rows)
        step, y = factor.solve(-gradient, missing)
        change = np.concatenate([step, -step])
        dual_change = -dual - ratio * change
        reached = (dual + _largest(dual, dual_change) * dual_change) @ (slack + _largest(slack, change) * change)
        centering = 0.5 if careful else min(max((float(reached) / complementarity) ** 3, 1e-6), 1.0)
        # products far below the target would only pin coordinates that have not yet found their place
        mu = max(centering * complementarity, 0.1 * target) / (2 * n)

        # corrector, with the second-order term of the complementarity products unless that makes it lead uphill
        # accept by the barrier function, which the Newton step decreases
        merit = point.value - mu * float(np.log(slack).sum())
        for second_order in (0.0,) if careful else (1.0, 0.0):
            push = (mu - second_order * dual_change * change) / slack
            step, y = factor.solve(push[:n] - push[n:] - gradient, missing)
            moves = np.concatenate([step, -step])
            slope = float(gradient @ step) - mu * float((moves / slack).sum())
            if slope <= 0:
                break
        change = moves
        dual_change = push - dual - ratio * change
        direction = step
        if index is not None:
            direction = np.zeros_like(x)
            direction[free] = step
        length = min(_largest(slack, change), 0.99 * problem.longest_step(point, direction))
        noise = 1e-14 * (abs(merit) + abs(point.value)) + 1e-16
        for _ in range(25):
            trial = x + length * direction
            moved = trial if index is None else trial[free]
            trial_slack = np.concatenate([moved, -moved]) - limits
            if trial_slack.min() > 0:
                candidate = problem.evaluate(trial, point)
                value = candidate.value - mu * float(np.log(trial_slack).sum())
                if value <= merit + 1e-4 * length * min(slope, 0.0) + noise or (slope > 0 and length < 1e-2):
                    break
            length *= 0.5
        else:
            careful += 1
            if careful > 2:
                break
            continue
        careful = 0 if length > 1e-3 else careful + 1
        x, point, slack = trial, candidate, trial_slack
        dual = dual + _largest(dual, dual_change) * dual_change
        # keep the products z s within a wide band around mu, so that no multiplier gets stuck
        dual = np.minimum(np.maximum(dual, mu / _SPREAD / slack), _SPREAD * mu / slack)
        gap = box_gap(bounds, x, point.gradient, y)[0] + point.excess
        if gap <= 10.0 * target:  # the tolerance changes little on the way, and takes a pass over the scenarios
            target = aim * problem.tolerance(point)
        if gap < best.gap:
            best = Iterate(x, point, gap, y, iteration)
        if not point.smooth or not math.isfinite(gap) or careful > 3 or gap <= target:
            break
    return best
