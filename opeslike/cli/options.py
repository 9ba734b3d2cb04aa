"""Options that several subcommands share: what they read, and how data come from them."""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opeslike.errors import DataError, PortfolioError

if TYPE_CHECKING:
    import pandas as pd

#: The ten most volatile of the embedded twenty over the default training years: chosen without a look at the test.
RISKY = ("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "JPM", "MSFT", "RRC", "UNH")
#: Share of the rows to train on where nothing else is said about data of the user's own.
TRAIN_SHARE = 0.8
STATUS = """\
exit status: 0 if all went well, 2 after an error (one line on stderr), 130
after an interrupt, 141 where the reader of the output went away."""
#: Columns of what is printed where no terminal says how many there are.
WIDTH = 80
TRAIN_START, TRAIN_END, TEST_END = "2010-01-01", "2017-12-31", "2019-12-31"
#: How a file is read, wherever one is: parameters of the loader, as options.
FILE = {
    "fields": ("--field NAME", "which column of bars, such as 'Adj Close'"),
    "date_format": ("--date-format FORMAT", "such as %%d/%%m/%%Y (default: as the file shows)"),
    "sep": ("--sep CHAR", "between cells (default: as the file shows)"),
    "decimal": ("--decimal CHAR", "decimal mark (default: as the file shows)"),
    "thousands": ("--thousands CHAR", "mark between thousands (default: as the file shows)"),
    "encoding": ("--encoding NAME", "of the text, such as cp1252 (default: utf-8)"),
    "sort": ("--sort", "sort rows by date instead of refusing them"),
}


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], doc: str | None, **lists: str
) -> argparse.ArgumentParser:
    """The parser of a subcommand, whose module says what it does: a summary, then what ``--help`` prints last.

    ``lists`` stand there in braces.
    """
    summary, _, epilog = (doc or "").strip().partition(".\n\n")
    summary = summary.removeprefix(f"``opeslike {name}``: ")
    epilog = epilog.format(**lists) if lists else epilog
    about = {"help": summary, "description": f"{summary[:1].upper()}{summary[1:]}.", "epilog": f"{epilog}\n\n{STATUS}"}
    parser: argparse.ArgumentParser = commands.add_parser(
        name, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **about
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def opt(group: Any, names: str, about: str, kind: Callable[[str], Any] | None = None, **more: Any) -> None:
    """Add an option: ``opt(group, "--reopt K", "decide every K steps", count(1))``; without a value it is a switch."""
    *flags, last = names.split()
    if last.startswith("--"):
        group.add_argument(*flags, last, action="store_true", help=about, **more)
    else:
        group.add_argument(*flags, metavar=last, help=about, type=kind, **more)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Where prices come from; see :func:`load`."""
    data = parser.add_argument_group("data")
    source = data.add_mutually_exclusive_group()
    opt(source, "--csv FILE", "CSV, Parquet or Feather: closes by date, bars, or one line a price")
    opt(source, "--yahoo A,B,C", "tickers to take from Yahoo Finance (kept in a cache)")
    opt(data, "--tickers A,B,C", "some tickers of the file or of the embedded prices")
    opt(data, "--start --train-start DATE", "first day used", day("start"))
    opt(data, "--end --test-end DATE", "last day used (included)", day("end"))
    file = parser.add_argument_group("the file of --csv")
    file.add_argument("--kind", choices=["prices", "returns"], help="what it holds, if it cannot be told")
    add_file_options(file)


def add_file_options(group: Any) -> None:
    """How a file is read; see :func:`read_file`."""
    for name, (option, about) in FILE.items():
        opt(group, option, about, dest=name, default=None)


def read_file(args: argparse.Namespace, file: str) -> pd.DataFrame:
    """The prices or returns of a file, as the options say."""
    from opeslike.data import load_prices

    given = {name: getattr(args, name) for name in ("tickers", "start", "end", *FILE)}
    return load_prices(file, **{name: value for name, value in given.items() if value is not None})


def load(args: argparse.Namespace, start: str, end: str | None) -> pd.DataFrame:
    """Prices as the data options say; of the embedded ones ``start`` to ``end`` unless the options say more.

    Raises
    ------
    DataError
        If they cannot be had.
    PortfolioError
        If options contradict each other.
    """
    if args.csv is not None:
        return read_file(args, args.csv)
    for name, (option, _) in {"kind": ("--kind", ""), **FILE}.items():
        if getattr(args, name) is not None:
            raise PortfolioError(f"{option.split()[0]} describes the file of --csv; leave it out")
    if args.yahoo is not None:
        from opeslike.data import load_yahoo

        if args.tickers is not None:
            raise PortfolioError("--tickers and --yahoo both name tickers; give them to --yahoo alone")
        return load_yahoo(args.yahoo, args.start, args.end, progress=False if args.quiet else None)
    from opeslike.data import load_us20

    if end is not None and args.end is None and args.start is not None and str(args.start.date()) > end:
        raise PortfolioError(f"--start {args.start.date()} lies after {end}, where the prices end unless --end is set")
    tickers = RISKY if args.tickers is None else args.tickers
    return load_us20(tickers=tickers, start=args.start or start, end=args.end or end)


def csv_rows(file: str) -> list[list[str]]:
    """Cells of a small file of comma-separated values, line by line.

    Raises
    ------
    DataError
        If it cannot be read; names it.
    """
    from opeslike.data.files import read_text

    try:
        return list(csv.reader(read_text(Path(file)).splitlines()))
    except csv.Error as error:
        raise DataError(f"{file} is not a CSV file: {error}") from None


def split_at(args: argparse.Namespace, prices: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test set, as ``--train-end`` or the source of the data says.

    Raises
    ------
    DataError
        If one of them is empty.
    """
    import pandas as pd

    if args.train_end is not None:
        split = args.train_end
    elif args.csv is None and args.yahoo is None:
        split = pd.Timestamp(TRAIN_END)
    else:
        split = prices.index[max(round(TRAIN_SHARE * len(prices)) - 1, 0)]
    train, test = prices[prices.index <= split], prices[prices.index > split]
    for name, part in (("training", train), ("test", test)):
        if part.empty:
            first, last = prices.index[0].date(), prices.index[-1].date()
            raise DataError(
                f"the {name} set is empty: the prices used run from {first} to {last} and the training set ends on "
                f"{split.date()}; move --train-end, --start or --end"
            )
    return train, test


def add_walk_options(parser: argparse.ArgumentParser, reopt: int) -> None:
    """What is seen, decided and traded when, and on which terms; see :func:`walk_terms`."""
    split, trading = parser.add_argument_group("training"), parser.add_argument_group("trading")
    opt(split, "--train-end DATE", "last day of the training set", day("end"))
    opt(split, "--window N", "see the last N returns (default: all so far)", count(1))
    least = "leave assets out until they have had N returns (default: the window, or half of those so far)"
    opt(split, "--min-history N", least, count(1))
    when = "decide every K steps, or by the calendar: ME, QE, W-FRI ... (default: %(default)s)"
    opt(split, "--reopt K", when, every, default=reopt)
    opt(trading, "--cost-bps BPS", "of what is traded (default: 20)", float, default=20.0)
    opt(trading, "--rebalance K", "trade every K steps, or by the calendar (default: 1)", every, default=1)
    opt(trading, "--band B", "leave assets alone within B of their targets: 0.05 is 5 points", float)
    opt(trading, "--lag L", "steps from data to trade (default: 1)", count(0), default=1)
    opt(trading, "--risk-free RATE", "annual, on cash: 0.02 is 2%%", float, default=0.0)
    opt(trading, "--borrow-spread RATE", "annual, over it on debt", float, default=0.0)
    opt(trading, "--short-fee RATE", "annual, on shorts", float, default=0.0)
    paid = "when quotes end, on the last price: -0.3, or LEH=-1,*=0 (default: 0)"
    opt(trading, "--delisting-return R", paid, delisting, default=0.0)
    opt(trading, "--delisted-after N", "dates without a quote that end a life (default: 5)", count(1), default=5)
    opt(trading, "--listed FILE", "1 and 0 by date and ticker: who may be held from when on", path)
    opt(trading, "--periods-per-year P", "252, 365, 52, 12 ... (default: as the dates show)", float)


def walk_terms(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of a Backtester, and of its ``backtest``."""
    from opeslike.accounting.bands import Bands
    from opeslike.data import load_prices

    own = ("kind", "risk_free", "borrow_spread", "short_fee", "periods_per_year", "delisted_after", "delisting_return")
    terms = {"cost": {"const": args.cost_bps}, **{name: getattr(args, name) for name in own}}
    terms["listed"] = None if args.listed is None else load_prices(args.listed) > 0
    walk = {
        **{"rebalance_freq": args.rebalance, "reopt_freq": args.reopt, "window": args.window},
        **{"min_history": args.min_history, "execution_lag": args.lag, "progress": False if args.quiet else None},
        **{"bands": None if args.band is None else Bands(absolute=args.band)},
    }
    return terms, walk


def add_objective_options(group: Any) -> None:
    """Parameters of the objectives, apart from fraction and radius."""
    group.add_argument("--formulation", choices=["thorp", "opes"], help="of a Kelly fraction (default: thorp)")
    opt(group, "--risk-aversion G", "of mean-variance (default: 0.5)", float)
    opt(group, "--bounds LO,HI", "of each weight (default: 0,1)", numbers(2))


def add_format(group: Any, *known: str) -> None:
    """``--format``, of which the first known one is the default, and ``--json``."""
    if known:
        about = f"of what is printed: {', '.join(known)} (default: {known[0]})"
        group.add_argument("--format", choices=known, default=known[0], help=about)
    else:
        formats = "csv, json, or any of tabulate: simple (the default), github, grid, html, latex ..."
        opt(group, "--format NAME", formats, table_format, default="simple")
    group.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")


def typed(read: Callable[[str], Any], fault: str) -> Callable[[str], Any]:
    """Type of an option: of what ``read`` refuses, or reads as None, the fault is told."""

    def checked(text: str) -> Any:
        with suppress(ValueError, OverflowError):
            if (value := read(text)) is not None:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} {fault}")

    return checked


def day(side: str) -> Callable[[str], pd.Timestamp]:
    """Type of an option that takes a day; a year or month is its first day for "start", its last for "end"."""

    def read(text: str) -> pd.Timestamp | None:
        from opeslike.data.selection import read_day

        return read_day(text, side)

    return typed(read, "is not a date: write it as 2019-12-31, 2019-12 or 2019")


def count(least: int) -> Callable[[str], int]:
    """Type of an option that takes a whole number."""

    def read(text: str) -> int | None:
        return int(text) if re.fullmatch(r"\d{1,9}", text) and int(text) >= least else None

    return typed(read, f"is not a whole number of at least {least}")


def every(text: str) -> int | str:
    """Type of an option that takes a number of steps or a calendar of pandas."""
    return text if re.match(r"\d*[A-Za-z]", text) else count(1)(text)


def numbers(how_many: int | None = None) -> Callable[[str], tuple[float, ...]]:
    """Type of an option that takes numbers separated by commas."""

    def read(text: str) -> tuple[float, ...] | None:
        found = tuple(map(float, text.split(",")))
        return found if how_many in (None, len(found)) else None

    return typed(read, f"is not a list of {'' if how_many is None else f'{how_many} '}numbers such as 0,0.5")


def _by_ticker(text: str) -> float | dict[str, float]:
    pairs = [part.split("=") for part in text.split(",")]
    return {ticker: float(value) for ticker, value in pairs} if "=" in text else float(text)


path = typed(lambda text: text if text.strip() and "\0" not in text else None, "is not the name of a file")
radius = typed(lambda text: text if text == "auto" else float(text), "is neither a number nor auto")
delisting = typed(_by_ticker, "is neither a number nor TICKER=R,TICKER=R")


def show(form: str, text: Callable[[], str], facts: Callable[[], Any], table: pd.DataFrame, index: bool = True) -> None:
    """Print a table as CSV, facts as JSON, or a text, as ``--format`` says."""
    if form == "csv":
        from opeslike.analysis.output import harmless

        print(table.rename(index=harmless, columns=harmless).to_csv(index=index, lineterminator="\n"), end="")
    elif form == "json":
        print(json.dumps(_finite(facts()), indent=2, default=str))
    else:
        print(text())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table_format(text: str) -> str:
    """Type of ``--format``."""
    from tabulate import tabulate_formats

    if text not in ("csv", "json", *tabulate_formats):
        raise argparse.ArgumentTypeError(f"{text!r} is unknown; use csv, json, {', '.join(tabulate_formats)}")
    return text
