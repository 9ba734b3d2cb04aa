"""Render the pages of docs/studies, and their figures, from the scripts in examples/.

    OPESLIKE_TEST_DATA=folder python docs/scripts/studies.py [name ...]

The folder holds spy.csv, tlt.csv, rates.csv, crypto10.csv and us_stocks.csv.gz. Every figure on the pages comes from
a template in docs/scripts/studies, and the study fills in what it found.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from importlib import import_module
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(DOCS.parent / "examples"))

PAGES = {
    "best-constant-leverage": "best_constant_leverage",
    "kelly-on-spy": "kelly_on_spy",
    "kelly-crossover": "kelly_crossover",
    "kelly-and-optimal-f": "kelly_and_optimal_f",
    "dual-momentum": "dual_momentum_crypto",
    "costs-inside": "costs_inside",
    "survivors": "survivors",
}
NEEDED = ("spy.csv", "tlt.csv", "rates.csv", "crypto10.csv", "us_stocks.csv.gz")


def text_of(page: str, facts: dict[str, str]) -> str:
    """The page, with what a study found."""
    template = (DOCS / "scripts" / "studies" / f"{page}.md.in").read_text(encoding="utf-8")
    facts = {**facts, "script": PAGES[page]}
    return re.sub(r"\{\{([\w-]+)\}\}", lambda found: facts[found[1]], template)


def render(page: str) -> None:
    study = import_module(PAGES[page]).run()
    (DOCS / "studies" / f"{page}.md").write_text(text_of(page, study.facts), encoding="utf-8")
    study.draw(DOCS / "studies" / "img")


def main(names: list[str]) -> None:
    files = import_module("study").file
    lacking = [name for name in NEEDED if files(name) is None]
    if lacking:
        sys.exit(f"OPESLIKE_TEST_DATA names no folder with {', '.join(lacking)}")
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    for page in names or PAGES:
        render(page)


if __name__ == "__main__":
    main(sys.argv[1:])
