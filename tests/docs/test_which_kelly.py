"""The page "Which Kelly is best?" says what its script computes from the data whose hash it gives."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
DATA = os.environ.get("OPESLIKE_TEST_DATA", "")

pytestmark = pytest.mark.skipif(
    not (DATA and Path(DATA, "seed10.csv").exists()), reason="OPESLIKE_TEST_DATA names no folder with seed10.csv"
)
#: The last figure printed may differ by one; gaps are bounds and differ from machine to machine.
LAST_DIGIT = {2: 1e-5, 3: 1e-5, 4: 1e-2}


@pytest.fixture(scope="module")
def script() -> Any:
    spec = spec_from_file_location("which_kelly_page", DOCS / "scripts" / "which_kelly.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study(script: Any) -> Any:
    return script.load(DATA)


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "which-kelly.md").read_text(encoding="utf-8")


def tables(page: str) -> list[list[list[str]]]:
    """The cells of each table, without the header."""
    found: list[list[list[str]]] = []
    lines = page.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|:--"):
            found.append([])
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                found[-1].append([cell.strip() for cell in row.strip("|").split("|")])
    return found


def same(shown: list[list[str]], computed: list[list[str]]) -> None:
    assert [row[:2] for row in shown] == [row[:2] for row in computed]
    for column, step in LAST_DIGIT.items():
        one, two = ([float(row[column]) for row in rows] for rows in (shown, computed))
        np.testing.assert_allclose(one, two, rtol=0, atol=1.01 * step)


def test_hash_and_radius_are_those_of_the_data(study: Any, page: str) -> None:
    assert f"`{study.sha256}`" in page
    assert f"KL radius is {study.radius:.6f}" in page
    assert "{{" not in page


@pytest.mark.parametrize(("formulation", "place"), [("opes", 1), ("thorp", 2)])
def test_our_columns(script: Any, study: Any, page: str, formulation: str, place: int) -> None:
    runs = script.exact(study, formulation)
    assert list(runs) == list(script.VARIANTS)
    for run in runs.values():
        assert len(run.result.solutions) == len(study.steps) == 101
        assert run.gap <= 1e-9
    same(tables(page)[place], script.rows(runs, list(study.train.columns)))
    weights = {name: run.result["weights"] for name, run in runs.items()}
    half, quarter = weights["half Kelly"], weights["quarter Kelly"]
    if formulation == "opes":  # exact, they coincide in one stock
        np.testing.assert_allclose(half.max(axis=1), 1.0, atol=1e-9)
        np.testing.assert_allclose(half, quarter, atol=1e-9)
    else:
        np.testing.assert_allclose(half[0], 2 * quarter[0], atol=1e-9)
        np.testing.assert_allclose(weights["full Kelly"][0].max(), 0.975, atol=5e-4)  # where SLSQP stops at 66%


def test_columns_of_the_package_that_published_the_table(script: Any, study: Any, page: str) -> None:
    pytest.importorskip("opes", reason="OPES is not installed (extra 'bench')")
    runs = script.as_published(study)
    rows = script.rows(runs, list(study.train.columns))
    shown = tables(page)[0]
    assert [row[0] for row in shown] == [row[0] for row in rows]
    same(shown[1:3], rows[1:3])  # the others are where SLSQP happens to stop, which may change with SciPy
    for name in ("half Kelly", "quarter Kelly"):
        np.testing.assert_allclose(runs[name].result["weights"], 0.1, atol=1e-9)
    assert runs["full Kelly"].result["weights"][0].max() < 0.9
    assert min(run.gap for run in runs.values()) > 1e-5
