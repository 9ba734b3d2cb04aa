"""Selection: which assets to hold and on which side; how much is another matter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from opeslike.errors import PortfolioError, logger
from opeslike.market import FloatArray, Kind, full
from opeslike.parameters import Parameters
from opeslike.strategies.past import Past, read_past
from opeslike.strategies.protocol import State


class Selection(Parameters, ABC):
    """Base class of rules that say what to hold: a score for each asset, never a size.

    The sign of a score is the side (above zero long, below zero short, zero nothing), its magnitude ranks the assets of
    one side. :class:`~opeslike.strategies.Sized` turns scores into weights with a sizer. As a strategy by itself a
    selection is held *unsized*: equal weights over the assets it selects, gross exposure 1, or nothing.

    While fewer than :attr:`needed` returns are known nothing is selected; a backtest says so once, in the log.

    A subclass defines :attr:`needed` and :meth:`scores`. A score may depend on the last ``needed`` returns, on the
    dates and on nothing else that changes; then the rule's own record can be worked out for any past day.
    """

    @property
    def accepts_market(self) -> bool:
        """Whether returns are enough; a rule that needs other fields gets the frame."""
        return not self.needs_volume

    @property
    def needs_volume(self) -> bool:
        """Whether the rule looks at traded volume."""
        return False

    @property
    @abstractmethod
    def needed(self) -> int:
        """Returns needed before the rule can say anything."""

    @abstractmethod
    def scores(self, past: Past) -> FloatArray:
        """Score the assets for the step about to be decided, shape (N,); at least ``needed`` returns are there."""

    def known_scores(self, past: Past) -> FloatArray:
        """Scores, or zeros while too few returns are known."""
        if len(past.returns) < self.needed:
            return np.zeros(len(past.assets))
        return self.scores(past)

    def signals(self, data: Any, *, state: State | None = None, kind: Kind | None = None) -> FloatArray:
        """Score the assets on the data.

        Parameters
        ----------
        data : Market, DataFrame, Series or array
            Prices or returns up to the last visible close.
        state : State, optional
            The account, inside a backtest. Without one the step begins at the last close of the data.
        kind : {"prices", "returns"}, optional
            Read from the values unless given.

        Returns
        -------
        ndarray of shape (N,)

        Raises
        ------
        DataError
            If the data cannot be used.
        """
        past = self.read(data, state, kind)
        return full(self.known_scores(past), past.assets)

    def optimize(self, data: Any, *, state: State | None = None, kind: Kind | None = None) -> FloatArray:
        """Hold the selection unsized: equal weights, gross exposure 1.

        Parameters, errors as :meth:`signals`.

        Returns
        -------
        ndarray of shape (N,)
            Weights; negative ones are short.
        """
        return unsized(self.signals(data, state=state, kind=kind))

    def read(self, data: Any, state: State | None, kind: Kind | None = None) -> Past:
        """Read the data and say in the log, once a run, that more of them are needed."""
        name = type(self).__name__
        past = read_past(data, state, kind, volume=self.needs_volume, who=name)
        if len(past.returns) < self.needed and past.step == 0:
            tell_waiting(name, self.needed, len(past.returns), past.today)
        return past


def tell_waiting(name: str, needed: int, known: int, today: str, what: str = "returns") -> None:
    """Say that a strategy holds nothing for lack of history."""
    logger.warning("%s holds nothing until it has %d %s; %d are known on %s", name, needed, what, known, today)


def unsized(scores: FloatArray) -> FloatArray:
    """Equal weights over what is selected, gross exposure 1."""
    sides = np.sign(scores)
    held = np.count_nonzero(sides)
    return sides / held if held else sides


class _Joined(Selection):
    """Several rules read as one."""

    def __init__(self, *rules: Selection) -> None:
        if not rules:
            raise PortfolioError(f"{type(self).__name__} needs at least one rule")
        for rule in rules:
            if not isinstance(rule, Selection):
                raise PortfolioError(f"{type(self).__name__} takes selection rules such as TurnOfMonth(), got {rule!r}")
        self.rules = rules

    def copy(self) -> Self:
        """Join copies of the rules."""
        return type(self)(*(rule.copy() for rule in self.rules))

    __sklearn_clone__ = copy

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.rules))})"

    @property
    def needs_volume(self) -> bool:
        """Whether one of the rules looks at traded volume."""
        return any(rule.needs_volume for rule in self.rules)

    @property
    def needed(self) -> int:
        """The longest of the rules."""
        return max(rule.needed for rule in self.rules)


class AllOf(_Joined):
    """Hold what every rule holds on the same side; scores are those of the first rule.

    Parameters
    ----------
    *rules : Selection
        At least one.

    Raises
    ------
    PortfolioError
        If there is none, or one is not a selection rule.

    Examples
    --------
    >>> from opeslike.strategies import TimeSeriesMomentum, TurnOfMonth
    >>> AllOf(TurnOfMonth(), TimeSeriesMomentum(lookback=252, allow_short=False)).needed
    252
    """

    def scores(self, past: Past) -> FloatArray:
        """First rule's scores where the sides of all agree, else zero."""
        scores = self.rules[0].scores(past)
        for rule in self.rules[1:]:
            if not scores.any():
                break
            scores = np.where(np.sign(rule.scores(past)) == np.sign(scores), scores, 0.0)
        return scores


class AnyOf(_Joined):
    """Hold what any rule holds; the first rule with an opinion on an asset decides its side and score.

    Parameters
    ----------
    *rules : Selection
        At least one.

    Raises
    ------
    PortfolioError
        If there is none, or one is not a selection rule.
    """

    def scores(self, past: Past) -> FloatArray:
        """Scores of the first rule that selects the asset."""
        answer = np.zeros(len(past.assets))
        for rule in self.rules:
            answer = np.where(answer != 0.0, answer, rule.scores(past))
        return answer
