"""Kelly and optimal f, as of today and in time: a calendar rule sized with all that is known now, and with what was.

Writes: kelly-and-optimal-f.md, kelly-and-optimal-f.png

    python kelly_and_optimal_f.py              on the embedded index, or on OPESLIKE_TEST_DATA (see study.py)
    python kelly_and_optimal_f.py --out FOLDER

The rule holds the index over the turn of the month (the last trading day and the first three) when its last twelve
months were positive. Its outcomes, by day or by trade, are sized by binary Kelly and by Vince's optimal f, each
divided by an expected maximum loss of 10% a day or 20% a trade; plain, and from the resample at the fifth percentile of
100 bootstraps. Five years to learn from, then re-estimated every 252 days on all days so far. 2 basis points of what is
traded; cash earns the bill rate, borrowing costs two points more.
"""

from __future__ import annotations

import pandas as pd
import study

from opeslike import Backtester
from opeslike.analysis import plot_leverage
from opeslike.sizing import (
    BINARY_KELLY,
    EMPIRICAL_KELLY,
    OPTIMAL_F,
    PARTIAL_KELLY,
    conservative,
    outcome_statistics,
    trade_returns,
)
from opeslike.strategies import (
    AllOf,
    BuyAndHold,
    ConservativeSizer,
    EqualWeight,
    OutcomeSizer,
    Sized,
    TimeSeriesMomentum,
    TurnOfMonth,
)

START, END = "1993-01-29", "2020-12-31"
YEAR, YEARS = 252, 5
LOSS = {"periods": 0.10, "trades": 0.20}
WORDS = {"periods": "day", "trades": "trade"}
RULES = {"Kelly": BINARY_KELLY, "optimal f": OPTIMAL_F}


def run() -> study.Study:
    found = study.Study("kelly-and-optimal-f", "Kelly and optimal f, as of today and in time")
    prices, source = study.equity()
    prices = prices[START:END]
    bill, rate = study.bill_rate(0.025)
    rule = AllOf(TurnOfMonth(last=1, first=3), TimeSeriesMomentum(lookback=YEAR, allow_short=False))
    found.say(f"Prices: {source}. Cash earns {rate}.", source=source, rate=rate)

    # 1. As of today: every outcome that the unsized rule has had.
    first = YEAR + 2
    unsized = Backtester(prices[:first], prices[first:], cost={"const": 0}).backtest(rule)
    held, moves = unsized.weights.iloc[:, 0], unsized.asset_returns.iloc[:, 0]
    outcomes = {"periods": moves[held > 0], "trades": trade_returns(held, moves)}
    facts = {}
    for kind, made in outcomes.items():
        odds = outcome_statistics(made)
        facts[f"by {WORDS[kind]}"] = {
            "Outcomes": len(made),
            "Win rate %": 100 * odds.p,
            "Average win %": 100 * odds.win,
            "Average loss %": 100 * odds.loss,
            "Worst %": 100 * made.min(),
            "Mean %": 100 * made.mean(),
        }
    formats = {"Outcomes": ",.0f", "Win rate %": ",.1f", "Worst %": ",.2f"}
    formats |= dict.fromkeys(("Average win %", "Average loss %", "Mean %"), ",.3f")
    found.table("outcomes", "What there is to size", pd.DataFrame(facts), formats)
    today, sizes = {}, {}
    for kind, made in outcomes.items():
        for name, sizing in (RULES | {"partial Kelly": PARTIAL_KELLY, "empirical Kelly": EMPIRICAL_KELLY}).items():
            careful = conservative(sizing, made, expected_max_loss=LOSS[kind])
            risk = sizing.unit == "risk_fraction"
            plain = sizing(made) / (LOSS[kind] if risk else 1.0)
            label = f"{name}, by {WORDS[kind]}"
            sizes[label], sizes[f"{label}, conservative"] = plain, careful.leverage
            today[label] = {
                "Risk fraction": sizing(made) if risk else float("nan"),
                "Leverage": plain,
                "Conservative leverage": careful.leverage,
            }
    formats = {"Risk fraction": ",.3f", "Leverage": ",.2f", "Conservative leverage": ",.2f"}
    found.table("today", "As of today: sizes from all outcomes", pd.DataFrame(today), formats)

    # 2. In time: the same sizes from what was known, beside those of today held from the start.
    split = YEARS * YEAR + 1
    tester = Backtester(prices[:split], prices[split:], cost={"const": 2}, risk_free=bill, borrow_spread=0.02)
    honest = {"Buy and hold": tester.backtest(BuyAndHold()), "Rule, unsized": tester.backtest(rule)}
    ahead = {}
    for name, sizing in RULES.items():
        for kind, words in WORDS.items():
            known = {"outcomes": kind, "expected_max_loss": LOSS[kind], "every": YEAR, "min_outcomes": 20}
            label = f"{name}, by {words}"
            honest[label] = tester.backtest(Sized(rule, OutcomeSizer(sizing, **known)))
            honest[f"{label}, conservative"] = tester.backtest(Sized(rule, ConservativeSizer(sizing, **known)))
    for label in honest:
        if sizes.get(label):
            ahead[label] = tester.backtest(Sized(rule, EqualWeight(weight=sizes[label])))
    first_day, last_day = honest["Rule, unsized"].start, honest["Rule, unsized"].timeline[-1]
    found.say(
        f"Traded from {first_day:%Y-%m-%d} to {last_day:%Y-%m-%d}.",
        first=f"{first_day:%Y-%m-%d}",
        last=f"{last_day:%Y-%m-%d}",
    )
    columns = {}
    for label, result in honest.items():
        figures = study.statistics({label: result}, bill)[label]
        cheat = study.statistics({label: ahead[label]}, bill)[label] if label in ahead else {}
        sized = result.leverage[result.leverage > 0]
        columns[label] = {
            "Annual return %": figures["Annual return %"],
            "Max drawdown %": figures["Max drawdown %"],
            "Sharpe": figures["Sharpe"],
            "Lowest leverage": sized.min() if len(sized) else 0.0,
            "Highest leverage": sized.max() if len(sized) else 0.0,
            "Look-ahead leverage": sizes.get(label, float("nan")) if label in ahead else float("nan"),
            "Look-ahead return %": cheat.get("Annual return %", float("nan")),
            "Look-ahead drawdown %": cheat.get("Max drawdown %", float("nan")),
        }
    formats = dict.fromkeys(columns["Buy and hold"], ",.2f")
    formats |= {"Max drawdown %": ",.1f", "Look-ahead drawdown %": ",.1f"}
    title = "In time: re-estimated yearly, and today's size held from the start"
    found.table("time", title, pd.DataFrame(columns), formats)

    more = [c["Look-ahead return %"] - c["Annual return %"] for label, c in columns.items() if label in ahead]
    share = float((honest["Rule, unsized"].leverage > 0).mean())
    found.say(
        f"Look-ahead adds {min(more):.1f} to {max(more):.1f} points a year. In the market on {share:.0%} of the days.",
        least=f"{min(more):.1f}",
        most=f"{max(more):.1f}",
        share=f"{share:.0%}",
    )

    shown = {"Buy and hold": honest["Buy and hold"], "Rule, unsized": honest["Rule, unsized"]}
    for label in ("Kelly, by day", "optimal f, by day", "optimal f, by day, conservative"):
        shown[label.replace(", by day", "")] = honest[label]
    shown["optimal f, look-ahead"] = ahead["optimal f, by day"]
    chart = plot_leverage(
        {name: result.returns for name, result in shown.items()},
        # Between its short trades the rule is out; what it last held is the size.
        {name: result.leverage.where(result.leverage > 0).ffill().bfill() for name, result in shown.items()},
        start=first_day,
        title="A calendar rule sized by its days: in time, and with what is known today",
    )
    found.figure("kelly-and-optimal-f", chart)
    return found


if __name__ == "__main__":
    study.main(run, __doc__.splitlines()[0])
