"""`opeslike orders`: the orders that Python gives, from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opeslike import Kelly, KLRobustKelly, Mandate, MeanVariance, load_us20
from opeslike.cli import main
from opeslike.orders import Fees, orders

PRICES = load_us20(tickers="AAPL JPM XOM", start="2016", end="2018-03")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    PRICES.to_csv("prices.csv")
    Path("holdings.csv").write_text("ticker,shares\nAAPL,12\nXOM, 40\n\n")

    def command(*arguments: str) -> tuple[int, str, str]:
        status = main(["orders", "--csv", "prices.csv", *arguments])
        return status, *capsys.readouterr()

    return command


def held_weights(cash: float) -> dict[str, float]:
    worth = {"AAPL": 12 * PRICES["AAPL"].iloc[-1], "XOM": 40 * PRICES["XOM"].iloc[-1]}
    return {name: value / (cash + sum(worth.values())) for name, value in worth.items()}


@pytest.mark.parametrize(
    ("arguments", "objective", "given"),
    [
        ([], Kelly(), {}),
        (["--strategy", "kl-robust:radius=.02,fraction=.5"], KLRobustKelly(0.5, 0.02), {}),
        (["--strategy", "mean-variance", "--bounds", "0,0.5"], MeanVariance(), {"weight_bounds": (0, 0.5)}),
    ],
)
def test_they_are_what_python_gives(run: Any, arguments: list[str], objective: Any, given: dict[str, Any]) -> None:
    status, out, err = run("--cash", "25000", "--holdings", "holdings.csv", "--fees", "1,5,3", "--json", *arguments)
    assert (status, err) == (0, "")
    read = json.loads(out)
    objective.optimize(PRICES, **given)
    found = orders(objective, PRICES, 25_000, {"AAPL": 12, "XOM": 40}, fees=Fees(1, 5, 3))
    assert read["date"] == "2018-03-29"
    assert {row["ticker"]: row["shares"] for row in read["orders"]} == found.table["shares"].to_dict()
    assert {row["ticker"]: row["after"] for row in read["positions"]} == found.positions["after"].to_dict()
    assert read["cash"] == pytest.approx(found.cash, abs=1e-6)
    assert read["fees"] == pytest.approx(found.fees)
    assert read["growth_given_up"] == pytest.approx(found.growth_given_up, rel=1e-6)
    assert read["growth_given_up"] >= 0
    assert read["notes"] == found.notes
    assert read["wealth"] == pytest.approx(found.wealth, rel=1e-9)


def test_tables_and_csv(run: Any) -> None:
    status, out, _ = run("--cash", "25000", "--holdings", "holdings.csv")
    assert status == 0
    assert out.startswith("2018-03-29\n\nticker    action")
    assert "cash left" in out
    assert max(map(len, out.splitlines())) <= 120
    status, out, _ = run("--cash", "25000", "--format", "csv")
    assert out.startswith("ticker,action,shares,price,money,fee\n")
    status, out, _ = run("--cash", "25000", "--format", "github")
    assert "| ticker" in out


def test_weights_of_ones_own(run: Any) -> None:
    Path("w.csv").write_text("AAPL,0.5\nJPM,0.25\n")
    status, out, err = run("--cash", "10000", "--weights", "w.csv", "--fractional", "AAPL,JPM", "--json")
    assert (status, err) == (0, "")
    weights = {row["ticker"]: row["weight"] for row in json.loads(out)["positions"]}
    assert weights == pytest.approx({"AAPL": 0.5, "JPM": 0.25}, abs=1e-6)
    status, out, _ = run("--cash", "10000", "--weights", "w.csv", "--lot", "10", "--minimum-trade", "2600", "--json")
    assert all(row["shares"] % 10 == 0 and row["money"] >= 2_600 for row in json.loads(out)["orders"])


def test_what_optimize_writes_can_be_read(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main(["optimize", "--csv", "prices.csv", "--format", "csv"])
    Path("w.csv").write_text(capsys.readouterr().out)
    by_file = json.loads(run("--cash", "9000", "--weights", "w.csv", "--json")[1])
    direct = json.loads(run("--cash", "9000", "--json")[1])
    assert by_file["orders"] == direct["orders"]


def test_an_objective_that_weighs_its_trades_knows_what_is_held(run: Any) -> None:
    limited = ("--strategy", "kelly:mandate__max_turnover=0.1", "--window", "200")
    status, out, err = run(
        "--cash", "0", "--holdings", "holdings.csv", "--fractional", "AAPL,JPM,XOM", "--json", *limited
    )
    assert (status, err) == (0, "")
    kelly = Kelly(mandate=Mandate(max_turnover=0.1))
    kelly.optimize(PRICES.iloc[-201:], held=held_weights(0))
    weights = {row["ticker"]: row["weight"] for row in json.loads(out)["positions"]}
    wanted = dict(zip(PRICES, kelly.weights, strict=True))
    assert weights == pytest.approx({name: weight for name, weight in wanted.items() if weight > 0}, abs=1e-6)
    change = pd.Series(wanted) - pd.Series(held_weights(0)).reindex(list(wanted)).fillna(0)
    assert change.abs().sum() == pytest.approx(0.1, abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cash", "1000", "--strategy", "rolling-kelly"], "--strategy rolling-kelly is a rule for backtests"),
        (["--cash", "1000", "--kind", "returns"], "orders need prices"),
        (["--cash", "1000", "--weights", "holdings.csv"], "sum to 52, above 1"),
        (["--cash", "1000", "--weights", "holdings.csv", "--window", "9"], "leave them or --weights out"),
        (["--cash", "1000", "--holdings", "nowhere.csv"], "nowhere.csv"),
        (["--cash", "1000", "--holdings", "prices.csv"], "row 2: '2016-01-04,"),
        (["--cash", "1000", "--holdings", "twice.csv"], "twice.csv, row 3: AAPL stands in an earlier row too"),
        (["--cash", "1000", "--holdings", "empty.csv"], "empty.csv holds no line of a ticker and a number"),
        (["--cash", "1000", "--holdings", "bytes.csv"], "bytes.csv is not a CSV file in UTF-8"),
        (["--cash", "1000", "--holdings", "odd.csv"], "no price for ODD on 2018-03-29"),
        (["--cash", "0"], "there is nothing to invest"),
        (["--cash", "-100"], "there is nothing to invest"),
        (["--cash", "nan"], "--cash nan must be a finite number"),
        (["--cash", "100", "--lot", "0"], "lot of"),
        (["--cash", "1000", "--fees", "1,-5,3"], "bps=-5"),
        (["--cash", "1000", "--strategy", "kelly:radius=3"], "kelly has no such parameter"),
    ],
)
def test_errors_are_one_line(run: Any, arguments: list[str], message: str) -> None:
    Path("twice.csv").write_text("AAPL,1\nJPM,2\nAAPL,3\n")
    Path("empty.csv").write_text("ticker,shares\n")
    Path("bytes.csv").write_bytes(b"\xe4,1\n")
    Path("odd.csv").write_text("ODD,1\n")
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_cash_must_be_given(run: Any) -> None:
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 2
