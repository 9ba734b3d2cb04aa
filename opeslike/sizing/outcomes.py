"""Sizing from a list of outcomes: Kelly by win rate, Vince's optimal f, and one outcome a trade."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opeslike import checks
from opeslike.errors import DataError
from opeslike.market import FloatArray, read_panel
from opeslike.sizing.empirical import maximize_log
from opeslike.sizing.formulas import kelly_binary, kelly_partial
from opeslike.sizing.reading import Outcomes, one_column, read_outcomes


@dataclass(frozen=True)
class OutcomeStatistics:
    """Win rate and average sizes of a list of outcomes.

    Attributes
    ----------
    p : float
        Share of gains among the outcomes that are not zero.
    win, loss : float
        Average gain and average loss (positive), in the unit of the outcomes; ``nan`` for a side
        that never occurred.
    n : int
        Number of outcomes that are not zero.
    """

    p: float
    win: float
    loss: float
    n: int


@dataclass(frozen=True)
class OptimalFSize:
    """Vince's optimal f and what follows from it.

    Attributes
    ----------
    f : float
        Fraction of wealth at risk in one outcome of the worst size, in [0, 1).
    log_twr : float
        Natural log of the terminal wealth relative (it does not overflow).
    worst : float
        Largest loss among the outcomes, positive.
    n : int
        Number of outcomes.
    expected_max_loss : float
        The loss, positive, for which the position is sized.
    """

    f: float
    log_twr: float
    worst: float
    n: int
    expected_max_loss: float

    @property
    def twr(self) -> float:
        """Terminal wealth relative prod(1 + f x / worst); ``inf`` beyond the float range."""
        return math.exp(self.log_twr) if self.log_twr < 709.0 else math.inf

    @property
    def geometric_mean(self) -> float:
        """Growth factor per outcome, twr^(1 / n)."""
        return math.exp(self.log_twr / self.n)

    @property
    def position(self) -> float:
        """Value to hold as a multiple of wealth, f / expected_max_loss."""
        return self.f / self.expected_max_loss

    leverage = position


def outcome_statistics(outcomes: Outcomes) -> OutcomeStatistics:
    """Win rate, average gain and average loss of a list of outcomes.

    Outcomes of exactly zero are left out: they change no wealth and so no optimum.

    Parameters
    ----------
    outcomes : Series or array_like, shape (T,)
        Period returns or one return a trade. NaN rows are dropped with a log message.

    Returns
    -------
    OutcomeStatistics

    Raises
    ------
    DataError
        Unusable values, or zeros only.
    """
    values = read_outcomes(outcomes)
    gains, losses = values[values > 0], values[values < 0]
    n = len(gains) + len(losses)
    if n == 0:
        raise DataError(f"outcomes: all {len(values)} are zero, so there is nothing to size")
    win, loss = (float(np.abs(part).mean()) if len(part) else math.nan for part in (gains, losses))
    return OutcomeStatistics(len(gains) / n, win, loss, n)


def kelly_from_outcomes(outcomes: Outcomes, *, allow_short: bool = True) -> float:
    r"""Kelly leverage from the win rate, the average gain and the average loss of the outcomes.

    .. math:: f = \frac{p}{\text{loss}} - \frac{1 - p}{\text{win}}

    This is :func:`kelly_partial` with estimated odds. It is a leverage in return units: the value
    to hold as a multiple of wealth. It is *not* the binary fraction p - (1 - p) loss / win, which
    is the average loss times this number.

    Parameters
    ----------
    outcomes : Series or array_like, shape (T,)
        Period returns or one return a trade, as fractions (0.02 is two percent).
    allow_short : bool
        With False a negative leverage becomes 0, also where no outcome is a gain.

    Returns
    -------
    float
        Signed leverage. At zero rate, outcomes times c give this divided by c.

    Raises
    ------
    DataError
        Unusable values, all zero, no loss, or no gain (while shorts are allowed).

    Notes
    -----
    Replacing gains and losses by their averages ignores how they spread, so the result exceeds the
    exact :func:`kelly_empirical` where single losses are large.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market", 2006.
    """
    stats = _with_losses(outcomes)
    if math.isnan(stats.win):
        if not allow_short:
            return 0.0
        raise DataError(f"outcomes: no gain among {stats.n}, so no short position is best; use allow_short=False")
    f = kelly_partial(stats.p, stats.win, stats.loss)
    return f if allow_short else max(0.0, f)


def kelly_binary_from_outcomes(outcomes: Outcomes) -> float:
    r"""Binary Kelly *risk fraction* max(0, p - (1 - p) / b), b the average gain over average loss.

    Parameters
    ----------
    outcomes : Series or array_like, shape (T,)
        Period returns or one return a trade.

    Returns
    -------
    float
        Fraction of wealth to put at risk, in [0, 1); divide it by the expected maximum loss for a
        leverage. It does not depend on the unit of the outcomes.

    Raises
    ------
    DataError
        Unusable values, all zero, or no loss.

    References
    ----------
    J. L. Kelly, "A new interpretation of information rate", Bell System Technical Journal 35, 1956.
    """
    stats = _with_losses(outcomes)
    return 0.0 if math.isnan(stats.win) else kelly_binary(stats.p, stats.win / stats.loss)


def optimal_f(outcomes: Outcomes, expected_max_loss: float | None = None) -> OptimalFSize:
    r"""Ralph Vince's optimal f.

    .. math:: f^* = \arg\max_{f \in [0, 1)}\ \mathrm{TWR}(f)
              = \prod_i \left(1 + f \frac{x_i}{|\min_j x_j|}\right)

    Parameters
    ----------
    outcomes : Series or array_like, shape (T,)
        Period returns, or one outcome a trade, in any unit.
    expected_max_loss : float, optional
        Loss to size the position for, in the unit of the outcomes; its sign is ignored. The
        largest loss among the outcomes where omitted.

    Returns
    -------
    OptimalFSize
        ``f`` is 0 where the mean outcome is not positive. ``position`` is f / expected_max_loss.

    Raises
    ------
    DataError
        Unusable values, or no loss among the outcomes (then no f is optimal).
    PortfolioError
        ``expected_max_loss`` zero or not finite.

    References
    ----------
    R. Vince, Portfolio Management Formulas, Wiley, 1990.

    Examples
    --------
    >>> best = optimal_f([2.0, -1.0])  # a coin that pays 2:1
    >>> best.f, round(best.geometric_mean, 5)
    (0.25, 1.06066)
    """
    values = read_outcomes(outcomes)
    worst = -float(values.min())
    if worst <= 0:
        raise DataError(_no_loss(len(values)))
    expected = expected_loss(expected_max_loss, values)
    f, log_twr = 0.0, 0.0
    if math.fsum(values) > 0:  # fsum: the sign of the mean must not hang on rounding
        scaled = values / worst
        f = max(0.0, maximize_log(scaled)[0])
        log_twr = float(np.log1p(f * scaled).sum())
    return OptimalFSize(f, log_twr, worst, len(values), expected)


def expected_loss(expected_max_loss: float | None, outcomes: FloatArray) -> float:
    """Loss per unit held, positive: what is expected at most, or the largest among the outcomes.

    Raises
    ------
    DataError
        If none is given and no outcome is a loss.
    PortfolioError
        If it is zero or not finite.
    """
    if expected_max_loss is not None:
        return checks.positive("expected_max_loss", abs(checks.finite("expected_max_loss", expected_max_loss)))
    worst = -float(outcomes.min())
    if worst <= 0:
        raise DataError("outcomes: no loss, so a risk fraction needs expected_max_loss")
    return worst


def trade_returns(positions: Outcomes | pd.DataFrame, returns: Outcomes | pd.DataFrame) -> pd.Series[float]:
    r"""One compounded outcome for each trade of a position series.

    A trade is a longest run of positions with the same sign; a switch from long to short closes
    one trade and opens the next. Its outcome is :math:`\prod_t (1 + p_t r_t) - 1`.

    Parameters
    ----------
    positions : Series, DataFrame of one column or array_like, shape (T,)
        Exposure held *while the return of the same row is earned* (lag a signal before passing
        it): 1 is fully long, -1 fully short, 0 out of the market. No NaN.
    returns : Series, DataFrame of one column or array_like, shape (T,)
        Simple returns per period. Two of them that are labelled must have the same index. NaN is allowed where the
        position is zero.

    Returns
    -------
    Series
        Outcomes by the date of the last period of each trade; a trade still open at the end is
        marked there. Empty where nothing was held.

    Raises
    ------
    DataError
        Unusable values, different lengths or dates, or a period that loses more than everything.
    """
    held, earned = one_column(positions, "positions"), one_column(returns, "returns")
    if held.values.shape != earned.values.shape:
        raise DataError(f"positions ({len(held.index)}) and returns ({len(earned.index)}) must be of one length")
    labelled = [data for data in (positions, returns) if isinstance(data, (pd.Series, pd.DataFrame))]
    if labelled and not labelled[0].index.equals(labelled[-1].index):
        raise DataError("positions and returns have different dates; reindex one like the other")
    dated = read_panel(pd.Series(held.values, labelled[0].index if labelled else held.index))
    side = np.sign(held.values)
    growth = 1.0 + held.values * np.where(side != 0, earned.values, 0.0)
    for bad, message in (
        (~np.isfinite(held.values), "positions: no finite value at {}; fill it with the position held, 0 for none"),
        (~np.isfinite(growth), "returns: no finite value at {}; it is needed while a position is on"),
        (growth < 0, "positions: position times return loses more than everything at {}; reduce the position"),
    ):
        if bad.any():
            raise DataError(message.format(dated.date(int(bad.argmax()))))
    starts = np.flatnonzero(np.r_[True, side[1:] != side[:-1]])
    ends = np.r_[starts[1:] - 1, len(side) - 1]
    traded = side[starts] != 0
    outcomes = np.multiply.reduceat(growth, starts)[traded] - 1.0
    return pd.Series(outcomes, index=dated.index[ends[traded]], name="outcome")


def _with_losses(outcomes: Outcomes) -> OutcomeStatistics:
    stats = outcome_statistics(outcomes)
    if math.isnan(stats.loss):
        raise DataError(_no_loss(stats.n))
    return stats


def _no_loss(n: int) -> str:
    return f"outcomes: no loss among {n}, so growth increases without limit; use more outcomes"
