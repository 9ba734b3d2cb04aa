"""``opeslike audit``: what looks wrong in a file of prices."""

from __future__ import annotations

import argparse
from typing import Any

from opeslike.cli.options import add_command, add_format, day

HELP = """\
examples:
  opeslike audit prices.csv
  opeslike audit stocks.parquet --start 2015 --format csv
  opeslike audit kurse.csv --decimal , --date-format %d.%m.%y

Splits not adjusted, prices in another unit, swapped or frozen, spikes, gaps, rows in reverse: worst first, with what
each would do to an answer and what to do about it. The exit status is 0 whatever is found."""

#: Options that go to the loader as they are.
TEXT = {
    "--tickers": ("A,B,C", "some tickers of the file"),
    "--field": ("NAME", "which column of bars, such as 'Adj Close'"),
    "--date-format": ("FORMAT", "such as %%d/%%m/%%Y (default: as the file shows)"),
    "--sep": ("CHAR", "between cells (default: as the file shows)"),
    "--decimal": ("CHAR", "decimal mark (default: as the file shows)"),
    "--thousands": ("CHAR", "mark between thousands (default: as the file shows)"),
    "--encoding": ("NAME", "of the text (default: utf-8)"),
}


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = add_command(commands, "audit", run, "tell what looks wrong in a file of prices", HELP)
    parser.add_argument(
        "file", metavar="FILE", help="CSV, Parquet or Feather: closes by date, bars, or one line a price"
    )
    for option, (metavar, words) in TEXT.items():
        name = "fields" if option == "--field" else option[2:].replace("-", "_")
        parser.add_argument(option, metavar=metavar, help=words, dest=name)
    parser.add_argument("--start", metavar="DATE", type=day("start"), help="first day looked at")
    parser.add_argument("--end", metavar="DATE", type=day("end"), help="last day looked at (included)")
    parser.add_argument("--sort", action="store_true", default=None, help="sort rows by date instead of refusing them")
    add_format(parser.add_argument_group("output"))


def run(args: argparse.Namespace) -> None:
    """Print what the audit finds."""
    from opeslike.data import audit, load_prices

    names = ("tickers", "fields", "date_format", "sep", "decimal", "thousands", "encoding", "start", "end", "sort")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    found = audit(load_prices(args.file, **options))
    if args.format == "simple":
        print(found)
        return
    frame = found.to_frame().astype({"start": str, "end": str, "asset": str}).fillna({"other": ""})
    if args.format == "csv":
        print(frame.to_csv(index=False, lineterminator="\n"), end="")
    elif args.format == "json":
        print(frame.to_json(orient="records", indent=2))
    else:
        from tabulate import tabulate

        print(tabulate(frame.to_numpy().tolist(), headers=list(frame.columns), tablefmt=args.format))
