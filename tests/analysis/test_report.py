"""Reports: the numbers add up, text and HTML show them, and nothing in a name becomes markup."""

from __future__ import annotations

import base64
import html
import importlib.util
import pickle
import re
import sys
import warnings
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from opeslike.accounting.overlays import DrawdownScaling
from opeslike.analysis import interactive, metrics_table, relative_metrics, summary
from opeslike.analysis.record import Record
from opeslike.analysis.report import ComparisonReport, Report
from opeslike.backtester import Backtester
from opeslike.errors import DataError, OutputError, PortfolioError, RuinWarning
from opeslike.objectives import Kelly, Uniform
from opeslike.strategies import DynamicKelly, Sized, TimeSeriesMomentum
from opeslike.studies import compare

TICKERS = ["AAA", "A&B", "<script>alert(1)</script>", "$x$"]


def market(steps=360, seed=3, tickers=TICKERS, dates=True):
    rng = np.random.default_rng(seed)
    moves = rng.normal(4e-4, 0.015, (steps, len(tickers))) + rng.normal(0, 0.008, (steps, 1))
    prices = 50 * np.exp(np.cumsum(moves, axis=0))
    index = pd.bdate_range("2019-01-02", periods=steps) if dates else pd.RangeIndex(steps)
    return pd.DataFrame(prices, index=index, columns=list(tickers))


class LongShort:
    """Rides the last month's move of each asset on either side, levered."""

    def optimize(self, data):
        values = np.asarray(data)
        moved = values[-1] / values[-20] - 1
        return 1.3 * moved / np.abs(moved).sum()


@pytest.fixture(scope="module")
def prices():
    return market()


@pytest.fixture(scope="module")
def tester(prices):
    return Backtester(
        prices[:100], prices[100:], cost={"commission": 10, "slippage": 5}, initial_capital=250_000.0,
        risk_free=0.03, borrow_spread=0.01, short_fee=0.005,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(tester):
    return tester.backtest(LongShort(), reopt_freq=7, rebalance_freq=7)


@pytest.fixture(scope="module")
def report(result, prices):
    return result.report(benchmark=prices["AAA"].rename("A & <b>"))


@pytest.fixture(scope="module")
def page(report):
    return report.to_html()


@pytest.fixture(scope="module")
def touched(report):
    pytest.importorskip("plotly", reason="the extra plot is not installed")
    return report.to_html(interactive=True)


class Reader(HTMLParser):
    """Tags, attributes and text of a page; complains about tags that do not close."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


class TestNumbers:
    def test_contributions_and_financing_add_up_to_wealth(self, report, result):
        table = report["contributions"]
        parts = table.drop(index="total")
        change = result["wealth"][-1] / 250_000 - 1
        assert parts["contribution"].sum() == pytest.approx(change, abs=1e-10)
        assert parts["profit"].sum() == pytest.approx(result["wealth"][-1] - 250_000, rel=1e-10, abs=1e-10 * 250_000)
        assert table.loc["total", "contribution"] == pytest.approx(change, abs=1e-10)
        years = len(result.returns) / 252
        assert parts["annual_contribution"].sum() == pytest.approx((1 + change) ** (1 / years) - 1, abs=1e-10)

    def test_contributions_agree_with_the_money_of_the_ledger(self, report, result):
        table = report["contributions"]
        for name, amount in result.contributions.sum().items():
            if name in table.index:
                assert table.loc[name, "profit"] == pytest.approx(amount, abs=1e-5)

    def test_turnover_by_asset_adds_up(self, report, result):
        turnover = report["contributions"]["turnover"]
        assert turnover["total"] == pytest.approx(result.turnover.sum() * 252 / len(result.returns))
        assert turnover[list(result.assets)].sum() == pytest.approx(turnover["total"])
        assert turnover["A&B"] == pytest.approx(result.traded["A&B"].abs().mean() * 252)
        assert turnover[["costs", "cash and financing"]].isna().all()

    def test_trades_add_up_to_the_change_in_wealth_less_financing_to_the_cent(self, report, result):
        accounts = report["accounts"]["money"]
        assert accounts["trades' profits"] == pytest.approx(result.trades["profit"].sum())
        assert abs(accounts["change in wealth"] - accounts["cash and financing"] - accounts["trades' profits"]) < 0.005
        assert abs(accounts["change less financing and trades' profits"]) < 0.005
        assert abs(accounts["change not explained by the rows above"]) < 250_000 * 1e-10
        assert accounts["change in wealth"] == result["wealth"][-1] - 250_000
        assert accounts["cash and financing"] != 0
        assert accounts["costs"] == pytest.approx(-result.trades["cost"].sum())

    def test_headline_is_the_summary(self, report, result):
        figures = summary(result.returns, 0.03, 252, exposure=result.weights, start=result.start)
        own = report.to_frame()[result.strategy]
        for key in ("total_return", "annual_return", "sharpe", "max_drawdown", "max_drawdown_peak", "average_gross"):
            assert own[key] == figures[key]
        assert own["final_wealth"] == pytest.approx(result["wealth"][-1])

    def test_relative_figures(self, report, result, prices):
        bench = prices["AAA"].pct_change().loc[result.timeline]
        expected = relative_metrics(result.returns, bench, 0.03, 252)
        table = report["relative"].iloc[:, 0]
        assert set(table.index) >= {"tracking_error", "information_ratio", "alpha", "beta", "up_capture"}
        pd.testing.assert_series_equal(table, expected[table.index], check_names=False)

    def test_figures_of_the_benchmark_are_named_like_ours(self, report):
        rows = {name for name, _ in report._tables["trailing"].rows}
        assert {"Sharpe (annual)", "Benchmark Sharpe (annual)"} <= rows
        assert {"Annual return (compound)", "Benchmark annual return (compound)"} <= rows

    def test_trailing_rows(self, report, result):
        table = report["trailing"]
        assert list(table.columns) == ["1m", "3m", "6m", "12m", "all"]
        last = result.returns[result.timeline > result.timeline[-1] - pd.DateOffset(months=3)]
        assert table.loc["total_return", "3m"] == pytest.approx((1 + last).prod() - 1)

    def test_trades(self, report, result):
        assert report["trades"]["all"].to_dict() == pytest.approx(result.trade_summary(), nan_ok=True)
        assert len(report["last_trades"]) == 10
        largest = report["largest_trades"]["profit"]
        assert largest.iloc[0] == result.trades["profit"].max()
        assert largest.iloc[-1] == result.trades["profit"].min()

    def test_certificates(self, prices):
        run = Backtester(prices[:100], prices[100:]).backtest(Kelly(), reopt_freq=40)
        facts = run.report()["certificates"]["value"]
        assert facts["Optimisations"] == str(len(run.solutions)) == "7"
        assert facts["Statuses"] == "optimal (7)"
        assert float(facts["Worst gap per step"]) == pytest.approx(run.max_gap, rel=0.1)


class TestBenchmark:
    def test_prices_returns_and_a_name_say_the_same(self, result, prices):
        frames = [
            result.report(benchmark=given)["relative"]
            for given in (prices["AAA"], prices["AAA"].pct_change(), prices[["AAA"]], "AAA")
        ]
        frames.append(result.report(prices["AAA"].to_numpy()[-len(result.returns) - 1 :])["relative"])
        frames.append(result.report(prices["AAA"].pct_change().to_numpy()[-len(result.returns) :])["relative"])
        for frame in frames[1:]:
            np.testing.assert_allclose(frame.to_numpy(), frames[0].to_numpy(), rtol=1e-9)

    def test_a_missing_date_is_named(self, result, prices):
        gone = result.timeline[7]
        with pytest.raises(DataError, match=rf"prices: no finite value on {gone.date()}"):
            result.report(prices["AAA"].drop(gone))

    def test_what_cannot_be_a_benchmark(self, result, prices):
        with pytest.raises(PortfolioError, match="no asset"):
            result.report("ZZZ")
        with pytest.raises(DataError, match="one column"):
            result.report(prices)
        with pytest.raises(DataError, match="values for"):
            result.report(prices["AAA"].to_numpy()[:50])
        with pytest.raises(DataError, match="time zone"):
            result.report(prices["AAA"].tz_localize("UTC"))
        with pytest.raises(PortfolioError, match="kind"):
            result.report(prices["AAA"], kind="yields")


class TestText:
    def test_every_table_is_printed(self, report):
        text = str(report)
        for title in ("Headline figures", "Against the benchmark", "Monthly returns", "Trailing", "Contributions"):
            assert title in text
        for title in ("Trades", "Costs and financing", "Settings", "Certificates", "Last trades"):
            assert f"\n{title}\n" in text
        assert f"{100 * report.to_frame().iloc[0, 0]:,.2f}%" in text
        assert "<script>alert(1)</script>" in text
        assert max(map(len, text.splitlines())) < 140
        assert "\nLinked by the path of wealth: a step's contribution counts" in text

    def test_all_trades_are_raw_and_folded(self, report, result, page):
        pd.testing.assert_frame_equal(report["all_trades"], result.trades)
        assert len(result.trades) > 10
        title = f"All trades: {len(result.trades)}"
        assert title not in str(report)
        assert f"<summary>{title}</summary>" in page

    def test_of_many_trades_the_last_are_listed(self, result, monkeypatch):
        monkeypatch.setattr("opeslike.analysis.report_tables.MOST_TRADES", 12)
        many = result.report()
        listed = many._tables["all_trades"]
        assert len(listed.rows) == 12
        assert listed.title == f"All trades: the last 12 of {len(result.trades)}"
        pd.testing.assert_frame_equal(many["all_trades"], result.trades)

    @pytest.mark.parametrize(("periods", "said"), [(252, False), (260, False), (365, True), (52, True)])
    def test_a_year_that_is_not_that_of_the_dates_is_told(self, prices, periods, said):
        run = Backtester(prices[:100], prices[100:], periods_per_year=periods).backtest(Uniform(), reopt_freq=50)
        note = f"Annual figures take {periods} steps for a year, but the dates have about 261"
        assert (note in " ".join(str(run.report()).split())) == said

    def test_names_of_tables(self, report):
        assert list(report)[:3] == ["headline", "drawdowns", "monthly"]
        assert len(report) == 15
        with pytest.raises(PortfolioError, match="no table 'nothing'; it has headline"):
            report.to_frame("nothing")

    def test_frames_are_copies(self, report):
        frame = report["trades"]
        frame.loc["trades", "all"] = -1.0
        assert report["trades"].iloc[0, 0] > 0


class TestHtml:
    def test_names_are_text(self, page, report):
        read = Reader(page)
        assert "script" not in read.tags
        assert "b" not in read.tags
        assert "<script>alert(1)</script>" in read.texts
        assert "A&B" in read.texts
        assert "A & <b>" in read.texts
        assert html.escape("A&B") in page

    def test_a_title_is_text(self, result):
        title = '"><img src=x onerror=alert(1)> & {{ 7919 * 7919 }}'
        read = Reader(result.report(title=title).to_html())
        assert title in read.texts
        assert "62710561" not in "".join(read.texts)
        assert ("img", "src", "x") not in read.attributes

    def test_nothing_is_fetched(self, page):
        read = Reader(page)
        for _, name, value in read.attributes:
            if name in ("src", "href"):
                assert value.startswith(("data:image/svg+xml;base64,", "#")), value[:60]
        assert "link" not in read.tags
        assert "iframe" not in read.tags
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
        assert "url(" not in style
        assert "@import" not in style
        for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 520px"):
            assert rule in style

    def test_names_in_charts_are_literal(self, report):
        names = [text.get_text() for text in report.figures["weights"].legends[0].get_texts()]
        # An escaped dollar sign is drawn as such; two backslashes would show.
        assert r"\$x\$" in names
        assert "A&B" in names

    @pytest.mark.parametrize("name", ["W" * 44, "Half Kelly, capped at 2, drawdown 10/20%", "i", "Quarter Kelly"])
    def test_legends_stay_within_their_chart(self, result, prices, name):
        report = Report(result, prices["AAA"].rename(name[::-1]), name=name)
        for key, figure in report.figures.items():
            figure.canvas.draw()
            for box in figure.legends:
                inside = box.get_window_extent()
                assert inside.x1 <= figure.bbox.x1, key
                assert inside.y1 <= figure.axes[0].bbox.y0, key

    def test_pictures_turn_in_the_dark(self, page):
        picture = next(value for tag, name, value in Reader(page).attributes if (tag, name) == ("img", "src"))
        drawn = base64.b64decode(picture.partition(",")[2]).decode()
        (dark,) = re.findall(r"@media \(prefers-color-scheme:dark\)\{(.*?\})\}", drawn)
        turned = dict(re.findall(r'\[style\*="stroke: (#\w+)"\]\{stroke:(#\w+)!important\}', dark))
        used = set(re.findall(r"stroke: (#\w+)", drawn.replace(dark, "")))
        assert {"#0072b2", "#000000"} <= used <= set(turned)
        assert turned["#000000"] == "#e6e9ec"
        assert "fill: #ffffff" not in drawn.replace(dark, "")  # no white paper below the chart

    def test_charts_are_inside(self, page, report):
        images = [value for tag, name, value in Reader(page).attributes if (tag, name) == ("img", "src")]
        assert len(images) == len(set(images)) == len(report.figures) == 8
        assert set(report.figures) == {
            *("wealth", "drawdown", "sharpe", "volatility", "weights", "exposure", "contributions", "turnover")
        }

    def test_written_whole(self, report, page, tmp_path):
        path = tmp_path / "report.html"
        assert report.to_html(path) == path
        assert path.read_text(encoding="utf-8") == page
        assert [found.name for found in tmp_path.iterdir()] == ["report.html"]
        with pytest.raises(OutputError, match="create it first"):
            report.to_html(tmp_path / "nowhere" / "report.html")


class TestInteractive:
    def test_one_file_that_fetches_nothing(self, touched, report):
        script = re.search(r"<script>.*?</script>", touched, re.DOTALL)[0]
        assert len(script) > 1e6  # plotly.js itself
        rest = touched.replace(script, "")
        assert not re.search(r"""(src|href)=["'](?!#)""", rest)
        assert "http" not in rest.replace("http-equiv", "")
        assert rest.count("Plotly.newPlot(") == len(report.figures) == 8

    def test_names_are_text(self, touched, report):
        rest = re.sub(r"<script>.*?</script>", "", touched, count=1, flags=re.DOTALL)
        assert "<script>alert(1)" not in rest
        assert re.search(r"A (&amp;|\\u0026amp;) (&lt;|\\u0026lt;)b", rest)

    def test_traces_are_those_of_the_pictures(self, report):
        pytest.importorskip("plotly", reason="the extra plot is not installed")
        for key, chart in report._charts.items():
            traces = [each for trace in chart.traces for each in interactive._traces(chart, trace)]
            assert len({each.get("name") for each in traces}) == len(chart.traces), key
            if key == "weights":  # long and short sides are two areas that the legend takes for one
                total = sum(np.asarray(each["y"]) for each in traces)
                np.testing.assert_allclose(total, sum(trace.y for trace in chart.traces))
                assert sum(each["showlegend"] for each in traces) == len(chart.traces) < len(traces)

    def test_the_drawdown_table_is_beside_its_chart(self, touched):
        pair = touched[touched.index('<div class="blocks pair">') :]
        assert pair.index("Drawdown</figcaption>") < pair.index("Deepest drawdowns</h3>") < pair.index("Rolling Sharpe")
        assert touched.count("Deepest drawdowns</h3>") == 1

    def test_comparison(self, table):
        pytest.importorskip("plotly", reason="the extra plot is not installed")
        assert table.report("AAA").to_html(interactive=True).count("Plotly.newPlot(") >= 4 + 2 * 3

    def test_without_plotly(self, report, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "plotly.offline", None)
        with pytest.raises(OutputError, match=r"opeslike\[plot\]"):
            report.to_html(tmp_path / "report.html", interactive=True)
        assert list(tmp_path.iterdir()) == []


class TestNotebooks:
    @pytest.mark.parametrize("what", ["result", "report", "comparison"])
    def test_shown_as_html(self, what, request):
        shown = request.getfixturevalue("table").report() if what == "comparison" else request.getfixturevalue(what)
        text = shown._repr_html_()
        read = Reader(text)
        assert read.tags[:2] == ["div", "style"]
        assert not {"html", "body", "script", "b"} & set(read.tags)
        assert sum(tag == "img" for tag in read.tags) == {"result": 2, "report": 8, "comparison": 4 + 2 * 3}[what]
        # Nothing of the page leaks into the notebook: every rule is about what is inside.
        style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
        style = re.sub(r"\[.*?\]", "", style)  # what is in brackets may hold commas of its own
        rules = [line.split("{")[0].strip() for line in style.splitlines() if "{" in line]
        assert all(part.strip().startswith(".opeslike") for rule in rules if rule[0] != "@" for part in rule.split(","))

    def test_plain_text(self, result, report):
        assert repr(result) == "BacktestResult(LongShort, 2019-05-23..2020-05-19, 259 steps, wealth 250000 -> 233958)"
        assert repr(report) == (
            "Report('LongShort', 2019-05-22 to 2020-05-19, 259 steps, 4 assets, 250,000 to begin with, against A & <b>)"
        )


class TestOnce:
    """Every figure of a path is worked out once, however many tables and charts show it."""

    @pytest.fixture
    def paths(self, monkeypatch):
        found = Counter()

        def count(name):
            computed = Record.__dict__[name]
            plain = computed.func

            def counted(path):
                found[name, path.values.tobytes()] += 1
                return plain(path)

            monkeypatch.setattr(computed, "func", counted)

        count("wealth")
        count("drawdowns")
        cumprod = np.cumprod
        monkeypatch.setattr(np, "cumprod", lambda *args, **kw: (found.update(["cumprod"]), cumprod(*args, **kw))[1])
        return found

    def test_in_a_report(self, result, paths):
        report = result.report(benchmark="AAA")
        report.to_html()
        str(report)
        # Strategy and benchmark, over all and the last 1, 3 and 6 months; nobody else compounds returns.
        assert paths.pop("cumprod") == sum(name == "wealth" for name, _ in paths) == 8
        assert sum(name == "drawdowns" for name, _ in paths) == 8
        assert set(paths.values()) == {1}

    def test_in_a_comparison(self, table, paths):
        overview = table.metrics
        paths.clear()
        ComparisonReport(dict(table), overview, "AAA").to_html()
        assert paths.pop("cumprod") == sum(name == "wealth" for name, _ in paths) == 12
        assert set(paths.values()) == {1}


class TestOddRuns:
    def test_without_dates(self):
        data = market(dates=False).to_numpy()
        report = Backtester(data[:100], data[100:]).backtest(Uniform()).report()
        assert "monthly" not in report
        assert "trailing" not in report
        Reader(report.to_html())
        assert "Settings" in str(report)

    @pytest.mark.parametrize("steps", [1, 2, 3, 5])
    def test_very_short(self, steps, prices):
        report = Backtester(prices[:100], prices[100 : 101 + steps]).backtest(Uniform()).report("AAA")
        Reader(report.to_html())
        assert "Costs and financing" in str(report)

    def test_nothing_held(self, prices):
        class Nothing:
            def optimize(self, data):
                return np.zeros(4)

        report = Backtester(prices[:100], prices[100:]).backtest(Nothing()).report()
        assert "largest_trades" not in report
        Reader(report.to_html())
        assert "Trades" in str(report)

    @pytest.mark.filterwarnings("ignore::opeslike.errors.RuinWarning")
    def test_ruin(self, prices):
        class Reckless:
            def optimize(self, data):
                return np.array([30.0, 0.0, -20.0, 0.0])

        run = Backtester(prices[:100], prices[100:], initial_capital=1e4).backtest(Reckless())
        assert run.ruin_date is not None
        report = run.report("AAA")
        accounts = report["accounts"]["money"]
        assert accounts["change in wealth"] == -1e4
        assert accounts["lender's loss"] == pytest.approx(run.lender_loss)
        assert abs(accounts["change not explained by the rows above"]) < 1e-6
        assert abs(accounts["change less financing and trades' profits"]) < 0.005
        assert report["contributions"].loc["total", "contribution"] == pytest.approx(-1, abs=1e-10)
        assert "lost everything" in str(report)
        Reader(report.to_html())

    def test_a_result_can_be_pickled_and_still_reports(self, tester):
        run = tester.backtest(Uniform(), reopt_freq=50)
        again = pickle.loads(pickle.dumps(run))
        assert str(again.report()) == str(run.report())

    def test_rates_by_date(self, prices):
        rates = pd.Series(np.linspace(0.01, 0.05, len(prices)), index=prices.index)
        run = Backtester(prices[:100], prices[100:], risk_free=rates).backtest(Uniform())
        own = run.report().to_frame().iloc[:, 0]
        assert own["sharpe"] == summary(run.returns, rates)["sharpe"]

    def test_selection_sizer_and_overlay(self, tester, prices):
        strategy = Sized(TimeSeriesMomentum(lookback=40), DynamicKelly(kelly_fraction=0.5, max_leverage=2.0))
        run = tester.backtest(strategy, reopt_freq=7, rebalance_freq=7, overlays=[DrawdownScaling(soft=0.1, hard=0.3)])
        report = run.report(benchmark="AAA")
        assert abs(report["accounts"].loc["change less financing and trades' profits", "money"]) < 0.005
        assert "DrawdownScaling" in report["settings"].loc["overlays", "value"]
        assert report.title == run.strategy == "TimeSeriesMomentum, DynamicKelly"

    def test_many_assets_are_summed_in_print_and_complete_in_numbers(self):
        many = market(steps=120, tickers=[f"T{i}" for i in range(40)])
        report = Backtester(many[:60], many[60:], initial_capital=1e4).backtest(Uniform(), reopt_freq=20).report()
        assert len(report["contributions"]) == 43
        text = str(report)
        assert "11 others" in text
        largest = report["contributions"]["contribution"].iloc[:40].abs().idxmax()
        assert f"\n{largest} " in text
        table = report._tables["contributions"].shown
        assert table["profit"].drop("total").sum() == pytest.approx(table.loc["total", "profit"], abs=1e-6)

    @pytest.mark.parametrize(("count", "last"), [(9, "T8"), (10, "2 others")])
    def test_one_asset_too_many_is_shown_by_its_name(self, count, last):
        data = market(steps=80, tickers=[f"T{i}" for i in range(count)])
        weights = np.linspace(0.2, 0.02, count)

        class Falling:
            def optimize(self, data):
                return weights / weights.sum()

        report = Backtester(data[:60], data[60:]).backtest(Falling()).report()
        names = [text.get_text() for text in report.figures["weights"].legends[0].get_texts()]
        assert last in names
        assert "1 others" not in names

    def test_bad_title(self, result):
        with pytest.raises(PortfolioError, match="title"):
            result.report(title="  ")


@pytest.fixture(scope="module")
def table(prices):
    strategies = {"Kelly <half>": Kelly(0.5), "1/N & more": Uniform()}
    return compare(strategies, prices[:100], prices[100:], reopt_freq=20, risk_free=0.02)


class TestComparison:
    def test_overview_and_parts(self, table):
        report = table.report(benchmark="AAA", title="Two & <b>")
        assert isinstance(report, ComparisonReport)
        assert isinstance(report.reports["1/N & more"], Report)
        pd.testing.assert_frame_equal(report.to_frame(), table.metrics)
        bench = table["1/N & more"].asset_returns["AAA"]
        expected = relative_metrics(table["1/N & more"].returns, bench, 0.02)
        assert report.to_frame("relative")["1/N & more"]["beta"] == expected["beta"]
        assert "AAA" in report.to_frame("trailing").index
        text = str(report)
        assert "1/N & more" in text
        assert "Settings shared by all" in text
        read = Reader(report.to_html())
        assert "Two & <b>" in read.texts
        assert {"Kelly <half>", "1/N & more", "<script>alert(1)</script>"} <= set(read.texts)
        assert sum(tag == "img" for tag in read.tags) == 4 + 2 * 3

    def test_the_deepest_drawdown_of_each(self, table):
        report = table.report()
        frame = report.to_frame("drawdowns")
        assert list(frame.index) == list(table)
        for name, result in table.items():
            assert frame.loc[name, "depth"] == summary(result.returns)["max_drawdown"]
            assert frame.loc[name, "trough"] == summary(result.returns, start=result.start)["max_drawdown_trough"]
        assert str(report).count("Deepest drawdown of each") == 1
        assert report.to_html().count("<h3>Deepest drawdowns</h3>") == len(table)

    @pytest.mark.parametrize("count", [2, 9, 15])
    def test_no_two_series_share_a_colour(self, tester, count):
        run = tester.backtest(Uniform(), reopt_freq=100)
        names = [f"s{i}" for i in range(count)]
        overview = metrics_table(dict.fromkeys(names, run.returns))
        report = ComparisonReport(dict.fromkeys(names, run), overview, "AAA")
        for key, figure in report.figures.items():
            lines = figure.axes[0].get_lines()[: count + 1]
            assert len({line.get_color() for line in lines}) == count + 1, key
            assert lines[-1].get_color() == "black"

    def test_a_strategy_named_like_its_benchmark(self, tester):
        run = tester.backtest(Uniform(), reopt_freq=100)
        report = ComparisonReport({"AAA": run, "B": run}, metrics_table({"AAA": run.returns, "B": run.returns}), "AAA")
        assert list(report.to_frame("trailing").index) == ["AAA", "B", "AAA (benchmark)"]
        assert list(report.reports["AAA"]["headline"].columns) == ["AAA", "AAA (benchmark)"]

    @pytest.mark.parametrize(
        ("capital", "pattern"),
        [(1.0, r"\d\.\d{4}"), (1e5, r"\d+,\d{3}\.\d\d"), (1e7, r"\d+,\d{3},\d{3}"), (5e9, r"\d,\d{3}\.\d{3}M")],
    )
    def test_money_in_the_unit_of_the_account(self, prices, capital, pattern):
        run = Backtester(prices[:100], prices[100:130], initial_capital=capital).backtest(Uniform())
        shown = dict(run.report()._tables["headline"].rows)["Final wealth"][0]
        assert re.fullmatch(pattern, shown), shown
        scale = 1e6 if shown.endswith("M") else 1.0
        assert float(shown.rstrip("M").replace(",", "")) * scale == pytest.approx(run["wealth"][-1], rel=1e-4)

    def test_without_benchmark(self, table):
        report = table.report()
        Reader(report.to_html())
        with pytest.raises(PortfolioError, match="no table 'relative'"):
            report.to_frame("relative")


def test_ruin_warns_once_more_nothing(prices):
    """The report of a ruined run raises no warning of its own (warnings are errors here)."""

    class Reckless:
        def optimize(self, data):
            return np.array([30.0, 0.0, -20.0, 0.0])

    with pytest.warns(RuinWarning):
        run = Backtester(prices[:100], prices[100:]).backtest(Reckless())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.report().to_html()


@pytest.mark.skipif(importlib.util.find_spec("quantstats") is None, reason="quantstats is not installed")
@pytest.mark.filterwarnings("ignore")
def test_quantstats_takes_the_returns(result, prices):
    """Returns leave as a plain dated Series: the same figures come out of another package."""
    import quantstats as qs

    returns = result.returns
    assert type(returns) is pd.Series
    assert returns.dtype == np.float64
    own = summary(returns, 0.0, 252)
    assert qs.stats.comp(returns) == pytest.approx(own["total_return"])
    assert qs.stats.sharpe(returns, periods=252) == pytest.approx(own["sharpe"])
    assert qs.stats.volatility(returns, periods=252) == pytest.approx(own["annual_volatility"])
    assert -qs.stats.max_drawdown(returns) == pytest.approx(own["max_drawdown"])
    bench = prices["AAA"].pct_change().loc[returns.index]
    greeks = qs.stats.greeks(returns, bench, periods=252)
    relative = relative_metrics(returns, bench, 0.0, 252)
    assert greeks["beta"] == pytest.approx(relative["beta"])
    assert greeks["alpha"] == pytest.approx(relative["alpha"])
