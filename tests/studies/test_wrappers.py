"""Strategies made of strategies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone

from opeslike import Backtester, Kelly, KLRobustKelly, Mandate, Market, MeanVariance, Uniform, load_us20
from opeslike.errors import DataError, OptimizationError, PortfolioError
from opeslike.studies import Fraction, Tuned, Windowed, compare
from opeslike.studies.keys import key_of


@pytest.fixture(scope="module")
def prices():
    return load_us20(tickers="AAPL JPM XOM WMT", start="2014", end="2018-06")


@pytest.fixture(scope="module")
def split(prices):
    return prices[:"2016"], prices["2017":]


WALK = {"reopt_freq": 21, "rebalance_freq": 21}


class Mine:
    """Hold what rose, in prices."""

    def optimize(self, data):
        rise = data.iloc[-1] / data.iloc[0]
        return rise / rise.sum()


class Estimator(BaseEstimator):
    def fit(self, returns):
        self.weights_ = np.full(returns.shape[1], 1.0 / len(returns))
        return self


class TestFraction:
    @pytest.mark.parametrize("inner", [Kelly(), KLRobustKelly(radius="auto"), Mine(), Estimator(), MeanVariance(2.0)])
    def test_it_holds_that_much_of_another(self, split, inner):
        tester = Backtester(*split)
        whole, half = (tester.backtest(one, **WALK) for one in (inner, Fraction(inner, 0.5)))
        np.testing.assert_allclose(half.targets, 0.5 * whole.targets, atol=1e-9)

    def test_by_name_in_a_comparison(self, split):
        table = compare({"Half": Fraction("Mine"), "Quarter": Fraction("Half"), "Mine": Mine()}, *split, **WALK)
        np.testing.assert_array_equal(table["Half"].targets, 0.5 * table["Mine"].targets)
        np.testing.assert_array_equal(table["Quarter"].targets, 0.25 * table["Mine"].targets)
        assert table.fractions == {"Half": 0.5, "Quarter": 0.25, "Mine": 1.0}

    def test_of_a_kelly_fraction(self):
        assert Fraction(Kelly(0.5), 0.5).shared() == Kelly(0.25).shared()

    def test_who_trades_against_what_is_held_is_told_its_own_holdings(self, split):
        inner = Kelly(mandate=Mandate(max_turnover=0.1))
        tester = Backtester(*split, cost={"const": 0})
        whole, half = (tester.backtest(one, **WALK) for one in (inner, Fraction(inner, 0.5)))
        np.testing.assert_allclose(half.targets.iloc[0], 0.5 * whole.targets.iloc[0], atol=1e-8)
        assert half.turnover.iloc[21:].max() <= 0.05 + 0.02

    def test_what_it_refuses(self):
        with pytest.raises(PortfolioError, match="Fraction fraction"):
            Fraction(Kelly(), 0)
        with pytest.raises(PortfolioError, match="'Kelly' names a strategy of a study"):
            _ = Fraction("Kelly").optimize

    def test_parameters(self):
        made = Fraction(Kelly(0.5), 0.5)
        assert repr(clone(made).set_params(strategy__fraction=0.25)) == "Fraction(strategy=Kelly(fraction=0.25))"


class TestWindowed:
    @pytest.mark.parametrize("inner", [Kelly(), KLRobustKelly(radius="auto"), Mine(), Estimator()])
    def test_it_sees_the_last_rows(self, split, inner):
        tester = Backtester(*split)
        mine = tester.backtest(Windowed(inner, 252), **WALK)
        theirs = tester.backtest(inner, window=252, **WALK)
        np.testing.assert_allclose(mine.targets, theirs.targets, atol=1e-9)

    def test_of_returns_and_arrays(self, prices):
        returns = prices.pct_change().iloc[1:]
        for data in (prices, returns, returns.to_numpy()):
            np.testing.assert_allclose(
                Windowed(Kelly(), 100).optimize(data), Kelly().optimize(returns.iloc[-100:]), atol=1e-9
            )

    def test_solves_are_shared_where_the_window_is_the_same(self):
        one, other = Windowed(Kelly(), 100), Windowed(Fraction(Kelly(), 0.5), 100)
        assert one.shared()[0] == other.shared()[0] != Windowed(Kelly(), 101).shared()[0]
        assert other.shared()[1] == 0.5
        assert Windowed(Mine(), 100).shared() is None


GRID = {"radius": [0.001, 0.05]}


class TestTuned:
    def test_one_candidate_is_that_candidate(self, split):
        tester = Backtester(*split)
        one = tester.backtest(Tuned(KLRobustKelly(), {"radius": [0.02]}), **WALK)
        alone = tester.backtest(KLRobustKelly(radius=0.02), **WALK)
        np.testing.assert_array_equal(one["weights"], alone["weights"])
        assert one.max_gap == alone.max_gap

    def test_the_future_changes_no_past_choice(self, prices, split):
        walked = []
        for factor in (1.0, 3.0):
            test = split[1].copy()
            test.iloc[200:] *= np.linspace(1.0, [factor, 1.0, 1.0 / factor, 2.0 * factor], len(test) - 200)
            tuned = Tuned(KLRobustKelly(), GRID, every=63, lookback=126, step=42)
            result = Backtester(split[0], test).backtest(tuned, **WALK)
            past = [one for one in tuned.choices if one["date"] < test.index[200]]
            walked.append((past, result.targets[: test.index[200]]))
        assert len(walked[0][0]) >= 3
        assert walked[0][0] == walked[1][0]
        pd.testing.assert_frame_equal(walked[0][1], walked[1][1])

    def test_the_best_of_the_past_decides(self, prices):
        calls = []

        def score(past):
            calls.append(len(past))
            return past.mean()

        tuned = Tuned(MeanVariance(), {"risk_aversion": [1.0, 50.0]}, score=score, lookback=100, step=30)
        weights = tuned.optimize(prices)
        (choice,) = tuned.choices
        assert calls == [100, 100]
        np.testing.assert_array_equal(weights, MeanVariance(choice["risk_aversion"]).optimize(prices))
        returns = prices.pct_change().iloc[1:]
        scores = []
        for aversion in (1.0, 50.0):
            rows = range(len(returns) - 100, len(returns), 30)
            held = [returns.iloc[k : k + 30] @ MeanVariance(aversion).optimize(returns.iloc[:k]) for k in rows]
            scores.append(np.concatenate(held).mean())
        assert choice["score"] == pytest.approx(max(scores), abs=1e-9)
        assert choice["risk_aversion"] == (1.0, 50.0)[int(np.argmax(scores))]

    @pytest.mark.parametrize("score", ["growth", "sharpe", "mean", "volatility"])
    def test_scores_by_name(self, prices, score):
        tuned = Tuned(MeanVariance(), {"risk_aversion": [1.0, 500.0]}, score=score, lookback=100, step=50)
        tuned.optimize(prices)
        if score == "volatility":
            assert tuned.choices[0]["risk_aversion"] == 500.0

    def test_choices_are_made_every_so_often_also_in_a_window(self, split):
        for window in (None, 300):
            tuned = Tuned(MeanVariance(), {"risk_aversion": [1.0, 50.0]}, every=126, lookback=100, step=50)
            for _ in range(2):  # a second walk begins anew
                Backtester(*split).backtest(tuned, window=window, **WALK)
                dates = [choice["date"] for choice in tuned.choices]
                assert len(dates) == 3
                assert dates[0] == split[0].index[-1]

    def test_nested_parameters_and_fractions_of_it(self, split):
        tuned = Tuned(Kelly(), {"mandate__leverage": [1.0]})
        table = compare({"Tuned": tuned, "Half": Fraction("Tuned")}, *split, **WALK)
        np.testing.assert_array_equal(table["Half"].targets, 0.5 * table["Tuned"].targets)

    def test_what_it_refuses(self, prices):
        for grid in ({}, {"radius": []}):
            with pytest.raises(PortfolioError, match="Tuned grid needs values"):
                Tuned(KLRobustKelly(), grid)
        with pytest.raises(PortfolioError, match="no parameter 'size'"):
            Tuned(KLRobustKelly(), {"size": [1]})
        with pytest.raises(PortfolioError, match="score='luck' must be one of growth"):
            Tuned(KLRobustKelly(), GRID, score="luck")
        with pytest.raises(PortfolioError, match="set_params"):
            Tuned(Mine(), GRID)
        with pytest.raises(PortfolioError, match="Tuned every"):
            Tuned(KLRobustKelly(), GRID, every=0)
        with pytest.raises(DataError, match="30 returns to choose on and needs 42"):
            Tuned(KLRobustKelly(), GRID).optimize(prices.iloc[:31])

    def test_a_candidate_that_fails_is_no_silent_loser(self, split):
        tuned = Tuned(Kelly(), {"mandate": [Mandate(), Mandate(bounds={"*": (0.0, 0.1)})]})
        with pytest.raises(OptimizationError, match="Tuned on 2017-01-03"):
            Backtester(*split).backtest(tuned, **WALK)


class TestKeys:
    def test_they_tell_what_matters_apart(self, prices):
        values = [
            Kelly(), Kelly(0.5), Kelly(mandate=Mandate(leverage=1)), KLRobustKelly(), Fraction(Kelly(), 0.5),
            Fraction(Kelly(), 0.25), Windowed(Kelly(), 5), Uniform(), prices, prices.iloc[:-1], prices * 1.1,
            prices.rename(columns={"AAPL": "X"}), prices.tz_localize("UTC"), 1, 1.0, True, "1", None, [1], (1,), {1: 1},
            lambda x: x, lambda x: x + 1, np.ones(3), np.ones((3, 1)), np.float32(1), Mine(), Estimator(),
        ]  # fmt: skip
        assert len({key_of(value) for value in values}) == len(values)

    def test_and_nothing_else(self, prices):
        kelly = Kelly()
        before = key_of(kelly)
        kelly.optimize(prices)
        assert key_of(kelly) == before == key_of(Kelly())
        assert key_of(prices) == key_of(prices.copy())
        assert key_of(np.asfortranarray(prices)) == key_of(prices.to_numpy())

    def test_they_are_those_of_any_process(self, offline_environment):
        import subprocess
        import sys

        code = (
            "from opeslike import *; from opeslike.studies import *; from opeslike.studies.keys import key_of; "
            "print(key_of(Tuned(KLRobustKelly(), {'radius': [.1, .2]}), {'const': 20}, frozenset('abc')))"
        )
        out = subprocess.run(
            [sys.executable, "-c", code], env=offline_environment(), capture_output=True, text=True, check=True
        )  # fmt: skip
        own = key_of(Tuned(KLRobustKelly(), {"radius": [0.1, 0.2]}), {"const": 20}, frozenset("abc"))
        assert out.stdout.strip() == own

    def test_what_cannot_be_told_apart_is_refused(self):
        with pytest.raises(PortfolioError, match="cannot be told from others"):
            key_of(object())


def test_a_market_of_unequal_histories_keeps_its_longer_rows():
    from opeslike.studies.wrappers import _rows

    prices = load_us20(tickers="AAPL JPM", start="2017", end="2018").copy()
    prices.iloc[:100, 0] = np.nan
    market = Market.from_data(prices)
    whole, dates = market.longer()
    part, ends = _rows(market, -50, None).longer()
    np.testing.assert_array_equal(part, whole[-50:])
    assert ends.equals(dates[-50:])
