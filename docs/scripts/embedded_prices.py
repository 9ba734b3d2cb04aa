"""Rebuild ``us20.csv.gz`` from two files of the skfolio wheel.

Usage: ``python embedded_prices.py DIRECTORY [OUTPUT]`` where DIRECTORY holds ``sp500_dataset.csv.gz`` and
``sp500_index.csv.gz`` (in the wheel: ``skfolio/datasets/data``). Needs only the standard library. The
uncompressed bytes are the same everywhere; the compressed ones may differ between zlib versions.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

FIRST, LAST = "1990-01-02", "2022-12-28"


def read(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the header of a gzip CSV and its rows by date, every cell as it is written there."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, {row[0]: row[1:] for row in rows}


def build(directory: Path) -> bytes:
    """Return the uncompressed CSV: dates, the stocks in the order of the source, the index last."""
    header, stocks = read(directory / "sp500_dataset.csv.gz")
    index_header, index = read(directory / "sp500_index.csv.gz")
    if list(stocks) != sorted(stocks) or list(stocks) != list(index):
        raise SystemExit("the dates of the two files differ or are not in order")
    dates = list(stocks)
    if (dates[0], dates[-1], len(header)) != (FIRST, LAST, 21):
        raise SystemExit(f"expected 20 stocks from {FIRST} to {LAST}: a different edition?")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, *index_header[1:]])
    writer.writerows([date, *stocks[date], *index[date]] for date in dates)
    return text.getvalue().encode()


def main(directory: str, output: str = "us20.csv.gz") -> None:
    """Write the file; ``mtime=0`` keeps the time of writing out of it."""
    Path(output).write_bytes(gzip.compress(build(Path(directory)), 9, mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
