"""Prices from crypto exchanges through ccxt, kept in the same kind of cache as Yahoo's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, final

import pandas as pd

from opeslike.data.client import AnswerError, Client, NoDataError, OutageError, RateLimitError
from opeslike.data.selection import BAR, Day, read_symbols
from opeslike.data.updating import collect
from opeslike.errors import DataError

_CALLED: Final = {"1d": "1d", "1wk": "1w", "1mo": "1M"}
#: Bars asked for at once, which every exchange grants, and how far to look on where there are none yet.
_PAGE: Final = 300


def load_ccxt(
    exchange: str | Any,
    symbols: str | Iterable[str],
    start: Day = None, end: Day = None, *,
    interval: str = "1d", fields: str | Iterable[str] = "Close", group_by: str = "ticker",
    cache: bool | str | Path = True, refresh: bool = False, unfinished: bool = False, errors: str = "raise",
    retries: int = 4, timeout: float = 10.0, progress: bool | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return prices of crypto currencies from an exchange, from the cache where that has them.

    Needs ccxt (``pip install opeslike[crypto]``), which knows about a hundred exchanges. Only public data are asked
    for: no key is needed.

    Parameters
    ----------
    exchange : str or ccxt exchange
        ccxt's name, such as ``"binance"`` or ``"kraken"``; or an exchange made with ccxt, with options of its own.
    symbols : str or iterable of str
        Markets as ccxt writes them: ``["BTC/USDT", "ETH/USDT"]``.
    start, end, fields, group_by, refresh, unfinished, errors, retries, timeout, progress
        As in :func:`opeslike.data.load_yahoo`.
    interval : {"1d", "1wk", "1mo"}
        Length of a bar, in UTC: a day, a week dated on its first day, or a month dated on its first day.
    cache : bool, str or Path
        As in :func:`opeslike.data.load_yahoo`; each exchange has a folder of its own inside.

    Returns
    -------
    DataFrame, shape (dates, symbols) or (dates, symbols x fields)
        As from :func:`opeslike.data.load_yahoo`, in the currency each symbol is quoted in; seven days a week.

    Raises
    ------
    DataError
        ccxt is not installed, does not know the exchange, or the exchange has no such bars; a parameter out of its
        range; symbols that failed; the exchange cannot be reached and the cache does not have the range.

    Warns
    -----
    OfflineWarning, OpesLikeWarning
        As :func:`opeslike.data.load_yahoo`.

    Notes
    -----
    Trades need no adjustment, so an extension fetches again only the ten rows that prove the past unchanged. Some
    exchanges keep their recent bars alone (Kraken: 720); the frame then begins there, whatever ``start`` says.

    Source: the exchange's own interface, through ccxt; mind its terms of use.
    """
    given = locals()
    names = read_symbols(symbols, r"[^\\?#%]{1,64}", "symbol: ccxt's look like BTC/USDT or ETH/EUR")
    source = _Exchange(exchange, retries, timeout)
    return collect(source, names, given, "ccxt/" + re.sub(r"\W", "_", source.name))


@final
class _Exchange(Client):
    earliest = pd.Timestamp("2010-07-05")  # the first exchange; a Monday

    def __init__(self, exchange: Any, retries: int, timeout: float) -> None:
        try:
            import ccxt
        except ImportError as error:
            raise DataError("load_ccxt needs ccxt: pip install opeslike[crypto]") from error
        if isinstance(exchange, str):
            known = getattr(ccxt, exchange, None)
            if not (isinstance(known, type) and issubclass(known, ccxt.Exchange)):
                near = [name for name in ccxt.exchanges if name.startswith(exchange[:3].lower())][:5]
                hint = f"; did you mean {', '.join(near)}" if near else ""
                raise DataError(f"exchange={exchange!r} is unknown to ccxt{hint}")
            exchange = known({"enableRateLimit": True})
        elif not isinstance(exchange, ccxt.Exchange):
            raise DataError(f"exchange={exchange!r}: give ccxt's name of one, such as 'binance'")
        super().__init__(str(exchange.id), retries, timeout)
        exchange.timeout = round(1000 * timeout)
        self._ccxt, self._exchange = ccxt, exchange

    def expected(self) -> tuple[type[Exception], ...]:
        return (self._ccxt.BaseError, LookupError, TypeError, ValueError)

    def ask(self, ticker: str, start: pd.Timestamp, interval: str) -> tuple[pd.DataFrame, str]:
        """Ask for page after page; one without bars before the listing leads on to the next."""
        exchange, frame = self._exchange, _CALLED[interval]
        step = 1000 * exchange.parse_timeframe(frame)
        since, now, rows = int(start.timestamp() * 1000), exchange.milliseconds(), {}
        while since <= now:
            page = exchange.fetch_ohlcv(ticker, frame, since=since, limit=_PAGE)
            rows.update({int(row[0]): row[1:6] for row in page})
            since = max(since, page[-1][0]) + step if page else since + _PAGE * step
        if not rows:
            raise NoDataError(f"{self.name} has no prices for it")
        days = pd.DatetimeIndex(pd.to_datetime(sorted(rows), unit="ms"), name="Date").as_unit("ns").normalize()
        if not days.is_unique:
            raise ValueError("days twice")
        return pd.DataFrame([rows[key] for key in sorted(rows)], days, list(BAR), dtype="float64"), "UTC"

    def diagnose(self, error: Exception) -> NoDataError | OutageError:
        words = f"({type(error).__name__}: {str(error)[:200]})"
        kinds: dict[str, tuple[type[NoDataError | OutageError], str]] = {
            "RateLimitExceeded": (RateLimitError, "limits the rate of requests"),
            "DDoSProtection": (RateLimitError, "limits the rate of requests"),
            "NetworkError": (OutageError, f"cannot be reached {words}"),
            "BadSymbol": (NoDataError, "does not know this symbol"),
            "NotSupported": (NoDataError, "has no such bars"),
        }
        found = (kinds[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in kinds)
        kind, what = next(found, (AnswerError, f"sent what cannot be read {words}"))
        return kind(f"{self.name} {what}")
