"""Files and folders: whole or not at all, whoever kills, fills the disk or writes beside."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from opeslike.analysis import output
from opeslike.analysis.output import check_folder, csv_text, write_atomically, write_folder
from opeslike.errors import OutputError

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes, links and FIFOs of POSIX systems")


class TestFile:
    @POSIX
    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
    def test_the_mode_stays(self, tmp_path, mode):
        path = tmp_path / "file"
        path.write_text("old")
        path.chmod(mode)
        write_atomically(path, "new")
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.read_text() == "new"

    @POSIX
    def test_a_new_file_has_the_usual_mode(self, tmp_path):
        (tmp_path / "usual").write_text("")
        write_atomically(tmp_path / "ours", "")
        assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode

    @POSIX
    def test_a_link_is_followed(self, tmp_path):
        (tmp_path / "far").mkdir()
        target, link = tmp_path / "far" / "file", tmp_path / "link"
        target.write_text("old")
        link.symlink_to("far/file")
        assert write_atomically(link, "new") == link
        assert link.is_symlink()
        assert target.read_text() == "new"
        dangling = tmp_path / "dangling"
        dangling.symlink_to("far/other")
        write_atomically(dangling, "made")
        assert (tmp_path / "far" / "other").read_text() == "made"
        link.unlink()
        link.symlink_to("link")
        with pytest.raises(OutputError, match="cannot write"):
            write_atomically(link, "round")

    @POSIX
    def test_only_regular_files(self, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to("fifo")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "socket"))
        for name, what in (("fifo", "a FIFO"), ("link", "a FIFO"), ("folder", "a folder"), ("socket", "a socket")):
            with pytest.raises(OutputError, match=f"it is {what}, not a regular file"):
                write_atomically(tmp_path / name, "x")
        with pytest.raises(OutputError, match="it is a device"):
            write_atomically("/dev/null", "x")
        assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
        assert sorted(os.listdir(tmp_path)) == ["fifo", "folder", "link", "socket"]

    @pytest.mark.parametrize("name", ["", None, 3, "a\0b"])
    def test_no_name(self, name):
        with pytest.raises(OutputError, match="cannot write"):
            write_atomically(name, "x")

    def test_text_that_is_no_unicode(self, tmp_path):
        with pytest.raises(OutputError, match="surrogates"):
            write_atomically(tmp_path / "file", "\ud800")
        assert os.listdir(tmp_path) == []

    def test_writers_do_not_meet(self, tmp_path):
        failed = []

        def write(number):
            try:
                for _ in range(25):
                    write_atomically(tmp_path / "file", f"{number}" * 5000)
            except OutputError as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(set((tmp_path / "file").read_text())) == 1
        assert os.listdir(tmp_path) == ["file"]


class TestFolder:
    def test_files_and_manifest(self, tmp_path):
        root = tmp_path / "deep" / "report"
        written = write_folder(root, {"table.md": "t", "weights/Kelly.csv": lambda: b"w"})
        assert written == [root / "table.md", root / "weights" / "Kelly.csv", root / "manifest.json"]
        assert (root / "weights" / "Kelly.csv").read_bytes() == b"w"
        hashes = json.loads((root / "manifest.json").read_text())["sha256"]
        assert hashes["table.md"] == "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8"
        assert check_folder(root) == []
        (root / "table.md").write_text("u")
        (root / "weights" / "Kelly.csv").unlink()
        assert check_folder(root) == ["table.md", "weights/Kelly.csv"]
        (root / "manifest.json").write_text("[]")
        with pytest.raises(OutputError, match="cannot be read"):
            check_folder(root)

    def test_what_is_no_longer_written_goes_and_what_is_not_ours_stays(self, tmp_path):
        root = tmp_path / "report"
        write_folder(root, {"a.txt": "1", "b.txt": "1", "c.txt": "1"})
        (root / "b.txt").write_text("changed by hand")
        (root / "notes").mkdir()
        (root / "notes" / "mine.txt").write_text("mine")
        write_folder(root, {"a.txt": "2"})
        found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        assert found == {"a.txt", "b.txt", "notes/mine.txt", "manifest.json"}
        assert (root / "b.txt").read_text() == "changed by hand"
        assert os.listdir(tmp_path) == ["report"]

    @POSIX
    def test_modes_and_links(self, tmp_path):
        root, link = tmp_path / "report", tmp_path / "link"
        write_folder(root, {"a.txt": "1"})
        (root / "a.txt").chmod(0o600)
        root.chmod(0o700)
        link.symlink_to("report")
        (root / "elsewhere").symlink_to(tmp_path)
        write_folder(link, {"a.txt": "2"})
        assert stat.S_IMODE((root / "a.txt").stat().st_mode) == 0o600
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert link.is_symlink()
        assert (root / "elsewhere").is_symlink()
        assert (link / "a.txt").read_text() == "2"

    @POSIX
    def test_what_is_in_the_way(self, tmp_path, monkeypatch):
        root = tmp_path / "report"
        write_folder(root, {"a.txt": "1"})
        os.mkfifo(root / "fifo")
        (root / "link").symlink_to("a.txt")
        for name, what in (("fifo", "a FIFO"), ("link", "a symbolic link")):
            with pytest.raises(OutputError, match=f"it is {what}"):
                write_folder(root, {"a.txt": "2", name: "x"})
        with pytest.raises(OutputError, match="not a folder"):
            write_folder(root / "a.txt", {"a.txt": "2"})
        for name in ("../a", "/a", "", "manifest.json", "."):
            with pytest.raises(OutputError, match="relative name"):
                write_folder(root, {name: "x"})
        monkeypatch.chdir(root)
        with pytest.raises(OutputError, match="holds the current folder"):
            write_folder(tmp_path, {"a.txt": "2"})
        assert (root / "a.txt").read_text() == "1"
        assert os.listdir(tmp_path) == ["report"]

    @pytest.mark.parametrize("name", ["", None])
    def test_no_name(self, name):
        with pytest.raises(OutputError, match="not the name of a folder"):
            write_folder(name, {})

    def test_failure_leaves_the_old_folder(self, tmp_path, monkeypatch):
        root = tmp_path / "report"
        write_folder(root, {"a.txt": "1", "b.txt": "1"})

        def fail():
            raise OSError(28, "No space left on device")

        with pytest.raises(OutputError, match="No space left"):
            write_folder(root, {"a.txt": "2", "b.txt": fail})
        with pytest.raises(ZeroDivisionError):
            write_folder(root, {"a.txt": "2", "b.txt": lambda: str(1 / 0)})
        monkeypatch.setattr(os, "fsync", lambda _: fail())
        with pytest.raises(OutputError, match="No space left"):
            write_folder(root, {"a.txt": "2", "b.txt": "2"})
        assert check_folder(root) == []
        assert (root / "a.txt").read_text() == "1"
        assert os.listdir(tmp_path) == ["report"]

    def test_where_folders_cannot_trade_names(self, tmp_path, monkeypatch):
        monkeypatch.setattr(output, "_exchange", lambda *_: False)
        for version in "123":
            write_folder(tmp_path / "report", {"a.txt": version})
            assert (tmp_path / "report" / "a.txt").read_text() == version
            assert os.listdir(tmp_path) == ["report"]

    def test_what_a_killed_writer_left_is_swept_a_day_later(self, tmp_path):
        for name, age in ((".report.x.partial", 2e5), (".report.y.partial", 0), (".other.x.partial", 2e5)):
            (tmp_path / name).mkdir()
            then = (tmp_path / name).stat().st_mtime - age
            os.utime(tmp_path / name, (then, then))
        write_folder(tmp_path / "report", {"a.txt": ""})
        assert sorted(os.listdir(tmp_path)) == [".other.x.partial", ".report.y.partial", "report"]


KILLS = """
import os, pathlib, random, signal, sys, time
from opeslike.analysis.output import check_folder, write_folder

root, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
rng, seen = random.Random(5), set()
write_folder(root, {f"{i}.txt": "start" for i in range(6)})
for kill in range(count):
    told, tell = os.pipe()
    writer = os.fork()
    if writer == 0:
        version = 1000 * kill
        while True:
            version += 1
            write_folder(root, {f"{i}.txt": f"{version} " * 5000 for i in range(6)})
            os.write(tell, b".")
    os.read(told, 1)  # it has written once, and writes again
    time.sleep(rng.uniform(0.0, 0.05))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    assert check_folder(root) == [], kill
    texts = {path.read_text() for path in root.glob("*.txt")}
    assert len(texts) == 1, kill
    seen |= texts
print(len(seen))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked writers")
def test_a_kill_leaves_all_of_the_old_or_all_of_the_new(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path / "report"), "40"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5  # the kills fell at moments that tell


FULL = """
import resource, sys
from opeslike.analysis.output import check_folder, write_folder
from opeslike.errors import OutputError

root = sys.argv[1]
write_folder(root, {"a": "x" * 1000, "b": "x" * 1000})
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    write_folder(root, {"a": "y" * 1000, "b": "y" * 100_000})
except OutputError as error:
    print(error)
assert check_folder(root) == []
assert open(f"{root}/a").read() == "x" * 1000
"""


@POSIX
def test_no_room_leaves_the_old_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "report")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    assert os.listdir(tmp_path) == ["report"]


class TestCsv:
    @pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "@SUM(A1)", "+1", "-2+3", "\tx", "\r=1"])
    def test_names_are_no_formulas(self, name):
        text = csv_text(["Date", name], [["2020-01-02", -0.5], [name, 1e-300]])
        safe = "'" + name.replace("\r", " ")
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert rows[0] == ["Date", safe]
        assert rows[1] == ["2020-01-02", "-0.5"]
        assert rows[2] == [safe, "1e-300"]

    def test_other_names_stay(self):
        assert csv_text(["", "BRK-B", "^GSPC", 3], [[1, 0.1, None, "a,b"]]) == ',BRK-B,^GSPC,3\n1,0.1,,"a,b"\n'


def test_a_report_has_a_name(tmp_path):
    with pytest.raises(OutputError, match="not the name of a file"):
        output.chart_path("")
    assert Path(output.chart_path(tmp_path / "a")).suffix == ".png"
