"""What the study scripts share: where prices come from, and how findings are printed and written. Nothing to run.

Writes: nothing

The environment variable OPESLIKE_TEST_DATA may name a folder with spy.csv, tlt.csv, rates.csv, crypto10.csv and
us_stocks.csv.gz (a column Date, then one column a series). Without it the prices are those embedded in the package.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from opeslike import load_csv, load_sp500
from opeslike.analysis import render, summary
from opeslike.analysis.output import write_atomically
from opeslike.errors import DataError, OpesLikeError, RuinWarning
from opeslike.studies import make_folder

WIDTH = 9.0  # of a chart, in inches
EMBEDDED = "the S&P 500 index embedded in the package, which leaves dividends out"


def file(name: str) -> Path | None:
    """A file of the data folder; None where there is no folder, or no such file in it."""
    folder = os.environ.get("OPESLIKE_TEST_DATA")
    path = Path(folder, name) if folder else None
    return path if path is not None and path.is_file() else None


def hashed(name: str) -> str:
    """How a page names a file: with its SHA-256."""
    path = file(name)
    assert path is not None
    return f"`{name}`, SHA-256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`"


def equity() -> tuple[pd.DataFrame, str]:
    """Closes of SPY with dividends, else of the embedded index; and the words for them."""
    path = file("spy.csv")
    if path is None:
        return load_sp500().to_frame(), EMBEDDED
    return load_csv(path), f"SPY, adjusted for dividends ({hashed('spy.csv')})"


def bill_rate(otherwise: float) -> tuple[pd.Series | float, str]:
    """Treasury bill rate as a fraction a year, else a constant; and the words for it."""
    path = file("rates.csv")
    if path is None:
        return otherwise, f"a constant {otherwise:.1%}"
    rates = pd.read_csv(path, index_col="Date", parse_dates=True)
    lacking = [name for name in ("DTB3", "RF_daily_pct") if name not in rates]
    if lacking:
        raise DataError(f"{path} has no column {lacking[0]}; it needs Date, DTB3 and RF_daily_pct, in percent")
    three_months = rates["DTB3"] / 100
    one_month = (1 + rates["RF_daily_pct"] / 100) ** 252 - 1
    known = three_months.ffill().fillna(one_month.ffill()).dropna()
    since = f"{three_months.first_valid_index():%Y-%m-%d}"
    return known, f"the three-month Treasury bill, before {since} the one-month bill ({hashed('rates.csv')})"


class Study:
    """Findings: printed as they come, kept as Markdown, and by name for the page of the documentation."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.facts: dict[str, str] = {}
        self.figures: dict[str, Figure] = {}
        self._text = [f"# {title}"]

    def say(self, text: str, **facts: object) -> None:
        """A sentence, and the figures in it by name."""
        self.facts |= {key: str(value) for key, value in facts.items()}
        print(text, end="\n\n")
        self._text.append(text)

    def table(self, name: str, title: str, frame: pd.DataFrame, formats: Mapping[str, str] | None = None) -> None:
        """A table, one row a column of ``frame``."""
        self.facts[name] = render(frame, "pipe", transpose=True, formats=formats)
        print(f"{title}\n\n{render(frame, transpose=True, formats=formats)}\n")
        self._text.append(f"## {title}\n\n{self.facts[name]}")

    def figure(self, name: str, figure: Figure) -> None:
        """A chart, written as ``name.png``, of a size whose text can be read on a page."""
        width, height = figure.get_size_inches()
        figure.set_size_inches(WIDTH, height * WIDTH / width)
        self.figures[name] = figure
        self._text.append(f"![]({name}.png)")

    def write(self, folder: Path) -> None:
        """Write the findings and the charts."""
        self.draw(folder)
        write_atomically(folder / f"{self.name}.md", "\n\n".join(self._text) + "\n")

    def draw(self, folder: Path) -> None:
        """Write the charts."""
        for name, figure in self.figures.items():
            figure.savefig(folder / f"{name}.png", dpi=110, pil_kwargs={"optimize": True})


STATISTICS = {
    "Annual return %": ",.2f",
    "Volatility %": ",.1f",
    "Sharpe": ",.2f",
    "Max drawdown %": ",.1f",
    "Drawdown days": ",.0f",
    "Mean leverage": ",.2f",
    "Max leverage": ",.2f",
    "Final wealth": ",.2f",
}


def statistics(results: Mapping[str, object], risk_free: float | pd.Series = 0.0, periods: float = 252) -> pd.DataFrame:
    """A column of figures for each backtest."""
    columns = {}
    for name, result in results.items():
        found = summary(result.returns, risk_free, periods, exposure=result.weights, start=result.start)
        columns[name] = {
            "Annual return %": 100 * found["annual_return"],
            "Volatility %": 100 * found["annual_volatility"],
            "Sharpe": found["sharpe"],
            "Max drawdown %": 100 * found["max_drawdown"],
            "Drawdown days": found["max_drawdown_days"],
            "Mean leverage": found["average_gross"],
            "Max leverage": found["max_gross"],
            "Final wealth": found["final_wealth"],
        }
    return pd.DataFrame(columns)


def main(run: Callable[[], Study], description: str) -> None:
    """Run a study from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", default=".", help="folder for text and charts (default: the current one)")
    args = parser.parse_args()
    warnings.simplefilter("ignore", RuinWarning)  # the tables say it
    logging.getLogger("opeslike").setLevel(logging.ERROR)
    try:
        folder = make_folder(args.out)
        study = run()
        study.write(folder)
    except OpesLikeError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")
    print(f"Written to {folder}: {study.name}.md, {', '.join(f'{name}.png' for name in study.figures)}")


if __name__ == "__main__":
    print(__doc__)
