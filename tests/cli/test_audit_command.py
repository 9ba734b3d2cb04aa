"""`opeslike audit`: what `audit` finds in a file, in every format."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opeslike import audit, load_us20
from opeslike.cli import main


@pytest.fixture
def prices(tmp_path: Path) -> pd.DataFrame:
    frame = load_us20(tickers="AAPL JPM KO PG XOM", start="2015")
    frame.iloc[900:, 2] /= 2
    frame.to_csv(tmp_path / "prices.csv")
    return frame


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    status = main(["audit", *arguments])
    return status, *capsys.readouterr()


def test_it_prints_what_python_prints(prices: pd.DataFrame, tmp_path: Path, capsys: Any) -> None:
    status, out, err = run(capsys, str(tmp_path / "prices.csv"))
    assert (status, out, err) == (0, f"{audit(prices)}\n", "")
    assert "KO 2018-07-31 (x 0.5)" in out
    part = run(capsys, str(tmp_path / "prices.csv"), "--tickers", "KO,PG", "--start", "2017", "--end", "2019")[1]
    assert part == f"{audit(prices.loc['2017':'2019', ['KO', 'PG']])}\n"


def test_formats(prices: pd.DataFrame, tmp_path: Path, capsys: Any) -> None:
    file = str(tmp_path / "prices.csv")
    (row,) = json.loads(run(capsys, file, "--format", "json")[1])
    assert (row["severity"], row["kind"], row["asset"], row["start"]) == ("severe", "split", "KO", "2018-07-31")
    frame = pd.read_csv(StringIO(run(capsys, file, "--format", "csv")[1]))
    assert list(frame.columns) == list(audit(prices).to_frame().columns)
    assert run(capsys, file, "--format", "github")[1].startswith("| severity")


def test_a_file_in_another_notation(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "kurse.csv"
    file.write_text("Datum;KO\n" + "".join(f"{day:02}.01.21;1.00{day % 7},5\n" for day in range(1, 32)))
    status, out, err = run(capsys, str(file))
    assert (status, out) == (2, "")
    assert "'01.01.21' is not a date" in err
    assert "--date-format" in err
    status, out, _ = run(capsys, str(file), "--date-format", "%d.%m.%y", "--decimal", ",", "--thousands", ".")
    assert (status, out) == (0, "1 asset, 31 rows, 2021-01-01 to 2021-01-31: 0 severe, 0 to check\n")


def test_errors_are_one_line(tmp_path: Path, capsys: Any) -> None:
    status, out, err = run(capsys, str(tmp_path / "none.csv"))
    assert (status, out) == (2, "")
    assert err == f"opeslike audit: error: {tmp_path / 'none.csv'} does not exist: check the path\n"
