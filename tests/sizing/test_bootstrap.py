"""Conservative sizing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import (
    BINARY_KELLY,
    CONTINUOUS_KELLY,
    EMPIRICAL_KELLY,
    OPTIMAL_F,
    PARTIAL_KELLY,
    SizingRule,
    bootstrap_indices,
    conservative,
    kelly_binary,
    kelly_binary_from_outcomes,
    kelly_continuous,
    kelly_empirical,
    kelly_from_outcomes,
    kelly_partial,
    optimal_f,
)

RULES = [BINARY_KELLY, PARTIAL_KELLY, CONTINUOUS_KELLY, EMPIRICAL_KELLY, OPTIMAL_F]


def outcomes(rows=200, seed=0):
    return np.random.default_rng(seed).normal(0.004, 0.02, rows)


def test_independent_resamples_are_uniform_and_seeded():
    draws = bootstrap_indices(10, n_boot=4000, seed=1)
    assert draws.shape == (4000, 10)
    counts = np.bincount(draws.ravel(), minlength=10)
    assert counts.sum() == 40_000
    assert np.abs(counts - 4000).max() < 5 * math.sqrt(4000 * 0.9)
    np.testing.assert_array_equal(draws, bootstrap_indices(10, n_boot=4000, seed=1))
    assert (draws != bootstrap_indices(10, n_boot=4000, seed=2)).any()
    assert bootstrap_indices(10, n_boot=3, length=25, seed=1).shape == (3, 25)


@pytest.mark.parametrize("block", [1.0, 5.0, 20.0])
def test_stationary_blocks_have_the_stated_mean_length(block):
    # Politis and Romano, "The stationary bootstrap" (1994): geometric lengths, mean `block`, wrapping.
    size = 50
    draws = bootstrap_indices(size, n_boot=400, block=block, seed=3, length=500)
    assert draws.min() == 0
    assert draws.max() == size - 1
    follows = (draws[:, 1:] - draws[:, :-1]) % size == 1
    # A new block starts with probability 1 / block, and then follows by luck once in `size`.
    expected = 1 - (1 / block) * (1 - 1 / size)
    assert follows.mean() == pytest.approx(expected, abs=5 * math.sqrt(0.25 / follows.size))
    assert np.abs(np.bincount(draws.ravel(), minlength=size) / draws.size - 1 / size).max() < 0.004


@pytest.mark.parametrize("block", [None, 10.0])
def test_the_resample_stands_at_its_percentile(block):
    values = outcomes()
    draws = values[bootstrap_indices(len(values), 200, block, 7)]
    means = np.sort(draws.mean(axis=1))
    for percentile, rank in ((0, 1), (5, 10), (7, 14), (50, 100), (100, 200)):
        size = conservative(EMPIRICAL_KELLY, values, 200, percentile, seed=7, block=block)
        assert size.mean_outcome == means[rank - 1]
        assert size.resample.mean() == size.mean_outcome
        assert size.value == EMPIRICAL_KELLY(size.resample)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_units(rule):
    values = outcomes()
    size = conservative(rule, values, percentile=50, expected_max_loss=0.10)
    assert size.value > 0
    if rule.unit == "risk_fraction":
        assert size.leverage == pytest.approx(size.value / 0.10)
        assert size.expected_max_loss == 0.10
        default = conservative(rule, values, percentile=50)
        assert default.expected_max_loss == -values.min()
        assert default.leverage == pytest.approx(size.value / -values.min())
        assert conservative(rule, values, percentile=50, expected_max_loss=-0.10).leverage == size.leverage
    else:
        assert size.leverage == size.value
        assert math.isnan(size.expected_max_loss)
    assert float(size) == size.leverage


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(RULES), st.floats(1e-2, 1e2))
def test_scale_laws_of_the_units(rule, c):
    values = outcomes(60)
    one, other = rule(values), rule(c * values)
    expected = one if rule.unit == "risk_fraction" else one / c
    assert other == pytest.approx(expected, rel=1e-8)
    # As leverage all of them scale inversely, the largest loss being in the unit of the outcomes.
    one, other = conservative(rule, values), conservative(rule, c * values)
    assert other.leverage == pytest.approx(one.leverage / c, rel=1e-6, abs=1e-9 / c)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_lower_percentiles_hold_less_than_the_sample_does(rule):
    values = outcomes()
    low, high = conservative(rule, values, 400, 5), conservative(rule, values, 400, 95)
    assert low.leverage < rule_leverage(rule, values) < high.leverage
    assert conservative(rule, values - 0.01).leverage == 0.0  # no edge: out, never short


def rule_leverage(rule, values):
    return rule(values) / (-values.min() if rule.unit == "risk_fraction" else 1.0)


def test_functions_stand_for_their_rules():
    values = pd.Series(outcomes())
    for function, rule in (
        (optimal_f, OPTIMAL_F),
        (kelly_from_outcomes, PARTIAL_KELLY),
        (kelly_empirical, EMPIRICAL_KELLY),
        (kelly_binary_from_outcomes, BINARY_KELLY),
        (kelly_binary, BINARY_KELLY),
        (kelly_partial, PARTIAL_KELLY),
        (kelly_continuous, CONTINUOUS_KELLY),
    ):
        assert conservative(function, values).leverage == conservative(rule, values).leverage
    assert CONTINUOUS_KELLY(values) == kelly_continuous(values.mean(), values.var())


def test_own_rule():
    half = SizingRule("half Kelly", "leverage", lambda x: 0.5 * kelly_empirical(x))
    values = outcomes()
    assert conservative(half, values).leverage == pytest.approx(0.5 * conservative(EMPIRICAL_KELLY, values).leverage)
    with pytest.raises(PortfolioError, match="'risk_fraction', 'leverage'"):
        SizingRule("mine", "percent", lambda x: 1.0)
    with pytest.raises(PortfolioError, match="wrap it as SizingRule"):
        conservative(lambda x: 1.0, values)
    with pytest.raises(PortfolioError, match="wrap it as SizingRule"):
        conservative(["optimal f"], values)

    def third(x):
        return optimal_f(x).f / 3

    third.unit = "risk_fraction"
    found = conservative(third, values)
    assert found.rule.name == "third"
    assert found.leverage == pytest.approx(conservative(OPTIMAL_F, values).leverage / 3, rel=1e-12)
    with pytest.raises(PortfolioError, match="rule 'whole' must return a number, got OptimalFSize"):
        conservative(SizingRule("whole", "risk_fraction", optimal_f), values)
    third.unit = "euros"
    with pytest.raises(PortfolioError, match="rule 'third': unit="):
        conservative(third, values)
    with pytest.raises(DataError, match="broken gave nan"):
        conservative(SizingRule("broken", "leverage", lambda x: math.nan), values)


def test_errors_say_which_resample():
    with pytest.raises(DataError, match=r"optimal f cannot be applied to the resample at percentile 100.*no loss"):
        conservative(optimal_f, [0.1, 0.1, 0.1, 0.1, -0.01], percentile=100)
    with pytest.raises(DataError, match="needs expected_max_loss"):
        conservative(SizingRule("fixed", "risk_fraction", lambda x: 0.1), [0.1, 0.2])
    with pytest.raises(DataError, match="no variance"):
        conservative(CONTINUOUS_KELLY, [0.1, 0.1])


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({"n_boot": 0}, "n_boot"),
        ({"percentile": 101}, "percentile"),
        ({"percentile": -1}, "percentile"),
        ({"block": 0.5}, "block"),
        ({"expected_max_loss": 0.0}, "expected_max_loss"),
        ({"seed": -1}, "seed=-1 must be a whole number"),
        ({"seed": "today"}, "seed='today' must be a whole number"),
    ],
)
def test_bad_parameters_are_named(keywords, name):
    with pytest.raises(PortfolioError, match=name):
        conservative(optimal_f, outcomes(), **keywords)
