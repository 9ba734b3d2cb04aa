"""What the number of trials, fat tails and short records leave of a Sharpe ratio."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from opeslike.checks import FloatArray, not_negative, number, positive, share_of, whole
from opeslike.errors import PortfolioError
from opeslike.evidence.samples import ReturnsLike, period_rates, read_samples, spread

EULER, NORMAL = 0.57721566490153286, NormalDist()


def expected_maximum(trials: int, *, exact: bool = False) -> float:
    r"""Expected maximum of N independent standard normals.

    .. math:: (1 - \gamma)\, \Phi^{-1}(1 - 1/N) + \gamma\, \Phi^{-1}(1 - 1/(N e)), \qquad \gamma = 0.5772...,

    an approximation (2% high at N = 10, 1% at 100); ``exact`` integrates
    :math:`\int_{-\infty}^\infty x\, d\Phi(x)^N` numerically.

    Raises
    ------
    PortfolioError
        If ``trials`` is not a whole number of at least 1.

    Source: Bailey and Lopez de Prado, *The deflated Sharpe ratio* (2014), appendix A.
    """
    from scipy.integrate import quad
    from scipy.special import log_ndtr, ndtr

    if whole("trials", trials, 1) == 1:
        return 0.0
    if exact:  # E max = int_0^inf P(max > x) dx - int_-inf^0 P(max <= x) dx
        above = quad(lambda x: -math.expm1(trials * log_ndtr(x)), 0.0, 40.0, epsabs=1e-13, points=[1.0, 3.0, 6.0])[0]
        below = quad(lambda x: ndtr(x) ** trials, -40.0, 0.0, epsabs=1e-13, points=[-3.0, -1.0])[0]
        return float(above - below)
    return (1 - EULER) * NORMAL.inv_cdf(1 - 1 / trials) + EULER * NORMAL.inv_cdf(1 - 1 / (trials * math.e))


def sharpe_probability(
    sharpe: float, observations: float, skewness: float = 0.0, kurtosis: float = 3.0, threshold: float = 0.0
) -> float:
    r"""Probabilistic Sharpe ratio: confidence that the true ratio is above a threshold.

    .. math:: \Phi\left(\frac{(SR - SR_0) \sqrt{T - 1}}
        {\sqrt{1 - \gamma_3 SR + \frac{\gamma_4 - 1}{4} SR^2}}\right)

    Parameters
    ----------
    sharpe, threshold : float
        Per period. With the threshold ``expected_maximum(N) * std of the N trials' ratios`` this is the deflated ratio.
    observations : float
        Number of returns, above 1.
    skewness, kurtosis : float
        Of the returns; a normal has 0 and 3.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range; no returns have a kurtosis below skewness squared plus 1.

    Source: Bailey and Lopez de Prado, *The Sharpe ratio efficient frontier* (2012), equation 9.
    """
    number("observations", observations, 1.0, open_low=True)
    error = _sharpe_error(number("sharpe", sharpe), skewness, kurtosis)
    return NORMAL.cdf((sharpe - number("threshold", threshold)) * math.sqrt(observations - 1) / error)


def min_track_record(
    sharpe: float, skewness: float = 0.0, kurtosis: float = 3.0, threshold: float = 0.0, confidence: float = 0.95
) -> float:
    r"""Number of returns after which a Sharpe ratio is above a threshold with the confidence given.

    .. math:: 1 + \Big(1 - \gamma_3 SR + \frac{\gamma_4 - 1}{4} SR^2\Big)
        \Big(\frac{\Phi^{-1}(\text{confidence})}{SR - SR_0}\Big)^2

    Infinite where the ratio is not above the threshold. Parameters as in :func:`sharpe_probability`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    Source: Bailey and Lopez de Prado (2012), equation 11.
    """
    error = _sharpe_error(number("sharpe", sharpe), skewness, kurtosis)
    if sharpe <= number("threshold", threshold):
        return math.inf
    return 1 + (error * NORMAL.inv_cdf(share_of("confidence", confidence)) / (sharpe - threshold)) ** 2


def years_to_resolve(
    tracking_error: float, difference: float = 0.01, confidence: float = 0.95, power: float = 0.5
) -> float:
    r"""Years until a difference a year stands out from the noise of active returns.

    .. math:: \Big(\frac{(\Phi^{-1}(\tfrac{1 + \text{confidence}}{2}) + \Phi^{-1}(\text{power}))\,
        \text{tracking error}}{\text{difference}}\Big)^2

    Parameters
    ----------
    tracking_error : float
        Standard deviation of the active return a year; with dependence, its long-run one.
    difference : float
        A year, a fraction.
    confidence : float
        Of the two-sided interval.
    power : float
        Odds of finding the difference: at 0.5 it equals half the interval's width; studies are planned with 0.8.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    Source: the normal approximation for the sample size of a mean, as in any text on the design of experiments.
    """
    not_negative("tracking_error", tracking_error)
    positive("difference", difference)
    quantiles = NORMAL.inv_cdf((1 + share_of("confidence", confidence)) / 2) + NORMAL.inv_cdf(share_of("power", power))
    return float((quantiles * tracking_error / difference) ** 2)


def track_record(
    returns: ReturnsLike,
    benchmark: Any = None,
    *,
    trials: int | None = None,
    risk_free: float | pd.Series = 0.0,
    periods_per_year: float = 252,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Probabilistic and deflated Sharpe ratio and minimum track record of each strategy, on *active* returns.

    Active returns are those over the benchmark. On raw returns what any holder of stocks earned passes for skill.

    Parameters
    ----------
    returns : DataFrame, dict or array of shape (T, K)
        One sample of simple returns per period; see :func:`evidence`.
    benchmark : str or Series, optional
        What anybody could have held. Default: cash at ``risk_free``, for strategies that hold no market.
    trials : int, optional
        How many strategies were tried in truth, those thrown away too. Default: those here.
    risk_free : float or Series
        Annual; used without a benchmark.
    periods_per_year : float
    confidence : float
        For the minimum track record.

    Returns
    -------
    DataFrame, a row a strategy
        - ``sharpe``: annual, of active returns
        - ``probabilistic``: confidence that it is above 0
        - ``threshold``: annual; what the best of that many worthless trials is expected to show,
          ``expected_maximum(trials) * std(sharpe over the strategies, ddof=1)``
        - ``deflated``: confidence that it is above the threshold
        - ``years_needed``: minimum track record for it to be above 0, in years; infinite if it is below

    Raises
    ------
    DataError, PortfolioError
        If returns or parameters cannot be used, or a strategy never differs from the benchmark.

    Source: Bailey and Lopez de Prado, *The deflated Sharpe ratio* (2014).
    """
    periods = positive("periods_per_year", periods_per_year)
    names, active = _active(returns, benchmark, risk_free, periods)
    count = whole("trials", len(names) if trials is None else trials, 1)
    if len(names) < 2 < count + 1 and count > 1:
        raise PortfolioError(
            "the spread of the trials' ratios needs two strategies; pass their returns, not trials alone"
        )
    scores = (active - active.mean(axis=0)) / active.std(axis=0)
    moments = (scores**3).mean(axis=0).tolist(), (scores**4).mean(axis=0).tolist()
    sharpe = active.mean(axis=0) / spread(active)
    threshold = expected_maximum(count) * sharpe.std(ddof=1) if count > 1 else 0.0
    rows = [
        {
            "sharpe": ratio * math.sqrt(periods),
            "probabilistic": sharpe_probability(ratio, len(active), skew, kurtosis),
            "threshold": threshold * math.sqrt(periods),
            "deflated": sharpe_probability(ratio, len(active), skew, kurtosis, threshold),
            "years_needed": min_track_record(ratio, skew, kurtosis, confidence=confidence) / periods,
        }
        for ratio, skew, kurtosis in zip(sharpe.tolist(), *moments, strict=True)
    ]
    return pd.DataFrame(rows, index=pd.Index(names, name="strategy"))


@dataclass(frozen=True, eq=False)
class Overfitting:
    """Probability of backtest overfitting, from :func:`overfitting`.

    Attributes
    ----------
    probability : float
        Share of the splits in which the best strategy of one half was at or below the median of the other.
    logits : ndarray of shape (splits,)
        log(w / (1 - w)), w the relative rank of the best of one half in the other, in (0, 1).
    inside, outside : ndarray of shape (splits,)
        Its annual Sharpe ratio in the half it was chosen on, and in the other.
    """

    probability: float
    logits: FloatArray
    inside: FloatArray
    outside: FloatArray

    def __str__(self) -> str:
        return (
            f"The best of one half of the time was at or below the median in the other half in {self.probability:.0%} "
            f"of {len(self.logits):,} splits; its Sharpe ratio fell from {np.median(self.inside):.2f} to "
            f"{np.median(self.outside):.2f} (medians)."
        )


def overfitting(
    returns: ReturnsLike,
    benchmark: Any = None,
    *,
    blocks: int = 16,
    risk_free: float | pd.Series = 0.0,
    periods_per_year: float = 252,
) -> Overfitting:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation (PBO by CSCV).

    Time is cut into blocks; every half of them chooses the strategy of the highest Sharpe ratio, and the other half
    ranks it. A coin toss among equals gives one half; skill that lasts gives less.

    Parameters
    ----------
    returns : DataFrame, dict or array of shape (T, K)
        One sample of simple returns per period; see :func:`evidence`.
    benchmark : str or Series, optional
        Rank by the Sharpe ratio of returns over it. Default: over ``risk_free``.
    blocks : int
        Even, 2 to 20; 16 give 12,870 splits. The first T mod blocks dates are left out.
    risk_free : float or Series
        Annual; used without a benchmark.
    periods_per_year : float

    Returns
    -------
    Overfitting

    Raises
    ------
    DataError, PortfolioError
        If returns or parameters cannot be used, there are fewer than two strategies, or one never differs from the
        benchmark.

    Source: Bailey, Borwein, Lopez de Prado and Zhu, *The probability of backtest overfitting* (2017).
    """
    from scipy.stats import rankdata

    if whole("blocks", blocks, 2) % 2 or blocks > 20:
        raise PortfolioError(
            f"blocks={blocks} must be even and at most 20 (their halves are {blocks} over {blocks // 2})"
        )
    periods = positive("periods_per_year", periods_per_year)
    names, active = _active(returns, benchmark, risk_free, periods)
    if len(names) < 2 or len(active) < 2 * blocks:
        raise PortfolioError(f"{len(names)} strategies over {len(active)} dates cannot be ranked in {blocks} blocks")
    length = len(active) // blocks
    cut = active[len(active) - length * blocks :].reshape(blocks, length, len(names))
    chosen = np.zeros((math.comb(blocks, blocks // 2), blocks))
    halves = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    np.put_along_axis(chosen, halves, 1.0, axis=1)
    size = length * (blocks // 2)

    def ratios(half: FloatArray) -> FloatArray:
        mean, square = half @ cut.sum(axis=1) / size, half @ (cut**2).sum(axis=1) / size
        return np.asarray(mean / np.sqrt((square - mean**2) * size / (size - 1)) * math.sqrt(periods))

    inside, outside = ratios(chosen), ratios(1.0 - chosen)
    splits, best = np.arange(len(chosen)), inside.argmax(axis=1)
    rank = rankdata(outside, axis=1)[splits, best] / (len(names) + 1)
    logits = np.log(rank / (1 - rank))
    return Overfitting(float((logits <= 0).mean()), logits, inside[splits, best], outside[splits, best])


def _active(
    returns: ReturnsLike, benchmark: Any, risk_free: float | pd.Series, periods: float
) -> tuple[list[str], FloatArray]:
    """Returns of one sample over the benchmark (which is left out) or the risk-free rate."""
    samples, base = read_samples(returns, benchmark)
    if len(samples.values) > 1:
        raise PortfolioError(f"{len(samples.values)} samples given; pass one frame of returns, dates x strategies")
    values = samples.values[0]
    if benchmark is None:
        names, active = list(samples.strategies), values - period_rates(risk_free, samples.dates, periods)[:, None]
    else:
        names = [name for name in samples.strategies if name != samples.strategies[base]]
        active = np.delete(values, base, axis=1) - values[:, [base]]
    flat = np.flatnonzero(~(spread(active) > 1e-12))
    if flat.size:
        over = "cash" if benchmark is None else samples.strategies[base]
        raise PortfolioError(f"{names[flat[0]]} never differs from {over}: it has no Sharpe ratio; leave it out")
    return names, active


def _sharpe_error(sharpe: float, skewness: float, kurtosis: float) -> float:
    """Standard error of a Sharpe ratio, times the root of the number of returns less one."""
    if number("kurtosis", kurtosis) < number("skewness", skewness) ** 2 + 1 - 1e-9:
        raise PortfolioError(f"kurtosis={kurtosis:g} is below skewness squared plus 1, which no returns can have")
    return math.sqrt(1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2)
