"""Each asset held at a size that its own past outcomes suggest: optimal f and conservative sizing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Kind, Market, describe
from opeslike.sizing import OPTIMAL_F, SizingRule, conservative, optimal_f
from opeslike.strategies._memo import Memo
from opeslike.strategies._parameters import check_real, check_whole
from opeslike.strategies.selection import tell_waiting


@dataclass(frozen=True, kw_only=True)
class OutcomeStrategy(ABC):
    """What the strategies by outcomes have in common: a long position in each asset, sized by its own returns.

    Sizes are worked out anew whenever the backtest asks: ``reopt_freq=252`` with ``rebalance_freq=1`` re-estimates once
    a year and trades back to the leverage daily. Several assets are sized each on its own, as if it were alone.

    Parameters
    ----------
    window : int, optional
        Last returns to estimate from, >= 2; None (the default) takes all.
    expected_max_loss : float, optional
        Loss per unit held that a risk fraction is divided by (0.10 is 10% in one period); its sign is ignored. The
        largest loss in the sample by default.
    max_leverage : float, optional
        Cap for each asset, > 0.
    min_periods : int
        Returns needed before anything is held, >= 2. An asset without a loss among its returns is not held either,
        because then no size is optimal.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    window: int | None = None
    expected_max_loss: float | None = None
    max_leverage: float | None = None
    min_periods: int = 252
    _told: Memo[bool] = field(default_factory=Memo, init=False, repr=False, compare=False)

    accepts_market = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_whole(self, "window", low=2, optional=True)
        check_real(self, "expected_max_loss", optional=True)
        if self.expected_max_loss == 0:
            raise PortfolioError(f"{type(self).__name__} expected_max_loss must not be 0")
        check_real(self, "max_leverage", low=0.0, above=True, optional=True)
        check_whole(self, "min_periods", low=2)
        if self.window is not None and self.min_periods > self.window:
            raise PortfolioError(
                f"{type(self).__name__} min_periods must be at most the window ({self.window}), got {self.min_periods}"
            )

    @abstractmethod
    def _size(self, outcomes: FloatArray) -> float:
        """Leverage for the returns of one asset, at least one of them a loss."""

    def optimize(self, data: Any, *, kind: Kind | None = None) -> FloatArray:
        """Leverages for the step after the data, shape (N,).

        Parameters
        ----------
        data : Market, DataFrame, Series or array
            Prices or returns up to the last visible close.
        kind : {"prices", "returns"}, optional

        Returns
        -------
        ndarray of shape (N,)
            Values as multiples of wealth, none below zero.

        Raises
        ------
        DataError
            If the data cannot be used.
        """
        market = data if isinstance(data, Market) else Market.from_data(data, kind)
        count = market.n_scenarios
        answer = np.zeros(market.n_assets)
        if count < self.min_periods:
            if not self._told.get(market._moments):
                self._told.put(market._moments, True)
                tell_waiting(type(self).__name__, self.min_periods, count, describe(market.dates[-1]))
            return answer
        recent = market.returns if self.window is None else market.returns[-self.window :]
        for asset in np.flatnonzero(recent.min(axis=0) < 0.0):
            answer[asset] = self._size(np.ascontiguousarray(recent[:, asset]))
        return answer if self.max_leverage is None else np.minimum(answer, self.max_leverage)


@final
@dataclass(frozen=True)
class OptimalF(OutcomeStrategy):
    """Vince's optimal f of an asset's own returns, over the expected maximum loss.

    Parameters
    ----------
    window, expected_max_loss, max_leverage, min_periods
        See :class:`OutcomeStrategy`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    R. Vince, *Portfolio Management Formulas*, Wiley, 1990.

    Examples
    --------
    >>> coin = np.array([[2.0], [-1.0]] * 5)
    >>> OptimalF(min_periods=10).optimize(coin, kind="returns").round(12).tolist()
    [0.25]
    """

    def _size(self, outcomes: FloatArray) -> float:
        return optimal_f(outcomes, self.expected_max_loss).position


@final
@dataclass(frozen=True)
class Conservative(OutcomeStrategy):
    """A sizing rule applied to an unlucky resample of an asset's returns, see :func:`opeslike.sizing.conservative`.

    Parameters
    ----------
    rule : SizingRule
        ``OPTIMAL_F`` (the default), ``EMPIRICAL_KELLY``, ``PARTIAL_KELLY``, ``CONTINUOUS_KELLY``, ``BINARY_KELLY`` of
        :mod:`opeslike.sizing`, or one of your own.
    n_boot : int
        Resamples, >= 1.
    percentile : float
        Place of the resample among all by its mean, in [0, 100].
    seed : int
        Every estimate draws with the same seed.
    block : float, optional
        Mean block length of the stationary bootstrap, >= 1; None draws returns independently.
    window, expected_max_loss, max_leverage, min_periods
        See :class:`OutcomeStrategy`.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    rule: SizingRule = OPTIMAL_F
    n_boot: int = 100
    percentile: float = 5.0
    seed: int = 100
    block: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        OutcomeStrategy.__post_init__(self)
        if not isinstance(self.rule, SizingRule):
            raise PortfolioError(f"Conservative rule must be a SizingRule such as OPTIMAL_F, got {self.rule!r}")
        check_whole(self, "n_boot", low=1)
        check_real(self, "percentile", low=0.0, high=100.0)
        check_whole(self, "seed", low=0)
        check_real(self, "block", low=1.0, optional=True)

    def _size(self, outcomes: FloatArray) -> float:
        found = conservative(
            *(self.rule, outcomes, self.n_boot, self.percentile, self.seed, self.block),
            expected_max_loss=self.expected_max_loss,
        )
        return max(found.leverage, 0.0)
