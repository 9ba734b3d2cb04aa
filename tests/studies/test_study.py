"""Many strategies over many samples: stored, resumed, replayed, whoever runs them."""

from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester, Kelly, KLRobustKelly, Mandate, MinVariance, Uniform, load_us20
from opeslike.accounting.overlays import LeverageCap
from opeslike.errors import DataError, OutputError, PortfolioError
from opeslike.objectives.base import Optimizer
from opeslike.studies import Fraction, Study, Tuned, random_universes, windows
from opeslike.studies.store import Store, pack, unpack

TERMS = {"train_end": "2016", "reopt_freq": 21, "rebalance_freq": 21, "cost": {"const": 20}}
FIGURES = ["growth", "sharpe", "volatility", "max_drawdown", "final_wealth", "turnover", "costs", "gap"]


@pytest.fixture(scope="module")
def prices():
    return load_us20(start="2015", end="2017-09")


@pytest.fixture(scope="module")
def universes(prices):
    return random_universes(prices, count=3, size=4, seed=1)


@pytest.fixture(scope="module")
def made():
    return {"Kelly": Kelly(), "Half": Fraction("Kelly", 0.5), "Min": MinVariance(), "1/N": Uniform()}


@pytest.fixture(scope="module")
def study(made, universes):
    return Study(made, universes, **TERMS).run(n_jobs=1)


def test_each_run_is_a_backtest(study, universes):
    assert (study.frame["status"] == "ok").all()
    assert list(study.frame.index)[:5] == [
        *(("universe 0", name) for name in study.strategies),
        ("universe 1", "Kelly"),
    ]
    data = universes[1].data
    tester = Backtester(data[:"2016"], data["2017":], cost={"const": 20})
    for name, strategy in (("Kelly", Kelly()), ("Min", MinVariance())):
        alone = tester.backtest(strategy, reopt_freq=21, rebalance_freq=21)
        np.testing.assert_allclose(study.returns(1)[name], alone["returns"], atol=1e-10)
        assert study.returns(1).index.equals(alone.timeline)
        np.testing.assert_allclose(study.weights(name, "universe 1"), alone.targets, atol=1e-9)
        assert study.weights(name, 1).index.equals(alone.targets.index)
        row = study.frame.loc["universe 1", name]
        assert row["growth"] == pytest.approx(252 * np.log1p(alone["returns"]).mean())
        assert row["turnover"] == pytest.approx(252 * alone["turnover"].mean())
        assert row["gap"] == alone.max_gap
    assert np.isnan(study.frame.loc[("universe 1", "1/N"), "gap"])


def test_halves_are_halves_to_the_last_bit_and_cost_no_solve(made, universes, monkeypatch):
    solves = []
    original = Optimizer.optimize
    monkeypatch.setattr(Optimizer, "optimize", lambda self, *a, **k: (solves.append(self), original(self, *a, **k))[1])
    study = Study({"Half": made["Half"], "Kelly": Kelly()}, universes, **TERMS).run(n_jobs=1)
    assert len(solves) == 3 * len(study.weights("Kelly"))
    for number in range(3):
        np.testing.assert_array_equal(study.weights("Half", number), 0.5 * study.weights("Kelly", number))


def test_what_is_stored_is_not_done_again(made, universes, tmp_path, monkeypatch):
    path = tmp_path / "study.db"
    first = Study(made, universes[:2], store=path, **TERMS).run(n_jobs=1)
    fresh = Study(made, universes, store=path, **TERMS)
    assert str(fresh).startswith("Study(4 strategies x 3 samples): 8 of 12 runs stored, 0 failed; about")
    fresh.run(n_jobs=1)
    frame = fresh.frame
    pd.testing.assert_frame_equal(frame.loc[["universe 0", "universe 1"]], first.frame)
    again = Study(made, universes, store=path, **TERMS)
    monkeypatch.setattr(Optimizer, "optimize", None)
    again.run(n_jobs=1)
    pd.testing.assert_frame_equal(again.frame, frame)
    monkeypatch.undo()
    for changed in ({"cost": {"const": 21}}, {"reopt_freq": 20}, {"window": 100}):
        assert Study(made, universes, store=path, **{**TERMS, **changed}).frame.empty
    other = Study({**made, "Kelly": Kelly(reg="l2", strength=0.1)}, universes, store=path, **TERMS)
    assert set(other.frame.index.get_level_values("strategy")) == {"Min", "1/N"}


def test_processes_change_nothing(study, made, universes, tmp_path):
    other = Study(made, universes, store=tmp_path / "study.db", **TERMS).run(n_jobs=2)
    pd.testing.assert_frame_equal(other.frame[FIGURES], study.frame[FIGURES], rtol=1e-9)
    for number in range(3):
        pd.testing.assert_frame_equal(other.returns(number), study.returns(number), rtol=0, atol=1e-9)


class TestFailures:
    def test_one_is_a_row_with_its_error(self, universes, toys):
        study = Study({"Mine": toys.Failing(), "1/N": Uniform()}, universes, **TERMS).run(n_jobs=1)
        frame = study.frame
        assert list(frame["status"]) == ["failed", "ok"] * 3
        assert frame["error"].iloc[0].startswith("'Mine': Failing on 2017-01-03: ZeroDivisionError: no luck")
        assert "The first failure, Mine on universe 0: 'Mine': Failing on" in str(study)
        with pytest.raises(PortfolioError, match="'Mine' has no weights on universe 0"):
            study.weights("Mine")
        assert list(study.returns().columns) == ["1/N"]

    def test_a_bad_sample_fails_alone(self, prices, made):
        good = prices[["AAPL", "JPM"]]
        study = Study(made, {"good": good, "short": good["2017-02":], "again": good[::2]}, **TERMS).run(n_jobs=1)
        assert study.frame["status"].groupby(level="sample").first().to_dict() == {
            "again": "ok", "good": "ok", "short": "failed"
        }  # fmt: skip
        assert "nothing is left to train" in study.frame.loc[("short", "Kelly"), "error"]
        assert study.table("1/N", statistics=["growth"]).notes[1].startswith("1 of 3 samples lack a run")

    def test_they_are_done_again_on_request(self, universes, toys, tmp_path, monkeypatch):
        path = tmp_path / "study.db"
        Study({"Mine": toys.Failing()}, universes[:1], store=path, **TERMS).run(n_jobs=1)
        study = Study({"Mine": toys.Failing()}, universes[:1], store=path, **TERMS)
        monkeypatch.setattr(Optimizer, "optimize", None)
        assert study.run(n_jobs=1).frame["status"].iloc[0] == "failed"
        seconds = study.frame["seconds"].iloc[0]
        assert study.run(n_jobs=1, retry=True).frame["seconds"].iloc[0] != seconds

    def test_ruin_is_told(self, universes, toys):
        study = Study({"Bold": toys.Fixed(40.0, 0.0, 0.0, 0.0)}, universes[:1], **TERMS).run(n_jobs=1)
        row = study.frame.iloc[0]
        assert (row["status"], row["final_wealth"], row["growth"]) == ("ruined", 0.0, -np.inf)
        with pytest.raises(PortfolioError, match="Bold made no decision after step"):
            study.replay(initial_capital=1.0, rebalance_freq=300, overlays=[LeverageCap(gross=0.1)])
        assert study.replay(cost={"const": 30}).frame["status"].iloc[0] == "ruined"

    @pytest.mark.parametrize(
        ("terms", "message"),
        [
            ({"brokerage": 1}, "no term 'brokerage'"),
            ({"reopt_freq": 0}, "reopt_freq"),
            ({"cost": {"brokerage": 1}}, "brokerage"),
            ({"train_end": None}, "universe 0 is not split: give train_end="),
        ],
    )
    def test_wrong_terms_are_told_at_once(self, made, universes, terms, message):
        with pytest.raises(PortfolioError, match=message):
            Study(made, universes, **{**TERMS, **terms})

    def test_what_cannot_be_is_named(self, made, universes, study):
        with pytest.raises(PortfolioError, match="'Mine': float is not a strategy"):
            Study({"Mine": 0.5}, universes, **TERMS)
        with pytest.raises(PortfolioError, match=r"Fraction\('Kely'\): 'Kely' is no strategy here; there are 'Half'"):
            Study({"Half": Fraction("Kely")}, universes, **TERMS)
        with pytest.raises(PortfolioError, match="'a' leads back to itself"):
            Study({"a": Fraction("b"), "b": Fraction("a")}, universes, **TERMS)
        with pytest.raises(DataError, match="nothing is left to train"):
            Study(made, universes, **{**TERMS, "train_end": "2014"})
        with pytest.raises(PortfolioError, match="n_jobs"):
            study.run(n_jobs=0)
        with pytest.raises(PortfolioError, match="no sample is called 7; there are 3"):
            study.returns(7)
        with pytest.raises(PortfolioError, match="has not been run"):
            Study(made, universes, **TERMS).returns()


class TestReplay:
    def test_it_equals_a_fresh_run_at_every_cost(self, study, made, universes, monkeypatch):
        fresh = {
            cost: Study(made, universes, **{**TERMS, "cost": {"const": cost}}).run(n_jobs=1) for cost in (0, 5, 50, 200)
        }
        monkeypatch.setattr(Optimizer, "optimize", None)
        for cost, own in fresh.items():
            again = study.replay(cost={"const": cost})
            for number in range(3):
                wealth = [np.cumprod(1 + one.returns(number)) for one in (again, own)]
                np.testing.assert_allclose(*wealth, rtol=1e-7)
            pd.testing.assert_frame_equal(again.frame[FIGURES], own.frame[FIGURES], rtol=1e-6)

    @pytest.mark.parametrize(
        "terms",
        [
            {"risk_free": 0.03, "borrow_spread": 0.01},
            {"rebalance_freq": 5, "entry_cost": False},
            {"short_fee": 0.02, "rebalance_freq": "ME"},
            {"overlays": [LeverageCap(gross=0.3)]},
        ],
    )
    def test_other_terms(self, study, made, universes, terms):
        fresh = Study(made, universes[:1], **{**TERMS, **terms}).run(n_jobs=1)
        np.testing.assert_allclose(study.replay(**terms).returns(), fresh.returns(), atol=1e-9)

    def test_a_universe_that_changes(self, prices):
        data = prices.iloc[:, :4].copy()
        data.iloc[:550, 0] = np.nan
        data.iloc[600:, 1] = np.nan
        study = Study({"Kelly": Kelly()}, [data], **{**TERMS, "min_history": 20}).run(n_jobs=1)
        dear = {"cost": {"const": 90}, "delisting_return": -0.5}
        fresh = Study({"Kelly": Kelly()}, [data], **{**TERMS, "min_history": 20, **dear}).run(n_jobs=1)
        np.testing.assert_allclose(study.replay(**dear).returns(), fresh.returns(), atol=1e-9)

    def test_a_later_start_goes_on_with_the_target_in_force(self, study):
        late, whole = study.replay(start="2017-03-15"), study.returns()
        returns = late.returns()
        assert returns.index[0] == whole.index[whole.index > "2017-03-15"][0]
        step = int((whole.index < returns.index[0]).sum())
        held = study.weights("Kelly").iloc[step // 21]
        np.testing.assert_allclose(late.weights("Kelly").iloc[0], held, atol=1e-9)

    def test_a_delay_trades_later(self, study):
        late = study.replay(delay=2, cost={"const": 0})
        free = study.replay(cost={"const": 0}).returns()
        assert (late.returns().iloc[:2] == 0).all().all()
        assert list(late.weights("1/N").index[:2]) == [study.weights("1/N").index[0], free.index[1]]

    def test_who_reads_the_account_is_refused_by_name(self, universes, toys):
        dear = Kelly(mandate=Mandate(max_turnover=0.2))
        study = Study({"Kelly": Kelly(), "Dear": dear, "Reader": toys.Reader()}, universes[:1], **TERMS).run(n_jobs=1)
        told = r"'Dear' \(reads held and costs\), 'Reader' \(reads state\) cannot be replayed"
        with pytest.raises(PortfolioError, match=told):
            study.replay(cost={"const": 1})
        assert list(study.replay(["Kelly"], cost={"const": 1}).strategies) == ["Kelly"]

    @pytest.mark.parametrize("term", ["reopt_freq", "window", "seed", "execution_lag", "weight_bounds"])
    def test_what_would_change_decisions_is_refused(self, study, term):
        with pytest.raises(PortfolioError, match=f"a replay cannot change '{term}'"):
            study.replay(**{term: 5})


class TestStore:
    def test_numbers_keep_their_size_and_halves(self):
        rng = np.random.default_rng(0)
        values = rng.normal(size=(50, 7)) * 0.1
        values[3] = np.nan
        for changes in (False, True):
            back = unpack(pack(values, changes))
            np.testing.assert_allclose(back, values, atol=2.0**-31, rtol=0)
            np.testing.assert_array_equal(unpack(pack(0.5 * values, changes)), 0.5 * back)
        for special in (np.zeros((0, 3)), np.zeros(4), np.array([-1.0, 3.0, 1e9]), np.full((2, 2), -1.0)):
            np.testing.assert_allclose(unpack(pack(special)), special, rtol=1e-9)

    def test_a_second_writer_is_told(self, made, universes, tmp_path):
        path = tmp_path / "study.db"
        study = Study(made, universes, store=path, **TERMS)
        with study._store.writing(), pytest.raises(OutputError, match="another process is writing it; wait"):
            Study(made, universes, store=path, **TERMS).run(n_jobs=1)
        study.run(n_jobs=1)
        assert len(study.frame) == 12
        assert [each.name for each in tmp_path.iterdir()] == ["study.db"]

    def test_an_older_store_is_read_and_says_what_it_lacks(self, made, universes, tmp_path, caplog):
        path = tmp_path / "study.db"
        frame = Study(made, universes, store=path, **TERMS).run(n_jobs=1).frame
        with sqlite3.connect(path) as db:
            db.execute("ALTER TABLE runs DROP COLUMN max_drawdown")
        db.close()
        old = Study(made, universes, store=path, **TERMS).frame
        assert "its runs lack max_drawdown" in caplog.text
        assert old["max_drawdown"].isna().all()
        pd.testing.assert_frame_equal(old.drop(columns="max_drawdown"), frame.drop(columns="max_drawdown"))

    def test_a_newer_store_is_refused(self, made, universes, tmp_path):
        path = tmp_path / "study.db"
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(OutputError, match="newer opeslike"):
            Study(made, universes, store=path, **TERMS).run(n_jobs=1)

    def test_what_is_no_store_is_told(self, made, universes, tmp_path):
        path = tmp_path / "study.db"
        path.write_text("once upon a time, and many times more")
        with pytest.raises(OutputError, match=r"cannot use the store .*study.db: file is not a database"):
            Study(made, universes, store=path, **TERMS).run(n_jobs=1)
        with pytest.raises(OutputError, match="unable to open"):
            Study(made, universes, store=tmp_path / "no" / "study.db", **TERMS).run(n_jobs=1)

    def test_a_run_is_small(self, tmp_path):
        prices = load_us20(start="2007", end="2020")
        made = {"KL": KLRobustKelly(radius=0.02), "Kelly": Kelly(), "1/N": Uniform()}
        terms = {**TERMS, "train_end": "2009", "reopt_freq": 21}
        path = tmp_path / "study.db"
        Study(made, random_universes(prices, 1, 10), store=path, **terms).run(n_jobs=1)
        assert path.stat().st_size < 3 * 25_000

    def test_dates_come_back_with_their_zone(self):
        from opeslike.studies.store import pack_dates, unpack_dates

        for index in (
            pd.date_range("2020", periods=3),
            pd.date_range("2020", periods=3, tz="America/New_York"),
            pd.RangeIndex(3),
        ):
            assert unpack_dates(pack_dates(index)).equals(index)

    def test_memory_takes_no_file(self, study):
        assert isinstance(study._store, Store)
        assert study._store.path is None


def test_the_table_is_that_of_the_returns(study):
    from opeslike.evidence import evidence

    found = study.table("1/N", equalise=None, resamples=200)
    frames = [study.returns(number) for number in range(3)]
    direct = evidence(frames, "1/N", resamples=200)
    pd.testing.assert_frame_equal(found.to_frame(), direct.to_frame(), rtol=1e-12)
    scaled = study.table("1/N", resamples=200).tables["growth"]
    assert scaled.loc["Half", "value"] == pytest.approx(scaled.loc["Kelly", "value"], abs=1e-3)
    assert "Half (x 2)" in study.table("1/N", resamples=200).notes[0]


def test_samples_of_different_dates_are_judged_together(prices, made):
    study = Study(made, windows(prices, test=120, train=300), **{**TERMS, "train_end": None}).run(n_jobs=1)
    assert len(study.samples) == 3
    assert not study.returns(0).index.equals(study.returns(1).index)
    assert study.table("1/N", statistics=["growth"], resamples=200).caption.startswith("Against 1/N: 3 samples")


class TestShown:
    pytestmark = pytest.mark.usefixtures("matplotlib")

    def test_spreads(self, study, tmp_path):
        figure = study.plot("growth", savefig=tmp_path / "growth.png")
        (axes,) = figure.axes
        assert [label.get_text() for label in axes.get_yticklabels()] == list(study.strategies)
        values = 100 * study.frame["growth"].xs("Kelly", level="strategy")
        top = next(line for line in axes.lines if line.get_ydata()[0] == 3)
        assert top.get_xdata()[0] == pytest.approx(values.median())
        assert (tmp_path / "growth.png").exists()
        with pytest.raises(PortfolioError, match="no figure is called 'luck'; there are growth"):
            study.plot("luck")

    def test_choices(self, universes):
        tuned = Tuned(KLRobustKelly(), {"radius": [0.001, 0.05]}, every=60, lookback=100, step=50)
        study = Study({"Tuned": tuned, "1/N": Uniform()}, universes, **TERMS).run(n_jobs=2)
        chosen = study.choices("Tuned")
        assert list(chosen.columns) == ["radius", "score"]
        assert len(chosen) == 3 * len(chosen.loc["universe 0"]) >= 9
        (axes,) = study.plot("Tuned").axes
        shares = np.sum([line.get_ydata() for line in axes.lines[: chosen["radius"].nunique()]], axis=0)
        np.testing.assert_allclose(shares, 100.0)
        with pytest.raises(PortfolioError, match="'1/N' made no choice"):
            study.choices("1/N")

    def test_page(self, study, tmp_path):
        text = study.to_html(benchmark="1/N")
        assert "12 of 12 runs stored, 0 failed" in text
        assert "On growth" in text
        assert text.count("<img") == 3
        assert study.to_html(tmp_path / "study.html", "1/N") == tmp_path / "study.html"

    def test_export(self, study, tmp_path):
        for form, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
            written = study.export(tmp_path / form, form)
            assert len(written) == 1 + 2 * 3 + 1
            runs = read(tmp_path / form / f"runs.{form}")
            np.testing.assert_allclose(runs["growth"], study.frame["growth"])
        returns = pd.read_parquet(tmp_path / "parquet" / "returns" / "universe-2.parquet")
        pd.testing.assert_frame_equal(returns, study.returns(2), check_freq=False)
        weights = pd.read_parquet(tmp_path / "parquet" / "weights" / "universe-2.parquet")
        np.testing.assert_array_equal(weights.loc["Min"], study.weights("Min", 2))
        with pytest.raises(PortfolioError, match="form"):
            study.export(tmp_path, "xlsx")
