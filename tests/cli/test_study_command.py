"""``opeslike study``."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from opeslike.cli import main

STUDY = """
store = "study.db"
benchmark = "1/N"
[data]
start = "2015"
end = "2017-06"
[samples]
count = 2
size = 3
[terms]
train_end = 2016-12-31
reopt_freq = 21
rebalance_freq = 21
cost = { const = 20 }
[strategies]
Kelly = "kelly"
"Half Kelly" = { of = "Kelly", fraction = 0.5 }
"KL 252" = { of = "kl-robust:radius=auto", window = 252 }
"KL tuned" = { of = "kl-robust", grid = { radius = [0.02] } }
"1/N" = "uniform"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


@pytest.mark.usefixtures("matplotlib")
def test_it_runs_and_says_what_may_be_said(file, capsys):
    page, folder = file.parent / "study.html", file.parent / "out"
    assert main(["study", str(file), "--jobs", "1", "--html", str(page), "--export", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("Study(5 strategies x 2 samples): 10 of 10 runs stored, 0 failed\n")
    assert "On growth" in out
    assert "10 of 10 runs stored" in page.read_text()
    assert len(pd.read_csv(folder / "runs.csv")) == 10
    assert main(["study", str(file), "--jobs", "1", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["strategy"] for row in rows][:3] == ["Kelly", "Half Kelly", "KL 252"]
    assert {row["status"] for row in rows} == {"ok"}
    assert main(["study", str(file), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"kelly"', '"kely"', "'Kelly': 'kely' is unknown"),
        ("[terms]", "[term]", "'term' is unknown; it may hold store"),
        ("[samples]", "[samples]\nkind = 'universes'", "samples kind 'universes' is unknown"),
        ("count = 2", "counts = 2", "unexpected keyword argument 'counts'"),
        ("fraction = 0.5", "fraction = 0", "'Half Kelly': Fraction fraction"),
        ("fraction = 0.5", "part = 0.5", "'Half Kelly' needs of = a strategy, and one of fraction, window, grid"),
        ("reopt_freq = 21", "reopt = 21", "no term 'reopt'"),
        ("count = 2", "count = ", "cannot be read"),
        ("[strategies]", "[data.x]", "needs [strategies] and [samples]"),
    ],
)
def test_what_is_wrong_is_one_line(file, capsys, old, new, message):
    file.write_text(STUDY.replace(old, new, 1))
    assert main(["study", str(file), "--jobs", "1"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_no_file(tmp_path, capsys):
    assert main(["study", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err
