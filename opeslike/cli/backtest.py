"""``opeslike backtest``: one strategy walked forward, and its report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from opeslike.cli.objectives import OBJECTIVES, listed, made, parameter
from opeslike.cli.options import (
    TEST_END,
    TRAIN_START,
    add_command,
    add_data_options,
    count,
    day,
    load,
    numbers,
    split_at,
)
from opeslike.errors import PortfolioError

#: Rules that say what to hold; they need a sizer.
SELECTIONS = {
    "buy-and-hold": "BuyAndHold",
    "dual-momentum": "DualMomentum",
    "monthly-seasonal": "MonthlySeasonal",
    "moving-average-cross": "MovingAverageCross",
    "time-series-momentum": "TimeSeriesMomentum",
    "turn-of-month": "TurnOfMonth",
}
SIZERS = {
    "conservative": "ConservativeSizer",
    "dynamic-kelly": "DynamicKelly",
    "equal-weight": "EqualWeight",
    "kelly": "KellySizer",
    "max-positions": "MaxPositions",
    "optimal-f": "OptimalFSizer",
    "risk-parity-vol-target": "RiskParityVolTarget",
    "volatility-target": "VolatilityTarget",
}
#: Strategies by themselves.
RULES = {
    "conservative": "Conservative",
    "expanding-kelly": "ExpandingKelly",
    "optimal-f": "OptimalF",
    "rolling-kelly": "RollingKelly",
}

HELP = f"""\
strategies with a sizer:
{listed(SELECTIONS)}
by themselves:
{listed([*RULES, *OBJECTIVES])}

examples:
  opeslike backtest --strategy dual-momentum --sizer dynamic-kelly --reopt 5 --rebalance 5
  opeslike backtest --strategy dual-momentum --param n_long=2 --sizer dynamic-kelly --sizer-param max_leverage=2
  opeslike backtest --strategy time-series-momentum --sizer equal-weight --drawdown 0.1,0.2 --html report.html
  opeslike backtest --strategy kelly --param fraction=0.5 --csv prices.csv --train-end 2021

Parameters are those of the Python classes. Without --csv or --yahoo the prices are embedded ones:
ten US large caps, train 2010-2017, test 2018-2019. Of data of your own the first 80% of the rows are
the training set unless --train-end says otherwise."""


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = add_command(commands, "backtest", run, "walk one strategy forward; report as text and HTML", HELP)
    rules = parser.add_argument_group("strategy")
    rules.add_argument(
        "--strategy", metavar="NAME", choices=[*SELECTIONS, *RULES, *OBJECTIVES], required=True, help="see below"
    )
    rules.add_argument("--param", metavar="KEY=VALUE", type=parameter, action="append", default=[], help="repeatable")
    rules.add_argument("--sizer", metavar="NAME", choices=list(SIZERS), help=", ".join(SIZERS))
    rules.add_argument("--sizer-param", metavar="KEY=VALUE", type=parameter, action="append", default=[])
    rules.add_argument(
        "--drawdown", metavar="SOFT,HARD", type=numbers(2), help="scale down linearly between these two drawdowns"
    )
    rules.add_argument(
        "--recovery", metavar="N", type=count(1), help="with --drawdown: re-enter after N flat steps (default: never)"
    )
    add_data_options(parser)
    split = parser.add_argument_group("training")
    split.add_argument("--train-end", metavar="DATE", type=day("end"), help="last day of the training set")
    split.add_argument("--window", metavar="N", type=count(1), help="see the last N returns (default: all so far)")
    split.add_argument("--reopt", metavar="K", type=count(1), default=1, help="decide every K steps (default: 1)")
    trading = parser.add_argument_group("trading")
    trading.add_argument("--cost-bps", metavar="BPS", type=float, default=20.0, help="of what is traded (default: 20)")
    trading.add_argument("--rebalance", metavar="K", type=count(1), default=1, help="trade every K steps (default: 1)")
    trading.add_argument("--lag", metavar="L", type=count(0), default=1, help="steps from data to trade (default: 1)")
    trading.add_argument("--capital", metavar="MONEY", type=float, default=100_000.0, help="(default: 100000)")
    rates = (("risk-free", "on cash: 0.02 is 2%%"), ("borrow-spread", "over it on debt"), ("short-fee", "on shorts"))
    for name, what in rates:
        trading.add_argument(f"--{name}", metavar="RATE", type=float, default=0.0, help=f"annual, {what}")
    trading.add_argument(
        "--periods-per-year", metavar="P", type=float, default=252.0, help="252 (default), 365, 52 or 12"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--benchmark", metavar="TICKER", help="of the data")
    output.add_argument("--html", metavar="FILE", help="write the report as one HTML file")
    output.add_argument("--title", metavar="TEXT", help="of the report")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(args: argparse.Namespace) -> None:
    """Print the report, and write it where asked to."""
    if args.recovery is not None and args.drawdown is None:
        raise PortfolioError("--recovery says when to re-enter after a drawdown; add --drawdown, such as 0.1,0.2")
    strategy = make_strategy(args.strategy, args.param, args.sizer, args.sizer_param, args.reopt)
    prices = load(args, TRAIN_START, TEST_END)
    train, test = split_at(args, prices)

    from opeslike.accounting.overlays import DrawdownScaling
    from opeslike.backtester import Backtester

    overlays = []
    if args.drawdown is not None:
        soft, hard = args.drawdown
        overlays.append(DrawdownScaling(soft, hard, args.recovery))
    tester = Backtester(
        train,
        test,
        {"const": args.cost_bps},
        kind=args.kind,
        initial_capital=args.capital,
        risk_free=args.risk_free,
        borrow_spread=args.borrow_spread,
        short_fee=args.short_fee,
        periods_per_year=args.periods_per_year,
    )
    result = tester.backtest(
        strategy,
        rebalance_freq=args.rebalance,
        reopt_freq=args.reopt,
        window=args.window,
        execution_lag=args.lag,
        progress=False if args.quiet else None,
        overlays=overlays,
    )
    name = args.strategy if args.sizer is None else f"{args.strategy}, {args.sizer}"
    report = result.report(args.benchmark, name if args.title is None else args.title)
    if not args.quiet:
        print(report)
    if args.html is not None:
        report.to_html(args.html)
        if not args.quiet:
            print(f"\nReport in {args.html}")


def make_strategy(
    name: str,
    parameters: Sequence[tuple[str, Any]] = (),
    sizer: str | None = None,
    sizer_parameters: Sequence[tuple[str, Any]] = (),
    every: int = 1,
) -> Any:
    """Make a strategy by its name on the command line.

    Raises
    ------
    PortfolioError
        If a rule lacks its sizer or a strategy has one too many, or a parameter is unknown or out of its range.
    """
    from opeslike import objectives, strategies

    if name not in SELECTIONS:
        if sizer is not None or sizer_parameters:
            raise PortfolioError(f"--strategy {name} sizes its own positions; leave --sizer out")
        home, label = (strategies, RULES[name]) if name in RULES else (objectives, OBJECTIVES[name])
        return made(getattr(home, label), name, parameters, "--param")
    if sizer is None:
        raise PortfolioError(f"--strategy {name} says what to hold, not how much: add --sizer, such as equal-weight")
    selection = made(getattr(strategies, SELECTIONS[name]), name, parameters, "--param")
    sized = made(getattr(strategies, SIZERS[sizer]), sizer, sizer_parameters, "--sizer-param")
    return strategies.Sized(selection, sized, every)
