"""`opeslike bets`: the stakes that Python gives, in every format, and errors that name row and column."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opeslike import Bet, Race, stakes
from opeslike.cli import main

HEADER = "name,race,side,p,odds,commission,place,place_terms\n"
ROWS = """\
Ayr,3.30,,50%,2.2,1%,,
Jets,,,0.55,+110,,,
Bute,3.30,back,3/10,5/2,0.01,,

Smith,,lay,0.20,4.5,2%,,
,,,0.2,5/1,,0.5,1/5
"""
CARD = (
    Race({"Ayr": (0.5, 2.2), "Bute": (0.3, 3.5)}, commission=0.01, name="3.30")
    + Bet(0.55, 2.1, name="Jets")
    + Bet(0.2, 4.5, commission=0.02, lay=True, name="Smith")
    + Bet(0.2, 6, place=0.5, place_terms=0.2)
)


@pytest.fixture
def run(tmp_path: Path, capsys: Any) -> Any:
    def command(text: str | bytes, *arguments: str) -> tuple[int, str, str]:
        file = tmp_path / "card.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        status = main(["bets", str(file), *arguments])
        out, err = capsys.readouterr()
        return status, out, err.replace(str(file), "card.csv")

    return command


def test_it_prints_what_python_prints(run: Any) -> None:
    assert run(HEADER + ROWS) == (0, f"{stakes(CARD)}\n", "")
    terms = {"bankroll": 1000.0, "fraction": 0.5, "radius": 0.005, "minimum": 10.0, "step": 0.5}
    options = [word for name, value in terms.items() for word in (f"--{name}", str(value))]
    found = stakes(CARD, **terms)
    assert run("\ufeff" + HEADER + ROWS, *options)[1] == f"{found}\n"
    assert "too small to be staked" in str(found)


def test_formats(run: Any) -> None:
    found = stakes(CARD, bankroll=200)
    _, out, _ = run(HEADER + ROWS, "--bankroll", "200", "--json")
    facts = json.loads(out)
    assert out == run(HEADER + ROWS, "--bankroll", "200", "--format", "json")[1]
    assert [bet["stake"] for bet in facts["bets"]] == pytest.approx(found.table["stake"].tolist(), rel=1e-12)
    assert [bet["bet"] for bet in facts["bets"]] == list(found.table.index)
    assert facts["growth"] == pytest.approx(found.growth, rel=1e-12)
    assert facts["halving"] == pytest.approx(found.halving, rel=1e-9)
    assert facts["bankroll"] == 200
    frame = pd.read_csv(StringIO(run(HEADER + ROWS, "--bankroll", "200", "--format", "csv")[1]), index_col=0)
    pd.testing.assert_frame_equal(frame, found.table)
    assert run(HEADER + ROWS, "--format", "github")[1].startswith("| bet")
    sure = "p,odds\n1,2\n"
    assert json.loads(run(sure, "--json")[1])["no_bet_radius"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p,odds\n0.5,2.1\n0.5,-50\n", "card.csv, row 3, column odds: odds='-50' cannot be read"),
        ("p,odds\n0.5,2.1\nhalf,2\n", "card.csv, row 3, column p: 'half' is not a share"),
        ("p,odds\n120%,2\n", "card.csv, row 2, column p: '120%' is not a share"),
        ("p,odds\n0.5,2\n\n,2\n", "card.csv, row 4, column p: nothing is written there"),
        ("p,odds,commission\n0.5,2,1/0\n", "card.csv, row 2, column commission: '1/0'"),
        ("p,odds,commission\n0.5,2,100%\n", "card.csv, row 2: Bet commission=1.0"),
        ("p,odds,side\n0.5,2,against\n", "card.csv, row 2, column side: 'against' is neither back nor lay"),
        ("p,odds,place\n0.5,2,0.4\n", "card.csv, row 2: place=0.4"),
        ("p,odds,stake\n0.5,2,4\n", "card.csv, row 1, column 'stake'"),
        ("p,odds,p\n0.5,2,4\n", "card.csv, row 1, column 'p'"),
        ("p,odds\n0.5,2,4\n", "card.csv, row 2, column 3: the header has only 2 columns"),
        ("p,odds,race\n0.5,2,A\n", "card.csv, row 2, column name: each runner of race 'A'"),
        ("p,odds,race,name\n0.5,2,A,x\n0.3,3,A,x\n", "card.csv, row 3, column name"),
        ("p,odds,race,name,commission\n0.5,2,A,x,\n0.3,3,A,y,2%\n", "card.csv, row 3, column commission"),
        ("p,odds,race,name,side\n0.5,2,A,x,lay\n", "card.csv, row 2, column side: the runners of a race"),
        ("p,odds,race,name,place\n0.5,2,A,x,0.9\n", "card.csv, row 2, column place: the runners of a race"),
        ("p,odds,race,name\n0.7,2,A,x\n0.5,3,A,y\n", "card.csv, race 'A': the probabilities of A x, A y sum to 1.2"),
        ("p,odds,name\n0.5,2,x\n0.5,3,x\n", "card.csv: two bets on the card are called 'x'"),
        ("p,odds\n", "card.csv: a card holds bets and races, at least one"),
        ("", "card.csv: a card holds bets and races, at least one"),
        (b"p,odds\n\xff\xfe,2\n", "card.csv is not a CSV file in UTF-8"),
    ],
)
def test_errors_are_one_line_that_names_the_place(run: Any, text: str | bytes, words: str) -> None:
    status, out, err = run(text)
    assert (status, out) == (2, "")
    assert err.startswith(f"opeslike bets: error: {words}")
    assert err.count("\n") == 1


def test_options_are_checked(run: Any, capsys: Any) -> None:
    status, _, err = run("p,odds\n0.5,2.1\n", "--fraction", "2")
    assert status == 2
    assert "--fraction 2.0 must lie in (0, 1]" in err
    assert main(["bets", "there-is-none.csv"]) == 2
    assert "there-is-none.csv" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["bets", "card.csv", "--bankroll", "much"])
