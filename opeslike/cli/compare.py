"""``opeslike compare``: Kelly variants walked forward, side by side."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opeslike.cli.options import (
    TEST_END,
    TRAIN_START,
    add_command,
    add_data_options,
    add_format,
    add_objective_options,
    count,
    day,
    load,
    numbers,
    radius,
    split_at,
)
from opeslike.errors import PortfolioError

if TYPE_CHECKING:
    import pandas as pd

NAMES = {1.0: "", 0.5: "Half ", 0.25: "Quarter "}

HELP = """\
examples:
  opeslike compare
  opeslike compare --yahoo AAPL,MSFT,XOM,GLD --start 2010 --train-end 2017 --end 2019
  opeslike compare --csv prices.csv --train-end 2021-06-30 --cost-bps 5 --fractions 1,0.5
  opeslike compare --tickers JNJ,KO,PG --window 504 --radius auto --format github --no-plots

Without --csv or --yahoo the prices are embedded ones: the ten most volatile of 20 US large caps,
train 2010-2017, test 2018-2019. Of data of your own the first 80% of the rows are the training set
unless --train-end says otherwise. The report is a folder with table.md, metrics.csv, wealth.png,
drawdown.png and weights/<strategy>.csv, and with --html report.html."""


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = add_command(commands, "compare", run, "walk Kelly variants forward; table, charts and weights", HELP)
    add_data_options(parser)
    split = parser.add_argument_group("training")
    split.add_argument("--train-end", metavar="DATE", type=day("end"), help="last day of the training set")
    split.add_argument("--window", metavar="N", type=count(1), help="see the last N returns (default: all so far)")
    split.add_argument("--reopt", metavar="K", type=count(1), default=5, help="re-optimise every K steps (default: 5)")
    rules = parser.add_argument_group("strategies")
    rules.add_argument(
        "--fractions", metavar="F,F,...", type=numbers(), default=tuple(NAMES), help="of Kelly (default: 1,0.5,0.25)"
    )
    rules.add_argument(
        "--radius", metavar="R", type=radius, help="of the KL ball in nats, or auto: 1/sqrt(returns seen at the time); "
        "default: 1/sqrt(returns in train and test)",
    )  # fmt: skip
    add_objective_options(rules)
    trading = parser.add_argument_group("trading")
    trading.add_argument("--cost-bps", metavar="BPS", type=float, default=20.0, help="of what is traded (default: 20)")
    trading.add_argument("--rebalance", metavar="K", type=count(1), default=1, help="trade every K steps (default: 1)")
    trading.add_argument("--lag", metavar="L", type=count(0), default=1, help="steps from data to trade (default: 1)")
    trading.add_argument("--risk-free", metavar="RATE", type=float, default=0.0, help="annual, on cash: 0.02 is 2%%")
    trading.add_argument(
        "--periods-per-year", metavar="P", type=float, default=252.0, help="252 (default), 365, 52 or 12"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FOLDER", default="opeslike-report", help="(default: %(default)s)")
    add_format(output)
    output.add_argument("--html", action="store_true", help="write report.html too: everything in one file")
    output.add_argument("--benchmark", metavar="TICKER", help="of the data; for --html")
    output.add_argument("--no-plots", action="store_true", help="leave the charts out")
    output.add_argument("--quiet", action="store_true", help="write the report and print nothing but errors")
    output.add_argument("--jobs", metavar="N", type=count(1), default=1, help="processes to use (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Print the table and write the report."""
    import numpy as np

    from opeslike.studies import compare, make_folder

    if args.benchmark is not None and not args.html:
        raise PortfolioError("--benchmark belongs to --html; leave it out, or add --html")
    prices = load(args, TRAIN_START, TEST_END)
    train, test = split_at(args, prices)
    size = 1.0 / max(len(prices) - 1, 1) ** 0.5 if args.radius is None else args.radius
    strategies = kelly_variants(args.fractions, size, args.formulation or "thorp", args.risk_aversion)
    folder = make_folder(args.out)
    table = compare(
        strategies,
        train,
        test,
        cost={"const": args.cost_bps},
        reopt_freq=args.reopt,
        rebalance_freq=args.rebalance,
        clean_weights=True,
        weight_bounds=args.bounds,
        window=args.window,
        execution_lag=args.lag,
        kind=args.kind,
        risk_free=args.risk_free,
        periods_per_year=args.periods_per_year,
        n_jobs=args.jobs,
        progress=False if args.quiet else None,
    )
    written = table.save(folder, plots=not args.no_plots)
    if args.html:
        target = folder / "report.html"
        table.report(args.benchmark).to_html(target)
        written.append(target)
    if args.quiet:
        return
    if args.format == "csv":
        print(table.metrics.to_csv(lineterminator="\n"), end="")
    elif args.format == "json":
        figures = table.metrics.astype(object).where(np.isfinite(table.metrics), None)  # JSON knows no infinity
        print(json.dumps(figures.to_dict(), indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        files = [path.name for path in written if path.parent == folder]
        head = [*_headline(prices, train, size), table.caption]
        report = f"Report in {folder}: {', '.join(files)}, weights/ of {len(table)} strategies"
        if width is not None:
            head, report = [textwrap.fill(line, width) for line in head], textwrap.fill(report, width)
        print("\n\n".join(["\n".join(head), table.to_text(args.format, width=width), *table.notes, report]))


def kelly_variants(
    fractions: Sequence[float], radius: float | str, formulation: str = "thorp", risk_aversion: float | None = None
) -> dict[str, Any]:
    """Kelly and KL-robust Kelly at some fractions, mean-variance and 1/N, by name.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or a fraction occurs twice.
    """
    from opeslike.objectives import Kelly, KLRobustKelly, MeanVariance, Uniform

    names = {fraction: NAMES.get(fraction, f"{fraction!r} ") for fraction in fractions}
    if len(names) < len(fractions):
        raise PortfolioError(f"a fraction occurs twice in {', '.join(f'{fraction:g}' for fraction in fractions)}")
    return {
        **{f"{name}Kelly": Kelly(fraction, formulation=formulation) for fraction, name in names.items()},
        **{
            f"{name}KL-robust Kelly": KLRobustKelly(fraction, radius, formulation=formulation)
            for fraction, name in names.items()
        },
        "Mean-variance": MeanVariance() if risk_aversion is None else MeanVariance(risk_aversion),
        "1/N": Uniform(),
    }


def _headline(prices: pd.DataFrame, train: pd.DataFrame, size: float | str) -> list[str]:
    tickers = ", ".join(map(str, prices.columns))
    tickers = tickers if len(tickers) <= 70 else f"{prices.shape[1]} assets"
    shown = size if isinstance(size, str) else f"{size:.4g}"
    return [tickers, f"Training {train.index[0].date()} to {train.index[-1].date()}; KL radius {shown}"]
