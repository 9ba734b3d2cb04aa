"""Render docs/insight.md and its figures: what its code prints, what it draws, and the table of coverage.csv.

python docs/scripts/insight.py
"""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd

from opeslike.insight import Finding

DOCS = Path(__file__).resolve().parent.parent
PAGE, IMAGES = DOCS / "insight.md", DOCS / "img"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"(<!-- coverage -->\n).*?(<!-- /coverage -->)", re.DOTALL)


def coverage() -> str:
    """The table of the page: nominal and actual shares."""
    table = pd.read_csv(DOCS / "scripts" / "coverage.csv", dtype=str, keep_default_na=False)
    return table.to_markdown(index=False, disable_numparse=True) + "\n"


def render(text: str, findings: dict[str, Finding]) -> str:
    """The page with what its code prints; what it finds is put into ``findings`` by kind."""
    names: dict[str, object] = {}

    def run(block: re.Match[str]) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(block[1], str(PAGE), "exec"), names)
        findings.update({type(one).__name__: one for one in names.values() if isinstance(one, Finding)})
        shown = f"\n```text\n{out.getvalue().rstrip()}\n```\n" if out.getvalue() else ""
        return f"```python\n{block[1]}```\n{shown}"

    text = BLOCK.sub(run, text)
    return TABLE.sub(lambda found: found[1] + coverage() + found[2], text)


def main() -> None:
    findings: dict[str, Finding] = {}
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), findings), encoding="utf-8")
    for name, found in findings.items():
        figure = found.plot()
        figure.set_size_inches(7.0, 4.8)  # text that a phone can show
        figure.savefig(IMAGES / f"insight-{name.lower()}.png", dpi=120)


if __name__ == "__main__":
    main()
