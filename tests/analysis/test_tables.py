"""The table of strategies and its text."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import tabulate

from opeslike.analysis import StrategyRun, metrics, metrics_table, render
from opeslike.analysis.tables import GAP, cells
from opeslike.errors import DataError, PortfolioError


@pytest.fixture
def runs(returns, benchmark, ruined):
    size = returns.size
    return {
        "Kelly": StrategyRun(returns, gap=3.14e-11, turnover=np.full(size, 0.01), costs=np.full(size, 2e-5)),
        "REPO": StrategyRun(benchmark, gap="heuristic"),
        "Bust": StrategyRun(ruined),
    }


def test_figures_are_those_of_metrics(returns, benchmark):
    table = metrics_table({"a": returns, "b": benchmark}, periods_per_year=250, risk_free=0.02)
    column = table["b"]
    assert column["Annual return %"] == pytest.approx(100 * metrics.annual_return(benchmark, 250))
    assert column["Annual growth (log) %"] == pytest.approx(100 * metrics.annual_growth(benchmark, 250))
    assert column["Annual volatility %"] == pytest.approx(100 * metrics.annual_volatility(benchmark, 250))
    assert column["Sharpe (annual)"] == pytest.approx(metrics.sharpe_ratio(benchmark, 0.02, 250))
    assert column["Sortino (annual)"] == pytest.approx(metrics.sortino_ratio(benchmark, 0.02, 250))
    assert column["Calmar"] == pytest.approx(metrics.calmar_ratio(benchmark, 250))
    assert column["Max drawdown %"] == pytest.approx(100 * metrics.max_drawdown(benchmark))
    assert column["CVaR 95 per period %"] == pytest.approx(100 * metrics.conditional_value_at_risk(benchmark))
    assert column["Total return %"] == pytest.approx(100 * metrics.total_return(benchmark))
    assert column["Final wealth"] == pytest.approx(1 + metrics.total_return(benchmark))
    assert [str(dtype) for dtype in table.dtypes] == ["float64", "float64"]


def test_bare_returns_have_no_rows_for_what_is_unknown(returns):
    table = metrics_table({"a": returns})
    assert not {"Annual turnover", "Annual costs %", GAP} & set(table.index)
    assert table.equals(metrics_table(returns.to_frame("a")))


def test_gap_turnover_and_costs(runs):
    table = metrics_table(runs)
    assert table.loc[GAP].tolist()[:2] == [3.14e-11, math.inf]
    assert math.isnan(table.loc[GAP, "Bust"])
    assert table.loc["Annual turnover", "Kelly"] == pytest.approx(2.52)
    assert table.loc["Annual costs %", "Kelly"] == pytest.approx(0.504)
    text = cells(table)
    assert text.loc[GAP].tolist() == ["3.1e-11", "heuristic", "-"]
    assert text.loc["Annual turnover"].tolist() == ["2.52", "-", "-"]
    assert text.loc["Annual return %", "Bust"] == "-100.00"
    assert text.loc["Annual growth (log) %", "Bust"] == "-inf"


def test_a_loss_too_small_to_show_is_not_minus_zero():
    table = pd.DataFrame({"a": [-1e-9]}, index=["Annual return %"])
    assert cells(table).iloc[0, 0] == "0.00"


def test_unknown_rows_and_text(returns):
    frame = pd.DataFrame({"a": [1234.5678, "text", None]}, index=["x", "y", "z"])
    assert cells(frame)["a"].tolist() == ["1,235", "text", "-"]
    assert cells(frame, {"x": ".1f"})["a"].iloc[0] == "1234.6"


def test_errors_name_the_strategy(returns):
    broken = returns.copy()
    broken.iloc[5] = np.nan
    with pytest.raises(DataError, match=rf"'Half'.*{returns.index[5].date()}"):
        metrics_table({"Full": returns, "Half": broken})
    with pytest.raises(DataError, match="costs of 'Full'"):
        metrics_table({"Full": StrategyRun(returns, costs=[0.1])})
    with pytest.raises(PortfolioError, match="gap of 'Full'"):
        metrics_table({"Full": StrategyRun(returns, gap="unknown")})
    with pytest.raises(PortfolioError, match="no strategy"):
        metrics_table({})


class TestRender:
    def test_simple(self, runs):
        lines = render(metrics_table(runs)).splitlines()
        assert len({len(line) for line in lines[2:]}) == 1
        assert lines[0].split() == ["Kelly", "REPO", "Bust"]
        gap = next(line for line in lines if line.startswith(GAP))
        assert gap.split()[-3:] == ["3.1e-11", "heuristic", "-"]
        assert max(map(len, lines)) < 80

    @pytest.mark.parametrize("tablefmt", tabulate.tabulate_formats)
    def test_every_format(self, runs, tablefmt):
        text = render(metrics_table(runs), tablefmt)
        for word in ("Kelly", "REPO", "Calmar", "heuristic"):
            assert word in text

    def test_unknown_format_lists_the_known(self, runs):
        with pytest.raises(PortfolioError, match=r"'fancy'.*github.*latex"):
            render(metrics_table(runs), "fancy")

    def test_many_strategies_become_rows(self, returns):
        def headed(count):
            return render(metrics_table({f"s{i}": returns for i in range(count)})).splitlines()

        assert "s7" in headed(8)[0]
        assert headed(9)[-1].startswith("s8")
        wide = metrics_table({f"s{i}": returns for i in range(9)})
        assert "s8" in render(wide, transpose=False).splitlines()[0]

    def test_eight_default_names_fit_a_wide_terminal(self, returns):
        names = ["Kelly", "Half Kelly", "Quarter Kelly", "KL-robust Kelly", "KL-robust half Kelly"]
        names += ["KL-robust quarter Kelly", "Mean-variance", "Uniform 1/N"]
        text = render(metrics_table({name: StrategyRun(returns, gap=1e-11) for name in names}))
        assert max(map(len, text.splitlines())) <= 120

    def test_markdown_stays_a_table(self, returns):
        text = render(metrics_table({"a|b and a rather long name": returns}), "github")
        header, rule, *rows = text.splitlines()
        assert "a\\|b and a rather long name" in header
        assert rule.startswith("|--")
        assert all(row.startswith("|") for row in rows)

    def test_html_is_escaped(self, returns):
        text = render(metrics_table({"<script>": returns}), "html")
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
