"""Evidence: how often it names a strategy where none has an edge, beside a t-test over universes; real prices; times.

    OPESLIKE_TEST_DATA=folder python benchmarks/evidence.py [worlds]

The folder holds us_stocks.csv.gz (daily adjusted closes of US stocks). Survivors, so what it finds on real prices is a
finding about survivors. Two kinds of worlds without edge are made of its weekly returns, 2014-2024:

- rows resampled, every stock's mean made the same: whoever is fully invested by the past alone has the same
  mean return;
- each week's returns permuted across stocks: whoever holds five of ten by the past alone has the same growth, Sharpe
  ratio and volatility.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from opeslike.evidence import evidence, overfitting, superior_ability, track_record

LOOKBACK, UNIVERSES, SIZE = 26, 30, 10


def load(rule: str | None = "W-FRI") -> pd.DataFrame:
    """Returns of the stocks that are quoted throughout, 2014-2024."""
    prices = pd.read_csv(Path(os.environ["OPESLIKE_TEST_DATA"]) / "us_stocks.csv.gz", index_col=0, parse_dates=True)
    whole = prices.dropna(axis=1).loc["2014":]
    return (whole if rule is None else whole.resample(rule).last()).pct_change(fill_method=None).iloc[1:]


def universes(stocks: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Columns of random universes of ten, shape (count, 10)."""
    return np.array([rng.choice(stocks, SIZE, replace=False) for _ in range(count)])


def walk(returns: np.ndarray, members: np.ndarray, names: list[str]) -> np.ndarray:
    """Returns of simple strategies that know the past alone, shape (universes, dates, strategies)."""
    stocks = returns[:, members]
    sums, squares = (np.cumsum(np.vstack([np.zeros((1, *stocks.shape[1:])), x]), axis=0) for x in (stocks, stocks**2))
    mean = (sums[LOOKBACK:-1] - sums[: -LOOKBACK - 1]) / LOOKBACK
    deviation = np.sqrt((squares[LOOKBACK:-1] - squares[: -LOOKBACK - 1]) / LOOKBACK - mean**2)
    ranks = {"momentum": mean, "reversal": -mean, "low volatility": -deviation, "high volatility": deviation}
    weights = {"1/N": np.full_like(mean, 1.0), "inverse volatility": 1 / deviation}
    weights["first five"] = np.broadcast_to(np.arange(SIZE) < SIZE // 2, mean.shape).astype(float)
    for name, score in ranks.items():
        weights[name] = (score.argsort(axis=2).argsort(axis=2) >= SIZE // 2).astype(float)
    paths = [(weights[n] * stocks[LOOKBACK:]).sum(axis=2) / weights[n].sum(axis=2) for n in names]
    return np.stack(paths, axis=2).transpose(1, 0, 2)


def equal_means(returns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows resampled, every stock's mean the mean of all."""
    return (returns - returns.mean(axis=0) + returns.mean())[rng.integers(0, len(returns), len(returns))]


def permuted(returns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each date's returns permuted across stocks."""
    return rng.permuted(returns, axis=1)


#: Each null: how a world is made, the strategies (the benchmark first), and what is the same for all of them.
HALVES = ["first five", "momentum", "reversal", "low volatility", "high volatility"]
NULLS = {
    "equal means, rows resampled": (equal_means, ["1/N", "inverse volatility", *HALVES[1:]], ["mean"]),
    "permuted across stocks": (permuted, HALVES, ["growth", "sharpe", "volatility"]),
}


def naive(paths: np.ndarray, name: str) -> np.ndarray:
    """P-values of a t-test over the universes, as if they were independent draws; the benchmark is first."""
    each = {
        "growth": np.log1p(paths).mean(axis=1),
        "mean": paths.mean(axis=1),
        "sharpe": paths.mean(axis=1) / paths.std(axis=1),
        "volatility": paths.std(axis=1),
    }[name]
    return np.asarray(stats.ttest_1samp(each[:, 1:] - each[:, :1], 0.0).pvalue)


def rejections(
    null: str, returns: np.ndarray, worlds: int, seed: int = 0, resamples: int = 499
) -> dict[str, np.ndarray]:
    """For each statistic, in each world: share rejected alone, any named together, share and any of the naive test."""
    make, names, statistics = NULLS[null]
    rows: dict[str, list[tuple[float, bool, float, bool]]] = {name: [] for name in statistics}
    for world in range(worlds):
        rng = np.random.default_rng([seed, world])
        paths = walk(make(returns, rng), universes(returns.shape[1], UNIVERSES, rng), names)
        found = evidence(paths, statistics=statistics, periods_per_year=52, resamples=resamples, seed=world).tables
        for name in statistics:
            plain, own = naive(paths, name), found[name]
            together = plain.min() * len(plain) <= 0.05  # Bonferroni
            rows[name].append(
                ((own["p_value"] <= 0.05).mean(), own["adjusted_p"].min() <= 0.05, (plain <= 0.05).mean(), together)
            )
    return {name: np.array(values, dtype=float) for name, values in rows.items()}


def interval(share: float, count: int) -> str:
    """Wilson's 95% interval of a share, in percent."""
    low, high = stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
    return f"{100 * share:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def nulls(worlds: int) -> None:
    returns = load().to_numpy()
    for null in NULLS:
        start = time.perf_counter()
        for name, rates in rejections(null, returns, worlds).items():
            alone, together, naive_alone, naive_together = rates.mean(axis=0)
            print(
                f"{null}, {name}, {worlds} worlds, nominal 5%: joint blocks, any named {interval(together, worlds)}, "
                f"each alone {100 * alone:.1f}%; t-test over universes: any {100 * naive_together:.0f}%, "
                f"each alone {100 * naive_alone:.0f}%"
            )
        print(f"  {time.perf_counter() - start:.0f} s")


def real() -> None:
    returns = load(None)
    rng = np.random.default_rng(1)
    names = ["1/N", "inverse volatility", *HALVES]
    paths = walk(returns.to_numpy(), universes(returns.shape[1], 300, rng), names)
    frames = [pd.DataFrame(path, index=returns.index[LOOKBACK:], columns=names) for path in paths]
    print(evidence(frames, "1/N"))
    one = frames[0]
    print(track_record(one, "1/N").round(3))
    print(overfitting(one, "1/N"))
    print("SPA:", superior_ability(frames, "1/N").round(3).to_dict())


def times() -> None:
    rng = np.random.default_rng(0)
    market = rng.standard_t(4, (2750, 1)) * 0.01
    for samples in (1, 1000):
        returns = market + rng.normal(4e-4, 0.005, (samples, 2750, 18))
        start = time.perf_counter()
        evidence(returns, resamples=1000).to_frame()
        took = time.perf_counter() - start
        print(f"evidence, 18 strategies x 2750 days x {samples} samples, 1000 resamples: {took:.2f} s")


if __name__ == "__main__":
    import arch.bootstrap  # noqa: F401  (its import is not what is timed)

    times()
    real()
    nulls(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
