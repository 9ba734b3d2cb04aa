"""The days that made the portfolio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.beliefs.belief import chances
from opeslike.checks import whole
from opeslike.errors import PortfolioError
from opeslike.insight.finding import Finding
from opeslike.insight.posed import pose
from opeslike.market import FloatArray, Kind, describe
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import Mean

#: blocks left out at a time, batched Newton steps, and how near a bound a weight counts as there
_CHUNK, _STEPS, _NEAR = 128, 3, 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class Influence(Finding):
    """The best portfolios with each block of days left out.

    Attributes
    ----------
    weights : DataFrame of shape (blocks, N)
        What would be held, by the first date of the block that is left out.
    frame : DataFrame of shape (blocks, 4)
        ``moved``, half the sum of absolute changes of the weights; ``value`` of the objective without the block;
        ``gap``, certified; ``exact``, whether the block was solved on its own rather than certified after a batched
        step.
    best : Series of shape (N,)
        Held with all days.
    """

    weights: pd.DataFrame
    frame: pd.DataFrame
    best: pd.Series

    def top(self, count: int = 10) -> pd.DataFrame:
        """The blocks that move the portfolio most, with the asset that each one speaks for and against most.

        Returns
        -------
        DataFrame
            ``moved``; ``most for``, the asset that loses most weight without the block, ``most against``, the one that
            gains most.
        """
        first = self.frame["moved"].sort_values(ascending=False, kind="stable").index[: whole("count", count, 1)]
        change = self.weights.loc[first] - self.best
        columns = {"moved": self.frame.loc[first, "moved"]}
        return pd.DataFrame({**columns, "most for": change.idxmin(axis=1), "most against": change.idxmax(axis=1)})

    @property
    def says(self) -> str:
        """Which block moves the portfolio most, and how many do at all."""
        moved = self.frame["moved"]
        others = f"without half of the blocks less than {moved.median():.3%}"
        return f"without {describe(moved.idxmax())} {moved.max():.2%} of the portfolio would be elsewhere, {others}"


def influence(
    objective: Any, prices: Any, block: int = 1, *, kind: Kind | None = None, weight_bounds: Any = None
) -> Influence:
    r"""The best portfolio with each day, or block of days, left out.

    .. math:: w^{(-B)} = \arg\min_{w \in W} \sum_{t \notin B} \frac{p_t}{1 - p_B}\, \ell(w^\top r_t) + \lambda R(w)

    For means of smooth losses (Kelly and the utilities) Newton steps from the optimum with all days, each with the
    Hessian less its block, are taken for all blocks at once; each result is certified, and those whose gap exceeds
    the tolerance of the optimum are solved exactly, as are all of other objectives.

    Parameters
    ----------
    objective : ConvexObjective
    prices : prices, returns, Market or Posed
    block : int >= 1
        Days a block; the last one may be shorter.
    kind, weight_bounds
        As in ``optimize``.

    Returns
    -------
    Influence

    Raises
    ------
    PortfolioError
        If ``block`` is not a whole number of at least 1, or leaves no two blocks.

    References
    ----------
    Hampel (1974), *The influence curve and its role in robust estimation*; Giordano, Jordan and Broderick (2019), *A
    Swiss army infinitesimal jackknife*.
    """
    posed = pose(objective, prices, kind=kind, weight_bounds=weight_bounds)
    count = posed.market.n_scenarios
    starts = np.arange(0, count, whole("block", block, 1))
    if len(starts) < 2:
        raise PortfolioError(f"block={block} leaves out all {count} scenarios at once; take a smaller one")
    solved, p = posed.solve(), chances(posed.market)
    variables = np.tile(solved.x, (len(starts), 1))
    values, gaps = np.full(len(starts), np.nan), np.full(len(starts), np.inf)
    tolerance = solved.proof.tolerance
    if _batchable(posed.problem):
        batch = _Batch(posed.scenarios, solved.x, starts, np.searchsorted(np.flatnonzero(p > 0), starts))
        variables, values, gaps = batch.run(tolerance)
    rest = np.flatnonzero(~(gaps <= tolerance))
    for i in rest:
        kept = p.copy()
        kept[starts[i] : starts[i] + block] = 0.0
        if not kept.any():
            raise PortfolioError("all probability is on one block; take smaller ones")
        one = posed.reweighted(kept).solve(solved.x)
        variables[i], values[i], gaps[i] = one.x, one.proof.value, one.proof.gap
    dates = posed.market.dates[starts]
    weights = np.array([posed.held(x) for x in variables])
    best = posed.held(solved.x)
    moved = 0.5 * np.abs(weights - best).sum(axis=1)
    exact = np.isin(np.arange(len(starts)), rest)
    columns = {"moved": moved, "value": values + posed.problem.offset, "gap": gaps, "exact": exact}
    assets = list(posed.market.assets)
    table = pd.DataFrame(columns, index=dates)
    return Influence(pd.DataFrame(weights, dates, assets), table, pd.Series(best, assets))


def _batchable(problem: Any) -> bool:
    smooth = isinstance(problem, ScenarioProblem) and isinstance(problem.risk, Mean) and problem.loss.curved
    return smooth and problem.penalty is None and not problem.limits


class _Batch:
    """Newton's method for many blocks left out at once, on the weights off their bounds.

    Parameters
    ----------
    problem : ScenarioProblem
        Of the mean of a smooth loss.
    x : ndarray of shape (n,)
        Its optimum.
    starts, first : ndarrays of shape (B,)
        First row of each block among all scenarios, and among those with positive probability.
    """

    def __init__(self, problem: ScenarioProblem, x: FloatArray, starts: NDArray[Any], first: NDArray[Any]) -> None:
        self.problem, self.x = problem, x
        self.matrix = problem.matrix()
        self.ends = np.append(first, len(self.matrix))
        bounds, point = problem.bounds, problem.evaluate(x)
        self.free = np.flatnonzero((x > bounds.lower + _NEAR) & (x < bounds.upper - _NEAR))
        self.mass = np.array([problem.probabilities[rows].sum() for rows in self._blocks()])
        across = bounds.rows[:, self.free]
        self.prices = np.linalg.pinv(across.T) if self.free.size else np.zeros((len(across), 0))
        k, m = self.free.size, len(across)
        system = np.zeros((len(starts), k + m, k + m))
        system[:, :k, k:], system[:, k:, :k] = across.T, across
        whole_hessian, bend = problem.hessian(point, self.free), problem.probabilities * point.bend
        inner = self.matrix[:, self.free]
        for i, rows in enumerate(self._blocks()):
            system[i, :k, :k] = whole_hessian - (inner[rows] * bend[rows, None]).T @ inner[rows]
        self.system = system

    def _blocks(self) -> list[slice]:
        return [slice(int(a), int(b)) for a, b in zip(self.ends[:-1], self.ends[1:], strict=True)]

    def run(self, tolerance: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Variables, values and gaps after a few steps."""
        blocks, k = len(self.mass), self.free.size
        x = np.tile(self.x, (blocks, 1))
        values, gaps, todo = np.empty(blocks), np.full(blocks, np.inf), np.flatnonzero(self.mass < 1.0)
        gradients = np.empty_like(x)
        for turn in range(_STEPS + 1):
            for part in np.array_split(todo, -(-todo.size // _CHUNK)) if todo.size else []:
                values[part], gradients[part], gaps[part] = self._evaluate(x[part], part)
            todo = todo[~(gaps[todo] <= tolerance)]
            if turn == _STEPS or not todo.size or not k:
                break
            side = np.zeros((todo.size, self.system.shape[1]))
            side[:, :k] = -gradients[np.ix_(todo, self.free)] * (1.0 - self.mass[todo, None])
            try:
                step = np.linalg.solve(self.system[todo], side[:, :, None])[:, :k, 0]
            except np.linalg.LinAlgError:  # then they are solved one by one
                break
            x[np.ix_(todo, self.free)] += step
            bounds = self.problem.bounds
            todo = todo[((x[todo] >= bounds.lower) & (x[todo] <= bounds.upper)).all(axis=1)]
        gaps[((x < self.problem.bounds.lower) | (x > self.problem.bounds.upper)).any(axis=1)] = np.inf
        return x, values, gaps

    def _evaluate(self, x: FloatArray, blocks: NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values, gradients and gaps at one x a block, each without its block."""
        problem, bounds, p = self.problem, self.problem.bounds, self.problem.probabilities
        known = problem.scenario_returns(np.zeros(x.shape[1]))
        returns = self.matrix @ x.T + known[:, None]
        inside = problem.loss.margin(returns).min(axis=0) > 0 if problem.loss.margin_slope else True
        with np.errstate(all="ignore"):
            losses, slope, _ = problem.loss.evaluate(returns)
        for column, block in enumerate(blocks):
            rows = slice(self.ends[block], self.ends[block + 1])
            losses[rows, column] = slope[rows, column] = 0.0
        left = 1.0 - self.mass[blocks]
        gradient = ((p[:, None] * slope).T @ self.matrix) / left[:, None]
        value = (p @ losses) / left
        if problem.cost is not None:
            gradient, value = gradient + problem.cost, value + x @ problem.cost + problem.lift.fixed
        multipliers = gradient[:, self.free] @ self.prices.T
        if bounds.single and not self.free.size:
            multipliers = np.array([bounds.price(each) for each in np.nan_to_num(gradient)])
        reduced = gradient - multipliers @ bounds.rows
        gap = np.maximum(reduced * (x - bounds.lower), reduced * (x - bounds.upper)).sum(axis=1)
        gap += (np.abs(multipliers) * np.abs(x @ bounds.rows.T - bounds.totals)).sum(axis=1)
        return value, gradient, np.where(inside & np.isfinite(gap), gap, np.inf)
