"""What cash earns and what borrowing and short positions cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.checks import PERIODS, is_number, number, per_period
from opeslike.errors import DataError, PortfolioError, logger
from opeslike.market import FloatArray, describe


@dataclass(frozen=True, eq=False)
class Financing:
    """Rates per step, as fractions of the amount they apply to.

    With weights w, cash is ``c = 1 - sum(w)`` (it includes the proceeds of short sales) and a step earns
    ``lend * max(c, 0) - borrow * max(-c, 0) - short * sum(max(-w, 0))`` on wealth after costs.

    Attributes
    ----------
    lend, borrow, short : ndarray of shape (H,)
    """

    lend: FloatArray
    borrow: FloatArray
    short: FloatArray

    @cached_property
    def has_fees(self) -> bool:
        """Whether short positions cost anything."""
        return bool(self.short.any())

    @cached_property
    def active(self) -> bool:
        """Whether any rate differs from zero; steps without rates skip the arithmetic."""
        return self.has_fees or bool(self.lend.any() or self.borrow.any())

    def earned(self, weights: FloatArray, steps: Any) -> Any:
        """Fraction of wealth earned with weights of shape (..., N) in one step (an int) or several (a slice)."""
        if not self.active:
            return np.zeros(weights.shape[:-1]) if weights.ndim > 1 else 0.0
        cash = 1.0 - weights.sum(axis=-1)
        if weights.ndim > 1:
            earned = cash * np.where(cash >= 0.0, self.lend[steps], self.borrow[steps])
        else:  # in one step a branch is quicker
            earned = cash * (self.lend if cash >= 0.0 else self.borrow)[steps]
        if self.has_fees:
            earned = earned + self.short[steps] * np.minimum(weights, 0.0).sum(axis=-1)
        return earned

    def cash_path(self, cash: FloatArray, amounts: FloatArray, steps: NDArray[np.intp]) -> FloatArray:
        """Cash at each close of several stretches in which positions are left alone.

        Parameters
        ----------
        cash : ndarray of shape (B,)
            At the start of each stretch.
        amounts : ndarray of shape (B, L, N)
            Value of the positions at the start of each step.
        steps : ndarray of int, shape (B, L)

        Returns
        -------
        ndarray of shape (B, L + 1)
        """
        path = np.repeat(cash[:, None], steps.shape[1] + 1, axis=1)
        if self.has_fees:
            fees = self.short[steps] * np.maximum(-amounts, 0.0).sum(axis=2)
            terms = zip(
                cash.tolist(), self.lend[steps].tolist(), self.borrow[steps].tolist(), fees.tolist(), strict=True
            )
            for row, (start, *each) in zip(path, terms, strict=True):
                row[:] = list(accumulate(zip(*each, strict=True), _next_cash, initial=start))
        elif self.active:
            owed = np.where(cash[:, None] >= 0.0, self.lend[steps], self.borrow[steps])
            path[:, 1:] *= np.cumprod(1.0 + owed, axis=1)
        return path


def _next_cash(cash: float, terms: tuple[float, float, float]) -> float:
    lend, borrow, fee = terms
    return cash + cash * (lend if cash >= 0.0 else borrow) - fee


@dataclass(frozen=True, eq=False)
class RateTerms:
    """Checked annual rates: numbers, or Series dated by the day from which the rate holds.

    Rates are fractions a year (0.02 is 2%); a period earns ``(1 + annual) ** (1 / periods_per_year) - 1``. Borrowing
    costs ``risk_free + borrow_spread``.

    Raises
    ------
    PortfolioError
        On a rate that is not finite or not above -100%, a negative spread or fee, or ``periods_per_year`` outside
        0.001 to 1e9.
    """

    risk_free: float | pd.Series
    borrow_spread: float | pd.Series
    short_fee: float | pd.Series
    periods_per_year: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name, low in (("risk_free", -1.0), ("borrow_spread", 0.0), ("short_fee", 0.0)):
            _check_rate(name, getattr(self, name), low)
        number("periods_per_year", self.periods_per_year, *PERIODS)

    def describe(self) -> dict[str, float | str]:
        """Settings as numbers, or the span of a Series."""
        return {
            name: _span(value) if isinstance(value := getattr(self, name), pd.Series) else float(value)
            for name in ("risk_free", "borrow_spread", "short_fee", "periods_per_year")
        }

    def rates(self, closes: pd.Index) -> Financing:
        """Rates per step; step t pays the rates known at P_t, the first ``H`` of the ``closes``."""
        names = ("risk_free", "borrow_spread", "short_fee")
        risk_free, spread, fee = (_aligned(name, getattr(self, name), closes[:-1]) for name in names)
        return Financing(
            *(per_period(annual, self.periods_per_year) for annual in (risk_free, risk_free + spread, fee))
        )


def _span(rate: pd.Series) -> str:
    return f"{rate.min():g} to {rate.max():g}, dated"


def _check_rate(name: str, rate: Any, low: float) -> None:
    if isinstance(rate, pd.Series):
        if not pd.api.types.is_numeric_dtype(rate.dtype) or rate.notna().sum() == 0:
            raise PortfolioError(f"{name} must hold numbers, annual fractions such as 0.02; its dtype is {rate.dtype}")
        if not rate.index.is_unique or not rate.index.is_monotonic_increasing:
            raise PortfolioError(f"{name}: dates must be unique and in ascending order")
        known = rate.dropna()
        worst = known[~(np.isfinite(known) & (known > -1.0) & (known >= low))]
        if len(worst):
            raise PortfolioError(f"{name} is {worst.iloc[0]} on {describe(worst.index[0])}; {_wanted(low)}")
    elif not is_number(rate) or rate <= -1.0 or rate < low:
        given = type(rate).__name__ if hasattr(rate, "__len__") and not isinstance(rate, str) else repr(rate)
        raise PortfolioError(f"{name} must be a number or a dated Series, got {given}; {_wanted(low)}")
    highest = rate.max() if isinstance(rate, pd.Series) else rate
    if highest > 1.0:
        logger.warning(
            "%s goes up to %g, which is %.0f%% a year: rates are fractions, 0.02 is 2%%; divide percentages by 100",
            *(name, highest, 100 * highest),
        )


def _wanted(low: float) -> str:
    return "it must be an annual fraction " + ("of at least 0" if low == 0 else "above -1 (0.02 is 2% a year)")


def _aligned(name: str, rate: float | pd.Series, dates: pd.Index) -> FloatArray:
    """Carry dated rates forward to ``dates``, and say in the log where that filled gaps."""
    if not isinstance(rate, pd.Series):
        return np.full(len(dates), float(rate))
    known = rate.dropna()
    try:
        rows = np.asarray(known.index.searchsorted(dates, side="right")) - 1
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} is dated by {known.index.dtype}, the prices by {dates.dtype}; index both by date: {error}"
        ) from error
    if rows[0] < 0:
        raise DataError(
            f"{name} starts on {describe(known.index[0])}, after the first test close on {describe(dates[0])}; "
            "give rates from there on"
        )
    missing = ~np.asarray(dates.isin(known.index))
    if missing.any():
        first = int(np.flatnonzero(missing)[0])
        logger.warning(
            "%s: %d of %d test dates have no rate of their own and take the last one before (first on %s)",
            *(name, missing.sum(), len(dates), describe(dates[first])),
        )
    return known.to_numpy(np.float64)[rows]
