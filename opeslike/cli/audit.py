"""``opeslike audit``: tell what looks wrong in a file of prices.

examples:
  opeslike audit prices.csv
  opeslike audit stocks.parquet --start 2015 --format csv
  opeslike audit kurse.csv --decimal , --date-format %d.%m.%y

Splits not adjusted, prices in another unit, swapped or frozen, spikes, gaps, rows in reverse: worst first, with what
each would do to an answer and what to do about it. The exit status is 0 whatever is found.
"""

from __future__ import annotations

import argparse
from typing import Any

from opeslike.cli import options
from opeslike.cli.options import opt


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = options.add_command(commands, "audit", run, __doc__)
    about = "CSV, Parquet or Feather: closes by date, bars, or one line a price"
    parser.add_argument("file", metavar="FILE", help=about)
    opt(parser, "--tickers A,B,C", "some tickers of the file")
    opt(parser, "--start DATE", "first day looked at", options.day("start"))
    opt(parser, "--end DATE", "last day looked at (included)", options.day("end"))
    options.add_file_options(parser)
    options.add_format(parser.add_argument_group("output"))


def run(args: argparse.Namespace) -> None:
    """Print what the audit finds."""
    from tabulate import tabulate

    from opeslike.data import audit

    found = audit(options.read_file(args, args.file))
    frame = found.to_frame().astype({"start": str, "end": str, "asset": str}).fillna({"other": ""})

    def text() -> str:
        rows = frame.to_numpy().tolist()
        return str(found) if args.format == "simple" else tabulate(rows, list(frame.columns), args.format)

    options.show(args.format, text, lambda: frame.to_dict("records"), frame, index=False)
