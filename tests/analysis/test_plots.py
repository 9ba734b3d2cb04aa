"""Charts: what is on them, where they are written, and what they leave alone."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeslike.analysis import drawing, metrics_table, plots
from opeslike.analysis.charts import LINE_COLOURS, look
from opeslike.analysis.drawing import log_ticks, plain, tick_labels
from opeslike.analysis.formats import money
from opeslike.analysis.output import write_atomically
from opeslike.errors import DataError, OutputError, PortfolioError
from opeslike.sizing import growth_curve

PNG = b"\x89PNG"


def labels(fig, axes=0):
    return [text.get_text() for text in fig.axes[axes].get_legend().get_texts()]


def drawn(fig):
    """Draw fully, so that every warning of layout and text shows (and fails)."""
    fig.canvas.draw()
    return fig


class TestWealth:
    def test_lines_are_wealth(self, returns, benchmark):
        fig = drawn(plots.plot_wealth({"a": returns, "b": benchmark}, initial_wealth=100.0))
        first, second, breakeven = fig.axes[0].get_lines()
        np.testing.assert_allclose(first.get_ydata(), 100 * (1 + returns).cumprod(), rtol=1e-12)
        assert (pd.DatetimeIndex(second.get_xdata()) == benchmark.index).all()
        assert list(breakeven.get_ydata()) == [100.0, 100.0]
        assert fig.axes[0].get_yscale() == "log"

    def test_legend_is_ordered_by_final_wealth(self, dates):
        rising, falling = pd.Series(0.001, index=dates), pd.Series(-0.001, index=dates)
        fig = plots.plot_wealth({"down": falling, "up": rising})
        assert labels(fig) == ["1.682  up", "0.5944  down", "breakeven"]

    def test_array_is_called_strategy_and_starts_at_step_zero(self, returns):
        fig = drawn(plots.plot_wealth(returns.to_numpy()))
        line = fig.axes[0].get_lines()[0]
        assert line.get_xdata()[0] == 0
        assert line.get_ydata()[0] == 1.0
        assert labels(fig)[0].endswith("Strategy")

    def test_timeline_of_strings(self):
        fig = drawn(plots.plot_wealth([0.1, 0.2], timeline=["2020-01-02", "2020-01-03"]))
        assert pd.Timestamp(fig.axes[0].get_lines()[0].get_xdata()[1]) == pd.Timestamp("2020-01-03")

    def test_start_is_where_lines_begin(self, returns):
        fig = plots.plot_wealth(returns, start="2017-12-29")
        line = fig.axes[0].get_lines()[0]
        assert pd.Timestamp(line.get_xdata()[0]) == pd.Timestamp("2017-12-29")
        assert line.get_ydata()[0] == 1.0
        with pytest.raises(PortfolioError, match="start"):
            plots.plot_wealth(returns, start="2018-01-02")

    def test_time_zones_are_dropped(self, returns):
        fig = drawn(plots.plot_wealth(returns.tz_localize("America/New_York")))
        assert pd.Timestamp(fig.axes[0].get_lines()[0].get_xdata()[0]) == returns.index[0]

    def test_line_stops_at_ruin(self, ruined):
        fig = drawn(plots.plot_wealth({"bust": ruined}))
        line, cross, _ = fig.axes[0].get_lines()
        assert len(line.get_ydata()) == 5
        assert cross.get_marker() == "X"
        assert labels(fig)[0] == f"0  bust (ruin {ruined.index[5].date()})"
        linear = drawn(plots.plot_wealth({"bust": ruined}, log=False))
        assert len(linear.axes[0].get_lines()[0].get_ydata()) == ruined.size

    @pytest.mark.parametrize("dated", [True, False])
    def test_ruin_in_the_first_step(self, dates, dated):
        values = np.array([-1.0, 0.0, 0.0])
        fig = drawn(plots.plot_wealth({"bust": pd.Series(values, index=dates[:3]) if dated else values}))
        assert "ruin" in labels(fig)[0]

    def test_flat_and_single_and_enormous(self):
        drawn(plots.plot_wealth({"flat": np.zeros(5)}))
        drawn(plots.plot_wealth({"one": np.array([0.1])}))
        drawn(plots.plot_wealth({"one": pd.Series([0.1], index=pd.to_datetime(["2020-01-02"]))}))
        drawn(plots.plot_wealth({"up": np.full(300, 1.0), "down": np.full(300, -0.5)}, initial_wealth=250_000))

    def test_names_are_literal(self, returns):
        fig = drawn(plots.plot_wealth({"$x^$": returns, "_hidden": returns, "a " * 60: returns}))
        texts = labels(fig)
        assert texts[0].endswith(r"\$x^\$")
        assert texts[1].endswith("_hidden")
        assert len(texts[2]) < 60

    def test_many_lines_are_all_different(self, returns):
        fig = drawn(plots.plot_wealth({f"s{i}": returns for i in range(30)}))
        looks = {(line.get_color(), str(line._dash_pattern)) for line in fig.axes[0].get_lines()[:30]}
        assert len(looks) == 30
        assert len({str(look(i)) for i in range(64)}) == 64
        assert len({look(i)["colour"] for i in range(16)}) == len(set(LINE_COLOURS)) == 16

    def test_on_axes_of_the_caller(self, returns):
        from matplotlib.figure import Figure

        fig = Figure()
        left, _ = fig.subplots(1, 2)
        assert plots.plot_wealth(returns, ax=left, title=None) is fig
        panel = Figure().subfigures(1, 2)[0]
        assert plots.plot_wealth(returns, ax=panel.subplots()) is panel.figure

    def test_zooming_relabels(self, returns):
        fig = drawn(plots.plot_wealth(returns))
        axes = fig.axes[0]
        axes.set_ylim(1, 1000)
        assert [text.get_text() for text in axes.get_yticklabels()] == [
            *("1", "2", "5", "10", "20", "50", "100", "200", "500", "1,000"),
        ]

    def test_mismatch_gives_both_numbers(self, returns, dates):
        with pytest.raises(PortfolioError, match=r"'b' has 7 returns, the timeline has 520"):
            plots.plot_wealth({"a": returns, "b": returns.iloc[:7]}, timeline=dates)

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"returns": {}}, "no strategy"),
            ({"returns": [0.1], "initial_wealth": -1}, "initial wealth"),
            ({"returns": [0.1, 0.1], "timeline": ["2020-01-02", "2020-01-01"]}, "2020-01-01"),
            ({"returns": [0.1, 0.1], "timeline": [2, 1]}, "rise"),
            ({"returns": [0.1, 0.1], "timeline": ["a", "b"]}, "dates"),
            ({"returns": [0.1], "savefig": "chart.xyz"}, "xyz.*png"),
        ],
    )
    def test_bad_parameters(self, kwargs, match):
        with pytest.raises(PortfolioError, match=match):
            plots.plot_wealth(**kwargs)

    def test_bad_returns_name_strategy_and_date(self, returns):
        returns.iloc[3] = np.nan
        with pytest.raises(DataError, match=rf"'Kelly'.*{returns.index[3].date()}"):
            plots.plot_wealth({"Kelly": returns})

    def test_dated_and_undated_do_not_mix(self, returns):
        with pytest.raises(PortfolioError, match="pass a timeline"):
            plots.plot_wealth({"a": returns, "b": returns.to_numpy()})


class TestFiles:
    def test_path(self, returns, tmp_path):
        plots.plot_wealth(returns, savefig=tmp_path / "chart")
        assert (tmp_path / "chart.png").read_bytes().startswith(PNG)
        plots.plot_wealth(returns, savefig=str(tmp_path / "chart.svg"))
        assert b"<svg" in (tmp_path / "chart.svg").read_bytes()
        assert sorted(os.listdir(tmp_path)) == ["chart.png", "chart.svg"]

    def test_true_makes_a_name(self, returns, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        plots.plot_wealth(returns, savefig=True)
        (name,) = os.listdir(tmp_path)
        assert name.startswith("plot_")
        assert name.endswith(".png")

    def test_missing_folder(self, returns, tmp_path):
        with pytest.raises(OutputError, match="not a folder"):
            plots.plot_wealth(returns, savefig=tmp_path / "no" / "chart.png")

    def test_folder_that_is_a_file(self, returns, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(OutputError, match="not a folder"):
            plots.plot_wealth(returns, savefig=tmp_path / "file" / "chart.png")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_folder_without_permission(self, returns, tmp_path):
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(OutputError, match="cannot write"):
                plots.plot_wealth(returns, savefig=tmp_path / "chart.png")
        finally:
            tmp_path.chmod(0o700)

    def test_failure_leaves_the_old_file_and_no_other(self, tmp_path, monkeypatch):
        target = tmp_path / "file.txt"
        target.write_text("old")

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OutputError, match="No space left"):
            write_atomically(target, "new")
        assert os.listdir(tmp_path) == ["file.txt"]
        assert target.read_text() == "old"


class TestOtherCharts:
    def test_drawdowns(self, returns, benchmark, ruined):
        fig = drawn(plots.plot_drawdowns({"a": returns, "bust": ruined}))
        line = fig.axes[0].get_lines()[1]
        assert line.get_ydata().min() == -100.0
        assert fig.axes[0].get_ylim() == (-105.0, 0.0)
        assert labels(fig)[-1] == "−100.0%  bust"

    @pytest.mark.parametrize("count", [5, 8, 9, 13])
    def test_more_drawdowns_get_panels_on_one_scale(self, dates, count):
        # The first is the mildest, so a scale taken from it would cut off the others.
        named = {f"s{i}": pd.Series(-0.0001 * (i + 1), index=dates) for i in range(count)}
        fig = drawn(plots.plot_drawdowns(named))
        shown = [axes for axes in fig.axes if axes.axison]
        assert len(shown) == count
        deepest = 100 * (1 - (1 - 0.0001 * count) ** dates.size)
        assert all(axes.get_ylim()[0] == pytest.approx(-1.05 * deepest) for axes in shown)
        assert all(axes.get_ylim()[1] == 0.0 for axes in shown)

    def test_no_drawdown_at_all(self, dates):
        drawn(plots.plot_drawdowns(pd.Series(0.001, index=dates)))

    def test_weights_stack_to_wealth(self, dates):
        weights = pd.DataFrame({"A": 0.5, "B": 0.3}, index=dates)
        fig = drawn(plots.plot_weights(weights))
        assert labels(fig) == ["cash", "B", "A"]
        assert fig.axes[0].get_ylim() == (0.0, 100.0)
        tops = [poly.get_paths()[0].vertices[:, 1].max() for poly in fig.axes[0].collections]
        np.testing.assert_allclose(tops, [50.0, 80.0, 100.0])

    def test_shorts_and_debt_lie_below(self, dates):
        weights = pd.DataFrame({"A": 1.5, "B": -0.25}, index=dates)
        fig = drawn(plots.plot_weights(weights))
        assert labels(fig) == ["B", "A", "borrowed"]
        low, high = fig.axes[0].get_ylim()
        assert low == pytest.approx(-51.5)  # 25% short and 25% borrowed
        assert high == pytest.approx(154.5)

    def test_small_weights_are_summed(self):
        rng = np.random.default_rng(0)
        weights = rng.dirichlet(np.ones(30), size=50)
        assert labels(drawn(plots.plot_weights(weights, top=4)))[0] == "26 others"
        assert len(labels(plots.plot_weights(weights, top=4))) == 5

    def test_bad_weights(self, dates):
        weights = pd.DataFrame({"A": 0.5, "B": 0.3}, index=dates)
        with pytest.raises(PortfolioError, match="520 rows, the timeline has 3"):
            plots.plot_weights(weights, timeline=dates[:3])
        weights.iloc[4, 1] = np.nan
        with pytest.raises(DataError, match=f"for B on {dates[4].date()}"):
            plots.plot_weights(weights)
        with pytest.raises(PortfolioError, match="top"):
            plots.plot_weights(weights, top=0)

    def test_leverage_shares_the_time_axis(self, returns, benchmark):
        leverage = pd.Series(2.0, index=returns.index)
        fig = drawn(plots.plot_leverage({"a": returns, "b": benchmark}, {"a": leverage}))
        upper, lower = fig.axes
        assert upper.get_xlim() == lower.get_xlim()
        assert (lower.get_lines()[0].get_ydata() == 2.0).all()
        assert lower.get_lines()[0].get_color() == upper.get_lines()[0].get_color()
        drawn(plots.plot_leverage(returns, leverage))
        with pytest.raises(PortfolioError, match="'c'"):
            plots.plot_leverage({"a": returns, "b": benchmark}, {"c": leverage})
        with pytest.raises(PortfolioError, match="5 values for 520"):
            plots.plot_leverage(returns, leverage[:5])

    def test_growth_curve_marks(self):
        leverages = np.linspace(0, 12, 200)
        values = np.array([0.12, -0.1, 0.03, -0.02])
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = np.log1p(np.outer(leverages, values)).mean(axis=1)
        quadratic = leverages * values.mean() - leverages**2 * values.var() / 2
        marks = {"optimum": 0.99, "ruin": 10.0, "never": np.inf}
        fig = drawn(plots.plot_growth_curve(leverages, growth, quadratic, marks, periods_per_year=252))
        assert labels(fig) == ["exact", "quadratic approximation", "optimum  0.99", "ruin  10"]
        low, high = fig.axes[0].get_ylim()
        peak = 25200 * np.nanmax(growth)
        assert low == pytest.approx(-1.08 * peak)
        assert high == pytest.approx(1.15 * peak)
        assert fig.axes[0].get_ylabel() == "Log growth a year"

    def test_a_growth_curve_brings_its_marks(self, returns):
        curve = growth_curve(returns)
        fig = drawn(plots.plot_growth_curve(curve))
        exact, quadratic = fig.axes[0].get_lines()[:2]
        np.testing.assert_allclose(exact.get_ydata(), 100 * curve.growth, rtol=1e-12)
        np.testing.assert_allclose(quadratic.get_ydata(), 100 * curve.approximation, rtol=1e-12)
        beyond = {name: bool(at > curve.leverages[-1]) for name, at in curve.marks.items()}
        assert beyond["ruin"]
        assert not beyond["optimum"]
        assert labels(fig)[2:] == [f"{k}  {v:.4g}{' (beyond)' * beyond[k]}" for k, v in curve.marks.items()]
        assert fig.axes[0].get_xlim()[1] < 1.1 * curve.leverages[-1]
        assert labels(plots.plot_growth_curve(curve, marks={"none": 0.0}))[2:] == ["none  0"]
        with pytest.raises(PortfolioError, match="growth is missing"):
            plots.plot_growth_curve(curve.leverages)

    @pytest.mark.parametrize(
        ("leverages", "growth"), [([0, 1], [0.1]), ([1, 0], [0.1, 0.2]), ([0, 1], [-np.inf, np.nan]), ([1], [0.1])]
    )
    def test_bad_growth_curve(self, leverages, growth):
        with pytest.raises(PortfolioError):
            plots.plot_growth_curve(leverages, growth)

    def test_sweep_with_its_table(self, returns, benchmark, ruined):
        named = {"cap 1": returns, "cap 2": benchmark, "uncapped": ruined}
        fig = drawn(plots.plot_sweep(named, table=metrics_table(named)))
        colours = {tuple(line.get_color()) for line in fig.axes[0].get_lines()[:2]}
        assert len(colours) == 2
        texts = [cell.get_text().get_text() for cell in fig.axes[1].tables[0].get_celld().values()]
        assert "uncapped" in texts
        assert "-100.00" in texts
        assert len(drawn(plots.plot_sweep(named)).axes) == 1

    def test_the_reference_of_a_sweep_is_black(self, returns, benchmark, ruined):
        named = {"index": benchmark, "cap 1": returns, "uncapped": ruined}
        lines = drawn(plots.plot_sweep(named, reference="index")).axes[0].get_lines()
        colours = {name: line.get_color() for name, line in zip(named, lines, strict=False)}
        assert colours["index"] == "black"
        settings = plots.plot_sweep({name: named[name] for name in ("cap 1", "uncapped")}).axes[0].get_lines()
        assert tuple(colours["cap 1"]) == tuple(settings[0].get_color())
        with pytest.raises(PortfolioError, match="'gold' is not among the lines: index, cap 1, uncapped"):
            plots.plot_sweep(named, reference="gold")


class TestWindows:
    def test_nothing_opens_without_a_display(self, returns, monkeypatch):
        import matplotlib

        monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
        fig = plots.plot_wealth(returns, show=True)
        assert getattr(fig, "number", None) is None

    @pytest.mark.parametrize(
        ("backend", "display", "expected"),
        [
            ("agg", ":0", "none"),
            ("svg", ":0", "none"),
            ("tkagg", "", "none"),
            ("tkagg", ":0", "window"),
            ("module://ipympl.backend_nbagg", "", "window"),
            ("module://matplotlib_inline.backend_inline", "", "notebook"),
        ],
    )
    def test_what_counts_as_a_display(self, backend, display, expected, monkeypatch):
        import matplotlib

        monkeypatch.setattr(matplotlib, "get_backend", lambda: backend)
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        assert drawing.display_kind() == expected

    def test_a_display_shows_the_figure(self, returns, monkeypatch):
        import matplotlib.pyplot as plt

        shown = []
        monkeypatch.setattr(drawing, "display_kind", lambda: "window")
        monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
        plt.switch_backend("agg")
        fig = plots.plot_wealth(returns, show=True)
        assert shown == [[fig.number]]
        plt.close(fig)

    def test_pyplot_stays_out(self):
        code = (
            "import sys, numpy as np; from opeslike.analysis import plots;"
            "assert 'matplotlib' not in sys.modules;"
            "plots.plot_wealth(np.zeros(9)).canvas.draw();"
            "print('matplotlib.pyplot' in sys.modules)"
        )
        environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == "False"


class TestNotebooks:
    """A figure is seen once in the cell that makes it, whether it is shown, returned or both."""

    @pytest.fixture
    def cell(self, monkeypatch):
        hooks = types.SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)
        shell = types.SimpleNamespace(
            execution_count=1, shown=[], events=hooks, enable_gui=lambda *_: None
        )  # for pyplot
        modules = {"IPython": types.ModuleType("IPython"), "IPython.display": types.ModuleType("IPython.display")}
        modules["IPython"].get_ipython = lambda: shell
        modules["IPython"].version_info = (9, 0)
        modules["IPython.display"].display = lambda data, raw: shell.shown.append((shell.execution_count, data, raw))
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(drawing, "display_kind", lambda: "notebook")
        return shell

    @pytest.mark.parametrize("show", [False, True])
    def test_once_a_cell(self, returns, cell, show):
        fig = plots.plot_wealth(returns, show=show)
        assert len(cell.shown) == show
        fig._ipython_display_()  # the value of the cell
        ((number, data, raw),) = cell.shown
        assert (number, list(data), raw) == (1, ["image/png"], True)
        assert data["image/png"].startswith(PNG)
        cell.execution_count = 2  # asked for again, it is shown again
        fig._ipython_display_()
        assert [number for number, _, _ in cell.shown] == [1, 2]

    def test_a_window_that_shows_it_is_enough(self, returns, cell, monkeypatch):
        import matplotlib.pyplot as plt

        monkeypatch.setattr(drawing, "display_kind", lambda: "window")
        monkeypatch.setattr(plt, "show", lambda: None)
        plt.switch_backend("agg")
        fig = plots.plot_wealth(returns, show=True)
        fig._ipython_display_()
        assert cell.shown == []
        plt.close(fig)

    def test_figures_can_be_pickled(self, returns):
        assert len(pickle.loads(pickle.dumps(plots.plot_wealth(returns))).axes) == 1


class TestTicks:
    @given(st.floats(1e-6, 1e9), st.floats(1.0005, 1e12))
    def test_ticks_lie_inside_and_are_few(self, low, ratio):
        ticks = log_ticks(low, low * ratio)
        assert 1 <= len(ticks) <= 11
        assert all(low * (1 - 1e-9) <= tick <= low * ratio * (1 + 1e-9) for tick in ticks)
        assert ticks == sorted(set(ticks))

    @given(st.floats(1e-6, 1e9), st.one_of(st.floats(1.0005, 1.01), st.floats(1.2, 1e12)))
    def test_at_least_two_labels_and_all_different(self, low, ratio):
        texts = tick_labels(log_ticks(low, low * ratio))
        assert len(texts) >= 2
        assert len(set(texts)) == len(texts)

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            *((0, "0"), (0.85, "0.85"), (1.2, "1.2"), (999.99, "1,000"), (250_000, "250,000")),
            *((3.5e6, "3.5M"), (2e9, "2B"), (4e12, "4T"), (1e16, "1e+16"), (1e-6, "1e-06")),
        ],
    )
    def test_money(self, value, text):
        assert money(value) == text

    def test_plain(self):
        assert money(1.2, zeros=True) == "1.200"
        assert plain("a\nb $c$") == r"a b \$c\$"
        assert len(plain("x" * 99)) == 44
