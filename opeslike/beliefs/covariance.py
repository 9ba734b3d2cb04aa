"""Covariance estimators: the sample covariance, or any estimator in the style of scikit-learn."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray, Market

NAMES = ("sample", "ledoit_wolf", "oas")


def check_estimator(covariance: Any) -> Any:
    """Check what was given as ``covariance=``: a known name, or an object with ``fit``.

    Raises
    ------
    PortfolioError
        If it is neither or is a class instead of an object.
    """
    if isinstance(covariance, str):
        name = covariance.lower().replace("-", "_")
        if name not in NAMES:
            known = ", ".join(map(repr, NAMES))
            raise PortfolioError(f"covariance={covariance!r} is unknown; use {known} or a scikit-learn estimator")
        return name
    if isinstance(covariance, type) or not callable(getattr(covariance, "fit", None)):
        raise PortfolioError(
            f"covariance={covariance!r} must be a name or an estimator object with fit(returns) and covariance_, "
            "such as sklearn.covariance.OAS()"
        )
    return covariance


def estimate(covariance: Any, market: Market) -> FloatArray:
    """Covariance per period, shape (N, N), by a checked estimator.

    The sample covariance divides by T - 1 (scenario probabilities are used where given). The estimators of
    scikit-learn divide by T and know no probabilities. An estimator object is copied before it is fitted.

    Raises
    ------
    PortfolioError
        If the estimator fails, leaves no usable ``covariance_``, or the market has scenario probabilities.
    DataError
        With fewer than two rows.
    """
    if covariance == "sample":
        return market.mean_and_covariance()[1]
    if market.probabilities is not None:
        raise PortfolioError("scikit-learn's covariance estimators know no scenario probabilities; use 'sample'")
    if market.n_scenarios < 2:
        raise DataError("a covariance needs at least two return rows")
    if isinstance(covariance, str):
        return _shrunk(market, ledoit_wolf=covariance == "ledoit_wolf")
    estimator = copy.deepcopy(covariance)
    name = type(estimator).__name__
    try:
        # some estimators of scikit-learn want row-major data
        fitted = estimator.fit(np.ascontiguousarray(market.returns))
    except ValueError as error:
        raise PortfolioError(f"the covariance estimator {name} failed: {error}") from error
    matrix = np.asarray(getattr(fitted, "covariance_", getattr(estimator, "covariance_", None)), dtype=np.float64)
    if matrix.shape != (market.n_assets, market.n_assets) or not np.isfinite(matrix).all():
        raise PortfolioError(f"the covariance estimator {name} left no finite covariance_ of shape (N, N)")
    return 0.5 * (matrix + matrix.T)


def _shrunk(market: Market, ledoit_wolf: bool) -> FloatArray:
    """``(1 - s) S + s (tr S / N) I`` with S divided by T: the s of Ledoit and Wolf (2004) or of Chen et al. (2010).

    That of Ledoit and Wolf needs the sum of all squared products of two returns, which is that of squared row norms: so
    in a walk-forward, whose S comes from running sums, shrinkage costs no product of matrices.
    """
    mean, unbiased = market.mean_and_covariance()
    rows, count = market.returns.shape
    covariance = unbiased * ((rows - 1) / rows)
    level, squares = float(np.trace(covariance)) / count, float((covariance * covariance).sum())
    away = squares - count * level * level  # squared distance from a multiple of the identity
    if ledoit_wolf:
        norms = ((market.returns - mean) ** 2).sum(axis=1)
        error = (float(norms @ norms) / rows - squares) / rows
    else:
        error = (squares + (count * level) ** 2) / (rows + 1)
    share = min(error / away, 1.0) if away > 0 else 1.0
    return np.asarray((1.0 - share) * covariance + share * level * np.eye(count))
