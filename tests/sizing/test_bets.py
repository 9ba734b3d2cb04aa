"""Bets, races and cards, and what to stake on them: closed forms, brute force, and money."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from opeslike import Kelly, KLRobustKelly, Mandate, RiskConstrainedKelly
from opeslike.errors import PortfolioError
from opeslike.kl import relative_entropy
from opeslike.sizing import Bet, Card, Race, decimal_odds, kelly_binary, kelly_payout, stakes
from opeslike.sizing.bets import MAX_OUTCOMES

CASH = Mandate(leverage=1)
EACH_WAY = Bet(p=0.2, odds="5/1", place=0.5, name="each way")


def random_race(generator: np.random.Generator, margin: float) -> Race:
    count = int(generator.integers(2, 13))
    p, market = generator.dirichlet(np.ones(count)), generator.dirichlet(np.full(count, 3.0))
    return Race(
        {f"horse {i}": (p[i], max(1.01, 1.0 / (margin * (0.6 * market[i] + 0.4 * p[i])))) for i in range(count)}
    )


def random_card(generator: np.random.Generator, count: int, edge: float = 0.12) -> Card:
    p = generator.uniform(0.15, 0.75, count)
    return sum(Bet(chance, (1.0 + generator.uniform(-0.03, edge)) / chance) for chance in p)


def by_hand(card: Card) -> tuple[np.ndarray, np.ndarray]:
    """Returns and probabilities of the joint outcomes, one after the other."""
    parts = [range(len(event.outcomes.probabilities)) for event in card.events]
    rows, chances = [], []
    for outcome in itertools.product(*parts):
        picked = [(event.outcomes, k) for event, k in zip(card.events, outcome, strict=True)]
        rows.append(np.concatenate([own.returns[k] for own, k in picked]))
        chances.append(math.prod(own.probabilities[k] for own, k in picked))
    return np.array(rows), np.array(chances)


# --- odds ---


@pytest.mark.parametrize(
    ("odds", "decimal"),
    [
        *((2.5, 2.5), ("2.5", 2.5), (3, 3.0), ("+150", 2.5), ("-200", 1.5), ("+100", 2.0), ("-100", 2.0)),
        *(("5/2", 3.5), ("1/5", 1.2), (" 11 / 8 ", 2.375), ("evens", 2.0), ("Evs", 2.0), (np.float64(1.01), 1.01)),
    ],
)
def test_odds_of_every_notation(odds, decimal):
    assert decimal_odds(odds) == pytest.approx(decimal, rel=1e-15)


@pytest.mark.parametrize(
    "odds", [1.0, 0.5, -110, "1", "0/5", "5/0", "+50", "-99", "", "two", "2,5", None, True, math.inf, math.nan, "+1e3"]
)
def test_odds_that_are_none(odds):
    with pytest.raises(PortfolioError, match="odds"):
        decimal_odds(odds)


# --- single bets ---


@pytest.mark.parametrize(
    ("p", "odds", "share"), [(0.52, 2.0, 0.04), (0.53, 2.0, 0.06), (0.51, 2.25, 0.118), (1.0, 3, 1)]
)
def test_coins_of_thorp_and_busseti(p, odds, share):
    # Thorp (2006), section 2; Busseti, Ryu and Boyd (2016), section 5.3
    found = stakes(Bet(p, odds), bankroll=200)
    assert found.table["stake"].to_numpy() == pytest.approx([200 * share], abs=1e-12)
    assert (found.solver, found.gap) == ("closed-form", pytest.approx(0, abs=1e-15))


def test_growth_of_the_coin():
    assert stakes(Bet(0.53, "evens")).growth == pytest.approx(0.00180108, abs=5e-9)
    assert RiskConstrainedKelly(lam=3.0, mandate=CASH).optimize(
        (Bet(0.51, 2.25) + Bet(0.1, 2)).market()
    ) == pytest.approx([0.058925, 0], abs=1e-6)


@pytest.mark.parametrize(("p", "odds"), [(0.3, 4.1), (0.6, 1.9), (0.05, 40.0), (0.4, 2.4), (0.9, 1.05)])
def test_a_bet_is_the_binary_kelly(p, odds):
    share = stakes(Bet(p, odds)).table["share"].iloc[0]
    assert share == pytest.approx(max(kelly_binary(p, odds - 1), 0), abs=1e-14)
    assert share == pytest.approx(kelly_payout(p, odds), abs=1e-14)
    # through the solver: beside another bet that is decided apart, the stake is nearly that, and certified
    both = stakes(Bet(p, odds) + Bet(0.5, 2.02))
    assert both.gap < 1e-9
    if share > 0:
        assert both.table["share"].iloc[0] == pytest.approx(share, rel=1e-2)


def test_a_lay_is_a_bet_on_the_other_side():
    lay, back = (
        stakes(Bet(0.2, 4.5, commission=0.02, lay=True), bankroll=100),
        stakes(Bet(0.8, 1 + 0.98 / 3.5), bankroll=100),
    )
    assert lay.table["at_risk"].iloc[0] == pytest.approx(back.table["stake"].iloc[0], rel=1e-12)
    assert lay.table["stake"].iloc[0] * 3.5 == pytest.approx(lay.table["at_risk"].iloc[0], rel=1e-12)
    assert lay.growth == pytest.approx(back.growth, rel=1e-12)
    assert lay.table["side"].tolist() == ["lay"]
    assert lay.table["probability"].tolist() == [0.2]
    # what the exchange pays: 0.98 of the backer's stake where he loses, the liability where he wins
    stake = lay.table["stake"].iloc[0]
    assert lay.profit == pytest.approx(0.8 * 0.98 * stake - 0.2 * 3.5 * stake, rel=1e-12)


def test_commission_is_taken_from_winnings():
    assert stakes(Bet(0.5, 2.2, commission=0.05)).table["share"].iloc[0] == pytest.approx(
        stakes(Bet(0.5, 1 + 0.95 * 1.2)).table["share"].iloc[0], rel=1e-13
    )
    race = {"A": (0.5, 2.3), "B": (0.3, 3.6), "C": (0.2, 3)}
    after = {name: (p, 1 + 0.97 * (odds - 1)) for name, (p, odds) in race.items()}
    taken, plain = stakes(Race(race, commission=0.03)), stakes(Race(after))
    assert taken.table["share"].to_numpy() == pytest.approx(plain.table["share"].to_numpy(), abs=1e-13)


def test_each_way_is_two_halves():
    own = EACH_WAY.outcomes
    assert own.probabilities == pytest.approx([0.2, 0.3, 0.5], rel=1e-14)
    assert own.returns.ravel() == pytest.approx([(5 + 1.25) / 2, (-1 + 1.25) / 2, -1], rel=1e-14)
    share = stakes(EACH_WAY).table["share"].iloc[0]
    by_slope = brentq(
        lambda w: own.probabilities @ (own.returns[:, 0] / (1 + w * own.returns[:, 0])), 0, 0.9, xtol=1e-15
    )
    assert share == pytest.approx(by_slope, abs=1e-9)


# --- races ---


def exact_race(p: list[float], odds: list[float]) -> list[Fraction]:
    """Smoczynski and Tomkins (2010), in fractions: runners join while p o exceeds the reserve."""
    chances, paid = [Fraction(one) for one in p], [Fraction(one) for one in odds]
    total = sum(chances)
    chances = [one / total for one in chances]
    order = sorted(range(len(p)), key=lambda i: -chances[i] * paid[i])
    reserve, inside = Fraction(1), []
    for i in order:
        if chances[i] * paid[i] <= reserve:
            break
        inside.append(i)
        reserve = (1 - sum(chances[j] for j in inside)) / (1 - sum(1 / paid[j] for j in inside))
    return [chances[i] - reserve / paid[i] if i in inside else Fraction(0) for i in range(len(p))]


def test_a_thousand_races_have_the_closed_form():
    generator = np.random.default_rng(2010)
    bet_on = 0
    for _ in range(1000):
        race = random_race(generator, generator.uniform(1.01, 1.25))
        found = stakes(race)
        exact = [float(share) for share in exact_race(*zip(*race.runners.values(), strict=True))]
        assert found.table["share"].to_numpy() == pytest.approx(exact, abs=1e-12)
        assert 0 <= found.gap < 1e-12
        bet_on += sum(share > 0 for share in exact)
    assert bet_on > 1000


def test_the_solver_finds_the_closed_form_of_races():
    generator = np.random.default_rng(2011)
    for _ in range(200):
        race = random_race(generator, generator.uniform(1.01, 1.25))
        market, kelly = Card((race,)).market(), Kelly(mandate=CASH)
        shares = kelly.optimize(market)
        found = stakes(race)
        assert -kelly.solution.value == pytest.approx(found.growth, abs=1e-12)
        assert shares == pytest.approx(found.table["share"].to_numpy(), abs=1e-6)


def test_at_fair_odds_the_bettor_stakes_his_probabilities():
    p, q = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.4, 0.35, 0.2, 0.05])
    found = stakes(Race({i: (p[i], 1 / q[i]) for i in range(4)}))
    assert found.table["share"].to_numpy() == pytest.approx(p, abs=1e-14)
    assert found.growth == pytest.approx(relative_entropy(p, q), abs=1e-14)
    assert found.no_bet_radius == pytest.approx(relative_entropy(q, p), abs=1e-14)
    half = stakes(Race({i: (p[i], 1 / q[i]) for i in range(4)}), fraction=0.5)
    assert half.table["share"].to_numpy() == pytest.approx(p / 2, abs=1e-14)


def test_odds_without_margin_take_the_whole_bankroll():
    race = Race({"A": (0.5, 2.2), "B": (0.3, 3.5), "C": (0.2, 4.0)})
    found = stakes(race, radius=3.0)
    assert stakes(race).table["share"].to_numpy() == pytest.approx([0.5, 0.3, 0.2], abs=1e-15)
    assert found.no_bet_radius == math.inf
    assert found.worst_growth == pytest.approx(-math.log(1 / 2.2 + 1 / 3.5 + 1 / 4), abs=1e-6)
    assert found.halving == 0
    assert "no radius ends all betting" in str(found)


def test_nobody_may_win():
    """What the probabilities leave is for none of the runners."""
    part = stakes(Race({"home": (0.5, 2.2), "away": (0.2, 4.0)}))
    whole = stakes(Race({"home": (0.5, 2.2), "away": (0.2, 4.0), "draw": (0.3, 1.01)}))
    assert part.table["share"].to_numpy() == pytest.approx(whole.table["share"].to_numpy()[:2], abs=1e-14)
    assert part.growth == pytest.approx(whole.growth, rel=1e-12)


@pytest.mark.parametrize("radius", [0, 0.05])
def test_margins_that_allow_no_bet_give_none(radius):
    market = np.array([0.45, 0.3, 0.15, 0.1])
    race = Race({i: (market[i], 1 / (1.05 * market[i])) for i in range(4)})
    found = stakes(race + Bet(0.5, "-110") + Bet(0.25, 4.1, lay=True) + Bet(0.5, 2), radius=radius, bankroll=1000)
    assert (found.table["stake"] == 0).all()
    assert (found.growth, found.worst_growth, found.gap, found.halving, found.no_bet_radius) == (0, 0, 0, 0, 0)
    assert found.notes == ("no bet has an edge at these odds, so none is made",)
    assert found.notes[0] in str(found)


# --- cards ---


def test_joint_outcomes():
    card = Race({"A": (0.5, 2.2), "B": (0.3, 3.5)}) + EACH_WAY + Bet(0.2, 4.5, lay=True, name="lay") + Bet(0.6, 1.8)
    market = card.market()
    rows, chances = by_hand(card)
    assert market.n_scenarios == 3 * 3 * 2 * 2
    assert market.returns == pytest.approx(rows, rel=1e-15)
    assert market.probabilities == pytest.approx(chances, rel=1e-13)
    assert market.assets == ("A", "B", "each way", "lay", "bet 5")
    assert (Bet(1.0, 2) + Bet(0.5, 3)).market().n_scenarios == 2  # what cannot happen is no scenario


@pytest.mark.parametrize("seed", range(3))
def test_ten_bets_against_brute_force(seed):
    card = random_card(np.random.default_rng(seed), 10)
    rows, p = by_hand(card)
    found = stakes(card)

    def loss(w):
        wealth = 1 + rows @ w
        return -p @ np.log(wealth), -(p / wealth) @ rows

    budget = {"type": "ineq", "fun": lambda w: 0.999 - w.sum(), "jac": lambda w: -np.ones(10)}
    start, options = np.full(10, 0.02), {"ftol": 1e-15, "maxiter": 500}
    brute = minimize(loss, start, jac=True, method="SLSQP", bounds=[(0, 1)] * 10, constraints=budget, options=options)
    assert found.growth == pytest.approx(-brute.fun, abs=1e-11)
    assert found.table["share"].to_numpy() == pytest.approx(brute.x, abs=1e-5)
    # first-order conditions of the concave problem, which leave no room for anything better
    worth = (p / (1 + rows @ found.table["share"].to_numpy())) @ rows
    assert worth.max() < 1e-9
    assert np.abs(worth[found.table["share"].to_numpy() > 0]).max() < 1e-9


@pytest.mark.parametrize(("seed", "part"), [(0, 0.1), (1, 0.4), (2, 0.8)])
def test_robust_bets_against_brute_force(seed, part):
    card = random_card(np.random.default_rng(seed), 6)
    rows, p = by_hand(card)
    radius = part * stakes(card).no_bet_radius
    found = stakes(card, radius=radius)

    def loss(x):  # the dual of Hu and Hong (2013): min over a of a log E exp(loss / a) + a radius, x = (w, log a)
        w, a = x[:-1], math.exp(x[-1])
        losses = -np.log(1 + rows @ w) / a
        tilted = p * np.exp(losses - losses.max())
        value = losses.max() + math.log(tilted.sum())
        q = tilted / tilted.sum()
        return a * (value + radius), np.append(-(q / (1 + rows @ w)) @ rows, a * (value + radius - q @ losses))

    start, bounds = np.append(np.full(6, 0.02), 0.0), [(0, 0.16)] * 6 + [(-8, 4)]
    brute = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-16, "gtol": 1e-12})
    assert found.worst_growth == pytest.approx(-brute.fun, abs=1e-9)
    assert found.table["share"].to_numpy() == pytest.approx(brute.x[:-1], abs=1e-4)
    assert found.gap < 1e-9


@pytest.mark.parametrize(("p", "odds", "radius"), [(0.6, 2.0, 0.01), (0.3, 4.2, 0.005), (0.55, 2.1, 0.002)])
def test_a_robust_coin_is_the_coin_at_its_worst(p, odds, radius):
    worst = brentq(lambda q: relative_entropy(np.array([q, 1 - q]), np.array([p, 1 - p])) - radius, 1e-6, p, xtol=1e-15)
    found = stakes(Bet(p, odds), radius=radius)
    assert found.table["share"].iloc[0] == pytest.approx(worst - (1 - worst) / (odds - 1), abs=1e-7)
    even = np.array([1 / odds, 1 - 1 / odds])
    assert found.no_bet_radius == pytest.approx(relative_entropy(even, np.array([p, 1 - p])), rel=1e-12)


@pytest.mark.parametrize(
    "event",
    [Race({"A": (0.5, 2.2), "B": (0.3, 3.5), "C": (0.2, 3.6)}), Race({"A": (0.5, 2.3), "B": (0.2, 3.5)}), EACH_WAY],
    ids=["race", "race with nobody", "each way"],
)
def test_the_radius_that_ends_betting(event):
    own = event.outcomes
    p, r = own.probabilities, own.returns
    limits = [
        {"type": "eq", "fun": lambda q: q.sum() - 1},
        {"type": "ineq", "fun": lambda q: -q @ r, "jac": lambda q: -r.T},
    ]
    near = minimize(
        lambda q: q @ np.log(q / p),
        p,
        method="SLSQP",
        bounds=[(1e-9, 1)] * len(p),
        constraints=limits,
        options={"ftol": 1e-14},
    )
    assert stakes(event).no_bet_radius == pytest.approx(near.fun, rel=1e-5)
    both = Card((event, *(Bet(0.55, 2) + Bet(0.3, 3.5))._events))
    radius = stakes(both).no_bet_radius
    assert radius == pytest.approx(sum(stakes(one).no_bet_radius for one in both.events), rel=1e-12)
    assert stakes(both, radius=0.9 * radius).table["share"].sum() > 1e-3
    assert KLRobustKelly(1.0, 1.001 * radius, mandate=CASH).optimize(both.market()).sum() < 1e-7
    ended = stakes(both, radius=1.001 * radius)
    assert (ended.table["stake"] == 0).all()
    assert "no edge survives radius" in ended.notes[0]


@pytest.mark.parametrize("radius", [0, 0.004])
def test_events_without_an_edge_are_left_out_exactly(radius):
    live = Bet(0.55, 2) + Race({"A": (0.5, 2.2), "B": (0.3, 3.5), "C": (0.2, 3.6)})
    card = live + Bet(0.4, 2.4) + Race({"D": (0.5, 1.9), "E": (0.5, 1.95)})
    found, alone = stakes(card, radius=radius), stakes(live, radius=radius)
    assert found.outcomes == alone.outcomes == 6
    assert found.growth == pytest.approx(alone.growth, rel=1e-14)
    objective = KLRobustKelly(1.0, radius, mandate=CASH) if radius else Kelly(mandate=CASH)
    assert objective.optimize(card.market()) == pytest.approx(found.table["share"].to_numpy(), abs=1e-7)
    assert -objective.solution.value == pytest.approx(found.worst_growth, abs=1e-12)


@pytest.mark.parametrize("radius", [0.0, 0.01, 0.04])
def test_fifteen_bets_at_once(radius):
    generator = np.random.default_rng(0)
    p = generator.uniform(0.2, 0.7, 15)
    card = sum(Bet(chance, (1 + generator.uniform(0.01, 0.15)) / chance) for chance in p)
    found = stakes(card, radius=radius)
    assert found.outcomes == 1 << 15
    assert found.gap < 1e-10
    assert found.solver == "active-set"  # the guess is so near that Newton's method starts there
    assert found.table["share"].sum() < 1
    if radius == 0:
        returns, chances = card.market().returns, card.market().probabilities
        assert np.abs((chances / (1 + returns @ found.table["share"].to_numpy())) @ returns).max() < 1e-9


def test_too_many_outcomes():
    many = sum(Bet(0.5, 2.1) for _ in range(19))
    for enumerated in (many.market, lambda: stakes(many)):
        with pytest.raises(PortfolioError, match=f"524,288 joint outcomes, and at most {MAX_OUTCOMES:,}"):
            enumerated()
    assert stakes(sum(Bet(0.5, 1.9) for _ in range(60)) + Bet(0.5, 2.1)).outcomes == 2  # those without an edge are free


# --- money ---


def test_fractions_steps_and_minimum():
    card = Bet(0.55, 2.1, name="A") + Bet(0.31, "+250", name="B") + Bet(0.2, 4.5, lay=True, name="C")
    full = stakes(card, bankroll=1000)
    half = stakes(card, fraction=0.5, bankroll=1000)
    assert half.table["stake"].to_numpy() == pytest.approx(full.table["stake"].to_numpy() / 2, rel=1e-12)
    stepped = stakes(card, fraction=0.5, bankroll=1000, step=0.25)
    short = half.table["stake"] - stepped.table["stake"]
    assert ((short >= 0) & (short < 0.25)).all()
    assert (stepped.table["stake"] % 0.25 == 0).all()
    dropped = stakes(card, fraction=0.5, bankroll=1000, step=0.25, minimum=30)
    kept = stepped.table["stake"].where(stepped.table["stake"] >= 30, 0.0)
    assert dropped.table["stake"].tolist() == kept.tolist()
    assert (kept == 0).any()
    assert (kept > 0).any()
    assert dropped.notes == (f"too small to be staked: {', '.join(kept.index[kept == 0])}",)
    # growth, profit and odds are those of what is really staked
    rows, p = by_hand(card)
    gains = rows @ (dropped.table["at_risk"].to_numpy() / 1000)
    assert dropped.growth == pytest.approx(p @ np.log1p(gains), rel=1e-12)
    assert dropped.profit == pytest.approx(1000 * p @ gains, rel=1e-12)
    assert dropped.growth < half.growth < full.growth


def test_a_whole_number_of_steps_is_not_rounded_away():
    assert stakes(Bet(0.53, 2.0), bankroll=1000, step=0.1).table["stake"].tolist() == [60.0]
    assert stakes(Bet(0.6, 2.0), bankroll=100, step=20).table["stake"].tolist() == [20.0]


def test_stakes_never_exceed_the_bankroll():
    generator = np.random.default_rng(5)
    for number in range(40):
        race = random_race(generator, generator.uniform(0.9, 1.1))
        card = race + Bet(0.2, 4.4, lay=True) + EACH_WAY + Bet(0.7, generator.uniform(1.3, 2.5))
        found = stakes(card, radius=0.01 * (number % 3), bankroll=50)
        rows, _ = by_hand(card)
        risked = found.table["at_risk"].to_numpy()
        assert (risked >= 0).all()
        assert risked.sum() <= 50 * (1 + 1e-12)
        assert (50 + rows @ risked >= -1e-10).all()
        assert found.growth > 0


def test_odds_of_halving():
    coin = Bet(0.6, 2.0)
    assert stakes(coin).halving == pytest.approx(0.5, rel=1e-12)  # full Kelly: E 1/W = 1
    half = stakes(coin, fraction=0.5)
    power = brentq(lambda x: 0.6 * 1.1**-x + 0.4 * 0.9**-x - 1, 1, 10, xtol=1e-14)
    assert half.halving == pytest.approx(0.5**power, rel=1e-10)
    assert half.halving == pytest.approx(0.5 ** (2 / 0.5 - 1), rel=0.05)  # the continuous model, ORACLES 2
    moves = np.where(np.random.default_rng(1).random((20_000, 400)) < 0.6, math.log(1.1), math.log(0.9))
    seen = float((np.cumsum(moves, axis=1).min(axis=1) <= math.log(0.5)).mean())
    assert 0.8 * half.halving < seen < half.halving
    sized = stakes(Bet(0.51, 2.0) + Bet(0.5, 2.001), step=0.03, bankroll=1)
    assert (sized.growth, sized.halving) == (0, 0)


def test_what_is_shown():
    found = stakes(Bet(0.55, 2.1, name="<b>bold</b>") + EACH_WAY, fraction=0.5, radius=0.002, bankroll=1000, step=1)
    text = str(found)
    assert "each-way" in text
    assert f"{found.table['stake'].iloc[0]:,.2f}" in text
    assert f"growth {found.growth:.3%} a card, {found.worst_growth:.3%} at worst within radius 0.002" in text
    assert f"{found.gap:.1e}" in text
    page = found._repr_html_()
    assert page.startswith("<table>")
    assert "<b>" not in page
    frame = found.to_frame()
    assert list(frame.columns) == ["side", "probability", "odds", "edge", "stake", "at_risk", "share"]
    frame.loc[:, "stake"] = 0.0
    assert found.table["stake"].sum() > 0
    assert repr(found).startswith("Stakes(at risk ")


# --- names and checks ---


def test_cards_add_up():
    bet, race = Bet(0.5, 2.1), Race({"A": (0.5, 2.2)}, name="first")
    card = bet + race + bet
    assert card.names == ("bet 1", "first A", "bet 3")
    assert (card + (bet + bet)).names == ("bet 1", "first A", "bet 3", "bet 4", "bet 5")
    assert repr(card) == "Bet(p=0.5, odds=2.1) + Race(runners={'A': (0.5, 2.2)}, name='first') + Bet(p=0.5, odds=2.1)"
    assert sum([bet, race]).names == ("bet 1", "first A")
    assert bet.set_params(p=0.6).p == 0.6
    assert bet.p == 0.5
    assert Bet(**Bet(0.31, "+250", commission=0.02).get_params()).odds == "+250"
    with pytest.raises(TypeError):
        bet + 1
    with pytest.raises(PortfolioError, match="two bets on the card are called 'A'"):
        Race({"A": (0.5, 2.2)}) + Race({"A": (0.5, 2.2)})


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Bet(1.2, 2), "p=1.2"),
        (lambda: Bet(0.5, 2, commission=1), "commission=1"),
        (lambda: Bet(0.5, 2, lay=1), "lay=1"),
        (lambda: Bet(0.5, 2, place=0.4), "place=0.4"),
        (lambda: Bet(0.5, 2, place=0.6, place_terms=0), "place_terms=0"),
        (lambda: Bet(0.5, 2, place=0.6, lay=True), "cannot be laid"),
        (lambda: Race({}), "a race maps names"),
        (lambda: Race({"A": 0.5}), "runner A: needs"),
        (lambda: Race({"A": (0.5, "x")}), "runner A: odds='x'"),
        (lambda: Race({"A": (0.6, 2), "B": (0.5, 2)}), "A, B sum to 1.1, above 1"),
        (lambda: Card(()), "at least one"),
        (lambda: stakes(0.5), "got float"),
        (lambda: stakes(Bet(0.5, 2), fraction=1.5), "fraction=1.5"),
        (lambda: stakes(Bet(0.5, 2), radius=-1), "radius=-1"),
        (lambda: stakes(Bet(0.5, 2), bankroll=0), "bankroll=0"),
        (lambda: stakes(Bet(0.5, 2), minimum=-1), "minimum=-1"),
        (lambda: stakes(Bet(0.5, 2), step=math.nan), "step=nan"),
    ],
)
def test_what_is_refused(made, words):
    with pytest.raises(PortfolioError, match=words):
        made()
