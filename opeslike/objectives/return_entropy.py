"""Return-entropy portfolio optimisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from opeslike.checks import whole
from opeslike.market import FloatArray, Kind, Market
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import Problem
from opeslike.modelling.quadratic import QuadraticProblem
from opeslike.objectives.given import Given
from opeslike.objectives.moments import MomentObjective
from opeslike.objectives.parameters import Positive, objective
from opeslike.objectives.rules import no_problem
from opeslike.solvers.nonconvex.local_search import heuristic
from opeslike.solvers.nonconvex.pattern_search import pattern_search
from opeslike.solvers.solve import Solved

_SCATTERED = 200
_CELLS = 1 << 20


@objective
class REPO(MomentObjective):
    r"""Return-entropy portfolio: expected return against the entropy of the histogram of portfolio returns.

    .. math:: \min_{w \in W} \; \gamma\, H(w) - \mu^\top w + \lambda R(w), \qquad H(w) = -\sum_k \pi_k(w) \log \pi_k(w)

    with :math:`\pi_k` the share of scenarios in bin k of a histogram of :math:`w^\top r_t`, from the least to the
    largest return, in nats.

    The entropy is a step function of the weights, so nothing about it is convex or smooth: the answer is the best of
    several seeded pattern searches, with status "heuristic" and no gap. As the bins are scaled to the range of the
    portfolio's own returns, entropy does not measure how large the risk is: a portfolio whose returns but for one crash
    lie close together has little of it.

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, expected return per period given up for a nat of entropy.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Mercurio, Wu and Xie (2020), *An entropy-based approach to portfolio optimization*.
    """

    uses_covariance = takes_counts = False

    risk_aversion: Positive = 1.0
    _problem = no_problem

    def optimize(
        self,
        data: Any = None,
        weight_bounds: Any = None,
        w: ArrayLike | None = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        held: Any = None,
        costs: Any = None,
        seed: int | None = 100,
        bin: int = 20,
    ) -> FloatArray:
        """Find the weights; see :meth:`Optimizer.optimize` for the other parameters.

        Parameters
        ----------
        data, weight_bounds, w, kind, custom_mean, custom_cov, held, costs, seed
            As in :meth:`Optimizer.optimize`; ``w`` is one more start of the search.
        bin : int
            Number of bins of the histogram.

        Raises
        ------
        PortfolioError
            If ``bin`` is not a whole number above 0.
        """
        bins = whole("bin", bin, low=1)
        given = self._given(weight_bounds, kind, custom_mean, custom_cov, held, costs)
        return self._answer(self._market(data, kind), given, w, seed=seed, bins=bins)

    def _solve(
        self, market: Market, given: Given, w: FloatArray | None, seed: int | None, bins: int = 20
    ) -> tuple[Problem, Solved]:
        mean, _ = self._moments(market, given)
        assert mean is not None
        bounds, penalty = self._box(market, given)

        def value(points: FloatArray) -> FloatArray:
            heights = float(self.risk_aversion) * histogram_entropy(market, points, bins) - points @ mean
            if penalty is not None:
                heights += np.array([penalty.evaluate(x)[0] for x in points])
            return heights

        starts = _starts(bounds, mean, seed)
        if w is not None:
            starts = np.vstack([bounds.repair(w), starts])
        x, _, iterations = pattern_search(value, bounds, seed, starts)
        x = bounds.repair(x)
        problem = QuadraticProblem(mean, None, 1.0, bounds, penalty)
        return problem, heuristic(problem, x, float(value(x[None, :])[0]), iterations)


def histogram_entropy(market: Market, points: FloatArray, bins: int) -> FloatArray:
    """Entropy in nats of the histogram of each portfolio's returns; points (K, N) to (K,)."""
    p = market.probabilities
    heights = np.empty(len(points))
    block = max(1, _CELLS // market.n_scenarios)
    for start in range(0, len(points), block):
        returns = points[start : start + block] @ market.returns.T
        low = returns.min(axis=1, keepdims=True)
        width = returns.max(axis=1, keepdims=True) - low
        scaled = np.divide(returns - low, width, out=np.zeros_like(returns), where=width > 0)
        cell = np.minimum((scaled * bins).astype(np.intp), bins - 1)
        count = len(returns)
        cell += bins * np.arange(count)[:, None]
        weights = None if p is None else np.broadcast_to(p, returns.shape).ravel()
        mass = np.bincount(cell.ravel(), weights, minlength=count * bins).reshape(count, bins)
        share = mass / mass.sum(axis=1, keepdims=True)
        logs = np.log(share, out=np.zeros_like(share), where=share > 0)
        heights[start : start + block] = -(share * logs).sum(axis=1)
    return heights


def _starts(bounds: Bounds, mean: FloatArray, seed: int | None) -> FloatArray:
    """The centre, the portfolio of each asset as far as the bounds allow, the best mean, and seeded mixtures of two."""
    rng = np.random.default_rng(seed)
    count = mean.size
    corners = [bounds.linear_minimum(-mean)[0]]
    corners += [bounds.linear_minimum(-row)[0] for row in np.eye(count)]
    corners += [bounds.linear_minimum(rng.normal(size=count))[0] for _ in range(count)]
    center = bounds.center()
    if center is not None:
        corners.append(center)
    corner = np.array(corners)
    first, second = rng.integers(len(corner), size=(2, _SCATTERED))
    share = rng.uniform(size=(_SCATTERED, 1))
    return np.vstack([corner, share * corner[first] + (1.0 - share) * corner[second]])
