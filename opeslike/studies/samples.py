"""Samples: what a study walks over, from random universes to worlds in which nobody has an edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.checks import choice, whole
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Kind

Rows = NDArray[np.intp]


class Sample(NamedTuple):
    """One set of data to walk over.

    ``first`` is the number of training rows; None leaves the split to the study's ``train_end``.
    """

    name: str
    data: pd.DataFrame
    first: int | None = None
    kind: Kind | None = None


@dataclass(frozen=True, eq=False)
class Samples(Sequence[Sample]):
    """Samples that are cut when they are asked for, so that a thousand cost the memory of one."""

    make: Callable[[int], Sample]
    length: int

    @overload
    def __getitem__(self, number: int) -> Sample: ...
    @overload
    def __getitem__(self, number: slice) -> list[Sample]: ...
    def __getitem__(self, number: int | slice) -> Sample | list[Sample]:
        """One sample, or some of them."""
        if isinstance(number, slice):
            return [self.make(each) for each in range(*number.indices(self.length))]
        if not -self.length <= number < self.length:
            raise IndexError(number)
        return self.make(number % self.length)

    def __len__(self) -> int:
        """Count them."""
        return self.length


def random_universes(prices: pd.DataFrame, count: int, size: int, seed: int = 0) -> Samples:
    """Universes of some columns each, drawn without replacement; two universes may share columns.

    Parameters
    ----------
    prices : DataFrame, dates x tickers
        Closes. A universe keeps the order of the columns.
    count, size : int
    seed : int
        Universe k is the same whatever ``count``.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or there are not as many columns.
    """
    _frame(prices)
    if whole("size", size, 1) > prices.shape[1]:
        raise PortfolioError(f"size={size} is more than the {prices.shape[1]} columns there are")
    return Samples(partial(_universe, prices, size, whole("seed", seed)), whole("count", count, 1))


def _universe(prices: pd.DataFrame, size: int, seed: int, number: int) -> Sample:
    columns = np.random.default_rng([seed, number]).choice(prices.shape[1], size, replace=False)
    return Sample(f"universe {number}", prices.iloc[:, np.sort(columns)])


def windows(prices: pd.DataFrame, test: int = 252, train: int = 756, step: int | None = None) -> Samples:
    """Rolling starts: ``train`` rows, then ``test`` returns, again every ``step`` rows.

    Parameters
    ----------
    prices : DataFrame, dates x tickers
        Closes.
    test, train : int
    step : int, optional
        Default: ``test``, so that no return is tested twice.

    Raises
    ------
    DataError
        If the rows are too few for one.
    """
    rows, step = whole("train", train, 2) + whole("test", test, 1) + 1, whole("step", step or test, 1)
    if len(_frame(prices)) < rows:
        raise DataError(f"a window takes {rows} rows and there are {len(prices)}; make train or test shorter")
    return Samples(partial(_window, prices, rows, train, step), (len(prices) - rows) // step + 1)


def _window(prices: pd.DataFrame, rows: int, train: int, step: int, number: int) -> Sample:
    data = prices.iloc[number * step : number * step + rows]
    return Sample(f"from {data.index[train]:%Y-%m-%d}" if _dated(data) else f"window {number}", data, train)


def splits(prices: pd.DataFrame, splitter: Any) -> Samples:
    """What a splitter of scikit-learn or skfolio makes of the rows; each run of test rows is a sample of its own.

    Parameters
    ----------
    prices : DataFrame, dates x tickers
        Closes; the splitter sees their returns, so that what it purges leaves no return that spans the hole.
    splitter : object
        With ``split(X)``, such as ``TimeSeriesSplit``, ``WalkForward`` or ``CombinatorialPurgedCV``. Training rows from
        after the test are dated anew, right before it, in their order: the strategies learn from them what they could
        not have known, as that kind of cross-validation means it.

    Raises
    ------
    PortfolioError
        If it is no splitter, or leaves nothing to train or to test on.
    """
    if not hasattr(splitter, "split"):
        raise PortfolioError(f"{splitter!r} has no split(X); give one such as TimeSeriesSplit(5)")
    returns = _frame(prices).pct_change(fill_method=None).iloc[1:]
    pieces: list[tuple[Rows, Rows]] = []
    for train, tests in splitter.split(returns):
        for test in tests if isinstance(tests, list) else [tests]:
            runs = np.split(np.asarray(test), np.flatnonzero(np.diff(test) != 1) + 1)
            pieces += [(np.asarray(train), run) for run in runs]
    if not pieces or any(not len(train) or not len(test) for train, test in pieces):
        raise PortfolioError(f"{splitter!r} leaves nothing to train or to test on")
    return Samples(partial(_split, returns, pieces), len(pieces))


def _split(returns: pd.DataFrame, pieces: Sequence[tuple[Rows, Rows]], number: int) -> Sample:
    train, test = pieces[number]
    data = returns.iloc[np.concatenate((train, test))]
    if train[-1] > test[0]:
        start = returns.index[test[0]]
        before = pd.bdate_range(end=start, periods=len(train) + 1)[:-1] if _dated(data) else range(-len(train), 0)
        data = data.set_axis([*before, *returns.index[test]], axis=0)
    return Sample(f"split {number}", data, len(train), "returns")


def resampled(
    prices: pd.DataFrame, count: int, how: str = "blocks", *, block_length: int | None = None, seed: int = 0
) -> Samples:
    """Worlds made of the returns there were.

    Parameters
    ----------
    prices : DataFrame, dates x tickers
        Closes without gaps.
    count : int
    how : {"blocks", "permuted", "null"}
        - "blocks": the stationary bootstrap of dates, all columns together
        - "permuted": each date's returns dealt anew to the columns, so that no column differs from another but by luck
        - "null": "blocks" after every column's mean was made the mean of all: no edge in expected return
    block_length : int, optional
        Mean length. Default: Politis and White's rule on the columns.
    seed : int
        World k is the same whatever ``count``.

    Raises
    ------
    DataError
        If a price is missing.
    OpesLikeError
        If blocks are asked for and the package arch is not installed.

    Source: Politis and Romano, *The stationary bootstrap* (1994).
    """
    from opeslike.beliefs.bootstrap import block_length_of

    choice("how", how, ("blocks", "permuted", "null"))
    returns = _frame(prices).to_numpy(np.float64)
    returns = returns[1:] / returns[:-1] - 1.0
    if not np.isfinite(returns).all():
        raise DataError("worlds are made of complete prices; drop the columns with gaps first")
    if how == "null":
        returns = returns - returns.mean(axis=0) + returns.mean()
    if how != "permuted":
        block_length = whole("block_length", block_length or block_length_of(returns), 1)
    world = partial(_world, prices, returns, block_length if how != "permuted" else None, whole("seed", seed))
    return Samples(world, whole("count", count, 1))


def _world(prices: pd.DataFrame, returns: NDArray[np.float64], length: int | None, seed: int, number: int) -> Sample:
    rng = np.random.default_rng([seed, number])
    if length is None:
        drawn = rng.permuted(returns, axis=1)
    else:
        from opeslike.beliefs.bootstrap import load_bootstrap

        bootstrap = load_bootstrap().StationaryBootstrap(length, np.arange(len(returns)), seed=rng)
        ((rows,), _) = next(iter(bootstrap.bootstrap(1)))
        drawn = returns[rows]
    start = prices.to_numpy(np.float64)[:1]
    values = np.vstack((start, start * np.cumprod(1.0 + drawn, axis=0)))
    return Sample(f"world {number}", pd.DataFrame(values, prices.index, prices.columns))


def read_samples(samples: Any) -> Sequence[Sample]:
    """Samples as they are, or of a frame, a list of frames, or a dict of name -> frame.

    Raises
    ------
    PortfolioError
        If there is none, a name occurs twice, or it is none of these.
    """
    if isinstance(samples, Samples):
        return samples
    if isinstance(samples, pd.DataFrame):
        samples = {"all": samples}
    if isinstance(samples, Mapping):
        samples = [Sample(str(name), frame) for name, frame in samples.items()]
    if not isinstance(samples, Sequence) or not samples:
        raise PortfolioError(f"samples must be frames, or made by random_universes and the like, got {samples!r:.80}")
    read = [one if isinstance(one, Sample) else Sample(f"sample {k}", _frame(one)) for k, one in enumerate(samples)]
    if len({one.name for one in read}) < len(read):
        raise PortfolioError("two samples have the same name; give each a name of its own")
    return read


def _frame(prices: Any) -> pd.DataFrame:
    if not isinstance(prices, pd.DataFrame):
        raise DataError(f"samples are cut from a DataFrame of dates x tickers, got {type(prices).__name__}")
    return prices


def _dated(data: pd.DataFrame) -> bool:
    return isinstance(data.index, pd.DatetimeIndex)
