"""Tests: Ledoit and Wolf's for two Sharpe ratios, Hansen's superior predictive ability, the model confidence set."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from opeslike.beliefs.bootstrap import block_length_of, load_bootstrap
from opeslike.checks import FloatArray, positive, share_of, whole
from opeslike.errors import PortfolioError
from opeslike.evidence.samples import ReturnsLike, Samples, period_rates, read_samples, statistic


class SharpeTest(NamedTuple):
    """Outcome of :func:`sharpe_test`: annual difference and standard error, two-sided p-values, the block length."""

    difference: float
    standard_error: float
    p_value: float
    hac_p_value: float
    block_length: int


def sharpe_test(
    first: Any,
    second: Any,
    *,
    risk_free: float | pd.Series = 0.0,
    periods_per_year: float = 252,
    block_length: int | None = None,
    resamples: int = 4999,
    seed: int = 0,
) -> SharpeTest:
    r"""Test whether two strategies have the same Sharpe ratio, whatever their tails and dependence.

    With v the means of (x_1, x_2, x_1^2, x_2^2), x excess returns, and :math:`\Delta = f(v)` the difference of ratios,
    the standard error is :math:`\sqrt{\nabla f' \Psi \nabla f / T}`. ``hac_p_value`` takes :math:`\Psi` from the
    prewhitened quadratic-spectral kernel and compares with the normal distribution; ``p_value`` compares
    :math:`|\Delta| / s` with :math:`|\Delta^* - \Delta| / s^*` of the studentised circular block bootstrap, s* from the
    variance of block sums. The second holds its level better in short samples; believe it.

    Parameters
    ----------
    first, second : Series or arrays of shape (T,)
        Simple returns per period of the two strategies.
    risk_free : float or Series
        Annual rate, a fraction.
    periods_per_year : float
    block_length : int, optional
        Default: Politis and White's rule for the circular bootstrap on the influence of each date (needs arch).
    resamples : int
        At least 100.
    seed : int

    Returns
    -------
    SharpeTest

    Raises
    ------
    DataError, PortfolioError
        If returns or parameters cannot be used, the blocks are longer than a quarter of the dates, or either strategy
        never varies.

    Source: Ledoit and Wolf, *Robust performance hypothesis testing with the Sharpe ratio* (2008); the bandwidth by
    Andrews (1991) and the prewhitening by Andrews and Monahan (1992) are applied to the scalar
    :math:`\nabla f' y_t`.
    """
    samples, _ = read_samples({"first": first, "second": second})
    periods = positive("periods_per_year", periods_per_year)
    rates = period_rates(risk_free, samples.dates, periods)
    values, influence, undefined = statistic(samples, "sharpe", rates, periods)
    if undefined:
        raise PortfolioError(f"the {next(iter(undefined))} strategy never varies: it has no Sharpe ratio")
    difference, active = float(values[0] - values[1]), influence[:, 0] - influence[:, 1]
    dates = len(active)
    length = (
        block_length_of(active[:, None], "circular") if block_length is None else whole("block_length", block_length, 1)
    )
    if dates // length < 4:
        raise PortfolioError(f"block_length={length} leaves fewer than four blocks of {dates} dates; shorten it")
    error = math.sqrt(long_run_variance(active) / dates)
    if error < 1e-12:  # the same returns, or multiples of each other
        return SharpeTest(difference, error, 1.0, 1.0, length)
    excess = samples.values[0] - rates[:, None]
    drawn = _studentised(excess, length, whole("resamples", resamples, 100), seed)
    p = (1 + np.count_nonzero(drawn >= abs(difference) / error)) / (1 + resamples)
    return SharpeTest(difference, error, float(p), math.erfc(abs(difference) / error / math.sqrt(2)), length)


def _studentised(excess: FloatArray, length: int, resamples: int, seed: int) -> FloatArray:
    """|Delta* - Delta| / s* of the circular block bootstrap; it draws whole blocks, so their sums are enough."""
    dates, rng = len(excess), np.random.default_rng(whole("seed", seed))
    powers = np.hstack([excess, excess**2])
    running = np.vstack([np.zeros((1, 4)), np.cumsum(np.vstack([powers, powers[: length - 1]]), axis=0)])
    sums = running[length:] - running[:dates]  # of the block that starts at each date
    count = dates // length
    blocks = sums[rng.integers(0, dates, (resamples, count))]
    means = np.vstack([powers.mean(axis=0), blocks.sum(axis=1) / (count * length)])  # the first are the data's own
    mean, variance = means[:, :2], means[:, 2:] - means[:, :2] ** 2
    signs = np.array([1.0, -1.0])
    ratios = (mean / np.sqrt(variance)) @ signs
    means, mean, variance = means[1:], mean[1:], variance[1:]
    gradient = np.hstack([signs * means[:, 2:] / variance**1.5, -signs * mean / (2 * variance**1.5)])
    scores = ((blocks - length * means[:, None]) @ gradient[:, :, None])[..., 0] / math.sqrt(length)
    errors = np.sqrt((scores**2).mean(axis=1) / (count * length))
    return np.asarray(np.abs(ratios[1:] - ratios[0]) / errors)


def long_run_variance(series: FloatArray) -> float:
    r"""Variance of a mean times the number of dates, robust to heteroskedasticity and autocorrelation.

    Prewhitened by an AR(1) (coefficient at most .97 in size), quadratic-spectral kernel, Andrews' bandwidth
    :math:`1.3221 (\alpha T)^{1/5}` with :math:`\alpha = 4 \rho^2 / (1 - \rho)^4` of the residuals; times T / (T - 4).

    Source: Andrews and Monahan, *An improved heteroskedasticity and autocorrelation consistent covariance matrix
    estimator* (1992).
    """
    centred = series - series.mean()
    dates = len(centred)
    whitener = _autoregression(centred)
    residuals = centred[1:] - whitener * centred[:-1]
    rho = _autoregression(residuals)
    bandwidth = 1.3221 * (4 * rho**2 / (1 - rho) ** 4 * dates) ** 0.2
    full = np.correlate(residuals, residuals, "full")[len(residuals) - 1 :] / dates
    angle = 1.2 * np.pi * np.arange(1, len(full)) / max(bandwidth, 1e-9)
    kernel = 3 / angle**2 * (np.sin(angle) / angle - np.cos(angle))
    return float((full[0] + 2 * kernel @ full[1:]) / (1 - whitener) ** 2 * dates / (dates - 4))


def _autoregression(series: FloatArray) -> float:
    power = float(series[:-1] @ series[:-1])
    return min(max(float(series[1:] @ series[:-1]) / power, -0.97), 0.97) if power > 0 else 0.0


def superior_ability(
    returns: ReturnsLike, benchmark: Any, *, block_length: int | None = None, resamples: int = 2000, seed: int = 0
) -> pd.Series:
    """Hansen's test of superior predictive ability: whether *any* strategy grows faster than the benchmark.

    The loss of a date is ``-log(1 + r)``, the mean over the samples. A small p-value says that the best was not found
    by searching alone; it does not say which are good.

    Parameters
    ----------
    returns : DataFrame, dict, ndarray or list of frames
        See :func:`evidence`.
    benchmark : str or Series
    block_length : int, optional
        Of the stationary bootstrap. Default: Politis and White's rule.
    resamples, seed : int

    Returns
    -------
    Series
        p-values ``lower`` (liberal), ``consistent`` (Hansen's) and ``upper`` (conservative: White's reality check).

    Raises
    ------
    DataError, PortfolioError
        If returns or parameters cannot be used.
    OpesLikeError
        If the package arch is not installed.

    Source: Hansen, *A test for superior predictive ability* (2005); computed by ``arch.bootstrap.SPA``.
    """
    samples, base = read_samples(returns, benchmark)
    losses, length = _losses(samples, block_length, base)
    rivals = [k for k in range(losses.shape[1]) if np.ptp(losses[:, k] - losses[:, base]) > 1e-12]
    if not rivals:
        raise PortfolioError(f"no strategy differs from {samples.strategies[base]}, the benchmark")
    test = load_bootstrap().SPA(
        losses[:, base],
        losses[:, rivals],
        block_size=length,
        reps=whole("resamples", resamples, 100),
        bootstrap="stationary",
        seed=whole("seed", seed),
    )
    test.compute()
    return pd.Series(test.pvalues.to_numpy(), index=["lower", "consistent", "upper"], name="p_value")


class ConfidenceSet(NamedTuple):
    """Outcome of :func:`confidence_set`.

    ``strategies`` that may be the best; ``p_values`` of all (a Series, from the first thrown out to the last left);
    ``duplicates``, strategy -> the one of the same returns that was judged in its place.
    """

    strategies: list[str]
    p_values: pd.Series
    duplicates: dict[str, str]

    def __str__(self) -> str:
        text = f"Of {len(self.p_values)} strategies {', '.join(self.strategies)} may be the one that grows fastest."
        pairs = ", ".join(f"{name} (the same as {other})" for name, other in self.duplicates.items())
        return text + (f" Left out: {pairs}." if pairs else "")


def confidence_set(
    returns: ReturnsLike,
    *,
    confidence: float = 0.95,
    block_length: int | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> ConfidenceSet:
    """Model confidence set: the strategies among which the fastest growing one is, with the confidence given.

    The loss of a date is ``-log(1 + r)``, the mean over the samples. The worst is thrown out while a test of equal
    losses rejects. Strategies of identical returns, which the test cannot bear, are judged once and named.

    Parameters
    ----------
    returns : DataFrame, dict, ndarray or list of frames
        See :func:`evidence`.
    confidence : float
        The set holds the best with this probability; 0.9 or 0.75 are usual too.
    block_length : int, optional
        Of the stationary bootstrap. Default: Politis and White's rule.
    resamples, seed : int

    Returns
    -------
    ConfidenceSet

    Raises
    ------
    DataError, PortfolioError
        If returns or parameters cannot be used, or all strategies are the same.
    OpesLikeError
        If the package arch is not installed.

    Source: Hansen, Lunde and Nason, *The model confidence set* (2011); computed by ``arch.bootstrap.MCS``.
    """
    samples, _ = read_samples(returns)
    losses, length = _losses(samples, block_length)
    distinct: list[int] = []
    duplicates = {}
    for k, name in enumerate(samples.strategies):
        twin = next((other for other in distinct if np.ptp(losses[:, k] - losses[:, other]) <= 1e-12), None)
        if twin is None:
            distinct.append(k)
        else:
            duplicates[name] = samples.strategies[twin]
    if len(distinct) < 2:
        raise PortfolioError("all strategies have the same returns: there is nothing to choose between")
    frame = pd.DataFrame(losses[:, distinct], columns=[samples.strategies[k] for k in distinct])
    size = 1 - share_of("confidence", confidence)
    reps = whole("resamples", resamples, 100)
    test = load_bootstrap().MCS(
        frame, size, reps=reps, block_size=length, bootstrap="stationary", seed=whole("seed", seed)
    )
    test.compute()
    p_values = test.pvalues["Pvalue"].rename("p_value").rename_axis("strategy")
    return ConfidenceSet([name for name in map(str, frame) if name in test.included], p_values, duplicates)


def _losses(samples: Samples, block_length: int | None, base: int = 0) -> tuple[FloatArray, int]:
    """Mean loss of each date over the samples, and the block length by the rule unless given."""
    values, influence, undefined = statistic(samples, "growth", np.zeros(len(samples.dates)), 1.0)
    if undefined:
        name, why = next(iter(undefined.items()))
        raise PortfolioError(f"{name} {why}: its growth is minus infinity; leave it out")
    if block_length is not None:
        return -(influence + values), whole("block_length", block_length, 1)
    others = np.delete(influence, base, axis=1) - influence[:, [base]]
    return -(influence + values), block_length_of(others)
