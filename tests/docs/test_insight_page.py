"""What docs/insight.md shows is what its code prints, and its table is what the simulation found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def test_the_page_is_what_its_script_renders(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("arch")
    pytest.importorskip("tabulate")
    monkeypatch.syspath_prepend(str(DOCS / "scripts"))
    sys.modules.pop("insight", None)
    import insight

    page, findings = (DOCS / "insight.md").read_text(encoding="utf-8"), {}
    assert insight.render(page, findings) == page
    for kind in findings:
        assert f"img/insight-{kind.lower()}.png" in page
        assert (DOCS / "img" / f"insight-{kind.lower()}.png").is_file()
    assert len(findings) == 7
