"""Risk budgeting: the long-only portfolio whose assets contribute to its variance in given proportions, exactly.

The minimiser of ``x' S x / 2 - sum b_i log x_i`` over x > 0 satisfies ``x_i (S x)_i = b_i``, so x scaled to sum 1 has
the risk contributions b (Maillard, Roncalli and Teiletche 2010; Spinu 2013). The objective is strictly convex and
self-concordant up to scale, so Newton's method finds it in a handful of steps.
"""

from __future__ import annotations

import math

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.covariance import Matrix
from opeslike.modelling.quadratic import risky_directions
from opeslike.proof import budget_gap
from opeslike.solvers.interior_point import solve_positive

#: the gap is half the squared relative error of the contributions, so this is contributions right to 1e-7
TOLERANCE = 0.5e-14
#: within this there is nothing to be had but rounding: contributions right to 1e-13
_EXACT = 0.5e-26
#: while a round shrinks the gap to this share of it, it is as good as Newton's
_QUICK = 0.01
_ROUNDS = 200
#: assets up to which a factorisation is no dearer than products with the matrix
_DIRECT = 400


def risk_budgets(covariance: Matrix, budgets: FloatArray) -> tuple[FloatArray, float, float, int]:
    """Minimise ``x' S x / 2 - sum b_i log x_i``.

    Parameters
    ----------
    covariance : of shape (n, n)
        Symmetric positive semidefinite with a positive diagonal.
    budgets : ndarray of shape (n,)
        Positive, summing to 1.

    Returns
    -------
    (x, value, gap, iterations)
        The gap is a dual bound: with ``c_i = x_i (S x)_i / b_i`` it is ``sum b_i (c_i - 1 - log c_i)``, by weak duality
        at the point ``S x`` (Fenchel), whoever found x.

    Raises
    ------
    InfeasibleError
        If a long-only mixture of the assets carries no risk, so that no such portfolio exists.
    OptimizationError
        If no certified optimum was reached.
    """
    variance = covariance.diagonal()
    x = np.sqrt(budgets / variance)
    best_x, best_gap = x, np.inf
    iterations = 0
    simple = True
    while iterations < _ROUNDS:
        iterations += 1
        deadline.check(best_gap)
        marginal = covariance @ x
        size = math.sqrt(max(float(x @ marginal), 0.0))
        if size > 0:  # the best multiple of x
            x, marginal = x / size, marginal / size
        gap = budget_gap(x * marginal / budgets, budgets)
        simple = simple and gap < _QUICK * best_gap
        if gap < best_gap:
            best_x, best_gap = x, gap
        elif gap <= TOLERANCE:
            break
        if gap <= _EXACT:
            break
        if simple:
            x = budgets / marginal
            continue
        slope = marginal - budgets / x
        step = _newton(covariance, variance, budgets / (x * x), slope, gap)
        fastest = float(np.max(-step / x))
        if gap < 1e-3 and fastest < 0.5:  # Newton converges quadratically here, and rounding would fool a line search
            x = x + step
            continue
        length = min(1.0, 0.9 / fastest) if fastest > 0 else 1.0
        height, downhill = _height(covariance, budgets, x), float(slope @ step)
        trial = x + length * step
        for _ in range(60):
            if _height(covariance, budgets, trial) <= height + 1e-4 * length * downhill:
                break
            length *= 0.5
            trial = x + length * step
        x = trial
    if not best_gap <= TOLERANCE:
        deviation = np.sqrt(variance)
        if _hedged(np.asarray(covariance) / np.outer(deviation, deviation)):
            raise InfeasibleError(
                "there are no such risk budgets: some long-only mixture of the assets carries no risk at all (fewer "
                "rows than assets, or assets that hedge each other exactly); use covariance='ledoit_wolf'"
            )
        reached = f"a gap of {best_gap:.1e}" if np.isfinite(best_gap) else "contributions that are not all positive"
        raise OptimizationError(
            f"no certified risk budgets: the best answer has {reached}; use covariance='ledoit_wolf'"
        )
    return best_x, _height(covariance, budgets, best_x), best_gap, iterations


def _newton(covariance: Matrix, variance: FloatArray, bend: FloatArray, slope: FloatArray, gap: float) -> FloatArray:
    """Newton's step; of many assets by conjugate gradients, the more exactly the nearer the end."""
    if slope.size <= _DIRECT:
        return solve_positive(covariance + np.diag(bend), -slope[:, None])[:, 0]
    from scipy.sparse.linalg import LinearOperator, cg

    shape = covariance.shape
    matrix = LinearOperator(shape, lambda v: covariance @ v + bend * v, dtype=np.float64)
    scaled = LinearOperator(shape, lambda v: v / (variance + bend), dtype=np.float64)
    exact = min(max(math.sqrt(gap), 1e-6), 1e-2) if gap > 0 else 1e-6
    return np.asarray(cg(matrix, -slope, rtol=exact, maxiter=slope.size, M=scaled)[0])


def _hedged(correlation: FloatArray) -> bool:
    """Whether some weights >= 0 that sum to 1 have no variance, by a linear program over what has none."""
    from scipy.optimize import linprog

    risky = risky_directions(correlation)
    equal, totals = np.vstack([np.ones(len(correlation)), risky]), np.r_[1.0, np.zeros(len(risky))]
    found = linprog(np.zeros(len(correlation)), A_eq=equal, b_eq=totals, options=deadline.options("HIGHS"))
    return bool(found.status == 0)


def _height(covariance: Matrix, budgets: FloatArray, x: FloatArray) -> float:
    return 0.5 * float(x @ (covariance @ x)) - float(budgets @ np.log(x))
