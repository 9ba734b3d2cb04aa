"""What a comparison shows and leaves behind: table, charts, files."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeslike import Kelly, MeanVariance, Uniform, load_us20
from opeslike.analysis import output
from opeslike.analysis.output import check_folder
from opeslike.errors import OutputError, PortfolioError
from opeslike.studies import Comparison, compare, grid, make_folder
from opeslike.studies.comparison import file_stems

pytestmark = pytest.mark.usefixtures("matplotlib")


@pytest.fixture(scope="module")
def split():
    prices = load_us20(tickers="AAPL JPM XOM", start="2017", end="2018-03")
    return prices[:"2017"], prices["2018":]


@pytest.fixture(scope="module")
def table(split):
    made = {"Kelly": Kelly(), "Half Kelly": Kelly(0.5), "Mean-variance": MeanVariance(2.0), "1/N": Uniform()}
    return compare(made, *split, cost={"const": 20}, reopt_freq=5)


def test_it_is_a_mapping_of_results(table):
    assert list(table) == ["Kelly", "Half Kelly", "Mean-variance", "1/N"]
    assert len(table) == 4
    assert "Kelly" in table
    assert table["Kelly"] is table.results["Kelly"]
    assert "Thorp" not in table
    with pytest.raises(KeyError):
        table["Thorp"]
    assert repr(table) == "Comparison(Kelly, Half Kelly, Mean-variance, 1/N)"


def test_print_shows_terms_and_table(table):
    text = str(table)
    assert text.startswith(
        "Test 2018-01-02 to 2018-03-29, 60 steps; costs 20 bps; re-optimised every 5 steps; traded every step\n"
    )
    assert table.to_text() in text
    assert text.endswith(table.verdict()[0])
    row = next(line for line in text.splitlines() if line.startswith("Worst gap per period"))
    gaps = row.removeprefix("Worst gap per period").split()
    assert len(gaps) == 4
    assert gaps[-1] == "-"
    assert all(0 <= float(gap) <= 1e-9 for gap in gaps[:3])


def test_figures_are_those_of_the_returns(table):
    returns = table["Kelly"]["returns"]
    metrics = table.metrics["Kelly"]
    assert metrics["Total return %"] == pytest.approx(100 * (np.prod(1 + returns) - 1))
    assert metrics["Annual volatility %"] == pytest.approx(100 * returns.std(ddof=1) * 252**0.5)
    assert metrics["Annual turnover"] == pytest.approx(252 * table["Kelly"]["turnover"].mean())


def test_a_changed_frame_changes_no_table(table):
    text = table.to_text()
    frame = table.metrics
    frame.loc["Calmar"] = 0.0
    assert table.to_text() == text


def test_periods_and_rates_reach_the_figures(split):
    made = {"1/N": Uniform()}
    daily, weekly = compare(made, *split), compare(made, *split, periods_per_year=52)
    assert weekly.metrics.loc["Annual volatility %", "1/N"] == pytest.approx(
        daily.metrics.loc["Annual volatility %", "1/N"] * (52 / 252) ** 0.5
    )
    rich = compare(made, *split, risk_free=0.05)
    returns = rich["1/N"]["returns"]
    excess = returns - (1.05 ** (1 / 252) - 1)
    assert rich.metrics.loc["Sharpe (annual)", "1/N"] == pytest.approx(excess.mean() / returns.std(ddof=1) * 252**0.5)


def test_final_wealth_is_money(split):
    table = compare({"1/N": Uniform()}, *split, initial_capital=250_000)
    assert table.metrics.loc["Final wealth", "1/N"] == pytest.approx(table["1/N"]["wealth"][-1])
    assert f"{table['1/N']['wealth'][-1]:,.2f}" in table.to_text()


def test_the_table_folds_to_the_width_given(table):
    wide = table.to_text()
    assert max(map(len, wide.splitlines())) > 60
    folded = table.to_text(width=60)
    assert max(map(len, folded.splitlines())) <= 60
    assert sorted(wide.split()) != sorted(folded.split())  # the first column is there twice
    assert set(wide.split()) - {line for line in wide.split() if set(line) == {"-"}} <= set(folded.split())
    assert table.to_text(width=3).count("Sharpe") == 4  # cannot be done: as narrow as possible
    assert table.to_text("html", width=60) == table.to_text("html")


def test_many_strategies_become_rows_that_fold_too(split):
    many = compare(grid(Kelly, fraction=[round(0.1 * n, 1) for n in range(1, 11)]), *split, reopt_freq=30)
    lines = many.to_text().splitlines()
    assert sum(line.startswith("Kelly(fraction=") for line in lines) == 10
    folded = many.to_text(width=100)
    assert max(map(len, folded.splitlines())) <= 100
    assert folded.count("Kelly(fraction=0.1)") > 1


def test_str_folds_to_a_terminal_and_to_nothing_else(table, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, table.to_text().splitlines())) > 60
    assert table.to_text() in str(table)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert max(map(len, str(table).splitlines())) <= 60
    monkeypatch.setattr(sys, "stdout", None)  # as under pythonw
    assert table.to_text() in str(table)


def test_an_unknown_format_lists_those_there_are(table):
    with pytest.raises(PortfolioError, match=r"'spreadsheet' is unknown.*github"):
        table.to_text("spreadsheet")


def test_markdown_and_html(table):
    head, rule, *rows = table.to_markdown().splitlines()
    assert head.count("|") == 6
    assert rule.count("-:|") == 4
    assert len(rows) == len(table.metrics)
    assert "<table>" in table._repr_html_()


def test_wealth_chart_starts_at_the_first_close(split, table):
    figure = table.plot_wealth()
    (axes,) = figure.axes
    assert len(axes.lines) == 5  # one is breakeven
    assert axes.lines[0].get_ydata()[0] == 1.0
    assert axes.lines[0].get_xdata()[0] == split[1].index[0]
    assert axes.lines[0].get_ydata()[-1] == pytest.approx(table["Kelly"]["wealth"][-1])


def test_charts_take_the_options_of_the_plots(table, tmp_path):
    table.plot_wealth(savefig=tmp_path / "w.svg", title="Mine", log=False, initial_wealth=100)
    assert (tmp_path / "w.svg").read_text().startswith("<?xml")
    assert table.plot_drawdowns(title="Falls").axes[0].get_title(loc="left") == "Falls"
    assert table.plot_weights("Half Kelly").axes[0].get_title(loc="left") == "Weights: Half Kelly"
    assert table.plot_weights("1/N", title=None, top=1).axes[0].get_title(loc="left") == ""
    with pytest.raises(PortfolioError, match="no strategy is called 'Thorp'; there are 'Kelly', 'Half Kelly'"):
        table.plot_weights("Thorp")


def test_data_without_dates(tmp_path):
    rng = np.random.default_rng(0)
    returns = rng.normal(0.001, 0.01, (80, 3))
    table = compare({"Kelly": Kelly(), "1/N": Uniform()}, returns[:60], returns[60:], kind="returns", reopt_freq=10)
    assert "0 to 20, 20 steps" in str(table)
    table.save(tmp_path)
    first = (tmp_path / "weights" / "Kelly.csv").read_text().splitlines()
    assert first[0] == "Step,0,1,2"
    assert first[1].startswith("1,")


def test_save_writes_what_it_says(table, tmp_path):
    written = table.save(tmp_path / "deep" / "report")
    root = tmp_path / "deep" / "report"
    names = ["table.md", "metrics.csv", "wealth.png", "drawdown.png"]
    weights = ["Kelly.csv", "Half-Kelly.csv", "Mean-variance.csv", "1-N.csv"]
    assert written == [root / name for name in [*names, *(f"weights/{name}" for name in weights), "manifest.json"]]
    assert check_folder(root) == []
    assert sorted(p for p in root.rglob("*") if p.is_file()) == sorted(written)
    for name in ("wealth.png", "drawdown.png"):
        assert (root / name).read_bytes().startswith(b"\x89PNG")
    assert table.to_markdown() in (root / "table.md").read_text(encoding="utf-8")
    metrics = pd.read_csv(root / "metrics.csv", index_col="metric")
    pd.testing.assert_frame_equal(metrics, table.metrics, rtol=1e-14)


def test_saved_weights_are_exact(table, tmp_path):
    table.save(tmp_path, plots=False)
    assert not list(tmp_path.glob("*.png"))
    head, *rows = csv.reader((tmp_path / "weights" / "Kelly.csv").read_text().splitlines())
    assert head == ["Date", "AAPL", "JPM", "XOM"]
    assert [row[0] for row in rows] == [str(day.date()) for day in table["Kelly"].timeline]
    np.testing.assert_array_equal([[float(cell) for cell in row[1:]] for row in rows], table["Kelly"]["weights"])


def test_save_replaces_its_own_files_and_leaves_others(table, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.csv").write_text("keep")
    (tmp_path / "table.md").write_text("old")
    table.save(tmp_path, plots=False)
    table.save(tmp_path, plots=False)
    assert (tmp_path / "weights" / "mine.csv").read_text() == "keep"
    assert (tmp_path / "table.md").read_text(encoding="utf-8").startswith("# Comparison")
    assert not [p for p in tmp_path.rglob("*") if "partial" in p.name]


def test_a_failed_save_leaves_no_half_file(table, tmp_path, monkeypatch):
    table.save(tmp_path, plots=False)
    before = (tmp_path / "metrics.csv").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output, "_write", full)
    with pytest.raises(OutputError, match="No space left"):
        table.save(tmp_path, plots=False)
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert not [p for p in tmp_path.rglob("*") if "partial" in p.name]


def test_a_folder_that_cannot_be_is_named(table, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"cannot write .*file"):
            table.save(folder)
    with pytest.raises(OutputError, match="cannot write into"):
        make_folder(f"{tmp_path}/{'x' * 300}")
    for folder in (None, "", 3):
        with pytest.raises(OutputError, match="not the name of a folder"):
            table.save(folder)


def test_awkward_names_make_files_that_differ():
    stems = file_stems(["Kelly", "kelly", "a/b", "a:b", "../../etc", "con", "?", "凯利", "x" * 300, " . "])
    assert stems[:5] == ["Kelly", "kelly-2", "a-b", "a-b-2", "etc"]
    assert stems[5:8] == ["_con", "strategy", "凯利"]
    assert stems[8] == "x" * 40
    assert stems[9] == "strategy-2"


@given(st.lists(st.text(min_size=1), unique=True))
def test_any_names_make_safe_files_that_differ(names):
    stems = file_stems(names)
    assert len(stems) == len(names)
    assert len({stem.casefold() for stem in stems}) == len(stems)
    for stem in stems:
        assert stem.strip(". ") == stem
        assert stem
        assert not set(stem) & set('/\\:*?"<>|\0\n')
        assert len(stem.encode()) < 200


def test_results_of_one_s_own_make_a_comparison(table):
    own = Comparison({"mine": table["Kelly"], "theirs": table["1/N"]})
    assert list(own.metrics.columns) == ["mine", "theirs"]
    assert own.caption.startswith("Test 2018-01-02 to 2018-03-29, 60 steps")
    with pytest.raises(PortfolioError, match="no strategy"):
        Comparison({})


def test_terms_that_differ_are_left_out_of_the_caption(split):
    one, two = (compare({"1/N": Uniform()}, *split, reopt_freq=k)["1/N"] for k in (1, 5))
    assert "re-optimised" not in Comparison({"a": one, "b": two}).caption
    costs = compare({"1/N": Uniform()}, *split, cost={"commission": 10, "slippage": 5}, window=50, reopt_freq=30)
    assert "costs in bps: commission 10, slippage 5;" in costs.caption
    assert costs.caption.endswith("window 50")
