"""Costs inside the objective or not: six Kelly variants at four levels of costs, and a mandate with its shadow prices.

Writes: costs-inside.md, costs-inside.png

    python costs_inside.py              ten US large caps from the package, no network
    python costs_inside.py --out FOLDER

Training 2010-2017, walked over 2018 and 2019, re-optimised and traded daily or weekly. "Inside" weighs the account's
costs against what a trade gains over the horizon, 63 periods unless said; "outside" optimises as if trading were free.
Both pay the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import study
from matplotlib.figure import Figure

from opeslike import Backtester, Kelly, KLRobustKelly, Mandate, compare, load_us20

TICKERS = "AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH"
LEVELS = (0, 5, 20, 50)
PACES = {"daily": 1, "weekly": 5}
HORIZONS = (5, 21, 63, 252)
AWARE = Mandate(costs="account")
FRACTIONS = {"Full": 1.0, "Half": 0.5, "Quarter": 0.25}
#: which assets belong together, in the worked mandate
SECTORS = {"technology": ["AAPL", "AMD", "MSFT"], "banks": ["BAC", "JPM"], "energy": ["CVX", "RRC"]}
#: what the account is measured against, and holds
INDEX = {
    **{"AAPL": 0.30, "MSFT": 0.20, "JPM": 0.12, "UNH": 0.10, "CVX": 0.10},
    **{"BAC": 0.08, "GE": 0.06, "BBY": 0.02, "AMD": 0.01, "RRC": 0.01},
}
WORKED = Mandate(
    bounds=(0, 0.3),
    groups=SECTORS,
    group_bounds={"technology": (0, 0.5), "*": (0, 0.25)},
    costs=10,
    max_turnover=0.3,
    benchmark=INDEX,
    max_tracking_error=0.03,
)
COLUMNS = {"Turnover a year": ",.1f", "Costs % a year": ",.2f", "Growth % a year": ",.2f", "Sharpe": ",.2f"}


def variants(mandate: Mandate) -> dict[str, Kelly | KLRobustKelly]:
    """The six of the main comparison, under a mandate."""
    plain = {f"{word} Kelly": Kelly(fraction, mandate=mandate) for word, fraction in FRACTIONS.items()}
    return plain | {f"{word} KL-robust": KLRobustKelly(f, "auto", mandate=mandate) for word, f in FRACTIONS.items()}


def figures(result) -> list[float]:
    """What a walk traded, paid and earned, a year, in the order of COLUMNS."""
    years, returns = len(result.returns) / 252, result.returns
    growth = np.log1p(returns).sum() / years
    sharpe = returns.mean() / returns.std() * 252**0.5
    return [result.turnover.sum() / years, 100 * result.costs.sum() / years, 100 * growth, sharpe]


def sweep(train: pd.DataFrame, test: pd.DataFrame, every: int) -> tuple[pd.DataFrame, float]:
    """A column for each variant and level of costs, and the worst gap met on the way."""
    columns, worst = {}, 0.0
    for bps in LEVELS:
        terms = {"cost": {"const": bps}, "reopt_freq": every, "rebalance_freq": every}
        pair = [compare(variants(mandate), train, test, **terms) for mandate in (Mandate(), AWARE)]
        for name in pair[0]:
            found = [figures(table[name]) for table in pair]
            worst = max(worst, *(table[name].max_gap for table in pair))
            columns[f"{name}, {bps} bps"] = {
                f"{what}, {where}": value
                for what, values in zip(COLUMNS, zip(*found, strict=True), strict=True)
                for where, value in zip(("outside", "inside"), values, strict=True)
            }
    return pd.DataFrame(columns), worst


def chart(tables: dict[str, pd.DataFrame]) -> Figure:
    """Growth against the level of costs, outside and inside."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    for axes, (pace, table) in zip(figure.subplots(1, 2, sharey=True), tables.items(), strict=True):
        for colour, name in enumerate(("Full Kelly", "Half Kelly", "Full KL-robust")):
            for where, line in (("outside", "--"), ("inside", "-")):
                grown = [table.loc[f"Growth % a year, {where}", f"{name}, {bps} bps"] for bps in LEVELS]
                axes.plot(LEVELS, grown, line, color=f"C{colour}", marker=".", label=f"{name}, {where}")
        axes.set(title=f"Decided and traded {pace}", xlabel="Costs, basis points of what is traded")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("Growth, % a year")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def aloud(limit: str, points: float) -> str:
    """A shadow price in words."""
    gained = f"{abs(points):.1f} basis points of growth a year"
    if limit.startswith("budget"):
        return f"Each point of wealth that has to be invested {'adds' if points > 0 else 'costs'} {gained}."
    return f"A point more room in `{limit}` is worth {gained}."


def mandate(found: study.Study, prices: pd.DataFrame) -> None:
    """One decision under a benchmark, groups, costs and a turnover limit, and its shadow prices read aloud."""
    robust = KLRobustKelly(radius="auto", mandate=WORKED)
    robust.optimize(prices, held=INDEX)
    solution = robust.solution
    changed = solution.trades.loc[lambda trades: (trades != 0).any(axis=1)]
    weights = pd.DataFrame({"Index %": INDEX, "Held %": solution.to_series()}).reindex(prices.columns).T * 100
    found.table("weights", "A mandate: what is held", weights, {"Index %": ",.1f", "Held %": ",.1f"})
    # growth a day per unit becomes basis points a year per percentage point
    prices_of = solution.shadow_prices * 252 * 0.01 * 1e4
    words = [aloud(str(limit), value) for limit, value in prices_of.items()]
    traded = 100 * float(changed[["bought", "sold"]].to_numpy().sum())
    found.say(
        f"{len(changed)} of {len(prices.columns)} positions are traded, {traded:.1f}% of wealth; the gap is "
        f"{solution.gap:.0e} a day.\n\n" + "\n".join(f"- {line}" for line in words),
        prices="\n".join(f"- {line}" for line in words),
        traded=f"{traded:.1f}",
        positions=len(changed),
        own=f"{max(solution.gap, 1e-12):.0e}",  # beyond that it is rounding
    )


def run() -> study.Study:
    found = study.Study("costs-inside", "Costs inside the objective")
    prices = load_us20(tickers=TICKERS, start="2010", end="2019")
    train, test = prices[:"2017"], prices["2018":]
    tables, worst = {}, 0.0
    formats = {f"{what}, {where}": form for what, form in COLUMNS.items() for where in ("outside", "inside")}
    for pace, every in PACES.items():
        tables[pace], gap = sweep(train, test, every)
        worst = max(worst, gap)
        found.table(pace, f"Decided and traded {pace}", tables[pace], formats)
    found.say(f"The worst certified gap of all decisions is {worst:.1e} a day.", gap=f"{worst:.1e}")
    found.figure("costs-inside", chart(tables))

    rows = {}
    tester = Backtester(train, test, cost={"const": 20})
    for horizon in HORIZONS:
        result = tester.backtest(Kelly(mandate=AWARE.set_params(horizon=horizon)), reopt_freq=5, rebalance_freq=5)
        rows[f"{horizon} periods"] = {
            "Decisions that trade %": 100 * float((result.turnover[::5] > 0).mean()),
            **dict(zip(COLUMNS, figures(result), strict=True)),
        }
    shape = {"Decisions that trade %": ",.0f", **COLUMNS}
    found.table("horizons", "Full Kelly, weekly, 20 basis points, by horizon", pd.DataFrame(rows), shape)
    mandate(found, train)
    row = tables["daily"]["Full Kelly, 20 bps"]
    out, kept = (row[f"Turnover a year, {where}"] for where in ("outside", "inside"))
    saved = row["Costs % a year, outside"] - row["Costs % a year, inside"]
    found.say(
        f"At 20 basis points, daily, full Kelly trades {out:.1f} a year with costs outside, {kept:.1f} inside.",
        **{"out": f"{out:.1f}", "in": f"{kept:.1f}", "saved": f"{saved:.2f}", "bps": 20, "tickers": TICKERS},
    )
    return found


if __name__ == "__main__":
    study.main(run, __doc__.splitlines()[0])
