"""Pages that show what their code prints show what it prints today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parent.parent.parent / "docs"


@pytest.mark.parametrize(
    ("page", "count"),
    [
        pytest.param("evidence.md", 4, marks=pytest.mark.slow),
        *(("orders.md", 2), ("universe.md", 3), ("flows.md", 2), ("sklearn.md", 4)),
    ],
    ids=["evidence", "orders", "universe", "flows", "sklearn"],
)
def test_the_page_shows_what_its_code_prints(page, count, capsys):
    if page == "evidence.md":
        pytest.importorskip("arch.bootstrap", reason="arch is not installed (extra 'evidence')")
    if page == "sklearn.md":
        pytest.importorskip("skfolio", reason="skfolio is not installed (extra 'peers')")
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```\s+```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == count
    names: dict[str, object] = {}
    for code, shown in blocks:
        exec(compile(code, page, "exec"), names)
        assert capsys.readouterr().out.rstrip() == shown.rstrip()
