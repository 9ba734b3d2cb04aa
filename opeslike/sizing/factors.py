"""Kelly factors through time, each from the past alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike import checks
from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray, Panel, drop_missing
from opeslike.sizing.reading import ROUNDING, Outcomes, Table, logger, read_table, refuse

_BATCH = 1 << 18  # numbers at a time: the temporaries of one batch then fit the processor's cache
_COLLINEAR = 1e-6  # standard deviation of an asset that the others leave, relative to its own


@dataclass(frozen=True)
class _Settings:
    """The checked parameters of a Kelly factor."""

    window: int | None  # None: expanding
    min_periods: int
    rate: float
    cap: float
    allow_short: bool


def kelly_factor(
    returns: Outcomes | Table,
    window: int = 252,
    expanding: bool = False,
    min_periods: int | None = None,
    risk_free: float = 0.0,
    max_leverage: float | None = None,
    allow_short: bool = False,
    use_log: bool = False,
    joint: bool = False,
    periods_per_year: float = 252,
) -> Any:
    r"""Kelly leverage at each date from the returns up to and including that date.

    .. math:: f_t = \frac{m_t - r}{s_t^2} \qquad\text{or, jointly,}\qquad
              f_t = S_t^{-1} (m_t - r)

    with :math:`m_t` and :math:`s_t^2` (:math:`S_t`) the sample mean and the sample variance
    (covariance) over the last ``window`` returns. The divisor is n - 1 (``ddof=1``).

    Parameters
    ----------
    returns : Series or array_like, shape (T,); DataFrame or ndarray, shape (T, N)
        Simple returns per period, dates increasing.
    window : int
        Returns per estimate, >= 2; with ``joint`` more than N. Not used when ``expanding``.
    expanding : bool
        Use all returns up to the date instead of the last ``window``.
    min_periods : int, optional
        Returns needed before the first factor. The window where omitted; for an expanding
        estimate 2 (``joint``: N + 1), which makes the first factors very noisy.
    risk_free : float
        Annual rate; per period (1 + annual)^(1 / periods_per_year) - 1.
    max_leverage : float, optional
        Bound on abs(f), > 0. With ``joint`` a bound on the gross, sum abs(f): beyond it the whole
        vector is scaled down, which is fractional Kelly in the same mix.
    allow_short : bool
        With False a negative factor is 0. With ``joint`` the optimum under f >= 0, exactly.
    use_log : bool
        Mean and variance of log(1 + r) instead of r. The mean of logs is lower by about half the
        variance, so the factor is lower by about 1/2.
    joint : bool
        One optimum over all assets instead of each on its own.
    periods_per_year : float
        Periods in a year, to convert ``risk_free``.

    Returns
    -------
    Series or DataFrame
        Leverage by date, in the shape of ``returns``. It is NaN until ``min_periods`` returns are
        known. Hold it from the next period on.

    Raises
    ------
    DataError
        Values that cannot be used (the message names asset and date); a variance of zero under
        a mean above the risk-free rate (or below, with shorts) while no ``max_leverage`` is
        given; with ``joint`` any asset without variance, or a covariance that is singular.
    PortfolioError
        A parameter out of range.

    Notes
    -----
    *Missing returns.* The window counts returns, not rows. A date without a return (NaN) keeps the
    factor of the date before; with ``joint`` a row with any NaN counts as missing. What is dropped
    is logged.

    *Zero variance* (up to the rounding of prices), for assets on their own: the factor is the limit
    of the formula. It is 0 where the mean equals the risk-free rate, or is below it and shorts are
    not allowed; otherwise it is ``max_leverage`` with the sign of the excess, or the DataError
    above. So a rule that was out of the market for a whole window gets 0 at zero rate.

    *Arithmetic.* Sums are taken within blocks of one window and around a value of that very
    window, and never updated by subtraction: a huge return leaves no trace once it has left the
    window, and the variance keeps its digits whatever the mean.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006, sections 7 and 8.
    """
    flags = {"expanding": expanding, "allow_short": allow_short, "use_log": use_log, "joint": joint}
    for name, value in flags.items():
        checks.flag(name, value)
    single = np.ndim(returns) < 2
    panel = read_table(returns)
    index = returns.index if isinstance(returns, (pd.Series, pd.DataFrame)) else panel.index
    _refuse_prices(panel)
    joint = joint and not single
    count = len(panel.assets)
    window = checks.whole("window", window, low=2)
    least = count + 1 if joint else 2
    if not expanding and window < least:
        raise PortfolioError(f"window must exceed the number of assets ({count}) for a joint factor, got {window}")
    wanted = least if expanding else window
    if min_periods is not None:
        wanted = checks.whole("min_periods", min_periods, low=least)
    if not expanding and wanted > window:
        raise PortfolioError(f"min_periods must be at most the window ({window}), got {wanted}")
    rate = checks.per_period(risk_free, periods_per_year)
    cap = math.inf if max_leverage is None else checks.positive("max_leverage", max_leverage)
    settings = _Settings(None if expanding else window, wanted, rate, cap, allow_short)
    if use_log:
        refuse(panel.values <= -1.0, panel, "loses everything at", "it has no logarithm: use_log=False, or repair it")
        panel = Panel(np.log1p(panel.values), panel.assets, panel.index)
    factors = _joint(panel, settings) if joint else _each(panel, settings)
    if single:
        return pd.Series(factors[:, 0], index=index, name=getattr(returns, "name", None))
    return pd.DataFrame(factors, index=index, columns=list(panel.assets), copy=False)


def _refuse_prices(panel: Panel) -> None:
    """No asset returns more than half its price in every period: such numbers are prices."""
    high = np.fmin.reduce(panel.values, axis=0) > 0.5
    if len(panel.values) >= 10 and high.any():
        name = panel.assets[int(high.argmax())]
        told = f"returns: no value of {name!r} is below 0.5, so these look like prices"
        raise DataError(f"{told}; pass their pct_change()")


def _no_variance(name: object, date: str) -> DataError:
    advice = "set max_leverage, use a longer window, or drop it"
    return DataError(f"returns: {name!r} has no variance in the window to {date}, so no Kelly factor; {advice}")


def _each(panel: Panel, settings: _Settings) -> FloatArray:
    """Factors of each asset on its own, (T, N)."""
    out = np.full(panel.values.shape[::-1], np.nan)
    gaps: dict[str, int] = {}
    first = settings.min_periods - 1
    for own, series, name in zip(out, np.ascontiguousarray(panel.values.T), panel.assets, strict=True):
        rows = np.flatnonzero(~np.isnan(series))
        if len(rows) <= first:
            continue
        mean, variance = _moments(series[rows], settings.window or len(rows))
        factors = bounded_factor(mean[first:], variance[first:], settings.rate, settings.cap, settings.allow_short)
        unbounded = np.isinf(factors)
        if unbounded.any():
            raise _no_variance(name, panel.date(int(rows[first + unbounded.argmax()])))
        _stand(own, rows[first:], factors)
        if missing := len(series) - int(rows[0]) - len(rows):
            gaps[str(name)] = missing
    if gaps:
        logger.info("kelly_factor: dates without a return: %s", gaps)
    return out.T


def _stand(out: FloatArray, rows: np.ndarray, factors: FloatArray) -> None:
    """Write the factors of these rows, each kept until the next."""
    out[rows[0] :] = np.repeat(factors, np.diff(rows, append=len(out)), axis=0)


def bounded_factor(mean: FloatArray, variance: FloatArray, rate: float, cap: float, allow_short: bool) -> FloatArray:
    """``(mean - rate) / variance`` within its bounds; infinite where there is no variance and no cap."""
    rounding = ROUNDING * (1.0 + np.abs(mean))
    excess = mean - rate
    constant = variance <= rounding * rounding
    if constant.any():
        excess[constant & (np.abs(excess) <= rounding)] = 0.0
        variance = np.where(constant, excess == 0.0, variance)
    with np.errstate(divide="ignore"):
        factor = excess / variance
    if not allow_short:
        np.maximum(factor, 0.0, out=factor)
    return factor if math.isinf(cap) else np.clip(factor, -cap, cap, out=factor)


def _moments(series: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Mean and variance (ddof=1) of the last ``window`` values, or of all where there are fewer.

    The rows are cut into blocks of one window. Every full window then is the tail of one block and
    the head of the next, and holds that block's first value c. Both parts are cumulative sums of
    x - c: nothing is subtracted that was added before. As c is in the window, the sum of squares
    about c is at most n + 1 times that about the mean, so the cancellation is bounded.
    """
    size = len(series)
    window = min(window, size)
    blocks = -(-size // window)
    padded = np.zeros(blocks * window)
    padded[:size] = series
    cut = padded.reshape(blocks, window)
    centre = cut[:, :1]
    head = cut - centre
    sums = np.cumsum(head, axis=1)
    squares = np.cumsum(np.square(head, out=head), axis=1)
    if blocks > 1:
        tail = cut[:-1, :0:-1] - centre[1:]
        sums[1:, :-1] += np.cumsum(tail, axis=1)[:, ::-1]
        squares[1:, :-1] += np.cumsum(np.square(tail, out=tail), axis=1)[:, ::-1]
    number = np.minimum(np.arange(1.0, blocks * window + 1.0), window).reshape(blocks, window)
    sums /= number
    squares -= sums * sums * number
    squares /= np.maximum(number - 1.0, 1.0)
    sums += centre
    return sums.ravel()[:size], squares.ravel()[:size]


def _joint(panel: Panel, settings: _Settings) -> FloatArray:
    """Joint factors by date, (T, N)."""
    rows = np.flatnonzero(~np.isnan(panel.values).any(axis=1))
    known = drop_missing(panel, "kelly_factor")
    out = np.full(panel.values.shape, np.nan)
    found = [_joint_factors(*moments, known, settings) for moments in _joint_moments(known.values, settings)]
    if found:
        _stand(out, rows[settings.min_periods - 1 :], np.concatenate(found))
    return out


def _joint_moments(values: FloatArray, settings: _Settings) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """First row, means (B, N) and covariances (B, N, N; ddof=1) of batches of windows."""
    rows, count = values.shape
    first = settings.min_periods - 1
    window = rows if settings.window is None else min(settings.window, rows)
    # While windows still grow: add the cross products of a batch about the mean before it.
    mean, scatter = values[0], np.zeros((count, count))
    batch = max(1, _BATCH // count**2)
    growing = window if settings.window is None else window - 1
    for begin in range(0, growing if first < growing else 0, batch):
        end = min(begin + batch, growing)
        step = values[begin:end] - mean
        sums = np.cumsum(step, axis=0)
        products = np.cumsum(step[:, :, None] * step[:, None, :], axis=0)
        number = np.arange(begin + 1.0, end + 1.0)[:, None]
        means = mean + sums / number
        scatters = scatter + products - sums[:, :, None] * (sums / number)[:, None, :]
        mean, scatter = means[-1], scatters[-1]
        skip = max(0, first - begin)
        if skip < end - begin:
            yield begin + skip, means[skip:], scatters[skip:] / (number[skip:, :, None] - 1.0)
    if growing == rows or first >= rows:
        return
    windows = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)
    batch = max(1, _BATCH // (count * window))
    for begin in range(0, len(windows), batch):
        part = windows[begin : begin + batch]
        means = part.mean(axis=2)
        about = part - means[:, :, None]
        yield begin + window - 1, means, about @ about.transpose(0, 2, 1) / (window - 1.0)


def _joint_factors(
    begin: int, means: FloatArray, covariances: FloatArray, known: Panel, settings: _Settings
) -> FloatArray:
    """Factors of a batch of dates from row ``begin`` on, (B, N)."""
    scale = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    still = scale <= ROUNDING * (1.0 + np.abs(means))
    if still.any():
        row, asset = np.argwhere(still)[0]
        raise _no_variance(known.assets[asset], known.date(begin + int(row)))
    correlation = covariances / (scale[:, :, None] * scale[:, None, :])
    try:
        roots = np.linalg.cholesky(correlation)
        # The square of a diagonal entry is the share of an asset's variance that those before it do not explain.
        own = np.diagonal(roots, axis1=1, axis2=2).min(axis=1)
    except np.linalg.LinAlgError:
        own = np.sqrt(np.maximum(np.linalg.eigvalsh(correlation)[:, 0], 0.0))
    if own.min() < _COLLINEAR:
        names, date = [str(asset) for asset in known.assets], known.date(begin + int(np.argmax(own < _COLLINEAR)))
        advice = "drop the asset that the others determine, or use a longer window"
        raise DataError(f"returns: the covariance of {names} in the window to {date} is singular; {advice}")
    half = np.linalg.solve(roots, ((means - settings.rate) / scale)[:, :, None])
    leverage = np.linalg.solve(roots.transpose(0, 2, 1), half)[:, :, 0]
    if not settings.allow_short:
        from scipy.optimize import nnls

        for row in np.flatnonzero((leverage < 0).any(axis=1)):
            # max f'm - f'Cf / 2 over f >= 0 with C = L L' is min |L'f - L^-1 m| over f >= 0
            leverage[row] = nnls(roots[row].T, half[row, :, 0])[0]
    leverage /= scale
    if math.isfinite(settings.cap):
        leverage *= settings.cap / np.maximum(np.abs(leverage).sum(axis=1, keepdims=True), settings.cap)
    return np.asarray(leverage)
