"""FilledHistory: returns before a listing, drawn from what the asset did with the others since."""

import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester
from opeslike.beliefs import Decay, FilledHistory
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.objectives import KLRobustKelly, MinVariance

pytestmark = pytest.mark.filterwarnings("ignore:.*rows are left on which every")


def histories(rows=400, late=(0, 0, 150, 250), seed=0):
    """Prices of A and B, and of C and D, which move with them and were listed later."""
    draw = np.random.default_rng(seed)
    moves = draw.normal(0.0004, 0.01, (rows, 4))
    moves[:, 2] = 0.8 * moves[:, 0] + 0.3 * moves[:, 2]
    moves[:, 3] = 0.5 * moves[:, 1] - 0.2 * moves[:, 2] + 0.3 * moves[:, 3]
    prices = pd.DataFrame(100 * np.cumprod(1 + moves, axis=0), pd.bdate_range("2015", periods=rows), list("ABCD"))
    for place, begin in enumerate(late):
        prices.iloc[:begin, place] = np.nan
    return prices


def test_what_was_observed_stays_and_the_rest_follows_the_regression():
    prices = histories()
    market = Market.from_data(prices)
    filled = FilledHistory(3)(market)
    moves = prices.pct_change(fill_method=None)[1:].to_numpy()
    observed = ~np.isnan(moves)
    assert (market.n_scenarios, filled.n_scenarios) == (149, 399)
    assert filled.effective_size == market.effective_size == 149
    np.testing.assert_allclose(filled.returns[observed], moves[observed], rtol=1e-12)
    assert filled.dates.equals(prices.index[1:])
    # C by hand: a row before its listing is a fitted value plus one of its own residuals
    x = np.column_stack((np.ones(399), moves[:, :2]))
    slopes = np.linalg.lstsq(x[150:], moves[150:, 2], rcond=None)[0]
    residuals = moves[150:, 2] - x[150:] @ slopes
    off = filled.returns[:150, 2] - x[:150] @ slopes
    assert np.abs(off[:, None] - residuals).min(axis=1).max() < 1e-15
    assert len(np.unique(off.round(14))) > 60
    assert np.corrcoef(filled.returns[:250, 3], filled.returns[:250, 1])[0, 1] > 0.6


def test_the_seed_decides_and_assets_of_one_day_share_residuals():
    prices = histories(late=(0, 0, 200, 200))
    market = Market.from_data(prices)
    once, again, other = (FilledHistory(seed)(market).returns for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once[:200, 2:] != other[:200, 2:]).all(axis=1).mean() > 0.9
    # residuals come in pairs of one day: as correlated before the listing as after it
    moves = Market.from_data(prices[["A", "B"]]).returns
    x = np.column_stack((np.ones(len(moves)), moves))
    off = once[:, 2:] - x @ np.linalg.lstsq(x[200:], once[200:, 2:], rcond=None)[0]
    before, after = (np.corrcoef(part.T)[0, 1] for part in (off[:200], off[200:]))
    assert abs(before - after) < 0.15


def test_few_returns_are_fitted_to_few_components():
    prices = pd.concat([histories(seed=s, late=(0,) * 4).add_suffix(str(s)) for s in range(8)], axis=1)
    prices.iloc[:370, 0] = np.nan
    filled = FilledHistory(1)(Market.from_data(prices)).returns
    assert np.isfinite(filled).all()
    fitted, alone = filled[:369, 0].std(), filled[369:, 0].std()
    assert 0.5 * alone < fitted < 2 * alone


def test_complete_data_are_left_alone():
    market = Market.from_data(histories(late=(0,) * 4))
    assert FilledHistory(1)(market) is market
    with pytest.raises(PortfolioError, match="seed"):
        FilledHistory(-1)


def test_what_is_drawn_is_marked():
    prices = histories()
    market = Market.from_data(prices)
    for belief in (FilledHistory(1), FilledHistory(1) | Decay(126)):
        believed = belief(Market.from_data(prices))
        assert believed.filled == 250
        assert believed.window(300, 399).filled == 250
    assert (market.filled, Decay(126)(market).filled) == (0, 0)
    told = (FilledHistory(1) | Decay(126)).describe(prices).loc["filled rows"]
    assert told.to_numpy().tolist() == [[0.0, 250.0]]
    optimizer = MinVariance(beliefs=FilledHistory(1))
    optimizer.optimize(prices)
    assert optimizer.solution.filled == 250
    optimizer.optimize(prices.dropna())
    assert optimizer.solution.filled == 0


def test_it_walks_certified_and_says_what_was_observed():
    prices = histories()
    tester = Backtester(prices[:300], prices[300:])
    options = {"reopt_freq": 20, "window": 252, "min_history": 40}
    result = tester.backtest(KLRobustKelly(radius="auto", beliefs=FilledHistory(1) | Decay(126)), **options)
    assert result.certificate == "certified"
    assert result.rows["observed"].tolist() == [49, 69, 89, 109, 129]
    assert result.rows["filled"].tolist() == [203, 183, 163, 143, 123]
    assert result.certificates["filled"].tolist() == result.rows["filled"].tolist()
    whole = tester.backtest(MinVariance(beliefs=FilledHistory(1)), keep_solutions=True, **options)
    plain = tester.backtest(MinVariance(), **options)
    assert (plain.rows["filled"] == 0).all()
    assert plain.rows["observed"].equals(whole.rows["observed"])
    assert (whole["weights"] != plain["weights"]).any()
    # the last decision by hand
    expected = MinVariance(beliefs=FilledHistory(1)).optimize(prices[127:380])
    np.testing.assert_allclose(whole["weights"][80], expected, rtol=0, atol=1e-6)
