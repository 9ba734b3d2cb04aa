"""The radius of a KL ball whose worst case covers what the optimised portfolio is worth in truth."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opeslike.beliefs.belief import chances
from opeslike.beliefs.chance import stream
from opeslike.checks import share_of, whole
from opeslike.kl import pool
from opeslike.market import Market
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import KLBall, Mean
from opeslike.objectives.given import NOTHING, Given
from opeslike.objectives.parameters import radius_for
from opeslike.objectives.scenarios import ScenarioObjective
from opeslike.parameters import Parameters
from opeslike.solvers.solve import solve


@dataclass(frozen=True, repr=False)
class Covering(Parameters):
    r"""A radius calibrated by the bootstrap, for ``radius=`` of the KL-robust objectives.

    Rows are resampled; in each resample the portfolio without doubt is optimised, and the radius found at which its
    worst case there is no better than its value in the sample the rows were drawn from:

    .. math:: \rho_b = \min_q \Big\{ \mathrm{KL}(q, p^b) : \sum_t q_t\, \ell(w_b^\top r_t)
        \ge \sum_t p_t\, \ell(w_b^\top r_t) \Big\}

    The radius is the quantile of these at the confidence. So it knows how many assets there are to be wrong about,
    which ``1/sqrt(n)`` and the chi-square radii of :func:`~opeslike.objectives.distributionally_robust.kl_radius` do
    not.

    Parameters
    ----------
    confidence : float in (0, 1)
        Share of samples whose worst case is to be no better than the truth; reached approximately, see "Questions for a
        portfolio" in the documentation for nominal and actual shares.
    resamples : int >= 20
        Each costs a solve without doubt.
    seed : int >= 0
        With the last date of the market it determines the draw.
    block : int >= 1
        Length of the blocks of consecutive rows that are drawn (circular); 1 draws rows.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Efron (1983), *Estimating the error rate of a prediction rule*, on optimism; Lam and Zhou (2017), *The empirical
    likelihood approach to quantifying uncertainty in sample average approximation*; Politis and Romano (1992), *A
    circular block-resampling procedure for stationary data*.

    Examples
    --------
    >>> from opeslike.objectives import KLRobustKelly
    >>> returns = np.random.default_rng(1).normal(0.001, 0.01, (250, 4))
    >>> robust = KLRobustKelly(radius=Covering(0.9, resamples=50))
    >>> _ = robust.optimize(returns, kind="returns")
    >>> robust.solution.status
    'optimal'
    """

    confidence: float = 0.95
    resamples: int = 200
    seed: int = 0
    block: int = 1

    def __post_init__(self) -> None:
        share_of("confidence", self.confidence)
        whole("resamples", self.resamples, 20)
        whole("seed", self.seed)
        whole("block", self.block, 1)

    def radius(self, certain: ScenarioProblem, market: Market) -> float:
        """In nats, for the problem without doubt in a market."""
        p, count = certain.probabilities, market.n_scenarios
        start, kept = solve(certain).x, chances(market) > 0
        random, blocks, needed = stream(self.seed, market), -(-count // self.block), []
        for _ in range(self.resamples):
            begun = np.bincount(random.integers(count, size=blocks), minlength=count)
            drawn = np.sum([np.roll(begun, shift) for shift in range(self.block)], axis=0)[kept] * p
            if drawn.any():
                needed.append(_doubt(certain, p, drawn / drawn.sum(), start))
        return float(np.quantile(needed, self.confidence, method="higher"))


def _doubt(certain: ScenarioProblem, p: np.ndarray, drawn: np.ndarray, start: np.ndarray) -> float:
    """How far the odds must move from those drawn for the portfolio that is best there to do no better than it does."""
    there = copy.copy(certain)
    there.probabilities = drawn
    losses = certain.loss.evaluate(certain.scenario_returns(solve(there, start=start).x))[0]
    short = losses - float(p @ losses)
    if float(drawn @ short) >= 0.0:
        return 0.0
    found = pool(short[None, :], np.zeros(1, dtype=bool), drawn)
    return -math.log(float(drawn[drawn > 0].min())) if found is None else found.divergence


def likely(market: Market) -> Market:
    """The scenarios about means as far apart as the true ones are likely to be.

    Of a spread of sample means, the part that their noise explains is no truth to be found (Efron and Morris 1975):
    each mean is drawn to the mean of all by the mean variance of its error over the variance between the assets, at
    most 1.
    """
    p, n = chances(market), market.effective_size
    own = market.returns - market.returns.mean(axis=1, keepdims=True)
    means = p @ own
    noise, spread = float((p @ (own - means) ** 2).mean()) / n, float(means.var())
    return market.shifted(-means * (min(1.0, noise / spread) if spread > 0 else 0.0))


class WithinBall(ScenarioObjective):
    """What objectives over a KL ball have in common: the worst mean within a ``radius``."""

    if TYPE_CHECKING:
        radius: float | str | Covering

    def risk(self, market: Market) -> KLBall:
        """Worst mean over the ball; a calibrated radius is that of the mandate, without other weight bounds."""
        return self._ball(market, NOTHING)

    def _problem(self, market: Market, given: Given = NOTHING) -> ScenarioProblem:
        return self._under(self._ball(market, given), market, given)

    def _ball(self, market: Market, given: Given) -> KLBall:
        if isinstance(self.radius, Covering):
            certain = self._within_limits(self._under(Mean(), likely(market), given), market, given)
            return KLBall(self.radius.radius(certain, market))
        return KLBall(radius_for(self.radius, market))
