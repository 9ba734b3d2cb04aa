"""`opeslike optimize`: the weights that Python gives, in every format."""

from __future__ import annotations

import csv
import json
from io import StringIO

import numpy as np
import pytest

from opeslike import CRRA, Kelly, KLRobustKelly, MaxMean, MeanVariance, MinVariance, Uniform, load_us20
from opeslike.cli import main
from opeslike.objectives import CVaR, RiskConstrainedKelly

DATA = ["--tickers", "AAPL,JPM,XOM", "--start", "2016", "--end", "2018-03"]


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = main(["optimize", *arguments])
        return status, *capsys.readouterr()

    return command


@pytest.fixture(scope="module")
def prices():
    return load_us20(tickers="AAPL JPM XOM", start="2016", end="2018-03")


@pytest.mark.parametrize(
    ("arguments", "optimizer", "bounds"),
    [
        ([], Kelly(), (0, 1)),
        (["--objective", "kelly", "--fraction", "0.5"], Kelly(0.5), (0, 1)),
        (["--fraction", "0.5", "--formulation", "opes"], Kelly(0.5, formulation="opes"), (0, 1)),
        (["--objective", "kl-robust"], KLRobustKelly(radius="auto"), (0, 1)),
        (["--objective", "kl-robust", "--radius", "0.3", "--fraction", "0.25"], KLRobustKelly(0.25, 0.3), (0, 1)),
        (["--objective", "mean-variance", "--risk-aversion", "9"], MeanVariance(9.0), (0, 1)),
        (["--objective", "min-variance", "--bounds", "0,0.4"], MinVariance(), (0, 0.4)),
        (["--objective", "min-variance", "--bounds", "-.5,1.5"], MinVariance(), (-0.5, 1.5)),
        (["--objective", "max-mean", "--bounds=-0.2,0.7"], MaxMean(), (-0.2, 0.7)),
        (["--objective", "uniform"], Uniform(), (0, 1)),
        (["--objective", "cvar", "--param", "confidence=0.9"], CVaR(0.9), (0, 1)),
        (["--objective", "crra", "--risk-aversion", "4", "--param", "reg=l2"], CRRA(4.0, "l2"), (0, 1)),
        (["--objective", "risk-constrained-kelly", "--param", "lam=8"], RiskConstrainedKelly(lam=8.0), (0, 1)),
    ],
)
def test_it_is_what_python_gives(run, prices, arguments, optimizer, bounds):
    status, out, err = run(*DATA, *arguments, "--format", "json")
    assert (status, err) == (0, "")
    read = json.loads(out)
    weights = optimizer.optimize(prices, weight_bounds=bounds)
    assert list(read["weights"]) == ["AAPL", "JPM", "XOM"]
    np.testing.assert_allclose(list(read["weights"].values()), weights, atol=1e-8)
    assert read["cash"] == pytest.approx(1 - weights.sum(), abs=1e-8)
    optimizer.clean_weights()  # as the command does: cleaned weights are proved again
    assert read["certified_gap"] == optimizer.solution.gap
    assert (read["date"], read["returns"]) == ("2018-03-29", len(prices) - 1)


def test_window(run, prices):
    _, out, _ = run(*DATA, "--window", "60", "--format", "json")
    read = json.loads(out)
    assert read["returns"] == 60
    np.testing.assert_allclose(list(read["weights"].values()), Kelly().optimize(prices.iloc[-61:]), atol=1e-8)
    _, out, _ = run(*DATA, "--window", "100000", "--format", "json")
    assert json.loads(out)["returns"] == len(prices) - 1


def test_text(run):
    _, out, _ = run(*DATA, "--objective", "kl-robust", "--fraction", "0.5", "--bounds", "0,0.5")
    lines = out.splitlines()
    assert lines[0] == "kl-robust (fraction 0.5, radius auto), 2018-03-29, from 563 returns"
    shares = [float(line.split()[1].rstrip("%")) for line in lines if line.endswith("%")]
    assert sum(shares) == pytest.approx(100, abs=0.03)
    assert shares[:3] == sorted(shares[:3], reverse=True)
    assert lines[-3].startswith("cash")
    assert lines[-1].startswith("certified gap ")
    _, out, _ = run(*DATA, "--objective", "uniform", "--format", "github")
    assert "| AAPL |   33.33% |" in out
    assert out.endswith("nothing is optimised\n")


def test_csv(run):
    _, out, _ = run(*DATA, "--format", "csv")
    rows = list(csv.reader(StringIO(out)))
    assert rows[0] == ["ticker", "weight"]
    assert [row[0] for row in rows[1:]] == ["AAPL", "JPM", "XOM"]
    assert sum(float(row[1]) for row in rows[1:]) == pytest.approx(1)


def test_embedded_prices_reach_to_their_end(run):
    _, out, _ = run()
    assert out.startswith("kelly, 2022-12-28, from 3269 returns")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective", "uniform", "--fraction", "0.5"], "--fraction has no meaning for --objective uniform"),
        (["--objective", "kelly", "--radius", "0.1"], "--radius has no meaning for --objective kelly"),
        (["--risk-aversion", "2"], "--risk-aversion has no meaning for --objective kelly"),
        (["--fraction", "7"], "--fraction 7.0 must lie in"),
        (["--objective", "cvar", "--param", "beta=0.9"], "--param beta: cvar has no such parameter; it has confidence"),
        (["--objective", "cvar", "--param", "confidence=2"], "confidence"),
        (["--objective", "uniform", "--bounds", "0,0.1"], "Uniform holds 0.3333 of AAPL"),
    ],
)
def test_errors(run, arguments, message):
    status, out, err = run(*DATA, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"opeslike optimize: error: {message}")
    assert err.count("\n") == 1
