"""Holdings that no data can change: buy and hold, and constant leverage."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from opeslike.checks import by_asset, finite
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Kind, Market, cut, everyone, full
from opeslike.parameters import Parameters
from opeslike.strategies.past import Past
from opeslike.strategies.protocol import HOLD, Hold, State
from opeslike.strategies.selection import Selection


def _by_ticker(name: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise PortfolioError(f"{name} must be a dict such as {{'SPY': 1.0}}, got {given!r}")
    if not given:
        raise PortfolioError(f"{name} is empty; name at least one asset")
    for asset, value in given.items():
        finite(f"{name}: {asset}", value)


def _number_or_by_ticker(name: str, given: Any) -> None:
    (_by_ticker if isinstance(given, Mapping) else finite)(name, given)


@dataclass(frozen=True, repr=False)
class BuyAndHold(Selection):
    """Buy once and never trade again: weights drift with prices.

    In a backtest the purchase is made at the first step, and every later decision leaves the account alone. Decisions
    have to be as frequent as trades (``reopt_freq`` at most ``rebalance_freq``, 1 by default), because until the second
    one the backtester trades back to the weights of the first. As the selection of a
    :class:`~opeslike.strategies.Sized` it selects every asset, on the side of its weight.

    Parameters
    ----------
    weights : mapping of ticker to float, optional
        What to buy, as fractions of wealth; assets that are not named are not bought. Equal weights by default.

    Raises
    ------
    PortfolioError
        If a weight is not a finite number, or names a ticker that is not among the assets.

    Examples
    --------
    >>> BuyAndHold().optimize(np.array([[0.01, -0.02], [0.0, 0.01]]), kind="returns").tolist()
    [0.5, 0.5]
    """

    weights: Annotated[Mapping[Hashable, float], _by_ticker] | None = None

    @property
    def needed(self) -> int:
        """Nothing needs to be known."""
        return 0

    def scores(self, past: Past) -> FloatArray:
        """Side of each asset, shape (N,)."""
        if self.weights is None:
            return np.ones(len(past.assets))
        return np.sign(_of_eligible("BuyAndHold weights", self.weights, past.assets))

    def optimize(  # type: ignore[override]
        self, data: Any, *, state: State | None = None, kind: Kind | None = None
    ) -> ArrayLike | Hold:
        """Weights to buy at the first step, and :data:`~opeslike.strategies.protocol.HOLD` ever after."""
        if state is not None and state.step > 0:
            return HOLD
        past = self.read(data, state, kind)
        if self.weights is None:
            return full(np.full(len(past.assets), 1.0 / len(past.assets)), past.assets)
        return full(_of_eligible("BuyAndHold weights", self.weights, past.assets), past.assets)


@dataclass(frozen=True, repr=False)
class FixedLeverage(Parameters):
    """Hold the same multiples of wealth at every trading date, whatever the data.

    Parameters
    ----------
    leverages : mapping of ticker to float, or float
        Value held of each asset as a multiple of wealth: 2.0 borrows as much as the account is worth, -1.0 is short.
        Assets that are not named are not held. A number alone is for data of one asset.

    Raises
    ------
    PortfolioError
        If a leverage is not a finite number, names a ticker that is not among the assets, or if a number meets
        several assets.

    Examples
    --------
    >>> FixedLeverage(2.0).optimize(np.array([[0.01], [-0.02]]), kind="returns").tolist()
    [2.0]
    """

    leverages: Annotated[float | Mapping[Hashable, float], _number_or_by_ticker]

    accepts_market: ClassVar[bool] = True

    def optimize(self, data: Any, *, kind: Kind | None = None) -> FloatArray:
        """Return the leverages in the order of the assets, shape (N,)."""
        assets = Market.from_data(data, kind).assets
        if isinstance(self.leverages, Mapping):
            return full(_of_eligible("FixedLeverage leverages", self.leverages, assets), assets)
        if len(assets) > 1:
            named = f"{{{assets[0]!r}: {self.leverages:g}}}"
            raise PortfolioError(f"FixedLeverage leverages is one number but there are {len(assets)} assets: {named}?")
        return full(np.array([float(self.leverages)]), assets)


def _of_eligible(name: str, given: Mapping[Hashable, float], assets: tuple[Hashable, ...]) -> FloatArray:
    return np.asarray(cut(by_asset(name, given, everyone(assets), 0.0), assets))
