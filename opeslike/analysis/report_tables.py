"""The tables of a report, made of one result."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from opeslike.accounting.result import BacktestResult
from opeslike.analysis.inputs import RateLike
from opeslike.analysis.metrics import (
    conditional_value_at_risk,
    contributions,
    drawdown_table,
    monthly_returns,
    relative_metrics,
    summary,
    trailing,
)
from opeslike.analysis.report_format import Table, cell
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Kind, describe, infer_kind, read_panel

HEADLINE = (
    *("total_return", "final_wealth", "annual_return", "annual_growth", "annual_volatility", "sharpe", "sortino"),
    *("calmar", "max_drawdown", "max_drawdown_peak", "max_drawdown_trough", "max_drawdown_recovery"),
    *("max_drawdown_days", "longest_drawdown_days", "best_period", "worst_period", "cvar_95", "hit_ratio"),
    *("time_in_market", "average_exposure", "average_gross", "max_gross"),
)
#: More assets than this are summed in the printed table of contributions.
MOST_ASSETS = 30
#: Of more trades than this the last are shown in the list of all.
MOST_TRADES = 500
#: Names a Series gives itself that name no benchmark.
_UNNAMED = frozenset({None, "", 0})


def benchmark_returns(result: BacktestResult, benchmark: Any, kind: Kind | None) -> pd.Series[Any]:
    """The benchmark's simple returns in the steps of a result.

    Raises
    ------
    DataError
        If a step has no value, or prices and returns cannot be told apart.
    PortfolioError
        If a text names no asset of the result.
    """
    if isinstance(benchmark, str):
        if benchmark not in result.asset_returns.columns:
            known = ", ".join(map(str, result.assets[:8]))
            raise PortfolioError(f"benchmark {benchmark!r} is no asset of the backtest ({known} …); pass a Series")
        return result.asset_returns[benchmark].rename(benchmark)
    if isinstance(benchmark, pd.DataFrame):
        if benchmark.shape[1] != 1:
            raise DataError(f"benchmark: one column expected, got {benchmark.shape[1]}; choose one")
        benchmark = benchmark.iloc[:, 0]
    dated = isinstance(benchmark, pd.Series) and isinstance(benchmark.index, pd.DatetimeIndex)
    name = getattr(benchmark, "name", None)
    name = "benchmark" if isinstance(name, Hashable) and name in _UNNAMED else str(name)
    closes, steps = pd.Index([result.start]).append(result.timeline), result.timeline
    values: Any = benchmark
    if dated and isinstance(steps, pd.DatetimeIndex):
        known = benchmark.dropna()
        found = infer_kind(read_panel(known), kind)
        wanted = pd.DatetimeIndex(closes) if found == "prices" else steps
        if (pd.DatetimeIndex(known.index).tz is None) != (wanted.tz is None):
            raise DataError("benchmark: its dates and the backtest's differ in having a time zone; drop it")
        values = known.reindex(wanted).to_numpy(np.float64)
        lacking = np.flatnonzero(np.isnan(values))
        if lacking.size:
            raise DataError(
                f"benchmark {name!r} has no {'price' if found == 'prices' else 'return'} on "
                f"{describe(wanted[lacking[0]])} ({lacking.size} such dates); give it on every date of the backtest"
            )
    else:
        panel = read_panel(values)
        found = infer_kind(panel, kind)
        values = np.asarray(panel.values, dtype=np.float64).ravel()
        count = len(closes) if found == "prices" else len(steps)
        if len(values) != count:
            raise DataError(f"benchmark: {len(values)} {found}, where the backtest has {count}; or date it")
    if found == "prices":
        values = values[1:] / values[:-1] - 1.0
    return pd.Series(values, index=steps, name=name)


@dataclass(frozen=True)
class Source:
    """What the tables and charts of one strategy are made of."""

    name: str
    result: BacktestResult
    benchmark: pd.Series[Any] | None
    risk_free: RateLike
    periods_per_year: float

    @property
    def rival(self) -> str:
        """The benchmark's name."""
        return "" if self.benchmark is None else str(self.benchmark.name)

    @property
    def dated(self) -> bool:
        """Whether the steps have dates."""
        return isinstance(self.result.timeline, pd.DatetimeIndex)

    @property
    def origin(self) -> pd.Timestamp | None:
        """The date of initial wealth."""
        return self.result.start if self.dated else None


def headline(source: Source) -> Table:
    """Annual figures of the strategy, and of its benchmark beside it."""
    result = source.result
    columns = {source.name: _headline(source, result.returns, result.weights)}
    if source.benchmark is not None:
        rival = source.rival if source.rival != source.name else f"{source.rival} (benchmark)"
        columns[rival] = _headline(source, source.benchmark, None)
    frame = pd.DataFrame(columns, index=list(HEADLINE), dtype=object)
    if not source.dated:
        frame = frame.drop(index=["max_drawdown_days", "longest_drawdown_days"])
    notes = []
    if len(result.returns) < source.periods_per_year:
        notes.append("Annual figures extrapolate a span shorter than a year.")
    found = _steps_a_year(source)
    if found is not None and not 0.8 < found / source.periods_per_year < 1.25:
        notes.append(
            f"Annual figures take {source.periods_per_year:g} steps for a year, but the dates have about {found:.0f}; "
            "give the Backtester periods_per_year."
        )
    return Table("Headline figures", frame, note=" ".join(notes))


def _steps_a_year(source: Source) -> float | None:
    """Steps in a year by the dates; None without dates, or where they span less than two months."""
    if not source.dated:
        return None
    days = (source.result.timeline[-1] - source.result.start) / pd.Timedelta(days=1)
    return 365.25 * len(source.result.returns) / days if days >= 60 else None


def _headline(source: Source, returns: pd.Series[Any], weights: pd.DataFrame | None) -> pd.Series[Any]:
    figures = summary(returns, source.risk_free, source.periods_per_year, exposure=weights, start=source.origin)
    figures["cvar_95"] = conditional_value_at_risk(returns)
    figures["final_wealth"] *= source.result.initial_capital
    return figures


def monthly(source: Source) -> Table:
    """Compound return of each month and year."""
    frame = monthly_returns(source.result.returns)
    note = "First and last month as far as they go."
    return Table(
        "Monthly returns", frame, "column", note, "Year", heat=True, kinds=dict.fromkeys(frame.columns, "percent")
    )


def past_spans(source: Source) -> Table:
    """Figures of the last 1, 3, 6 and 12 months and of all."""
    frame = trailing(
        source.result.returns, source.benchmark, risk_free=source.risk_free, periods_per_year=source.periods_per_year
    ).T
    note = "Annual figures of a span shorter than a year extrapolate it; read its total return instead."
    return Table("Trailing 1, 3, 6 and 12 months", frame, note=note)


def against(source: Source) -> Table:
    """The strategy against its benchmark."""
    if source.benchmark is None:
        raise PortfolioError("the report has no benchmark: pass one, result.report(benchmark=series)")
    figures = relative_metrics(source.result.returns, source.benchmark, source.risk_free, source.periods_per_year)
    own = [key for key in figures.index if f"benchmark_{key}" in figures.index or key.startswith("benchmark_")]
    note = (
        f"Benchmark: {source.rival}. Alpha and beta by least squares on excess returns (alpha is arithmetic); capture "
        "is the geometric mean return over the benchmark's, in its up and down steps; win rate is the share of steps "
        "ahead of it."
    )
    return Table("Against the benchmark", figures.drop(own).to_frame(source.name), note=note)


def sources_of_return(source: Source) -> Table:
    """Average weight and contribution by asset."""
    result = source.result
    frame = contributions(
        result.weights, result.asset_returns, result.costs, result.financing,
        returns=result.returns, periods_per_year=source.periods_per_year,
    )  # fmt: skip
    assets = frame.index[: len(result.assets)]
    years = len(result.returns) / source.periods_per_year
    frame["turnover"] = pd.Series(result.traded.abs().sum().to_numpy() / years, index=assets)
    frame.loc["total", "turnover"] = float(result.turnover.sum()) / years
    frame["profit"] = frame["contribution"] * result.initial_capital
    largest = frame.loc[assets, "contribution"].sort_values(ascending=False, kind="stable").index
    frame = frame.loc[[*largest, *frame.index[len(assets) :]]]
    note = (
        "Linked by the path of wealth: a step's contribution counts with the wealth at its start, so profits in money "
        "over the initial capital, which add up to the total return without smoothing. The annual contribution is "
        "scaled by annual over total return. Assets are before trading costs. Turnover is what was bought and sold, in "
        "multiples of wealth a year."
    )
    brief = None
    if len(assets) > MOST_ASSETS:
        kept = frame.loc[assets, "contribution"].abs().nlargest(MOST_ASSETS - 1).index
        rest = frame.loc[assets].drop(index=kept)
        others = rest.sum().to_frame(f"{len(rest)} others").T
        brief = pd.concat([frame.loc[[name for name in largest if name in kept]], others, frame.iloc[len(assets) :]])
    return Table("Contributions", frame, "column", note, brief=brief)


def trade_figures(source: Source) -> Table:
    """Win rate, profit factor and the like of closed and of all round trips."""
    result = source.result
    columns = {"all": result.trade_summary(), "closed only": result.trade_summary(closed_only=True)}
    note = "Round trips from flat to flat or to a change of side; open ones are marked at the last close."
    return Table("Trades", pd.DataFrame(columns), note=note)


def largest_trades(source: Source, count: int = 5) -> Table:
    """Round trips with the largest gains and losses."""
    trades = source.result.trades.sort_values("profit", ascending=False, kind="stable")
    chosen = trades if len(trades) <= 2 * count else pd.concat([trades.head(count), trades.tail(count)])
    return Table("Best and worst trades", chosen.drop(columns="steps"), "column", index=False)


def last_trades(source: Source, count: int = 10) -> Table:
    """Round trips that ended last."""
    return Table("Last trades", source.result.trades.tail(count).drop(columns="steps"), "column", index=False)


def every_trade(source: Source) -> Table:
    """All round trips; of very many the last are shown."""
    trades = source.result.trades
    count, brief = f"{len(trades):,}", None
    if len(trades) > MOST_TRADES:
        count, brief = f"the last {MOST_TRADES} of {count}", trades.tail(MOST_TRADES)
    return Table(f"All trades: {count}", trades, "column", index=False, brief=brief, folded=True)


def accounts(source: Source) -> Table:
    """Where the change in wealth came from, and two checks of it."""
    result = source.result
    steps = result.contributions
    names = [*steps.columns[len(result.assets) :]]
    change = float(result["wealth"][-1]) - result.initial_capital
    parts = {"positions before costs": float(steps.iloc[:, : len(result.assets)].to_numpy().sum())}
    parts |= {str(name): float(steps[name].sum()) for name in names}
    outside = parts["cash and financing"] + parts["lender's loss"]
    money_rows = {
        **{name: amount for name, amount in parts.items() if amount != 0.0 or name != "lender's loss"},
        "change in wealth": change,
        "change not explained by the rows above": change - sum(parts.values()),
        "trades' profits": float(result.trades["profit"].sum()),
        "change less financing and trades' profits": change - outside - float(result.trades["profit"].sum()),
    }
    years = len(result.returns) / source.periods_per_year
    frame = pd.DataFrame({"money": money_rows})
    frame["of initial capital"] = frame["money"] / result.initial_capital
    turnover, paid = float(result.turnover.sum()) / years, 100 * float(result.costs.sum()) / years
    note = (
        f"Turnover {turnover:,.2f} times wealth a year; trading costs {paid:,.2f}% of wealth a year. Financing is "
        "interest on cash less what borrowing and shorts cost. Two rows are checks and should be zero up to rounding."
    )
    return Table("Costs and financing", frame, "column", note)


def settings_used(source: Source) -> Table:
    """What the run was asked to do."""
    used = {key: _setting(value) for key, value in source.result.settings.items()}
    return Table("Settings", pd.DataFrame({"value": used}, dtype=object), "column", words=True)


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {amount}" for key, amount in value.items())
    if isinstance(value, list | tuple) and not value:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def certificates(source: Source) -> Table:
    """How many optimisations there were, how they ended, and how far the optimum can lie at most."""
    found = [solution for _, solution in source.result.solutions]
    facts: dict[str, Any] = {"Optimisations": str(len(found)), "Certified": source.result.certificate}
    for key, title in (("status", "Statuses"), ("solver", "Solvers")):
        counts = pd.Series([str(getattr(one, key, "unknown")) for one in found], dtype=object).value_counts()
        if len(counts):
            facts[title] = ", ".join(f"{name} ({count})" for name, count in counts.items())
    gap = source.result.max_gap
    if gap is not None:
        facts["Worst gap per step"] = cell(gap, "tiny")
    note = {
        "certified": "No portfolio was better than the one found by more than the worst gap, in the objective's unit.",
        "heuristic": "A problem that is not convex was solved; no bound on how far the optimum lies is known.",
        "none": "Nothing was optimised, or no certificate was left.",
    }[source.result.certificate]
    return Table("Certificates", pd.DataFrame({"value": facts}, dtype=object), "column", note, words=True)


def deepest(source: Source) -> Table:
    """The worst spells below a peak."""
    frame = drawdown_table(source.result.returns, 5, source.origin)
    if not source.dated:
        frame = frame.drop(columns="days")
    kinds = {} if source.dated else dict.fromkeys(("peak", "trough", "recovery"), "count")
    return Table("Deepest drawdowns", frame, "column", index=False, kinds=kinds)


def all_tables(source: Source) -> dict[str, Table]:
    """Every table that the result allows, by key, in the order they are read."""
    tables = {"headline": headline(source), "drawdowns": deepest(source)}
    if source.dated:
        tables |= {"monthly": monthly(source), "trailing": past_spans(source)}
    if source.benchmark is not None:
        tables["relative"] = against(source)
    tables["contributions"] = sources_of_return(source)
    tables["trades"] = trade_figures(source)
    if len(source.result.trades):
        tables |= {"largest_trades": largest_trades(source), "last_trades": last_trades(source)}
        tables["all_trades"] = every_trade(source)
    tables |= {"accounts": accounts(source), "settings": settings_used(source), "certificates": certificates(source)}
    # Cents say nothing about an account of 1.
    small = source.result.initial_capital < 1e3
    return {key: replace(table, fine=small) for key, table in tables.items()}
