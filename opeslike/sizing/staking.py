"""What to stake on a card: Kelly and KL-robust Kelly over every joint outcome, in money."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opeslike import checks
from opeslike.errors import PortfolioError
from opeslike.kl import largest_mean
from opeslike.market import FloatArray, Market
from opeslike.modelling.mandate import Mandate
from opeslike.objectives.robust_kelly import KLRobustKelly
from opeslike.objectives.utility_theory import Kelly
from opeslike.sizing.bets import ROUNDING, Addable, Card, Payoffs, joint

#: an expected profit per unit at risk up to this is rounding
_NO_EDGE = 1e-12
#: odds whose margin is within this of none are fair
_FAIR = 1e-12
#: a guess stakes at most this share of the bankroll
_GUESSED = 0.95
#: stakes this near, in steps, to a whole number of them are that
_WHOLE = 1e-9
#: exponents of the odds of halving at which they are below any floating-point number
_NEVER = 1100.0


@dataclass(frozen=True, eq=False, repr=False)
class Stakes:
    """What to stake, and what that is expected to do; ``print`` shows it.

    Attributes
    ----------
    table : DataFrame, a row a bet
        ``side`` ("back", "lay" or "each-way"), ``probability`` and ``odds`` (decimal) as given, ``edge`` (expected
        profit per unit at risk, after commission), ``stake`` (money to enter, the backer's stake for a lay),
        ``at_risk`` (money that can be lost: the stake, or the liability of a lay) and ``share`` (of the
        bankroll at risk).
    bankroll, fraction, radius : float
        As given.
    growth : float
        Expected log growth of the bankroll by this card, of what is really staked.
    worst_growth : float
        The least over all probabilities of the outcomes within ``radius``; ``growth`` where that is 0.
    profit : float
        Expected profit, money.
    gap : float
        Certified bound on the growth (the worst growth, with a radius) that the full stakes give away, before the
        fraction is taken and stakes are rounded.
    halving : float
        The odds of ever halving the bankroll are at most this, if such a card, staked in the same shares, came again
        and again: see :func:`stakes`.
    no_bet_radius : float
        From this radius on nothing is worth a bet: how far, in nats, the probabilities may be off.
    outcomes : int
        Joint outcomes that were enumerated: those of the events with an edge.
    solver : str
        "closed-form", or who found the stakes.
    notes : tuple of str
        Why nothing is bet, and which stakes were dropped.
    """

    table: pd.DataFrame
    bankroll: float
    fraction: float
    radius: float
    growth: float
    worst_growth: float
    profit: float
    gap: float
    halving: float
    no_bet_radius: float
    outcomes: int
    solver: str
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """The table, a copy."""
        return self.table.copy()

    @property
    def summary(self) -> list[str]:
        """What the stakes are expected to do, in lines."""
        at_risk = float(self.table["at_risk"].sum())
        worst = f", {self.worst_growth:.3%} at worst within radius {self.radius:g}" if self.radius > 0 else ""
        return [
            f"at risk {at_risk:,.2f} of {self.bankroll:,.2f}; expected profit {self.profit:,.2f}",
            f"growth {self.growth:.3%} a card{worst} (certified gap of the full stakes {self.gap:.1e})",
            f"odds of ever halving the bankroll with such cards: at most {self.halving:.1%}",
            "no radius ends all betting: something pays in every outcome"
            if math.isinf(self.no_bet_radius)
            else f"no bet is worth making from radius {self.no_bet_radius:.4g} on",
            *self.notes,
        ]

    def to_text(self, tablefmt: str = "simple") -> str:
        """Table, summary and notes, in a format of tabulate ("simple", "pipe", "html")."""
        from tabulate import tabulate

        forms = {"probability": ".1%", "odds": ".2f", "edge": "+.1%"}
        forms |= {"stake": ",.2f", "at_risk": ",.2f", "share": ".2%"}
        rows = [
            [str(name), row["side"], *(format(row[key], form) for key, form in forms.items())]
            for name, row in self.table.to_dict("index").items()
        ]
        columns = ["bet", "side", *(key.replace("_", " ") for key in forms)]
        align = ("left", "left", *["right"] * len(forms))
        table = tabulate(rows, columns, tablefmt=tablefmt, colalign=align, disable_numparse=True)
        if tablefmt == "html":
            return "\n".join([table, *(f"<p>{html.escape(line)}</p>" for line in self.summary)])
        return "\n".join([table, "", *self.summary])

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Stakes({'; '.join(self.summary[:2])})"

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return self.to_text("html")


def stakes(
    card: Addable,
    fraction: float = 1.0,
    radius: float = 0.0,
    bankroll: float = 1.0,
    *,
    minimum: float = 0.0,
    step: float = 0.0,
) -> Stakes:
    r"""What to stake on each bet of a card, all placed before any is decided.

    .. math:: \max_{w \ge 0,\ \sum_j w_j \le 1} \; \min_{q :\, \sum_s q_s \log(q_s / p_s) \le \varepsilon} \;
        \sum_s q_s \log\Big(1 + \sum_j w_j r_{sj}\Big)

    over the joint outcomes s of the card, r the profit per unit at risk; ``fraction`` times the answer is staked. It is
    :class:`~opeslike.objectives.utility_theory.Kelly`, or with a radius
    :class:`~opeslike.objectives.robust_kelly.KLRobustKelly`, on :meth:`Card.market`, certified. Every stake and
    liability is put up in full, so no outcome loses more than the bankroll.

    Events of which no bet has an edge are left out, which is exact for independent ones. A single race without a radius
    has the closed form of Smoczynski and Tomkins: with the runners in the order of :math:`p_i o_i` (o what is paid
    after commission), the first k are bet on, the reserve being
    :math:`R = (1 - \sum_{i \le k} p_i) / (1 - \sum_{i \le k} 1/o_i)` and the stakes :math:`p_i - R / o_i`. At fair
    odds (:math:`\sum 1/o_i = 1`) that is :math:`p_i` on each, with growth :math:`\mathrm{KL}(p, 1/o)`.

    Nothing is bet once the ball holds probabilities under which no bet has an edge; of independent events the nearest
    ones are nearest event by event, and ``no_bet_radius`` is the sum of their divergences.

    Parameters
    ----------
    card : Card, Bet or Race
    fraction : float in (0, 1]
        Of the full stakes.
    radius : float >= 0
        Radius of the KL ball around the joint probabilities, in nats: how far they may be off. 0 trusts them.
    bankroll : float > 0
        Money.
    minimum : float >= 0
        Stakes below it, after rounding, are dropped. Both apply to what is entered: the backer's stake for a lay.
    step : float >= 0
        Stakes are rounded down to a multiple of it; 0 leaves them.

    Returns
    -------
    Stakes
        ``halving`` is :math:`0.5^\lambda`, :math:`\lambda > 0` solving :math:`E\,W^{-\lambda} = 1` for the wealth W
        that a card leaves of 1. For independent cards alike it bounds the odds of ever being at half the start or lower
        (Lundberg), exactly up to how far a card overshoots half; full Kelly with money kept back has
        :math:`\lambda = 1`, at most 50%. It is 1 where growth is not positive.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or the events with an edge have more than 262,144 joint outcomes.

    References
    ----------
    Kelly (1956), *A new interpretation of information rate*; Smoczynski and Tomkins (2010), *An explicit solution to
    the problem of optimizing the allocations of a bettor's wealth when wagering on horse races*; Busseti, Ryu and Boyd
    (2016), *Risk-constrained Kelly gambling*.

    Examples
    --------
    >>> from opeslike.sizing import Bet, Race
    >>> stakes(Bet(p=0.53, odds=2.0), bankroll=1_000).table["stake"].round(6).to_dict()
    {'bet 1': 60.0}
    >>> race = Race({"A": (0.5, 2.2), "B": (0.3, 3.5), "C": (0.2, 3.6)})
    >>> stakes(race, bankroll=1_000).table["share"].round(4).to_dict()
    {'A': 0.15, 'B': 0.08, 'C': 0.0}
    """
    if not isinstance(card, Addable):
        raise PortfolioError(f"stakes are for a Card, Bet or Race, got {type(card).__name__}")
    fraction, radius = checks.fraction_of(fraction), checks.positive("radius", radius, zero=True)
    bankroll = checks.positive("bankroll", bankroll)
    minimum, step = checks.positive("minimum", minimum, zero=True), checks.positive("step", step, zero=True)
    card = Card(card._events)
    events = [event.outcomes for event in card.events]
    edges = [one.probabilities @ one.returns for one in events]
    hopeful = [float(edge.max()) > _NO_EDGE for edge in edges]
    endured = math.fsum(_endured(one) for one, hope in zip(events, hopeful, strict=True) if hope)
    bet_on = endured > radius
    live = [one for one, hope in zip(events, hopeful, strict=True) if hope and bet_on]
    columns = np.repeat(hopeful, [len(edge) for edge in edges]) & bet_on
    returns, p = joint(live)
    full, gap, solver = _full(live, returns, p, radius, endured)

    sides = [side for one in events for side in one.sides]
    chances, odds = (np.concatenate(found) for found in zip(*((one.p, one.odds) for one in events), strict=True))
    liability = np.where(np.array(sides) == "lay", odds - 1.0, 1.0)
    wanted = np.zeros(len(columns))
    wanted[columns] = fraction * bankroll * full / liability[columns]
    money = wanted if step == 0 else np.round(np.floor(wanted / step + _WHOLE) * step, 12)
    money = np.where(money < minimum, 0.0, money)
    at_risk, edge = money * liability, np.concatenate(edges)
    table = pd.DataFrame(
        {
            **{"side": sides, "probability": chances, "odds": odds, "edge": edge},
            **{"stake": money, "at_risk": at_risk, "share": at_risk / bankroll},
        },
        pd.Index(card.names, name="bet"),
    )

    notes = [] if any(hopeful) else ["no bet has an edge at these odds, so none is made"]
    if any(hopeful) and not bet_on:
        notes.append(f"no edge survives radius {radius:g}, so no bet is made")
    dropped = [name for name, was, now in zip(card.names, wanted, money, strict=True) if was > 0 and now == 0]
    if dropped:
        notes.append(f"too small to be staked: {', '.join(dropped)}")
    log_wealth = np.log1p(returns @ at_risk[columns] / bankroll)
    growth = float(p @ log_wealth)
    worst = 0.0 - largest_mean(-log_wealth, p, radius).value if radius > 0 else growth
    halving, profit = _halving(log_wealth, p), float(at_risk @ edge)
    terms = table, bankroll, fraction, radius
    return Stakes(*terms, growth, worst, profit, gap, halving, endured, len(p), solver, tuple(notes))


def _full(
    live: list[Payoffs], returns: FloatArray, p: FloatArray, radius: float, endured: float
) -> tuple[FloatArray, float, str]:
    """Shares of the bankroll to put at risk, their certified gap, and who found them."""
    if not live:
        return np.zeros(0), 0.0, "closed-form"
    alone = np.concatenate([_alone(one) for one in live])
    if radius == 0 and len(live) == 1 and live[0].race is not None:
        worth = p / (1.0 + returns @ alone)
        # the growth of any other stakes exceeds that of these by at most log E (W' / W)
        best = max(float(worth.sum()), float(np.max(worth @ (1.0 + returns))))
        return alone, max(math.log(best), 0.0), "closed-form"
    objective: Kelly | KLRobustKelly = Kelly(mandate=Mandate(leverage=1))
    if radius > 0:
        objective = KLRobustKelly(1.0, radius, mandate=Mandate(leverage=1))
    # the worst mean is nearly the mean less sqrt(2 radius) deviations, which leaves this part of the stakes
    guess = alone * (1.0 - math.sqrt(radius / endured))
    market = Market(returns, tuple(range(len(alone))), lambda: pd.RangeIndex(len(p)), p)
    with np.errstate(divide="ignore", invalid="ignore"):  # a step may leave nothing of the bankroll, and is not taken
        shares = objective.optimize(market, w=guess * min(1.0, _GUESSED / float(guess.sum())))
    gap = objective.solution.gap
    assert gap is not None  # Kelly's answers are certified or refused
    return shares, gap, objective.solution.solver


def _alone(one: Payoffs) -> FloatArray:
    """Kelly's stakes on an event by itself; each way nearly."""
    if one.race is None:
        return np.asarray(one.probabilities @ one.returns / (one.probabilities @ one.returns**2))
    win, paid = one.race
    return np.maximum(win - _reserve(win, paid) / paid, 0.0)


def _reserve(win: FloatArray, paid: FloatArray) -> float:
    """What is kept per unit of the bankroll in a race, the R of Smoczynski and Tomkins; the stakes are p - R / o."""
    order = np.argsort(-win * paid)
    p, price = win[order], 1.0 / paid[order]
    left = max(1.0 - math.fsum(win), 0.0)
    left = 0.0 if left < ROUNDING else left
    if left == 0 and math.fsum(price) <= 1.0 + _FAIR:
        return 0.0  # no margin: all of the bankroll goes on the runners
    after = left + np.append(np.cumsum(p[::-1])[::-1], 0.0)
    slack = 1.0 - np.append(0.0, np.cumsum(price))
    count = int(np.argmax(np.append(p * slack[:-1] <= price * after[:-1], True)))
    return float(after[count] / slack[count])


def _endured(one: Payoffs) -> float:
    """The least divergence from its probabilities of those under which no bet of an event has an edge."""
    if one.race is not None:
        win, price = one.race[0], 1.0 / one.race[1]
        reserve = _reserve(*one.race)
        taken = win > reserve * price
        slack = 1.0 - math.fsum(price[taken])
        if reserve == 0 and (slack > _FAIR or not taken.all()):
            return math.inf  # something is won whoever wins
        rest = -slack * math.log(reserve) if reserve > 0 else 0.0
        return float(price[taken] @ np.log(price[taken] / win[taken])) + rest
    from scipy.optimize import brentq

    r, p = one.returns[:, 0], one.probabilities
    if r[p > 0].min() >= 0:
        return math.inf
    high = 1.0
    while p @ (r * np.exp(-high * r)) > 0:
        high *= 2.0
    tilt = brentq(lambda s: p @ (r * np.exp(-s * r)), 0.0, high, xtol=1e-15)
    return -math.log(float(p @ np.exp(-tilt * r)))


def _halving(log_wealth: FloatArray, p: FloatArray) -> float:
    """Lundberg's bound on the odds of ever halving the bankroll."""
    if log_wealth.min() >= 0:
        return 0.0
    if p @ log_wealth <= 0:
        return 1.0

    def excess(power: float) -> tuple[float, float]:
        """``log E W^-power`` and its slope."""
        exponents = -power * log_wealth
        top = float(exponents.max())
        parts = p * np.exp(exponents - top)
        return top + math.log(parts.sum()), -float(parts @ log_wealth) / float(parts.sum())

    power = 1.0
    while excess(power)[0] <= 0:  # convex and below 0 up to the root: from above Newton's method comes down on it
        power *= 2.0
        if power > _NEVER:
            return 0.0
    while True:
        value, slope = excess(power)
        if value <= 1e-14 * power * slope:
            return float(0.5**power)
        power -= value / slope
