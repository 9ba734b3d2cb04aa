"""What must not matter: the order of the columns, and the unit of each price."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.strategies import BuyAndHold, FixedLeverage, Sized, TimeSeriesMomentum
from tests.strategies.tools import SELECTIONS, SIZERS, VOLUME, everything, market, ohlcv, run

CASES = dict(everything())


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations("ABCDE"))
def test_columns_may_come_in_any_order(name, seed, order):
    prices = market(seed)
    straight = run(CASES[name](), prices).weights
    permuted = run(CASES[name](), prices[list(order)]).weights[straight.columns]
    # One ulp of a sum taken in another order moves a Kelly leverage by its conditioning, not a sign.
    np.testing.assert_allclose(permuted, straight, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", SELECTIONS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), powers=st.lists(st.integers(-20, 20), min_size=5, max_size=5))
def test_rules_do_not_know_the_unit_of_a_price(name, seed, powers):
    prices = market(seed)
    rule = SELECTIONS[name]()
    # Powers of two change no digit, so the returns and the scores are the same to the last bit.
    scaled = prices * 2.0 ** np.array(powers)
    assert np.array_equal(rule.signals(prices), rule.signals(scaled, kind="prices"))
    np.testing.assert_allclose(rule.signals(prices * (1 + np.arange(5))), rule.signals(prices), rtol=1e-9, atol=1e-12)


def test_the_volume_filter_follows_its_column():
    prices = ohlcv(market(2))
    rule = VOLUME["dual volume"]()
    straight = rule.signals(prices)
    turned = prices.loc[:, [(field, asset) for field in ("Volume", "Close") for asset in "ECADB"]]
    np.testing.assert_array_equal(rule.signals(turned), straight[[4, 2, 0, 3, 1]])
    swapped = prices.swaplevel(axis=1)
    np.testing.assert_array_equal(rule.signals(swapped), straight)
    assert not np.array_equal(straight, SELECTIONS["dual"]().signals(prices))


def test_formats_of_the_same_data_agree():
    prices = market(4)
    for rule in (TimeSeriesMomentum(lookback=20), Sized(TimeSeriesMomentum(lookback=20), SIZERS["risk parity"]())):
        expected = rule.optimize(prices)
        for same in (prices.to_numpy(), ohlcv(prices), prices.pct_change().iloc[1:]):
            np.testing.assert_allclose(rule.optimize(same), expected, rtol=1e-12)
    assert BuyAndHold().optimize(prices).sum() == pytest.approx(1.0)
    assert FixedLeverage({"B": 2.0}).optimize(prices).tolist() == [0.0, 2.0, 0.0, 0.0, 0.0]
