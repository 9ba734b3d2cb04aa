"""Crossover: from the end of a saddle-point path to the corner it runs into.

Close to a corner the barrier equations lose their digits. But they have told by then which scenarios carry the worst
case and which weights are off their bounds, and on those the conditions of optimality are plain equations, which
Newton's method solves to rounding:

    loss_t(x) = nu                           for the scenarios strictly between their limits,
    sum_t q_t grad loss_t(x) + ... = rows' y  for the weights strictly between their bounds,
    sum q = 1,  rows x = totals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.problem import ScenarioProblem

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


def crossover(
    problem: ScenarioProblem, x: FloatArray, q: FloatArray, moving: Mask, between: Mask, steps: int = 6
) -> tuple[FloatArray, FloatArray] | None:
    """Solve the conditions of optimality on a guessed corner.

    Parameters
    ----------
    problem : ScenarioProblem
    x : ndarray of shape (n,)
        Weights near the corner; those not ``moving`` are exactly at their bound.
    q : ndarray of shape (T,)
        Probabilities near the corner; those not ``between`` are exactly at their limit.
    moving : mask of shape (n,)
    between : mask of shape (T,)
    steps : int
        Newton steps.

    Returns
    -------
    (x, q) or None
        None where the guess leads out of the domain.
    """
    free, inside = np.flatnonzero(moving), np.flatnonzero(between)
    if free.size == 0 or inside.size == 0 or inside.size > 4 * free.size + 4:
        return None
    rows, totals = problem.bounds.rows, problem.bounds.totals
    few, k, m = free.size, inside.size, len(totals)
    x, q = x.copy(), q.copy()
    previous = np.inf
    for _ in range(steps):
        if not problem.in_domain(x):
            return None
        returns = problem.returns @ x
        losses, slope, bend = problem.loss.evaluate(returns)
        _, gradient = problem.value_under(x, q)
        level = float(q[inside] @ losses[inside]) / float(q[inside].sum())
        block = problem.returns[np.ix_(inside, free)] * slope[inside, None]
        second = problem.gram(q * bend, free) if problem.loss.curved else np.zeros((few, few))
        if problem.penalty is not None:
            weights = free[free < problem.n_assets]
            curvature = problem.penalty.hessian(x[: problem.n_assets])
            second[: weights.size, : weights.size] += curvature[np.ix_(weights, weights)]
        # unknowns: change of x, the level nu, change of q, multipliers y
        system = np.zeros((k + few + 1 + m, few + 1 + k + m))
        system[:k, :few], system[:k, few] = block, -1.0
        system[k : k + few, :few] = second
        system[k : k + few, few + 1 : few + 1 + k] = block.T
        system[k : k + few, few + 1 + k :] = -rows[:, free].T
        system[k + few, few + 1 : few + 1 + k] = 1.0
        system[k + few + 1 :, :few] = rows[:, free]
        side = np.concatenate([-losses[inside], -gradient[free], [1.0 - q.sum()], totals - rows @ x])
        # the two kinds of rows differ in size by the spread of the returns; bring them to one scale
        scale = np.abs(system).max(axis=1)
        scale[scale == 0] = 1.0
        try:
            change = np.linalg.lstsq(system / scale[:, None], side / scale, rcond=1e-13)[0]
        except np.linalg.LinAlgError:
            return None
        size = float(np.abs(change[:few]).max()) + float(np.abs(change[few + 1 : few + 1 + k]).max())
        if not np.isfinite(size) or size > 1.0 or abs(change[few] - level) > 1.0 + abs(level):
            return None
        x[free] += change[:few]
        q[inside] += change[few + 1 : few + 1 + k]
        if size <= 1e-15 or size >= previous:
            break
        previous = size
    return (x, q) if problem.in_domain(x) and float(q[inside].min()) >= -1e-9 else None
