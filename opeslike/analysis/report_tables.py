"""The tables and charts of a report, made of one result or several."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from opeslike.accounting.result import FINANCING, FLOWS, LENDER, BacktestResult
from opeslike.analysis.attribution import contributions
from opeslike.analysis.formats import Table, cell, money_kind
from opeslike.analysis.metrics import conditional_value_at_risk, summary
from opeslike.analysis.paths import drawdown_table, monthly_returns
from opeslike.analysis.record import Floats, RateLike, Record, record
from opeslike.analysis.relative import relative_metrics, trailing
from opeslike.errors import DataError, PortfolioError
from opeslike.evidence import Evidence, evidence
from opeslike.market import Kind, infer_kind, read_panel

#: What is told where money was paid in or taken out.
PAID = ("money_weighted_return", "paid_in", "taken_out")
HEADLINE = (
    *("total_return", "final_wealth", *PAID, "annual_return", "annual_growth", "annual_volatility", "sharpe"),
    *("sortino", "calmar", "max_drawdown", "max_drawdown_peak", "max_drawdown_trough", "max_drawdown_recovery"),
    *("max_drawdown_days", "longest_drawdown_days", "best_period", "worst_period", "cvar_95", "hit_ratio"),
    *("time_in_market", "average_exposure", "average_gross", "max_gross"),
)
#: More assets than this are summed in the printed table of contributions.
MOST_ASSETS = 30
#: Of more trades than this the last are shown in the list of all.
MOST_TRADES = 500
#: Names a Series gives itself that name no benchmark.
_UNNAMED = frozenset({None, "", 0})


def benchmark_record(result: BacktestResult, benchmark: Any, kind: Kind | None, strategies: Collection[str]) -> Record:
    """The benchmark's simple returns in the steps of a result; called apart where a strategy has its name.

    Raises
    ------
    DataError
        If a step has no value, or prices and returns cannot be told apart.
    PortfolioError
        If a text names no asset of the result.
    """
    if isinstance(benchmark, Record):
        return benchmark
    if isinstance(benchmark, str):
        if benchmark not in result.asset_returns.columns:
            known = ", ".join(map(str, result.assets[:8]))
            raise PortfolioError(f"benchmark {benchmark!r} is no asset of the backtest ({known} …); pass a Series")
        benchmark, kind = result.asset_returns[benchmark], "returns"
    if isinstance(benchmark, pd.DataFrame):
        if benchmark.shape[1] != 1:
            raise DataError(f"benchmark: one column expected, got {benchmark.shape[1]}; choose one")
        benchmark = benchmark.iloc[:, 0]
    name = getattr(benchmark, "name", None)
    name = "benchmark" if isinstance(name, Hashable) and name in _UNNAMED else str(name)
    title = f"{name} (benchmark)" if name in strategies else name
    steps = result.timeline
    dated = isinstance(benchmark, pd.Series) and isinstance(benchmark.index, pd.DatetimeIndex)
    panel = read_panel(benchmark.dropna() if dated else benchmark)
    found = infer_kind(panel, kind)
    wanted = pd.Index([result.start]).append(steps) if found == "prices" else steps
    given = benchmark.dropna() if dated else panel.values.ravel()
    values = Record(np.zeros(len(wanted)), wanted).align(given, f"benchmark {name!r}, {found}")
    if found == "prices":
        values = values[1:] / values[:-1] - 1.0
    return record(pd.Series(values, index=steps, name=title), "benchmark")


@dataclass(frozen=True)
class Source:
    """What the tables and charts of one strategy are made of."""

    name: str
    result: BacktestResult
    benchmark: Record | None
    risk_free: RateLike
    periods: float

    @cached_property
    def own(self) -> Record:
        """The strategy's record."""
        return record(self.result.returns)

    @property
    def rival(self) -> str:
        """The benchmark's name; empty without one."""
        return "" if self.benchmark is None else self.benchmark.name

    @property
    def dated(self) -> bool:
        """Whether the steps have dates."""
        return self.own.dates is not None

    @property
    def origin(self) -> pd.Timestamp | None:
        """The date of initial wealth."""
        return self.result.start if self.dated else None

    @property
    def moneys(self) -> dict[str, Floats]:
        """Where money was paid in or taken out, wealth at P_0..P_H, and that of the benchmark with the same flows."""
        if not self.result.flows.any():
            return {}
        return {name: self.result.with_flows(path.values) for name, path in records_of([self]).items()}

    @property
    def years(self) -> float:
        """The length of the run by its steps."""
        return len(self.own.values) / self.periods


def records_of(sources: Sequence[Source]) -> dict[str, Record]:
    """The record of every strategy, then that of the benchmark, by name."""
    first = sources[0]
    return {each.name: each.own for each in sources} | ({first.rival: first.benchmark} if first.benchmark else {})


def headline(source: Source) -> Table:
    """Annual figures of the strategy, and of its benchmark beside it."""
    columns = {}
    for name, path in records_of([source]).items():
        exposure = source.result.weights if path is source.own else None
        figures = summary(path, source.risk_free, source.periods, exposure=exposure, start=source.origin)
        figures["cvar_95"] = conditional_value_at_risk(path)
        figures["final_wealth"] *= source.result.initial_capital
        columns[name] = figures
    frame = pd.DataFrame(columns, index=list(HEADLINE), dtype=object)
    unknown = [] if source.dated else ["max_drawdown_days", "longest_drawdown_days"]
    if source.moneys:
        flows = source.result.flows
        paid = [source.result.money_weighted_return, flows.clip(lower=0.0).sum(), -flows.clip(upper=0.0).sum()]
        frame.loc[list(PAID), source.name] = paid
        frame.loc["final_wealth"] = [money[-1] for money in source.moneys.values()]
    else:
        unknown += PAID
    notes = ["Annual figures extrapolate a span shorter than a year."] if source.years < 1.0 else []
    days = (source.result.timeline[-1] - source.result.start) / pd.Timedelta(days=1) if source.dated else 0.0
    found = 365.25 * len(source.own.values) / max(days, 1.0)
    if days >= 60 and not 0.8 < found / source.periods < 1.25:
        notes.append(
            f"Annual figures take {source.periods:g} steps for a year, but the dates have about {found:.0f}; "
            "give the Backtester periods_per_year."
        )
    return Table("Headline figures", frame.drop(index=unknown), note=" ".join(notes))


def deepest(source: Source) -> Table:
    """The worst spells below a peak."""
    frame = drawdown_table(source.own, 5, source.origin)
    return Table("Deepest drawdowns", frame if source.dated else frame.drop(columns="days"), "column", index=False)


def monthly(source: Source) -> Table:
    """Compound return of each month and year."""
    note = "First and last month as far as they go."
    return Table("Monthly returns", monthly_returns(source.own), "column", note, "Year", heat=True, kind="percent")


def past_spans(source: Source) -> Table:
    """Figures of the last 1, 3, 6 and 12 months and of all."""
    frame = trailing(source.own, source.benchmark, risk_free=source.risk_free, periods_per_year=source.periods)
    note = "Annual figures of a span shorter than a year extrapolate it; read its total return instead."
    return Table("Trailing 1, 3, 6 and 12 months", frame.T, note=note)


def against(*sources: Source) -> Table:
    """Strategies against their benchmark, a column each; what the headline says of them alone is left out."""
    columns = {s.name: relative_metrics(s.own, s.benchmark, s.risk_free, s.periods) for s in sources if s.benchmark}
    if not columns:
        raise PortfolioError("the report has no benchmark: pass one, result.report(benchmark=series)")
    frame = pd.DataFrame(columns)
    alone = [key for key in frame.index if f"benchmark_{key}" in frame.index or key.startswith("benchmark_")]
    note = (
        f"Benchmark: {sources[0].rival}. Alpha and beta by least squares on excess returns (alpha is arithmetic); "
        "capture is the geometric mean return over the benchmark's, in its up and down steps; win rate is the share of "
        "steps ahead of it."
    )
    return Table("Against the benchmark", frame.drop(index=alone), note=note)


def sources_of_return(source: Source) -> Table:
    """Average weight and contribution by asset."""
    result = source.result
    frame = contributions(
        result.weights, result.asset_returns, result.costs, result.financing,
        returns=source.own, periods_per_year=source.periods,
    )  # fmt: skip
    assets = frame.index[: len(result.assets)]
    frame["turnover"] = pd.Series(result.traded.abs().sum().to_numpy() / source.years, index=assets)
    frame.loc["total", "turnover"] = float(result.turnover.sum()) / source.years
    made = result.contributions.drop(columns=FLOWS, errors="ignore").sum().to_numpy()
    frame["profit"] = [*made[: len(frame) - 1], made.sum()]
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


def round_trips(source: Source) -> dict[str, Table]:
    """Figures of the round trips, and lists of them."""
    result, trades = source.result, source.result.trades
    figures = {"all": result.trade_summary(), "closed only": result.trade_summary(closed_only=True)}
    note = "Round trips from flat to flat or to a change of side; open ones are marked at the last close."
    tables = {"trades": Table("Trades", pd.DataFrame(figures), note=note)}
    if not len(trades):
        return tables
    ranked = trades.sort_values("profit", ascending=False, kind="stable").index
    ends = ranked if len(trades) <= 10 else ranked[:5].append(ranked[-5:])
    many = len(trades) > MOST_TRADES
    count = f"the last {MOST_TRADES} of {len(trades):,}" if many else f"{len(trades):,}"
    brief, listed = trades.drop(columns="steps"), partial(Table, by="column", index=False)
    return tables | {
        "largest_trades": listed("Best and worst trades", brief.loc[ends]),
        "last_trades": listed("Last trades", brief.tail(10)),
        "all_trades": listed(
            f"All trades: {count}", trades, brief=trades.tail(MOST_TRADES) if many else None, folded=True
        ),
    }


def accounts(source: Source) -> Table:
    """Where the change in wealth came from, and two checks of it."""
    result = source.result
    steps = result.contributions
    change = float(result["wealth"][-1]) - result.initial_capital
    count = len(result.assets)
    parts = {"positions before costs": float(steps.iloc[:, :count].to_numpy().sum())}
    parts |= {str(name): float(steps[name].sum()) for name in steps.columns[count:]}
    traded = float(result.trades["profit"].sum())
    paid = sum(amount for name, amount in parts.items() if name in (FINANCING, LENDER, FLOWS))
    rows = {
        **{name: amount for name, amount in parts.items() if amount != 0.0 or name != LENDER},
        "change in wealth": change,
        "change not explained by the rows above": change - sum(parts.values()),
        "trades' profits": traded,
        "change less financing and trades' profits": change - paid - traded,
    }
    frame = pd.DataFrame({"money": rows})
    frame["of initial capital"] = frame["money"] / result.initial_capital
    turnover, paid = float(result.turnover.sum()) / source.years, 100 * float(result.costs.sum()) / source.years
    note = (
        f"Turnover {turnover:,.2f} times wealth a year; trading costs {paid:,.2f}% of wealth a year. Financing is "
        "interest on cash less what borrowing and shorts cost. Two rows are checks and should be zero up to rounding."
    )
    return Table("Costs and financing", frame, "column", note)


def settings_used(source: Source) -> Table:
    """What the run was asked to do."""

    def words(value: Any) -> str:
        if isinstance(value, Mapping):
            value = [f"{key} {amount}" for key, amount in value.items()]
        listed = isinstance(value, list) or value == ()
        return (", ".join(map(str, value)) or "none") if listed else str(value)

    used = {key: words(value) for key, value in source.result.settings.items()}
    return Table("Settings", pd.DataFrame({"value": used}, dtype=object), "column", words=True)


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


def evidence_tables(sources: Sequence[Source], fractions: Mapping[str, float] | None = None) -> dict[str, Table]:
    """Differences in growth and Sharpe ratio beside their intervals, and what may be said; against the benchmark.

    Without one against the strategy of equal weights, else the first. Empty where there is nothing, or too little, to
    compare.
    """
    first = sources[0]
    base = first.rival or next((each.name for each in sources if each.result.strategy == "Uniform"), first.name)
    returns = pd.DataFrame({name: path.values for name, path in records_of(sources).items()}, first.result.timeline)
    rates: dict[str, Any] = {"risk_free": first.risk_free, "periods_per_year": first.periods}
    try:
        found = evidence(returns, base, statistics=["growth", "sharpe"], fractions=fractions, **rates)
    except (DataError, PortfolioError):
        return {}
    return judged(found)


def judged(found: Evidence) -> dict[str, Table]:
    """The tables of some evidence, with the sentence that may be said."""
    said, notes, texts = found.sentences, " ".join(found.notes), found.texts().items()
    return {f"evidence_{k}": Table(title, frame, "column", f"{said[k]} {notes}".strip()) for k, (title, frame) in texts}


def all_tables(source: Source) -> dict[str, Table]:
    """Every table that the result allows, by key, in the order they are read."""
    tables = {"headline": headline(source), "drawdowns": deepest(source)}
    if source.dated:
        tables |= {"monthly": monthly(source), "trailing": past_spans(source)}
    if source.benchmark is not None:
        tables["relative"] = against(source)
    tables |= {"contributions": sources_of_return(source), **round_trips(source), "accounts": accounts(source)}
    tables |= {"settings": settings_used(source), "certificates": certificates(source)}
    money = money_kind(source.result.initial_capital)
    return {key: replace(table, money=money) for key, table in tables.items()}
