"""Sized: a selection rule and a sizer, put together as a strategy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Kind, full
from opeslike.parameters import Count, Parameters
from opeslike.strategies.past import Memo
from opeslike.strategies.protocol import State
from opeslike.strategies.record import Record, read_record
from opeslike.strategies.selection import Selection, tell_waiting
from opeslike.strategies.sizers import Sizer


@dataclass(frozen=True, repr=False)
class Sized(Parameters):
    """What to hold by a selection rule, how much by a sizer.

    Sizers such as :class:`~opeslike.strategies.KellySizer` size the rule by the statistics of *the rule's own* unsized
    returns: on every past day the rule is asked what it would have held then, with the data it would have seen, and its
    equal-weighted portfolio of gross exposure 1 earns that day's returns, before costs and financing. The training set
    counts, so the record is there from the first step.

    Parameters
    ----------
    selection : Selection
        Says which assets and which side.
    sizer : Sizer
    every : int
        Steps between the rule's decisions in its own record, >= 1; give what the backtest has as ``reopt_freq``.

    Raises
    ------
    PortfolioError
        If the parts are not a selection and a sizer.

    Examples
    --------
    >>> import numpy as np
    >>> from opeslike.strategies import EqualWeight, TimeSeriesMomentum
    >>> strategy = Sized(TimeSeriesMomentum(lookback=5), EqualWeight(weight=0.2))
    >>> strategy.optimize(np.array([[0.01, -0.01]] * 5), kind="returns").tolist()
    [0.2, -0.2]
    """

    selection: Selection
    sizer: Sizer
    every: Count = 1
    _records: Memo[Record] = field(default_factory=Memo, init=False, compare=False)

    def __post_init__(self) -> None:
        """Check the parts."""
        super().__post_init__()
        if not isinstance(self.selection, Selection):
            raise PortfolioError(f"Sized selection must be a rule such as DualMomentum(), got {self.selection!r}")
        if not isinstance(self.sizer, Sizer):
            raise PortfolioError(f"Sized sizer must be one such as EqualWeight(), got {self.sizer!r}")

    @property
    def name(self) -> str:
        """What results and reports call it: the classes of its parts."""
        return f"{type(self.selection).__name__}, {type(self.sizer).__name__}"

    @property
    def accepts_market(self) -> bool:
        """Whether returns are enough for the rule."""
        return self.selection.accepts_market

    def optimize(self, data: Any, *, state: State | None = None, kind: Kind | None = None) -> FloatArray:
        """Weights for the step about to be decided.

        Parameters
        ----------
        data : Market, DataFrame, Series or array
            Prices or returns up to the last visible close.
        state : State, optional
            The account, inside a backtest. Without one the step begins at the last close of the data.
        kind : {"prices", "returns"}, optional

        Returns
        -------
        ndarray of shape (N,)

        Raises
        ------
        DataError
            If the data cannot be used.
        """
        past = self.selection.read(data, state, kind)
        if len(past.returns) < self.sizer.needed and past.step == 0:
            tell_waiting(type(self.sizer).__name__, self.sizer.needed, len(past.returns), past.today)
        scores = self.selection.known_scores(past)
        record = None
        if self.sizer.needs_record:
            record = read_record(self._records, self.selection, self.every, self.sizer.allow_short, past, scores)
        return full(self.sizer.apply(scores, past, record), past.assets)
