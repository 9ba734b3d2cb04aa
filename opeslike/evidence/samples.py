"""Returns of strategies over one or many samples, and what each date adds to a statistic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.checks import positive, rate
from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray, describe

#: A frame (dates x strategies), a dict of name -> returns, an array of two or three dimensions, or a list of frames.
ReturnsLike: TypeAlias = (
    "pd.DataFrame | Mapping[str, pd.Series | FloatArray] | FloatArray | Sequence[pd.DataFrame | FloatArray] | Samples"
)

#: Fewer dates than this say nothing about what other dates might have brought.
FEWEST_DATES = 20


@dataclass(frozen=True, eq=False)
class Samples:
    """Returns of the same strategies over one or more samples (universes, windows, worlds).

    Attributes
    ----------
    strategies : tuple of str
    dates : Index
        Every date of any sample, in order.
    values : sequence of ndarray of shape (dates of the sample, strategies)
        May be read from a store one by one.
    rows : list of ndarray of int
        Where the dates of each sample stand in ``dates``.
    """

    strategies: tuple[str, ...]
    dates: pd.Index
    values: Sequence[FloatArray]
    rows: list[NDArray[np.intp]]

    def at_full_size(self, fractions: Mapping[str, float], rates: FloatArray) -> Samples:
        """Of those that hold a fraction f and cash, the returns over cash times 1/f; below -1 is ruin, -1."""
        sizes = np.array([fractions.get(name, 1.0) for name in self.strategies])
        return replace(self, values=_Scaled(self.values, self.rows, rates, 1.0 / sizes))

    def place(self, strategy: Any) -> int:
        """Column of a strategy.

        Raises
        ------
        PortfolioError
            If there is none of that name.
        """
        if str(strategy) not in self.strategies:
            raise PortfolioError(f"no strategy is called {strategy!r}; there are {', '.join(self.strategies)}")
        return self.strategies.index(str(strategy))


@dataclass(frozen=True, eq=False)
class _Scaled(Sequence[FloatArray]):
    """Values whose excess over cash is multiplied, when they are looked at."""

    values: Sequence[FloatArray]
    rows: list[NDArray[np.intp]]
    rates: FloatArray
    factors: FloatArray

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, number: Any) -> Any:
        cash = self.rates[self.rows[number], None]
        return np.maximum(cash + (self.values[number] - cash) * self.factors, -1.0)


def read_samples(returns: ReturnsLike, benchmark: Any = None) -> tuple[Samples, int]:
    """Check returns and find the benchmark among the strategies (0 for None), or join a Series of its returns to them.

    Raises
    ------
    DataError
        If the returns are not numbers, lack a date or a strategy, are below -1, or there are fewer than 20 dates.
    PortfolioError
        If no strategy has the benchmark's name.
    """
    if isinstance(returns, Samples):
        return returns, 0 if benchmark is None else returns.place(benchmark)
    try:
        if isinstance(returns, Mapping):
            returns = pd.DataFrame({str(name): values for name, values in returns.items()})
        if isinstance(returns, pd.DataFrame) or (isinstance(returns, np.ndarray) and returns.ndim < 3):
            returns = [returns]
        frames = [pd.DataFrame(sample).rename(columns=str) for sample in returns]
    except (TypeError, ValueError) as error:
        raise DataError(f"returns cannot be read as dates x strategies, or a list of such: {error}") from error
    if not frames:
        raise DataError("no sample given: pass a frame of returns, dates x strategies, or a list of frames")
    names = list(frames[0].columns)
    if isinstance(benchmark, pd.Series):
        label = "benchmark" if benchmark.name is None else str(benchmark.name)
        if label in names:
            raise PortfolioError(f"a strategy and the benchmark are both called {label!r}; rename one")
        frames = [frame.assign(**{label: benchmark.reindex(frame.index)}) for frame in frames]
        names, benchmark = [*names, label], label
    values = [_checked(frame, names, f"sample {i}: " if len(frames) > 1 else "") for i, frame in enumerate(frames)]
    dates = frames[0].index
    if not all(frame.index.equals(dates) for frame in frames):
        try:
            dates = dates.append([frame.index for frame in frames[1:]]).unique().sort_values()
        except TypeError as error:
            raise DataError(f"the dates of the samples cannot be put in one order: {error}") from error
    if len(dates) < FEWEST_DATES:
        raise DataError(f"{len(dates)} dates are too few to judge by; at least {FEWEST_DATES} are needed")
    samples = Samples(tuple(names), dates, values, [dates.get_indexer(frame.index) for frame in frames])
    return samples, 0 if benchmark is None else samples.place(benchmark)


def _checked(frame: pd.DataFrame, names: list[str], where: str) -> FloatArray:
    if not frame.columns.is_unique or set(frame.columns) != set(names):
        raise DataError(f"{where}strategies are {', '.join(frame.columns)}; each sample needs {', '.join(names)}, once")
    if len(frame) < 2:
        raise DataError(f"{where}one date is too little to judge by")
    if not frame.index.is_unique or not frame.index.is_monotonic_increasing:
        raise DataError(f"{where}dates repeat or are out of order; sort the frame by its index and keep one row a date")
    try:
        values = frame[names].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}returns are not numbers: {error}") from error
    bad = ~(np.isfinite(values) & (values >= -1.0))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"{where}{names[column]} on {describe(frame.index[row])}: {values[row, column]:g} is not a return of at "
            "least -1; all strategies need one for every date of the sample"
        )
    return values


def _growth(returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log1p(returns)
        return logs.mean(axis=0), logs - logs.mean(axis=0)


def _volatility(returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    scale = spread(returns)
    scores = (returns - returns.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    return scale, scale / 2 * (scores**2 - (scores**2).mean(axis=0))


def _sharpe(excess: FloatArray) -> tuple[FloatArray, FloatArray]:
    scale = np.where(spread(excess) > 0, spread(excess), np.nan)
    ratio, scores = excess.mean(axis=0) / scale, (excess - excess.mean(axis=0)) / scale
    return ratio, scores - ratio / 2 * (scores**2 - (scores**2).mean(axis=0))


class Statistic(NamedTuple):
    """How a statistic is computed and shown.

    ``function`` gives a sample's value per period and the influence of each date; ``periods_per_year ** power`` makes
    it annual; ``over_cash``: of returns over the risk-free rate.
    """

    function: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    power: float
    label: str
    percent: bool = True
    over_cash: bool = False

    @property
    def resolvable(self) -> bool:
        """Whether a percentage a year is added up by time, so that years resolve a difference in it."""
        return self.percent and self.power == 1.0


def _mean(returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    return returns.mean(axis=0), returns - returns.mean(axis=0)


STATISTICS = {
    "growth": Statistic(_growth, 1.0, "growth"),
    "sharpe": Statistic(_sharpe, 0.5, "the Sharpe ratio", percent=False, over_cash=True),
    "volatility": Statistic(_volatility, 0.5, "volatility"),
    "mean": Statistic(_mean, 1.0, "the mean return"),
}


def statistic(
    samples: Samples, name: str, rates: FloatArray, periods_per_year: float
) -> tuple[FloatArray, FloatArray, dict[str, str]]:
    r"""Annual statistic of each strategy, the mean over the samples, and the influence of each date on it.

    The statistic of a resample of dates is, to first order, its value plus the mean influence of the dates drawn (the
    delta method). With x the returns of a sample, z their scores, s their standard deviation and SR = mean(x - rf) / s:
    growth ``log(1 + x)`` and mean ``x``, both centred (exact); volatility ``s (z^2 - 1) / 2``; Sharpe
    ``z - SR (z^2 - 1) / 2``.

    Returns
    -------
    values : ndarray of shape (strategies,)
    influence : ndarray of shape (dates, strategies)
        Its mean over the dates is 0.
    undefined : dict
        Strategies that have no such statistic, and why.

    Source: Hampel, *The influence curve and its role in robust estimation* (1974).
    """
    kind, annual, count = STATISTICS[name], periods_per_year ** STATISTICS[name].power, len(samples.values)
    values, influence = np.zeros(len(samples.strategies)), np.zeros((len(samples.dates), len(samples.strategies)))
    undefined: dict[str, str] = {}
    for rows, returns in zip(samples.rows, samples.values, strict=True):
        value, each = kind.function(returns - rates[rows, None] if kind.over_cash else returns)
        for column in np.flatnonzero(~np.isfinite(value)):
            lost = np.flatnonzero(returns[:, column] <= -1.0)
            why = f"lost everything on {describe(samples.dates[rows[lost[0]]])}" if lost.size else "never varies"
            undefined.setdefault(samples.strategies[column], why)
        values += annual / count * value
        influence[rows] += annual / count * len(influence) / len(rows) * each
    return values, influence, undefined


def spread(values: FloatArray) -> FloatArray:
    """Standard deviation of each column, exactly 0 for a constant one."""
    return np.where(np.ptp(values, axis=0) > 0, values.std(axis=0, ddof=1), 0.0)


def period_rates(risk_free: float | pd.Series, dates: pd.Index, periods_per_year: float) -> FloatArray:
    """Rate per period at each date, ``(1 + annual) ** (1 / periods_per_year) - 1``, a dated rate carried forward.

    Raises
    ------
    DataError
        If a dated rate starts after the first date.
    PortfolioError
        If the rate is not a number above -1.
    """
    if isinstance(risk_free, pd.Series):
        annual = risk_free.dropna().sort_index().reindex(dates, method="ffill").to_numpy(np.float64)
        if np.isnan(annual).any():
            raise DataError(f"risk_free has no rate on or before {describe(dates[0])}; give rates from there on")
    else:
        annual = np.full(len(dates), rate("risk_free", risk_free))
    return np.asarray(np.expm1(np.log1p(annual) / periods_per_year))


def equal_exposure(
    returns: ReturnsLike,
    benchmark: Any,
    by: str = "volatility",
    *,
    risk_free: float | pd.Series = 0.0,
    periods_per_year: float = 252,
) -> list[pd.DataFrame]:
    r"""Returns scaled to the exposure of the benchmark, so that skill is judged apart from how much was held.

    In each sample strategy k is held c_k times, the rest in cash (or borrowed):

    .. math:: r'_t = f_t + c_k (r_t - f_t), \qquad c_k = \sigma_b / \sigma_k \quad\text{or}\quad c_k = 1 / \beta_k,

    where f is the risk-free rate per period and :math:`\beta_k` the slope of the strategy's excess returns on the
    benchmark's. A return that would fall below -1 is ruin, -1. Scaled by volatility, a mean difference is Modigliani's
    M2; half Kelly against cash is then Kelly again.

    Parameters
    ----------
    returns : frame, dict, array or list of frames
        See :func:`evidence`.
    benchmark : str or Series
    by : {"volatility", "beta"}
    risk_free : float or Series
        Annual rate, a fraction.
    periods_per_year : float

    Returns
    -------
    list of DataFrame
        One a sample; the benchmark itself is unchanged.

    Raises
    ------
    PortfolioError
        If ``by`` is unknown, or a strategy has no volatility or a beta that is not above 0.

    Source: Modigliani and Modigliani, *Risk-adjusted performance* (1997); Treynor, *How to rate management of
    investment funds* (1965), for beta.
    """
    if by not in ("volatility", "beta"):
        raise PortfolioError(f"exposure can be made equal by 'volatility' or 'beta', not {by!r}")
    samples, base = read_samples(returns, benchmark)
    rates = period_rates(risk_free, samples.dates, positive("periods_per_year", periods_per_year))
    scaled = []
    for rows, values in zip(samples.rows, samples.values, strict=True):
        cash = rates[rows, None]
        excess = values - cash
        deviations = spread(excess)
        against = deviations if by == "volatility" else np.cov(excess.T)[base] / deviations[base]
        flat = np.flatnonzero(~(against > 0))
        if flat.size:
            raise PortfolioError(
                f"{samples.strategies[flat[0]]} cannot be scaled by {by}: its {by} is not above 0; leave it out"
            )
        held = np.maximum(cash + excess * (deviations[base] / against), -1.0)
        scaled.append(pd.DataFrame(held, index=samples.dates[rows], columns=list(samples.strategies)))
    return scaled
