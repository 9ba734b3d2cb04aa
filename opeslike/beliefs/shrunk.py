"""Sample means, pulled towards what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from scipy.linalg import lapack

from opeslike.beliefs.belief import Belief, chances
from opeslike.checks import FloatArray, check_mean
from opeslike.errors import DataError
from opeslike.market import Market
from opeslike.parameters import one_of


@dataclass(frozen=True, eq=False, repr=False)
class ShrunkMeans(Belief):
    r"""Scenarios about shrunk means, :math:`(1 - \phi)\, m + \phi\, m_0`; dispersion and dependence stay.

    With m the sample means of N assets, S their covariance (divided by n - 1), n the effective size and
    :math:`d = m - m_0`:

    - James-Stein: :math:`\phi = \min(1, (N - 2) / (n\, d' S^{-1} d))`, towards the mean of all means;
    - Bayes-Stein: :math:`\phi = (N + 2) / (N + 2 + n\, d' \Sigma^{-1} d)` with
      :math:`\Sigma = \frac{n - 1}{n - N - 2} S`, towards the mean :math:`1' S^{-1} m / 1' S^{-1} 1` of the portfolio of
      least variance.

    Parameters
    ----------
    method : {"bayes-stein", "james-stein"}
    target : float, array-like of shape (N,) or belief, optional
        :math:`m_0` per period instead; of a belief its means, so ``BlackLitterman({})`` shrinks towards equilibrium.

    Raises
    ------
    PortfolioError
        If the method is unknown.
    DataError
        When asked, if the target does not fit the assets, or the sample is too short: Bayes-Stein needs an effective
        size above N + 2, both a covariance that can be inverted.

    References
    ----------
    James and Stein (1961), *Estimation with quadratic loss*; Jorion (1985), *International portfolio diversification
    with estimation risk*; Jorion (1986), *Bayes-Stein estimation for portfolio analysis*.
    """

    method: Annotated[str, one_of("bayes-stein", "james-stein")] = "bayes-stein"
    target: Any = None

    def __call__(self, market: Market) -> Market:
        """The scenarios about the shrunk means."""
        mean, shrunk = self._shrunk(market)
        return market.shifted(shrunk - mean)

    def means(self, market: Market) -> FloatArray:
        """Shrunk means per period, shape (N,)."""
        return self._shrunk(market)[1]

    def _shrunk(self, market: Market) -> tuple[FloatArray, FloatArray]:
        """Means as they are, and shrunk."""
        mean, covariance = market.mean_and_covariance()
        size, count = market.effective_size, market.n_assets
        bayes = self.method.lower() == "bayes-stein"
        root = _root(covariance)
        if size <= count + 2 or root is None:
            advice = "take more rows, fewer assets, or leave out assets that do not vary on their own"
            raise DataError(f"{size:.4g} effective scenarios of {count} assets are too few to shrink means; {advice}")
        target = self._target(market, mean, root, bayes)
        distance = size * float((mean - target) @ _solved(root, mean - target))
        if bayes:
            pull = (count + 2) / (count + 2 + distance * (size - count - 2) / (size - 1))
        else:
            pull = min(1.0, max(count - 2, 0) / distance) if distance > 0 else 1.0
        return mean, mean + pull * (target - mean)

    def _target(self, market: Market, mean: FloatArray, root: FloatArray, bayes: bool) -> FloatArray:
        if callable(self.target):
            believed = self.target(market)
            return np.asarray(chances(believed) @ believed.returns)
        if self.target is not None:
            given = np.full(len(mean), self.target) if isinstance(self.target, (int, float)) else self.target
            return check_mean(given, market.assets, "target")
        weights = _solved(root, np.ones(len(mean))) if bayes else np.ones(len(mean))
        return np.full(len(mean), float(weights @ mean) / float(weights.sum()))


def _root(covariance: FloatArray) -> FloatArray | None:
    """The Cholesky root, whose squared diagonal is how each asset varies beside those before it, if each does."""
    root, info = lapack.dpotrf(covariance, lower=1)
    varies = info == 0 and (root.diagonal() ** 2 > 1e-12 * covariance.diagonal()).all()
    return root if varies else None


def _solved(root: FloatArray, side: FloatArray) -> FloatArray:
    return np.asarray(lapack.dpotrs(root, side, lower=1)[0])
