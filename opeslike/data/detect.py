"""What looks wrong in prices, told from the numbers alone: jumps and what they mean, runs, gaps and twins.

Jumps are judged against what the asset did on the twelve days before and after, and against its peers on that day.
An error leaves the days around it as calm as any; news does not. A spike or a swap has to come undone again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.checks import FloatArray

#: Moves (in logarithms) looked at more closely: larger than this, and than so many times the asset's usual move.
_LARGE, _UNUSUAL = 0.17, 6.0
#: Days on either side that say how much an asset moves at the time, and how calm they count at the calmest.
_DAYS, _CALMEST = 12, 0.004
#: A jump is out of line beyond so many times the usual move: where a day moves 5% at most, and in any case.
_OUT, _FAR_OUT, _WILD = 8.0, 14.0, 0.05
#: How near a jump has to be to the factor it is taken for: below 2:1, where news is as large, in usual moves and in
#: logarithms (with peers and without); from there on in logarithms.
_NEAR, _NEARER, _NEARER_ALONE, _NEAR_LARGE = 2.8, 0.055, 0.0275, 0.08
#: The least severe jump (a 3:2 split), the least worth a look, and the one that needs no n:m.
_SEVERE, _JUMP, _ANY_FACTOR = 0.36, 0.26, 0.92
#: The longest spike; runs of equal prices: worth a look, severe, how unlikely they must be, and beside which rows.
_SPIKE, _RUN, _LONG_RUN, _CHANCE, _AROUND = 5, 10, 20, 1e-4, 250
#: Missing rows inside a life, and days (and usual steps) without any row, that are told.
_GAP, _HOLE_DAYS, _HOLE_STEPS = 10, 90, 20
#: Assets that make up peers, and that show rows in reverse; jumps in so many rows of an asset that is one that jumps.
_PEERS: Final = 5
_TOGETHER, _OFTEN, _OFTEN_ROWS = 3, 3, 400
_SPLITS: Final = np.array([3 / 2, 2, 5 / 2, *range(3, 11), 12, 15, 20, 25, 30, 40, 50, 100, 1000])
_REVERSE: Final = np.array([*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 100, 1000])


class Sign(NamedTuple):
    """Something found: of asset ``column`` (-1: all) in rows ``first`` to ``last``, its size as ``kind`` explains."""

    kind: str
    severe: bool
    column: int
    first: int
    last: int
    size: float
    other: int = -1


@final
class Moves:
    """Prices as the detectors look at them.

    Attributes
    ----------
    logs : ndarray of shape (T, N)
        Logarithms of prices; the last one where there is none.
    moves : ndarray of shape (T, N)
        Change since the last price; NaN where there is none, or none before.
    usual : ndarray of shape (N,)
        Usual size of a move, as a standard deviation.
    """

    def __init__(self, prices: FloatArray) -> None:
        self.logs = np.log(prices)
        self.missing = np.isnan(self.logs)
        gaps = self.missing.any()
        if gaps:
            self.logs = pd.DataFrame(self.logs).ffill().to_numpy()
        self.moves = np.full_like(self.logs, np.nan)
        np.subtract(self.logs[1:], self.logs[:-1], out=self.moves[1:])
        if gaps:
            self.moves[self.missing] = np.nan
        self.usual = np.maximum(1.48 * _middle(np.abs(self.moves[1 :: max(1, len(prices) // 500)])), _CALMEST)


def _middle(values: FloatArray, share: float = 0.5) -> FloatArray:
    """Return a quantile of each column among what is not NaN; NaN where there is nothing (faster than nanquantile)."""
    if not len(values):
        return np.full(values.shape[1], np.nan)
    count = (~np.isnan(values)).sum(axis=0)
    place = np.ceil(share * np.maximum(count - 1, 0)).astype(int)
    found: FloatArray = np.sort(values, axis=0)[place, np.arange(values.shape[1])]
    return found


@final
class Jumps:
    """The large moves: where, how large beside the peers' (``size``), and the usual move there and then (``usual``)."""

    def __init__(self, data: Moves) -> None:
        moves = data.moves
        self.row, self.column = np.nonzero(np.abs(moves) > np.maximum(_LARGE, _UNUSUAL * data.usual))
        days, place = np.unique(self.row, return_inverse=True)
        middle = spread = np.zeros(len(days))
        if moves.shape[1] >= _PEERS and len(days):
            middle = _middle(moves[days].T)
            spread = 1.48 * _middle(np.abs(moves[days].T - middle))
        self.size = moves[self.row, self.column] - middle[place]
        waited = np.ones(len(self.row))  # rows since the price before
        while (more := data.missing[self.row - waited.astype(int), self.column]).any():
            waited += more
        before, after = (self._calm(data, side) for side in (-1, 1))
        self.usual = np.fmax(np.fmax(before, after), np.maximum(spread[place], _CALMEST)) * np.sqrt(waited)
        self.usual[np.isnan(before)] = np.inf
        times = np.abs(self.size) / self.usual
        out = (times >= _FAR_OUT) | ((times >= _OUT) & (self.usual <= _WILD))
        self.open = out & (np.abs(self.size) >= _LARGE)  # out of line, and not yet explained

    def _calm(self, data: Moves, side: int) -> FloatArray:
        """Return how much the asset moves on the days of one side, but for the wildest; NaN where they are too few."""
        rows = self.row[:, None] + side * np.arange(1, _DAYS + 1)
        inside = (rows >= 0) & (rows < len(data.moves))
        moves = np.where(inside, np.abs(data.moves[rows * inside, self.column[:, None]]), np.nan)
        return np.where((~np.isnan(moves)).sum(axis=1) >= 4, _middle(moves.T, 0.8) / 1.28, np.nan)


def find_jumps(data: Moves) -> Iterator[Sign]:
    """Find swaps, reversed blocks, spikes, other units, splits and other jumps; what is explained goes no further."""
    jumps = Jumps(data)
    yield from _swaps(data, jumps)
    yield from _reversals(data, jumps)
    yield from _blocks(jumps)
    rows, assets = data.logs.shape
    often = np.bincount(jumps.column[jumps.open], minlength=assets) > max(_OFTEN, rows / _OFTEN_ROWS)
    nearer = _NEARER if assets >= _PEERS else _NEARER_ALONE
    for place in np.flatnonzero(jumps.open):
        size, usual = jumps.size[place], jumps.usual[place]
        factors = 1 / _SPLITS if size < 0 else _REVERSE
        off = np.abs(np.log(factors) - size)
        where = int(jumps.column[place]), int(jumps.row[place]), int(jumps.row[place])
        if off.min() <= (_NEAR_LARGE if abs(size) > 0.6 else min(_NEAR * usual, nearer)):
            yield Sign("split", not often[where[0]], *where, float(factors[off.argmin()]))
        elif abs(size) >= max(_JUMP, 10 * usual):
            severe = abs(size) >= max(_ANY_FACTOR, _FAR_OUT * usual) and not often[where[0]]
            yield Sign("level", severe, *where, float(np.exp(size)))


def _swaps(data: Moves, jumps: Jumps) -> Iterator[Sign]:
    """Two assets that jump to each other's price on one day, and back on another (or never)."""
    edges: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for row in np.unique(jumps.row):
        places = np.flatnonzero(jumps.row == row)
        ups, downs = places[jumps.size[places] > 0], places[jumps.size[places] < 0]
        if not len(ups) or not len(downs):
            continue
        a, b = jumps.column[ups][:, None], jumps.column[downs][None]
        before, after = data.logs[row - 1], data.logs[row]
        middle = data.moves[row, jumps.column[places[0]]] - jumps.size[places[0]]
        usual = np.hypot(jumps.usual[ups][:, None], jumps.usual[downs][None])
        off = np.maximum(np.abs(after[a] - before[b] - middle), np.abs(after[b] - before[a] - middle))
        clear = np.minimum(np.abs(jumps.size[ups])[:, None], np.abs(jumps.size[downs])[None])
        for up, down in np.argwhere((off <= 2.5 * usual) & (clear >= 3 * usual) & (off <= clear / 2)):
            pair = sorted((int(jumps.column[ups[up]]), int(jumps.column[downs[down]])))
            edges.setdefault((pair[0], pair[1]), []).append((int(row), float(clear[up, down] / usual[up, down])))
    for (one, other), found in edges.items():
        pairs = list(zip(found[::2], found[1::2], strict=False))
        alone = found[len(pairs) * 2 :] if found[-1][1] >= _OUT else []
        for (first, _), (last, _) in [*pairs, *((edge, (len(data.logs), 0.0)) for edge in alone)]:
            ends = np.isin(jumps.row, (first, last)) & np.isin(jumps.column, (one, other))
            jumps.open[ends] = False
            ratio = float(np.exp(abs(data.logs[first, one] - data.logs[first, other])))
            yield Sign("swap", True, one, first, last - 1, ratio, other)


def _reversals(data: Moves, jumps: Jumps) -> Iterator[Sign]:
    """Blocks of rows in reverse: turned round, nearly all assets go on where they were before and after."""
    logs, taken = data.logs, 0
    count = np.bincount(jumps.row, minlength=len(logs))
    rows = np.sort(np.argsort(-count, kind="stable")[:40])
    least = max(_TOGETHER, 0.25 * logs.shape[1])
    rows = rows[count[rows] >= least]
    for first in rows:
        after = rows[rows > first + 2]
        if first <= taken or not len(after):
            continue
        now = np.abs(logs[first] - logs[first - 1]) + np.abs(logs[after] - logs[after - 1])
        turned = np.abs(logs[after - 1] - logs[first - 1]) + np.abs(logs[after] - logs[first])
        moved = now >= np.maximum(2 * _LARGE, 12 * data.usual)
        fits = moved & (turned <= np.minimum(now / 3, 6 * data.usual))
        enough = (fits.sum(axis=1) >= 0.8 * moved.sum(axis=1)) & (moved.sum(axis=1) >= least)
        for last in after[enough][:1] - 1:
            jumps.open[np.isin(jumps.row, (first, last + 1))] = False
            yield Sign("reversed", True, -1, int(first), int(last), float(last - first + 1))
            taken = last


def _blocks(jumps: Jumps) -> Iterator[Sign]:
    """Jumps that come undone: within days a spike, at a power of ten a block in another unit."""
    order = np.flatnonzero(jumps.open)
    order = order[np.lexsort((jumps.row[order], jumps.column[order]))]
    for place, start in enumerate(order):
        for end in order[place + 1 :]:
            if jumps.column[end] != jumps.column[start] or not jumps.open[start]:
                break
            if not jumps.open[end]:
                continue
            usual, size, back = max(jumps.usual[[start, end]]), jumps.size[start], jumps.size[end]
            ten = round(size / np.log(10)) * np.log(10)
            other_unit = ten != 0 and max(abs(size - ten), abs(back + ten)) <= min(3.5 * usual, 0.3)
            undone = abs(size + back) <= min(4 * usual, 0.15) and jumps.row[end] - jumps.row[start] <= _SPIKE
            if other_unit or undone:
                jumps.open[[start, end]] = False
                where = int(jumps.column[start]), int(jumps.row[start]), int(jumps.row[end]) - 1
                kind, severe = ("scale", True) if other_unit else ("spike", abs(size) >= _SEVERE)
                yield Sign(kind, bool(severe), *where, float(np.exp(ten if other_unit else size)))


def find_frozen(data: Moves) -> Iterator[Sign]:
    """Find runs of one and the same price that are longer than chance allows for an asset that moves at the time."""
    still = data.moves == 0.0
    runs = still
    for length in (1, 2, 4):  # of 2, 4 and 8 rows
        runs = runs[:-length] & runs[length:] if len(runs) > length else runs[:0]
    for column in np.flatnonzero(runs.any(axis=0)):
        quoted = np.flatnonzero(~np.isnan(data.moves[:, column]))
        rests = still[quoted, column]
        if rests.all():
            continue  # it never moves: cash
        edges = np.flatnonzero(np.diff(np.concatenate(([False], rests, [False])).astype(np.int8)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            length = stop - start
            around = np.concatenate((rests[max(0, start - _AROUND) : start], rests[stop : stop + _AROUND]))
            share = (np.count_nonzero(around) + 1) / (len(around) + 2)
            if length >= _RUN and share**length * len(quoted) <= _CHANCE:
                where = int(column), int(quoted[start]), int(quoted[stop - 1])
                yield Sign("frozen", bool(length >= _LONG_RUN), *where, float(length))


def find_gaps(data: Moves) -> Iterator[Sign]:
    """Find runs of missing prices between an asset's first and last."""
    for column in np.flatnonzero(data.missing.any(axis=0)):
        quoted = np.flatnonzero(~data.missing[:, column])
        for place in np.flatnonzero(np.diff(quoted) > _GAP):
            first, last = int(quoted[place]) + 1, int(quoted[place + 1]) - 1
            yield Sign("gap", False, int(column), first, last, float(last - first + 1))


def find_holes(days: NDArray[np.datetime64]) -> Iterator[Sign]:
    """Find stretches of time without any row, and rows in the future."""
    steps = np.diff(days).astype("m8[D]").astype(float)
    if len(steps) and steps.max() > _HOLE_DAYS:
        for row in np.flatnonzero(steps > max(_HOLE_DAYS, _HOLE_STEPS * np.median(steps))):
            yield Sign("hole", True, -1, int(row), int(row) + 1, float(steps[row]))
    ahead = np.flatnonzero(days > np.datetime64("now", "D") + np.timedelta64(1, "D"))
    if len(ahead):
        yield Sign("future", False, -1, int(ahead[0]), int(ahead[-1]), float(len(ahead)))


def find_relatives(prices: FloatArray) -> Iterator[Sign]:
    """Find columns that hover around 1 (or 100) from day to day: price relatives, not prices."""
    sample = prices[: 2 * _LONG_RUN]
    levels = np.where(sample[0] < 10, 1.0, 100.0)
    near = np.flatnonzero((np.abs(sample - levels) < 0.5 * levels).all(axis=0))
    for column in near[np.abs(np.nanmean(prices[:, near], axis=0) / levels[near] - 1) < 0.02]:
        level, values = levels[column], prices[:, column]
        values = values[~np.isnan(values)]
        spread = np.var(values)
        hovers = 2e-3 < np.sqrt(spread) / level < 0.2
        if len(values) >= 2 * _LONG_RUN and hovers and np.var(np.diff(values)) > 1.4 * spread:
            yield Sign("relatives", bool(level == 1.0), int(column), 0, len(prices) - 1, float(level))


def find_twins(data: Moves) -> Iterator[Sign]:
    """Find pairs of columns whose moves are the same but for rounding."""
    moves = data.moves[1:]
    scaled = np.clip(moves / data.usual, -10, 10)
    scaled = np.where(np.isnan(scaled), 0.0, scaled)
    lengths = np.sqrt((scaled**2).sum(axis=0))
    alike = np.triu(scaled.T @ scaled, 1) > 0.98 * np.outer(lengths, lengths)
    for one, other in np.argwhere(alike & (np.outer(lengths, lengths) > 0)):
        both = np.abs(moves[:, one] - moves[:, other])
        if np.count_nonzero(both <= 0.1 * data.usual[one]) >= 0.95 * np.count_nonzero(~np.isnan(both)) > _RUN:
            yield Sign("twins", False, int(one), 0, len(moves), float(np.nanmax(both)), int(other))
