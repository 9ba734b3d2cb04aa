"""A stand-in for Yahoo's chart service on 127.0.0.1, and the redirection of yfinance to it.

Listings hold prices as traded. What is served on a given day is computed as Yahoo does: closes are divided by all
later splits, adjusted closes also shrunk by all later dividends, so the past changes when a dividend or split comes.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd

VALID_RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]


@dataclass
class Listing:
    """One ticker: what it traded at, and its dividends and splits by the day they take effect."""

    traded: pd.Series
    dividends: dict[str, float] = field(default_factory=dict)
    splits: dict[str, float] = field(default_factory=dict)
    zone: str = "America/New_York"
    kind: str = "EQUITY"
    opens: str = "9h30min"

    def adjusted(self, today: str) -> pd.DataFrame:
        """Return close and adjusted close of the days up to ``today``, as known on it."""
        traded = self.traded.loc[:today]
        days, close = traded.index, traded.to_numpy().copy()
        for day, ratio in self.splits.items():
            if pd.Timestamp(day) <= days[-1]:
                close[days < day] /= ratio
        adjclose = close.copy()
        for day, amount in self.dividends.items():
            at = days.searchsorted(pd.Timestamp(day))
            if 0 < at < len(days):
                adjclose[:at] *= 1 - amount / close[at - 1]
        return pd.DataFrame({"close": close, "adjclose": adjclose}, index=days)


def walk(first: str, last: str, seed: int, freq: str = "B", price: float = 100.0) -> pd.Series:
    """Return a random walk of prices, to the cent."""
    days = pd.date_range(first, last, freq=freq)
    steps = np.random.default_rng(seed).normal(0.0005, 0.01, len(days))
    return pd.Series(np.round(price * np.exp(np.cumsum(steps)), 2), days)


class FakeYahoo:
    """The server. Set ``today``; put (status, body) pairs into ``trouble`` to be answered first."""

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        self.today = "2024-03-15"
        self.trouble: list[tuple[int, str]] = []
        self.always: tuple[int, str] | None = None
        self.asked: list[tuple[str, dict[str, str]]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = fake.answer(self.path)
                content = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.up = True

    def close(self) -> None:
        """Stop; from then on connections are refused."""
        if self.up:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self.up = False

    @property
    def charts(self) -> list[tuple[str, dict[str, str]]]:
        """The requests for prices (not those for a time zone)."""
        return [(ticker, query) for ticker, query in self.asked if "period1" in query]

    def answer(self, path: str) -> tuple[int, str]:
        parts = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/getcrumb"):
            return 200, "crumb"
        if "/v8/finance/chart/" not in parts.path:
            missing = {"result": None, "error": {"code": "Not Found", "description": "Quote not found"}}
            return 404, json.dumps({"quoteSummary": missing})
        ticker = unquote(parts.path.rpartition("/")[2])
        self.asked.append((ticker, query))
        if self.always is not None:
            return self.always
        if self.trouble:
            return self.trouble.pop(0)
        if ticker not in self.listings:
            words = "No data found, symbol may be delisted"
            return 404, json.dumps({"chart": {"result": None, "error": {"code": "Not Found", "description": words}}})
        return 200, json.dumps(self._chart(ticker, self.listings[ticker], query))

    def _chart(self, ticker: str, listing: Listing, query: dict[str, str]) -> dict[str, object]:
        prices = listing.adjusted(self.today)
        stamps = (prices.index + pd.Timedelta(listing.opens)).tz_localize(listing.zone)
        seconds = stamps.as_unit("s").asi8
        first, last = int(query.get("period1", seconds[-1])), int(query.get("period2", seconds[-1] + 1))
        shown = (seconds >= first) & (seconds < last)
        if query["interval"] in ("1wk", "1mo"):
            period = prices.index.to_period("W" if query["interval"] == "1wk" else "M")
            tail = ~period.duplicated(keep="last")
            prices = prices[tail]
            starts = period[tail].start_time.tz_localize(listing.zone)
            seconds = starts.as_unit("s").asi8
            shown = (seconds >= first) & (seconds < last)
        if not shown.any():
            words = "Data doesn't exist for startDate, endDate"
            return {"chart": {"result": None, "error": {"code": "Bad Request", "description": words}}}
        prices, seconds = prices[shown], seconds[shown]
        close = prices["close"].to_numpy()
        stamp_of = dict(zip(prices.index.strftime("%Y-%m-%d"), seconds.tolist(), strict=True))
        dividends = {
            str(stamp_of[day]): {"amount": amount, "date": stamp_of[day]}
            for day, amount in listing.dividends.items()
            if day in stamp_of
        }
        splits = {
            str(stamp_of[day]): {
                "date": stamp_of[day],
                "numerator": ratio,
                "denominator": 1.0,
                "splitRatio": f"{ratio:g}:1",
            }
            for day, ratio in listing.splits.items()
            if day in stamp_of
        }
        session = {"timezone": "X", "start": int(seconds[-1]), "end": int(seconds[-1]) + 23400, "gmtoffset": 0}
        meta = {
            "currency": "USD",
            "symbol": ticker,
            "exchangeName": "XXX",
            "instrumentType": listing.kind,
            "firstTradeDate": int(seconds[0]),
            "regularMarketTime": int(seconds[-1]),
            "gmtoffset": 0,
            "timezone": "X",
            "exchangeTimezoneName": listing.zone,
            "regularMarketPrice": float(close[-1]),
            "priceHint": 2,
            "currentTradingPeriod": {"pre": session, "regular": session, "post": session},
            "dataGranularity": query["interval"],
            "range": "",
            "validRanges": VALID_RANGES,
        }
        quote = {
            "open": (close * 0.99).tolist(),
            "high": (close * 1.01).tolist(),
            "low": (close * 0.98).tolist(),
            "close": close.tolist(),
            "volume": [1000 + i for i in range(len(close))],
        }
        result: dict[str, object] = {
            "meta": meta,
            "timestamp": seconds.tolist(),
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": prices["adjclose"].tolist()}]},
        }
        if events := {k: v for k, v in {"dividends": dividends, "splits": splits}.items() if v}:
            result["events"] = events
        return {"chart": {"result": [result], "error": None}}


def redirected(port: int) -> Any:
    """Return a replacement for ``curl_cffi.requests.Session.request`` that asks the server instead of Yahoo."""
    from curl_cffi import requests

    original = requests.Session.request

    def request(self: Any, method: str, url: str, **options: Any) -> Any:
        parts = urlsplit(url)
        if not (parts.hostname or "").endswith("yahoo.com"):
            raise AssertionError(f"a request to {parts.hostname}")
        here = f"http://127.0.0.1:{port}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return original(self, method, here, **options)

    return request
