"""The command itself: help, errors on one line with status 2, interrupts and pipes that close."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import opeslike
from opeslike.cli import build_parser, main
from opeslike.data import load_us20

SMALL = [
    "--tickers",
    "AAPL,JPM",
    "--start",
    "2017",
    "--train-end",
    "2017",
    "--end",
    "2018-02",
    "--reopt",
    "20",
    "--no-plots",
]


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"opeslike {opeslike.__version__}\n"


@pytest.mark.parametrize("command", [[], ["compare"], ["optimize"]])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "examples:\n  opeslike " in out
    assert max(map(len, out.splitlines())) <= 120


def test_examples_in_help_parse():
    commands = build_parser()._subparsers._group_actions[0].choices
    for parser in [build_parser(), *commands.values()]:
        lines = [line.split() for line in parser.epilog.splitlines() if line.startswith("  opeslike ")]
        assert lines
        for _, *words in lines:
            if "--help" not in words:
                assert build_parser().parse_args(words).run


def test_no_command_shows_help(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: opeslike")


def test_help_and_typing_errors_are_quick():
    code = (
        "import sys; from opeslike.cli import build_parser; build_parser().format_help(); "
        "sys.exit(', '.join(m for m in ('pandas', 'numpy', 'tabulate') if m in sys.modules) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(opeslike.__file__).parent.parent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["compare", "--frob", "3"], "compare: error: unrecognized arguments: --frob 3"),
        (["compare", "--train", "2017"], "unrecognized arguments: --train 2017"),
        (["compare", "--format", "spreadsheet"], "--format: 'spreadsheet' is unknown; use csv, json, "),
        (["compare", "--train-end", "yesterday"], "--train-end: 'yesterday' is not a date"),
        (["compare", "--start", "2017-02-30"], "'2017-02-30' is not a date"),
        (["compare", "--reopt", "0"], "--reopt: '0' is not a whole number of at least 1"),
        (["compare", "--lag", "-1"], "--lag: '-1' is not a whole number of at least 0"),
        (["compare", "--window", "1.5"], "--window: '1.5' is not a whole number"),
        (["compare", "--fractions", "1,half"], "--fractions: '1,half' is not a list of numbers"),
        (["compare", "--bounds", "1"], "--bounds: '1' is not a list of 2 numbers"),
        (["compare", "--radius", "wide"], "--radius: 'wide' is neither a number nor auto"),
        (["compare", "--cost-bps", "free"], "--cost-bps: invalid float value: 'free'"),
        (["compare", "--csv", "a.csv", "--yahoo", "AAPL"], "--yahoo: not allowed with argument --csv"),
        (["compare", "--strategy", "best:radius=1"], "--strategy: 'best' is unknown; use one of bcrp, "),
        (["compare", "--strategy", "cvar:confidence"], "'confidence' is not of the form key=value"),
        (["backtest", "--strategy", "kelly", "--html", ""], "--html: '' is not the name of a file"),
        (["backtest", "--strategy", "kelly", "--format", "grid"], "--format: invalid choice: 'grid'"),
        (["--print-completion", "fish"], "invalid choice: 'fish'"),
        (["optimize", "--objective", "best"], "--objective: invalid choice: 'best'"),
    ],
)
def test_arguments_that_cannot_be_understood(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("opeslike")
    assert message in err
    assert err.count("\n") == 1
    assert "--help)\n" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csv", "missing.csv"], "missing.csv does not exist"),
        (["--csv", "."], "cannot be read: Is a directory"),
        (["--tickers", "AAPL,FOO"], "has no FOO: it has AAPL"),
        (["--tickers", "AAPL,AAPL"], "ticker AAPL occurs twice"),
        (["--fractions", "0"], "--fractions 0.0 must"),
        (["--fractions", "7"], "--fractions 7.0 must lie in (0, 1]"),
        (["--fractions", "nan"], "--fractions nan must"),
        (["--fractions", "0.5,0.5"], "a fraction occurs twice"),
        (["--radius", "-0.1"], "--radius -0.1 must be"),
        (["--radius", "nan"], "--radius nan must be"),
        (["--risk-aversion", "0"], "--risk-aversion 0.0 must be"),
        (["--cost-bps", "-1"], "bps=-1.0 must be a finite number >= 0"),
        (["--cost-bps", "nan"], "bps=nan must be a finite number"),
        (["--train-end", "2019-12-31"], "the test set is empty: the prices used run from 2010-01-04 to 2019-12-31"),
        (["--train-end", "2009"], "the training set is empty"),
        (["--start", "2020"], "--start 2020-01-01 lies after 2019-12-31, where the prices end unless --end"),
        (["--start", "2030", "--end", "2031"], "no rows between --start 2030-01-01 and --end 2031-12-31"),
        (["--start", "2019", "--end", "2012"], "--start 2019-01-01 lies after --end 2012-12-31"),
        (["--bounds", "0,0.05"], "'Kelly': Kelly on 2018-01-02: the upper weight bounds sum to"),
        (["--lag", "9999"], "--lag 9999"),
        (["--periods-per-year", "0"], "--periods-per-year 0.0 must be"),
        (["--periods-per-year", "1e-300"], "--periods-per-year 1e-300 must be a finite number >= 0.001"),
        (["--risk-free", "-2"], "--risk-free must be"),
        (["--reopt", "sometimes"], "--reopt 'sometimes' is no calendar of pandas"),
        (["--band", "-1"], "Bands absolute=-1.0 must be a finite number >= 0"),
        (["--strategy", "kelly:speed=3"], "--strategy kelly speed: kelly has no such parameter; it has fraction"),
        (["--strategy", "kelly:fraction=7"], "7 must lie in (0, 1]"),
        (["--strategy", "kelly", "--fractions", "1"], "--fractions describes the strategies compared by default"),
        (["--strategy", "kelly", "--strategy", "kelly"], "--strategy names one strategy twice"),
        (["--sep", ";"], "--sep describes the file of --csv"),
        (["--field", "Close"], "--field describes the file of --csv"),
        (["--sort"], "--sort describes the file of --csv"),
        (["--kind", "returns"], "--kind describes the file of --csv"),
        (["--yahoo", "AAPL", "--tickers", "AAPL"], "--tickers and --yahoo both name tickers"),
    ],
)
def test_requests_that_cannot_be_met(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("opeslike compare: error: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ("2020-01-02,1\n2020-01-01,1\n2020-01-03,1\n", [], "pass --sort to sort the rows (or --date-format, if day"),
        ("02/01/2020,1\n", [], "pass --date-format, e.g. '%d/%m/%Y'"),
        ("2020-01-02,.1\n2020-01-03,.2\n2020-01-06,.1\n", [], "pass --kind 'prices' or --kind 'returns'"),
        ("2020-01-02,1\n", ["--sep", "::"], "--sep '::': give one character"),
        ("2020-01-02,1\n", ["--sep", ";"], "pass --sep ','"),
    ],
)
def test_errors_speak_of_options_not_of_parameters(rows, options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("risk_free.csv").write_text("Date,A\n" + rows)
    assert main(["compare", "--csv", "risk_free.csv", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert "--risk" not in err  # the name of a file stays what it is


@pytest.mark.parametrize("command", [["backtest", "--strategy"], ["optimize", "--objective"]])
@pytest.mark.parametrize(
    "parameter",
    ["constraints=3", "constraints=[3]", "periods_per_year=1e-300", "fraction=" + "-" * 20_000 + "1",
     "fraction=" + "(" * 20_000, "fraction=[1,2]", "leverage={}", "probabilities=x", "reg=3", "strength=None"],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_whatever_is_typed_as_a_parameter_is_one_line(command, parameter, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--tickers", "AAPL,JPM", "--start", "2018", "--end", "2018-06"]
    extra = ["--param", "leverage=1", "--param", "risk_free=0.02"] if parameter.startswith("periods") else []
    train = ["--train-end", "2018-04"] if command[0] == "backtest" else []
    assert main([*command, "kelly", "--param", parameter, *extra, *small, *train]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"opeslike {command[0]}: error: ")
    assert err.count("\n") == 1
    assert len(err) < 2500


@pytest.mark.parametrize("command", [[], ["compare"], ["backtest"], ["optimize"]])
def test_help_states_the_exit_statuses(command, capsys):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    out = capsys.readouterr().out
    assert "exit status: 0 if all went well, 2 after an error" in out
    assert "130" in out
    assert "141" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell, capsys):
    pytest.importorskip("shtab", reason="shtab is not installed")
    with pytest.raises(SystemExit) as stop:
        main(["--print-completion", shell])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "kl-robust" in out
    assert "--train-end" in out or shell == "tcsh"  # whose options shtab writes without dashes


def test_completion_without_its_library_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stop:
        main(["--print-completion", "bash"])
    assert stop.value.code == 2
    assert "pip install 'opeslike[completion]'" in capsys.readouterr().err


def test_an_unwritable_folder_is_told_before_the_work(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("opeslike.studies.compare", lambda *_, **__: pytest.fail("worked in vain"))
    for folder in ("file", "file/below"):
        assert main(["compare", *SMALL, "--out", str(tmp_path / folder)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"opeslike compare: error: cannot write into {tmp_path / folder}: ")
        assert err.count("\n") == 1


def test_an_error_of_several_lines_is_one_line(capsys, monkeypatch):
    def fail(args):
        raise opeslike.errors.DataError("first\nsecond")

    monkeypatch.setattr("opeslike.cli.optimize.run", fail)
    assert main(["optimize"]) == 2
    assert capsys.readouterr().err == "opeslike optimize: error: first second\n"


def test_an_interrupt_ends_without_a_traceback(capsys, monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("opeslike.cli.compare.run", interrupted)
    assert main(["compare"]) == 130
    assert capsys.readouterr().err == "\nopeslike: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes as POSIX has them")
def test_a_pipe_that_closes_ends_without_a_traceback(tmp_path, offline_environment):
    with subprocess.Popen(
        [sys.executable, "-m", "opeslike", "compare", *SMALL], cwd=tmp_path, env=offline_environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        child.stdout.close()
        err = child.stderr.read()
    assert (child.returncode, err) == (141, "")
    assert (tmp_path / "opeslike-report" / "table.md").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path, offline_environment):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "opeslike", "optimize", "--tickers", "AAPL", "--start", "2022"], cwd=tmp_path,
            env=offline_environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "opeslike optimize: error: [Errno 28] No space left on device\n"


def test_a_terminal_that_knows_no_unicode(tmp_path, offline_environment):
    arguments = ["optimize", "--tickers", "AAPL", "--start", "2022", "--format", "fancy_grid"]
    env = {**offline_environment(), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "opeslike", *arguments],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "AAPL" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["audit", "kurse.csv"],
        ["optimize", "--objective", "uniform", "--csv", "kurse.csv"],
        ["compare", "--strategy", "uniform", "--no-plots", "--csv", "kurse.csv"],
        ["backtest", "--strategy", "uniform", "--csv", "kurse.csv"],
    ],
    ids=lambda words: words[0],
)
def test_a_file_is_read_alike_by_all(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prices = load_us20(tickers="AAPL JPM", start="2019-01", end="2019-06").rename(columns={"AAPL": "Äpfel"}) * 100
    rows = [";".join(["Datum", *prices])]
    for day, cells in prices.iterrows():
        rows.append(";".join([f"{day:%d.%m.%y}", *(f"{cell:,.0f}".replace(",", ".") for cell in cells)]))
    Path("kurse.csv").write_text("\n".join(rows), encoding="cp1252")
    ticker = "Äpfel"
    form = ["--encoding", "cp1252", "--date-format", "%d.%m.%y", "--decimal", ",", "--thousands", "."]
    for option in range(0, len(form), 2):
        less = form[:option] + form[option + 2 :]
        if form[option] != "--decimal":  # the mark between thousands leaves one notation
            assert main([*command, *less]) == 2, less
            assert form[option] in capsys.readouterr().err
    assert main([*command, *form, "--sep", ";", "--sort", "--tickers", f"JPM,{ticker}", "--start", "2019-02"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out


def test_listings_and_other_files_than_text(capsys, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.chdir(tmp_path)
    prices = load_us20(tickers="AAPL JPM XOM", start="2018", end="2019")
    prices.iloc[450:, 2] = float("nan")
    prices.to_parquet("prices.parquet")
    member = pd.DataFrame(1, index=prices.index[:1], columns=prices.columns)
    member.loc[prices.index[470]] = [1, 0, 1]
    member.to_csv("members.csv")
    command = ["backtest", "--strategy", "uniform", "--csv", "prices.parquet", "--weights", "weights.csv", "--quiet"]
    lives = [
        "--delisting-return",
        "XOM=-0.5",
        "--delisted-after",
        "8",
        "--min-history",
        "50",
        "--listed",
        "members.csv",
    ]
    assert main([*command, *lives]) == 0
    capsys.readouterr()
    held = pd.read_csv("weights.csv", index_col=0, parse_dates=True)
    assert (held["XOM"][prices.index[458] :] == 0).all()
    assert (held["XOM"][: prices.index[456]] > 0).all()
    assert (held["JPM"][prices.index[475] :] == 0).all()
    assert main([*command, "--listed", "none.csv"]) == 2
    assert "none.csv does not exist" in capsys.readouterr().err
    assert main([*command, "--sep", ";"]) == 2
    assert "--sep ';' describes text" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "--out", "report", *SMALL],
        ["backtest", "--strategy", "kelly", *SMALL[:-1]],
        ["optimize", *SMALL[:4]],
        ["orders", "--cash", "1000", *SMALL[:4]],
        ["audit", "prices.csv"],
        ["bets", "card.csv"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_gives_json_where_asked(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    opeslike.load_us20(tickers="AAPL", start="2017", end="2018-02").to_csv("prices.csv")
    Path("card.csv").write_text("p,odds\n0.6,2.0\n")
    texts = []
    for option in (["--json"], ["--format", "json"]):
        assert main([*command, *option]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert json.loads(texts[0]) is not None


@pytest.mark.parametrize("name", list(build_parser()._subparsers._group_actions[0].choices))
def test_exit_statuses_are_in_every_help(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "exit status: 0 if all went well, 2 after an error (one line on stderr), 130 after an interrupt" in out
