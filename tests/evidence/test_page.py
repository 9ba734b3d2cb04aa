from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("arch.bootstrap", reason="arch is not installed (extra 'evidence')")
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "evidence.md"


@pytest.mark.slow
def test_the_page_shows_what_its_code_prints(capsys):
    text, names = PAGE.read_text(encoding="utf-8"), {}
    blocks = re.findall(r"^```python\n(.*?)^```\s+```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    for code, shown in blocks:
        exec(compile(code, str(PAGE), "exec"), names)
        assert capsys.readouterr().out.rstrip() == shown.rstrip()
