"""``opeslike orders``: tell what to buy and sell: whole shares, within the cash there is.

strategies:
{strategies}

examples:
  opeslike orders --csv prices.csv --holdings holdings.csv --cash 25000
  opeslike orders --csv prices.csv --cash 25000 --strategy kl-robust:radius=.02
  opeslike orders --csv prices.csv --cash 25000 --fees 1,5,3 --json
  opeslike orders --csv prices.csv --cash 25000 --weights weights.csv

--holdings and --weights are CSV files of a ticker and a number a line, shares
or fractions of wealth (as opeslike optimize --format csv prints them); a first
line without a number is their header. Prices are the last row. What is held
and not wanted is sold; all is whole shares unless --fractional or --lot say
otherwise.
"""

from __future__ import annotations

import argparse
from typing import Any

from opeslike.cli import options
from opeslike.cli.objectives import OBJECTIVES, listed, make_strategy, named
from opeslike.cli.options import count, numbers, opt
from opeslike.errors import DataError, PortfolioError


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = options.add_command(commands, "orders", run, __doc__, strategies=listed(OBJECTIVES))
    opt(parser, "--cash MONEY", "in the account; below 0 it is debt", float, required=True)
    opt(parser, "--holdings FILE", "shares held (default: none)", options.path)
    target = parser.add_argument_group("target").add_mutually_exclusive_group()
    opt(target, "--strategy NAME[:KEY=VALUE,...]", "see below (default: kelly)", named, default=("", "kelly", []))
    opt(target, "--weights FILE", "weights of your own", options.path)
    rules = parser.add_argument_group("with --strategy")
    opt(rules, "--bounds LO,HI", "of each weight (default: 0,1)", numbers(2))
    opt(rules, "--window N", "use the last N returns (default: all)", count(1))
    options.add_data_options(parser)
    terms = parser.add_argument_group("the broker")
    opt(terms, "--fees FIXED,BPS,MINIMUM", "of each order: money, basis points, money (default: 0,0,0)", numbers(3))
    opt(terms, "--minimum-trade MONEY", "smallest order (default: 0)", float, default=0.0)
    opt(terms, "--lot N", "shares in a lot (default: 1)", float, default=1.0)
    opt(terms, "--fractional A,B", "tickers traded in fractions of a share")
    output = parser.add_argument_group("output")
    options.add_format(output)
    opt(output, "--quiet", "no progress and no warnings")


def run(args: argparse.Namespace) -> None:
    """Print the orders."""
    if args.kind == "returns":
        raise PortfolioError("--kind returns: orders need prices; leave it out and give a file of prices")
    if args.weights is not None and (args.bounds is not None or args.window is not None):
        raise PortfolioError("--bounds and --window describe --strategy; leave them or --weights out")
    held = {} if args.holdings is None else by_ticker(args.holdings)
    wanted: Any = None if args.weights is None else by_ticker(args.weights)
    prices = options.load(args, options.TRAIN_START, None)

    import pandas as pd

    from opeslike.market import describe
    from opeslike.orders import Fees, orders

    if wanted is None:
        _, name, parameters = args.strategy
        if name not in OBJECTIVES:
            raise PortfolioError(f"--strategy {name} is a rule for backtests; name an objective, or give --weights")
        wanted = make_strategy(name, parameters, option=f"--strategy {name}")
        worth = prices.iloc[-1].reindex(list(held)) * pd.Series(held, dtype=float)
        weights = worth.dropna() / (args.cash + worth.sum() or 1.0)
        seen = prices if args.window is None else prices.iloc[-args.window - 1 :]
        wanted.optimize(seen, args.bounds, kind="prices", held=weights if wanted.uses_held else None)
    fractional = () if args.fractional is None else args.fractional.split(",")
    terms = {"lot": args.lot, "fractional": fractional, "minimum_trade": args.minimum_trade}
    found = orders(wanted, prices, args.cash, held, fees=Fees(*(args.fees or ())), **terms)
    date = describe(prices.index[-1])

    def facts() -> dict[str, Any]:
        frames = {"orders": found.table, "positions": found.positions}
        tables = {name: frame.reset_index().to_dict("records") for name, frame in frames.items()}
        told = ("cash", "wealth", "fees", "deviation", "growth_given_up", "notes")
        return {"date": date, **tables, **{name: getattr(found, name) for name in told}}

    options.show(args.format, lambda: f"{date}\n\n{found.to_text(args.format)}", facts, found.table)


def by_ticker(file: str) -> dict[str, float]:
    """Numbers by ticker from a CSV file of two columns, with or without a header.

    Raises
    ------
    DataError
        Naming the file and the row (the first line is row 1).
    """
    found: dict[str, float] = {}
    for row, cells in enumerate(options.csv_rows(file), start=1):
        ticker, *rest = [cell.strip() for cell in cells] or [""]
        if not any([ticker, *rest]):
            continue
        try:
            (number,) = map(float, rest)
        except ValueError:
            if row == 1:
                continue
            raise DataError(f"{file}, row {row}: {','.join(cells)!r:.80} is not a ticker and a number") from None
        if ticker in found:
            raise DataError(f"{file}, row {row}: {ticker} stands in an earlier row too; keep one")
        found[ticker] = number
    if not found:
        raise DataError(f"{file} holds no line of a ticker and a number")
    return found
