"""Money paid into an account and taken out of it, and the return that its owner had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from opeslike.accounting.schedule import calendar
from opeslike.errors import DataError, PortfolioError, logger
from opeslike.market import FloatArray, describe, listing
from opeslike.parameters import Finite, Parameters, Rate


@dataclass(frozen=True, repr=False)
class Monthly(Parameters):
    """The same amount at the end of every month, which may grow with prices.

    It enters at the last close of each month after P_0; that of month k = 0, 1, ... is
    ``amount * (1 + inflation) ** (k / 12)``.

    Parameters
    ----------
    amount : float
        In the account's money; below 0 it is taken out.
    inflation : float
        Annual rate above -1.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    Examples
    --------
    >>> closes = pd.bdate_range("2024-01-15", "2024-03-29")
    >>> money = flows_at(Monthly(-2_000, inflation=0.03), closes)
    >>> [f"{date:%d %b} {paid:,.2f}" for date, paid in zip(closes, money) if paid]
    ['31 Jan -2,000.00', '29 Feb -2,004.93']
    """

    amount: Finite
    inflation: Rate = 0.0


#: Money by date, or a :class:`Monthly`.
Flows: TypeAlias = "pd.Series | Monthly"


def check_flows(flows: Any) -> None:
    """Check that flows are numbers by date, or made by a class of this module.

    Raises
    ------
    PortfolioError
    DataError
        Naming the first date whose flow is no finite number.
    """
    if isinstance(flows, Monthly):
        return
    if not isinstance(flows, pd.Series) or not pd.api.types.is_numeric_dtype(flows.dtype):
        raise PortfolioError(f"flows must be a Series of money by date, or Monthly(amount), got {type(flows).__name__}")
    bad = flows[~np.isfinite(flows)]
    if len(bad):
        raise DataError(f"flows: {bad.iloc[0]} on {describe(bad.index[0])} is no amount of money")


def flows_at(flows: Flows, closes: pd.Index) -> FloatArray:
    """What is paid in at P_0..P_H, shape (H + 1,), below 0 what is taken out; nothing at P_0.

    What is dated between two closes enters at the later one. What is dated on or before P_0, whose money is the initial
    capital, or after P_H is left out, and the log tells.

    Raises
    ------
    PortfolioError
        If a calendar is asked for and the data have no dates.
    DataError
        If the dates cannot be compared with those of the closes.
    """
    money = np.zeros(len(closes))
    if isinstance(flows, Monthly):
        places = calendar("flows", "ME", closes)
        places = places[places > 0]
        money[places] = flows.amount * (1.0 + flows.inflation) ** (np.arange(len(places)) / 12)
        return money
    try:
        places = closes.searchsorted(flows.index, side="left")
    except (TypeError, ValueError) as error:
        raise DataError(
            f"flows are dated by {flows.index.dtype}, the prices by {closes.dtype}; index both by date: {error}"
        ) from error
    outside = (places == 0) | (places == len(closes))
    if outside.any():
        late = listing([describe(date) for date in flows.index[outside]])
        logger.warning("flows on or before %s or after %s left out: %s", *map(describe, closes[[0, -1]]), late)
    np.add.at(money, places[~outside], flows.to_numpy(np.float64)[~outside])
    return money


def told(flows: Flows) -> str:
    """Flows as the settings hold them."""
    if not isinstance(flows, pd.Series):
        return repr(flows)
    return f"{len(flows)} flows, {flows[flows > 0].sum():,.2f} paid in, {-flows[flows < 0].sum():,.2f} taken out"


def money_weighted(wealth: FloatArray, flows: FloatArray, periods_per_year: float) -> float | None:
    r"""Annual money-weighted return, the internal rate of return.

    It is the :math:`\rho` above -1 with

    .. math:: W_0 + \sum_t F_t (1 + \rho)^{-t/n} = W_H (1 + \rho)^{-H/n},

    n the periods a year; without flows the annual (time-weighted) return. Where money goes both ways there may be
    several: it is then one near that return. The root by SciPy's ``brentq``.

    Parameters
    ----------
    wealth, flows : ndarray of shape (H + 1,)
        Money at P_0..P_H after the flow there, and what was paid in.
    periods_per_year : float

    Returns
    -------
    float or None
        -1 where all was lost and nothing taken out; None where no rate solves the equation, which takes a loss of
        everything after money went both ways.
    """
    from scipy.optimize import brentq

    years = np.arange(len(wealth)) / periods_per_year
    paid = flows.copy()
    paid[0] += wealth[0]
    paid[-1] -= wealth[-1]
    if not (paid < 0).any():
        return -1.0

    def present(log_rate: float) -> float:
        return float(paid @ np.exp(-log_rate * years))

    before = wealth[1:] - flows[1:]
    centre = float(np.log(before / wealth[:-1]).sum() / years[-1]) if (before > 0).all() else 0.0
    width = 0.01
    while present(centre - width) * present(centre + width) > 0:
        width *= 2.0
        if (abs(centre) + width) * years[-1] > 700.0:
            return None
    root = brentq(present, centre - width, centre + width, xtol=1e-15, rtol=1e-15)
    return math.expm1(root) if root < 709.0 else math.inf
