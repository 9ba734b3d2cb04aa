"""Sizer: how much to hold of what a selection selects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from opeslike.errors import DataError
from opeslike.market import Kind
from opeslike.strategies._parameters import check_flag, check_real
from opeslike.strategies.past import FloatArray, Past, read_past
from opeslike.strategies.protocol import State

if TYPE_CHECKING:
    from opeslike.strategies.record import Record


@dataclass(frozen=True, kw_only=True)
class Sizer(ABC):
    """Base class of sizers: from scores to weights, by data up to the last visible close.

    Every sizer takes these keywords. They apply in this order, after the sizer's own caps, and only ever reduce.

    Parameters
    ----------
    allow_short : bool
        With False negative scores are ignored: those assets are not held.
    allow_pyramiding : bool
        With False an open position is not added to: where the account already holds an asset on the same side, the
        weight aimed for is at most the weight last known, as of the strategy's last visible close. Reductions, exits
        and changes of side are not affected. With ``execution_lag=0`` nothing is ever bought for an open position; with
        a lag, what prices moved in between may be traded back to that weight.
    min_notional : float
        Money, >= 0: a position worth less (weight times wealth, both as of the last visible close) is not held. Outside
        a backtest wealth is 1.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    min_notional: float = 0.0
    allow_short: bool = True
    allow_pyramiding: bool = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_real(self, "min_notional", low=0.0)
        check_flag(self, "allow_short")
        check_flag(self, "allow_pyramiding")

    @property
    def needed(self) -> int:
        """Returns of the assets that must be known before anything is held."""
        return 0

    @property
    def needs_record(self) -> bool:
        """Whether the sizer looks at the rule's own record."""
        return False

    @abstractmethod
    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Weights by the sizer's own formula, before the common limits, shape (N,).

        Parameters
        ----------
        scores : ndarray of shape (N,)
            Finite; without negative ones where shorts are not allowed.
        past : Past
            At least :attr:`needed` returns are in it.
        record : Record or None
            What the rule itself did, for sizers with :attr:`needs_record`.
        """

    def size(self, scores: ArrayLike, data: Any, *, state: State | None = None, kind: Kind | None = None) -> FloatArray:
        """Turn scores into weights, outside a :class:`~opeslike.strategies.Sized`.

        Parameters
        ----------
        scores : array-like of shape (N,)
            Above zero long, below zero short, zero nothing.
        data : Market, DataFrame, Series or array
            Prices or returns up to the last visible close.
        state : State, optional
            The account, inside a backtest.
        kind : {"prices", "returns"}, optional

        Returns
        -------
        ndarray of shape (N,)

        Raises
        ------
        DataError
            If the data cannot be used, the scores are not N finite numbers, or the sizer needs the rule's own record,
            which only :class:`~opeslike.strategies.Sized` keeps.
        """
        if self.needs_record:
            raise DataError(f"{type(self).__name__} sizes by a rule's own record; use Sized(rule, {self!r})")
        return self.apply(np.asarray(scores, dtype=np.float64), read_past(data, state, kind), None)

    def apply(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Weights with the common limits, shape (N,)."""
        if scores.shape != (len(past.assets),) or not np.isfinite(scores).all():
            raise DataError(f"{type(self).__name__} takes one finite score for each of {len(past.assets)} assets")
        if not self.allow_short:
            scores = np.maximum(scores, 0.0)
        if not scores.any() or len(past.returns) < self.needed:
            return np.zeros(len(scores))
        return self._limited(self.weights(scores, past, record), past)

    def _limited(self, weights: FloatArray, past: Past) -> FloatArray:
        account = past.account
        if not self.allow_pyramiding and account is not None:
            held = account.weights
            grown = (weights * held > 0) & (np.abs(weights) > np.abs(held))
            weights = np.where(grown, held, weights)
        if self.min_notional > 0:
            wealth = 1.0 if account is None else account.wealth
            weights = np.where(np.abs(weights) * wealth < self.min_notional, 0.0, weights)
        return weights


def capped(weights: FloatArray, gross: float | None) -> FloatArray:
    """Scale all weights alike so that their gross exposure is at most ``gross``."""
    total = float(np.abs(weights).sum())
    return weights if gross is None or total <= gross else weights * (gross / total)
