"""Many strategies on one backtest: the same as one by one, whatever the order, the names and the processes."""

from __future__ import annotations

import logging
import pickle
import sys
import threading
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike import Backtester, Kelly, KLRobustKelly, MeanVariance, Uniform, load_us20
from opeslike.analysis.tables import GAP
from opeslike.compare import Comparison, compare, grid, running
from opeslike.errors import DataError, InfeasibleError, OptimizationError, PortfolioError, RuinWarning
from opeslike.modelling.mandate import Mandate

TOYS = Path(__file__).with_name("toys.py")


@pytest.fixture(scope="module")
def toys():
    """Their module, under a name that other processes find as well."""
    sys.path.insert(0, str(TOYS.parent))
    spec = spec_from_file_location("toys", TOYS)
    module = module_from_spec(spec)
    sys.modules["toys"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(TOYS.parent))
    del sys.modules["toys"]


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


def test_what_does_not_pickle_is_named(split):
    made = {"1/N": Uniform(), "Capped": Kelly(mandate=Mandate(constraints=[lambda w: w <= 0.5]))}
    with pytest.raises(PortfolioError, match=r"'Capped': Kelly cannot be sent to another process.*n_jobs=1"):
        compare(made, *split, n_jobs=2)


def test_what_does_not_unpickle_there_is_named(split, monkeypatch):
    monkeypatch.setattr(running, "_jobs", [pickle.dumps((Backtester(*split), {}, logging.WARNING))])
    with pytest.raises(PortfolioError, match=r"'Mine' cannot be rebuilt in another process.*nowhere.*n_jobs=1"):
        running._work("Mine", b"cnowhere\nStrategy\n.")


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


def test_function_and_module_share_a_name_without_harm(split):
    import opeslike

    assert callable(opeslike.compare)
    assert list(opeslike.compare({"1/N": Uniform()}, *split)) == ["1/N"]
    assert list(sys.modules["opeslike.compare"]({"1/N": Uniform()}, *split)) == ["1/N"]
