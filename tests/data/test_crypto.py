"""`load_ccxt` through ccxt itself, with an exchange whose server runs here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest

from opeslike.data import load_ccxt
from opeslike.errors import DataError, OfflineWarning, OpesLikeWarning

ccxt = pytest.importorskip("ccxt")
DAY = 86_400_000


class Server:
    """Bars of each symbol from its listing on; at most 100 a page. ``trouble`` holds statuses answered first."""

    def __init__(self) -> None:
        days = pd.date_range("2022-03-01", "2024-12-31")
        rng = np.random.default_rng(0)
        self.closes = {
            name: pd.Series(np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.03, len(days)))), 4), days)
            for name in ("BTC/USDT", "ETH/USDT")
        }
        self.today = "2024-03-15"
        self.trouble: list[tuple[int, str]] = []
        self.asked: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
                server.asked.append(query)
                status, body = server.trouble.pop(0) if server.trouble else (200, server.page(query))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def page(self, query: dict[str, str]) -> str:
        closes = self.closes[query["symbol"]].loc[: self.today]
        stamps = closes.index.as_unit("ms").asi8
        first = int(np.searchsorted(stamps, int(query["since"])))
        shown = slice(first, first + 100)
        # as many exchanges do, nothing at all where the page would end before the listing
        if int(query["since"]) + int(query["limit"]) * DAY < stamps[0]:
            shown = slice(0, 0)
        rows = [
            [int(t), c * 0.99, c * 1.01, c * 0.98, c, 7.0] for t, c in zip(stamps[shown], closes[shown], strict=True)
        ]
        return json.dumps(rows)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    here = Server()
    here.naps = []  # type: ignore[attr-defined]

    class Fakex(ccxt.Exchange):  # type: ignore[misc, name-defined]
        def describe(self) -> Any:
            return self.deep_extend(
                super().describe(),
                {"id": "fakex", "has": {"fetchOHLCV": True}, "timeframes": {"1d": "1d"}, "rateLimit": 1},
            )

        def milliseconds(self) -> int:
            return int((pd.Timestamp(here.today) + pd.Timedelta(hours=30)).timestamp() * 1000)

        def fetch_markets(self, params: Any = None) -> Any:
            return [
                self.safe_market_structure({"id": s, "symbol": s, "base": s[:3], "quote": "USDT"}) for s in here.closes
            ]

        def fetch_ohlcv(self, symbol: str, timeframe: str = "1d", since: Any = None, limit: Any = None) -> Any:
            self.load_markets()
            self.market(symbol)
            url = f"http://127.0.0.1:{here.port}/?symbol={symbol}&since={since}&limit={limit}"
            return self.fetch(url, "GET")

    monkeypatch.setattr(ccxt, "fakex", Fakex, raising=False)
    monkeypatch.setattr("opeslike.data.client._sleep", here.naps.append)  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "opeslike.data.updating.utc_now", lambda: (pd.Timestamp(here.today) + pd.Timedelta(hours=30)).tz_localize("UTC")
    )
    yield here
    here.close()


def test_every_day_from_the_listing_on(server: Server, tmp_path: Path) -> None:
    frame = load_ccxt("fakex", ["BTC/USDT", "ETH/USDT"], cache=tmp_path)
    assert list(frame.columns) == ["BTC/USDT", "ETH/USDT"]
    assert (frame.index[0], frame.index[-1]) == (pd.Timestamp("2022-03-01"), pd.Timestamp("2024-03-15"))
    assert frame.index.name == "Date"
    assert frame.index.dtype == "datetime64[ns]"
    for symbol in frame:
        np.testing.assert_array_equal(frame[symbol], server.closes[symbol].loc[:"2024-03-15"])


def test_the_cache_is_the_same(server: Server, tmp_path: Path) -> None:
    first = load_ccxt("fakex", "BTC/USDT", "2023-06", "2023", cache=tmp_path)
    assert (first.index[0], first.index[-1]) == (pd.Timestamp("2023-06-01"), pd.Timestamp("2023-12-31"))
    server.asked.clear()
    part = load_ccxt("fakex", "BTC/USDT", "2023-07", "2023-08", cache=tmp_path)
    pd.testing.assert_frame_equal(part, first.loc["2023-07":"2023-08"], check_freq=False)
    assert not server.asked
    server.today = "2024-03-20"
    load_ccxt("fakex", "BTC/USDT", "2023-06", cache=tmp_path)
    first_asked = pd.Timestamp(int(server.asked[0]["since"]), unit="ms")
    assert first_asked == pd.Timestamp("2024-03-06")  # ten rows that prove the past unchanged, and the new ones
    assert len(server.asked) == 2  # and whether there is one of today
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.csv")] == ["fakex/1d-BTC%2FUSDT.csv"]


def test_bars_and_an_exchange_of_ones_own(server: Server) -> None:
    bars = load_ccxt(ccxt.fakex(), "ETH/USDT", "2024-03", fields="OHLCV", cache=False)
    assert list(bars["ETH/USDT"].columns) == ["Open", "High", "Low", "Close", "Volume"]
    np.testing.assert_allclose(bars["ETH/USDT"]["Low"] / bars["ETH/USDT"]["Close"], 0.98, rtol=1e-12)


def test_todays_bar(server: Server) -> None:
    server.today = "2024-03-16"
    now = pd.Timestamp("2024-03-16 15:00", tz="UTC")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opeslike.data.updating.utc_now", lambda: now)
        assert load_ccxt("fakex", "BTC/USDT", "2024-03", cache=False).index[-1] == pd.Timestamp("2024-03-15")
        live = load_ccxt("fakex", "BTC/USDT", "2024-03", cache=False, unfinished=True)
        assert live.index[-1] == pd.Timestamp("2024-03-16")


def test_rate_limits_and_broken_answers_are_asked_again(server: Server) -> None:
    server.trouble = [(429, "slow down")] * 3
    frame = load_ccxt("fakex", "BTC/USDT", "2024-03", cache=False)
    assert len(frame) == 15
    assert len(server.naps) == 3  # type: ignore[attr-defined]
    server.trouble = [(503, "<html>")] * 9
    with pytest.raises(DataError, match="BTC/USDT: fakex cannot be reached"):
        load_ccxt("fakex", "BTC/USDT", "2024-03", cache=False)


def test_what_it_does_not_have(server: Server) -> None:
    with pytest.raises(DataError, match=r"no prices for NO/USDT: fakex does not know this symbol.*go on with BTC/USDT"):
        load_ccxt("fakex", "BTC/USDT NO/USDT", "2024", cache=False)
    with pytest.warns(OpesLikeWarning, match="NO/USDT") as caught:
        frame = load_ccxt("fakex", "BTC/USDT NO/USDT", "2024", cache=False, errors="warn")
    assert caught[0].filename == __file__
    assert list(frame.attrs["failed"]) == ["NO/USDT"]


def test_offline(server: Server, tmp_path: Path) -> None:
    before = load_ccxt("fakex", "BTC/USDT", "2024", cache=tmp_path)
    server.close()
    server.today = "2024-04-30"
    with pytest.warns(OfflineWarning, match="fakex cannot be reached.*BTC/USDT to 2024-03-15") as caught:
        frame = load_ccxt("fakex", "BTC/USDT", "2024", cache=tmp_path)
    assert caught[0].filename == __file__
    pd.testing.assert_frame_equal(frame, before, check_freq=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"exchange": "binanze"}, "exchange='binanze' is unknown to ccxt; did you mean binance"),
        ({"exchange": "Exchange2"}, "exchange='Exchange2' is unknown"),
        ({"exchange": 3}, "exchange=3: give ccxt's name"),
        ({"symbols": []}, "tickers is empty"),
        ({"symbols": ["A?b"]}, r"'A\?b' is not a symbol"),
        ({"interval": "1h"}, "interval='1h': choose one of 1d, 1wk, 1mo"),
        ({"retries": -1}, "retries=-1"),
        ({"timeout": 0}, "timeout=0"),
        ({"fields": "Adj Close"}, "fakex has Open"),
        ({"cache": None}, "cache=None: give True"),
    ],
)
def test_bad_parameters(server: Server, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_ccxt(**{"exchange": "fakex", "symbols": "BTC/USDT", "cache": False, **arguments})


def test_without_ccxt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ccxt", None)
    with pytest.raises(DataError, match=r"needs ccxt: pip install opeslike\[crypto\]"):
        load_ccxt("binance", "BTC/USDT", cache=False)
