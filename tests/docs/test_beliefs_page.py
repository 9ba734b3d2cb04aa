"""What docs/beliefs.md shows is what its code prints."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "beliefs.md"


def test_the_page_shows_what_its_code_prints() -> None:
    parts = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", PAGE.read_text("utf-8"), re.M | re.S)
    names: dict[str, object] = {}
    shown = 0
    for code, text in parts:
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(code, str(PAGE), "exec"), names)
        assert out.getvalue().rstrip() == text.rstrip()
        shown += bool(text)
    assert shown == 3
