"""The covariance of few scenarios of many assets, without forming it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from opeslike.checks import FloatArray
from opeslike.market import Market

#: assets up to which the matrix, by running sums, costs no more than products with the scenarios
_MANY = 500
#: numbers in a block of returns about their means
_BLOCK = 1 << 17


class ScenarioCovariance:
    """The sample covariance of N assets over T < N scenarios: products with it, and its entries where asked for.

    ``S w = R' D (R w - mean' w)``, D the weights of the scenarios, is two passes over the T x N returns, or little more
    than one where w holds few assets. ``numpy.asarray`` makes the matrix.

    Parameters
    ----------
    market : Market
    mean : ndarray of shape (N,)
        Of its returns under its probabilities.
    """

    __array_priority__ = 1.0  # so that products from the left come here too

    def __init__(self, market: Market, mean: FloatArray) -> None:
        self._columns, self._mean, p = market.returns.T, mean, market.probabilities
        self._weight = np.full(market.n_scenarios, 1.0 / (market.n_scenarios - 1)) if p is None else p
        self.shape = mean.size, mean.size

    @cached_property
    def _variances(self) -> FloatArray:
        size = max(1, _BLOCK // self._weight.size)
        blocks = [self._centred(slice(start, start + size)) for start in range(0, self._mean.size, size)]
        return np.concatenate([np.square(block, out=block) @ self._weight for block in blocks])

    def _centred(self, assets: Any) -> FloatArray:
        """Returns of some assets about their means, one row an asset."""
        return np.asarray(self._columns[assets] - self._mean[assets, None])

    def diagonal(self) -> FloatArray:
        """The variances, shape (N,)."""
        return self._variances

    def __matmul__(self, w: FloatArray) -> FloatArray:
        """The product with weights, shape (N,)."""
        held = np.flatnonzero(w)
        few = 4 * held.size < w.size
        returns = w[held] @ self._columns[held] if few else w @ self._columns
        return np.asarray(self._columns @ (self._weight * (returns - float(self._mean @ w))))

    __rmatmul__ = __matmul__  # it is symmetric

    def __getitem__(self, index: tuple[Any, ...]) -> FloatArray:
        """The entries of some assets with others, as ``numpy.ix_`` asks for them."""
        first, second = (np.ravel(assets) for assets in index)
        rows = self._centred(first) * np.sqrt(self._weight)
        same = np.array_equal(first, second)
        return np.asarray(rows @ (rows if same else self._centred(second) * np.sqrt(self._weight)).T)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        """The matrix."""
        every = np.arange(self._mean.size)
        return self[every, every]


#: what objectives on moments are made of
Matrix = FloatArray | ScenarioCovariance


def sample_moments(market: Market) -> tuple[FloatArray, Matrix]:
    """Mean and covariance as of :meth:`Market.mean_and_covariance`; no matrix for many assets over fewer rows."""
    if market.n_assets > max(market.n_scenarios, _MANY) and market.n_scenarios > 1:
        mean = market.mean()
        return mean, ScenarioCovariance(market, mean)
    return market.mean_and_covariance()
