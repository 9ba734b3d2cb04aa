"""``opeslike backtest``: walk one strategy forward; report as text, HTML or JSON.

strategies with a sizer:
{selections}
by themselves:
{others}

examples:
  opeslike backtest --strategy dual-momentum --sizer dynamic-kelly --reopt 5 --rebalance 5
  opeslike backtest --strategy dual-momentum --param n_long=2 --sizer dynamic-kelly --sizer-param max_leverage=2
  opeslike backtest --strategy time-series-momentum --sizer equal-weight --drawdown 0.1,0.2 --html report.html
  opeslike backtest --strategy kelly --param fraction=0.5 --csv prices.csv --train-end 2021
  opeslike backtest --strategy risk-parity --reopt QE --rebalance ME --weights weights.csv --format json

Parameters are those of the Python classes. Without --csv or --yahoo the prices are embedded ones:
ten US large caps, train 2010-2017, test 2018-2019. Of data of your own the first 80% of the rows are
the training set unless --train-end says otherwise.
"""

from __future__ import annotations

import argparse
from typing import Any

from opeslike.cli import options
from opeslike.cli.objectives import OBJECTIVES, RULES, SELECTIONS, SIZERS, listed, make_strategy, parameter
from opeslike.cli.options import count, numbers, opt, path
from opeslike.errors import PortfolioError


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = options.add_command(
        commands, "backtest", run, __doc__, selections=listed(SELECTIONS), others=listed([*RULES, *OBJECTIVES])
    )
    rules = parser.add_argument_group("strategy")
    opt(rules, "--strategy NAME", "see below", choices=[*SELECTIONS, *RULES, *OBJECTIVES], required=True)
    opt(rules, "--param KEY=VALUE", "repeatable", parameter, action="append", default=[])
    opt(rules, "--sizer NAME", ", ".join(SIZERS), choices=list(SIZERS))
    opt(rules, "--sizer-param KEY=VALUE", "repeatable", parameter, action="append", default=[])
    opt(rules, "--drawdown SOFT,HARD", "scale down linearly between these two drawdowns", numbers(2))
    opt(rules, "--recovery N", "with --drawdown: re-enter after N flat steps (default: never)", count(1))
    options.add_data_options(parser)
    options.add_walk_options(parser, 1)
    output = parser.add_argument_group("output")
    opt(output, "--capital MONEY", "(default: 100000)", float, default=100_000.0)
    opt(output, "--monthly MONEY", "paid in at every month's end; -2000 is taken out", float)
    opt(output, "--inflation RATE", "annual, by which --monthly grows: 0.02 is 2%%", float)
    opt(output, "--benchmark TICKER", "of the data")
    options.add_format(output, "text", "csv", "json")
    opt(output, "--html FILE", "write the report as one HTML file", path)
    opt(output, "--weights FILE", "write what was held, a row a step, as CSV", path)
    opt(output, "--trades FILE", "write the round trips as CSV", path)
    opt(output, "--title TEXT", "of the report")
    opt(output, "--quiet", "print nothing but errors")


def run(args: argparse.Namespace) -> None:
    """Print the report, and write it where asked to."""
    if args.inflation is not None and args.monthly is None:
        raise PortfolioError("--inflation says how --monthly grows; add it, such as --monthly -2000")
    if args.recovery is not None and args.drawdown is None:
        raise PortfolioError("--recovery says when to re-enter after a drawdown; add --drawdown, such as 0.1,0.2")
    every = args.reopt if isinstance(args.reopt, int) else 1
    strategy = make_strategy(args.strategy, args.param, args.sizer, args.sizer_param, every)
    prices = options.load(args, options.TRAIN_START, options.TEST_END)
    train, test = options.split_at(args, prices)

    from opeslike.accounting.flows import Monthly
    from opeslike.accounting.overlays import DrawdownScaling
    from opeslike.analysis.output import write_atomically
    from opeslike.backtester import Backtester
    from opeslike.studies.comparison import Comparison, weights_csv

    terms, walk = options.walk_terms(args)
    soft, hard = args.drawdown or (0.0, 1.0)
    overlays = [] if args.drawdown is None else [DrawdownScaling(soft, hard, args.recovery)]
    flows = None if args.monthly is None else Monthly(args.monthly, args.inflation or 0.0)
    tester = Backtester(train, test, initial_capital=args.capital, flows=flows, **terms)
    result = tester.backtest(strategy, overlays=overlays, **walk)
    name = args.strategy if args.sizer is None else f"{args.strategy}, {args.sizer}"
    title = name if args.title is None else args.title
    report = result.report(args.benchmark, title)
    figures = Comparison({title: result}, periods_per_year=tester.periods_per_year, risk_free=args.risk_free).metrics
    written = {"Report": args.html, "Weights": args.weights, "Trades": args.trades}
    if args.html is not None:
        report.to_html(args.html)
    if args.weights is not None:
        write_atomically(args.weights, weights_csv(result))
    if args.trades is not None:
        write_atomically(args.trades, result.trades.to_csv(index=False, lineterminator="\n"))
    if args.quiet:
        return

    def facts() -> dict[str, Any]:
        span = [str(result.start), str(result.timeline[-1])]
        last = dict(zip(map(str, result.assets), result["weights"][-1].tolist(), strict=True))
        return {
            **{"strategy": title, "test": span, "settings": result.settings, "figures": figures[title].to_dict()},
            **{"weights": last, "certificate": result.certificate},
            "money_weighted_return": result.money_weighted_return,
        }

    files = [f"{what} in {where}" for what, where in written.items() if where is not None]
    options.show(args.format, lambda: "\n\n".join([str(report), *files]), facts, figures)
