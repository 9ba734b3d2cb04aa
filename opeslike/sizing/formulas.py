"""Closed forms: how much to hold when the odds, or the mean and the variance, are known.

Two units occur in this room. A *risk fraction* is the part of wealth that can be lost in one bet
(:func:`kelly_binary`, :func:`kelly_payout`); it is never negative, because the other side of a bet
is another bet. A *leverage* is the value held as a multiple of wealth (:func:`kelly_partial`,
:func:`kelly_continuous`); a negative leverage is a short position.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd

from opeslike import checks
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def kelly_binary(p: float, b: float) -> float:
    r"""Fraction of wealth to stake on a bet that wins ``b`` per unit staked or loses the stake.

    .. math:: f^* = \max\left(0,\ p - \frac{1 - p}{b}\right)

    Parameters
    ----------
    p : float
        Probability of winning, in [0, 1].
    b : float
        Net odds: the gain per unit staked, > 0. Even money is 1. For a payout that includes the
        stake use :func:`kelly_payout`.

    Returns
    -------
    float
        Risk fraction in [0, 1]; 0 where the bet has no positive expectation.

    Raises
    ------
    PortfolioError
        ``p`` or ``b`` out of range.

    References
    ----------
    J. L. Kelly, "A new interpretation of information rate", Bell System Technical Journal 35, 1956.

    Examples
    --------
    >>> round(kelly_binary(0.53, 1.0), 12)
    0.06
    """
    p = checks.number("p", p, low=0.0, high=1.0)
    b = checks.positive("b", b)
    return max(0.0, p - (1.0 - p) / b)


def kelly_payout(p: float, payout: float) -> float:
    r"""Kelly fraction in payout notation: the winner receives ``payout`` per unit, stake included.

    .. math:: f^* = \max\left(0,\ p - \frac{1 - p}{\text{payout} - 1}\right)

    Parameters
    ----------
    p : float
        Probability of winning, in [0, 1].
    payout : float
        What comes back per unit staked when the bet wins (decimal odds), > 1.

    Returns
    -------
    float
        Risk fraction in [0, 1].

    Raises
    ------
    PortfolioError
        ``p`` or ``payout`` out of range.

    References
    ----------
    J. L. Kelly, "A new interpretation of information rate", Bell System Technical Journal 35, 1956.
    """
    return kelly_binary(p, checks.number("payout", payout, low=1.0, open_low=True) - 1.0)


def growth_binary(p: float, b: float, fraction: float | None = None) -> float:
    r"""Expected log growth per bet of staking ``fraction`` of wealth.

    .. math:: g(f) = p \log(1 + b f) + (1 - p) \log(1 - f)

    Parameters
    ----------
    p : float
        Probability of winning, in [0, 1].
    b : float
        Net odds, > 0.
    fraction : float, optional
        Risk fraction in [0, 1]; the Kelly fraction where omitted.

    Returns
    -------
    float
        Natural-log growth per bet; ``-inf`` where a loss of everything is possible.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006, section 2.
    """
    best = kelly_binary(p, b)
    f = best if fraction is None else checks.number("fraction", fraction, low=0.0, high=1.0)
    if f == 1.0 and p < 1.0:
        return -math.inf
    return (p * math.log1p(b * f) if p > 0 else 0.0) + ((1 - p) * math.log1p(-f) if p < 1 else 0.0)


def kelly_partial(p: float, win: float, loss: float) -> float:
    r"""Leverage for a bet that gains the fraction ``win`` of what is held or loses ``loss`` of it.

    .. math:: f^* = \frac{p}{\text{loss}} - \frac{1 - p}{\text{win}}

    With ``loss = 1`` this is the binary bet. The value is signed: where the expectation is
    negative it is the optimal short position.

    Parameters
    ----------
    p : float
        Probability of the gain, in [0, 1].
    win, loss : float
        Size of the gain and of the loss per unit held, both > 0 (0.02 is two percent).

    Returns
    -------
    float
        Leverage: value held as a multiple of wealth. It is not divided by any further loss.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006.
    """
    p = checks.number("p", p, low=0.0, high=1.0)
    win = checks.positive("win", win)
    loss = checks.positive("loss", loss)
    return p / loss - (1.0 - p) / win


@overload
def kelly_continuous(mean: float, variance: float, risk_free: float = 0.0) -> float: ...
@overload
def kelly_continuous(mean: ArrayLike, variance: pd.DataFrame, risk_free: float = 0.0) -> pd.Series[float]: ...
@overload
def kelly_continuous(mean: FloatArray, variance: FloatArray, risk_free: float = 0.0) -> FloatArray: ...


def kelly_continuous(
    mean: float | ArrayLike, variance: float | FloatArray | pd.DataFrame, risk_free: float = 0.0
) -> float | FloatArray | pd.Series[float]:
    r"""Kelly leverage of a continuously rebalanced position in one asset or several.

    .. math:: f^* = \frac{\mu - r}{\sigma^2}, \qquad f^* = \Sigma^{-1} (\mu - r)

    Parameters
    ----------
    mean : float, ndarray or Series, shape (N,)
        Expected simple return per unit of time.
    variance : float, ndarray or DataFrame, shape (N, N)
        Variance, or covariance matrix, in the same unit of time.
    risk_free : float
        Rate of cash in the same unit of time as ``mean`` (it is not converted here).

    Returns
    -------
    float, ndarray or Series, shape (N,)
        Signed leverage; what is not in it is cash, or borrowed. Several assets as :func:`kelly_multivariate`.

    Raises
    ------
    PortfolioError
        Variance not positive, covariance not positive definite, or shapes that do not fit.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006, sections 7 and 8. R. C. Merton,
    "Lifetime portfolio selection under uncertainty", Review of Economics and Statistics 51, 1969.

    Examples
    --------
    >>> round(kelly_continuous(0.11, 0.15**2, 0.06), 4)
    2.2222
    """
    if np.ndim(mean) or np.ndim(variance):
        return kelly_multivariate(mean, variance, risk_free)
    mean = checks.number("mean", mean)
    variance = checks.positive("variance", variance)
    return (mean - checks.number("risk_free", risk_free)) / variance


@overload
def kelly_multivariate(mean: ArrayLike, covariance: pd.DataFrame, risk_free: float = 0.0) -> pd.Series[float]: ...
@overload
def kelly_multivariate(mean: ArrayLike, covariance: ArrayLike, risk_free: float = 0.0) -> FloatArray: ...


def kelly_multivariate(
    mean: ArrayLike, covariance: ArrayLike | pd.DataFrame, risk_free: float = 0.0
) -> FloatArray | pd.Series[float]:
    r"""Kelly leverages of several assets, :math:`\Sigma^{-1} (\mu - r)`.

    Parameters
    ----------
    mean : array_like or Series, shape (N,)
        Expected simple returns per unit of time.
    covariance : array_like or DataFrame, shape (N, N)
        Positive definite covariance in the same unit of time. A Series of means is put into the order of its columns.
    risk_free : float
        Rate of cash in the same unit of time.

    Returns
    -------
    ndarray or Series, shape (N,)
        Signed leverages; labelled where the covariance is a DataFrame.

    Raises
    ------
    PortfolioError
        Shapes or labels that do not fit, values that are not finite, or a matrix that is not symmetric
        and positive definite.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006, section 8.
    """
    labels = covariance.columns if isinstance(covariance, pd.DataFrame) else None
    if isinstance(covariance, pd.DataFrame) and isinstance(mean, pd.Series):
        mean = _same_order(mean, covariance)
    mu = np.atleast_1d(checks.numbers("mean", mean))
    sigma = np.atleast_2d(checks.numbers("covariance", covariance))
    rate = checks.number("risk_free", risk_free)
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise PortfolioError(f"covariance must be N x N for N = {mu.size} means, got shape {np.shape(covariance)}")
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise PortfolioError("mean and covariance must be finite")
    if not np.allclose(sigma, sigma.T, rtol=1e-8, atol=0.0):
        raise PortfolioError("covariance must be symmetric")
    singular = "covariance must be positive definite; drop the assets that others determine"
    if not (np.diag(sigma) > 0).all():
        raise PortfolioError(singular)
    scale = np.sqrt(np.diag(sigma))
    try:
        factor = np.linalg.cholesky(sigma / np.outer(scale, scale))
    except np.linalg.LinAlgError as error:
        raise PortfolioError(singular) from error
    if np.diag(factor).min() < 1e-7:
        raise PortfolioError(singular)
    half = np.linalg.solve(factor, (mu - rate) / scale)
    leverage = np.asarray(np.linalg.solve(factor.T, half) / scale, dtype=np.float64)
    return leverage if labels is None else pd.Series(leverage, index=labels, name="leverage")


def _same_order(mean: pd.Series[float], covariance: pd.DataFrame) -> pd.Series[float]:
    """Means in the order of the covariance, whose rows and columns have to agree."""
    names = covariance.columns
    if not covariance.index.equals(names) or not names.is_unique:
        raise PortfolioError("covariance: rows and columns must have the same names in the same order, each once")
    if len(mean) != len(names) or not mean.index.isin(names).all() or not mean.index.is_unique:
        raise PortfolioError(f"mean and covariance are of different assets: {list(mean.index)} and {list(names)}")
    return mean.reindex(names)


def growth_continuous(leverage: ArrayLike, mean: float, variance: float, risk_free: float = 0.0) -> FloatArray:
    r"""Log growth of a continuously rebalanced leverage.

    .. math:: g(f) = r + f (\mu - r) - \tfrac12 f^2 \sigma^2,
              \qquad g(f^*) = r + \frac{(\mu - r)^2}{2 \sigma^2}

    Parameters
    ----------
    leverage : array_like
        Leverages; any shape.
    mean, variance, risk_free : float
        Per unit of time, all the same unit.

    Returns
    -------
    ndarray
        Growth per unit of time, in the shape of ``leverage`` (0-d for a scalar).

    Raises
    ------
    PortfolioError
        A parameter not finite, or a negative variance.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006, section 7.
    """
    f = checks.numbers("leverage", leverage)
    mean = checks.number("mean", mean)
    variance = checks.number("variance", variance, low=0.0)
    rate = checks.number("risk_free", risk_free)
    return np.asarray(rate + f * (mean - rate) - 0.5 * f * f * variance, dtype=np.float64)
