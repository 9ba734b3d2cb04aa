"""Bets at odds: single ones, races with one winner, and cards of independent ones."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any, NamedTuple, Self, TypeAlias

import numpy as np
import pandas as pd

from opeslike import checks
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Market
from opeslike.parameters import Parameters, Part

#: Decimal as a number or text, American ("+250", "-110"), fractional ("5/2") or "evens".
Odds: TypeAlias = float | str
Commission = Annotated[float, partial(checks.number, low=0, high=1, open_high=True)]

#: Joint outcomes that are enumerated; 18 simultaneous bets have as many.
MAX_OUTCOMES = 1 << 18
#: probabilities that miss 1 by less than this are meant to sum to it
ROUNDING = 1e-12


def decimal_odds(odds: Odds) -> float:
    """What a winning bet pays per unit staked, the stake included.

    Parameters
    ----------
    odds : float or str
        Decimal, above 1 (``2.5`` or ``"2.5"``); American, as text with its sign (``"+150"`` wins 150 on a stake of
        100, ``"-110"`` wins 100 on 110); fractional (``"3/2"`` wins 3 on 2); or ``"evens"``.

    Raises
    ------
    PortfolioError
        If they are none of these, or win nothing.

    Examples
    --------
    >>> [round(decimal_odds(odds), 4) for odds in (2.5, "+150", "3/2", "-110", "evens")]
    [2.5, 2.5, 2.5, 1.9091, 2.0]
    """
    text = odds.strip() if isinstance(odds, str) else ""
    if re.fullmatch(r"[+-]\d+(\.\d+)?", text) and abs(float(text)) >= 100:
        return 1.0 + (float(text) / 100.0 if text[0] == "+" else -100.0 / float(text))
    if found := re.fullmatch(r"(\d+)\s*[/-]\s*(\d*[1-9]\d*)", text):
        return _above_one(odds, 1.0 + int(found[1]) / int(found[2]))
    if text.lower() in ("evens", "even", "evs"):
        return 2.0
    if re.fullmatch(r"\d+(\.\d*)?", text):
        return _above_one(odds, float(text))
    if isinstance(odds, str):
        advice = "write decimal (2.5), American with their sign ('+150', '-110'), fractional ('3/2') or 'evens'"
        raise PortfolioError(f"odds={odds!r} cannot be read; {advice}")
    return _above_one(odds, checks.finite("odds", odds))


def _above_one(odds: Odds, decimal: float) -> float:
    if not decimal > 1 or math.isinf(decimal):
        raise PortfolioError(f"odds={odds!r} win nothing; decimal odds are above 1, American ones text with their sign")
    return decimal


class Payoffs(NamedTuple):
    """What an event can come to: K outcomes that exclude each other, for M bets.

    Where at most one of the bets wins, ``race`` is with what probability each does and what it then pays per unit at
    risk after commission, that unit included; it is None for a bet each way.
    """

    names: tuple[str, ...]  # empty for a bet without one
    sides: tuple[str, ...]  # "back", "lay" or "each-way"
    p: FloatArray  # (M,) as given
    odds: FloatArray  # (M,) decimal, as given
    probabilities: FloatArray  # (K,)
    returns: FloatArray  # (K, M) profit per unit at risk
    race: tuple[FloatArray, FloatArray] | None  # (M,) each


class Addable(Parameters):
    """What can stand on a card; adding makes the card."""

    @property
    def _events(self) -> tuple[Any, ...]:
        return tuple(self.events) if isinstance(self, Card) else (self,)

    def __add__(self, other: Any) -> Card:
        """The events of both, independent of each other."""
        return Card((*self._events, *other._events)) if isinstance(other, Addable) else NotImplemented

    def __radd__(self, other: Any) -> Card:
        """So that ``sum`` takes a list of bets."""
        return Card(self._events) if isinstance(other, int) and other == 0 else NotImplemented

    def set_params(self, **params: Any) -> Self:
        """Changed copy: bets are frozen.

        Raises
        ------
        PortfolioError
            A name that is no parameter, or a value out of range.
        """
        return self._changed(params)


@dataclass(frozen=True, eq=False, repr=False)
class Card(Addable):
    """Independent events, made by adding bets and races; all are bet on before any is decided.

    Parameters
    ----------
    events : tuple of Bet and Race

    Raises
    ------
    PortfolioError
        If there is none, or two bets have the same name.
    """

    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        if not self.events or not all(isinstance(event, Event) for event in self.events):
            raise PortfolioError("a card holds bets and races, at least one: Card((Bet(0.55, 2.1), ...))")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise PortfolioError(f"two bets on the card are called {twice[0]!r}; tell them apart by name='...'")

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.events)) if len(self.events) > 1 else f"Card({self.events!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """What each bet is called: its name, or "bet 4" where it has none and is the fourth on the card."""
        found: tuple[str, ...] = ()
        for event in self.events:
            found += event.outcomes.names or (f"bet {len(found) + 1}",)
        return found

    def market(self) -> Market:
        """Every possible joint outcome as a scenario: its probability, and what each bet returns per unit at risk.

        Any objective takes it; under ``Mandate(leverage=1)`` what is not bet is kept.

        Raises
        ------
        PortfolioError
            If there are more than 262,144 joint outcomes (``MAX_OUTCOMES``, those of 18 single bets).

        Examples
        --------
        >>> from opeslike import Mandate, RiskConstrainedKelly
        >>> careful = RiskConstrainedKelly(lam=3.0, mandate=Mandate(leverage=1))
        >>> careful.optimize((Bet(0.51, 2.25) + Bet(0.5, 2)).market()).round(6).tolist()
        [0.058925, 0.0]
        """
        returns, p = joint([event.outcomes for event in self.events])
        return Market(returns, self.names, lambda: pd.RangeIndex(len(p), name="outcome"), p)


def joint(events: Sequence[Payoffs]) -> tuple[FloatArray, FloatArray]:
    """Returns (S, M) of all bets in every possible joint outcome of independent events, and its probability (S,).

    Raises
    ------
    PortfolioError
        If there are more than ``MAX_OUTCOMES``.
    """
    possible = [(own.probabilities[own.probabilities > 0], own.returns[own.probabilities > 0]) for own in events]
    count = math.prod(len(p) for p, _ in possible)
    if count > MAX_OUTCOMES:
        raise PortfolioError(
            f"the card has {count:,} joint outcomes, and at most {MAX_OUTCOMES:,} are enumerated (18 single bets); "
            "leave out the bets with the least edge, or split the card"
        )
    columns = np.empty((sum(returns.shape[1] for _, returns in possible), count))
    joint_p, filled = np.ones(1), 0
    for p, returns in possible:
        own = columns[filled : filled + returns.shape[1]].reshape(returns.shape[1], len(joint_p), len(p), -1)
        own[:] = returns.T[:, None, :, None]
        joint_p, filled = np.multiply.outer(joint_p, p).ravel(), filled + returns.shape[1]
    return columns.T, joint_p


class Event(Addable):
    """What is decided at once: a bet, or a race."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.outcomes  # noqa: B018 (checks what the types cannot)

    @cached_property
    def outcomes(self) -> Payoffs:
        """What the event can come to."""
        raise NotImplementedError


def _one_wins(names: tuple[str, ...], p: FloatArray, odds: FloatArray, kept: float, lay: bool = False) -> Payoffs:
    """An event in which one of the bets wins, or none does, with the probability that is left."""
    win, paid = (1.0 - p, 1.0 + kept / (odds - 1.0)) if lay else (p, 1.0 + kept * (odds - 1.0))
    left = 1.0 - math.fsum(win)
    none = [left] if left > ROUNDING else []
    returns = np.vstack([np.diag(paid), np.zeros((len(none), len(paid)))]) - 1.0
    sides = ("lay" if lay else "back",) * len(p)
    return Payoffs(names, sides, p, odds, np.array([*win, *none]), returns, (win, paid))


@dataclass(frozen=True, eq=False, repr=False)
class Bet(Event):
    """A bet that wins or loses, independently of the rest of the card.

    Parameters
    ----------
    p : float in [0, 1]
        Probability that what the odds are on happens, for a lay too.
    odds : float or str
        See :func:`decimal_odds`.
    commission : float in [0, 1)
        Share of the winnings that the exchange takes.
    lay : bool
        Take the other side: win the backer's stake s with probability 1 - p, or lose s (odds - 1), the liability.
    place : float in [p, 1], optional
        Each way: the probability of a place, winning included. Half of the stake is on the win, half on the place.
    place_terms : float in (0, 1]
        Share of the winnings at these odds that a place pays.
    name : str, optional

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    Examples
    --------
    >>> Bet(p=0.55, odds="-110") + Bet(p=0.2, odds=6.0, place=0.5, name="Red Rum")
    Bet(p=0.55, odds='-110') + Bet(p=0.2, odds=6.0, place=0.5, name='Red Rum')
    """

    p: Annotated[float, partial(checks.number, low=0, high=1)]
    odds: Odds
    commission: Commission = 0.0
    lay: bool = False
    place: float | None = None
    place_terms: Part = 0.25
    name: str | None = None

    @cached_property
    def outcomes(self) -> Payoffs:
        """Won and lost; each way, won, placed and lost."""
        p, odds, kept, terms = float(self.p), decimal_odds(self.odds), 1.0 - self.commission, float(self.place_terms)
        names, given = () if self.name is None else (str(self.name),), (np.array([p]), np.array([odds]))
        if self.place is None:
            return _one_wins(names, *given, kept, self.lay)
        if self.lay:
            raise PortfolioError("a bet each way cannot be laid; lay the win alone")
        placed, won = checks.number("place", self.place, low=p, high=1), kept * (odds - 1.0)
        probabilities = np.array([p, placed - p, 1.0 - placed])
        returns = np.array([[won * (1.0 + terms) / 2], [(won * terms - 1.0) / 2], [-1.0]])
        return Payoffs(names, ("each-way",), *given, probabilities, returns, None)


@dataclass(frozen=True, eq=False, repr=False)
class Race(Event):
    """Bets of which at most one wins: the horses of a race, the three results of a match.

    Parameters
    ----------
    runners : mapping of name to (p, odds)
        Probability, and odds as :func:`decimal_odds` reads them. What the probabilities leave to 1 is for none of them
        winning.
    commission : float in [0, 1)
        Share of the winnings of a bet that the exchange takes.
    name : str, optional
        Stands before the names of the runners, to tell races apart.

    Raises
    ------
    PortfolioError
        If a runner's probability or odds are out of range, or the probabilities sum to more than 1; names the runner.

    Examples
    --------
    >>> (Race({"home": (0.5, 2.2), "draw": (0.3, 3.5)}, name="final") + Bet(0.55, 2)).names
    ('final home', 'final draw', 'bet 3')
    """

    runners: Mapping[Hashable, tuple[float, Odds]]
    commission: Commission = 0.0
    name: str | None = None

    @cached_property
    def outcomes(self) -> Payoffs:
        """One of the runners wins, or none."""
        if not isinstance(self.runners, Mapping) or not self.runners:
            raise PortfolioError(f"a race maps names to (probability, odds), got {self.runners!r}")
        names, chances, quoted = [], [], []
        for runner, pair in self.runners.items():
            try:
                p, odds = pair
                chances.append(checks.number("p", p, low=0, high=1))
                quoted.append(decimal_odds(odds))
            except (TypeError, ValueError) as error:
                why = error if isinstance(error, PortfolioError) else f"needs (probability, odds), got {pair!r}"
                raise PortfolioError(f"runner {runner}: {why}") from None
            names.append(str(runner) if self.name is None else f"{self.name} {runner}")
        if math.fsum(chances) > 1.0 + ROUNDING:
            raise PortfolioError(f"the probabilities of {', '.join(names)} sum to {math.fsum(chances):.6g}, above 1")
        return _one_wins(tuple(names), np.array(chances), np.array(quoted), 1.0 - self.commission)
