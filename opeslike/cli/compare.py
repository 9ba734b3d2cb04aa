"""``opeslike compare``: walk Kelly variants forward; table, charts and weights.

strategies for --strategy:
{strategies}

examples:
  opeslike compare
  opeslike compare --yahoo AAPL,MSFT,XOM,GLD --start 2010 --train-end 2017 --end 2019
  opeslike compare --csv prices.csv --train-end 2021-06-30 --cost-bps 5 --fractions 1,0.5
  opeslike compare --tickers JNJ,KO,PG --window 504 --radius auto --format github --no-plots
  opeslike compare --strategy kl-robust:radius=.02,fraction=.5 --strategy cvar --reopt ME

Without --csv or --yahoo the prices are embedded ones: the ten most volatile of 20 US large caps,
train 2010-2017, test 2018-2019. Of data of your own the first 80% of the rows are the training set
unless --train-end says otherwise. The report is a folder with table.md, metrics.csv, wealth.png,
drawdown.png and weights/<strategy>.csv, and with --html report.html.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opeslike.cli import options
from opeslike.cli.objectives import OBJECTIVES, RULES, listed, make_strategy, named
from opeslike.cli.options import count, numbers, opt
from opeslike.errors import PortfolioError

if TYPE_CHECKING:
    import pandas as pd

NAMES = {1.0: "", 0.5: "Half ", 0.25: "Quarter "}
#: Options of the strategies that are compared unless others are named.
PRESET = ("fractions", "radius", "formulation", "risk_aversion")


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = options.add_command(commands, "compare", run, __doc__, strategies=listed([*OBJECTIVES, *RULES]))
    rules = parser.add_argument_group("strategies")
    preset = "repeatable, see below; default: Kelly and KL-robust Kelly at some fractions, mean-variance and 1/N"
    opt(rules, "--strategy NAME[:KEY=VALUE,...]", preset, named, action="append", default=[])
    opt(rules, "--fractions F,F,...", "of Kelly (default: 1,0.5,0.25)", numbers())
    size = (
        "of the KL ball in nats, or auto: 1/sqrt(returns seen at the time); default: 1/sqrt(returns in train and test)"
    )
    opt(rules, "--radius R", size, options.radius)
    options.add_objective_options(rules)
    options.add_data_options(parser)
    options.add_walk_options(parser, 5)
    output = parser.add_argument_group("output")
    opt(output, "--out FOLDER", "(default: %(default)s)", default="opeslike-report")
    options.add_format(output)
    opt(output, "--html", "write report.html too: everything in one file")
    opt(output, "--benchmark TICKER", "of the data; for --html")
    opt(output, "--no-plots", "leave the charts out")
    opt(output, "--quiet", "write the report and print nothing but errors")
    opt(output, "--jobs N", "processes to use (default: 1)", count(1), default=1)


def run(args: argparse.Namespace) -> None:
    """Print the table and write the report."""
    from opeslike.studies import compare, make_folder

    if args.benchmark is not None and not args.html:
        raise PortfolioError("--benchmark belongs to --html; leave it out, or add --html")
    prices = options.load(args, options.TRAIN_START, options.TEST_END)
    train, test = options.split_at(args, prices)
    size = 1.0 / max(len(prices) - 1, 1) ** 0.5 if args.radius is None else args.radius
    strategies = _strategies(args, size)
    folder = make_folder(args.out)
    terms, walk = options.walk_terms(args)
    terms |= {"clean_weights": True, "weight_bounds": args.bounds, "n_jobs": args.jobs}
    table = compare(strategies, train, test, **terms, **walk)
    written = table.save(folder, plots=not args.no_plots, html=bool(args.html), benchmark=args.benchmark)
    if args.quiet:
        return

    def text() -> str:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else options.WIDTH
        files = [path.name for path in written if path.parent == folder]
        head = [*_headline(prices, train, None if args.strategy else size), table.caption]
        head = [textwrap.fill(line, width) for line in head]
        report = f"Report in {folder}: {', '.join(files)}, weights/ of {len(table)} strategies"
        report = textwrap.fill(report, width, break_long_words=False, break_on_hyphens=False)
        parts = [table.to_text(args.format, width=width), *table.notes, *table.verdict(args.format, width=width)]
        return "\n\n".join(["\n".join(head), *parts, report])

    options.show(args.format, text, table.metrics.to_dict, table.metrics)


def _strategies(args: argparse.Namespace, size: float | str) -> dict[str, Any]:
    """Those that are named, by what was typed; else the preset ones."""
    if not args.strategy:
        fractions = tuple(NAMES) if args.fractions is None else args.fractions
        return kelly_variants(fractions, size, args.formulation or "thorp", args.risk_aversion)
    for key in PRESET:
        if getattr(args, key) is not None:
            option = key.replace("_", "-")
            raise PortfolioError(f"--{option} describes the strategies compared by default; leave it or --strategy out")
    texts = [text for text, *_ in args.strategy]
    if len(set(texts)) < len(texts):
        raise PortfolioError("--strategy names one strategy twice; leave one out")
    return {text: make_strategy(name, given, option=f"--strategy {name}") for text, name, given in args.strategy}


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
    plain = {f"{name}Kelly": Kelly(f, formulation=formulation) for f, name in names.items()}
    robust = {f"{name}KL-robust Kelly": KLRobustKelly(f, radius, formulation=formulation) for f, name in names.items()}
    balanced = MeanVariance() if risk_aversion is None else MeanVariance(risk_aversion)
    return {**plain, **robust, "Mean-variance": balanced, "1/N": Uniform()}


def _headline(prices: pd.DataFrame, train: pd.DataFrame, size: float | str | None) -> list[str]:
    tickers = ", ".join(map(str, prices.columns))
    tickers = tickers if len(tickers) <= 70 else f"{prices.shape[1]} assets"
    shown = "" if size is None else f"; KL radius {size if isinstance(size, str) else f'{size:.4g}'}"
    return [tickers, f"Training {train.index[0].date()} to {train.index[-1].date()}{shown}"]
