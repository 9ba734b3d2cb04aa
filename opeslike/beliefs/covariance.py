"""Covariance estimators: the sample covariance, or any estimator in the style of scikit-learn."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market

FloatArray = NDArray[np.float64]

SHRINKAGE = {"ledoit_wolf": "LedoitWolf", "oas": "OAS"}
NAMES = ("sample", *SHRINKAGE)


def check_estimator(covariance: Any) -> Any:
    """Check what was given as ``covariance=``: a known name, or an object with ``fit``.

    Raises
    ------
    PortfolioError
        If it is neither, is a class instead of an object, or needs scikit-learn where that is not installed.
    """
    if isinstance(covariance, str):
        name = covariance.lower().replace("-", "_")
        if name not in NAMES:
            known = ", ".join(map(repr, NAMES))
            raise PortfolioError(f"covariance={covariance!r} is unknown; use {known} or a scikit-learn estimator")
        if name in SHRINKAGE and importlib.util.find_spec("sklearn") is None:
            raise PortfolioError(
                f"covariance={covariance!r} needs scikit-learn, which is not installed; "
                "run: pip install 'opeslike[sklearn]' (or pip install scikit-learn)"
            )
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
        import sklearn.covariance

        estimator = getattr(sklearn.covariance, SHRINKAGE[covariance])()
    else:
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
