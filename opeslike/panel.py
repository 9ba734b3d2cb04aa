"""Panel: a block of numbers with its labels, and every check before it is known to be a market."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from opeslike.checks import FloatArray
from opeslike.errors import DataError, PortfolioError, logger

Kind = Literal["prices", "returns"]


#: Every name that marks a column as a field of a bar rather than as a ticker.
FIELDS = frozenset(
    {"Open", "High", "Low", "Close", "Volume", "Adj Close", "Dividends", "Stock Splits", "Capital Gains", "Repaired?"}
)

_NEGATIVE_SHARE = 0.05
_SMALL = 0.5
_LOG_OF_TOO_MUCH = 690.0
#: So many returns, each above 100%, are prices.
_SURELY = 5
#: Prices and returns beyond this (or prices below its inverse) are none; their ratios and squares would overflow.
_MOST = 1e50


@dataclass(frozen=True)
class Panel:
    """A rectangular block of numbers with its labels, before it is known to be prices or returns.

    Attributes
    ----------
    values : ndarray of shape (rows, N)
    assets : tuple of labels, one a column
    index : pandas.Index of length ``rows``
    two_level : bool
        Whether the numbers were the ``Close`` columns of a two-level frame (then they are prices).
    """

    values: FloatArray
    assets: tuple[Hashable, ...]
    index: pd.Index
    two_level: bool = False

    def date(self, row: int) -> str:
        """Label of a row for messages: an ISO date where the index has dates, else ``row 7``."""
        return describe(self.index[row]) if _is_dated(self.index) else f"row {row}"


def describe(label: Any) -> str:
    """Write a date label the way messages show it (``2020-03-16``)."""
    if isinstance(label, np.datetime64):
        label = pd.Timestamp(label)
    if isinstance(label, pd.Timestamp):
        return str(label.date()) if label == label.normalize() else str(label)
    return str(label)


def _is_dated(index: pd.Index) -> bool:
    return not isinstance(index, pd.RangeIndex)


def close_frame(data: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Select the closes of a frame.

    A frame with one column level is returned as it is. With two levels (either order) the ``Close`` columns are taken;
    the log says so where there is ``Adj Close`` beside it, because unadjusted closes leave dividends out.

    Returns
    -------
    (frame, two_level)

    Raises
    ------
    DataError
        If two-level columns have no ``Close`` field, or there are more than two levels.
    """
    if not isinstance(data.columns, pd.MultiIndex):
        return data, False
    if data.columns.nlevels != 2:
        raise DataError(f"price columns have {data.columns.nlevels} levels; give one (closes) or two (ticker, field)")
    level = level_of(data.columns, "Close")
    if level is not None:
        if "Adj Close" in data.columns.get_level_values(level):
            logger.warning(
                "the columns have Close and Adj Close: Close is used, which leaves dividends out; "
                "download with auto_adjust=True, or pass the Adj Close columns alone"
            )
        return cast(pd.DataFrame, data.xs("Close", axis=1, level=level)), True
    advice = "rename the field to 'Close' or pass a one-level frame of closes"
    raise DataError(f"two-level price columns have no 'Close' field in either level; {advice}")


def level_of(columns: pd.Index, field: str) -> int | None:
    """Which of two column levels has a field of a bar; one that holds nothing but fields before one of tickers."""
    levels = [level for level in (1, 0) if field in columns.get_level_values(level)]
    fields = field_level(columns) if len(levels) > 1 else None  # a ticker may be called Close
    return next(iter(levels), None) if fields is None else fields


def field_level(columns: pd.Index) -> int | None:
    """Return which of two column levels holds the fields of a bar (Open, Close ...), if one does.

    Both layouts of yfinance are known by their content, not by the names of their levels: fields on
    top (its default) and tickers on top (``group_by="ticker"``).
    """
    for level in (0, 1):
        names = set(columns.get_level_values(level))
        if names <= FIELDS and names & {"Close", "Adj Close"}:
            return level
    return None


def pandas_frame(data: Any) -> Any:
    """Turn another library's frame (polars, Arrow, anything with ``to_pandas``) into one of pandas; the rest is kept.

    Its first column becomes the index where it holds dates, as it has no index of its own.

    Raises
    ------
    DataError
        If its library needs one that is not installed.
    """
    if isinstance(data, (pd.DataFrame, pd.Series)) or not hasattr(data, "to_pandas"):
        return data
    try:
        frame = data.to_pandas()
    except ImportError as error:
        raise DataError(f"no {type(data).__name__} can become a DataFrame: {error}; install that package") from error
    if isinstance(frame, pd.DataFrame) and frame.shape[1] > 1:
        first = frame.iloc[:, 0]
        if first.dtype.kind == "M" or pd.api.types.infer_dtype(first) in ("date", "datetime"):
            frame = frame.iloc[:, 1:].set_axis(pd.DatetimeIndex(first, name="Date"), axis=0)
    return frame


def read_panel(data: Any) -> Panel:
    """Turn a frame, series or array into a :class:`Panel` (one stays); labels are checked, numbers are not yet.

    Rows labelled by periods are dated on the last day of each.

    Raises
    ------
    DataError
        On no rows, no columns, duplicate tickers, duplicate or unsorted dates, and columns that are not numbers.
    """
    if isinstance(data, Panel):
        return data
    two_level = False
    assets: tuple[Hashable, ...]
    data = pandas_frame(data)
    if isinstance(data, pd.Series):
        data = data.to_frame(data.name if data.name is not None else 0)
    if isinstance(data, pd.DataFrame):
        frame, two_level = close_frame(data)
        index = frame.index
        assets = tuple(frame.columns)
        _check_labels(index, assets)
        if isinstance(index, pd.PeriodIndex):
            index = index.to_timestamp(how="end").normalize()
        values = _numeric(frame)
    elif data is None:
        raise DataError("no data given: pass a frame or array of prices or returns")
    else:
        values = read_array(data, "data")
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2:
            raise DataError(f"data must have two dimensions (rows, assets), got shape {values.shape}")
        index = pd.RangeIndex(values.shape[0])
        assets = tuple(range(values.shape[1]))
    if not values.size:
        raise DataError("the data has no " + ("rows" if values.shape[1] else "asset columns"))
    return Panel(values, assets, index, two_level)


def read_array(data: Any, what: str) -> FloatArray:
    """Turn anything that is not a frame into an array of floats.

    Raises
    ------
    DataError
        If it is not numeric, or complex; the message starts with ``what``.
    """
    try:
        masked = np.ma.isMaskedArray(data)
        values = np.ma.filled(np.ma.asarray(data, np.float64), np.nan) if masked else np.asarray(data)
        if not np.iscomplexobj(values):
            return values.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} of type {type(data).__name__} is not numeric: {error}") from error
    raise DataError(f"{what} has complex numbers; take their real part")


def _check_labels(index: pd.Index, assets: tuple[Hashable, ...]) -> None:
    if len(set(assets)) != len(assets):
        names = sorted({str(a) for a in assets if assets.count(a) > 1})
        raise DataError(f"duplicate tickers: {', '.join(names)}; keep one column each")
    twice = index.duplicated()  # is_unique is remembered by pandas, and handed on to slices
    if twice.any():
        raise DataError(f"duplicate date {describe(index[twice][0])}; keep one row a date")
    if index.inferred_type in ("mixed", "mixed-integer"):
        kinds = " and ".join(sorted({type(label).__name__ for label in index}))
        raise DataError(f"the index mixes {kinds}; turn it into dates with pandas.to_datetime, then sort by it")
    if not index.is_monotonic_increasing:
        if isinstance(index, pd.DatetimeIndex) and index.hasnans:
            raise DataError("a row has no date (NaT); drop it")
        steps = [i for i in range(1, len(index)) if index[i] < index[i - 1]]
        where = describe(index[steps[0]]) if steps else "an unknown row"
        if isinstance(index[0], str):
            advice = "turn the index into dates with pandas.to_datetime, then sort the frame by it"
            raise DataError(f"the dates are text, and as text not in ascending order at {where}; {advice}")
        raise DataError(f"dates are not in ascending order at {where}; sort the frame by its index")


def _numeric(frame: pd.DataFrame) -> FloatArray:
    unfit = [place for place, dtype in enumerate(frame.dtypes) if not is_number(dtype)]
    if not unfit:
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    for place in unfit:  # a cell that is no number tells more than a type
        column = frame.iloc[:, place]
        bad = np.flatnonzero(pd.to_numeric(column, errors="coerce").isna().to_numpy() & column.notna().to_numpy())
        if bad.size:
            raise DataError(
                f"{frame.columns[place]} on {describe(frame.index[bad[0]])}: {column.iloc[bad[0]]!r} is not a number; "
                "correct it and convert the column with pandas.to_numeric"
            )
    name, dtype = frame.columns[unfit[0]], frame.dtypes.iloc[unfit[0]]
    raise DataError(f"{name}: column of type {dtype} is not numeric; convert it with pandas.to_numeric")


def is_number(dtype: Any) -> bool:
    """Tell whether a column of that type holds real numbers."""
    types = pd.api.types
    return types.is_numeric_dtype(dtype) and not (types.is_bool_dtype(dtype) or types.is_complex_dtype(dtype))


def infer_kind(panel: Panel, kind: Kind | None = None) -> Kind:
    """Decide whether a panel holds prices or returns.

    Two-level columns are prices; otherwise at least 5% negative values means returns, else prices. Fewer negative
    values, all below 0.5 in size, are ambiguous.

    Raises
    ------
    PortfolioError
        If ``kind`` is not "prices", "returns" or None.
    DataError
        If the values are ambiguous.
    """
    if kind is not None:
        if kind not in ("prices", "returns"):
            raise PortfolioError(f"kind={kind!r} is unknown; use 'prices', 'returns' or None")
        return kind
    if panel.two_level:
        return "prices"
    finite = panel.values[np.isfinite(panel.values)]
    if finite.size == 0:
        raise DataError("the data has no finite number")
    if np.count_nonzero(finite < 0) >= _NEGATIVE_SHARE * finite.size:
        return "returns"
    if np.abs(finite).max() < _SMALL:
        raise DataError(
            "cannot tell prices from returns: fewer than 5% of the values are negative and all are below 0.5 in size; "
            "pass kind='prices' or kind='returns'"
        )
    return "prices"


def drop_missing(panel: Panel, what: str = "data") -> Panel:
    """Drop the rows with missing values, and say in the log which assets cost how many.

    Raises
    ------
    DataError
        If no row is left.
    """
    missing = np.isnan(panel.values)
    if not missing.any():
        return panel
    rows = np.asarray(missing.any(axis=1))
    each = missing.sum(axis=0)
    costs = ", ".join(f"{panel.assets[i]} {each[i]}" for i in np.flatnonzero(each))
    if rows.all():
        raise DataError(f"{what}: no row has a value for every asset (missing by asset: {costs})")
    logger.warning("%s: %d of %d rows dropped for missing values (%s)", what, rows.sum(), len(rows), costs)
    keep = ~rows
    return replace(panel, values=panel.values[keep], index=panel.index[keep])


def check_values(panel: Panel, kind: Kind, given: bool = False) -> None:
    """Check the numbers of a panel.

    Parameters
    ----------
    panel : Panel
    kind : {"prices", "returns"}
    given : bool
        Whether somebody said so. Rows without dates that somebody calls returns are scenarios, which need not follow
        one another, and may be as wild as they like.

    Raises
    ------
    DataError
        Naming ticker and date of the first infinite value, value beyond 1e50, price below 1e-50 or price that is not
        positive (but for zeros after which no price comes: bankruptcy), or the ticker whose returns are all above 100%
        or compound beyond what a float holds: those are prices or percent.
    """
    values = panel.values
    if kind == "prices" and values.size and 1.0 / _MOST <= values.min() <= values.max() <= _MOST:
        return
    size = np.abs(values)
    faults = {"value {} is infinite": np.isinf(values), "value {} is too large to be one": size > _MOST}
    if kind == "prices":
        faults["price {} is too small to be one"] = (size > 0) & (size < 1.0 / _MOST)
        rises = np.logical_or.accumulate((values > 0)[::-1])[::-1]
        began = np.logical_or.accumulate(values > 0)
        # 0 ends a life; where a price comes after it, or none came before, it stands for something else
        faults["price {} is not positive"] = (values < 0) | ((values == 0) & (rises | ~began))
    for problem, bad in faults.items():
        if bad.any():
            row, column = np.argwhere(bad)[0]
            text = problem.format(values[row, column])
            raise DataError(f"{panel.assets[column]} on {panel.date(int(row))}: {text}; correct or drop it")
    if kind == "returns" and not (given and not _is_dated(panel.index)):
        missing = np.isnan(values)
        for column in np.flatnonzero(((values > 1.0) | missing).all(axis=0) & ((~missing).sum(axis=0) >= _SURELY)):
            told = f"{panel.assets[column]}: every return is above 100%"
            raise DataError(f"{told}; pass kind='prices' if they are prices")
        totals = np.nansum(values, axis=0)
        for column in np.flatnonzero(totals > _LOG_OF_TOO_MUCH):  # log(1 + r) <= r, so no other can be it
            grown = np.nansum(np.log1p(np.maximum(values[:, column], -0.99)))
            if grown > _LOG_OF_TOO_MUCH:
                advice = "pass kind='prices' if they are prices, and divide by 100 if they are percent"
                raise DataError(f"{panel.assets[column]}: its returns compound to more than 1e300; {advice}")


def simple_returns(prices: FloatArray) -> FloatArray:
    """Simple returns ``P_t / P_{t-1} - 1`` of shape (rows - 1, N), stored asset by asset."""
    asset_major = np.ascontiguousarray(prices.T)
    return (asset_major[:, 1:] / asset_major[:, :-1] - 1.0).T


def align_columns(panel: Panel, assets: Sequence[Hashable], what: str) -> Panel:
    """Reorder the columns of ``panel`` to ``assets``.

    Raises
    ------
    DataError
        Naming the tickers that only one side has.
    """
    if panel.assets == tuple(assets):
        return panel
    if panel.assets == tuple(range(len(panel.assets))) and tuple(assets) == tuple(range(len(assets))):
        advice = "train and test must hold the same assets"
        raise DataError(f"{what} has {len(panel.assets)} columns, but the training data has {len(assets)}; {advice}")
    lacking = ", ".join(str(a) for a in assets if a not in set(panel.assets))
    extra = ", ".join(str(a) for a in panel.assets if a not in set(assets))
    if lacking or extra:
        parts = lacking and f"without {lacking}", extra and f"with {extra} which the training data lacks"
        raise DataError(f"{what} comes {' and '.join(filter(None, parts))}; train and test must hold the same tickers")
    order = [panel.assets.index(a) for a in assets]
    return replace(panel, values=panel.values[:, order], assets=tuple(assets))
