"""Each kind of process of a sweep is killed under load, in a folder of decoys: no run is lost, no decoy is executed.

`USAGGR_KILLS=20` kills each kind that many times, also in the tests of Slurm and Ray (`test_decoys.py`).
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.module_decoys import read_executed, write_decoys
from tests.sweep.test_faults import count_starts, find_results, lives, until

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("USAGGR_KILLS", "1"))
PROGRAM = """
import sys
from tests.sweep import fakes

if __name__ == "__main__":
    sys.exit(fakes.sweep(fakes.executor))
"""
RUNS: list[dict[str, Any]] = [{"sleeps": 0.4, "number": number} for number in range(6)]


class DecoyFolder:
    """A folder of decoys, in which sweeps are started as by the console script, whose own folder is another one."""

    def __init__(self, folder: Path) -> None:
        self.marker = write_decoys(folder / "study")
        self._program = folder / "program.py"
        self._program.write_text(PROGRAM)
        self._log = folder / "output.txt"
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, outputs: Path) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
        with self._log.open("wb") as log:
            sweep = subprocess.Popen(
                [sys.executable, str(self._program), str(outputs), json.dumps(RUNS)],
                cwd=self.marker.parent,
                env=env | {"PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(sweep)
        return sweep

    @property
    def output(self) -> str:
        return self._log.read_text()

    def end(self) -> None:
        for sweep in self._started:
            if sweep.poll() is None:
                sweep.kill()
                sweep.wait()


@pytest.fixture
def decoys(tmp_path: Path) -> Iterator[DecoyFolder]:
    folder = DecoyFolder(tmp_path)
    yield folder
    folder.end()


def find_processes(kind: str, sweep: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the processes of a kind: main, forkserver, resource_tracker or worker."""
    try:
        main = psutil.Process(sweep.pid)
        if kind == "main":
            return [main]
        children = {process.pid: " ".join(process.cmdline()) for process in main.children()}
        if kind != "worker":
            return [psutil.Process(pid) for pid, command in children.items() if f"multiprocessing.{kind} " in command]
        servers = [psutil.Process(pid) for pid, command in children.items() if "multiprocessing.forkserver" in command]
        return [worker for server in servers for worker in server.children()]
    except psutil.NoSuchProcess:
        return []


def kill_one(processes: list[psutil.Process], choice: random.Random) -> bool:
    """Kill one of the processes; return whether there was one that had not ended yet."""
    try:
        choice.choice(processes).kill()
    except (IndexError, psutil.NoSuchProcess):
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["main", "forkserver", "resource_tracker", "worker"])
@pytest.mark.parametrize("repetition", range(KILLS))
def test_a_killed_process_loses_no_run_and_executes_no_decoy(
    tmp_path: Path, decoys: DecoyFolder, kind: str, repetition: int
) -> None:
    choice = random.Random(f"{kind} {repetition}")
    sweep = decoys.start(tmp_path)
    if repetition % 4 != 3:  # otherwise as soon as the process exists, before any run
        until(lambda: sum(count_starts(tmp_path).values()) >= choice.randint(2, 4))
        time.sleep(choice.uniform(0.0, 0.3))
    family = psutil.Process(sweep.pid).children(recursive=True)
    until(lambda: kill_one(find_processes(kind, sweep), choice))
    status = sweep.wait(timeout=120)
    until(lambda: not any(lives(process) for process in family))
    if kind == "main":
        assert status == -signal.SIGKILL
        status = decoys.start(tmp_path).wait(timeout=120)
    assert (status, len(find_results(tmp_path))) == (0, len(RUNS)), decoys.output
    # At most the runs that were active are started a second time.
    assert len(RUNS) <= sum(count_starts(tmp_path).values()) <= len(RUNS) + 2
    assert "Aborted" not in decoys.output
    # A new resource tracker does not know what the killed one knew, and Python prints that.
    assert "Traceback" not in decoys.output or kind == "resource_tracker"
    assert read_executed(decoys.marker) == []
