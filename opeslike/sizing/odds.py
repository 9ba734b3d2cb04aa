"""Odds of ever losing a given part of the starting wealth at a multiple of Kelly."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias, get_args

import numpy as np

from opeslike import checks
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray
from opeslike.sizing.bootstrap import bootstrap_indices
from opeslike.sizing.empirical import kelly_empirical
from opeslike.sizing.reading import Outcomes, read_outcomes

Method: TypeAlias = Literal["closed-form", "simulation", "bootstrap"]

_NUMBERS = 1 << 21  # random numbers held at a time
_LONGEST = 10_000_000  # periods of one path, which has to fit in memory


def drawdown_odds(
    kelly_multiple: float,
    level: float,
    *,
    method: Method = "closed-form",
    years: float | None = None,
    annual_sharpe: float | None = None,
    returns: Outcomes | None = None,
    risk_free: float = 0.0,
    periods_per_year: float = 252,
    n_paths: int = 10_000,
    block: float | None = None,
    seed: int | np.random.Generator | None = 100,
) -> float:
    r"""Probability that wealth, discounted at the risk-free rate, ever falls to ``level``.

    Closed form, holding ``c`` times the Kelly leverage for ever in the continuous model:

    .. math:: P = x^{2/c - 1} \quad (0 < c < 2), \qquad P = 1 \quad (c \ge 2)

    Parameters
    ----------
    kelly_multiple : float
        c > 0: 1 is full Kelly, 0.5 half Kelly.
    level : float
        x in (0, 1]: fraction of the *starting* wealth (not of a later peak); 0.5 asks for the odds
        of ever having lost half.
    method : {"closed-form", "simulation", "bootstrap"}
        ``"closed-form"``: the formula; with ``years`` (and ``annual_sharpe``) the exact odds of the
        continuous model within that time. ``"simulation"``: Monte Carlo of that model, looked at
        only once a period, which sees fewer lows. ``"bootstrap"``: paths resampled from
        ``returns`` at ``kelly_multiple`` times their empirical Kelly leverage.
    years : float, optional
        Horizon, > 0. None is for ever in the closed form and 10 elsewhere.
    annual_sharpe : float, optional
        Sharpe ratio of the asset per year, > 0, for a finite horizon of the continuous model: it
        sets the speed. Needed for ``"simulation"``.
    returns : Series or array_like, shape (T,), optional
        Simple returns per period; needed for ``"bootstrap"``.
    risk_free : float
        Annual rate, for ``"bootstrap"``.
    periods_per_year : float
        Periods in a year, for the two sampling methods.
    n_paths : int
        Paths; the standard error is sqrt(P (1 - P) / n_paths).
    block : float, optional
        Mean block length of the stationary bootstrap; None draws periods independently.
    seed : int or numpy.random.Generator, optional
        For the two sampling methods.

    Returns
    -------
    float
        Probability in [0, 1].

    Raises
    ------
    PortfolioError
        A parameter out of range or missing for the method.
    DataError
        Returns that cannot be used or have no empirical optimum.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006, section 7. For a finite horizon: the first
    passage of Brownian motion with drift, J. M. Harrison, Brownian Motion and Stochastic Flow
    Systems, Wiley, 1985, section 1.8.

    Examples
    --------
    >>> round(drawdown_odds(1.0, 0.8), 12)  # full Kelly: an 80% chance of a 20% loss some day
    0.8
    """
    multiple = checks.positive("kelly_multiple", kelly_multiple)
    level = checks.number("level", level, low=0.0, high=1.0, open_low=True)
    checks.choice("method", method, get_args(Method), exact=True)
    if method == "closed-form" and years is None:
        return 1.0 if multiple >= 2.0 else math.pow(level, 2.0 / multiple - 1.0)
    horizon = checks.positive("years", 10.0 if years is None else years)
    per_year = checks.positive("periods_per_year", periods_per_year)
    periods = 1 if horizon * per_year < 1.0 else math.ceil(min(horizon * per_year, 2.0 * _LONGEST) - 1e-9)
    if method != "closed-form" and periods > _LONGEST:
        raise PortfolioError(f"years={horizon:g} must be at most {_LONGEST:,} periods; use method='closed-form'")
    paths = checks.whole("n_paths", n_paths, low=1)
    generator = checks.generator(seed)
    if method == "bootstrap":
        if returns is None:
            raise PortfolioError("method='bootstrap' needs returns")
        values = read_outcomes(returns, "returns")
        logs = _discounted_logs(multiple, values, risk_free, per_year)
        rows = partial(bootstrap_indices, len(logs), block=block, seed=generator, length=periods)
        return _share_below(lambda count: logs[rows(count)], level, periods, paths)
    if annual_sharpe is None:
        raise PortfolioError("a finite horizon of the continuous model needs annual_sharpe")
    sharpe = checks.positive("annual_sharpe", annual_sharpe)
    if method == "closed-form":
        return _first_passage(multiple, level, sharpe * sharpe * horizon)
    # With c times Kelly, log wealth moves by (c - c^2 / 2) s^2 dt + c s dW, s the Sharpe ratio.
    clock = sharpe * sharpe / per_year
    drift, spread = (multiple - 0.5 * multiple**2) * clock, multiple * math.sqrt(clock)
    drawn = generator.standard_normal
    return _share_below(lambda count: drift + spread * drawn((count, periods)), level, periods, paths)


def _first_passage(multiple: float, level: float, clock: float) -> float:
    """Odds that the continuous model touches the level before ``clock`` = sharpe^2 x years."""
    from scipy.special import ndtr

    barrier, drift = math.log(level), (multiple - 0.5 * multiple**2) * clock
    spread = multiple * math.sqrt(clock)
    ended = ndtr((barrier - drift) / spread)
    returned = math.pow(level, 2.0 / multiple - 1.0) * ndtr((barrier + drift) / spread)
    return min(1.0, float(ended + returned))


def _discounted_logs(multiple: float, values: FloatArray, risk_free: float, periods_per_year: float) -> FloatArray:
    """Log of each period's wealth factor over that of cash, -inf where the period is ruinous."""
    rate = checks.per_period(risk_free, periods_per_year)
    leverage = multiple * float(kelly_empirical(values, risk_free, periods_per_year))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.maximum(1.0 + leverage * (values - rate) / (1.0 + rate), 0.0)))


def _share_below(draw: Callable[[int], FloatArray], level: float, periods: int, paths: int) -> float:
    """Share of paths whose cumulated log factors touch log(level); the start counts as well."""
    batch = max(1, _NUMBERS // periods)
    barrier, below = math.log(level), 0
    for begin in range(0, paths, batch):
        wealth = np.cumsum(draw(min(batch, paths - begin)), axis=1)
        below += int(np.count_nonzero(np.minimum(wealth.min(axis=1), 0.0) <= barrier))
    return below / paths
