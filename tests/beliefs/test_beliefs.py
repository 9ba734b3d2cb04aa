"""Beliefs: closed forms, composition, and what they refuse."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from opeslike.beliefs import Belief, Chain, Decay, Empirical, Given, Prior, as_belief
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market


def market(count: int = 6, assets: int = 2) -> Market:
    g = np.random.default_rng(0)
    frame = pd.DataFrame(
        g.normal(0, 0.01, (count, assets)), pd.bdate_range("2020-01-01", periods=count), list("ABCDEF")[:assets]
    )
    return Market.from_data(frame, "returns")


def test_the_past_as_it_is() -> None:
    seen = market()
    assert Empirical()(seen) is seen
    assert as_belief(None)(seen) is seen
    assert seen.effective_size == 6


def test_decay_halves_after_the_halflife_and_is_worth_fewer_observations() -> None:
    p = Decay(2.0)(market(7)).probabilities
    np.testing.assert_allclose(p[2:] / p[:-2], 2.0)
    assert p.sum() == pytest.approx(1.0)
    for halflife in (5.0, 63.0):  # a long sample: (1 + d) / (1 - d) with d = 2^(-1/h)
        fade = 0.5 ** (1 / halflife)
        long = Market(np.zeros((5000, 1)), ("A",), pd.RangeIndex(5000))
        assert Decay(halflife)(long).effective_size == pytest.approx((1 + fade) / (1 - fade), rel=1e-9)
    even = Decay(1e12)(market())
    np.testing.assert_allclose(even.probabilities, 1 / 6)
    np.testing.assert_allclose(
        Decay(2.0)(market().with_probabilities([0, 0, 0, 0, 4, 1])).probabilities[4:],
        [4 / (4 + 2**0.5), 2**0.5 / (4 + 2**0.5)],
    )


def test_given_probabilities_by_position_and_by_date() -> None:
    seen = market()
    np.testing.assert_allclose(Given([1, 1, 2, 0, 0, 0])(seen).probabilities, [0.25, 0.25, 0.5, 0, 0, 0])
    dated = pd.Series(np.arange(1.0, 11.0), pd.bdate_range("2019-12-30", periods=10))
    np.testing.assert_allclose(Given(dated)(seen).probabilities, np.arange(3.0, 9.0) / 33)
    np.testing.assert_allclose(Given(dated)(seen.window(2, 4)).probabilities, [5 / 11, 6 / 11])
    with pytest.raises(PortfolioError, match=r"2 probabilities for 6 return rows; .* Series by date"):
        Given([0.5, 0.5])(seen)
    with pytest.raises(PortfolioError, match="none for 2020-01-07"):
        Given(dated.drop(pd.Timestamp("2020-01-07")))(seen)
    for bad in ([-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0], [[1.0]], "ab", 3.0):
        with pytest.raises(PortfolioError, match="probabilities"):
            Given(bad)


def test_a_prior_counts_as_many_observations_as_it_says() -> None:
    seen, scenarios = market(), np.array([[0.1, -0.1], [0.0, 0.2], [0.3, 0.3]])
    mixed = Prior(scenarios, 4.0)(seen)
    np.testing.assert_allclose(mixed.returns, np.vstack([seen.returns, scenarios]))
    np.testing.assert_allclose(mixed.probabilities, [0.1] * 6 + [0.4 / 3] * 3)
    assert mixed.effective_size == 10
    assert list(mixed.dates[5:]) == [seen.dates[5], *(f"prior scenario {row}" for row in range(3))]
    assert pickle.loads(pickle.dumps(mixed)).n_scenarios == 9
    by_name = Prior(pd.DataFrame(scenarios[:, ::-1], columns=["B", "A"]), 4.0)(seen)
    np.testing.assert_array_equal(by_name.returns, mixed.returns)
    faded = Decay(1.0)(seen)
    assert Prior(scenarios, 4.0)(faded).effective_size == pytest.approx(faded.effective_size + 4)
    with pytest.raises(DataError, match="lack B"):
        Prior(pd.DataFrame({"A": [0.1]}))(seen)
    with pytest.raises(DataError, match="3 columns for 2 assets"):
        Prior(np.zeros((2, 3)))(seen)
    for bad, message in (
        ([1.0], "shape"),
        (np.zeros((0, 2)), "shape"),
        ([["a"]], "not numeric"),
        ([[np.inf]], "column 0, row 0"),
    ):
        with pytest.raises(DataError, match=message):
            Prior(bad)
    with pytest.raises(PortfolioError, match="pseudo_count=-1"):
        Prior(scenarios, -1)


def test_beliefs_compose_from_left_to_right_however_they_are_bracketed() -> None:
    a, b, c = Decay(3), Prior(np.zeros((1, 2)), 2.0), Decay(5)
    left, right = (a | b) | c, a | (b | c)
    assert repr(left) == repr(right) == f"{a!r} | {b!r} | {c!r}"
    one, two, by_hand = left(market()), right(market()), c(b(a(market())))
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    np.testing.assert_array_equal(one.probabilities, by_hand.probabilities)
    assert not np.array_equal(one.probabilities, (b | a | c)(market()).probabilities)
    assert (a | (lambda market: market.window(2, 6)))(market()).n_scenarios == 4
    for bad in (3, Decay, [0.5, 0.5]):
        with pytest.raises(PortfolioError, match="is no belief"):
            a | bad


def test_parameters_are_nested_and_beliefs_are_frozen() -> None:
    belief = Decay(3) | Given([1, 1])
    assert belief.get_params()["first__halflife"] == 3
    changed = belief.set_params(first__halflife=7)
    assert (belief.first.halflife, changed.first.halflife) == (3, 7)
    assert isinstance(changed, Chain)
    with pytest.raises(PortfolioError, match="halflife"):
        belief.set_params(first__halflife=0)
    with pytest.raises(PortfolioError, match="halflife=-1"):
        Decay(-1)
    with pytest.raises(TypeError):
        Belief()  # type: ignore[abstract]


def test_anything_that_maps_markets_is_a_belief() -> None:
    seen = market()
    assert as_belief(lambda market: market.window(1, 3))(seen).n_scenarios == 2
    np.testing.assert_allclose(as_belief([1, 1, 1, 1, 1, 5])(seen).probabilities[-1], 0.5)
    with pytest.raises(PortfolioError, match="Decay is a class"):
        as_belief(Decay)
    with pytest.raises(PortfolioError, match="probabilities must be numbers"):
        as_belief("decay")
