"""Prices after a date change no weight before it: for every rule, every sizer, every way to run them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.strategies import DualMomentum, EqualWeight, Sized, TimeSeriesMomentum
from tests.strategies.tools import OVERLAY, OVERLAYS, SIZERS, SPLIT, VOLUME, everything, market, ohlcv, run

CASES = dict(everything())


def altered(prices, first, seed):
    """The same prices up to row ``first``, other ones from there on."""
    rng = np.random.default_rng(seed)
    other = prices.copy()
    rows = len(prices) - first
    if rows:
        other.iloc[first:] *= np.exp(rng.normal(0.0, 0.05, (rows, prices.shape[1])).cumsum(axis=0))
    return other


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cut=st.integers(1, 90),
    lag=st.integers(0, 2),
    window=st.sampled_from([None, 25, 45]),
    reopt=st.sampled_from([1, 1, 4]),
)
def test_no_weight_depends_on_the_future(name, seed, cut, lag, window, reopt):
    make = CASES[name]
    prices = market(seed)
    first = SPLIT + cut  # P_cut is the first close that differs
    other = altered(prices, first, seed + 1)
    options = {"execution_lag": lag, "window": window, "reopt_freq": reopt}
    strategy = make()
    held = run(strategy, prices, **options)["weights"]
    # The same instance, with whatever it remembers, and a fresh one must agree.
    again, fresh = run(strategy, other, **options)["weights"], run(make(), other, **options)["weights"]
    np.testing.assert_array_equal(again, fresh)
    # Step t sees closes up to P_{t - lag}, but what it holds by drift is known only up to P_t.
    same = cut + lag if name != "rule: buy and hold" else cut
    np.testing.assert_array_equal(held[:same], fresh[:same])


STILL = {"rule: turn of month", "rule: seasonal", "alone: fixed"}


@pytest.mark.parametrize("name", [name for name in CASES if name not in STILL])
def test_the_future_does_change_what_follows(name):
    """The property above would hold for a strategy that never moves; these move."""
    prices = market(3)
    other = altered(prices, SPLIT + 10, 4)
    assert np.abs(run(CASES[name](), prices)["weights"] - run(CASES[name](), other)["weights"])[20:].max() > 0


@pytest.mark.parametrize("name", OVERLAYS)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cut=st.integers(1, 90),
    lag=st.integers(0, 2),
    every=st.sampled_from([1, 5, 40]),
    sizer=st.sampled_from(["dynamic", "volatility", "kelly"]),
)
def test_no_overlay_depends_on_the_future(name, seed, cut, lag, every, sizer):
    """Overlays act between trades too, on the wealth at P_t, so what is held before P_cut cannot have changed."""
    prices = market(seed)
    other = altered(prices, SPLIT + cut, seed + 1)
    strategy = Sized(DualMomentum(lookback=10, n_long=2, n_short=2), SIZERS[sizer]())
    options = {"execution_lag": lag, "reopt_freq": every, "rebalance_freq": every, "overlays": OVERLAYS[name]}
    held, again = run(strategy, prices, **options)["weights"], run(strategy, other, **options)["weights"]
    np.testing.assert_array_equal(held[:cut], again[:cut])


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_do_act_and_do_follow_the_prices(name):
    """The property above would hold for an overlay that never acts; these act."""
    prices = market(3)
    other = altered(prices, SPLIT + 10, 4)
    strategy = Sized(TimeSeriesMomentum(lookback=10), EqualWeight(weight=0.3))
    free = run(strategy, prices)["weights"]
    held, changed = (run(strategy, data, overlays=OVERLAYS[name])["weights"] for data in (prices, other))
    assert np.abs(held - free).max() > 0
    assert np.abs(held - changed)[10:].max() > 0


@pytest.mark.parametrize("lag", [0, 1])
def test_no_look_ahead_with_volume_and_overlays(lag):
    prices = ohlcv(market(5))
    other = prices.copy()
    first = SPLIT + 40
    rng = np.random.default_rng(0)
    other.iloc[first:] *= np.exp(rng.normal(0, 0.1, (len(prices) - first, prices.shape[1])))
    for make in (VOLUME["dual volume"], lambda: Sized(VOLUME["dual volume"](), SIZERS["kelly"]())):
        options = {"execution_lag": lag, "overlays": [OVERLAY]}
        one, two = run(make(), prices, **options)["weights"], run(make(), other, **options)["weights"]
        np.testing.assert_array_equal(one[:40], two[:40])
        assert np.abs(one[45:] - two[45:]).max() > 0
