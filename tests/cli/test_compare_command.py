"""`opeslike compare`: what it writes and prints, from every source of prices."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from opeslike import KLRobustKelly, load_us20
from opeslike.cli import main
from opeslike.cli.compare import kelly_variants
from opeslike.cli.options import RISKY, TEST_END, TRAIN_END, TRAIN_START
from opeslike.errors import PortfolioError
from opeslike.objectives import CVaR, MeanCVaR, Uniform
from opeslike.studies import compare

pytestmark = pytest.mark.usefixtures("matplotlib")

SMALL = ["--tickers", "AAPL,JPM,XOM", "--start", "2016", "--train-end", "2017", "--end", "2018-03", "--reopt", "20"]
NAMES = [
    "Kelly", "Half Kelly", "Quarter Kelly", "KL-robust Kelly", "Half KL-robust Kelly", "Quarter KL-robust Kelly",
    "Mean-variance", "1/N",
]  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of its own: status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        status = main(["compare", *arguments])
        return status, *capsys.readouterr()

    return command


def metrics(folder):
    return pd.read_csv(folder / "metrics.csv", index_col="metric")


def test_no_arguments(tmp_path, offline_environment):
    """The whole job from a cold start, and what it must not have to import."""
    code = (
        "import sys; from opeslike.cli import main; status = main(['compare']); "
        "heavy = ('cvxpy', 'scipy.stats', 'scipy.optimize', 'yfinance', 'matplotlib.pyplot', 'tqdm', 'jinja2'); "
        "by_arch = 'scipy' if 'arch' in sys.modules else 'arch'; "
        "sys.exit(status or ', '.join(m for m in heavy if m in sys.modules and not m.startswith(by_arch)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=offline_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = tmp_path / "opeslike-report"
    assert sorted(p.name for p in report.iterdir()) == [
        "drawdown.png",
        "manifest.json",
        "metrics.csv",
        "table.md",
        "wealth.png",
        "weights",
    ]
    assert len(list((report / "weights").glob("*.csv"))) == 8
    table = metrics(report)
    assert list(table.columns) == NAMES
    gaps = table.loc["Worst gap per period"]
    assert (gaps.drop("1/N") <= 1e-9).all()
    assert np.isnan(gaps["1/N"])
    assert "Training 2010-01-04 to 2017-12-29; KL radius 0.01994" in done.stdout
    words = " ".join(done.stdout.split())
    assert "Test 2018-01-02 to 2019-12-31, 502 steps; costs 20 bps; re-optimised every 5 steps" in words
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Worst gap per period" in done.stdout
    assert words.endswith("weights/ of 8 strategies")
    weights = pd.read_csv(report / "weights" / "Half-Kelly.csv", index_col="Date")
    assert weights.shape == (502, 10)
    np.testing.assert_allclose(weights.iloc[0].sum(), 0.5, atol=1e-9)


def test_the_default_ten_were_the_most_volatile_of_the_training_years():
    closes = load_us20(start=TRAIN_START, end=TRAIN_END)
    volatile = closes.pct_change().std().nlargest(10).index
    assert sorted(volatile) == list(RISKY)
    assert TRAIN_END < TEST_END


def test_it_is_what_python_gives(run, tmp_path):
    status, out, err = run(*SMALL, "--cost-bps", "5", "--no-plots", "--rebalance", "2", "--lag", "0", "--window", "300")
    assert (status, err) == (0, "")
    prices = load_us20(tickers="AAPL,JPM,XOM", start="2016", end="2018-03")
    table = compare(
        kelly_variants([1.0, 0.5, 0.25], 1 / (len(prices) - 1) ** 0.5), prices[:"2017"], prices["2018":],
        cost={"const": 5}, reopt_freq=20, rebalance_freq=2, execution_lag=0, window=300, clean_weights=True,
    )  # fmt: skip
    pd.testing.assert_frame_equal(metrics(tmp_path / "opeslike-report"), table.metrics, rtol=1e-13)
    assert table.to_text(width=80) in out


def test_lives(run, tmp_path):
    prices = load_us20(tickers="AAPL JPM XOM", start="2016", end="2018-03")
    prices.loc[:"2017-06", "AAPL"] = None
    prices.loc["2018-02":, "XOM"] = None
    prices.to_csv(tmp_path / "prices.csv")
    terms = "--train-end", "2017", "--min-history", "100", "--delisting-return", "XOM=-0.5,*=0", "--window", "120"
    only = "--strategy", "uniform", "--no-plots", "--out", str(tmp_path / "out")
    status, _, err = run("--csv", str(tmp_path / "prices.csv"), *terms, *only)
    assert status == 0
    assert "listed later: AAPL from 2017-07-03; quoted no longer: XOM to 2018-01-31" in err
    table = compare(
        {"uniform": Uniform()}, prices[:"2017"], prices["2018":], cost={"const": 20}, reopt_freq=5, min_history=100,
        window=120, delisting_return={"XOM": -0.5}, clean_weights=True,
    )  # fmt: skip
    pd.testing.assert_frame_equal(metrics(tmp_path / "out"), table.metrics, rtol=1e-13)
    assert table["uniform"].wealth.min() < 0.9
    with pytest.raises(SystemExit):
        run("--delisting-return", "XOM:-1")


def test_radius(run, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "opeslike.cli.compare.kelly_variants",
        lambda fractions, size, *rest: (made.append(size), kelly_variants(fractions, size, *rest))[1],
    )
    rows = len(load_us20(start="2016", end="2018-03"))
    for given, wanted in ((["--radius", "auto"], "auto"), (["--radius", "0"], 0.0), ([], 1 / (rows - 1) ** 0.5)):
        status, out, _ = run(*SMALL, "--no-plots", "--fractions", "1", *given)
        assert status == 0
        assert made[-1] == wanted
        assert f"KL radius {wanted if wanted == 'auto' else f'{wanted:.4g}'}\n" in out
    table = metrics(tmp_path / "opeslike-report")
    run(*SMALL, "--no-plots", "--fractions", "1", "--radius", "0")
    zero = metrics(tmp_path / "opeslike-report")
    assert zero.loc["Final wealth", "KL-robust Kelly"] == pytest.approx(zero.loc["Final wealth", "Kelly"], rel=1e-6)
    assert table.loc["Final wealth", "KL-robust Kelly"] != pytest.approx(zero.loc["Final wealth", "Kelly"], rel=1e-6)


def test_parameters_reach_the_strategies():
    made = kelly_variants([0.75, 0.5], "auto", "opes", 4.0)
    assert list(made) == [
        "0.75 Kelly",
        "Half Kelly",
        "0.75 KL-robust Kelly",
        "Half KL-robust Kelly",
        "Mean-variance",
        "1/N",
    ]
    assert [made[name].fraction for name in list(made)[:4]] == [0.75, 0.5, 0.75, 0.5]
    assert made["Half KL-robust Kelly"].radius == "auto"
    assert {made[name].formulation for name in list(made)[:4]} == {"opes"}
    assert made["Mean-variance"].risk_aversion == 4.0
    with pytest.raises(PortfolioError, match=r"fraction occurs twice in 1, 0\.5, 1"):
        kelly_variants([1, 0.5, 1], 0.01)


def test_strategies_of_one_s_own(run, tmp_path):
    named = ["kl-robust:radius=.02,fraction=.5", "cvar", "mean-cvar:confidence=0.9", "rolling-kelly"]
    status, out, err = run(*SMALL, "--no-plots", *[word for text in named for word in ("--strategy", text)])
    assert (status, err) == (0, "")
    assert "KL radius" not in out
    prices = load_us20(tickers="AAPL,JPM,XOM", start="2016", end="2018-03")
    made = {named[0]: KLRobustKelly(0.5, 0.02), named[1]: CVaR(), named[2]: MeanCVaR(confidence=0.9)}
    table = compare(made, prices[:"2017"], prices["2018":], cost={"const": 20}, reopt_freq=20, clean_weights=True)
    written = metrics(tmp_path / "opeslike-report")
    assert list(written) == named
    pd.testing.assert_frame_equal(written[named[:3]], table.metrics, rtol=1e-13)


def test_bounds_formulation_and_rates(run, tmp_path):
    status, _, err = run(
        *SMALL,
        "--no-plots",
        "--bounds",
        "0,0.4",
        "--formulation",
        "opes",
        "--risk-free",
        "0.05",
        "--periods-per-year",
        "52",
    )
    assert (status, err) == (0, "")
    first = pd.read_csv(tmp_path / "opeslike-report" / "weights" / "Half-Kelly.csv", index_col="Date").iloc[0]
    assert first.max() <= 0.4 + 1e-12
    assert first.sum() == pytest.approx(1)  # that formulation holds no cash


def test_csv_file(run, tmp_path):
    prices = load_us20(tickers="AAPL JPM XOM", start="2017", end="2017-06")
    prices.to_csv(tmp_path / "prices.csv")
    status, out, err = run("--csv", "prices.csv", "--no-plots", "--reopt", "10")
    assert (status, err) == (0, "")
    split = prices.index[round(0.8 * len(prices)) - 1]
    assert f"AAPL, JPM, XOM\nTraining 2017-01-03 to {split.date()}" in out
    assert f"Test {prices.index[prices.index > split][0].date()} to 2017-06-30" in out
    again, other, _ = run(
        "--csv", "prices.csv", "--no-plots", "--reopt", "10", "--tickers", "XOM JPM", "--start", "2017-02"
    )
    assert again == 0
    assert "XOM, JPM\nTraining 2017-02-01 to" in other


def test_csv_files_of_other_shapes(run, tmp_path):
    returns = load_us20(tickers="AAPL JPM", start="2017", end="2017-06").pct_change().iloc[1:]
    text = returns.iloc[::-1].to_csv(sep=";", decimal=",", date_format="%d/%m/%Y")
    (tmp_path / "returns.csv").write_text(text)
    form = ["--sep", ";", "--decimal", ",", "--date-format", "%d/%m/%Y", "--sort", "--kind", "returns"]
    status, out, err = run("--csv", "returns.csv", *form, "--no-plots", "--reopt", "10")
    assert (status, err) == (0, "")
    assert "Training 2017-01-04" in out


def test_warnings_and_log_messages_are_single_lines(run, tmp_path):
    closes = load_us20(tickers="AAPL", start="2017", end="2017-06")["AAPL"]
    pd.DataFrame({"Close": closes, "Adj Close": closes * 0.9}).to_csv(tmp_path / "AAPL.csv", index_label="Date")
    status, _, err = run("--csv", "AAPL.csv", "--no-plots", "--reopt", "10")
    assert status == 0
    assert re.fullmatch(r"opeslike compare: warning: AAPL\.csv has Close and Adj Close[^\n]*\n", err)
    status, _, err = run("--csv", "AAPL.csv", "--no-plots", "--reopt", "10", "--field", "Adj Close")
    assert (status, err) == (0, "")
    prices = load_us20(tickers="AAPL JPM", start="2017", end="2017-06")
    prices.iloc[:20, 1] = np.nan
    prices.to_csv(tmp_path / "late.csv")
    status, _, err = run("--csv", "late.csv", "--no-plots", "--reopt", "10")
    assert status == 0
    assert re.fullmatch(r"opeslike compare: [^\n]*JPM[^\n]*\n", err)
    assert run("--csv", "late.csv", "--no-plots", "--reopt", "10", "--quiet") == (0, "", "")


def test_yahoo(run, monkeypatch):
    asked = {}

    def load(tickers, start, end, *, progress):
        asked.update(tickers=tickers, start=start, end=end, progress=progress)
        return load_us20(tickers=tickers, start=start, end=end)

    monkeypatch.setattr("opeslike.data.load_yahoo", load, raising=False)
    status, out, err = run(
        "--yahoo",
        "AAPL,XOM",
        "--start",
        "2016-11",
        "--train-end",
        "2017",
        "--end",
        "2018-03",
        "--reopt",
        "20",
        "--no-plots",
    )
    assert (status, err) == (0, "")
    assert asked == {
        "tickers": "AAPL,XOM", "start": pd.Timestamp("2016-11-01"), "end": pd.Timestamp("2018-03-31"), "progress": None
    }  # fmt: skip
    assert "AAPL, XOM\nTraining 2016-11-01 to 2017-12-29" in out


def test_out_and_charts(run, tmp_path):
    status, out, _ = run(*SMALL, "--out", "deep/er", "--fractions", "1")
    assert status == 0
    files = "table.md, metrics.csv, wealth.png, drawdown.png, manifest.json, weights/"
    assert f"Report in {os.path.join('deep', 'er')}: {files}" in " ".join(out.split())
    assert (tmp_path / "deep" / "er" / "wealth.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "opeslike-report").exists()


def test_quiet_prints_nothing_and_writes_all(run, tmp_path):
    assert run(*SMALL, "--quiet", "--no-plots") == (0, "", "")
    assert (tmp_path / "opeslike-report" / "table.md").exists()


def test_formats(run, tmp_path):
    short = [*SMALL, "--no-plots", "--fractions", "1"]
    _, out, _ = run(*short, "--format", "github")
    assert "|---" in out
    _, out, _ = run(*short, "--format", "csv")
    assert out == (tmp_path / "opeslike-report" / "metrics.csv").read_text()
    assert list(pd.read_csv(StringIO(out), index_col=0).columns) == ["Kelly", "KL-robust Kelly", "Mean-variance", "1/N"]
    _, out, _ = run(*short, "--format", "json")
    read = json.loads(out)
    assert read["1/N"]["Worst gap per period"] is None
    written = metrics(tmp_path / "opeslike-report")
    assert read["Kelly"]["Final wealth"] == pytest.approx(written.loc["Final wealth", "Kelly"], rel=1e-14)


def test_several_processes(run, tmp_path):
    run(*SMALL, "--no-plots", "--out", "one")
    status, _, err = run(*SMALL, "--no-plots", "--out", "two", "--jobs", "2")
    assert (status, err) == (0, "")
    pd.testing.assert_frame_equal(metrics(tmp_path / "one"), metrics(tmp_path / "two"), rtol=1e-11, atol=1e-11)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [80, 120])
def test_lines_fit_the_terminal(tmp_path, offline_environment, columns):
    sys.path.insert(0, os.path.dirname(__file__))
    try:
        from terminal import on_terminal
    finally:
        sys.path.pop(0)
    status, text = on_terminal(["compare", *SMALL, "--no-plots"], columns, str(tmp_path), offline_environment())
    assert status == 0
    text = text[text.index("AAPL, JPM, XOM") :]  # behind a progress bar, if there was one
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(line.startswith("Worst gap per period") for line in lines) == (2 if columns == 80 else 1)
