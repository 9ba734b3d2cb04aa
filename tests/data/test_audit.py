"""The audit finds what was put into prices, says nothing about prices that are fine, and mends what it is asked to."""

from __future__ import annotations

import os
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import opeslike
from opeslike.data import audit, load_csv, load_us20, warn_about
from opeslike.data.findings import Finding
from opeslike.errors import DataError, DataWarning, OpesLikeWarning


@pytest.fixture(scope="module")
def clean() -> pd.DataFrame:
    return load_us20(start="2012")


def spoilt(prices: pd.DataFrame, asset: str, rows: slice, factor: float) -> pd.DataFrame:
    prices = prices.copy()
    prices.iloc[rows, prices.columns.get_loc(asset)] *= factor
    return prices


def only(prices: Any) -> Finding:
    (finding,) = audit(prices).severe
    return finding


# --- what is fine ----------------------------------------------------------------------------------------------


def test_embedded_prices_are_fine() -> None:
    prices = load_us20(index=True)
    assert audit(prices).severe == []
    warn_about(prices)  # a warning would be an error
    for ticker in prices:  # without peers
        assert audit(prices[[ticker]]).severe == []


@pytest.mark.parametrize("name", ["crypto10", "seed10", "spy", "tlt"])
def test_volatile_prices_are_fine(name: str) -> None:
    folder = os.environ.get("OPESLIKE_TEST_DATA")
    if not folder:
        pytest.skip("needs OPESLIKE_TEST_DATA, a folder with larger real data")
    prices = load_csv(Path(folder, f"{name}.csv"))
    assert audit(prices).severe == []
    for ticker in prices:
        assert audit(prices[[ticker]]).severe == []


@pytest.mark.parametrize("seed", range(20))
def test_random_walks_are_fine(seed: int) -> None:
    rng = np.random.default_rng(seed)
    daily = rng.uniform(0.001, 0.03, 12)
    moves = daily * rng.standard_t(6, (1500, 12))
    assert audit(100 * np.exp(np.cumsum(moves, axis=0))).severe == []


def test_an_asset_that_jumps_often_is_one_that_jumps() -> None:
    rng = np.random.default_rng(0)
    moves = 0.01 * rng.normal(size=1000) + np.where(rng.random(1000) < 0.02, np.log(rng.choice([0.5, 2], 1000)), 0)
    found = audit(100 * np.exp(np.cumsum(moves)))
    assert {one.severity for one in found.findings if one.kind in ("split", "level")} == {"check"}


def test_what_is_no_error() -> None:
    rows = 300
    days = pd.date_range("2020-01-01", periods=rows)
    walk = 50 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, rows)))
    weekdays = np.where(days.day_of_week < 5, walk, np.nan)
    bankrupt = np.where(np.arange(rows) < 250, walk, 0.0)
    pegged = 1 + 1e-4 * np.random.default_rng(1).normal(size=rows)
    frame = pd.DataFrame({"A": weekdays, "CASH": 1.0, "DEAD": bankrupt, "PEG": pegged, "NEVER": np.nan}, days)
    assert audit(frame).findings == []
    assert audit(frame[["A"]].ffill()).findings == []  # weekends carried over


# --- what is found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1 / 10, 1 / 7, 1 / 3, 1 / 2, 2 / 3, 2, 5, 8, 100, 1 / 100])
@pytest.mark.parametrize("peers", [True, False])
def test_split(clean: pd.DataFrame, ratio: float, peers: bool) -> None:
    prices = spoilt(clean if peers else clean[["KO"]], "KO", slice(1100, None), ratio)
    finding = only(prices)
    assert (finding.kind, finding.asset, finding.start, finding.end) == (
        *("split", "KO"),
        *[prices.index[1100]] * 2,
    )
    assert finding.size == pytest.approx(ratio)
    mended = audit(prices).repair(splits=True)
    expected = clean["KO"] * (ratio if ratio != 1 else 1)
    np.testing.assert_allclose(mended["KO"], expected, rtol=1e-12)
    assert audit(mended).severe == []


def test_a_jump_of_all_is_no_split(clean: pd.DataFrame) -> None:
    prices = clean.copy()
    prices.iloc[1100:] *= np.random.default_rng(0).uniform(0.4, 0.6, prices.shape[1])
    assert [finding for finding in audit(prices).severe if finding.kind == "split"] == []


@pytest.mark.parametrize("factor", [100, 1000, 0.01, 10])
@pytest.mark.parametrize("length", [1, 4, 90])
def test_another_unit(clean: pd.DataFrame, factor: float, length: int) -> None:
    prices = spoilt(clean, "XOM", slice(700, 700 + length), factor)
    finding = only(prices)
    assert (finding.kind, finding.asset) == ("scale", "XOM")
    assert (finding.start, finding.end) == (prices.index[700], prices.index[699 + length])
    assert finding.size == pytest.approx(factor)
    np.testing.assert_allclose(audit(prices).repair(scales=True), clean, rtol=1e-12)


def test_spike(clean: pd.DataFrame) -> None:
    prices = spoilt(clean, "PG", slice(500, 502), 1.7)
    finding = only(prices)
    assert (finding.kind, finding.start, finding.end) == ("spike", prices.index[500], prices.index[501])
    mended = audit(prices).repair(spikes=True)
    assert mended["PG"].isna().sum() == 2
    pd.testing.assert_frame_equal(mended.drop(prices.index[500:502]), clean.drop(prices.index[500:502]))


@pytest.mark.parametrize("last", [1060, None])
def test_frozen(clean: pd.DataFrame, last: int | None) -> None:
    prices = clean.copy()
    prices.iloc[1000:last, 3] = prices.iloc[999, 3]
    finding = only(prices)
    assert (finding.kind, finding.asset) == ("frozen", prices.columns[3])
    assert finding.size == len(prices.iloc[1000:last])
    assert (finding.start, finding.end) == (prices.index[1000], prices.index[1000:last][-1])
    assert audit(prices).repair(frozen=True).iloc[:, 3].isna().sum() == finding.size


def test_swap(clean: pd.DataFrame) -> None:
    prices = clean.copy()
    prices.iloc[900:940, [0, 5]] = prices.iloc[900:940, [5, 0]].to_numpy()
    finding = only(prices)
    assert (finding.kind, finding.asset, finding.other) == ("swap", prices.columns[0], prices.columns[5])
    assert (finding.start, finding.end) == (prices.index[900], prices.index[939])
    pd.testing.assert_frame_equal(audit(prices).repair(swaps=True), clean)


def test_rows_in_reverse(clean: pd.DataFrame) -> None:
    prices = clean.drop(columns="AMD")
    before = prices.copy()
    prices.iloc[800:1600] = prices.iloc[800:1600][::-1].to_numpy()
    finding = only(prices)
    assert (finding.kind, finding.asset, finding.size) == ("reversed", None, 800)
    assert (finding.start, finding.end) == (prices.index[800], prices.index[1599])
    pd.testing.assert_frame_equal(audit(prices).repair(reversals=True), before)


def test_dates_out_of_order(clean: pd.DataFrame) -> None:
    for prices in (clean[::-1], pd.concat([clean, clean[:3]]), pd.concat([clean[9:], clean[:9]])):
        assert only(prices).kind == "order"
        with pytest.raises(DataError, match="order=True"):
            audit(prices).repair(splits=True)
        pd.testing.assert_frame_equal(audit(prices).repair(order=True), clean)


def test_time_that_is_missing(clean: pd.DataFrame) -> None:
    prices = clean.drop(clean["2015":"2017"].index)
    finding = only(prices)
    assert (finding.kind, finding.start, finding.end) == ("hole", clean[:"2014"].index[-1], clean["2018":].index[0])


def test_gaps_twins_and_the_future(clean: pd.DataFrame) -> None:
    days = clean.index + pd.Timedelta(days=70_000)
    prices = clean.set_axis(days.as_unit("s"), axis=0).assign(KO2=(clean["KO"] * 0.9).round(2).to_numpy())
    prices.iloc[100:140, 2] = np.nan
    prices.iloc[:50, 4] = np.nan  # listed later
    found = audit(prices)
    assert found.severe == []
    kinds = {finding.kind: finding for finding in found.findings}
    assert set(kinds) == {"gap", "twins", "future", "level"}
    assert (kinds["gap"].asset, kinds["gap"].size, kinds["gap"].start) == (prices.columns[2], 40, prices.index[100])
    assert (kinds["twins"].asset, kinds["twins"].other) == ("KO", "KO2")
    assert kinds["future"].size == len(prices)
    assert kinds["level"].asset == "AMD"  # 2016-04-22: news


def test_another_currency(clean: pd.DataFrame) -> None:
    finding = only(spoilt(clean, "GE", slice(1500, None), 2.74))
    assert (finding.kind, finding.asset, finding.start) == ("level", "GE", clean.index[1500])
    mild = audit(spoilt(clean, "KO", slice(1500, None), 1.36)).findings
    assert [(one.severity, one.kind) for one in mild if one.asset == "KO"] == [("check", "level")]


def test_what_are_no_prices(clean: pd.DataFrame) -> None:
    returns = clean.pct_change().iloc[1:]
    assert audit(returns).findings == []
    assert only(100 * returns).kind == "percent"
    relatives = audit(1 + returns).severe
    assert {(one.kind, one.asset) for one in relatives} == {("relatives", ticker) for ticker in clean}
    assert {one.kind for one in audit(100 * (1 + returns)).findings} == {"relatives"}


@pytest.mark.parametrize(("value", "rows"), [(-1.0, 1), (0.0, 1), (np.inf, 1), (0.0, 3)])
def test_prices_that_are_none(clean: pd.DataFrame, value: float, rows: int) -> None:
    prices = clean.copy()
    prices.iloc[400 : 400 + rows, 6] = value
    finding = only(prices)
    assert (finding.kind, finding.start, finding.size) == ("impossible", prices.index[400], rows)
    assert audit(prices).repair(impossible=True).iloc[:, 6].isna().sum() == rows


# --- how it is told --------------------------------------------------------------------------------------------


@pytest.fixture
def bad(clean: pd.DataFrame) -> pd.DataFrame:
    prices = spoilt(clean, "KO", slice(1100, None), 0.5)
    prices.iloc[600, 2] *= 100
    prices.iloc[100:140, 8] = np.nan
    prices.attrs.clear()  # nobody has looked at them
    return prices


def test_what_is_printed(bad: pd.DataFrame, clean: pd.DataFrame) -> None:
    found = audit(bad)
    text = str(found)
    assert text.splitlines()[0] == "20 assets, 2766 rows, 2012-01-03 to 2022-12-28: 2 severe, 2 to check"
    assert max(map(len, text.splitlines())) <= 80
    assert text.index("SEVERE  a split") < text.index("KO 2016-05-18 (x 0.5)") < text.index("CHECK")
    assert "repair(splits=True)" in text
    assert str(audit(clean[["KO"]])) == "1 asset, 2766 rows, 2012-01-03 to 2022-12-28: 0 severe, 0 to check"
    frame = found.to_frame()
    assert list(frame["severity"]) == ["severe", "severe", "check", "check"]
    assert frame["effect"].str.len().min() > 20
    assert frame["advice"].str.len().min() > 5
    assert list(audit(clean[["KO"]]).to_frame().columns) == list(frame.columns)
    with pytest.raises(AttributeError):
        found.findings[0].size = 3  # type: ignore[misc]


def test_long_lists_are_cut(clean: pd.DataFrame) -> None:
    prices = clean.copy()
    for place in range(19):
        prices.iloc[600 + 40 * place, place] *= 100
    text = str(audit(prices))
    assert "... and 7 more in .to_frame()" in text


def test_repair_does_what_it_is_told_and_no_more(bad: pd.DataFrame) -> None:
    before = bad.copy()
    found = audit(bad)
    mended = found.repair(splits=True)
    pd.testing.assert_frame_equal(bad, before)
    pd.testing.assert_frame_equal(mended.drop(columns="KO"), bad.drop(columns="KO"))
    for given, words in (({}, "nothing to repair"), ({"splits": False}, "nothing"), ({"gaps": True}, "has no gaps")):
        with pytest.raises(DataError, match=words):
            found.repair(**given)


def test_one_warning_for_all(bad: pd.DataFrame) -> None:
    with pytest.warns(
        DataWarning, match=r"KO 2016-05-18 \(x 0\.5\).*BAC 2014-05-23 \(x 100\).*audit\(prices\)"
    ) as caught:
        warn_about(bad)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert issubclass(DataWarning, OpesLikeWarning)


def test_who_is_given_prices_says_so_once(bad: pd.DataFrame, clean: pd.DataFrame) -> None:
    tester: Any = None
    for look in (
        lambda: opeslike.Kelly().optimize(bad),
        lambda: opeslike.Uniform().optimize(pd.concat({"Close": bad, "Volume": bad}, axis=1)),
        lambda: opeslike.MaxSharpe().problem(bad),
        lambda: opeslike.Backtester(bad[:2000], bad[2000:]),
        lambda: opeslike.Backtester(bad[:2000].to_numpy(), bad[2000:].to_numpy()),
    ):
        with pytest.warns(DataWarning, match="the data look wrong") as caught:
            tester = look()
        assert len(caught) == 1
        assert caught[0].filename == __file__
    # once told is enough: the walk, the proof, and returns are silent
    tester.backtest(opeslike.Kelly(), reopt_freq=300)
    optimizer = opeslike.Kelly()
    with pytest.warns(DataWarning):
        optimizer.optimize(bad)
    optimizer.solution.verify(bad)
    opeslike.Kelly().optimize(bad.pct_change(fill_method=None)[1:])
    opeslike.Kelly().optimize(np.abs(bad.pct_change(fill_method=None)[1:]), kind="returns")
    opeslike.Kelly().optimize(clean)
    bad.attrs["audited"] = True
    opeslike.Kelly().optimize(bad)
    opeslike.Backtester(bad[:2000], bad[2000:])


@pytest.mark.parametrize(
    "data",
    [None, "prices", pd.DataFrame({"A": ["x", "y"]}), pd.DataFrame(), [[1.0]], np.zeros((0, 2)), pd.Series([1.0])],
)
def test_what_others_refuse_is_left_to_them(data: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about(data)


def test_what_can_be_audited(clean: pd.DataFrame) -> None:
    prices = spoilt(clean, "KO", slice(1100, None), 0.5)
    place = prices.columns.get_loc("KO")
    assert only(prices["KO"]).asset == "KO"
    assert only(prices.to_numpy()).asset == place
    assert only(prices.to_numpy()).start == 1100
    bars = pd.concat({"Close": prices, "Volume": prices * 0 + 7.0}, axis=1)
    assert only(bars).asset == "KO"
    assert only(prices.tz_localize("America/New_York")).asset == "KO"
    assert only(prices.set_axis(prices.index.to_period("D"), axis=0)).asset == "KO"
    assert only(prices.convert_dtypes()).asset == "KO"
    assert opeslike.audit is audit
    with pytest.raises(DataError, match="not a number"):
        audit(pd.DataFrame({"A": ["x", "y"]}))


@pytest.mark.parametrize("seed", range(60))
def test_any_table_of_numbers_can_be_audited_and_mended(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, [60, 9]))
    prices = np.exp(rng.normal(0, rng.choice([0.01, 0.5, 3]), shape).cumsum(axis=0))
    prices[rng.random(shape) < rng.choice([0, 0.3, 1])] = np.nan
    prices[rng.random(shape) < rng.choice([0, 0.1])] = rng.choice([0, -1, np.inf])
    found = audit(prices)
    assert str(found)
    assert len(found.to_frame()) == len(found.findings)
    for what in ("splits", "scales", "spikes", "frozen", "swaps", "reversals", "order", "impossible"):
        assert found.repair(**{what: True}).shape == shape


# --- how much is found -----------------------------------------------------------------------------------------


def benchmark() -> Any:
    spec = spec_from_file_location("audit_benchmark", Path(__file__).parents[2] / "benchmarks" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nearly_all_errors_put_at_random_are_found() -> None:
    for name, (hits, total, _) in benchmark().rates(load_us20(start="2010"), 40).items():
        assert hits >= 0.9 * total, name


def test_nearly_all_errors_put_into_many_stocks_are_found() -> None:
    folder = os.environ.get("OPESLIKE_TEST_DATA")
    if not folder:
        pytest.skip("needs OPESLIKE_TEST_DATA, a folder with larger real data")
    prices = load_csv(Path(folder, "us_stocks.csv.gz")).dropna(axis=1)
    assert len(audit(prices).severe) <= prices.size / 252 / 100
    for name, (hits, total, _) in benchmark().rates(prices, 100).items():
        assert hits >= 0.95 * total, name


def test_the_page_shows_what_is_printed(capsys: Any) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "data.md").read_text(encoding="utf-8")
    code, after = page.split("```python\n", 1)[1].split("```", 1)
    exec(code, {})
    assert capsys.readouterr().out == after.split("```text\n")[1].split("```")[0]
