from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opeslike.data import load_yahoo
from opeslike.data.cache import Cache
from opeslike.errors import DataError, OfflineWarning, OpesLikeWarning

START = "2023-06-01"


@pytest.fixture(scope="module")
def traded(fake_yahoo: Any) -> dict[str, pd.Series]:
    """What three stocks and a crypto currency traded at; business days to the end of 2024."""
    walks = {
        name: fake_yahoo.walk("2019-12-02", "2024-12-31", seed) for seed, name in enumerate(["AAPL", "MSFT", "SPLT"])
    }
    walks["SPLT"].loc[:"2023-10-31"] *= 4
    return {**walks, "BTC-USD": fake_yahoo.walk("2019-12-02", "2024-12-31", 4, freq="D")}


@pytest.fixture
def market(yahoo: Any, fake_yahoo: Any, traded: dict[str, pd.Series]) -> Any:
    """Yahoo with those four; SPLT has a split, and dividends before and after the server's present day."""
    yahoo.listings = {ticker: fake_yahoo.Listing(prices.copy()) for ticker, prices in traded.items()}
    yahoo.listings["SPLT"].splits = {"2023-11-01": 4.0}
    yahoo.listings["SPLT"].dividends = {"2023-08-14": 1.5, "2024-02-12": 1.25, "2024-05-13": 2.0}
    crypto = yahoo.listings["BTC-USD"]
    crypto.zone, crypto.kind, crypto.opens = "UTC", "CRYPTOCURRENCY", "0h"
    return yahoo


def expected(market: Any, ticker: str, start: str = START, end: str | None = None) -> pd.Series:
    return market.listings[ticker].adjusted(market.today)["adjclose"].loc[start:end]


def same(frame: pd.DataFrame, ticker: str, prices: pd.Series) -> None:
    got = frame[ticker].dropna()
    assert list(got.index) == list(prices.index)
    np.testing.assert_allclose(got.to_numpy(), prices.to_numpy(), rtol=1e-13)


def test_closes_in_the_order_asked(market: Any, tmp_path: Path) -> None:
    frame = load_yahoo("msft, aapl", START, "2024-02", cache=tmp_path)
    assert list(frame.columns) == ["MSFT", "AAPL"]
    assert frame.index.name == "Date"
    assert frame.index.dtype == "datetime64[ns]"
    assert (frame.dtypes == np.float64).all()
    assert frame.index[-1] == pd.Timestamp("2024-02-29")
    for ticker in frame:
        same(frame, ticker, expected(market, ticker, end="2024-02-29"))


def test_prices_are_adjusted_for_a_split_and_dividends(market: Any, tmp_path: Path) -> None:
    frame = load_yahoo(["SPLT"], START, cache=tmp_path)
    same(frame, "SPLT", expected(market, "SPLT"))
    returns = frame["SPLT"].pct_change().dropna()
    assert returns.abs().max() < 0.05
    assert market.listings["SPLT"].traded.pct_change().min() < -0.7


def test_start_left_open_gives_all_there_is(market: Any, tmp_path: Path) -> None:
    frame = load_yahoo("AAPL", end="2020", cache=tmp_path)
    assert frame.index[0] == market.listings["AAPL"].traded.index[0]
    market.asked.clear()
    load_yahoo("AAPL", cache=tmp_path)
    load_yahoo("AAPL", "2001", cache=tmp_path)
    assert not market.charts


def test_fields_and_layouts(market: Any, tmp_path: Path) -> None:
    bars = load_yahoo("AAPL BTC-USD", START, fields="OHLCV", cache=tmp_path)
    assert list(bars["AAPL"].columns) == ["Open", "High", "Low", "Close", "Volume"]
    assert (bars.dtypes == np.float64).all()
    by_field = load_yahoo("AAPL BTC-USD", START, fields="OHLCV", group_by="column", cache=tmp_path)
    assert list(by_field["Close"].columns) == ["AAPL", "BTC-USD"]
    pd.testing.assert_frame_equal(by_field.swaplevel(axis=1)[bars.columns], bars)
    volume = load_yahoo("AAPL", START, fields="Volume", cache=tmp_path)
    assert volume.columns.nlevels == 1
    two = load_yahoo("AAPL", START, fields=["Low", "Close"], cache=tmp_path)
    assert list(two.columns) == [("AAPL", "Low"), ("AAPL", "Close")]
    # bars are adjusted as a whole: the server's low is 98% of its close
    np.testing.assert_allclose(two["AAPL"]["Low"] / two["AAPL"]["Close"], 0.98, rtol=1e-12)


def test_crypto_beside_stocks_leaves_nan_at_weekends(market: Any, tmp_path: Path) -> None:
    frame = load_yahoo(["BTC-USD", "AAPL"], START, "2023-07-31", cache=tmp_path)
    weekend = frame.index.day_of_week >= 5
    assert len(frame) == 61
    assert frame["BTC-USD"].notna().all()
    assert frame.loc[weekend, "AAPL"].isna().all()
    assert frame.loc[~weekend, "AAPL"].notna().all()


@pytest.mark.parametrize(("interval", "count"), [("1wk", 9), ("1mo", 1)])
def test_longer_bars(market: Any, tmp_path: Path, interval: str, count: int) -> None:
    market.today = "2024-03-15"  # the week and month of this Friday are not over at Saturday noon
    frame = load_yahoo("AAPL", "2024-01-03", interval=interval, cache=tmp_path)
    assert len(frame) == count
    assert (frame.index.day_of_week == 0).all() or (frame.index.day == 1).all()
    assert frame.index[0] >= pd.Timestamp("2024-01-03")
    market.asked.clear()
    load_yahoo("AAPL", "2024-01-03", interval=interval, cache=tmp_path)
    assert not market.charts


def test_todays_bar_is_neither_returned_nor_cached(market: Any, tmp_path: Path) -> None:
    market.today, market.now = "2024-03-15", "2024-03-15 15:00"
    live = load_yahoo("AAPL", START, cache=tmp_path, unfinished=True)
    assert live.index[-1] == pd.Timestamp("2024-03-15")
    frame = load_yahoo("AAPL", START, cache=tmp_path)
    assert frame.index[-1] == pd.Timestamp("2024-03-14")
    market.listings["AAPL"].traded.loc["2024-03-15"] *= 1.05  # where the day really ended
    market.now = "2024-03-16 00:01"
    frame = load_yahoo("AAPL", START, cache=tmp_path)
    same(frame, "AAPL", expected(market, "AAPL"))


# --- the cache -------------------------------------------------------------------------------------------------


def test_covered_range_asks_nothing(market: Any, tmp_path: Path) -> None:
    first = load_yahoo("AAPL MSFT", START, "2024-01-31", cache=tmp_path)
    market.close()
    market.now = "2025-05-01"
    again = load_yahoo("AAPL MSFT", START, "2024-01-31", cache=tmp_path)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    part = load_yahoo("MSFT", "2023-09", "2023-10", cache=tmp_path)
    assert part.index[0] == pd.Timestamp("2023-09-01")
    assert part.index[-1] == pd.Timestamp("2023-10-31")


def test_open_end_asks_once_a_day(market: Any, tmp_path: Path) -> None:
    market.now = "2024-03-14 18:00"
    market.today = "2024-03-14"
    load_yahoo("AAPL", START, cache=tmp_path)
    market.asked.clear()
    load_yahoo("AAPL", START, cache=tmp_path)
    assert not market.charts  # today's bar is not finished
    market.today, market.now = "2024-03-15", "2024-03-15 00:30"
    assert load_yahoo("AAPL", START, cache=tmp_path).index[-1] == pd.Timestamp("2024-03-14")
    assert len(market.charts) == 1
    market.now = "2024-03-16 00:30"
    assert load_yahoo("AAPL", START, cache=tmp_path).index[-1] == pd.Timestamp("2024-03-15")
    assert len(market.charts) == 2
    for later in ("2024-03-16 20:00", "2024-03-17 20:00", "2024-03-18 20:00"):  # the weekend, and Monday
        market.now = later
        load_yahoo("AAPL", START, cache=tmp_path)
    assert len(market.charts) == 2


def test_extension_takes_overlap_only(market: Any, tmp_path: Path) -> None:
    load_yahoo("AAPL", START, cache=tmp_path)
    market.today = "2024-04-30"
    market.asked.clear()
    frame = load_yahoo("AAPL", START, cache=tmp_path)
    same(frame, "AAPL", expected(market, "AAPL"))
    ((_, query),) = market.charts
    begin = pd.Timestamp(int(query["period1"]), unit="s", tz="America/New_York").tz_localize(None)
    old = expected(market, "AAPL", end="2024-03-15").index
    assert begin.normalize() == old[-10]


def test_extension_over_a_dividend_takes_everything_anew(
    market: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="opeslike")
    before = load_yahoo("SPLT AAPL", START, cache=tmp_path)
    market.today = "2024-06-28"
    market.asked.clear()
    after = load_yahoo("SPLT AAPL", START, cache=tmp_path)
    same(after, "SPLT", expected(market, "SPLT"))
    same(after, "AAPL", expected(market, "AAPL"))
    assert (after["SPLT"].loc[before.index] < before["SPLT"] * (1 - 1e-3)).all()
    assert [ticker for ticker, _ in market.charts] == ["SPLT", "SPLT", "AAPL"]
    assert "SPLT: adjusted prices have changed" in caplog.text
    assert "AAPL: adjusted" not in caplog.text


def test_extension_over_a_split_takes_everything_anew(market: Any, tmp_path: Path) -> None:
    market.today = "2023-10-20"
    load_yahoo("SPLT", "2023-01-02", cache=tmp_path)
    market.today = "2023-12-20"
    frame = load_yahoo("SPLT", "2023-01-02", cache=tmp_path)
    same(frame, "SPLT", expected(market, "SPLT", "2023-01-02"))


@pytest.mark.parametrize(("off", "requests"), [(5e-7, 1), (2e-6, 2)])
def test_tolerance_of_the_overlap(market: Any, tmp_path: Path, off: float, requests: int) -> None:
    load_yahoo("AAPL", START, cache=tmp_path)
    market.today = "2024-03-29"
    market.listings["AAPL"].traded.loc["2024-03-12"] *= 1 + off
    market.asked.clear()
    load_yahoo("AAPL", START, cache=tmp_path)
    assert len(market.charts) == requests


def test_earlier_start_fetches_from_there_and_does_not_shrink(market: Any, tmp_path: Path) -> None:
    load_yahoo("AAPL", "2023-01-02", cache=tmp_path)
    frame = load_yahoo("AAPL", "2020-01-01", cache=tmp_path)
    same(frame, "AAPL", expected(market, "AAPL", "2020-01-01"))
    load_yahoo("AAPL", "2024-01-02", refresh=True, cache=tmp_path)
    market.asked.clear()
    load_yahoo("AAPL", "2020-01-01", "2024", cache=tmp_path)
    assert not market.charts


def test_refresh_sees_what_the_overlap_cannot(market: Any, tmp_path: Path) -> None:
    load_yahoo("AAPL", START, cache=tmp_path)
    market.listings["AAPL"].traded.loc["2023-09-01"] *= 1.01
    stale = load_yahoo("AAPL", START, cache=tmp_path)
    fresh = load_yahoo("AAPL", START, cache=tmp_path, refresh=True)
    same(fresh, "AAPL", expected(market, "AAPL"))
    assert fresh["AAPL"].loc["2023-09-01"] > stale["AAPL"].loc["2023-09-01"]


def test_without_cache_nothing_is_kept(market: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_yahoo("AAPL", START, cache=False)
    load_yahoo("AAPL", START, cache=False)
    assert len(market.charts) == 2
    assert not list(tmp_path.rglob("*.csv"))


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the cache folder on Linux")
def test_default_cache_is_the_users(market: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_yahoo("AAPL", START)
    assert [path.name for path in tmp_path.glob("opeslike/yahoo/*")] == ["1d-AAPL.csv"]


@pytest.mark.parametrize("damage", ["truncated", "edited", "empty", "foreign"])
def test_damaged_file_is_fetched_anew(
    market: Any, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    load_yahoo("AAPL", START, "2024-01", cache=tmp_path)
    path = Cache(tmp_path).path("AAPL", "1d")
    content = path.read_bytes()
    path.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "edited": content.replace(b".5", b".6", 1),
            "empty": b"",
            "foreign": b"Date,AAPL\n2024-01-02,7\n",
        }[damage]
    )
    assert path.read_bytes() != content
    market.asked.clear()
    frame = load_yahoo("AAPL", START, "2024-01", cache=tmp_path)
    same(frame, "AAPL", expected(market, "AAPL", end="2024-01-31"))
    assert len(market.charts) == 1
    assert "damaged" in caplog.text
    assert path.read_bytes().splitlines()[2:] == content.splitlines()[2:]


def test_unwritable_cache_warns_and_returns_prices(market: Any, tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    with pytest.warns(OpesLikeWarning, match="cannot be written") as caught:
        frame = load_yahoo("AAPL MSFT", START, cache=folder)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    same(frame, "MSFT", expected(market, "MSFT"))


_SPAN = ("2023-01-03", "2024-03-14")
_CHILD = f"""
import runpy, sys
script, port, cache, zones = sys.argv[1:]
import yfinance
from curl_cffi import requests
requests.Session.request = runpy.run_path(script)["redirected"](int(port))
yfinance.set_tz_cache_location(zones)
from opeslike.data import load_yahoo
print("ready", flush=True)
sys.stdin.readline()
for _ in range(4):
    frame = load_yahoo("SPLT", *{_SPAN}, cache=cache, refresh=True)
print(float(frame["SPLT"].sum()).hex())
"""


def test_two_processes_write_the_same_ticker_at_once(market: Any, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    arguments = [Path(__file__).with_name("fake_yahoo.py"), market.port, cache, tmp_path / "zones"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "XDG_CACHE_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("go\n")
        child.stdin.flush()
        for _ in range(4):
            frame = load_yahoo("SPLT", *_SPAN, cache=cache, refresh=True)
        output, _ = child.communicate(timeout=60)
        assert child.returncode == 0
    assert float.fromhex(output.strip()) == frame["SPLT"].sum()
    market.close()
    market.now = "2200-01-01"  # the child's clock is the real one
    pd.testing.assert_frame_equal(load_yahoo("SPLT", *_SPAN, cache=cache), frame, check_exact=True)
    assert len(list(cache.iterdir())) == 1  # no drafts left behind


# --- when things go wrong --------------------------------------------------------------------------------------


def test_rate_limit_waits_longer_each_time(market: Any, tmp_path: Path) -> None:
    # yfinance itself asks twice before it gives up: six answers are three attempts
    market.trouble = [(429, "Too Many Requests")] * 6
    frame = load_yahoo("AAPL", START, cache=tmp_path)
    same(frame, "AAPL", expected(market, "AAPL"))
    assert len(market.naps) == 3
    for nap, middle in zip(market.naps, (1, 2, 4), strict=True):
        assert 0.5 * middle <= nap <= 1.5 * middle


def test_endless_rate_limit_stops_asking(market: Any, tmp_path: Path) -> None:
    market.always = (429, "Too Many Requests")
    with pytest.raises(DataError, match=r"AAPL, MSFT: Yahoo limits the rate.*load_csv.*load_us20"):
        load_yahoo("AAPL MSFT", START, cache=tmp_path, retries=3)
    assert len(market.naps) == 3
    assert {ticker for ticker, _ in market.asked} == {"AAPL"}


def test_rate_limit_with_a_warm_cache(market: Any, tmp_path: Path) -> None:
    load_yahoo("AAPL", START, cache=tmp_path)
    market.today, market.always = "2024-04-30", (429, "Too Many Requests")
    with pytest.warns(OfflineWarning, match="limits the rate.*AAPL to 2024-03-15"):
        frame = load_yahoo("AAPL", START, cache=tmp_path, retries=0)
    assert frame.index[-1] == pd.Timestamp("2024-03-15")


@pytest.mark.parametrize("body", ["<html>oops</html>", '{"finance": {"error": "x"}}', "{}", "[1]"])
def test_server_errors_are_asked_again(market: Any, fake_yahoo: Any, tmp_path: Path, body: str) -> None:
    # a ticker new to yfinance: the answer about its time zone is one that yfinance would remember
    name = f"NEW{abs(hash(body)) % 10**6}"
    market.listings[name] = market.listings["AAPL"]
    market.trouble = [(500, body)] * 3
    frame = load_yahoo(name, START, cache=tmp_path)
    same(frame, name, expected(market, name))
    assert 1 <= len(market.naps) <= 2


def test_endless_server_errors_name_the_ticker(market: Any, tmp_path: Path) -> None:
    market.always = (500, "<html>oops</html>")
    with pytest.raises(DataError, match="AAPL: Yahoo's answer cannot be read"):
        load_yahoo("AAPL", START, cache=tmp_path)
    assert len(market.naps) == 2


def test_unknown_ticker_is_named(market: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no prices for NOPE: .*errors='warn' to go on with AAPL") as caught:
        load_yahoo("AAPL NOPE", START, cache=tmp_path)
    assert "load_csv" not in str(caught.value)
    assert not market.naps


def test_unknown_tickers_left_out_with_a_warning(market: Any, tmp_path: Path) -> None:
    with pytest.warns(OpesLikeWarning, match="no prices for NOPE, NADA: ") as caught:
        frame = load_yahoo("NOPE AAPL NADA", START, cache=tmp_path, errors="warn")
    assert caught[0].filename == __file__
    assert list(frame.columns) == ["AAPL"]
    assert list(frame.attrs["failed"]) == ["NOPE", "NADA"]
    with pytest.raises(DataError, match="NOPE"):
        load_yahoo("NOPE", START, cache=tmp_path, errors="warn")


def test_listed_after_the_range(market: Any, fake_yahoo: Any, tmp_path: Path) -> None:
    market.listings["YOUNG"] = fake_yahoo.Listing(fake_yahoo.walk("2023-09-01", "2024-12-31", 5))
    with pytest.raises(DataError, match="YOUNG: no prices in the range asked for, only 2023-09-01 to 2024-03-15"):
        load_yahoo("YOUNG", START, "2023-07", cache=tmp_path)
    frame = load_yahoo("YOUNG AAPL", START, cache=tmp_path)
    assert frame["YOUNG"].first_valid_index() == pd.Timestamp("2023-09-01")
    market.asked.clear()
    load_yahoo("YOUNG", START, cache=tmp_path)
    assert not market.charts  # a later first row does not mean that the cache lacks something


def test_ticker_that_yahoo_has_dropped(market: Any, tmp_path: Path) -> None:
    load_yahoo("MSFT", START, cache=tmp_path)
    del market.listings["MSFT"]
    market.today = "2024-04-30"
    with pytest.raises(DataError, match=r"MSFT: .*the cache has it from 2023-06-01 to 2024-03-15"):
        load_yahoo("MSFT", START, cache=tmp_path)
    assert len(load_yahoo("MSFT", START, "2024-03-15", cache=tmp_path)) > 200


def test_offline_without_cache(market: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    market.close()
    with pytest.raises(DataError, match=r"AAPL, MSFT: Yahoo cannot be reached.*load_csv\(path\).*load_us20\(\)"):
        load_yahoo("AAPL MSFT", START, cache=tmp_path)
    assert len(market.naps) == 2  # for the first ticker; the second is not even tried
    assert capfd.readouterr() == ("", "")  # yfinance writes to stderr when left to itself


def test_where_packets_vanish_one_attempt_is_enough(
    market: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.close()
    monkeypatch.setattr("opeslike.data.client._clock", iter([0.0, 31.0]).__next__)
    with pytest.raises(DataError, match="cannot be reached"):
        load_yahoo("AAPL", START, cache=tmp_path)
    assert not market.naps


def test_offline_with_a_warm_cache(market: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = load_yahoo("AAPL MSFT", START, cache=tmp_path)
    market.close()
    market.now = "2024-06-03"
    with pytest.warns(OfflineWarning, match=r"cannot be reached.*AAPL to 2024-03-15, MSFT to 2024-03-15") as caught:
        frame = load_yahoo("AAPL MSFT", START, cache=tmp_path)
    pd.testing.assert_frame_equal(frame, before)
    assert caught[0].filename == __file__
    assert "come from the cache" in caplog.text


def test_offline_a_given_end_must_be_in_the_cache(market: Any, tmp_path: Path) -> None:
    load_yahoo("AAPL", START, cache=tmp_path)
    market.close()
    market.now = "2024-06-03"
    with pytest.raises(DataError, match="the cache has it from 2023-06-01 to 2024-03-15"):
        load_yahoo("AAPL", START, "2024-05-31", cache=tmp_path)
    with pytest.raises(DataError, match="the cache has it from 2023-06-01"):
        load_yahoo("AAPL", "2020", cache=tmp_path)


def test_offline_refresh_falls_back_to_the_cache(market: Any, tmp_path: Path) -> None:
    load_yahoo("AAPL", START, "2024-01", cache=tmp_path)
    market.close()
    with pytest.warns(OfflineWarning):
        load_yahoo("AAPL", START, "2024-01", cache=tmp_path, refresh=True)


def test_yfinance_is_left_as_it_was(market: Any, yfinance: Any, tmp_path: Path) -> None:
    handlers = list(logging.getLogger("yfinance").handlers)
    load_yahoo("AAPL", START, cache=tmp_path)
    assert yfinance.config.debug.hide_exceptions is True
    assert logging.getLogger("yfinance").handlers == handlers


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tickers": ""}, "tickers is empty"),
        ({"tickers": []}, "tickers is empty"),
        ({"tickers": ["AAPL", 3]}, "must be text, got 3"),
        ({"tickers": "AAPL aapl"}, "AAPL occurs twice"),
        ({"tickers": ["../x"]}, "'../x' is not a ticker"),
        ({"tickers": ["A B"]}, "'A B' is not a ticker"),
        ({"tickers": ["A?b=1"]}, "is not a ticker"),
        ({"start": "soon"}, "start='soon' is not a date"),
        ({"start": "2024-02-02", "end": "2024-01"}, "start=2024-02-02 lies after end=2024-01-31"),
        ({"interval": "5m"}, "interval='5m': choose one of 1d, 1wk, 1mo"),
        ({"fields": "close"}, "fields='close'"),
        ({"fields": ["Close", "Close"]}, "Close occurs twice"),
        ({"fields": "Adj Close"}, "Yahoo has Open"),
        ({"group_by": "row"}, "group_by='row'"),
        ({"errors": "ignore"}, "errors='ignore'"),
        ({"retries": -1}, "retries=-1"),
        ({"timeout": 0}, "timeout=0"),
    ],
)
def test_bad_parameters(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words.replace("?", r"\?")):
        load_yahoo(**{"tickers": "AAPL", "cache": False, **arguments})


@pytest.mark.parametrize("ticker", ["^GSPC", "BRK-B", "EURUSD=X", "M&M.NS", "0700.HK"])
def test_odd_tickers(market: Any, tmp_path: Path, ticker: str) -> None:
    market.listings[ticker] = market.listings["AAPL"]
    frame = load_yahoo([ticker], START, cache=tmp_path)
    same(frame, ticker, expected(market, "AAPL"))
    assert [path.parent for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path]


def test_a_clock_that_was_wrong(market: Any, tmp_path: Path) -> None:
    market.today, market.now = "2024-03-15", "2030-01-01 12:00"
    market.listings["AAPL"].traded.loc["2024-03-15"] *= 1.05  # during the day, taken for a finished bar
    load_yahoo("AAPL", START, cache=tmp_path)
    market.listings["AAPL"].traded.loc["2024-03-15"] /= 1.02
    market.now = "2024-03-18 15:00"
    same(load_yahoo("AAPL", START, cache=tmp_path), "AAPL", expected(market, "AAPL"))
    market.asked.clear()
    load_yahoo("AAPL", START, cache=tmp_path)
    assert not market.charts


@pytest.mark.parametrize("cache", [None, 0, 1, b"x", "", " ", "a\0b", ["x"]])
def test_what_is_no_cache(cache: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="give True for the user's folder, False for none, or the path of a folder"):
        load_yahoo("AAPL", cache=cache)
    assert not list(tmp_path.iterdir())
