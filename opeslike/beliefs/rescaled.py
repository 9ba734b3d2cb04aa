"""The scenarios one has seen, with another covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opeslike.beliefs.belief import Belief, chances
from opeslike.beliefs.covariance import check_estimator, estimate
from opeslike.checks import FloatArray, check_covariance
from opeslike.errors import DataError
from opeslike.market import Market

#: eigenvalues of a covariance below this, relative to the largest, are no spread
_FLAT = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Rescaled(Belief):
    r"""Scenarios mapped to a given covariance about the same means: :math:`m + A (x_t - m)`.

    Of all affine maps that turn the covariance S of the scenarios into C it moves them least in mean square, the map of
    optimal transport, :math:`A = S^{-1/2} (S^{1/2} C S^{1/2})^{1/2} S^{-1/2}`; the order of the assets does not matter.

    Parameters
    ----------
    covariance : array-like of shape (N, N), name or estimator
        C per period (a frame is matched by ticker), or how to estimate it: "ledoit_wolf", "oas", or an estimator object
        with ``fit(returns)`` and ``covariance_``, such as those of scikit-learn and skfolio.

    Raises
    ------
    PortfolioError
        If the name or estimator is none, or it fails.
    DataError
        When asked, if the matrix is no covariance of these assets, or the scenarios do not spread in all directions.

    References
    ----------
    Gelbrich (1990), *On a formula for the L2 Wasserstein metric between measures on Euclidean and Hilbert spaces*.
    """

    covariance: Any

    def __post_init__(self) -> None:
        if _to_estimate(self.covariance):
            check_estimator(self.covariance)

    def __call__(self, market: Market) -> Market:
        """The scenarios, mapped."""
        sample = market.mean_and_covariance()[1]
        if _to_estimate(self.covariance):
            wanted = estimate(check_estimator(self.covariance), market)
        else:
            wanted = check_covariance(self.covariance, market.assets, "covariance")
        if np.array_equal(sample, wanted):
            return market
        mean = chances(market) @ market.returns
        return market.with_returns(mean + (market.returns - mean) @ _transport(sample, wanted))


def _to_estimate(covariance: Any) -> bool:
    return isinstance(covariance, (str, type)) or hasattr(covariance, "fit")


def _transport(sample: FloatArray, wanted: FloatArray) -> FloatArray:
    """Matrix of the map, symmetric."""
    values, vectors = np.linalg.eigh(sample)
    if values[0] <= _FLAT * values[-1]:
        advice = "take more rows, or fewer assets"
        raise DataError(f"the scenarios do not spread in all directions, so none has this covariance; {advice}")
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    inner, turned = np.linalg.eigh(root @ wanted @ root)
    return np.asarray(inverse @ (turned * np.sqrt(np.maximum(inner, 0.0))) @ turned.T @ inverse)
