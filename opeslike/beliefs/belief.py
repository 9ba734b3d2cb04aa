"""The protocol of a belief: it takes the scenarios one has seen and gives those one believes in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.parameters import Parameters


class Belief(Parameters, ABC):
    """What one believes: a function from Market to Market, composed from left to right by ``|``.

    A subclass is a frozen dataclass in a module of its own (``@dataclass(frozen=True, eq=False, repr=False)``) that
    checks its fields in ``__post_init__`` and gives ``__call__``. The market it returns is a new one over the same
    assets; the one it was given is not written to. It may

    - give other probabilities: ``market.with_probabilities(p, effective_size=...)``;
    - give other scenarios: ``Market(returns, market.assets, dates, p, effective_size)``.

    ``effective_size`` is how many equally likely observations the market is worth; ``radius="auto"`` and shrinkage use
    it. Left out, it is ``1 / sum p^2``. Where a belief only redraws scenarios it passes ``market.effective_size`` on.

    A belief sees the market of one decision and must depend on nothing else: in a backtest it is asked anew at every
    re-optimisation. One that draws random numbers takes an integer seed as a field and combines it with
    ``market.dates[-1]`` and a stream per ticker, so that the future and other assets change nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from opeslike.beliefs import Decay, Prior
    >>> belief = Decay(halflife=2) | Prior(np.array([[-0.5]]), pseudo_count=1)
    >>> belief
    Decay(halflife=2) | Prior(scenarios=array([[-0.5]]), pseudo_count=1)
    >>> belief(Market.from_data(np.array([[0.1], [0.2]]), "returns")).returns.ravel().tolist()
    [0.1, 0.2, -0.5]
    """

    @abstractmethod
    def __call__(self, market: Market) -> Market:
        """The scenarios believed in, with their probabilities."""

    def __or__(self, other: Any) -> Chain:
        """Ask this belief first, then the other; any callable from Market to Market will do."""
        if isinstance(other, Chain):  # leaning to the left however it was bracketed
            return (self | other.first) | other.then
        return Chain(self, other)

    def set_params(self, **params: Any) -> Self:
        """Changed copy: a belief is frozen. Nested parameters are written ``first__halflife``.

        Raises
        ------
        PortfolioError
            A name that is no parameter, or a value out of range.
        """
        return self._changed(params)


@dataclass(frozen=True, eq=False, repr=False)
class Chain(Belief):
    """One belief after another: ``first | then``.

    Parameters
    ----------
    first, then : Belief, or callable from Market to Market
    """

    first: Callable[[Market], Market]
    then: Callable[[Market], Market]

    def __post_init__(self) -> None:
        for part in (self.first, self.then):
            if not callable(part) or isinstance(part, type):
                raise PortfolioError(
                    f"{part!r} is no belief; beliefs joined by | are made, such as Decay(252) | Given(p)"
                )

    def __call__(self, market: Market) -> Market:
        """What the second makes of what the first gives."""
        return self.then(self.first(market))

    def __repr__(self) -> str:
        return f"{self.first!r} | {self.then!r}"


@dataclass(frozen=True, eq=False, repr=False)
class Empirical(Belief):
    """The past as it is: every scenario seen, equally likely unless the market says otherwise."""

    def __call__(self, market: Market) -> Market:
        """The market itself."""
        return market
