"""Cash and leverage in an objective: the parameters, checked and turned into rates per period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import PortfolioError
from opeslike.modelling.terms import Terms
from opeslike.objectives.parameters import finite, positive


@dataclass(frozen=True)
class Financing:
    """What money costs, per period, and how much of it may be used."""

    leverage: float | None = None
    cash_rate: float = 0.0
    borrow_rate: float = 0.0
    gross: float | None = None
    short_fee: float = 0.0


def terms_of(lower: NDArray[np.float64], upper: NDArray[np.float64], money: Financing | None = None) -> Terms:
    """Weight bounds and financing as terms."""
    money = Financing() if money is None else money
    return Terms(
        lower,
        upper,
        np.zeros((0, lower.size)),
        np.zeros(0),
        np.zeros(0),
        leverage=money.leverage,
        cash_rate=money.cash_rate,
        borrow_rate=money.borrow_rate,
        gross=money.gross,
        short_fee=money.short_fee,
    )


def financing_of(
    leverage: float | None = None,
    risk_free: float = 0.0,
    borrow_spread: float = 0.0,
    gross: float | None = None,
    short_fee: float = 0.0,
    periods_per_year: float = 252,
) -> Financing | None:
    """Read the leverage parameters of an objective.

    Parameters
    ----------
    leverage : float > 0, optional
        Largest sum of weights. What is not invested is cash and earns ``risk_free``; above 1 money is borrowed at
        ``risk_free + borrow_spread``. None is fully invested.
    risk_free, borrow_spread : float
        Annual rates; the spread is at least 0. Only with ``leverage``.
    gross : float > 0, optional
        Largest sum of absolute weights.
    short_fee : float >= 0
        Annual fee on short positions.
    periods_per_year : float > 0
        How annual rates become rates per period, ``(1 + rate)^(1 / periods_per_year) - 1``.

    Returns
    -------
    Financing or None
        None where everything is at its default.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or rates are given without ``leverage``.
    """
    periods = positive("periods_per_year", periods_per_year)
    rate, spread = finite("risk_free", risk_free), finite("borrow_spread", borrow_spread)
    fee = positive("short_fee", short_fee, zero=True)
    if rate <= -1:
        raise PortfolioError(f"risk_free={risk_free!r} must be above -1: it is an annual rate")
    if spread < 0:
        raise PortfolioError(
            f"borrow_spread={borrow_spread!r} must be >= 0: borrowing below the rate on cash would be a money machine"
        )
    if leverage is None and (rate != 0 or spread != 0):
        raise PortfolioError("risk_free and borrow_spread need leverage=; leverage=1 allows cash without borrowing")
    limit = None if leverage is None else positive("leverage", leverage)
    cap = None if gross is None else positive("gross", gross)
    if limit is None and cap is None and fee == 0:
        return None

    def per_period(annual: float) -> float:
        return float((1.0 + annual) ** (1.0 / periods) - 1.0)

    return Financing(limit, per_period(rate), per_period(rate + spread), cap, per_period(fee))
