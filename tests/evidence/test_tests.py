from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd
import pytest

from opeslike.errors import OpesLikeError, PortfolioError
from opeslike.evidence import confidence_set, sharpe_test, superior_ability
from opeslike.evidence.tests import _studentised, long_run_variance

pytest.importorskip("arch.bootstrap", reason="arch is not installed (extra 'evidence')")


def returns(seed: int = 0, dates: int = 600, strategies: int = 5, persistence: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    noise = 0.01 * rng.standard_t(6, (dates, 1)) + 0.006 * rng.normal(size=(dates, strategies))
    for t in range(1, dates):
        noise[t] += persistence * noise[t - 1]
    return pd.DataFrame(4e-4 + noise, pd.bdate_range("2012-01-02", periods=dates), [f"s{k}" for k in range(strategies)])


def moments(pair: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Difference of ratios, its gradient and the centred rows y_t, from Ledoit and Wolf (2008), section 3.1."""
    (m1, m2), (g1, g2) = pair.mean(axis=0), (pair**2).mean(axis=0)
    difference = m1 / math.sqrt(g1 - m1**2) - m2 / math.sqrt(g2 - m2**2)
    gradient = np.array(
        [
            g1 / (g1 - m1**2) ** 1.5,
            -g2 / (g2 - m2**2) ** 1.5,
            -0.5 * m1 / (g1 - m1**2) ** 1.5,
            0.5 * m2 / (g2 - m2**2) ** 1.5,
        ]
    )
    rows = np.column_stack([pair[:, 0] - m1, pair[:, 1] - m2, pair[:, 0] ** 2 - g1, pair[:, 1] ** 2 - g2])
    return difference, gradient, rows


def prewhitened(series: np.ndarray) -> float:
    """Andrews and Monahan (1992) for one series, by loops."""

    def slope(x):
        return max(-0.97, min(0.97, sum(x[1:] * x[:-1]) / sum(x[:-1] ** 2)))

    n, whitener = len(series), slope(series)
    left = np.array([series[t] - whitener * series[t - 1] for t in range(1, n)])
    rho = slope(left)
    width = 1.3221 * (4 * rho**2 / (1 - rho) ** 4 * n) ** 0.2
    total = sum(left**2) / n
    for lag in range(1, len(left)):
        x = lag / width
        kernel = (
            25
            / (12 * math.pi**2 * x**2)
            * (math.sin(1.2 * math.pi * x) / (1.2 * math.pi * x) - math.cos(1.2 * math.pi * x))
        )
        total += 2 * kernel * sum(left[lag:] * left[:-lag]) / n
    return total / (1 - whitener) ** 2 * n / (n - 4)


def test_ledoit_wolf_against_its_formulas():
    data = returns(1)[["s0", "s1"]]
    found = sharpe_test(data["s0"], data["s1"], block_length=5, resamples=200)
    difference, gradient, rows = moments(data.to_numpy())
    assert found.difference == pytest.approx(math.sqrt(252 * 599 / 600) * difference, rel=1e-12)
    error = math.sqrt(252 * prewhitened(rows @ gradient) / 600)
    assert found.standard_error == pytest.approx(error, rel=1e-3)  # they divide by T where we divide by T - 1
    assert found.hac_p_value == pytest.approx(math.erfc(abs(found.difference) / error / math.sqrt(2)), abs=2e-3)


def test_studentised_bootstrap_against_its_formulas():
    """Ledoit and Wolf (2008), section 3.2.2, resample by resample, with the full 4 x 4 matrix Psi*."""
    pair, length, count = returns(2)[["s0", "s1"]].to_numpy(), 7, 600 // 7
    found = _studentised(pair, length, 100, 3)
    starts, difference = np.random.default_rng(3).integers(0, 600, (100, count)), moments(pair)[0]
    for start, value in zip(starts, found, strict=True):
        drawn = pair[(start[:, None] + np.arange(length)).ravel() % 600]
        resampled, gradient, rows = moments(drawn)
        zeta = rows.reshape(count, length, 4).sum(axis=1) / math.sqrt(length)
        psi = sum(np.outer(z, z) for z in zeta) / count
        error = math.sqrt(gradient @ psi @ gradient / (count * length))
        assert value == pytest.approx(abs(resampled - difference) / error, rel=1e-8)


def test_standard_error_of_normal_returns_is_jobson_and_korkies():
    """Memmel (2003): variance of the difference of two ratios of independent normal returns."""
    rng, dates = np.random.default_rng(0), 40_000
    covariance = np.array([[1.0, 0.6], [0.6, 1.0]]) * 1e-4
    pair = rng.multivariate_normal([0.002, 0.001], covariance, dates)
    first, second = pair.mean(axis=0) / pair.std(axis=0)
    rho = np.corrcoef(pair.T)[0, 1]
    variance = (2 - 2 * rho + 0.5 * (first**2 + second**2 - 2 * first * second * rho**2)) / dates
    found = sharpe_test(*pair.T, periods_per_year=1, block_length=1, resamples=100)
    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=0.03)


def test_long_run_variance_of_an_autoregression():
    rng = np.random.default_rng(1)
    series, noise = np.zeros(60_000), rng.normal(size=60_000)
    for t in range(1, len(series)):
        series[t] = 0.5 * series[t - 1] + noise[t]
    assert long_run_variance(series) == pytest.approx(4.0, rel=0.05)  # 1 / (1 - .5)^2


def test_level_under_equal_ratios():
    p = [
        sharpe_test(*returns(seed, 240, 2).to_numpy().T, block_length=4, resamples=199, seed=seed).p_value
        for seed in range(300)
    ]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.08  # 5%, and three standard errors
    assert np.mean(p) == pytest.approx(0.5, abs=0.05)


def test_a_better_ratio_is_found_and_multiples_are_the_same():
    data = returns(3, 1500)
    better = sharpe_test(data["s0"] + 0.002, data["s1"])
    assert better.p_value < 0.01
    assert better.difference > 1
    levered = sharpe_test(data["s0"], 3 * data["s0"])
    assert (levered.p_value, levered.hac_p_value) == (1.0, 1.0)
    assert levered.difference == pytest.approx(0, abs=1e-12)


def test_risk_free_is_taken_off():
    data = returns(3)
    rate = 1.03 ** (1 / 252) - 1
    one = sharpe_test(data["s0"], data["s1"], risk_free=0.03, block_length=3)
    assert one == pytest.approx(sharpe_test(data["s0"] - rate, data["s1"] - rate, block_length=3), rel=1e-9)


def plain_spa(losses: np.ndarray, base: np.ndarray, length: int, resamples: int, seed: int) -> dict[str, float]:
    """Hansen (2005), sections 3 and 4: studentised, three recentrings, its own stationary bootstrap."""
    rng = np.random.default_rng(seed)
    gains = base[:, None] - losses
    n, means, p = len(gains), gains.mean(axis=0), 1 / length
    centred = gains - means
    omega = (centred**2).mean(axis=0)
    for lag in range(1, n):
        kernel = (n - lag) / n * (1 - p) ** lag + lag / n * (1 - p) ** (n - lag)
        omega = omega + 2 * kernel * (centred[lag:] * centred[:-lag]).sum(axis=0) / n
    scale = np.sqrt(omega)
    statistic = max(0.0, (math.sqrt(n) * means / scale).max())
    recentred = {
        "lower": np.maximum(means, 0.0),
        "consistent": means * (means >= -scale / math.sqrt(n) * math.sqrt(2 * math.log(math.log(n)))),
        "upper": means,
    }
    exceed = dict.fromkeys(recentred, 0)
    for _ in range(resamples):
        rows = np.empty(n, dtype=int)
        for t in range(n):
            rows[t] = rng.integers(n) if t == 0 or rng.random() < p else (rows[t - 1] + 1) % n
        drawn = gains[rows].mean(axis=0)
        for name, centre in recentred.items():
            exceed[name] += (math.sqrt(n) * (drawn - centre) / scale).max() > statistic
    return {name: count / resamples for name, count in exceed.items()}


def test_superior_ability_against_its_formulas():
    data = returns(4, 400, 5, persistence=0.0)
    data["s4"] -= 0.004  # a bad one: the three p-values part
    data["s2"] += 0.0006
    found = superior_ability(data, "s0", block_length=3, resamples=2000)
    losses = -np.log1p(data.to_numpy())
    expected = plain_spa(losses[:, 1:], losses[:, 0], 3, 1000, 0)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=0.05), name  # two standard errors of 1,000 resamples are .03
    assert found["lower"] <= found["consistent"] <= found["upper"]


def test_superior_ability_of_many_samples_and_of_none():
    data = returns(5, 400)
    pd.testing.assert_series_equal(superior_ability([data] * 3, "s0"), superior_ability(data, "s0"))
    assert superior_ability(data.assign(s1=data["s0"] + 0.002), "s0")["consistent"] < 0.01
    with pytest.raises(PortfolioError, match="no strategy differs from s0"):
        superior_ability(data[["s0"]].assign(twin=data["s0"]), "s0")


def test_confidence_set_leaves_duplicates_out_and_says_so():
    data = returns(6, 800, 4)
    data["bad"], data["twin"] = data["s1"] - 0.004, data["s1"]
    found = confidence_set(data, resamples=500)
    assert "bad" not in found.strategies
    assert set(found.strategies) <= {"s0", "s1", "s2", "s3"}
    assert found.duplicates == {"twin": "s1"}
    assert found.p_values["bad"] < 0.05
    assert "Left out: twin (the same as s1)." in str(found)
    from arch.bootstrap import MCS

    alone = MCS(-np.log1p(data.drop(columns="twin")), 0.05, reps=500, block_size=2, bootstrap="stationary", seed=0)
    alone.compute()
    assert confidence_set(data, resamples=500, block_length=2).p_values.to_dict() == alone.pvalues["Pvalue"].to_dict()


def test_confidence_set_holds_the_best_as_often_as_it_says():
    kept = []
    for seed in range(60):
        data = returns(100 + seed, 250, 4, persistence=0.0)
        data["s0"] += 0.0005
        kept.append("s0" in confidence_set(data, confidence=0.9, resamples=150).strategies)
    assert np.mean(kept) >= 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: confidence_set(returns()[["s0"]].assign(twin=returns()["s0"])),
            "all strategies have the same returns",
        ),
        (lambda: confidence_set(returns(), confidence=2), "confidence=2"),
        (lambda: confidence_set(returns().where(returns() < 0.02, -1.0)), "its growth is minus infinity; leave it out"),
        (lambda: sharpe_test(returns()["s0"], returns()["s1"] * 0), "the second strategy never varies"),
        (
            lambda: sharpe_test(returns()["s0"], returns()["s1"], block_length=300),
            "fewer than four blocks of 600 dates",
        ),
        (lambda: sharpe_test(returns()["s0"], returns()["s1"], resamples=3), "resamples=3"),
    ],
)
def test_parameters_out_of_range_are_named(call, message):
    with pytest.raises(PortfolioError, match=message):
        call()


def test_without_arch_the_message_says_how_to_get_it(monkeypatch):
    for name in ("arch", "arch.bootstrap"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (confidence_set, lambda data: superior_ability(data, "s0")):
        with pytest.raises(OpesLikeError, match=r'pip install "opeslike\[evidence\]"'):
            call(returns())
    assert sharpe_test(returns()["s0"], returns()["s1"], block_length=4).p_value > 0
