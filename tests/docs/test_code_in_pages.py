"""The Python in README and documentation runs, page by page, from the first block to the last; commands parse."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from opeslike.cli import build_parser

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_PYTHON = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
COMMAND = re.compile(
    r"(?:^ *|`|&& )(?:\.venv/bin/)?opeslike ((?:compare|optimize|backtest|orders|audit|bets)\b[^`\n]*)", re.MULTILINE
)


def test_there_is_something_to_run() -> None:
    assert {"README.md", "quickstart.md"} <= {page.name for page in WITH_PYTHON}


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if page.name == "sklearn.md":
        pytest.importorskip("skfolio", reason="skfolio is not installed (extra 'peers')")
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for name in re.findall(r'load_csv\("([\w.-]+)"', "".join(blocks)):
        data = Path(os.environ.get("OPESLIKE_TEST_DATA", ""), name)
        if not data.is_file():
            pytest.skip(f"OPESLIKE_TEST_DATA names no folder with {name}")
        shutil.copy(data, tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_parse(page: Path) -> None:
    for command in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = shlex.split(command)
        if "--help" not in words:
            build_parser().parse_args(words)
