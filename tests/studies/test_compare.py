"""Many strategies on one backtest: the same as one by one, whatever the order, the names and the processes."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import GeneratorType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike import Backtester, Kelly, KLRobustKelly, Mandate, MeanVariance, Uniform, load_us20
from opeslike.accounting.bands import Bands
from opeslike.analysis.tables import GAP
from opeslike.errors import DataError, InfeasibleError, OptimizationError, PortfolioError, RuinWarning
from opeslike.objectives.base import Optimizer
from opeslike.studies import Comparison, compare, grid, running


@pytest.fixture(scope="module")
def prices():
    return load_us20(tickers="AAPL JPM XOM", start="2016", end="2018-06")


@pytest.fixture(scope="module")
def split(prices):
    return prices[:"2017"], prices["2018":]


def test_each_result_is_that_of_a_backtest_alone(split):
    options = {"reopt_freq": 10, "rebalance_freq": 5, "clean_weights": True, "window": 200, "execution_lag": 0}
    table = compare(
        {"a": Kelly(), "b": KLRobustKelly(radius=0.02), "c": Uniform()}, *split, cost={"const": 20}, **options
    )
    tester = Backtester(*split, cost={"const": 20})
    for name, strategy in (("a", Kelly()), ("b", KLRobustKelly(radius=0.02)), ("c", Uniform())):
        alone = tester.backtest(strategy, **options)
        for key in ("returns", "weights", "costs", "turnover", "wealth"):
            np.testing.assert_array_equal(table[name][key], alone[key])


def test_all_terms_reach_the_backtest(split):
    from opeslike.accounting.overlays import LeverageCap

    rate = pd.Series(0.03, index=pd.DatetimeIndex(["2017-12-01"]))
    table = compare(
        {"fixed": Kelly(0.5)}, *split, cost={"gamma": (2.0, 5.0)}, reopt_freq=21, seed=7, entry_cost=False,
        weight_bounds=(0, 0.5), initial_capital=1000.0, risk_free=rate, borrow_spread=0.01, short_fee=0.02,
        periods_per_year=260, overlays=[LeverageCap(gross=0.3)],
    )  # fmt: skip
    tester = Backtester(
        *split, cost={"gamma": (2.0, 5.0)}, initial_capital=1000.0, risk_free=rate, borrow_spread=0.01, short_fee=0.02,
        periods_per_year=260,
    )  # fmt: skip
    alone = tester.backtest(
        Kelly(0.5), reopt_freq=21, seed=7, entry_cost=False, weight_bounds=(0, 0.5), overlays=[LeverageCap(gross=0.3)]
    )
    np.testing.assert_array_equal(table["fixed"]["wealth"], alone["wealth"])
    assert table["fixed"].settings == alone.settings
    assert np.abs(table["fixed"]["weights"]).sum(axis=1).max() <= 0.3 + 1e-12


def test_returns_are_taken_for_what_they_are(split):
    train, test = (part.pct_change().iloc[1:] for part in split)
    table = compare({"1/N": Uniform()}, train, test, kind="returns", cost={"const": 0})
    np.testing.assert_allclose(table["1/N"]["returns"], test.mean(axis=1), atol=1e-15)


def test_one_object_may_stand_under_several_names(split, toys):
    shared = toys.Counting()
    table = compare({"a": shared, "b": shared}, *split, reopt_freq=21)
    np.testing.assert_array_equal(table["a"]["weights"], table["b"]["weights"])
    assert shared.calls == 0


def test_strategies_stay_as_they_were(split):
    kelly = Kelly()
    compare({"Kelly": kelly}, *split, reopt_freq=42)
    with pytest.raises(PortfolioError, match="no solution yet"):
        _ = kelly.solution


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(["Kelly", "Robust", "Mean-variance", "1/N"]))
def test_order_changes_nothing_but_the_order(order):
    prices = load_us20(tickers="AAPL JPM XOM", start="2017-06", end="2018-02")
    made = {"Kelly": Kelly(), "Robust": KLRobustKelly(), "Mean-variance": MeanVariance(4.0), "1/N": Uniform()}
    one = compare(made, prices[:"2017"], prices["2018":], reopt_freq=10)
    other = compare({name: made[name] for name in order}, prices[:"2017"], prices["2018":], reopt_freq=10)
    assert list(other) == list(order)
    pd.testing.assert_frame_equal(one.metrics[list(order)], other.metrics, check_exact=True)


def test_processes_change_nothing(split, toys, caplog):
    made = {
        "Kelly": Kelly(0.5), "Robust": KLRobustKelly(), "Counting": toys.Counting(), "Talking": toys.Talking()
    }  # fmt: skip
    outcomes = []
    for jobs in (1, 2):
        caplog.clear()
        with pytest.warns(UserWarning, match="only a few rows") as caught:
            table = compare(made, *split, reopt_freq=20, n_jobs=jobs, cost={"gamma": (2.0, 5.0)}, initial_capital=50.0)
        outcomes.append((table, [str(w.message) for w in caught], [r.getMessage() for r in caplog.records]))
    (one, warned, logged), (two, warned_there, logged_there) = outcomes
    assert list(one) == list(two) == list(made)
    for name, result in one.items():
        for key in ("returns", "weights", "wealth"):
            np.testing.assert_allclose(two[name][key], result[key], rtol=1e-12, atol=1e-12)
        assert two[name].settings == result.settings
        assert two[name].certificate == result.certificate
    np.testing.assert_array_equal(two["Counting"]["weights"], one["Counting"]["weights"])
    assert warned == warned_there
    assert logged == logged_there
    assert logged[0] == "saw 503 rows"


def test_a_failing_strategy_is_named(split, toys):
    with pytest.raises(OptimizationError, match=r"^'Mine': Failing on 2018-01-02: ZeroDivisionError: no luck"):
        compare({"1/N": Uniform(), "Mine": toys.Failing()}, *split)
    with pytest.raises(InfeasibleError, match=r"^'Tight': Infeasible on 2018-01-02: nothing fits"):
        compare({"Tight": toys.Infeasible()}, *split)


def test_a_failing_strategy_is_named_from_other_processes_too(split, toys):
    with pytest.raises(InfeasibleError, match=r"^'Tight': Infeasible on 2018-01-02: nothing fits"):
        compare({"1/N": Uniform(), "Tight": toys.Infeasible(), "Mine": toys.Failing()}, *split, n_jobs=2)


def test_a_failure_leaves_nothing_running(split, toys):
    """What was under way in other processes is stopped there and then, and no pool remarks on it later."""
    made = {"Mine": toys.Failing(), **{f"Kelly {k}": Kelly(fraction=1 / k, time_limit=9.0 + k) for k in range(1, 6)}}
    with warnings.catch_warnings(record=True, action="always") as caught:  # noqa: SIM117
        with pytest.raises(OptimizationError, match="no luck") as told:
            compare(made, *split, n_jobs=2)
    made_here = [one for one in gc.get_objects() if isinstance(one, GeneratorType)]
    assert told.value.__traceback__ is not None
    assert not [one for one in made_here if one.gi_code is running.stream.__code__ and one.gi_frame is not None]
    assert not [str(one.message) for one in caught]


def test_ruin_is_told_with_the_name(split, toys):
    with pytest.warns(RuinWarning, match=r"^'Bold': Fixed lost all its wealth on 2018-"):
        table = compare({"Bold": toys.Fixed(40.0, 0.0, 0.0), "1/N": Uniform()}, *split)
    assert table.notes == [f"Bold lost everything on {table['Bold'].ruin_date.date()}."]
    assert table.notes[0] in str(table)
    assert table.metrics.loc["Final wealth", "Bold"] == 0


def test_solutions_and_gaps_are_in_the_table(split):
    table = compare({"Kelly": Kelly(), "1/N": Uniform()}, *split, reopt_freq=10)
    assert table.metrics.loc[GAP, "Kelly"] == table["Kelly"].max_gap
    assert 0 <= table["Kelly"].max_gap <= 1e-9
    assert np.isnan(table.metrics.loc[GAP, "1/N"])
    assert GAP not in compare({"1/N": Uniform()}, *split).metrics.index


@pytest.mark.parametrize(
    ("strategies", "message"),
    [
        ({}, "no strategy to compare"),
        ([Kelly()], "must be a dict of name -> strategy, got list"),
        (None, "must be a dict"),
        ({1: Kelly()}, "must be text, got 1"),
        ({" ": Kelly()}, "must be text, got ' '"),
        ({"Kelly": Kelly(), " Kelly ": Kelly(0.5)}, "two strategies are called 'Kelly'"),
        ({"Kelly": Kelly}, r"'Kelly': Kelly is a class.*Kelly\(\)"),
        ({"Kelly": 0.5}, "'Kelly': float is not a strategy"),
    ],
)
def test_what_is_no_set_of_strategies_is_refused(split, strategies, message):
    with pytest.raises(PortfolioError, match=message):
        compare(strategies, *split)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *[("reopt_freq", 0), ("rebalance_freq", 1.5), ("execution_lag", -1), ("window", 0), ("seed", -1)],
        *[("n_jobs", 0), ("n_jobs", -2), ("n_jobs", 1.5), ("n_jobs", True), ("initial_capital", 0)],
    ],
)
def test_a_bad_parameter_is_named_and_no_strategy_blamed(split, parameter, value):
    with pytest.raises(PortfolioError, match=f"^{parameter}"):
        compare({"1/N": Uniform()}, *split, **{parameter: value})


@pytest.mark.parametrize("cost", [{"brokerage": 10}, {"const": -1}, {"const": float("nan")}, 20])
def test_bad_costs_are_named(split, cost):
    with pytest.raises(PortfolioError, match=r"cost|brokerage|const"):
        compare({"1/N": Uniform()}, *split, cost=cost)


def test_bad_data_are_told_before_anything_runs(prices, split, toys):
    failing = {"Mine": toys.Failing()}
    with pytest.raises(DataError, match="test_data has no rows"):
        compare(failing, prices, prices["2020":])
    with pytest.raises(DataError, match="XOM"):
        compare(failing, split[0], split[1].drop(columns="XOM"))


def test_what_cannot_be_copied_is_named(split):
    class Locked(type(Uniform())):
        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(PortfolioError, match=r"'Mine': Locked cannot be copied \(.*lock"):
        compare({"Mine": Locked()}, *split)


def test_what_does_not_pickle_is_named(split, toys):
    made = {"1/N": Uniform(), "Mine": toys.Locked()}
    with pytest.raises(PortfolioError, match=r"'Mine': Locked cannot be sent to another process \(.*lock.*n_jobs=1"):
        compare(made, *split, n_jobs=2)


def test_constraints_go_to_other_processes_too(split):
    made = {"1/N": Uniform(), "Capped": Kelly(mandate=Mandate(constraints=[lambda w: w <= 0.5]))}
    table = compare(made, *split, n_jobs=2, reopt_freq=63)
    assert table["Capped"]["weights"][0].max() <= 0.5 + 1e-9


def test_what_does_not_unpickle_there_is_named(split):
    with pytest.raises(PortfolioError, match=r"'Mine' cannot be rebuilt in another process.*nowhere.*n_jobs=1"):
        running.unpacked(["Mine"], b"cnowhere\nStrategy\n.")


def test_a_dead_process_is_told(split, toys):
    with pytest.raises(OptimizationError, match=r"a worker process died.*n_jobs=1"):
        compare({"Mine": toys.Dying(), "1/N": Uniform()}, *split, n_jobs=2)


def test_more_processes_than_strategies_is_no_trouble(split):
    assert list(compare({"1/N": Uniform()}, *split, n_jobs=-1)) == ["1/N"]


def test_progress_is_silent_without_a_terminal(split, capsys):
    compare({"1/N": Uniform()}, *split)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_when_asked_for(split, capsys):
    compare({"1/N": Uniform(), "Kelly": Kelly()}, *split, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "compare" in err
    assert "0/2" in err
    compare({"1/N": Uniform()}, *split, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "0/125" in err or "0/124" in err


def test_grid_names_every_combination():
    made = grid(KLRobustKelly, fraction=[1, 0.5], radius=(0.01, "auto"), formulation="opes")
    assert list(made) == [
        "KLRobustKelly(fraction=1, radius=0.01)",
        "KLRobustKelly(fraction=1, radius='auto')",
        "KLRobustKelly(fraction=0.5, radius=0.01)",
        "KLRobustKelly(fraction=0.5, radius='auto')",
    ]
    last = list(made.values())[-1]
    assert (last.fraction, last.radius, last.formulation) == (0.5, "auto", "opes")


def test_grid_takes_names():
    assert list(grid(Kelly, "{fraction:.0%} Kelly", fraction=[1, 0.5])) == ["100% Kelly", "50% Kelly"]


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        (None, {"fraction": 0.5}, "at least one list"),
        (None, {"fraction": []}, "none empty"),
        ("Kelly", {"fraction": [1, 0.5]}, "two strategies of the grid are called 'Kelly'"),
        ("{size}", {"fraction": [1, 0.5]}, r"cannot be filled in \('size'\); it may use \{fraction\}"),
        (None, {"fraction": [1, 7]}, "fraction=7"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(name, parameters, message):
    with pytest.raises(PortfolioError, match=message):
        grid(Kelly, name, **parameters)


def test_a_comparison_pickles(split):
    table = compare({"Kelly": Kelly(), "1/N": Uniform()}, *split, reopt_freq=21)
    again = pickle.loads(pickle.dumps(table))
    assert isinstance(again, Comparison)
    pd.testing.assert_frame_equal(again.metrics, table.metrics, check_exact=True)


def test_the_function_is_a_public_name(split):
    import opeslike

    assert opeslike.compare is compare
    assert list(opeslike.compare({"1/N": Uniform()}, *split)) == ["1/N"]


FRACTIONS = {"Quarter": 0.25, "Full": 1.0, "Half": 0.5}


@pytest.mark.parametrize("make", [Kelly, lambda f: KLRobustKelly(f, "auto")], ids=["Kelly", "KL"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_fractions_share_their_solves(split, make, jobs, monkeypatch):
    solves = []
    original = type(make(1.0)).optimize
    monkeypatch.setattr(Optimizer, "optimize", lambda self, *a, **k: (solves.append(self), original(self, *a, **k))[1])
    made = {name: make(fraction) for name, fraction in FRACTIONS.items()} | {"1/N": Uniform()}
    table = compare(made, *split, reopt_freq=5, rebalance_freq=5, clean_weights=True, n_jobs=jobs)
    assert list(table) == list(made)
    decisions = len(table["Full"].certificates)
    if jobs == 1:
        assert sum(isinstance(one, type(make(1.0))) for one in solves) == decisions == 25
    full, half, quarter = (table[name]["weights"][::5] for name in ("Full", "Half", "Quarter"))
    np.testing.assert_array_equal(half, 0.5 * full)
    np.testing.assert_array_equal(quarter, 0.25 * full)
    alone = Backtester(*split).backtest(make(0.5), reopt_freq=5, rebalance_freq=5, clean_weights=True)
    np.testing.assert_allclose(table["Half"]["returns"], alone["returns"], atol=1e-9)
    assert table["Half"].settings == alone.settings
    assert table["Half"].certificate == "certified"
    assert table["Half"].certificates["gap"].equals(table["Full"].certificates["gap"])
    assert (table["Half"].certificates["seconds"] == 0).all()
    assert (table["Full"].certificates["seconds"] > 0).all()


def test_only_the_same_problem_is_shared():
    mandate = Mandate(leverage=1)
    key = {name: made.shared() for name, made in {
        "full": Kelly(), "half": Kelly(0.5), "opes": Kelly(0.5, formulation="opes"),
        "cash": Kelly(mandate=mandate), "half cash": Kelly(0.5, mandate=mandate), "l2": Kelly(0.5, "l2", 0.1),
        "robust": KLRobustKelly(0.5), "wide": KLRobustKelly(radius=0.5),
    }.items()}  # fmt: skip
    assert key["full"][0] == key["half"][0]
    assert (key["full"][1], key["half"][1]) == (1.0, 0.5)
    assert len({key[name][0] for name in key}) == len(key) - 1


def test_a_strategy_goes_on_where_the_one_it_follows_was_ruined(split):
    """Costs of 100% take all that full Kelly has at once, so it is asked no more; half Kelly then solves for itself."""
    terms = {"cost": {"const": 1e4}}
    walk = {"reopt_freq": 10, "rebalance_freq": 200, "bands": Bands(absolute=0.01)}
    with pytest.warns(RuinWarning, match="'Full'"):
        table = compare({"Half": Kelly(0.5), "Full": Kelly()}, *split, **terms, **walk)
    assert len(table["Full"].certificates) == 1
    assert len(table["Half"].certificates) == 13
    alone = Backtester(*split, **terms).backtest(Kelly(0.5), **walk)
    np.testing.assert_allclose(table["Half"]["returns"], alone["returns"], atol=1e-9)


def test_solutions_are_kept_on_request(split):
    made = {"Full": KLRobustKelly(radius=0.01), "Half": KLRobustKelly(0.5, 0.01)}
    light = compare(made, *split, reopt_freq=20)
    heavy = compare(made, *split, reopt_freq=20, keep_solutions=True)
    for name in made:
        pd.testing.assert_frame_equal(
            heavy[name].certificates.drop(columns="seconds"), light[name].certificates.drop(columns="seconds")
        )
        (_, row), (_, whole) = light[name].solutions[0], heavy[name].solutions[0]
        assert row.gap == whole.gap
        assert not hasattr(row, "worst_case")
        assert whole.worst_case.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(heavy["Half"].solutions[2][1].weights, 0.5 * heavy["Full"].solutions[2][1].weights)
    witnesses = sum(one.worst_case.nbytes for _, one in heavy["Full"].solutions)
    assert len(pickle.dumps(heavy)) - len(pickle.dumps(light)) > witnesses


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals as POSIX has them")
def test_workers_end_with_a_killed_parent(tmp_path, offline_environment):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\n"
        "from opeslike import compare, load_us20\n"
        "class Slow:\n"
        "    def optimize(self, data):\n"
        "        with open(sys.argv[1], 'a') as file:\n"
        "            print(os.getpid(), file=file)\n"
        "        time.sleep(60)\n"
        "        return [1.0]\n"
        "prices = load_us20(tickers='AAPL', start='2018')\n"
        "compare({'a': Slow(), 'b': Slow()}, prices[:100], prices[100:110], n_jobs=2)\n"
    )
    pids = tmp_path / "pids"
    parent = subprocess.Popen([sys.executable, str(script), str(pids)], env=offline_environment())
    try:
        wait(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    finally:
        parent.kill()
        parent.wait()
    workers = [int(pid) for pid in pids.read_text().split()]
    assert parent.pid not in workers
    wait(lambda: not any(alive(pid) for pid in workers))


def wait(ready):
    for _ in range(600):
        if ready():
            return
        time.sleep(0.1)
    pytest.fail("it did not come about within a minute")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return not Path("/proc/self").exists()  # without /proc a signal must do
