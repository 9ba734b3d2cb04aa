"""What the page on betting prints is what its code prints, and its file is the card of its code."""

from __future__ import annotations

import itertools
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from opeslike.cli import main

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "betting.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
GAP = re.compile(r"stakes \d\.\de[+-]\d+")  # rounding, which differs from machine to machine


def outputs() -> list[str]:
    names: dict[str, Any] = {}
    printed = []
    for kind, block in BLOCKS:
        if kind == "python":
            with redirect_stdout(StringIO()) as out:
                exec(compile(block, str(PAGE), "exec"), names)
            printed.append(out.getvalue())
    return printed


def test_output_is_printed_as_it_is() -> None:
    pairs = itertools.pairwise(BLOCKS)
    shown = [after[1] for before, after in pairs if before[0] == "python"]
    assert len(shown) == 4
    for page, printed in zip(shown, outputs(), strict=True):
        assert GAP.sub("", page) == GAP.sub("", printed)


def test_the_file_is_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = [block for kind, block in BLOCKS if kind == "text" and block.startswith("name,")]
    (tmp_path / "card.csv").write_text(text, encoding="utf-8")
    assert main(["bets", str(tmp_path / "card.csv"), "--bankroll", "1000", "--fraction", "0.5"]) == 0
    assert GAP.sub("", capsys.readouterr().out) == GAP.sub("", outputs()[-1])
