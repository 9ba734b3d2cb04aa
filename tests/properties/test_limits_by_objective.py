"""The page that says which objective takes which limit says what happens."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "docs" / "scripts" / "matrix.py"
spec = spec_from_file_location("opeslike_matrix", SCRIPT)
assert spec is not None
assert spec.loader is not None
matrix = module_from_spec(spec)
spec.loader.exec_module(matrix)


def written() -> dict[str, dict[str, str]]:
    """The cells of both tables of the page."""
    cells: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for line in matrix.PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            heads = []
            continue
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if not heads:
            heads = row[1:]
        elif row[0] and row[0][0].isalpha():
            cells.setdefault(row[0], {}).update(zip(heads, row[1:], strict=True))
    return cells


@pytest.mark.parametrize("name", matrix.objectives())
def test_the_page_says_what_each_limit_comes_to(name: str) -> None:
    page = written()[name]
    assert list(page) == list(matrix.KINDS)
    for limit, mandate in matrix.KINDS.items():
        what, why = matrix.outcome(matrix.objectives()[name], mandate)
        if what == "refused":
            assert page[limit].isdigit(), (limit, why)
        else:
            assert page[limit] == matrix.SIGNS[what], (limit, what)
