"""A sweep on Ray in a folder of decoys executes none of them, and loses no run if a process of Ray is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.test_killed_processes import KILLS, RUNS
from tests.module_decoys import read_executed, write_decoys
from tests.sweep.test_faults import count_starts, find_results, until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.cluster
pytest.importorskip("ray", reason="ray is not installed: pip install usaggr[ray]")
PROGRAM = """
import sys
from tests.ray_cluster.sweeps import executor
from tests.sweep import fakes

if __name__ == "__main__":
    sys.exit(fakes.sweep(executor, "executor=ray"))
"""


@pytest.mark.parametrize("repetition", range(KILLS))
def test_a_killed_process_of_ray_loses_no_run_and_none_executes_a_decoy(tmp_path: Path, repetition: int) -> None:
    """Ray's own processes are killed that call the task of a run, and wait for it."""
    marker = write_decoys(tmp_path / "study")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    sweep = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path), json.dumps(RUNS), "executor.workers=2", "executor.threads=1"],
        cwd=marker.parent,
        env=env | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until(lambda: sum(count_starts(tmp_path).values()) >= 1 or sweep.poll() is not None)
    time.sleep(random.Random(repetition).uniform(0.0, 0.3))
    family = psutil.Process(sweep.pid).children(recursive=True)
    tasks = [process for process in family if " ".join(process.cmdline()).startswith("ray::lung")]
    for task in tasks[:1]:
        os.kill(task.pid, signal.SIGKILL)
    out, _ = sweep.communicate(timeout=240)
    assert (sweep.returncode, len(find_results(tmp_path))) == (0, len(RUNS)), out
    assert read_executed(marker) == []
    assert tasks
