from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from opeslike.errors import DataError, PortfolioError
from opeslike.evidence import (
    expected_maximum,
    min_track_record,
    overfitting,
    sharpe_probability,
    track_record,
    years_to_resolve,
)


def test_worked_example_of_the_deflated_ratio():
    """Bailey and Lopez de Prado (2014), "A numerical example"."""
    sharpe, spread = 2.5 / math.sqrt(250), math.sqrt(0.5 / 250)
    assert round(spread * expected_maximum(100), 4) == 0.1132
    for trials, expected in ((100, 0.9004), (46, 0.9505)):
        found = sharpe_probability(sharpe, 1250, -3, 10, spread * expected_maximum(trials))
        assert round(found, 4) == expected


@pytest.mark.parametrize(("per_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_published_track_records(per_year, years):
    """Bailey and Lopez de Prado (2012): an annual Sharpe ratio of 2 against 1, by daily, weekly, monthly data."""
    found = min_track_record(2 / math.sqrt(per_year), threshold=1 / math.sqrt(per_year))
    assert found / per_year == pytest.approx(years, abs=0.005)


@pytest.mark.parametrize(("sharpe", "shape"), [(0.1, (0.0, 3.0)), (0.3, (-2.0, 12.0))])
def test_track_record_is_where_the_probability_is_reached(sharpe, shape):
    needed = min_track_record(sharpe, *shape, threshold=0.02, confidence=0.9)
    assert sharpe_probability(sharpe, needed, *shape, threshold=0.02) == pytest.approx(0.9, abs=1e-12)
    assert min_track_record(0.1, threshold=0.1) == math.inf


@pytest.mark.parametrize(
    ("trials", "known"),
    [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (10, 1.5387527308), (100, 2.5075936364)],
)
def test_expected_maximum_against_order_statistics(trials, known):
    """Closed forms for 2 and 3; Harter, *Expected values of normal order statistics* (1961), for 10 and 100."""
    assert expected_maximum(trials, exact=True) == pytest.approx(known, abs=1e-9)
    if trials >= 10:
        assert expected_maximum(trials) == pytest.approx(known, rel=0.025)


def test_expected_maximum_of_very_many():
    assert expected_maximum(10**6) == pytest.approx(expected_maximum(10**6, exact=True), rel=0.005)


def test_years_to_resolve():
    assert years_to_resolve(0.05) == pytest.approx((1.959963985 * 5) ** 2, rel=1e-9)
    assert years_to_resolve(0.05, 0.02, power=0.8) == pytest.approx(((1.959963985 + 0.841621234) * 2.5) ** 2, rel=1e-9)
    assert years_to_resolve(0.0) == 0.0


def test_years_to_resolve_by_simulation():
    years = years_to_resolve(0.03, 0.01, power=0.8)
    means = 0.01 + 0.03 / math.sqrt(years) * np.random.default_rng(0).normal(size=20_000)
    found = np.mean(means - 1.959963985 * 0.03 / math.sqrt(years) > 0)
    assert found == pytest.approx(0.8, abs=0.01)


def simulated(seed: int = 0, dates: int = 1000, strategies: int = 6, edge: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = 4e-4 + 0.01 * rng.standard_t(4, (dates, 1)) + 0.004 * rng.normal(size=(dates, strategies))
    values[:, 1] += edge
    return pd.DataFrame(values, pd.bdate_range("2016-01-01", periods=dates), [f"s{k}" for k in range(strategies)])


def test_track_record_against_the_formulas():
    data = simulated()
    found = track_record(data, "s0", trials=40)
    active = data.drop(columns="s0").sub(data["s0"], axis=0)
    sharpe = active.mean() / active.std()
    threshold = sharpe.std() * expected_maximum(40)
    np.testing.assert_allclose(found["sharpe"], sharpe * math.sqrt(252), rtol=1e-12)
    np.testing.assert_allclose(found["threshold"], threshold * math.sqrt(252), rtol=1e-12)
    for name in active:
        z = (active[name] - active[name].mean()) / active[name].std(ddof=0)
        skew, kurtosis = (z**3).mean(), (z**4).mean()
        scale = math.sqrt(999 / (1 - skew * sharpe[name] + (kurtosis - 1) / 4 * sharpe[name] ** 2))
        for column, level in (("probabilistic", 0.0), ("deflated", threshold)):
            expected = 0.5 * (1 + math.erf((sharpe[name] - level) * scale / math.sqrt(2)))
            assert found.loc[name, column] == pytest.approx(expected, abs=1e-12)


def test_beta_passes_for_skill_on_raw_returns_only():
    """Five strategies that hold the market in a good decade, and noise."""
    data = simulated(3, 2500) + 6e-4
    assert (track_record(data.drop(columns="s0"))["probabilistic"] > 0.95).all()
    assert (track_record(data, "s0")["probabilistic"] < 0.95).all()
    assert track_record(simulated(3, 2500, edge=4e-4), "s0")["deflated"].idxmax() == "s1"


def test_record_over_cash_and_of_one():
    data, rate = simulated(), 0.02
    excess = data["s2"] - (1.02 ** (1 / 252) - 1)
    found = track_record(data[["s2"]], risk_free=rate).loc["s2"]
    assert found["sharpe"] == pytest.approx(math.sqrt(252) * excess.mean() / excess.std(), rel=1e-12)
    assert found["deflated"] == found["probabilistic"]
    assert found["threshold"] == 0
    with pytest.raises(PortfolioError, match="needs two strategies"):
        track_record(data[["s2"]], trials=5)


def plain_overfitting(values: np.ndarray, blocks: int) -> list[float]:
    """Bailey, Borwein, Lopez de Prado and Zhu (2017), section 2, step by step."""
    parts = np.array_split(values[len(values) % blocks :], blocks)
    logits = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = np.vstack([parts[i] for i in chosen])
        outside = np.vstack([parts[i] for i in range(blocks) if i not in chosen])
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1))
        ratios = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = 1 + np.sum(ratios < ratios[best])
        share = rank / (values.shape[1] + 1)
        logits.append(math.log(share / (1 - share)))
    return logits


def test_overfitting_against_its_steps():
    data = simulated(5, 1003, 7)
    found, expected = overfitting(data, blocks=8), plain_overfitting(data.to_numpy(), 8)
    np.testing.assert_allclose(found.logits, expected, rtol=1e-12)
    assert found.probability == np.mean(np.array(expected) <= 0)
    active = data.drop(columns="s0").sub(data["s0"], axis=0).to_numpy()
    np.testing.assert_allclose(overfitting(data, "s0", blocks=8).logits, plain_overfitting(active, 8), rtol=1e-12)
    assert f"{found.probability:.0%} of 70 splits" in str(found)


def test_overfitting_of_noise_and_of_skill():
    noise = np.mean([overfitting(simulated(seed, 640), "s0").probability for seed in range(40)])
    assert noise == pytest.approx(0.6, abs=0.15)  # five rivals: a rank of 3 of 5 counts as overfitted, so .6 is chance
    assert overfitting(simulated(edge=2e-3), "s0").probability == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_maximum(0), "trials=0"),
        (lambda: sharpe_probability(0.1, 1), "observations=1"),
        (lambda: sharpe_probability(0.1, 10, skewness=3.0), "below skewness squared plus 1"),
        (lambda: min_track_record(math.nan), "sharpe=nan"),
        (lambda: years_to_resolve(-0.1), "tracking_error=-0.1"),
        (lambda: years_to_resolve(0.1, power=1.0), "power=1.0"),
        (lambda: overfitting(simulated(), blocks=7), "must be even"),
        (lambda: overfitting(simulated(), blocks=22), "at most 20"),
        (lambda: overfitting(simulated()[["s0"]]), "1 strategies over 1000 dates cannot be ranked"),
        (lambda: overfitting([simulated(), simulated()]), "2 samples given"),
        (lambda: track_record(simulated().assign(twin=simulated()["s0"]), "s0"), "twin never differs from s0"),
    ],
)
def test_parameters_out_of_range_are_named(call, message):
    with pytest.raises(PortfolioError, match=message):
        call()


def test_bad_returns_are_named():
    data = simulated()
    data.iloc[3, 2] = np.inf
    with pytest.raises(DataError, match="s2 on 2016-01-06: inf"):
        track_record(data, "s0")
