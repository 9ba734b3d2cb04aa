"""Who is quoted, listed and gone when, read off prices or returns with gaps."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from opeslike.checks import number
from opeslike.errors import DataError, PortfolioError, logger
from opeslike.market import Flags, FloatArray, Kind, Panel, Rows, listing


@final
@dataclass(frozen=True, eq=False)
class Lives:
    """Who is quoted, listed and gone when; row t is the close at which return row t ends. All of shape (T, N).

    Attributes
    ----------
    returns : ndarray
        What a holder earns: returns from the last mark, 0 where nothing is quoted, and the payout at the end of a life.
    quoted : ndarray of bool
        There is a price, so the asset can be traded.
    listed : ndarray of bool
        It has been quoted before and is not gone.
    member : ndarray of bool
        Whether it may be held at all (``listed=`` of the backtester).
    ends : ndarray of bool
        The row on which it is paid out: bankrupt (a price of 0, a return of -1), or not quoted for ``delisted_after``
        rows, or not quoted and no longer listed by ``member``. Nothing looks ahead: until then it is suspended.
    known : ndarray of int
        Returns it has had so far.
    """

    returns: FloatArray
    quoted: Flags
    listed: Flags
    member: Flags
    ends: Flags
    known: Rows

    @classmethod
    def of(
        cls,
        values: FloatArray,
        kind: Kind,
        member: Flags | None = None,
        delisted_after: int = 5,
        delisting_return: FloatArray | float = 0.0,
    ) -> Lives:
        """Read the lives off prices or returns, NaN where there is no quote.

        Parameters
        ----------
        values : ndarray of shape (rows, N)
        kind : {"prices", "returns"}
        member : ndarray of bool, optional
            For each row.
        delisted_after : int
            Missing rows after which an asset is gone.
        delisting_return : float or ndarray of shape (N,)
            Of the mark, when it is gone.
        """
        rows = np.arange(len(values))[:, None]
        member = np.ones(values.shape, dtype=bool) if member is None else member
        if kind == "prices":
            quoted = values > 0
            marks = np.take_along_axis(values, np.maximum.accumulate(np.where(np.isnan(values), 0, rows)), axis=0)
            broke = marks == 0
            with np.errstate(divide="ignore", invalid="ignore"):
                moves = np.where(marks[:-1] > 0, marks[1:] / marks[:-1] - 1.0, 0.0)
            returns = np.vstack((np.zeros_like(values[:1]), moves))
        else:
            later = np.nan_to_num(values)[::-1]
            rests = np.vstack((np.ones_like(values[:1], dtype=bool), np.logical_and.accumulate(later == 0)[:-1]))[::-1]
            broke = np.logical_or.accumulate((values <= -1.0) & rests)  # bets go on after a loss of everything
            quoted, returns = ~np.isnan(values) & ~broke, np.nan_to_num(values)
        last = np.maximum.accumulate(np.where(quoted, rows, -1))
        seen = last >= 0
        gone = seen & ~quoted & (broke | ~member | (rows - last >= delisted_after))
        ends = gone & ~np.vstack((np.zeros_like(gone[:1]), gone[:-1]))
        returns = np.where(ends & ~broke, delisting_return, returns)
        first = int(kind == "prices")
        known = np.cumsum(quoted, axis=0) - first
        parts: Iterator[Any] = (each[first:] for each in (returns, quoted, seen & ~gone, member, ends, known))
        return cls(*parts)

    def eligible(self, row: int, min_history: int) -> Rows:
        """Columns with a price in the row, at least ``min_history`` returns (never fewer than one), and membership."""
        known = self.known[row] >= max(min_history, 1)
        return np.flatnonzero(self.quoted[row] & self.member[row] & known)


def payouts(given: float | Mapping[Hashable, float], assets: Sequence[Hashable]) -> FloatArray:
    """Delisting returns by asset, shape (N,).

    Raises
    ------
    PortfolioError
        If a ticker is unknown or a return below -1.
    """
    table: dict[Hashable, float] = dict(given) if isinstance(given, Mapping) else {"*": given}
    unknown = [str(asset) for asset in table if asset != "*" and asset not in assets]
    if unknown:
        raise PortfolioError(f"delisting_return names {', '.join(unknown)}, not among the assets")
    for asset, value in table.items():
        number(f"delisting_return of {asset}" if isinstance(given, Mapping) else "delisting_return", value, -1.0)
    return np.array([float(table.get(asset, table.get("*", 0.0))) for asset in assets])


def members(listed: Any, index: pd.Index, assets: Sequence[Hashable]) -> Flags | None:
    """Membership in every row: the last one known, none before the first.

    Raises
    ------
    DataError
        If the frame is none of True and False, lacks an asset, or is dated otherwise.
    """
    if listed is None:
        return None
    if not isinstance(listed, pd.DataFrame) or not all(pd.api.types.is_bool_dtype(kind) for kind in listed.dtypes):
        raise DataError("listed must be a frame of True and False, dates x tickers")
    lacking = [str(asset) for asset in assets if asset not in listed.columns]
    if lacking:
        raise DataError(f"listed lacks {listing(lacking)}; give every asset a column")
    try:
        rows = listed.sort_index().index.searchsorted(index, side="right") - 1
    except TypeError as error:
        raise DataError(f"listed is indexed by {listed.index.dtype}, the data by {index.dtype}: {error}") from error
    table = listed.sort_index()[list(assets)].to_numpy(dtype=bool)
    return np.asarray(table[rows] & (rows >= 0)[:, None])


def tell_lives(panel: Panel) -> None:
    """Say in the log what is not there: late listings, early ends, and rows missed in between."""
    known = ~np.isnan(panel.values)
    late, ends, gaps, never = [], [], [], []
    for asset, column in zip(panel.assets, known.T, strict=True):
        rows = np.flatnonzero(column)
        if not rows.size:
            never.append(str(asset))
            continue
        begin, end = int(rows[0]), int(rows[-1])
        late += [f"{asset} from {panel.date(begin)}"] if begin else []
        ends += [f"{asset} to {panel.date(end)}"] if end < len(column) - 1 else []
        gaps += [f"{asset} {end - begin + 1 - rows.size}"] if rows.size <= end - begin else []
    told = {"listed later": late, "quoted no longer": ends, "rows missed": gaps, "never quoted": never}
    text = "; ".join(f"{what}: {listing(items)}" for what, items in told.items() if items)
    if text:
        logger.warning("a universe that changes over %d rows: %s", len(known), text)
