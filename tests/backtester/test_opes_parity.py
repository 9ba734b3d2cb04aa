"""The ledger against OPES 0.11.4's, with the same weights.

OPES subtracts turnover * cost from the return; here the cost is paid first and what is left grows, so returns differ by
exactly cost * (portfolio return before costs), a product of two small numbers.
"""

import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester

opes = pytest.importorskip("opes", reason="OPES is not installed (extra `bench`)")


class Trend:
    """Deterministic weights that move with the data and with the last target."""

    def optimize(self, data, w=None, **kwargs):
        closes = data.xs("Close", axis=1, level=1) if data.columns.nlevels == 2 else data
        tilt = closes.iloc[-1] / closes.iloc[-min(len(closes), 20)]
        weights = (tilt / tilt.sum()).to_numpy()
        return weights if w is None else 0.5 * (weights + np.asarray(w))


def prices(seed=0, rows=160, two_level=False):
    rng = np.random.default_rng(seed)
    index = pd.bdate_range("2017-01-02", periods=rows, name="Date")
    values = 100 * np.cumprod(1 + rng.normal(5e-4, 0.02, (rows, 4)), axis=0)
    closes = pd.DataFrame(values, index=index, columns=["AA", "BB", "CC", "DD"])
    if not two_level:
        return closes
    fields = {(t, f): closes[t] * k for t in closes for f, k in (("Open", 0.99), ("Close", 1.0), ("Volume", 1e4))}
    return pd.DataFrame(fields)


@pytest.mark.parametrize("two_level", [False, True])
@pytest.mark.parametrize(("rebalance", "reopt"), [(1, 1), (1, 7), (5, 10), (3, 2), (1000, 1000)])
@pytest.mark.parametrize("bps", [0.0, 35.0])
def test_weights_are_equal_and_returns_differ_by_the_cross_term(two_level, rebalance, reopt, bps):
    data = prices(two_level=two_level)
    train, test = data.iloc[:60], data.iloc[60:]
    run = {"rebalance_freq": rebalance, "reopt_freq": reopt}
    theirs = opes.Backtester(train, test, cost={"const": bps}).backtest(Trend(), **run)
    ours = Backtester(train, test, cost={"const": bps}).backtest(Trend(), entry_cost=False, **run)
    np.testing.assert_allclose(ours["weights"], theirs["weights"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours["costs"], theirs["costs"], rtol=0, atol=1e-16)
    before_costs = theirs["returns"] + theirs["costs"]
    np.testing.assert_allclose(ours["returns"], theirs["returns"] - theirs["costs"] * before_costs, rtol=0, atol=1e-15)
    assert (ours["timeline"] == theirs["timeline"]).all()
    if bps and rebalance == 1:
        assert np.abs(ours["returns"] - theirs["returns"]).max() > 1e-9


@pytest.mark.parametrize(
    "cost",
    [{"gamma": (5, 2)}, {"lognormal": (2.0, 0.5)}, {"inversegaussian": (10, 20)}, {"jump": (0.5, 1.0, 0.3)}],
    ids=lambda cost: next(iter(cost)),
)
@pytest.mark.parametrize("seed", [100, 7])
def test_random_costs_are_the_same_draws(cost, seed):
    data = prices(1)
    train, test = data.iloc[:60], data.iloc[60:]
    theirs = opes.Backtester(train, test, cost=cost).backtest(Trend(), seed=seed)
    ours = Backtester(train, test, cost=cost).backtest(Trend(), seed=seed, entry_cost=False)
    assert theirs["costs"].max() > 0
    np.testing.assert_allclose(ours["costs"], theirs["costs"], rtol=1e-12, atol=1e-18)
