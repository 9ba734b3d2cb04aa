"""The linear program behind a certificate with several kinds of multipliers.

At an answer x the smooth part of the objective is replaced by its tangent, user constraints by linear cuts, and a
regulariser with kinks by its epigraph, which is linear. The program's multipliers are brought to exact feasibility, so
the bound they give holds whatever the solver's tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.feasible import Lift
from opeslike.modelling.kinks import Kinks, Peak
from opeslike.modelling.problem import Problem
from opeslike.solvers.certificate import box_gap

FloatArray = NDArray[np.float64]

_PRECISION: Any = {"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-10}
_TIED = 1e-7


@dataclass
class _Block:
    """Rows of the epigraph of one piece, and where its variables stand."""

    part: Kinks | Peak
    first: int
    rows: slice


def relaxed_gap(
    problem: Problem, x: FloatArray, gradient: FloatArray, cuts: FloatArray, limits: FloatArray
) -> tuple[FloatArray | None, float]:
    """Bound the gap at ``x`` over the bounds and the cuts ``cuts v <= limits``.

    Parameters
    ----------
    problem : Problem
    x : ndarray of shape (n,)
    gradient : ndarray of shape (n,)
        Gradient at ``x`` of the objective without a regulariser that has kinks (see :func:`smooth_gradient`).
    cuts, limits : ndarrays of shape (m, n) and (m,)

    Returns
    -------
    (vertex, gap)
        The program's answer, where further cuts may be made, or None where it has none; and the certified gap.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    bounds, n = problem.bounds, problem.bounds.lower.size
    size = float(np.abs(gradient).max()) or 1.0
    tilt, parts = _pieces(problem)
    lift = problem.lift
    tilt = lift.pull(tilt) if tilt.size else tilt
    extra = sum(part.heads.size if isinstance(part, Kinks) else 1 for part in parts)
    cost = np.concatenate([gradient / size, np.zeros(extra)])
    cost[: tilt.size] += tilt / size
    blocks: list[_Block] = []
    left: list[Any] = []
    right: list[FloatArray] = []
    if len(cuts):
        left.append(sparse.hstack([sparse.csr_array(cuts), sparse.csr_array((len(cuts), extra))]))
        right.append(limits)
    column, row = n, len(cuts)
    for part in parts:
        matrix, offset, count = _differences(part, lift)
        if isinstance(part, Kinks):
            own = sparse.csr_array((-np.ones(count), (np.arange(count), column - n + np.arange(count))), (count, extra))
            left += [sparse.hstack([matrix, own]), sparse.hstack([-matrix, own])]
            right += [offset, -offset]
            cost[column : column + count] = part.costs / size
            width, height = count, 2 * count
        else:
            own = sparse.csr_array((-np.ones(count), (np.arange(count), np.full(count, column - n))), (count, extra))
            left.append(sparse.hstack([matrix, own]))
            right.append(offset)
            cost[column] = part.cost / size
            width, height = 1, count
        blocks.append(_Block(part, column, slice(row, row + height)))
        column, row = column + width, row + height
    box = [*zip(bounds.lower, bounds.upper, strict=True), *[(None, None)] * extra]
    stacked: Any = sparse.vstack(left) if left else None
    result = linprog(
        cost,
        A_ub=stacked,
        b_ub=np.concatenate(right) if right else None,
        A_eq=np.hstack([bounds.rows, np.zeros((bounds.rows.shape[0], extra))]),
        b_eq=bounds.totals,
        bounds=box,
        method="highs",
        options=_PRECISION,
    )
    if result.x is None:
        return None, np.inf
    prices = np.maximum(-np.asarray(result.ineqlin.marginals), 0.0) * size
    reduced = gradient.copy()
    reduced[: tilt.size] += tilt
    gap = 0.0
    if len(cuts):
        reduced += prices[: len(cuts)] @ cuts
        gap += float(prices[: len(cuts)] @ (limits - cuts @ x))
    for block in blocks:
        pull, shortfall = _feasible(block.part, prices[block.rows], lift.weights(x), lift.size)
        reduced += lift.pull(pull)
        gap += shortfall
    multipliers = np.asarray(result.eqlin.marginals) * size
    return np.asarray(result.x[:n]), gap + box_gap(bounds, x, reduced, multipliers)


def smooth_gradient(problem: Problem, x: FloatArray, gradient: FloatArray) -> FloatArray:
    """The gradient less the subgradient of a regulariser with kinks."""
    if problem.penalty is None or problem.penalty.smooth:
        return gradient
    return gradient - problem.lift.pull(problem.penalty.evaluate(problem.weights(x))[1])


def settled(problem: Problem, x: FloatArray) -> FloatArray:
    """Put weights that nearly touch a kink of the regulariser exactly there."""
    if problem.penalty is not None:
        x = problem.lift(problem.penalty.settled(problem.weights(x), _TIED))
    return problem.bounds.repair(x)


def _pieces(problem: Problem) -> tuple[FloatArray, list[Kinks | Peak]]:
    if problem.penalty is None or problem.penalty.smooth:
        return np.zeros(0), []
    tilt, parts = problem.penalty.pieces()
    return np.zeros(0) if tilt is None else tilt, [part for part in parts if part.heads.size]


def _differences(part: Kinks | Peak, lift: Lift) -> tuple[Any, FloatArray, int]:
    """Sparse rows in the variables of what a piece measures, less offsets, and their number."""
    from scipy import sparse

    count, n = part.heads.size, lift.size
    rows = np.arange(count)
    if isinstance(part, Peak):
        matrix, offset = sparse.csr_array((part.signs, (rows, part.heads)), (count, n)), np.zeros(count)
    else:
        matrix, offset = sparse.csr_array((np.ones(count), (rows, part.heads)), (count, n)), np.full(count, part.offset)
        if part.tails is not None:
            matrix = matrix - sparse.csr_array((np.ones(count), (rows, part.tails)), (count, n))
    return sparse.csr_array(matrix @ sparse.csr_array(lift.map)), offset - matrix @ lift.parts.origin, count


def _feasible(part: Kinks | Peak, prices: FloatArray, x: FloatArray, n: int) -> tuple[FloatArray, float]:
    """Multipliers made exactly feasible: their pull on x, and the regulariser's value above its linear bound there."""
    if isinstance(part, Kinks):
        count = part.heads.size
        y = np.minimum(np.maximum(prices[:count] - prices[count:], -part.costs), part.costs)
        u = x[part.heads] - part.offset
        pull = np.asarray(np.bincount(part.heads, y, n), dtype=np.float64)
        if part.tails is not None:
            u = u - x[part.tails]
            pull = pull - np.bincount(part.tails, y, n)
        return pull, float((part.costs * np.abs(u) - y * u).sum())
    total = float(prices.sum())
    y = prices * (part.cost / total) if total > 0 else np.full(prices.size, part.cost / prices.size)
    u = part.signs * x[part.heads]
    pull = np.asarray(np.bincount(part.heads, part.signs * y, n), dtype=np.float64)
    return pull, float(y @ (u.max() - u))
