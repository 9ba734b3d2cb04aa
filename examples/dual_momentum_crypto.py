"""Dual momentum, long and short, with a dynamic Kelly sizer: ten coins in 2025, half and full Kelly, drawdown control.

Writes: dual-momentum.md, dual-momentum-wealth.png, dual-momentum-weights.png

    python dual_momentum_crypto.py              on ten embedded stocks in 2022, or on OPESLIKE_TEST_DATA (see study.py)
    python dual_momentum_crypto.py --out FOLDER

Long the coin that rose most in 60 days, short the one that fell most, each only if its own move has that sign; no
shorts while the average coin is above its 100-day average, no longs while it is below. Each leg is a Kelly bet on a
prior of 58% wins at 2 to 1, blended with the account's own closed trades. Decided weekly, a day before it is traded, 15
basis points of what is traded, 250,000 to start. Half Kelly (gross at most 2, flat at a drawdown of 20%) beside full
Kelly (gross at most 4, flat at 40%).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import study

from opeslike import Backtester, load_csv, load_sp500, load_us20
from opeslike.accounting.overlays import DrawdownScaling
from opeslike.accounting.result import BacktestResult
from opeslike.analysis import plot_leverage, plot_weights, relative_metrics
from opeslike.sizing import kelly_binary
from opeslike.strategies import BuyAndHold, DualMomentum, DynamicKelly, EqualWeight, Sized, Sizer

COST = {"commission": 10, "slippage": 5}
CAPITAL = 250_000
STOCKS = "AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH"
LOOKBACKS = (20, 40, 60, 90, 120)

HALF = DynamicKelly(kelly_fraction=0.5, max_leverage=2.0)
FULL = DynamicKelly(kelly_fraction=1.0, max_leverage=4.0)
CAREFUL, BOLD = DrawdownScaling(soft=0.10, hard=0.20), DrawdownScaling(soft=0.20, hard=0.40)


@dataclass
class Case:
    """Prices, a benchmark and a calendar."""

    prices: pd.DataFrame
    benchmark: pd.DataFrame
    start: str
    end: str
    years: range
    week: int
    year: int
    source: str

    def tester(self, prices: pd.DataFrame, start: str, end: str, delay: int = 0) -> Backtester:
        """All that came before ``start`` to learn from; ``delay`` moves the first trade by days."""
        first = prices.index.searchsorted(pd.Timestamp(start)) + delay
        return Backtester(
            prices[:first], prices[first:].loc[:end], COST, initial_capital=CAPITAL, periods_per_year=self.year
        )

    def run(
        self,
        sizer: Sizer,
        drawdown: DrawdownScaling | None = None,
        *,
        lookback: int = 60,
        delay: int = 0,
        span: tuple[str, str] | None = None,
    ) -> BacktestResult:
        """One backtest of the rule with a sizer, over the year of the study unless another span is given."""
        rule = DualMomentum(lookback=lookback, n_long=1, n_short=1, regime_window=100)
        tester = self.tester(self.prices, *(span or (self.start, self.end)), delay)
        overlays = [] if drawdown is None else [drawdown]
        return tester.backtest(Sized(rule, sizer), reopt_freq=self.week, rebalance_freq=self.week, overlays=overlays)

    def hold(self, span: tuple[str, str] | None = None) -> BacktestResult:
        """The benchmark, bought once."""
        return self.tester(self.benchmark, *(span or (self.start, self.end))).backtest(BuyAndHold())


def coins_or_stocks() -> Case:
    """The coins where their file is there, else the embedded stocks."""
    path = study.file("crypto10.csv")
    if path is None:
        source = "ten stocks embedded in the package, and the S&P 500 without dividends as benchmark"
        stocks = load_us20(tickers=STOCKS)
        return Case(stocks, load_sp500().to_frame(), "2022-01-03", "2022-12-28", range(2018, 2022), 5, 252, source)
    coins = load_csv(path)
    source = f"ten coins against USDT, closes at midnight UTC ({study.hashed('crypto10.csv')})"
    return Case(coins, coins[["BTC"]], "2025-01-01", "2025-12-20", range(2021, 2025), 7, 365, source)


def run() -> study.Study:
    found = study.Study("dual-momentum", "Dual momentum, long and short, with a dynamic Kelly sizer")
    case = coins_or_stocks()
    coins, rival = ", ".join(map(str, case.prices.columns)), str(case.benchmark.columns[0])
    found.say(
        f"Prices: {case.source}: {coins}; {case.start} to {case.end}.",
        source=case.source, coins=coins, start=case.start, end=case.end, rival=rival,
    )  # fmt: skip
    full = the_year(found, case, rival)
    where_odds_come_from(found, case, full)
    sensitivity(found, case)
    by_year(found, case, rival)
    return found


def the_year(found: study.Study, case: Case, rival: str) -> BacktestResult:
    """Half and full Kelly beside what they are to be judged by."""
    held = case.hold()
    full, half = case.run(FULL, BOLD), case.run(HALF, CAREFUL)
    results = {
        "Half Kelly, drawdown 10/20%": half,
        "Full Kelly, drawdown 20/40%": full,
        "Full Kelly, no drawdown control": case.run(FULL),
        "A tenth in each leg": case.run(EqualWeight(weight=0.10)),
        f"{rival}, held": held,
    }
    frame = study.statistics(results, periods=case.year)
    frame.loc["Costs % a year"] = [100 * case.year * result.costs.mean() for result in results.values()]
    frame.loc["Trades"] = [len(result.trades) for result in results.values()]
    frame.loc["Won %"] = [100 * result.trade_summary()["win_rate"] for result in results.values()]
    frame.loc["Final wealth"] = [result["wealth"][-1] for result in results.values()]
    frame = frame.reindex(["Final wealth", *frame.index.drop(["Final wealth", "Drawdown days"])])
    formats = study.STATISTICS | {"Final wealth": ",.0f", "Costs % a year": ",.2f", "Trades": ",.0f", "Won %": ",.0f"}
    found.table("table", "The year", frame, formats)

    shown = {
        "alpha": "Alpha % a year",
        "beta": "Beta",
        "correlation": "Correlation",
        "tracking_error": "Tracking error %",
        "information_ratio": "Information ratio",
        "up_capture": "Up capture %",
        "down_capture": "Down capture %",
    }
    against = pd.DataFrame(
        {
            name: relative_metrics(result.returns, held.returns, periods_per_year=case.year)[list(shown)]
            for name, result in results.items()
            if result is not held
        }
    )
    against.index = pd.Index(shown.values())
    against.loc[[name for name in against.index if "%" in name]] *= 100
    found.table(
        "against", f"Against {rival}", against, {name: ",.1f" if "%" in name else ",.2f" for name in shown.values()}
    )

    # Contributions, costs and financing add up to the total return.
    parts = full.report(benchmark=held.returns)["contributions"]
    earned = parts["contribution"].map("{:+.1%}".format)
    best, worst = parts["contribution"].iloc[: len(full.assets)].agg(["idxmax", "idxmin"])
    found.say(
        f"Full Kelly: {best} gave {earned[best]}, {worst} {earned[worst]}, costs {earned['costs']}, together "
        f"{earned['total']}. Gross exposure was {full.leverage.max():.2f} at most.",
        best=best, best_part=earned[best], worst_coin=worst, worst_part=earned[worst], costs_part=earned["costs"],
        total=earned["total"], gross=f"{full.leverage.max():.2f}", gross_half=f"{half.leverage.max():.2f}",
    )  # fmt: skip
    chart = plot_leverage(
        {name: result.returns for name, result in results.items()},
        {name: result.leverage for name, result in results.items() if result is not held},
        start=held.start,
        title="Dual momentum with dynamic Kelly, and its gross exposure",
    )
    found.figure("dual-momentum-wealth", chart)
    found.figure("dual-momentum-weights", plot_weights(full.weights, title="Full Kelly: what was held"))
    return full


def where_odds_come_from(found: study.Study, case: Case, full: BacktestResult) -> None:
    """The prior of the study beside one from earlier years, and one that has seen the year itself."""
    years = (f"{case.years[0]}-01-01", f"{case.years[-1]}-12-31")
    # Sized alike, so that the odds are those of the rule.
    plain = EqualWeight(weight=0.10)
    earlier, seen = case.run(plain, span=years), case.run(plain)
    priors = {
        "assumed": (FULL.win_rate, FULL.win_loss_ratio),
        f"the rule's trades of {case.years[0]}-{case.years[-1]}": odds(earlier),
        "the rule's trades of the year itself (look-ahead)": odds(seen),
    }
    rows = {}
    for name, (p, b) in priors.items():
        made = case.run(DynamicKelly(win_rate=p, win_loss_ratio=b, max_leverage=4.0), BOLD)
        rows[name] = {
            "Win rate %": 100 * p,
            "Win / loss": b,
            "Kelly per leg %": 100 * kelly_binary(p, b),
            "Total return %": total(made),
            "Max gross": made.leverage.max(),
        }
    frame = pd.DataFrame(rows)
    formats = {"Win rate %": ",.0f", "Win / loss": ",.2f", "Kelly per leg %": ",.0f", "Total return %": ",.1f"}
    found.table("priors", "Full Kelly by where its prior comes from", frame, formats | {"Max gross": ",.2f"})
    closed = full.trade_summary(closed_only=True)
    p, b = odds(full)
    found.say(
        f"The prior counts as {FULL.prior_trades:.0f} trades. Full Kelly closed {closed['trades']:.0f}, {p:.0%} of "
        f"them with a profit, the average win {b:.2f} times the average loss.",
        leg=f"{kelly_binary(FULL.win_rate, FULL.win_loss_ratio):.0%}", prior=f"{FULL.prior_trades:.0f}",
        closed=f"{closed['trades']:.0f}", won=f"{p:.0%}", ratio=f"{b:.2f}",
        earlier_trades=f"{earlier.trade_summary(closed_only=True)['trades']:.0f}",
        years=f"{case.years[0]} to {case.years[-1]}",
    )  # fmt: skip


def odds(result: BacktestResult) -> tuple[float, float]:
    """Share of closed trades with a profit, and the average win over the average loss, in returns on notional."""
    closed = result.trade_summary(closed_only=True)
    return closed["win_rate"], closed["average_win_return"] / closed["average_loss_return"]


def sensitivity(found: study.Study, case: Case) -> None:
    """How much of it is the day of the week, and how much the look-back."""
    for key, name, sizer, drawdown in (("full", "full Kelly", FULL, BOLD), ("half", "half Kelly", HALF, CAREFUL)):
        table = pd.DataFrame(
            {
                f"{look} days": {
                    f"day {delay + 1}": total(case.run(sizer, drawdown, lookback=look, delay=delay))
                    for delay in range(case.week)
                }
                for look in LOOKBACKS
            }
        )
        found.table(
            f"sensitivity-{key}", f"Return in % of {name}, by look-back and first day", table,
            dict.fromkeys(table.index, ",.0f"),
        )  # fmt: skip
        every, sixty = pd.Series(table.to_numpy().ravel()), table["60 days"]
        found.say(
            f"{name[:1].upper()}{name[1:]}: {(every > 0).sum()} of {every.size} made money; from {every.min():.0f}% to "
            f"{every.max():.0f}%, median {every.median():.0f}%. With 60 days, by first day alone: {sixty.min():.0f}% "
            f"to {sixty.max():.0f}%.",
            **{
                f"{key}_gained": (every > 0).sum(), f"{key}_variants": every.size, f"{key}_worst": f"{every.min():.0f}",
                f"{key}_best": f"{every.max():.0f}", f"{key}_median": f"{every.median():.0f}",
                f"{key}_low60": f"{sixty.min():.0f}", f"{key}_high60": f"{sixty.max():.0f}",
                f"{key}_spread60": f"{sixty.max() - sixty.min():.0f}",
            },
        )  # fmt: skip


def by_year(found: study.Study, case: Case, rival: str) -> None:
    """The same rule in the years before: worst, middle and best of the first days of the week."""
    spans = {str(year): (f"{year}-01-01", f"{year}-12-31") for year in case.years}
    spans[case.start[:4]] = (case.start, case.end)
    rows = {}
    for year, span in spans.items():
        made = pd.Series([total(case.run(FULL, BOLD, delay=delay, span=span)) for delay in range(case.week)])
        rows[year] = {
            "Worst day": made.min(),
            "Median day": made.median(),
            "Best day": made.max(),
            f"{rival}, held": total(case.hold(span)),
        }
    frame = pd.DataFrame(rows)
    found.table(
        "years-table",
        "Return in % of full Kelly, by year, over the first days of the week",
        frame,
        dict.fromkeys(frame.index, ",.0f"),
    )


def total(result: BacktestResult) -> float:
    """Total return in percent."""
    return 100 * (result["wealth"][-1] / CAPITAL - 1)


if __name__ == "__main__":
    study.main(run, __doc__.splitlines()[0])
