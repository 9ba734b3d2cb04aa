"""Primal-dual Newton over a box cut by a few equalities, for smooth objectives and regularisers with kinks.

Each step costs one Hessian, ``O(T N^2)``, and a Cholesky factorisation of size N. Iterates stay strictly inside the
box and on the equalities, so every one of them has a certified gap, and that gap is the stopping rule. The epigraph of
a regulariser with kinks is eliminated (:mod:`~opeslike.solvers.pieces`); its multipliers are a subgradient at every
step. See Wright, *Primal-Dual Interior-Point Methods* (1997), for the predictor-corrector, and Waechter and Biegler
(2006) for the safeguards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.bounds import least_squares, solve_semidefinite
from opeslike.modelling.problem import OPTIMAL, Point, Problem
from opeslike.proof import box_gap, linear_gap
from opeslike.solvers.pieces import Pieces, longest

#: products of slack and multiplier may differ from their target by this factor
_SPREAD = 1e8
#: equalities off by more than this are solved for again
_OFF = 1e-14
#: with kinks the barrier must not vanish before the gap does, which a steep utility lowers by a factor e a step
_KEEP_UP = 1e-3
#: with kinks, steps without a better gap after an optimal one
_PATIENCE = 4
#: steps halved so often, in all, mean that the objective is not smooth here
_HALVINGS = 15
#: weights nearer than this to a bound or a kink are tried there
_TIED = 1e-7
#: share of its tolerances that a settled point may give away
_SETTLED = 1e-3


@dataclass
class Iterate:
    """Where a solver stopped.

    ``gap`` is certified; ``multipliers`` belong to the equalities; ``q`` are worst-case probabilities where the solver
    has better ones than those that attain the risk at ``x``, ``slopes`` to the kinks of a regulariser. ``snapped`` is x
    with the coordinates on bounds whose multipliers say so.
    """

    x: FloatArray
    point: Point
    gap: float
    multipliers: FloatArray
    iterations: int
    q: FloatArray | None = None
    slopes: tuple[FloatArray, ...] = ()
    snapped: FloatArray | None = None


def solve_positive(matrix: FloatArray, sides: FloatArray) -> FloatArray:
    """Solve ``matrix z = sides`` by Cholesky, adding to the diagonal only where rounding left the matrix indefinite."""
    factor, shifted = _cholesky(matrix)
    if factor is None:
        return least_squares(shifted, sides)
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
        self._one = float(self._price[0, 0]) if len(rows) == 1 else None

    def _apply(self, sides: FloatArray) -> FloatArray:
        if self._factor is None:
            return least_squares(self._matrix, sides)
        return np.asarray(lapack.dpotrs(self._factor, sides, lower=1)[0])

    def solve(self, side: FloatArray, missing: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Solve for one right-hand side; returns (d, y), refined where rounding left the equalities behind."""
        d, y = self._once(side, missing)
        off = missing - self._rows @ d
        if (np.abs(off).max() if self._one is None else abs(off[0])) > _OFF:
            more, more_y = self._once(side - self._matrix @ d + y @ self._rows, off)
            return d + more, y + more_y
        return d, y

    def _once(self, side: FloatArray, missing: FloatArray) -> tuple[FloatArray, FloatArray]:
        along = self._apply(side)
        if self._one is not None:
            y = (missing - self._rows @ along) / self._one if self._one != 0 else np.zeros(1)
            return along + self._across[:, 0] * y, y
        # rows may depend on each other on the coordinates that are free: the shortest multipliers will do
        y = solve_semidefinite(self._price, missing - self._rows @ along)
        return along + self._across @ y, y


def interior_point(problem: Problem, start: FloatArray, aim: float, max_iterations: int = 80) -> Iterate:
    """Minimise a smooth problem, or one whose regulariser has kinks, from a point strictly inside its bounds.

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
    bounds, lift, penalty = problem.bounds, problem.lift, problem.penalty
    kinked = penalty is not None and not penalty.smooth
    core = problem.bare() if kinked else problem
    free = np.flatnonzero(bounds.free)
    n = free.size
    index = None if n == bounds.lower.size else free
    rows = bounds.rows if index is None else bounds.rows[:, free]
    limits = np.concatenate([bounds.lower[free], -bounds.upper[free]])

    x = start.copy()
    point = core.evaluate(x)
    pieces: Pieces | None = None
    gradient, size = point.gradient, 0.0
    if penalty is not None and kinked:
        # without any pull of the kinks the gap is the value of the regulariser and the linear gap of the rest
        w = lift.weights(x)
        size, _ = penalty.evaluate(w)
        pieces = Pieces(penalty, w, 1.0)
        gradient = gradient + lift.pull(pieces.tilt)
    y = bounds.price(gradient)
    gap = box_gap(bounds, x, gradient, y)[0] + abs(size) + point.excess
    count = 2 * n if pieces is None else 2 * n + pieces.count
    target = aim * problem.tolerance(point)
    best = Iterate(x, point, gap if pieces is None else math.inf, y, 0)
    if not point.smooth or (gap <= target and pieces is None):
        return best
    mu = max(gap, problem.tolerance(point)) / count if pieces is not None else gap / count
    if penalty is not None and pieces is not None:
        pieces = Pieces(penalty, lift.weights(x), mu)
    best_pieces = pieces
    # slack and multiplier of the lower bounds, then of the upper ones
    slack = np.concatenate([x[free], -x[free]]) - limits
    if slack.min() <= 0:  # so narrow a box that rounding leaves no inside
        return best
    dual = mu / slack
    careful = halved = 0
    for iteration in range(1, max_iterations + 1):
        if deadline.passed():
            break
        gradient = _pulled(problem, point, pieces)
        here = gradient if index is None else gradient[free]
        ratio = dual / slack
        hessian = core.hessian(point, index)
        matrix, firmness = hessian, 0.0
        if pieces is not None:
            matrix = hessian + lift.restricted(pieces.curvature(), index)
        matrix.flat[:: n + 1] += ratio[:n] + ratio[n:]
        missing = bounds.totals - bounds.rows @ x
        complementarity = float(dual @ slack)
        if pieces is not None:
            complementarity += pieces.products()
            # where all weights are tied the budget alone decides how they move together: it has a part in the curvature
            firmness = float(matrix.diagonal().min())
            matrix += firmness * (rows.T @ rows)
        if not complementarity > 0:  # every product has rounded to zero
            break
        system = _System(problem, KKT(matrix, rows), pieces, index, rows, slack, here, missing, firmness)

        # predictor: how far does the step to the unperturbed conditions go?
        step, whole, push, y = system.direction(0.0, 0.0, 0.0)
        change = np.concatenate([step, -step])
        dual_change = push - dual - ratio * change
        length, dual_length = longest(slack, change), longest(dual, dual_change)
        reached = 0.0
        if pieces is not None:
            length, dual_length = min(length, pieces.lengths()[0]), min(dual_length, pieces.lengths()[1])
            reached = pieces.products(length, dual_length)
        reached += float((dual + dual_length * dual_change) @ (slack + length * change))
        centering = 0.5 if careful else min(max((reached / complementarity) ** 3, 1e-6), 1.0)
        # products far below the target would only pin coordinates that have not yet found their place
        mu = max(centering * complementarity, 0.1 * target, 0.0 if pieces is None else _KEEP_UP * gap) / count

        # corrector, with the second-order term of the complementarity products unless that makes it lead uphill
        # accept by the barrier function, which the Newton step decreases
        merit = point.value - mu * float(np.log(slack).sum())
        if pieces is not None:
            merit += pieces.merit(lift.weights(x), mu)
        products = dual_change * change
        for trust in (0.0,) if careful else (1.0, 0.0):
            step, whole, push, y = system.direction(mu, trust * products, trust)
            change = np.concatenate([step, -step])
            dual_change = push - dual - ratio * change
            if pieces is not None:
                # at ties multipliers move by tiny differences of steps times huge factors: refine what rounding lost
                after = dual + dual_change
                left = after[:n] - after[n:] - here - hessian @ step + y @ rows
                more, more_y = system.refine(left, step)
                step, y = step + more, y + more_y
                whole = system.whole(step)
                change = np.concatenate([step, -step])
                dual_change -= ratio * np.concatenate([more, -more])
            at = point.gradient if index is None else point.gradient[free]
            slope = float(at @ step) - mu * float((change / slack).sum())
            if pieces is not None:
                slope += pieces.merit_slope(lift.moves(whole), mu)
            if slope <= 0:
                break
        length, dual_length = longest(slack, change), longest(dual, dual_change)
        if pieces is not None:
            length, dual_length = min(length, pieces.lengths()[0]), min(dual_length, pieces.lengths()[1])
        length = min(length, 0.99 * core.longest_step(point, whole))
        noise = 1e-14 * (abs(merit) + abs(point.value)) + 1e-16
        for _ in range(25):
            trial = x + length * whole
            moved = trial if index is None else trial[free]
            trial_slack = np.concatenate([moved, -moved]) - limits
            if trial_slack.min() > 0:
                candidate = core.evaluate(trial, point)
                value = candidate.value - mu * float(np.log(trial_slack).sum())
                if pieces is not None:
                    value += pieces.merit(lift.weights(trial), mu, length)
                if value <= merit + 1e-4 * length * min(slope, 0.0) + noise or (slope > 0 and length < 1e-2):
                    break
            length *= 0.5
            halved += 1
        else:
            careful += 1
            if careful > 2 or halved > _HALVINGS:
                break
            continue
        careful = 0 if length > 1e-3 else careful + 1
        x, point, slack = trial, candidate, trial_slack
        dual = dual + dual_length * dual_change
        # keep the products z s within a wide band around mu, so that no multiplier gets stuck
        dual = np.minimum(np.maximum(dual, mu / _SPREAD / slack), _SPREAD * mu / slack)
        gap = point.excess
        if pieces is not None:
            pieces.advance(lift.weights(x), length, dual_length)
            gap += pieces.shortfall(lift.weights(x))
        gap += box_gap(bounds, x, _pulled(problem, point, pieces), y)[0]
        if gap <= 10.0 * target:  # the tolerance changes little on the way, and takes a pass over the scenarios
            target = aim * problem.tolerance(point)
        if gap < best.gap:
            best = Iterate(x, point, gap, y, iteration)
            best_pieces = None if pieces is None else pieces.frozen()
        if not point.smooth or not math.isfinite(gap) or careful > 3 or halved > _HALVINGS or gap <= target:
            break
        if pieces is not None and iteration > best.iterations + _PATIENCE and best.gap <= problem.tolerance(best.point):
            break
    if best_pieces is None:
        if bounds.single and lift.direct:  # of plain weights those near their bounds are as good a guess
            return best
        # a multiplier that is large against its slack, in standard deviations of the return, marks a bound that holds
        unit = problem.tolerance(best.point) / OPTIMAL
        snapped = best.x.copy()
        snapped[free] = np.where(
            dual[:n] > unit * slack[:n],
            bounds.lower[free],
            np.where(dual[n:] > unit * slack[n:], bounds.upper[free], snapped[free]),
        )
        return replace(best, snapped=snapped)
    settled = _settled(problem, core, best, best_pieces)
    return replace(settled, point=problem.evaluate(settled.x), slopes=best_pieces.slopes())


@dataclass(slots=True)
class _System:
    """Newton's equations at one iterate, for the coordinates ``index`` (None: all)."""

    problem: Problem
    factor: KKT
    pieces: Pieces | None
    index: NDArray[np.intp] | None
    rows: FloatArray
    slack: FloatArray
    gradient: FloatArray
    missing: FloatArray
    firmness: float

    def direction(
        self, mu: float, second: FloatArray | float, trust: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """The step to products ``mu``: of the coordinates that move and of all, the push of the bounds, multipliers."""
        push = (mu - second) / self.slack
        n = push.size // 2
        side = push[:n] - push[n:] - self.gradient
        if self.pieces is not None:
            side = side + self.firmness * (self.missing @ self.rows) - self._part(self.pieces.aim(mu, trust))
        step, multipliers = self.factor.solve(side, self.missing)
        whole = self.whole(step)
        if self.pieces is not None:
            self.pieces.follow(self.problem.lift.moves(whole))
        return step, whole, push, multipliers

    def refine(self, left: FloatArray, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A further step for what is ``left`` of the first equations; the pieces take it too."""
        assert self.pieces is not None
        off = self.missing - self.rows @ step
        left = left - self._part(self.pieces.pull_of_direction())
        more, multipliers = self.factor.solve(left + self.firmness * (off @ self.rows), off)
        self.pieces.refine(self.problem.lift.moves(self.whole(more)))
        return more, multipliers

    def whole(self, step: FloatArray) -> FloatArray:
        """A step of the coordinates that move, as one of all."""
        if self.index is None:
            return step
        whole = np.zeros(self.problem.bounds.lower.size)
        whole[self.index] = step
        return whole

    def _part(self, slope: FloatArray) -> FloatArray:
        pull = self.problem.lift.pull(slope)
        return pull if self.index is None else pull[self.index]


def _pulled(problem: Problem, point: Point, pieces: Pieces | None) -> FloatArray:
    """Gradient of the smooth part plus a subgradient of the regulariser."""
    return point.gradient if pieces is None else point.gradient + problem.lift.pull(pieces.pull())


def _settled(problem: Problem, core: Problem, found: Iterate, pieces: Pieces) -> Iterate:
    """Put weights that nearly touch a bound or a kink exactly there, where the certificate stays as good."""
    assert problem.penalty is not None
    bounds, lift = problem.bounds, problem.lift
    x = np.where(found.x - bounds.lower < _TIED, bounds.lower, found.x)
    x = np.where(bounds.upper - x < _TIED, bounds.upper, x)
    x = bounds.repair(lift(problem.penalty.settled(lift.weights(x), _TIED)))
    if not core.in_domain(x):
        return found
    point = core.evaluate(x)
    gap = point.excess + linear_gap(bounds, x, _pulled(problem, point, pieces), found.multipliers)
    gap += pieces.shortfall(lift.weights(x))
    if gap > max(found.gap, _SETTLED * problem.tolerance(point)):
        return found
    return Iterate(x, point, gap, found.multipliers, found.iterations)
