from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opeslike.data.cache import Cache, Entry, anchor, finished
from opeslike.data.selection import BAR

ZONE = "America/New_York"


def bars(days: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).lognormal(4, 1, (len(days), len(BAR)))
    return pd.DataFrame(values, pd.DatetimeIndex(days.to_numpy("M8[ns]"), name="Date"), list(BAR))


def at(text: str, zone: str = ZONE) -> pd.Timestamp:
    return pd.Timestamp(text, tz=zone).tz_convert("UTC")


def entry(
    first: str,
    last: str,
    fetched: str,
    *,
    freq: str = "B",
    zone: str = ZONE,
    interval: str = "1d",
    start: str | None = "",
) -> Entry:
    begin = None if start is None else pd.Timestamp(start or first)
    return Entry("AAPL", interval, begin, at(fetched, zone), zone, bars(pd.date_range(first, last, freq=freq)))


@pytest.mark.parametrize(
    "ticker", ["AAPL", "^GSPC", "BRK-B", "EURUSD=X", "../X", "..", "/etc/passwd", "C:\\X", "CON", "M&M.NS", "A*?", "ü"]
)
def test_any_ticker_maps_to_a_plain_name_of_its_own(tmp_path: Path, ticker: str) -> None:
    cache = Cache(tmp_path / "cache")
    path = cache.path(ticker, "1d")
    assert path.resolve().parent == cache.folder.resolve()
    assert path.name.startswith("1d-")
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%._~-")
    assert path != cache.path(ticker, "1wk")


@given(st.lists(st.text("AZaz09^.=-_&%/\\\0 é", min_size=1, max_size=12), min_size=2, max_size=2, unique=True))
def test_no_two_tickers_share_a_file(names: list[str]) -> None:
    one, two = (Cache(Path("x")).path(name, "1d") for name in names)
    assert one != two
    assert one.parent == two.parent == Path("x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    values=st.lists(st.floats(allow_infinity=False), min_size=5, max_size=5),
    start=st.none() | st.dates().map(pd.Timestamp),
)
def test_every_bit_comes_back(tmp_path: Path, values: list[float], start: pd.Timestamp | None) -> None:
    frame = bars(pd.date_range("2020-01-01", periods=3))
    frame.iloc[1] = values
    cache = Cache(tmp_path)
    cache.write(Entry("^X=../Y", "1wk", start, at("2024-01-01 07:30:01.5"), "Asia/Tokyo", frame))
    back = cache.read("^X=../Y", "1wk")
    assert back is not None
    assert (back.ticker, back.interval, back.start, back.zone) == ("^X=../Y", "1wk", start, "Asia/Tokyo")
    assert back.fetched == at("2024-01-01 07:30:01.5")
    pd.testing.assert_frame_equal(back.bars, frame, check_exact=True)


@given(cut=st.integers(0, 10_000), flip=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_no_damage_goes_unnoticed(tmp_path: Path, cut: int, flip: bool) -> None:
    cache = Cache(tmp_path)
    cache.write(entry("2020-01-01", "2020-02-01", "2020-03-01"))
    path = cache.path("AAPL", "1d")
    content = bytearray(path.read_bytes())
    cut %= len(content)
    if flip:
        content[cut] ^= 1
    else:
        del content[cut:]
    path.write_bytes(content)
    assert cache.read("AAPL", "1d") is None


def test_absent_and_unreadable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path)
    assert cache.read("AAPL", "1d") is None
    assert not caplog.text
    cache.path("AAPL", "1d").mkdir()
    assert cache.read("AAPL", "1d") is None
    assert "cannot be read" in caplog.text


def test_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    cache.write(entry("2020-01-01", "2020-02-01", "2020-03-01"))
    before = cache.path("AAPL", "1d").read_bytes()

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        cache.write(entry("2020-01-01", "2021-02-01", "2021-03-01"))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_no_reader_ever_sees_part_of_a_file(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    one, two = (entry("2000-01-03", "2002-01-03", day) for day in ("2024-01-01", "2024-01-02"))
    cache.write(one)
    seen = set()

    def write() -> None:
        for _ in range(10):
            cache.write(one)
            cache.write(two)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = cache.read("AAPL", "1d")
        assert found is not None  # a part would fail the checksum
        seen.add(found.fetched)
    for writer in writers:
        writer.join()
    assert seen == {one.fetched, two.fetched}
    assert len(list(tmp_path.iterdir())) == 1  # no drafts left behind


# Friday 2024-03-15 is the last bar; the exchange is in New York.
@pytest.mark.parametrize(
    ("fetched", "now", "end", "covered"),
    [
        ("2024-03-16 09:00", "2024-03-18 15:00", None, True),  # Monday is not over
        ("2024-03-16 09:00", "2024-03-19 00:00", None, False),
        ("2024-03-16 09:00", "2024-03-19 00:00", "2024-03-17", True),  # a Sunday
        ("2024-03-16 09:00", "2024-03-19 00:00", "2024-03-18", False),
        ("2024-03-16 09:00", "2030-01-01 00:00", "2024-03-15", True),
        ("2024-03-19 11:00", "2024-03-19 13:00", None, False),  # Monday's bar may be late ...
        ("2024-03-19 12:00", "2024-03-19 13:00", None, True),  # ... but not by twelve hours: a holiday
        ("2024-03-19 12:00", "2024-03-20 00:00", None, False),
        ("2024-06-01 12:00", "2030-01-01 00:00", "2024-05-30", True),  # delisted
    ],
)
def test_when_the_source_need_not_be_asked(fetched: str, now: str, end: str | None, covered: bool) -> None:
    held = entry("2023-01-02", "2024-03-15", fetched)
    last = None if end is None else pd.Timestamp(end)
    assert held.covers(pd.Timestamp("2023-06-01"), last, at(now)) is covered
    assert not held.covers(pd.Timestamp("2022-12-30"), last, at(now))
    assert not held.covers(None, last, at(now))


def test_all_there_is_reaches_any_start() -> None:
    held = entry("2023-01-02", "2024-03-15", "2024-03-16 09:00", start=None)
    for start in (None, pd.Timestamp("1950-01-01")):
        assert held.covers(start, None, at("2024-03-16 10:00"))


def test_what_trades_on_weekends_is_expected_on_weekends() -> None:
    held = entry("2024-01-01", "2024-03-15", "2024-03-16 01:00", freq="D", zone="UTC")
    start = pd.Timestamp("2024-01-01")
    assert held.covers(start, None, at("2024-03-16 23:59", "UTC"))
    assert not held.covers(start, None, at("2024-03-17 00:00", "UTC"))


@pytest.mark.parametrize(
    ("interval", "freq", "now", "covered"),
    [
        ("1wk", "W-MON", "2024-03-17 23:00", True),
        ("1wk", "W-MON", "2024-03-18 00:00", False),
        ("1mo", "MS", "2024-03-31 23:00", True),
        ("1mo", "MS", "2024-04-01 00:00", False),
    ],
)
def test_longer_bars_are_expected_when_they_end(interval: str, freq: str, now: str, covered: bool) -> None:
    last = "2024-03-04" if interval == "1wk" else "2024-02-01"
    held = entry("2022-01-03", last, "2024-03-11 09:00", freq=freq, interval=interval)
    assert held.covers(None, None, at(now)) is False
    assert held.covers(pd.Timestamp("2022-01-03"), None, at(now)) is covered


def test_finished_bars() -> None:
    frame = bars(pd.date_range("2024-03-11", "2024-03-15"))
    assert len(finished(frame, "1d", ZONE, at("2024-03-15 23:59"))) == 4
    assert len(finished(frame, "1d", ZONE, at("2024-03-16 00:00"))) == 5
    # midnight in New York comes after midnight in UTC
    assert len(finished(frame, "1d", "UTC", at("2024-03-15 21:00"))) == 5


def test_anchor() -> None:
    day = pd.Timestamp("2024-03-14")
    assert anchor(day, "1d") == day
    assert anchor(day, "1wk") == pd.Timestamp("2024-03-11")
    assert anchor(day, "1mo") == pd.Timestamp("2024-03-01")


def news(held: Entry, rows: int, more: int) -> pd.DataFrame:
    """Return the last rows of an entry again, and some after them."""
    after = pd.bdate_range(held.last + pd.Timedelta(days=1), periods=more)
    return pd.concat([held.bars.iloc[-rows:], bars(after, seed=9)])


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(5, 60), more=st.integers(0, 20))
def test_joined_with_an_unchanged_past(rows: int, more: int) -> None:
    held = entry("2024-01-01", "2024-03-29", "2024-03-30")
    fresh = news(held, rows, more)
    joined = held.joined(fresh)
    assert joined is not None
    assert joined.index.is_monotonic_increasing
    assert joined.index.is_unique
    pd.testing.assert_frame_equal(joined, pd.concat([held.bars, fresh.iloc[rows:]]), check_freq=False)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(5, 60),
    at_row=st.integers(0, 59),
    field=st.sampled_from(BAR[:4]),
    off=st.floats(1e-9, 1e-2) | st.floats(-1e-2, -1e-9),
)
def test_joined_only_where_every_price_agrees(rows: int, at_row: int, field: str, off: float) -> None:
    held = entry("2024-01-01", "2024-03-29", "2024-03-30")
    fresh = news(held, rows, 3)
    fresh.iloc[at_row % rows, list(BAR).index(field)] *= 1 + off
    if abs(off) < 0.99e-6:
        assert held.joined(fresh) is not None
    elif abs(off) > 1.01e-6:
        assert held.joined(fresh) is None


def test_joined_takes_what_is_newest() -> None:
    held = entry("2024-01-01", "2024-03-29", "2024-03-30")
    fresh = news(held, 8, 2)
    fresh["Volume"] *= 2  # counted again by the exchange: no reason to distrust prices
    joined = held.joined(fresh)
    assert joined is not None
    pd.testing.assert_frame_equal(joined.iloc[-10:], fresh, check_freq=False)


def test_not_joined_without_proof() -> None:
    held = entry("2024-01-01", "2024-03-29", "2024-03-30")
    assert held.joined(news(held, 4, 3)) is None  # too few rows
    assert held.joined(news(held, 8, 3).iloc[8:]) is None  # none at all
    assert held.joined(held.bars.iloc[:0]) is None
    assert held.joined(news(held, 8, 3).drop(held.bars.index[-3])) is None  # a day is gone
    short = entry("2024-03-27", "2024-03-29", "2024-03-30")
    assert short.joined(news(short, 3, 3)) is None


def test_missing_prices_match_missing_prices() -> None:
    held = entry("2024-01-01", "2024-03-29", "2024-03-30")
    fresh = news(held, 8, 2)
    fresh.iloc[3, 0] = np.nan
    assert held.joined(fresh) is None
    held.bars.iloc[-5, 0] = np.nan
    assert held.joined(fresh) is not None


def test_a_clock_that_was_wrong_is_not_believed() -> None:
    held = entry("2023-01-02", "2024-03-15", "2030-01-01 12:00")  # so Friday's bar counted as finished
    start = pd.Timestamp("2023-06-01")
    assert not held.covers(start, None, at("2024-03-15 15:00"))
    assert not held.covers(start, pd.Timestamp("2024-03-15"), at("2024-03-18 15:00"))
    assert held.covers(start, pd.Timestamp("2024-03-15"), at("2030-01-02 15:00"))


@pytest.mark.parametrize(
    "body",
    [
        b"{}\nDate,Open,High,Low,Close,Volume\n2020-01-02,1,1,1,1,1\n",
        b"[1]\nDate,Open,High,Low,Close,Volume\n2020-01-02,1,1,1,1,1\n",
        b"no JSON\n",
        b"",
        b'{"ticker": "AAPL", "interval": "1d", "start": null, "fetched": "2020-03-01T00:00:00+00:00", "zone": "UTC"}\n',
        b'{"ticker": "AAPL", "interval": "1d", "start": null, "fetched": "2020-03-01T00:00:00+00:00", "zone": "UTC"}\n'
        b"Date,Close\n2020-01-02,1\n",
        b'{"ticker": "AAPL", "interval": "1d", "start": null, "fetched": "2020-03-01T00:00:00+00:00", "zone": "UTC"}\n'
        b"Date,Open,High,Low,Close,Volume\n2020-01-02,1,1,1,x,1\n",
        b'{"ticker": "AAPL", "interval": "1d", "start": null, "fetched": "2020-03-01T00:00:00+00:00", "zone": "Moon"}\n'
        b"Date,Open,High,Low,Close,Volume\n2020-01-02,1,1,1,1,1\n",
        b'{"ticker": "AAPL", "interval": "1d", "start": null, "fetched": "yesterday week", "zone": "UTC"}\n'
        b"Date,Open,High,Low,Close,Volume\n2020-01-02,1,1,1,1,1\n",
    ],
)
def test_content_that_is_none_of_ours_counts_as_absent(
    tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first = b"opeslike-cache 1 sha256 " + hashlib.sha256(body).hexdigest().encode()
    Cache(tmp_path).path("AAPL", "1d").write_bytes(first + b"\n" + body)
    assert Cache(tmp_path).read("AAPL", "1d") is None
    assert "damaged" in caplog.text


def test_drafts_of_killed_writers_go_with_time(tmp_path: Path) -> None:
    old, new = tmp_path / ".1d-X.csv.00.tmp", tmp_path / ".1d-X.csv.11.tmp"
    for draft in (old, new):
        draft.write_text("half of")
    os.utime(old, (0, 0))
    Cache(tmp_path).write(entry("2020-01-01", "2020-02-01", "2020-03-01"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, "1d-AAPL.csv"]
