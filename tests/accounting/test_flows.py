"""Money paid in and taken out: the ledger against plain bookkeeping of positions, and the owner's return."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester, Kelly, Mandate, Uniform, compare, load_us20
from opeslike.accounting.bands import Bands
from opeslike.accounting.flows import Monthly, flows_at, money_weighted
from opeslike.accounting.overlays import DrawdownScaling
from opeslike.errors import DataError, PortfolioError, RuinWarning
from opeslike.strategies import BuyAndHold, EqualWeight, Sized

PRICES = load_us20(tickers="AAPL JPM XOM GE", start="2015", end="2018-12-31")
TRAIN, TEST = PRICES[:"2016"], PRICES["2017":]


def account(flows: Any, capital: float = 100_000.0, **terms: Any) -> Backtester:
    return Backtester(TRAIN, TEST, initial_capital=capital, flows=flows, **terms)


def bookkeeping(result: Any, prices: np.ndarray, flows: np.ndarray, trades: np.ndarray, rates: Any, bps: float) -> Any:
    """Wealth at P_0..P_H from shares and cash alone; targets are the weights of the result at its trading dates."""
    shares, cash = [0.0] * prices.shape[1], result.initial_capital
    wealth, worths = [cash], [cash]
    for t in range(len(prices) - 1):
        worth = [n * p for n, p in zip(shares, prices[t].tolist(), strict=True)]
        total = math.fsum([*worth, cash])
        if trades[t]:
            wanted = [w * total for w in result["weights"][t].tolist()]
        elif flows[t]:  # in proportion to what was held before the flow came
            grown = total / (total - flows[t])
            wanted = [one * grown for one in worth]
        else:
            wanted = worth
        traded = math.fsum(abs(a - b) for a, b in zip(wanted, worth, strict=True))
        paid = traded * bps / 1e4
        kept = 1.0 - paid / total  # costs shrink all holdings alike
        shares = [kept * one / p for one, p in zip(wanted, prices[t].tolist(), strict=True)]
        cash = kept * (total - math.fsum(wanted))
        cash += cash * (rates[0][t] if cash >= 0 else rates[1][t])
        before = math.fsum([*(n * p for n, p in zip(shares, prices[t + 1].tolist(), strict=True)), cash])
        wealth.append(before + flows[t + 1])
        worths.append(before)
        cash += flows[t + 1]
    return np.array(wealth), np.array(worths)


@pytest.mark.parametrize("every", [1, 7, 63, 10_000])
@pytest.mark.parametrize("leverage", [None, 1.0, 1.6])
def test_wealth_is_that_of_shares_and_cash(every: int, leverage: float | None) -> None:
    rng = np.random.default_rng(every)
    days = TEST.index[np.sort(rng.choice(np.arange(1, len(TEST)), 60, replace=False))]
    flows = pd.Series(rng.normal(0, 3_000, 60), days)
    terms = {"risk_free": 0.02, "borrow_spread": 0.03, "cost": {"const": 15}}
    strategy = Kelly(mandate=Mandate(leverage=leverage)) if leverage else Uniform()
    run = account(flows, **terms)
    result = run.backtest(strategy, rebalance_freq=every, reopt_freq=63)
    money = flows_at(flows, TEST.index)
    trades = np.arange(len(TEST) - 1) % every == 0
    rates = [(1 + rate) ** (1 / 252) - 1 for rate in (0.02, 0.05)]
    daily = [[rate] * len(TEST) for rate in rates]
    wealth, before = bookkeeping(result, TEST.to_numpy(), money, trades, daily, 15)
    assert result.initial_capital == 100_000
    np.testing.assert_allclose(result["wealth"], wealth[1:], rtol=1e-12)
    np.testing.assert_allclose(result["returns"], before[1:] / wealth[:-1] - 1, atol=1e-13)
    np.testing.assert_array_equal(result.flows, money[1:])
    change = np.diff(wealth)
    np.testing.assert_allclose(result.contributions.sum(axis=1), change, atol=1e-9)
    others = result.contributions[["cash and financing", "paid in less taken out"]].to_numpy().sum()
    assert result.trades["profit"].sum() == pytest.approx(change.sum() - others, abs=1e-8)


@pytest.mark.parametrize("every", [1, 21, 10_000])
def test_free_trading_makes_returns_of_any_flows_those_of_none(every: int) -> None:
    strategy = Sized(BuyAndHold(), EqualWeight()) if every == 10_000 else Uniform()
    free = {"cost": {"const": 0}}
    plain = account(None, **free).backtest(strategy, rebalance_freq=every)
    flown = account(Monthly(-1_500, inflation=0.02), **free).backtest(strategy, rebalance_freq=every)
    np.testing.assert_allclose(flown["returns"], plain["returns"], atol=1e-14)
    np.testing.assert_allclose(flown["weights"], plain["weights"], atol=1e-14)
    np.testing.assert_allclose(flown["wealth"], flown.with_flows(plain["returns"])[1:], rtol=1e-12)
    assert flown["wealth"][-1] < plain["wealth"][-1]
    none = account(pd.Series([0.0], TEST.index[5:6]), **free).backtest(strategy, rebalance_freq=every)
    np.testing.assert_allclose(none["wealth"], plain["wealth"], rtol=1e-13)


def test_money_enters_at_the_close_of_its_date_or_the_next() -> None:
    monday = TEST.index[4]  # 2017-01-09
    flows = pd.Series(
        [100.0, 7.0, 50.0], [monday - pd.Timedelta(days=1), TEST.index[-1], monday - pd.Timedelta(days=2)]
    )
    result = account(flows, 1_000.0).backtest(Uniform())
    assert result.flows[result.flows != 0].to_dict() == {monday: 150.0, TEST.index[-1]: 7.0}
    same = account(None, 1_000.0).backtest(Uniform())
    np.testing.assert_array_equal(result["wealth"][:3], same["wealth"][:3])
    assert result.wealth[monday] == same.wealth[monday] + 150.0
    assert result["returns"][3] == same["returns"][3]


def test_what_lies_outside_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    days = [TEST.index[0], TEST.index[3], TEST.index[-1] + pd.Timedelta(days=1)]
    result = account(pd.Series([1.0, 2.0, 3.0], days)).backtest(Uniform())
    assert result.flows.sum() == 2.0
    assert "flows on or before 2017-01-03 or after 2018-12-31 left out: 2017-01-03, 2019-01-01" in caplog.text


def test_a_month_pays_at_its_last_close_and_grows_with_prices() -> None:
    money = pd.Series(flows_at(Monthly(100, inflation=0.12), TEST.index), TEST.index)
    ends = TEST.index.to_series().groupby(TEST.index.to_period("M")).last()
    paid = money[money != 0]
    assert list(paid.index) == list(ends)
    np.testing.assert_allclose(paid, 100 * 1.12 ** (np.arange(24) / 12), rtol=1e-15)
    assert flows_at(Monthly(100), TEST.index[:5]).sum() == 0
    assert repr(Monthly(-5)) == "Monthly(amount=-5)"


def test_a_withdrawal_of_more_than_there_is_ends_the_account() -> None:
    with pytest.warns(
        RuinWarning, match=r"Uniform ran out of money on 2017-\d\d-\d\d, with [\d,.]+ left for a withdraw"
    ):
        result = account(Monthly(-1_000), 5_500.0).backtest(Uniform(), rebalance_freq=5)
    date = result.ruin_date
    paid = result.flows[result.flows != 0]
    assert paid.index[-1] == date
    assert (paid[:-1] == -1_000).all()
    assert -1_000 < paid.iloc[-1] < 0
    assert (result.wealth[date:] == 0).all()
    assert (result.wealth[: date - pd.Timedelta(days=1)] > 0).all()
    assert result.returns[date] > -0.1  # the market's, not a loss of everything
    assert (result.returns[date:].iloc[1:] == 0).all()
    assert result.lender_loss == 0
    np.testing.assert_allclose(result.contributions.sum(axis=1), np.diff([5_500, *result["wealth"]]), atol=1e-9)
    assert result.ran_out is not None
    assert result.ran_out.endswith(f"with {-paid.iloc[-1]:,.2f} left for a withdrawal of 1,000.00")
    assert result.ran_out in result.report().to_html()
    assert not result.trades["open"].any()


def test_drawdowns_are_those_of_the_returns() -> None:
    overlay = [DrawdownScaling(0.05, 0.30)]
    free = {"cost": {"const": 0}}
    plain = account(None, **free).backtest(Uniform(), overlays=overlay)
    flown = account(Monthly(-3_000), **free).backtest(Uniform(), overlays=overlay)
    np.testing.assert_allclose(flown["weights"], plain["weights"], atol=1e-13)
    seen = []

    class Watch:
        def optimize(self, data: Any, state: Any) -> Any:
            seen.append((state.drawdown, state.peak, state.wealth, state.grown, state.returns))
            return [0.25] * 4

    account(Monthly(-3_000)).backtest(Watch(), execution_lag=0)
    drawdown, peak, wealth, grown, returns = seen[-1]
    index = np.cumprod([1.0, *(1 + returns)])
    assert drawdown == pytest.approx(1 - index[-1] / index.max(), abs=1e-12)
    assert 1 - wealth / peak == drawdown
    assert grown == pytest.approx(100_000 * index[-1], rel=1e-12)
    assert wealth < 0.6 * grown


def test_bands_and_suspended_assets_keep_the_ledger() -> None:
    test = TEST.copy()
    test.loc["2017-05-22":"2017-06-06", "GE"] = np.nan  # over a month's end: what cannot be traded is not
    flows = Monthly(-2_000)
    run = Backtester(TRAIN, test, initial_capital=100_000, flows=flows, delisted_after=50)
    result = run.backtest(Uniform(), rebalance_freq=5, bands=Bands(absolute=0.02))
    np.testing.assert_allclose(result.contributions.sum(axis=1), np.diff([100_000, *result["wealth"]]), atol=1e-9)
    step = test.index.get_loc("2017-05-31")
    assert result.flows.iloc[step - 1] == -2_000
    assert result.traded["GE"].iloc[step] == pytest.approx(0, abs=1e-15)
    assert result.traded.iloc[step].sum() == pytest.approx(-2_000 / result["wealth"][step - 1], abs=1e-3)


def exact_rate(wealth: np.ndarray, flows: np.ndarray, periods: float, near: float) -> float:
    """The root in 40 digits, by the secant method on the annual growth factor."""
    with mpmath.workdps(40):
        paid = [mpmath.mpf(one) for one in flows.tolist()]
        paid[0] += mpmath.mpf(wealth[0])
        paid[-1] -= mpmath.mpf(wealth[-1])
        places = [i for i, one in enumerate(paid) if one]

        def future(factor: Any) -> Any:
            return sum(paid[i] * factor ** (-mpmath.mpf(i) / mpmath.mpf(periods)) for i in places)

        return float(mpmath.findroot(future, (1 + near, 1 + near + 1e-3)) - 1)


@pytest.mark.parametrize("seed", range(20))
def test_the_money_weighted_return_is_the_root(seed: int) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0005, 0.01, 500)
    flows = np.where(rng.random(501) < 0.05, rng.normal(0, [1.0, 8.0][seed % 2], 501), 0.0)
    if seed % 4 == 3:
        flows = np.abs(flows)
    flows[0] = 0.0
    wealth, before = [100.0], []
    for r, f in zip(returns, flows[1:], strict=True):
        before.append(wealth[-1] * (1 + r))
        wealth.append(before[-1] + f)
    assert min(wealth) > 0
    found = money_weighted(np.array(wealth), flows, 252)
    assert found is not None
    assert found == pytest.approx(exact_rate(np.array(wealth), flows, 252, found), abs=1e-12)


def test_the_money_weighted_return_without_flows_is_the_annual_return() -> None:
    result = account(None).backtest(Uniform())
    years = len(result["returns"]) / 252
    assert result.money_weighted_return == pytest.approx((1 + result.returns).prod() ** (1 / years) - 1, abs=1e-12)
    zero = np.zeros(4)
    assert money_weighted(np.array([1.0, 0.5, 0.0, 0.0]), zero, 252) == -1.0
    assert money_weighted(np.array([1.0, 1.1, 1.1, 0.0]), np.array([0, 0.2, 0, 0]), 252) == -1.0
    assert money_weighted(np.array([100.0, 50.0, 60.0, 0.0]), np.array([0.0, -50.0, 10.0, 0.0]), 1) is None
    # in before a rise and out before a fall: better than the market
    assert money_weighted(np.array([100.0, 10.0, 1.0]), np.array([0.0, -190.0, 0.0]), 1) == pytest.approx(
        0.90525, abs=1e-4
    )


def test_reports_and_comparisons_show_the_money() -> None:
    run = account(Monthly(-1_000))
    result = run.backtest(Uniform())
    report = result.report(benchmark="JPM")
    headline = report["headline"]
    assert headline.loc["final_wealth", "Uniform"] == result["wealth"][-1]
    assert headline.loc["taken_out", "Uniform"] == 24_000
    assert headline.loc["money_weighted_return", "Uniform"] == result.money_weighted_return
    assert headline.loc["final_wealth", "JPM"] == result.with_flows(result.asset_returns["JPM"].to_numpy())[-1]
    assert headline.loc["total_return", "Uniform"] == pytest.approx((1 + result.returns).prod() - 1)
    for line, money in zip(report._charts["wealth"].traces, report.source.moneys.values(), strict=True):
        np.testing.assert_array_equal(line.y, money)
    checks = report["accounts"]["money"]
    assert checks["paid in less taken out"] == -24_000
    assert checks["change not explained by the rows above"] == pytest.approx(0, abs=1e-6)
    assert checks["change less financing and trades' profits"] == pytest.approx(0, abs=1e-6)
    assert report["contributions"].loc["total", "profit"] == pytest.approx(result["wealth"][-1] - 100_000 + 24_000)
    assert report["settings"].loc["flows", "value"] == "Monthly(amount=-1000)"
    plain = account(None).backtest(Uniform()).report()["headline"]
    assert "money_weighted_return" not in plain.index
    table = compare({"1/N": Uniform()}, TRAIN, TEST, initial_capital=100_000, flows=Monthly(-1_000))
    assert table.metrics.loc["Final wealth", "1/N"] == result["wealth"][-1]
    chart = table.report()._charts["wealth"]
    assert chart.traces[0].y[-1] == result["wealth"][-1]


@pytest.mark.parametrize(
    ("flows", "error", "message"),
    [
        (-2_000, PortfolioError, r"flows must be a Series of money by date, or Monthly\(amount\), got int"),
        ({"2017-02-01": 5}, PortfolioError, "got dict"),
        (pd.Series(["much"], TEST.index[:1]), PortfolioError, "got Series"),
        (pd.Series([1.0, np.nan], TEST.index[1:3]), DataError, "flows: nan on 2017-01-05 is no amount of money"),
        (pd.Series([np.inf], TEST.index[1:2]), DataError, "flows: inf on 2017-01-04"),
        (pd.Series([1.0], TEST.index[1:2].tz_localize("UTC")), DataError, "index both by date"),
    ],
)
def test_flows_that_cannot_be_read(flows: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        account(flows).backtest(Uniform())


def test_parameters_are_checked() -> None:
    with pytest.raises(PortfolioError, match="Monthly amount=nan"):
        Monthly(math.nan)
    with pytest.raises(PortfolioError, match="Monthly inflation=-1"):
        Monthly(1, inflation=-1)
    undated = Backtester(TRAIN.to_numpy(), TEST.to_numpy(), flows=Monthly(1))
    with pytest.raises(PortfolioError, match="needs dated prices"):
        undated.backtest(Uniform())
    steps = Backtester(TRAIN.to_numpy(), TEST.to_numpy(), flows=pd.Series([0.5], [3]))
    assert steps.backtest(Uniform()).flows.sum() == 0.5
