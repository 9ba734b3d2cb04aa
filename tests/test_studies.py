"""The studies on real prices: what they find, and that the pages of the documentation say it.

The words on a page were written for the numbers on it. Where one of these tests fails, render the page again
(docs/scripts/studies.py) and read it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("OPESLIKE_TEST_DATA", "nowhere"))

pytestmark = [
    pytest.mark.filterwarnings("ignore::opeslike.errors.RuinWarning"),
    pytest.mark.usefixtures("matplotlib"),
]


def load_pages() -> Any:
    spec = spec_from_file_location("opeslike_studies", ROOT / "docs" / "scripts" / "studies.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    path = sys.path.copy()
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


PAGES = load_pages()


@pytest.fixture(scope="module")
def run() -> Callable[[str], Any]:
    """Run a study, once."""
    lacking = [name for name in PAGES.NEEDED if not (FOLDER / name).is_file()]
    if lacking:
        pytest.skip(f"OPESLIKE_TEST_DATA names no folder with {', '.join(lacking)}")

    @cache
    def once(page: str) -> Any:
        path = sys.path.copy()
        sys.path.insert(0, str(ROOT / "examples"))
        try:
            return import_module(PAGES.PAGES[page]).run()
        finally:
            sys.path[:] = path

    return once


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.slow if p == "costs-inside" else ()) for p in PAGES.PAGES]
)
def test_the_page_says_what_the_study_finds(page: str, run: Callable[[str], Any]) -> None:
    found = run(page)
    written = (ROOT / "docs" / "studies" / f"{page}.md").read_text(encoding="utf-8")
    assert PAGES.text_of(page, found.facts).splitlines() == written.splitlines()
    charts = re.findall(r"\(img/([\w-]+)\.png\)", written)
    assert sorted(charts) == sorted(found.figures)
    for name in charts:
        assert (ROOT / "docs" / "studies" / "img" / f"{name}.png").is_file()


def test_best_constant_leverage(run: Callable[[str], Any]) -> None:
    # The well-known discussion of Kelly leverage on Quantopian, recomputed from adjusted closes.
    facts = run("best-constant-leverage").facts
    seen = dict(re.findall(r"\| (\d{4}-\d\d-\d\d) \| +([-\d.]+) \|", facts["seen"]))
    assert seen["2013-01-31"] == "2.1219"
    assert seen["2008-01-02"] == "7.0573"
    assert seen["2008-12-31"] == "0.9045"
    assert float(seen["2009-03-09"]) < 0
    assert facts["joint"] == "4.037 of SPY and 6.642 of TLT"
    assert re.search(r"exact optimum +\| +2\.1134 \| .* 2\.6213 \|", facts["constant"])
    assert facts["best"] == "2.1134"
    assert facts["lower"] == facts["others"] == "2,001"


def test_uncapped_kelly_is_ruined_on_a_day(run: Callable[[str], Any]) -> None:
    facts = run("kelly-on-spy").facts
    assert 45 < float(facts["peak"]) < 55
    assert facts["ruin_day"] == facts["late_day"] == "1996-03-08"
    # The bound: a leverage f is ruined by a return of -(1 + (1 - f) c) / f, c the rate of a day.
    f, rate = float(facts["ruin_leverage"]), 1.02 ** (1 / 252) - 1
    assert float(facts["ruin_return"].rstrip("%")) / 100 <= -(1 + (1 - f) * rate) / f
    for table in ("same", "next"):
        rows = [line for line in facts[table].splitlines() if "1996-03-08" in line]
        assert [row.split("|")[1].strip() for row in rows] == ["no cap"]


def test_look_ahead_earns_more_than_it_could(run: Callable[[str], Any]) -> None:
    facts = run("kelly-and-optimal-f").facts
    assert facts["first"] == "1998-01-27"  # five years of 252 days after the first return
    assert float(facts["least"]) > 0


def test_dual_momentum_without_an_edge(run: Callable[[str], Any]) -> None:
    facts = run("dual-momentum").facts
    rows = {
        cells[1]: [float(cell.replace(",", "")) for cell in cells[2:-1]]
        for line in facts["table"].splitlines()[2:]
        if (cells := [cell.strip() for cell in line.split("|")])
    }
    half, full, free = (rows[name] for name in list(rows)[:3])
    held = rows["BTC, held"]
    # The words on the page: neither made money nor did the benchmark, and the control sold after the fall.
    assert max(half[0], full[0], held[0]) < 250_000
    assert full[0] < free[0]
    assert 0 < free[4] - full[4] < 1
    assert full[0] == 231_977  # as tests/strategies/test_plain_account.py
    assert float(facts["gross"]) < 1
    priors = [line.split("|") for line in facts["priors"].splitlines()[2:]]
    legs = [float(cells[4]) for cells in priors]
    assert legs[0] == 37
    assert 0 < legs[1] < legs[0] / 3
    assert legs[2] == 0
