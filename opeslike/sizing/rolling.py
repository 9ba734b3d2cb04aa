"""Kelly factors through time, each from the past alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.errors import DataError, PortfolioError
from opeslike.sizing._inputs import (
    ROUNDING,
    FloatArray,
    Outcomes,
    Table,
    check_count,
    check_flag,
    check_index,
    check_number,
    label,
    logger,
    per_period_rate,
    read_table,
)
from opeslike.sizing._joint import FactorSettings, carry_forward, joint_factors, no_variance

_CHUNK = 8  # assets at a time: the temporaries of one chunk then fit the processor's cache


@overload
def kelly_factor(
    returns: pd.DataFrame,
    window: int = ...,
    expanding: bool = ...,
    min_periods: int | None = ...,
    risk_free: float = ...,
    max_leverage: float | None = ...,
    allow_short: bool = ...,
    use_log: bool = ...,
    joint: bool = ...,
    periods_per_year: float = ...,
) -> pd.DataFrame: ...
@overload
def kelly_factor(
    returns: Outcomes,
    window: int = ...,
    expanding: bool = ...,
    min_periods: int | None = ...,
    risk_free: float = ...,
    max_leverage: float | None = ...,
    allow_short: bool = ...,
    use_log: bool = ...,
    joint: bool = ...,
    periods_per_year: float = ...,
) -> pd.Series[float]: ...


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
) -> pd.Series[float] | pd.DataFrame:
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
    for parameter, flag in flags.items():
        check_flag(parameter, flag)
    single = np.ndim(returns) < 2
    frame = _as_frame(returns)
    values, index, columns = read_table(frame)
    check_index(index, "returns")
    _refuse_prices(values, columns)
    window = check_count("window", window, low=2)
    least = 2
    if joint and not single:
        least = values.shape[1] + 1
        if not expanding and window < least:
            raise PortfolioError(
                f"window must exceed the number of assets ({values.shape[1]}) for a joint factor, got {window}"
            )
    default = least if expanding else window
    wanted = default if min_periods is None else check_count("min_periods", min_periods, low=least)
    if not expanding and wanted > window:
        raise PortfolioError(f"min_periods must be at most the window ({window}), got {wanted}")
    cap = None
    if max_leverage is not None:
        cap = check_number("max_leverage", max_leverage, low=0.0, open_low=True)
    settings = FactorSettings(
        window=None if expanding else window,
        min_periods=wanted,
        rate=per_period_rate(risk_free, periods_per_year),
        cap=cap,
        allow_short=allow_short,
    )
    if use_log:
        values = _log_returns(values, index, columns)
    if joint and not single:
        factors = joint_factors(values, index, columns, settings)
    else:
        factors = _each(values, index, columns, settings)
    if single:
        name = returns.name if isinstance(returns, pd.Series) else None
        return pd.Series(factors[:, 0], index=index, name=name)
    return pd.DataFrame(factors, index=index, columns=columns, copy=False)


def _as_frame(returns: Outcomes | Table) -> pd.DataFrame:
    if isinstance(returns, pd.DataFrame):
        return returns
    if isinstance(returns, pd.Series):
        return returns.to_frame(name="returns" if returns.name is None else returns.name)
    if np.ndim(returns) not in (1, 2):
        raise DataError(f"returns: one or two dimensions are needed, got {np.ndim(returns)}")
    return pd.DataFrame(np.asarray(returns))


def _refuse_prices(values: FloatArray, columns: pd.Index) -> None:
    """No asset returns more than half its price in every period: such numbers are prices."""
    lowest = np.fmin.reduce(values, axis=0)
    if len(values) >= 10 and (lowest > 0.5).any():
        name = columns[int(np.argmax(lowest > 0.5))]
        raise DataError(
            f"returns: no value of {name!r} is below 0.5, so these look like prices; pass their pct_change()"
        )


def _log_returns(values: FloatArray, index: pd.Index, columns: pd.Index) -> FloatArray:
    bad = values <= -1.0
    if bad.any():
        row, column = (int(found[0]) for found in np.nonzero(bad))
        raise DataError(
            f"returns: {columns[column]!r} loses everything at {label(index, row)}, which has no "
            "logarithm; use use_log=False or repair the price"
        )
    return np.log1p(values)


def _each(values: FloatArray, index: pd.Index, columns: pd.Index, settings: FactorSettings) -> FloatArray:
    """Factors of each column on its own, (T, N)."""
    rows, count = values.shape
    out = np.empty((count, rows))
    missing = np.isnan(values).T
    for members, gone in _same_gaps(missing):
        start = int(np.argmin(gone)) if not gone.all() else rows  # listed from here on
        present = ~gone[start:]
        inner = int(np.count_nonzero(~present))
        if inner:
            names = [str(columns[j]) for j in members]
            logger.info("kelly_factor: %d dates without a return of %s", inner, names)
        dates = index[start:][present] if inner else index[start:]
        out[members, :start] = np.nan
        for begin in range(0, len(members), _CHUNK):
            chunk = members[begin : begin + _CHUNK]
            block = values.T[chunk, start:]
            factors = _factors(block[:, present] if inner else block, dates, columns[chunk], settings)
            out[chunk, start:] = carry_forward(factors, present) if inner else factors
    return out.T


def _same_gaps(missing: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Group the columns that lack the same rows, so that each group is one vectorised job."""
    groups: dict[bytes, list[int]] = {}
    for column, key in enumerate(np.packbits(missing, axis=1)):
        groups.setdefault(key.tobytes(), []).append(column)
    for members in groups.values():
        yield np.array(members, dtype=np.intp), missing[members[0]]


def _factors(block: FloatArray, index: pd.Index, names: pd.Index, settings: FactorSettings) -> FloatArray:
    """Factors of a complete block of assets, (m, T)."""
    size = block.shape[1]
    out = np.full(block.shape, np.nan)
    first = settings.min_periods - 1
    if size <= first:
        return out
    window = size if settings.window is None else min(settings.window, size)
    mean, variance = _moments(block, window)
    mean, variance = mean[:, first:], variance[:, first:]
    excess = mean - settings.rate
    constant = np.zeros(0, dtype=np.bool_)
    if variance.min() <= (ROUNDING * (1.0 + float(np.abs(mean).max()))) ** 2:
        constant = variance <= (ROUNDING * (1.0 + np.abs(mean))) ** 2
        excess[constant & (np.abs(excess) <= ROUNDING * (1.0 + np.abs(mean)))] = 0.0
        variance[constant] = 1.0
    factor = np.divide(excess, variance, out=excess)
    if not settings.allow_short:
        np.maximum(factor, 0.0, out=factor)
    if constant.any():
        unbounded = constant & (factor != 0)
        if settings.cap is None and unbounded.any():
            row = int(np.flatnonzero(unbounded.any(axis=0))[0])
            asset = int(np.flatnonzero(unbounded[:, row])[0])
            raise DataError(no_variance(names[asset], label(index, row + first)))
        factor[unbounded] = np.sign(factor[unbounded]) * math.inf  # cut by the cap below
    if settings.cap is not None:
        np.clip(factor, -settings.cap, settings.cap, out=factor)
    out[:, first:] = factor
    return out


def _moments(block: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Mean and variance (ddof=1) of the last ``window`` values, or of all where there are fewer.

    The rows are cut into blocks of one window. Every full window then is the tail of one block and
    the head of the next, and holds that block's first value c. Both parts are cumulative sums of
    x - c: nothing is subtracted that was added before. As c is in the window, the sum of squares
    about c is at most n + 1 times that about the mean, so the cancellation is bounded.
    """
    assets, size = block.shape
    blocks = -(-size // window)
    padded = np.zeros((assets, blocks * window))
    padded[:, :size] = block
    cut = padded.reshape(assets, blocks, window)
    centre = cut[:, :, :1]
    head = cut - centre
    sums = np.cumsum(head, axis=2)
    squares = np.cumsum(np.square(head, out=head), axis=2)
    if blocks > 1:
        tail = cut[:, :-1, :0:-1] - centre[:, 1:]
        sums[:, 1:, :-1] += np.cumsum(tail, axis=2)[:, :, ::-1]
        squares[:, 1:, :-1] += np.cumsum(np.square(tail, out=tail), axis=2)[:, :, ::-1]
    number = np.minimum(np.arange(1.0, blocks * window + 1.0), window).reshape(blocks, window)
    sums /= number
    squares -= sums * sums * number
    squares /= np.maximum(number - 1.0, 1.0)
    sums += centre
    flat = (assets, blocks * window)
    return sums.reshape(flat)[:, :size], squares.reshape(flat)[:, :size]
