"""Hostile calls of the command: an answer, or one line and status 2; no traceback and no half-written file."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path
from typing import Any

import pytest

from opeslike import load_us20
from opeslike.cli import build_parser, main

COMMANDS = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
DATA = ["--csv", "prices.csv"]
#: a call of each command, all but the last of which work
SOUND = {
    "compare": [*DATA, "--no-plots", "--fractions", "1", "--reopt", "20"],
    "backtest": [*DATA, "--strategy", "kelly", "--reopt", "20"],
    "optimize": DATA,
    "orders": [*DATA, "--cash", "1000"],
    "audit": ["prices.csv"],
    "bets": ["card.csv"],
    "study": ["prices.csv"],  # which is no TOML: studies keep what they did, whatever comes after
}
WORDS = """0 -1 -0 1 3 1e-300 1e-17 1e300 1e400 nan inf -inf 1_0 ٣ 0x10 1e9 None [] {} () True 1,2 0.5,0.1 ,,, = a=b
AAPL AAPL,AAPL aapl *=1 AAPL=x 2017 2017-02-30 9999-12-31 10000-01-01 0001-01-01 1e3-01-01 ME 0ME -3ME 99999999999ME
kelly kelly: kelly:fraction= kelly:fraction=nan kelly:fraction=[1,2] kelly:mandate=3 kelly:mandate__costs=-1
kelly:mandate__bounds=(1,0) kelly:reg=l9 kelly:constraints=3 kl-robust:radius=-1 cvar:confidence=2 fraction=1e-320
constraints=3 beliefs=3 beliefs=[nan] solver=() time_limit=0 simple json csv latex utf-16 idna %Y % %q ; || @SUM(1) 💣
prices.csv card.csv bytes.csv empty.csv formula.csv nowhere/x folder fifo /dev/null /dev/full ../.. / \udcff"""
LONG = ["x" * 5_000, "fraction=" + "-" * 20_000 + "1", "a=" + "(" * 5_000]
VALUES = [*WORDS.split(), "", " ", "\t", "=cmd|' /C calc'!A0", *LONG]
#: options that name a file to read: one that never ends is waited for, as it should be
READ = {"--csv", "--holdings", "--weights", "--listed"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    load_us20(tickers="AAPL JPM", start="2017", end="2018-02").to_csv("prices.csv")
    Path("card.csv").write_text("p,odds\n0.6,2.0\n")
    Path("bytes.csv").write_bytes(bytes(range(256)))
    Path("empty.csv").touch()
    Path("formula.csv").write_text('Date,"=cmd|x",@SUM\n2017-01-02,1,2\n2017-01-03,2,3\n2017-01-04,1,3\n')
    Path("folder").mkdir()
    os.mkfifo("fifo")
    return tmp_path


def calls() -> list[list[str]]:
    """Every option of every command with some hostile values, and with several of them at once."""
    rng = random.Random(0)
    made = []

    def given(action: Any) -> list[str]:
        option = action.option_strings[0]
        values = [one for one in VALUES if one != "fifo" or option not in READ]
        return [option, *([] if action.nargs == 0 else [rng.choice(values)])]

    for name, parser in COMMANDS.items():
        options = [
            action
            for action in parser._actions
            if action.option_strings and not {"--help", "--yahoo", "--jobs", "--scheduler"} & set(action.option_strings)
        ]
        made += [[name, *SOUND[name], *given(one)] for one in options for _ in range(1 if one.nargs == 0 else 6)]
        for _ in range(20):
            made.append([name, *SOUND[name], *(word for one in rng.sample(options, 3) for word in given(one))])
        made += [[name, *rng.sample([one for one in VALUES if one != "fifo"], rng.randint(0, 3))] for _ in range(10)]
    return made


def tree(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_hostile_calls_end_in_an_answer_or_in_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, wrong = tree(place), []
    every = calls()
    assert len(every) > 500
    for words in every:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                status: Any = main(words)
        except SystemExit as stop:
            status = stop.code
        except BaseException as error:
            status = repr(error)[:300]
        out, err = capsys.readouterr()
        lines = err.splitlines()
        said = [line for line in lines if line.startswith("opeslike")] if status != 0 else lines
        told = status == 0 or (
            status == 2 and len(lines) == len(said) and "error: " in lines[-1] and len(lines[-1]) <= 2_300
        )
        left = [path.name for path in place.rglob("*.partial")]
        if not told or left or "Traceback" in out + err:
            wrong.append(([word[:60] for word in words], status, left, err[-300:]))
        after = tree(place)
        if status == 0:
            for path in set(after) - set(before):  # what an option named, whole
                if path.endswith("metrics.csv"):
                    assert after[path].endswith(b"\n")
        else:
            changed = [path for path in before if after.get(path) != before[path]]
            if changed or set(after) - set(before):
                wrong.append(([word[:60] for word in words], status, sorted(set(after) - set(before)), changed))
        for path in set(after) - set(before):
            (place / path).unlink()
        for path, content in before.items():
            if after.get(path) != content:
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_bytes(content)
    assert not wrong, f"{len(wrong)} of {len(every)}:\n" + "\n".join(map(str, wrong[:40]))
