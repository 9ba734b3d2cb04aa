"""``opeslike backtest``: one strategy walked forward, and its report."""

from __future__ import annotations

import argparse
from typing import Any

from opeslike.cli.objectives import OBJECTIVES, RULES, SELECTIONS, SIZERS, listed, make_strategy, parameter
from opeslike.cli.options import (
    TEST_END,
    TRAIN_START,
    add_command,
    add_data_options,
    add_walk_options,
    count,
    load,
    numbers,
    path,
    show_json,
    split_at,
    walk_terms,
)
from opeslike.errors import PortfolioError

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
  opeslike backtest --strategy risk-parity --reopt QE --rebalance ME --weights weights.csv --format json

Parameters are those of the Python classes. Without --csv or --yahoo the prices are embedded ones:
ten US large caps, train 2010-2017, test 2018-2019. Of data of your own the first 80% of the rows are
the training set unless --train-end says otherwise."""


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = add_command(commands, "backtest", run, "walk one strategy forward; report as text, HTML or JSON", HELP)
    rules = parser.add_argument_group("strategy")
    names = [*SELECTIONS, *RULES, *OBJECTIVES]
    rules.add_argument("--strategy", metavar="NAME", choices=names, required=True, help="see below")
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
    add_walk_options(parser, 1)
    output = parser.add_argument_group("output")
    output.add_argument("--capital", metavar="MONEY", type=float, default=100_000.0, help="(default: 100000)")
    output.add_argument("--benchmark", metavar="TICKER", help="of the data")
    output.add_argument("--format", choices=["text", "csv", "json"], default="text", help="of what is printed: the "
                        "report as text (the default), or its figures")  # fmt: skip
    output.add_argument("--html", metavar="FILE", type=path, help="write the report as one HTML file")
    output.add_argument("--weights", metavar="FILE", type=path, help="write what was held, a row a step, as CSV")
    output.add_argument("--trades", metavar="FILE", type=path, help="write the round trips as CSV")
    output.add_argument("--title", metavar="TEXT", help="of the report")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(args: argparse.Namespace) -> None:
    """Print the report, and write it where asked to."""
    if args.recovery is not None and args.drawdown is None:
        raise PortfolioError("--recovery says when to re-enter after a drawdown; add --drawdown, such as 0.1,0.2")
    every = args.reopt if isinstance(args.reopt, int) else 1
    strategy = make_strategy(args.strategy, args.param, args.sizer, args.sizer_param, every)
    prices = load(args, TRAIN_START, TEST_END)
    train, test = split_at(args, prices)

    from opeslike.accounting.overlays import DrawdownScaling
    from opeslike.analysis.output import write_atomically
    from opeslike.backtester import Backtester
    from opeslike.studies.comparison import Comparison, csv_text

    terms, walk = walk_terms(args)
    soft, hard = args.drawdown or (0.0, 1.0)
    overlays = [] if args.drawdown is None else [DrawdownScaling(soft, hard, args.recovery)]
    tester = Backtester(train, test, initial_capital=args.capital, **terms)
    result = tester.backtest(strategy, overlays=overlays, **walk)
    name = args.strategy if args.sizer is None else f"{args.strategy}, {args.sizer}"
    title = name if args.title is None else args.title
    report = result.report(args.benchmark, title)
    figures = Comparison({title: result}, periods_per_year=args.periods_per_year, risk_free=args.risk_free).metrics
    if args.quiet:
        pass
    elif args.format == "csv":
        print(figures.to_csv(lineterminator="\n"), end="")
    elif args.format == "json":
        facts = {"strategy": title, "test": [str(result.start), str(result.timeline[-1])], "settings": result.settings}
        weights = dict(zip(map(str, result.assets), result["weights"][-1].tolist(), strict=True))
        show_json({**facts, "figures": figures[title].to_dict(), "weights": weights, "certificate": result.certificate})
    else:
        print(report)
    written = {"Report": args.html, "Weights": args.weights, "Trades": args.trades}
    if args.html is not None:
        report.to_html(args.html)
    if args.weights is not None:
        write_atomically(args.weights, csv_text(result, result["weights"]))
    if args.trades is not None:
        write_atomically(args.trades, result.trades.to_csv(index=False, lineterminator="\n"))
    if not args.quiet and args.format == "text":
        for what, where in written.items():
            if where is not None:
                print(f"\n{what} in {where}")
