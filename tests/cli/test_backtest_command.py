"""``opeslike backtest``, and the HTML of ``opeslike compare``."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from opeslike import load_us20, objectives, strategies
from opeslike.accounting.bands import Bands
from opeslike.accounting.overlays import DrawdownScaling
from opeslike.backtester import Backtester
from opeslike.cli import main
from opeslike.cli.objectives import OBJECTIVES, RULES, SELECTIONS, SIZERS, make_strategy
from opeslike.errors import PortfolioError
from opeslike.strategies import DualMomentum, DynamicKelly, Selection, Sized, Sizer

pytestmark = pytest.mark.usefixtures("matplotlib")

SMALL = ["--tickers", "AAPL,JPM,XOM", "--start", "2016", "--train-end", "2017", "--end", "2018-03"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of its own: status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        status = main(list(arguments))
        return status, *capsys.readouterr()

    return command


def test_names_cover_the_rules_there_are():
    """A rule added later is offered too; the parser must not import them to know their names."""
    classes = {name: found for name in strategies.__all__ if isinstance(found := getattr(strategies, name), type)}
    # Built of other rules, of a function, or by hand.
    by_hand = {"Selection", "Sizer", "AllOf", "AnyOf", "OutcomeSizer"}
    assert {n for n, c in classes.items() if issubclass(c, Selection)} - by_hand == set(SELECTIONS.values())
    assert {n for n, c in classes.items() if issubclass(c, Sizer)} - by_hand == set(SIZERS.values())
    assert all(hasattr(classes[name], "optimize") for name in RULES.values())
    assert set(OBJECTIVES.values()) <= set(objectives.__all__)


def test_the_same_numbers_as_in_python(run, tmp_path):
    status, out, err = run(
        "backtest", "--strategy", "dual-momentum", "--param", "lookback=30", "--param", "n_long=1", "--sizer",
        "dynamic-kelly", "--sizer-param", "max_leverage=2.0", "--drawdown", "0.05,0.2", "--reopt", "5", "--rebalance",
        "5", "--capital", "250000", "--benchmark", "JPM", "--html", "report.html", "--title", "A & B", *SMALL,
    )  # fmt: skip
    assert (status, err) == (0, "")
    prices = load_us20(tickers="AAPL JPM XOM", start="2016", end="2018-03")
    tester = Backtester(prices[:"2017"], prices["2018":], {"const": 20.0}, initial_capital=250_000)
    strategy = Sized(DualMomentum(lookback=30, n_long=1), DynamicKelly(max_leverage=2.0), 5)
    result = tester.backtest(strategy, 5, 5, overlays=[DrawdownScaling(0.05, 0.2)])
    report = result.report("JPM", "A & B")
    assert out == f"{report}\n\nReport in report.html\n"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>A &amp; B</h1>" in page
    assert "Against the benchmark" in page


def test_recovery_re_enters_after_a_drawdown(run):
    common = ["backtest", "--strategy", "time-series-momentum", "--param", "lookback=20", "--sizer", "equal-weight"]
    status, out, err = run(*common, "--drawdown", "0.001,0.01", "--recovery", "3", *SMALL)
    assert (status, err) == (0, "")
    assert "DrawdownScaling(soft=0.001, hard=0.01, recovery=3)" in " ".join(out.split())
    status, out, err = run(*common, "--recovery", "3", *SMALL)
    assert status == 2
    assert "add --drawdown" in err


def test_figures_weights_and_trades(run, tmp_path):
    common = [
        "backtest",
        "--strategy",
        "risk-parity",
        "--reopt",
        "ME",
        "--rebalance",
        "W-FRI",
        "--band",
        "0.01",
        *SMALL,
    ]
    status, out, err = run(*common, "--format", "json", "--weights", "w.csv", "--trades", "t.csv", "--lag", "0")
    assert (status, err) == (0, "")
    prices = load_us20(tickers="AAPL JPM XOM", start="2016", end="2018-03")
    tester = Backtester(prices[:"2017"], prices["2018":], {"const": 20.0}, initial_capital=100_000)
    result = tester.backtest(objectives.RiskParity(), "W-FRI", "ME", bands=Bands(0.01), execution_lag=0)
    read = json.loads(out)
    assert read["strategy"] == "risk-parity"
    assert read["settings"]["reopt_freq"] == "ME"
    assert read["figures"]["Final wealth"] == pytest.approx(result["wealth"][-1], rel=1e-12)
    assert read["certificate"] == result.certificate == "certified"
    assert list(read["weights"].values()) == pytest.approx(result["weights"][-1])
    weights = pd.read_csv(tmp_path / "w.csv", index_col="Date")
    np.testing.assert_allclose(weights, result["weights"], rtol=1e-15)
    assert list(weights.columns) == ["AAPL", "JPM", "XOM"]
    trades = pd.read_csv(tmp_path / "t.csv")
    assert trades["profit"].sum() == pytest.approx(result.trades["profit"].sum())
    status, out, _ = run(*common, "--format", "csv")
    assert out.startswith("metric,risk-parity\n")
    _, out, _ = run(*common, "--weights", "w.csv")
    assert out.endswith("\n\nWeights in w.csv\n")


def test_quiet_without_html_prints_nothing(run):
    assert run("backtest", "--strategy", "kelly", "--param", "fraction=0.5", "--quiet", *SMALL) == (0, "", "")


@pytest.mark.parametrize("name", [*RULES, *OBJECTIVES])
def test_strategies_by_themselves_can_be_made(name):
    assert hasattr(make_strategy(name), "optimize")


@pytest.mark.parametrize("sizer", SIZERS)
def test_sizers_can_be_made(sizer):
    assert isinstance(make_strategy("dual-momentum", sizer=sizer), Sized)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "dual-momentum"], "add --sizer"),
        (["--strategy", "kelly", "--sizer", "equal-weight"], "leave --sizer out"),
        (["--strategy", "kelly", "--param", "speed=3"], "kelly has no such parameter; it has fraction"),
        (["--strategy", "kelly", "--param", "fraction=-3"], "fraction"),
        (["--strategy", "kelly", "--benchmark", "ZZZ"], "no asset of the backtest"),
        (["--strategy", "kelly", "--html", "nowhere/report.html"], "create it first"),
        (["--strategy", "kelly", "--weights", "nowhere/w.csv"], "create it first"),
        (["--strategy", "kelly", "--trades", "nowhere/t.csv"], "create it first"),
    ],
)
def test_errors_are_one_line(run, arguments, message):
    status, _, err = run("backtest", *arguments, *SMALL)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["lookback", "=3", "a b=3"])
def test_a_parameter_needs_key_and_value(run, capsys, text):
    with pytest.raises(SystemExit) as stop:
        run("backtest", "--strategy", "kelly", "--param", text)
    assert stop.value.code == 2
    assert "is not of the form key=value" in capsys.readouterr().err


def test_parameters_are_literals_or_text():
    with pytest.raises(PortfolioError, match="formulation"):
        make_strategy("kelly", [("formulation", "neither")])


def test_compare_html(run, tmp_path):
    status, out, err = run("compare", "--html", "--benchmark", "AAPL", "--reopt", "20", "--fractions", "1", *SMALL)
    assert (status, err) == (0, "")
    assert "report.html" in out
    page = (tmp_path / "opeslike-report" / "report.html").read_text(encoding="utf-8")
    assert "Against AAPL" in page
    assert "KL-robust Kelly" in page


def test_compare_benchmark_needs_html(run):
    status, _, err = run("compare", "--benchmark", "AAPL", *SMALL)
    assert status == 2
    assert "--html" in err
