"""Every script in examples/ runs, offline and from an empty folder, and leaves the files that it declares."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
#: take the better part of a minute
SLOW = {"costs_inside.py"}


def declared(script: Path) -> list[str]:
    """Files that the docstring lists in a line such as ``Writes: table.md, wealth.png`` (or ``Writes: nothing``)."""
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    found = re.search(r"^Writes: (.+)$", docstring, re.MULTILINE)
    assert found, f"{script.name}: its docstring needs a line 'Writes: file, file' or 'Writes: nothing'"
    return [] if found[1].strip() == "nothing" else [name.strip() for name in found[1].split(",")]


def test_there_are_examples() -> None:
    assert {"quickstart.py", "which_kelly_is_best.py"} <= {script.name for script in SCRIPTS}


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, offline_environment: Callable[[], dict[str, str]]
) -> Callable[[Path], tuple[Path, subprocess.CompletedProcess[str]]]:
    """Run a script, once, in an empty folder and on embedded data; the folder and what it said.

    What the studies find on real prices is the matter of test_studies.py.
    """

    @cache
    def once(script: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
        folder = tmp_path_factory.mktemp(script.stem)
        env = {**offline_environment(), "PYTHONIOENCODING": "utf-8"}
        env.pop("OPESLIKE_TEST_DATA", None)
        command = [sys.executable, str(script)]
        return folder, subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False, encoding="utf-8"
        )

    return once


@pytest.mark.parametrize(
    "script",
    [pytest.param(s, marks=pytest.mark.slow if s.name in SLOW else (), id=s.stem) for s in SCRIPTS],
)
def test_example(script: Path, run: Callable[[Path], tuple[Path, subprocess.CompletedProcess[str]]]) -> None:
    folder, done = run(script)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    for name in declared(script):
        content = (folder / name).read_bytes()
        assert content, f"{name} is empty"
        assert name.endswith(".png") == content.startswith(b"\x89PNG")
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == set(declared(script)), "the docstring's line 'Writes:' names all files"


def test_which_kelly_shows_both_meanings_and_that_half_is_not_quarter(
    run: Callable[[Path], tuple[Path, subprocess.CompletedProcess[str]]],
) -> None:
    folder, done = run(EXAMPLES / "which_kelly_is_best.py")
    text = (folder / "which-kelly.md").read_text(encoding="utf-8")
    assert text.count("| Worst gap per period") == 2
    gaps = [float(gap) for gap in re.findall(r"\d\.\de-\d+", text)]
    assert len(gaps) >= 12
    assert max(gaps) <= 1e-9
    apart = re.search(r"half and quarter Kelly differ by up to ([\d.]+)%", done.stdout)
    assert apart
    assert float(apart[1]) > 1


def test_which_kelly_offline_with_yahoo_is_one_line(
    tmp_path: Path, offline_environment: Callable[[], dict[str, str]]
) -> None:
    """An empty cache and no network: the message, not a traceback."""
    env = {**offline_environment(), "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "which_kelly_is_best.py"), "--yahoo"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"^which_kelly_is_best: .*load_us20", done.stderr, re.MULTILINE), done.stderr
