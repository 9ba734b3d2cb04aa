"""Studies under fire: killed, starved of room, on a cluster that loses workers; the tables are those of a quiet run.

    python tests/studies/test_kills.py 50

kills fifty times, at random moments, the parent or one of its workers.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs signals as POSIX has them")]

STUDY = """
import os, sys, warnings
from opeslike import Kelly, MinVariance, Uniform, load_us20
from opeslike.errors import OutputError
from opeslike.studies import Fraction, Study, random_universes

def study(store):
    made = {"Kelly": Kelly(), "Half": Fraction("Kelly"), "Min": MinVariance(), "1/N": Uniform()}
    universes = random_universes(load_us20(start="2013", end="2017-09"), count=60, size=5, seed=1)
    return Study(made, universes, store=store, train_end="2014", reopt_freq=5, rebalance_freq=5)

"""
RUN = STUDY + "if __name__ == '__main__': study(sys.argv[1]).run(n_jobs=int(sys.argv[2]))\n"
FULL = (
    STUDY
    + """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    study(sys.argv[1]).run(n_jobs=1)
except OutputError as error:
    print(error)
"""
)
CLUSTER = (
    STUDY
    + """
import signal, threading, time
if __name__ == "__main__":
    from distributed import Client, LocalCluster
    with LocalCluster(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            pids = list(client.run(os.getpid).values())
            def kill():
                while not (os.path.exists(sys.argv[1] + "-wal") and os.path.getsize(sys.argv[1] + "-wal") > 200_000):
                    time.sleep(0.05)
                os.kill(pids[0], signal.SIGKILL)
                print("killed")
            threading.Thread(target=kill, daemon=True).start()
            study(sys.argv[1]).run(client=client)
            print(len(client.run(os.getpid)), pids[0] in client.run(os.getpid).values())
    with LocalCluster(n_workers=1, processes=True, threads_per_worker=1, dashboard_address=None) as cluster:
        study(None).run(client=cluster.scheduler_address)
"""
)


def environment() -> dict[str, str]:
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def contents(path: Path) -> list[tuple[object, ...]]:
    """All that a store holds of its runs, to the last bit, but for the seconds they took."""
    with sqlite3.connect(path) as db:
        names = [row[1] for row in db.execute("PRAGMA table_info(runs)") if row[1] != "seconds"]
        rows = db.execute(f"SELECT {', '.join(names)} FROM runs ORDER BY key").fetchall()
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    return rows


def workers_of(parent: int) -> list[int]:
    """Children of a process that run Python code of their own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = entry.read_text().partition(" (")
            if int(rest.rsplit(")", 1)[1].split()[1]) == parent and "loky" in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(int(pid))
        except OSError:
            continue
    return found


def under_fire(folder: Path, kills: int, env: dict[str, str], seed: int = 7) -> tuple[int, int]:
    """Kill again and again, then finish in peace; kills of the parent and of workers."""
    script, rng = folder / "script.py", random.Random(seed)
    script.write_text(RUN)

    def start(path: Path, jobs: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(script), str(path), str(jobs)], env=env, stderr=subprocess.PIPE)

    quiet, fired = folder / "quiet.db", folder / "fired.db"
    undisturbed = start(quiet, 1)
    said = undisturbed.communicate()[1].decode()
    assert undisturbed.returncode == 0, said[-2000:]
    expected = contents(quiet)
    done = [0, 0]
    while sum(done) < kills:
        if fired.exists() and rng.random() < 0.3:
            fired.unlink()  # begin anew, else there is soon nothing left to interrupt
        running = start(fired, 2)
        time.sleep(rng.uniform(2.0, 15.0))
        while running.poll() is None and sum(done) < kills:
            victims = workers_of(running.pid)
            if victims and rng.random() < 0.5:
                os.kill(rng.choice(victims), signal.SIGKILL)
                done[1] += 1
                time.sleep(rng.uniform(0.5, 4.0))
            else:
                running.kill()
                done[0] += 1
                break
        if running.poll() is None:
            running.kill()
        running.communicate()
        if fired.exists():
            assert set(contents(fired)) <= set(expected)  # nothing twice, nothing torn
    finished = start(fired, 2)
    said = finished.communicate()[1].decode()
    assert finished.returncode == 0, said[-2000:]
    assert contents(fired) == expected
    return done[0], done[1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_kills_change_nothing(tmp_path, offline_environment):
    parents, workers = under_fire(tmp_path, 4, offline_environment() | {"OPENBLAS_NUM_THREADS": "1"})
    assert parents + workers == 4


def test_a_full_disk_is_told_and_the_run_goes_on_from_there(tmp_path, offline_environment):
    env = offline_environment() | {"OPENBLAS_NUM_THREADS": "1"}
    path, quiet = tmp_path / "study.db", tmp_path / "quiet.db"
    full = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], env=env, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert "make room, and run again to go on" in full.stdout
    stored = contents(path)
    for place in (path, quiet):
        subprocess.run([sys.executable, "-c", RUN, str(place), "1"], env=env, check=True)
    assert 0 < len(stored) < len(contents(quiet))
    assert set(stored) < set(contents(quiet))
    assert contents(path) == contents(quiet)


def test_a_cluster_may_lose_a_worker(tmp_path, offline_environment):
    pytest.importorskip("distributed")
    env = offline_environment() | {"OPENBLAS_NUM_THREADS": "1"}
    script, path, quiet = tmp_path / "script.py", tmp_path / "study.db", tmp_path / "quiet.db"
    script.write_text(CLUSTER)
    done = subprocess.run(
        [sys.executable, str(script), str(path)], env=env, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["killed", "2", "False"]
    subprocess.run([sys.executable, "-c", RUN, str(quiet), "1"], env=env, check=True)
    assert contents(path) == contents(quiet)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        print("kills of the parent, of workers:", under_fire(Path(folder), int(sys.argv[1]), environment()))
