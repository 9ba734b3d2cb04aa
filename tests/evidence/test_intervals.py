from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opeslike.beliefs.bootstrap import block_length_of, draw_counts
from opeslike.data import load_us20
from opeslike.errors import DataError, PortfolioError
from opeslike.evidence import equal_exposure, evidence
from opeslike.evidence.bootstrap import step_down
from opeslike.evidence.samples import STATISTICS, read_samples, statistic

bootstrap = pytest.importorskip("arch.bootstrap", reason="arch is not installed (extra 'evidence')")
PLAIN = {
    "growth": lambda r, rf: 252 * np.log1p(r).mean(axis=0),
    "mean": lambda r, rf: 252 * r.mean(axis=0),
    "volatility": lambda r, rf: np.sqrt(252) * r.std(axis=0, ddof=1),
    "sharpe": lambda r, rf: np.sqrt(252) * (r - rf).mean(axis=0) / (r - rf).std(axis=0, ddof=1),
}


def frame(seed: int = 0, dates: int = 500, strategies: int = 4, start: str = "2015-01-01") -> pd.DataFrame:
    """Returns with a common factor whose volatility comes in waves, so that blocks matter."""
    rng = np.random.default_rng(seed)
    waves = 0.01 * np.exp(0.7 * np.sin(np.arange(dates) / 40))[:, None]
    values = waves * (rng.standard_t(5, (dates, 1)) + 0.5 * rng.normal(size=(dates, strategies))) + 3e-4
    return pd.DataFrame(values, pd.bdate_range(start, periods=dates), [f"s{k}" for k in range(strategies)])


@pytest.mark.parametrize("name", list(STATISTICS))
def test_values_and_differences_are_means_over_samples(name):
    stack = [frame(1), frame(2), frame(3)]
    rate = np.expm1(np.log1p(0.03) / 252)
    found = evidence(stack, "s1", statistics=[name], risk_free=0.03, resamples=100)
    plain = np.mean([PLAIN[name](one.to_numpy(), rate) for one in stack], axis=0)
    np.testing.assert_allclose(found.values[name], plain, rtol=1e-12)
    table = found.to_frame().loc[name]
    assert list(table.index) == ["s0", "s2", "s3"]
    np.testing.assert_allclose(table["difference"], np.delete(plain, 1) - plain[1], rtol=1e-10)


@pytest.mark.parametrize("name", list(STATISTICS))
def test_influences_stand_for_recomputing_every_resample(name):
    """Joint resamples of the dates of two samples, each statistic computed anew, against the delta method."""
    stack = [frame(4, 1500), frame(5, 1500)]
    rate = np.expm1(np.log1p(0.02) / 252)
    found = evidence(stack, "s0", statistics=[name], risk_free=0.02, resamples=800, block_length=12, seed=3)
    counts = draw_counts(1500, 12, 800, 3).astype(int)
    redone = []
    for count in counts:
        rows = np.repeat(np.arange(1500), count)
        each = np.mean([PLAIN[name](one.to_numpy()[rows], rate) for one in stack], axis=0)
        redone.append(each[1:] - each[0])
    exact = np.array(redone) - found.tables[name]["difference"].to_numpy()
    assert found.tables[name]["error"].to_numpy() == pytest.approx(np.sqrt((exact**2).mean(axis=0)), rel=0.05)
    tolerance = 1e-10 if name in ("growth", "mean") else 0.06
    assert (found.tables[name]["high"] - found.tables[name]["difference"]).to_numpy() == pytest.approx(
        np.quantile(np.abs(exact), 0.95, axis=0), rel=tolerance
    )


def test_the_same_universe_many_times_is_no_more_evidence_than_once():
    once, often = evidence(frame(), "s0"), evidence([frame()] * 30, "s0")
    pd.testing.assert_frame_equal(once.to_frame(), often.to_frame())


def test_independent_universes_are_more_evidence():
    one, many = (evidence([frame(seed) for seed in range(count)], "s0", statistics=["mean"]) for count in (1, 25))
    ratio = one.tables["mean"]["error"].mean() / many.tables["mean"]["error"].mean()
    assert 3.5 < ratio < 6.5  # the root of 25, and luck


def test_samples_of_different_dates_are_resampled_over_all_their_dates():
    whole = frame(6, 900)
    windows = [whole.iloc[:400], whole.iloc[200:700], whole.iloc[500:]]
    found = evidence(windows, "s0", statistics=["mean"], block_length=5, resamples=3000)
    assert "900 dates" in found.caption
    expected = 252 * np.mean([(w["s2"] - w["s0"]).mean() for w in windows])
    assert found.tables["mean"]["difference"]["s2"] == pytest.approx(expected, rel=1e-12)
    weights = sum(np.isin(np.arange(900), np.arange(a, b)) / (b - a) for a, b in ((0, 400), (200, 700), (500, 900))) / 3
    counts = draw_counts(900, 5, 3000, 0)
    centred = np.zeros(900)
    for window in windows:
        active = window["s2"] - window["s0"]
        centred[whole.index.get_indexer(window.index)] += (active - active.mean()) / len(window) / 3
    assert weights.sum() == pytest.approx(1)
    assert found.tables["mean"]["error"].iloc[1] == pytest.approx(252 * (counts @ centred).std(), rel=0.02)


def test_step_down_against_its_definition():
    rng = np.random.default_rng(0)
    null, observed = np.abs(rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))), np.abs(rng.normal(size=6)) * 4
    order = sorted(range(6), key=lambda k: -observed[k])
    expected, floor = {}, 0.0
    for place, k in enumerate(order):
        exceed = sum(max(row[j] for j in order[place:]) >= observed[k] for row in null)
        floor = max(floor, (1 + exceed) / 401)
        expected[k] = floor
    np.testing.assert_allclose(step_down(observed, null), [expected[k] for k in range(6)], rtol=1e-15)


def test_block_length_is_politis_and_whites_and_is_stated():
    data = frame(7, 1200) * [1.0, 1.5, 0.5, 2.0]
    found = evidence(data, "s0", statistics=["volatility"], resamples=100)
    samples, _ = read_samples(data)
    _, influence, _ = statistic(samples, "volatility", np.zeros(1200), 252)
    lengths = bootstrap.optimal_block_length(influence[:, 1:] - influence[:, [0]])["stationary"]
    length = found.tables["volatility"]["block_length"].iloc[0]
    assert length == np.ceil(lengths.mean()) > 1
    assert f"stationary blocks of {length:.0f} on average" in str(found)
    assert block_length_of(np.zeros((100, 2))) == 1
    assert evidence(frame(), "s0", block_length=9, resamples=100).tables["growth"]["block_length"].eq(9).all()


def test_benchmark_may_be_a_series_of_its_own():
    data = frame()
    outside = evidence(data[["s1", "s2"]], data["s0"], seed=2)
    inside = evidence(data[["s1", "s2", "s0"]], "s0", seed=2)
    pd.testing.assert_frame_equal(outside.to_frame(), inside.to_frame())
    both = [
        evidence(data[["s1"]], data["s0"], equalise="volatility"),
        evidence(data[["s1", "s0"]], "s0", equalise="volatility"),
    ]
    pd.testing.assert_frame_equal(*(each.to_frame() for each in both))


def test_containers_give_the_same():
    data = frame()
    expected = evidence(data, statistics=["growth"]).to_frame()["difference"].to_numpy()
    for same in ({name: data[name] for name in data}, data.to_numpy(), data.to_numpy()[None], [data]):
        np.testing.assert_allclose(evidence(same, statistics=["growth"]).to_frame()["difference"], expected)


def test_fractions_are_the_same_once_scaled():
    data, rate = frame(), np.expm1(np.log1p(0.02) / 252)
    data["half"] = rate + 0.5 * (data["s1"] - rate)
    options = {"risk_free": 0.02, "resamples": 200}
    assert evidence(data, "s1", statistics=["volatility"], **options).tables["volatility"]["adjusted_p"].iloc[-1] < 0.01
    for by in ("volatility", "beta"):
        found = evidence(data, "s1", equalise=by, **options).to_frame().xs("half", level="strategy")
        np.testing.assert_allclose(found["difference"], 0, atol=1e-12)
        np.testing.assert_array_equal(found["adjusted_p"], 1)
    scaled = equal_exposure(data, "s0", "beta", risk_free=0.02)[0] - rate
    slopes = [np.polyfit(scaled["s0"], scaled[name], 1)[0] for name in scaled]
    np.testing.assert_allclose(slopes, 1, rtol=1e-12)
    levels = equal_exposure([data, data], "s0", "volatility", risk_free=0.02)[1].std()
    np.testing.assert_allclose(levels, levels["s0"], rtol=1e-12)


def test_what_may_be_said_names_who_is_told_apart():
    data = frame(8, 1000)
    data["calm"], data["twin"] = 0.5 * data["s0"] + 0.0004, data["s0"]
    data["lucky"] = data["s0"] + 0.001
    found = evidence(data, "s0")
    assert found.sentences["volatility"].startswith("On volatility calm is below s0 (adjusted p ")
    assert "cannot be told from it." in found.sentences["volatility"]
    assert "lucky" in found.sentences["growth"]
    assert found.to_frame().loc[("growth", "twin"), "adjusted_p"] == 1
    assert found.sentences["growth"] in str(found)


def test_what_may_be_said_where_nothing_is():
    found = evidence(frame(9), "s0", statistics=["growth"])
    sentence, row = found.sentences["growth"], found.to_frame().loc["growth"]["difference"].idxmax()
    assert sentence.startswith(f"On growth none can be named: {row}, the highest, is ")
    years = found.to_frame().loc[("growth", row), "years"]
    assert f"it would take {years:,.0f} years" in sentence
    error = found.tables["growth"]["error"][row]
    assert years == pytest.approx((1.959964 * error * np.sqrt(500 / 252) / 0.01) ** 2, rel=1e-6)


def test_repeatable_and_the_seed_matters():
    one, two, other = (evidence(frame(), "s0", seed=seed).to_frame() for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not one["low"].equals(other["low"])


def test_ruined_and_constant_strategies_are_left_out_and_told():
    data = frame()
    data.iloc[100, 2] = -1.0
    data["cash"] = 0.0001
    found = evidence(data, "s0")
    assert found.notes == [
        f"s2 lost everything on {data.index[100].date()}: it is left out of growth.",
        "cash never varies: it is left out of sharpe.",
    ]
    assert "s2" not in found.to_frame().loc["growth"].index
    assert "s2" in found.to_frame().loc["sharpe"].index
    assert np.isfinite(found.to_frame().drop(columns="years").to_numpy()).all()
    assert all(note in str(found) for note in found.notes)
    with pytest.raises(PortfolioError, match="s2, the benchmark, lost everything"):
        evidence(data, "s2")


def test_nobody_left_to_compare():
    data = frame()[["s0", "s1"]]
    data.iloc[3, 1] = -1.0
    found = evidence(data, "s0", statistics=["growth"])
    assert found.sentences == {"growth": "On growth there is nothing to compare."}
    assert found.to_frame().empty
    assert "s1 lost everything" in str(found)


def test_without_arch_the_table_says_how_to_get_intervals(monkeypatch):
    for name in ("arch", "arch.bootstrap"):
        monkeypatch.setitem(sys.modules, name, None)
    found = evidence(frame(), "s0")
    assert list(found.to_frame().columns) == ["value", "difference"]
    assert str(found).count('pip install "opeslike[evidence]"') == 3


def test_arch_is_not_imported_before_an_interval_is_asked_for(offline_environment):
    code = (
        "import sys, numpy as np; from opeslike.evidence import evidence; "
        "found = evidence(np.random.default_rng(0).normal(0, .01, (100, 3)), resamples=100); found.values; "
        "before = 'arch' in sys.modules; str(found); print(before, 'arch' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=offline_environment()
    )
    assert out.stdout.split() == ["False", "True"]


def test_notebooks_get_tables_without_foreign_markup():
    data = frame().rename(columns={"s1": "<b>bold</b>"})
    page = evidence(data, "s0", resamples=100)._repr_html_()
    assert page.count("<table>") == 3
    assert "<b>" not in page
    assert "On growth" in page


BAD = [
    ({"benchmark": "s9"}, "no strategy is called 's9'"),
    ({"statistics": ["alpha"]}, "must be some of growth"),
    ({"statistics": []}, "must be some of growth"),
    ({"equalise": "size"}, "'volatility' or 'beta', not 'size'"),
    ({"confidence": 1.0}, "confidence=1.0 must lie strictly between 0 and 1"),
    ({"resamples": 10}, "resamples=10 must be a whole number of at least 100"),
    ({"block_length": 0}, "block_length=0"),
    ({"periods_per_year": 0}, "periods_per_year=0"),
    ({"risk_free": -2.0}, "risk_free=-2.0"),
    ({"seed": -1}, "seed=-1"),
    ({"benchmark": pd.Series(0.0, frame().index, name="s1")}, "both called 's1'"),
]


@pytest.mark.parametrize(("terms", "message"), BAD)
def test_parameters_out_of_range_are_named(terms, message):
    with pytest.raises(PortfolioError, match=message):
        evidence(frame(), **{"benchmark": "s0", **terms})


def broken(change) -> pd.DataFrame:
    data = frame()
    change(data)
    return data


DATA = [
    (broken(lambda d: d.iloc.__setitem__((7, 1), np.nan)), r"s1 on 2015-01-12: nan is not a return"),
    (broken(lambda d: d.iloc.__setitem__((7, 1), -1.5)), r"s1 on 2015-01-12: -1.5 is not a return"),
    ([frame(), frame().drop(columns="s1")], "sample 1: strategies are s0, s2, s3; each sample needs s0, s1"),
    (frame().iloc[::-1], "out of order"),
    (frame().iloc[:10], "10 dates are too few"),
    ([frame().iloc[:1]], "one date is too little"),
    (frame().astype(str) + "x", "not numbers"),
    ([], "no sample given"),
    ("returns", "cannot be read as dates x strategies"),
    (None, "cannot be read as dates x strategies"),
    ({"a": np.zeros(30), "b": np.zeros(31)}, "cannot be read as dates x strategies"),
    ([frame(), frame().reset_index(drop=True)], "cannot be put in one order"),
]


@pytest.mark.parametrize(("data", "message"), DATA, ids=[message for _, message in DATA])
def test_data_that_cannot_be_used_is_named(data, message):
    with pytest.raises(DataError, match=message):
        evidence(data, "s0")


def test_more_that_cannot_be():
    with pytest.raises(PortfolioError, match="no strategy beside the benchmark"):
        evidence(frame()[["s0"]], "s0")
    with pytest.raises(DataError, match="benchmark on 2015-01-01: nan"):
        evidence(frame(), pd.Series(0.001, frame().index[1:]))
    with pytest.raises(DataError, match="risk_free has no rate on or before 2015-01-01"):
        evidence(frame(), "s0", risk_free=pd.Series(0.01, [pd.Timestamp("2016-01-01")]))
    data = frame()
    data["short"] = -data["s0"]
    with pytest.raises(PortfolioError, match="short cannot be scaled by beta: its beta is not above 0"):
        evidence(data, "s0", equalise="beta")


def worlds():
    path = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "evidence.py"
    spec = spec_from_file_location("benchmark_of_evidence", path)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_worlds_without_edge_are_seldom_said_to_have_one():
    """The benchmark's nulls, smaller: the embedded stocks, 60 worlds (the standard error of 5% is then 2.8%)."""
    module = worlds()
    returns = load_us20().loc["2012":].resample("W-FRI").last().pct_change(fill_method=None).iloc[1:].to_numpy()
    rates = {null: module.rejections(null, returns, 60, resamples=199) for null in module.NULLS}
    for null, found in rates.items():
        for name, each in found.items():
            assert each[:, 1].mean() <= 0.12, (null, name)
    mean = rates["equal means, rows resampled"]["mean"]
    assert mean[:, 3].mean() > 0.5  # the t-test over universes
