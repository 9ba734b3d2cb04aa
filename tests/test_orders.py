from __future__ import annotations

import itertools
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest

from opeslike import Kelly, MinVariance, load_us20
from opeslike.errors import DataError, InfeasibleError, PortfolioError
from opeslike.orders import Fees, orders

PRICES = pd.Series({"AAPL": 150.0, "MSFT": 300.0, "BTC": 40_000.0, "SAP.DE": 100.0, "BRK-A": 600_000.0})


def exact_fees(fees: Fees, money: np.ndarray) -> np.ndarray:
    return np.where(money > 0, np.maximum(fees.minimum, fees.fixed + fees.bps / 1e4 * money), 0.0)


def brute_force(aim, price, held, cash, fees, lot, least) -> float:
    """The least deviation plus fees over every number of lots of every asset, in any direction."""
    wealth = cash + held @ price
    ranges = []
    for h, p in zip(held, price, strict=True):
        highest = int(wealth * 1.3 / p) + 1
        ranges.append([k for k in range(-int(h), highest + 1) if k % lot == 0])
    trades = np.array(list(itertools.product(*ranges)), dtype=float)
    money = np.abs(trades) * price
    paid = exact_fees(fees, money)
    aside = 0.005 * (money > 0).sum(axis=1) if fees.bps else 0.0
    left = cash - trades @ price - paid.sum(axis=1) - aside
    allowed = (left >= -1e-9) & ((money == 0) | (money >= least - 1e-9)).all(axis=1)
    deviation = np.abs((held + trades) * price - aim).sum(axis=1) + paid.sum(axis=1)
    return float(deviation[allowed].min()) if allowed.any() else np.inf


def check(seed: int, small: bool) -> None:
    """One random account: never over cash, fees right to the cent, as close to the target as can be."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7)) if small else int(rng.integers(7, 61))
    wealth = float(rng.uniform(2_000, 20_000))
    low, high = (4.5, 1.7) if small else (1_000, 10)
    price = np.round(wealth / np.exp(rng.uniform(np.log(high), np.log(low), n)), 2)
    weights = rng.dirichlet(np.ones(n)) * rng.choice([1.0, 0.9])
    weights[rng.random(n) < 0.2] = 0.0
    held = np.floor(rng.dirichlet(np.ones(n)) * wealth / price * (rng.random(n) < 0.6))
    cash = wealth - float(held @ price) if rng.random() < 0.5 else float(rng.uniform(0, wealth))
    if rng.random() < 0.1 and held.any():
        cash = -float(rng.uniform(0, 0.3)) * float(held @ price)
    fees = Fees(*rng.choice([0.0, 1.0, 5.0, 20.0], 3))
    lot, least = int(rng.choice([1, 1, 2])), float(rng.choice([0.0, 0.0, 0.1 * wealth]))
    total = cash + float(held @ price)
    if not (weights.any() or held.any()) or total <= 0:
        return
    aim = weights * total
    best = brute_force(aim, price, held, cash, fees, lot, least) if small else None
    try:
        found = orders(weights, price, cash, dict(enumerate(held)), fees=fees, lot=lot, minimum_trade=least)
    except InfeasibleError:
        assert cash < 0
        assert best in (None, np.inf)
        return
    table = found.table
    for money, fee in zip(table["money"], table["fee"], strict=True):
        plain = max(
            Decimal(fees.minimum), Decimal(fees.fixed) + Decimal(fees.bps) / 10_000 * Decimal(str(round(money, 6)))
        )
        assert Decimal(str(fee)) == plain.quantize(Decimal("0.01"), ROUND_HALF_UP)
    signed = np.where(table["action"] == "buy", 1, -1) * table["shares"].to_numpy()
    running = cash - np.cumsum(signed * table["price"] + table["fee"])
    assert found.cash >= -1e-9 * total
    assert found.cash == pytest.approx(running.iloc[-1] if len(table) else cash, abs=1e-8)
    assert cash < 0 or (running >= min(cash, 0.0) - 1e-6).all()
    assert (table["money"] >= least - 1e-9).all()
    assert (table["shares"] % lot == 0).all()
    after = found.positions["after"]
    assert (after >= 0).all()
    change = pd.Series(signed, table.index, dtype=float).reindex(after.index).fillna(0.0)
    np.testing.assert_allclose(after - found.positions["before"], change)
    if best is not None:
        reached = found.deviation + exact_fees(fees, table["money"].to_numpy()).sum()
        assert reached == pytest.approx(best, abs=1e-9 * total)


@pytest.mark.parametrize("seed", range(60))
def test_random_accounts(seed):
    check(seed, small=seed % 6 != 0)


@pytest.mark.slow
def test_two_thousand_random_accounts():
    for seed in range(100, 2_100):
        check(seed, small=seed % 8 != 0)


def test_all_of_the_cash_where_it_fits():
    found = orders({"AAPL": 0.6, "MSFT": 0.4}, PRICES, 1_500)
    assert found.cash == 0
    assert found.deviation == 0
    assert found.positions["after"].to_dict() == {"AAPL": 6, "MSFT": 2}
    assert found.growth_given_up is None


def test_sells_come_first_and_pay_for_the_rest():
    found = orders({"MSFT": 1.0}, PRICES, 0.0, {"AAPL": 40})
    assert found.table["action"].tolist() == ["sell", "buy"]
    assert found.table["shares"].tolist() == [40, 20]
    assert found.cash == 0


def test_what_is_not_in_the_target_is_sold():
    found = orders({"AAPL": 0.5}, PRICES, 0.0, {"MSFT": 10, "AAPL": 2})
    assert found.positions["after"].to_dict() == {"AAPL": 11, "MSFT": 0}
    assert found.cash == 1_650


def test_fractions_and_currencies():
    found = orders({"BTC": 0.5, "SAP.DE": 0.5}, PRICES, 10_000, fractional=("BTC",), currency={"SAP.DE": 1.08})
    assert found.positions["after"].to_dict() == {"BTC": 0.125, "SAP.DE": 46}
    assert found.table.loc["SAP.DE", "price"] == pytest.approx(108.0)
    odd = orders({"BTC": 0.3333}, PRICES, 10_000, fractional=("BTC",))
    assert odd.positions.loc["BTC", "after"] == 0.083325
    sold = orders({"AAPL": 1.0}, PRICES, 0, {"BTC": 1 / 3}, fractional=("BTC",))
    assert sold.positions.loc["BTC", "after"] == 0.0


def test_fees_count_against_what_they_mend():
    tiny = orders({"AAPL": 1.0}, PRICES, 140, {"AAPL": 10}, fees=Fees(fixed=1))
    assert tiny.table.empty
    assert "0 orders, fees 0.00, cash left 140.00" in str(tiny)
    dear = orders({"AAPL": 0.5, "MSFT": 0.5}, PRICES, 3_000, fees=Fees(fixed=400))
    assert dear.fees == 800
    assert orders({"AAPL": 0.5, "MSFT": 0.5}, PRICES, 3_000, fees=Fees(fixed=1_600)).table.empty


@pytest.mark.parametrize(
    ("terms", "money", "fee"),
    [
        ((1, 5, 3), 1_000, 3.0),
        ((1, 5, 3), 10_000, 6.0),
        ((0, 10, 0), 1_234.5, 1.23),
        ((0, 10, 0), 1_235, 1.24),
        ((0, 1, 0), 50, 0.01),
    ],
)
def test_fee_of_an_order(terms, money, fee):
    assert Fees(*terms).of(money) == fee


def test_no_dust():
    target = {"AAPL": 0.5, "MSFT": 0.5}
    held = {"AAPL": 20, "MSFT": 10}
    assert orders(target, PRICES, 300, held).table["money"].to_dict() == {"AAPL": 150}
    assert orders(target, PRICES, 300, held, minimum_trade=400).table.empty
    assert orders(target, PRICES, 300, held, minimum_trade=100).table["money"].to_dict() == {"AAPL": 150}


def test_lots_by_ticker():
    found = orders({"AAPL": 0.5, "MSFT": 0.5}, PRICES, 100_000, lot={"AAPL": 100})
    assert found.positions.loc["AAPL", "after"] == 300
    assert found.positions.loc["MSFT", "after"] in (166, 167)


def test_a_share_above_the_account_is_told():
    found = orders({"BRK-A": 0.5, "AAPL": 0.5}, PRICES, 10_000)
    assert found.positions.loc["BRK-A", "after"] == 0
    assert found.notes == ["BRK-A: a lot costs 600,000.00, over twice its target of 5,000.00; none is held."]
    assert found.notes[0] in str(found)


def test_less_than_a_lot_stays_and_is_told():
    found = orders({"MSFT": 1.0}, PRICES, 0.0, {"AAPL": 10.5})
    assert found.positions.loc["AAPL", "after"] == 0.5
    assert found.notes == ["AAPL: 0.5 shares are less than a lot and stay."]


def test_debt_is_paid_first():
    found = orders({"AAPL": 0.5, "MSFT": 0.5}, PRICES, -700, {"AAPL": 10, "MSFT": 10})
    assert found.cash >= 0
    assert set(found.table["action"]) <= {"sell", "buy"}
    with pytest.raises(InfeasibleError, match=r"cash is -100.00 and no sale of whole lots pays it"):
        orders({"AAPL": 1.0}, PRICES, -100, {"AAPL": 5}, lot=10)


def test_from_a_fitted_objective_with_what_rounding_gives_up():
    prices = load_us20().loc["2018":"2019"]
    kelly = Kelly(fraction=0.5)
    with pytest.raises(PortfolioError, match=r"Kelly has no weights yet; call optimize\(data\) first"):
        orders(kelly, prices, 5_000)
    kelly.optimize(prices)
    named = dict(zip(kelly.tickers, kelly.weights, strict=True))
    moves = prices.pct_change(fill_method=None).iloc[1:]
    found = orders(kelly, prices, 5_000)
    growth = lambda w: float(np.log1p(moves[w.index] @ w).mean())  # noqa: E731
    capped = Kelly()
    capped.optimize(prices, weight_bounds=(0, 0.2))
    whole = orders(capped, prices, 5_000)
    lost = growth(pd.Series(capped.weights, prices.columns)) - growth(whole.positions["weight"])
    assert 0 < lost <= whole.growth_given_up <= lost + 1e-9
    told = orders(kelly, prices, 5_000, growth=growth)
    pd.testing.assert_frame_equal(told.table, found.table)
    expected = growth(found.positions["target"]) - growth(found.positions["weight"])
    assert told.growth_given_up == expected
    assert "growth given up" in told.summary
    cautious = MinVariance()
    cautious.optimize(prices)
    assert orders(cautious, prices, 5_000).growth_given_up is None
    assert found.positions["target"].sum() == pytest.approx(0.5)
    assert found.positions["target"].to_dict() == pytest.approx({name: w for name, w in named.items() if w > 0})


def test_weights_and_prices_of_any_kind_give_the_same():
    prices = pd.DataFrame({"A": [9.0, 10.0], "B": [21.0, 20.0]}, pd.bdate_range("2024-01-01", periods=2))
    expected = orders({"A": 0.3, "B": 0.7}, {"A": 10, "B": 20}, 1_000).table
    for weights in (np.array([0.3, 0.7]), [0.3, 0.7], pd.Series({"B": 0.7, "A": 0.3})):
        pd.testing.assert_frame_equal(orders(weights, prices, 1_000).table.sort_index(), expected.sort_index())
    fields = pd.concat({"Close": prices, "Open": prices + 1}, axis=1)
    pd.testing.assert_frame_equal(orders([0.3, 0.7], fields, 1_000).table, expected)


def test_sixty_assets_within_the_time_and_proved():
    rng = np.random.default_rng(0)
    found = orders(rng.dirichlet(np.ones(60)), np.exp(rng.normal(4, 1, 60)), 50_000, fees=Fees(1, 5, 3))
    assert not any("Time ran out" in note for note in found.notes)
    assert found.cash >= 0


def test_shown_in_notebooks():
    found = orders({"<b>": 1.0}, {"<b>": 10.0}, 100, growth=lambda w: 0.0)
    page = found._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert repr(found).startswith("Orders(1 order, fees 0.00, cash left 0.00")
    copy = found.to_frame()
    copy["fee"] = 9
    assert found.table["fee"].sum() == 0


GOOD = {"weights": {"AAPL": 0.5, "MSFT": 0.5}, "prices": PRICES, "cash": 1_000.0}


@pytest.mark.parametrize(
    ("terms", "error", "message"),
    [
        ({"weights": {"AAPL": 1.5}}, PortfolioError, "sum to 1.5, above 1: orders never borrow"),
        ({"weights": {"AAPL": -0.5}}, PortfolioError, "the weight of AAPL is -0.5"),
        ({"weights": {"AAPL": np.nan}}, PortfolioError, "the weight of AAPL is nan"),
        ({"weights": {"AAPL": "much"}}, PortfolioError, "weights are not numbers by ticker"),
        ({"weights": [0.5, 0.5]}, PortfolioError, "2 weights for 5 prices"),
        ({"weights": {}}, PortfolioError, "nothing to trade"),
        ({"weights": {"GOOG": 1.0}}, DataError, "no price for GOOG; give one"),
        ({"holdings": {"GOOG": 1.0}}, DataError, "no price for GOOG"),
        ({"prices": {"AAPL": 0.0, "MSFT": 1.0}}, DataError, "no price for AAPL"),
        ({"prices": "cheap"}, DataError, "prices are not numbers by ticker"),
        ({"prices": pd.Series([1.0, 2.0], ["AAPL", "AAPL"])}, DataError, "prices name AAPL twice"),
        ({"holdings": {"AAPL": -3}}, PortfolioError, r"holdings of AAPL=-3.0 must be a finite number >= 0"),
        ({"holdings": {"AAPL": np.nan}}, PortfolioError, "holdings of AAPL=nan"),
        ({"holdings": {"AAPL": "few"}}, PortfolioError, "holdings are not numbers by ticker"),
        ({"cash": 0.0}, PortfolioError, "worth 0.00; there is nothing to invest"),
        ({"cash": "lots"}, PortfolioError, "cash must be a finite number, got 'lots'"),
        ({"lot": 0}, PortfolioError, "lot of AAPL=0 must be a finite number > 0"),
        ({"lot": {"MSFT": -1}}, PortfolioError, "lot of MSFT=-1"),
        ({"currency": {"AAPL": 0}}, PortfolioError, "currency of AAPL=0 must be a finite number > 0"),
        ({"minimum_trade": -1}, PortfolioError, "minimum_trade=-1"),
        ({"time_limit": 0}, PortfolioError, "time_limit=0 must be a finite number > 0"),
    ],
)
def test_what_cannot_be_is_told(terms, error, message):
    with pytest.raises(error, match=message):
        orders(**{**GOOD, **terms})


def test_no_price_today_names_the_date():
    prices = pd.DataFrame({"AAPL": [9.0, np.nan], "MSFT": [3.0, 4.0]}, pd.bdate_range("2024-01-01", periods=2))
    with pytest.raises(DataError, match="no price for AAPL on 2024-01-02"):
        orders(GOOD["weights"], prices, 1_000)
    with pytest.raises(PortfolioError, match="bps=-1"):
        Fees(bps=-1)
