"""Universes, windows, splits and worlds."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit

from opeslike import Kelly, Uniform, load_us20
from opeslike.errors import DataError, PortfolioError
from opeslike.studies import Sample, Study, random_universes, resampled, splits, windows


@pytest.fixture(scope="module")
def prices():
    return load_us20(start="2015", end="2017-09")


def test_universes_are_drawn_without_replacement(prices):
    drawn = random_universes(prices, count=50, size=6, seed=3)
    assert len(drawn) == 50
    sets = [tuple(each.data.columns) for each in drawn]
    assert all(len(set(one)) == 6 for one in sets)
    assert len(set(sets)) > 45
    counts = pd.Series([ticker for one in sets for ticker in one]).value_counts()
    assert len(counts) == prices.shape[1]
    assert counts.min() >= 4
    assert list(sets[0]) == [ticker for ticker in prices.columns if ticker in sets[0]]
    fewer = random_universes(prices, count=5, size=6, seed=3)
    assert [tuple(each.data.columns) for each in fewer] == sets[:5]
    assert tuple(random_universes(prices, 1, 6, seed=4)[0].data.columns) != sets[0]
    assert drawn[-1].name == "universe 49"
    assert [each.name for each in drawn[1:3]] == ["universe 1", "universe 2"]
    with pytest.raises(IndexError):
        drawn[50]
    assert len(pickle.dumps(drawn)) < 2 * len(pickle.dumps(prices))


def test_windows_roll(prices):
    rolled = windows(prices, test=100, train=300)
    assert len(rolled) == (len(prices) - 301) // 100
    for number, sample in enumerate(rolled):
        assert sample.first == 300
        assert len(sample.data) == 401
        assert sample.data.index[0] == prices.index[100 * number]
    study = Study({"1/N": Uniform()}, rolled, cost={"const": 0}).run(n_jobs=1)
    joined = pd.concat([study.returns(number)["1/N"] for number in range(len(rolled))])
    assert joined.index.is_unique  # no return is tested twice, none is left out
    every = prices.pct_change().mean(axis=1).iloc[301 : 301 + len(joined)]
    np.testing.assert_allclose(joined, every, atol=1e-9)


def test_splits_of_scikit_learn(prices):
    samples = splits(prices, TimeSeriesSplit(4, gap=5))
    assert len(samples) == 4
    returns = prices.pct_change().iloc[1:]
    for sample, (train, test) in zip(samples, TimeSeriesSplit(4, gap=5).split(returns), strict=True):
        pd.testing.assert_frame_equal(sample.data, returns.iloc[[*train, *test]])
        assert sample.first == len(train)
    study = Study({"Kelly": Kelly(), "1/N": Uniform()}, samples, reopt_freq=63, cost={"const": 0}).run(n_jobs=1)
    assert (study.frame["status"] == "ok").all()
    tested = returns.mean(axis=1)[samples[2].data.index[samples[2].first] :]
    np.testing.assert_allclose(study.returns(2)["1/N"], tested.iloc[: len(study.returns(2))], atol=1e-9)


def test_rows_from_after_the_test_are_dated_before_it(prices):
    samples = splits(prices, KFold(3))
    returns = prices.pct_change().iloc[1:]
    first = samples[0]
    assert first.data.index.is_monotonic_increasing
    np.testing.assert_array_equal(first.data.iloc[: first.first], returns.iloc[len(returns) - first.first :])
    study = Study({"Kelly": Kelly(), "1/N": Uniform()}, samples, reopt_freq=63).run(n_jobs=1)
    assert (study.frame["status"] == "ok").all()
    assert sum(len(study.returns(k)) for k in range(3)) == len(returns)
    assert study.table("1/N", statistics=["growth"], resamples=200).caption.startswith("Against 1/N: 3 samples")


def test_purged_and_combinatorial_splits_of_skfolio(prices):
    selection = pytest.importorskip("skfolio.model_selection")
    splitter = selection.CombinatorialPurgedCV(n_folds=5, n_test_folds=2, purged_size=3, embargo_size=2)
    samples = splits(prices, splitter)
    assert len(samples) == 2 * 10
    study = Study({"1/N": Uniform()}, samples).run(n_jobs=1)
    assert (study.frame["status"] == "ok").all()
    assert len(splits(prices, selection.WalkForward(test_size=60, train_size=300))) == 6


def test_worlds(prices):
    returns = prices.pct_change().iloc[1:].to_numpy()
    pytest.importorskip("arch")
    for how in ("blocks", "permuted", "null"):
        worlds = resampled(prices, 3, how, seed=1, block_length=10)
        world = worlds[1].data
        assert world.index.equals(prices.index)
        pd.testing.assert_frame_equal(world, resampled(prices, 2, how, seed=1, block_length=10)[1].data)
        assert not world.equals(worlds[0].data)
        drawn = world.pct_change().iloc[1:].to_numpy()
        if how == "permuted":
            np.testing.assert_allclose(np.sort(drawn, axis=1), np.sort(returns, axis=1), atol=1e-12)
        else:
            source = returns if how == "blocks" else returns - returns.mean(axis=0) + returns.mean()
            rows = [int(np.abs(source - row).sum(axis=1).argmin()) for row in drawn]
            np.testing.assert_allclose(drawn, source[rows], atol=1e-12)
            follow = np.mean(np.diff(rows) == 1)
            assert 0.85 < follow < 0.95  # blocks of ten
    assert np.ptp((returns - returns.mean(axis=0) + returns.mean()).mean(axis=0)) < 1e-15
    assert resampled(prices.iloc[:, :3], 1, "blocks")[0].data.shape == (len(prices), 3)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda p: random_universes(p, 3, 21), PortfolioError, "size=21 is more than the 20 columns"),
        (lambda p: random_universes(p, 0, 5), PortfolioError, "count"),
        (lambda p: random_universes(p.to_numpy(), 3, 5), DataError, "a DataFrame of dates x tickers, got ndarray"),
        (lambda p: windows(p, test=500, train=500), DataError, "a window takes 1001 rows and there are 692"),
        (lambda p: splits(p, 5), PortfolioError, r"5 has no split\(X\)"),
        (lambda p: resampled(p, 3, "luck"), PortfolioError, "how"),
        (lambda p: resampled(p.mask(p > 100), 3, "permuted"), DataError, "complete prices"),
        (lambda p: Study({"1/N": Uniform()}, []), PortfolioError, "samples must be frames"),
        (lambda p: Study({"1/N": Uniform()}, [Sample("a", p), Sample("a", p)]), PortfolioError, "the same name"),
        (lambda p: Study({"1/N": Uniform()}, [1]), DataError, "got int"),
    ],
)
def test_what_cannot_be_sampled(prices, make, kind, message):
    with pytest.raises(kind, match=message):
        make(prices)
