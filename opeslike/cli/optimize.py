"""``opeslike optimize``: print today's weights of one objective.

objectives:
{objectives}

examples:
  opeslike optimize --objective kelly --fraction 0.5
  opeslike optimize --objective kl-robust --radius 0.02 --bounds 0,0.3 --yahoo AAPL,MSFT,GLD --start 2015
  opeslike optimize --objective cvar --param confidence=0.9
  opeslike optimize --objective mean-variance --risk-aversion 4 --bounds -0.2,0.5 --csv prices.csv --format json

Without --csv or --yahoo the prices are embedded ones from 2010 to the end of 2022.
"""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from opeslike.cli import options
from opeslike.cli.objectives import OBJECTIVES, listed, made, parameter
from opeslike.cli.options import count, opt
from opeslike.errors import PortfolioError

#: Parameters with an option of their own.
PARAMETERS = ("fraction", "radius", "formulation", "risk_aversion")


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = options.add_command(commands, "optimize", run, __doc__, objectives=listed(OBJECTIVES))
    opt(parser, "--objective NAME", "see below (default: kelly)", choices=list(OBJECTIVES), default="kelly")
    options.add_data_options(parser)
    rules = parser.add_argument_group("parameters")
    opt(rules, "--fraction F", "of Kelly (default: 1)", float)
    opt(rules, "--radius R", "of the KL ball in nats (default: auto, 1/sqrt(n))", options.radius)
    options.add_objective_options(rules)
    opt(rules, "--param KEY=VALUE", "any other; repeatable", parameter, action="append", default=[])
    opt(rules, "--window N", "use the last N returns (default: all)", count(1))
    options.add_format(parser.add_argument_group("output"))


def run(args: argparse.Namespace) -> None:
    """Print the weights."""
    import pandas as pd
    from tabulate import tabulate

    from opeslike import objectives
    from opeslike.market import Market, describe, everyone

    kind = getattr(objectives, OBJECTIVES[args.objective])
    allowed = inspect.signature(kind).parameters
    given = {key: getattr(args, key) for key in PARAMETERS if getattr(args, key) is not None}
    for key in given:
        if key not in allowed:
            option = key.replace("_", "-")
            raise PortfolioError(f"--{option} has no meaning for --objective {args.objective}; leave it out")
    if args.objective == "kl-robust":
        given.setdefault("radius", "auto")
    given |= dict(args.param)
    optimizer = made(kind, args.objective, list(given.items()), "--param")
    market = Market.from_data(options.load(args, options.TRAIN_START, None), args.kind)
    if args.window is not None:
        market = market.window(max(0, market.n_scenarios - args.window), market.n_scenarios)
    optimizer.optimize(market, **({} if args.bounds is None else {"weight_bounds": args.bounds}))
    weights = dict(zip(map(str, everyone(market.assets)), optimizer.clean_weights().tolist(), strict=True))
    cash = 1.0 - sum(weights.values())
    cash = 0.0 if abs(cash) < 1e-9 else cash  # what rounding leaves is no cash
    gap, last = optimizer.solution.gap, describe(market.dates[-1])

    def text() -> str:
        settings = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in given.items())
        rows = [*sorted(weights.items(), key=lambda item: -item[1]), ("cash", cash)]
        cells = [(ticker, f"{100 * weight:.2f}%") for ticker, weight in rows]
        shown = tabulate(cells, ("", "weight"), args.format, colalign=("left", "right"), disable_numparse=True)
        head = f"{args.objective}{f' ({settings})' if settings else ''}, {last}, from {market.n_scenarios} returns"
        proved = "nothing is optimised" if gap is None else f"certified gap {gap:.1e} per period"
        return f"{head}\n\n{shown}\n\n{proved}"

    facts = {"objective": args.objective, "parameters": given, "date": last, "returns": market.n_scenarios}
    facts |= {"weights": weights, "cash": cash, "certified_gap": gap}
    table = pd.Series(weights, name="weight").rename_axis("ticker").to_frame()
    options.show(args.format, text, lambda: facts, table)
