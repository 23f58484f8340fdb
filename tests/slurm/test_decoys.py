"""Jobs of Slurm that start in a folder of decoys execute none of them, and lose no run if their process is killed."""

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
from tests.slurm.test_cluster import USUAL
from tests.sweep.test_faults import count_starts, find_results, until

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]
PROGRAM = """
import sys
from tests.slurm.sweeps import executor
from tests.sweep import fakes

if __name__ == "__main__":
    sys.exit(fakes.sweep(executor, "executor=slurm"))
"""


def find_job_processes() -> list[psutil.Process]:
    """Return the processes in which jobs of this cluster have started Python."""
    processes = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "submitit.core._submit" in command and "srun" not in command[0]:
            processes.append(process)
    return processes


@pytest.mark.parametrize("repetition", range(KILLS))
def test_a_killed_job_process_loses_no_run_and_no_job_executes_a_decoy(tmp_path: Path, repetition: int) -> None:
    marker = write_decoys(tmp_path / "study")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    sweep = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path), json.dumps(RUNS), *USUAL, "executor.runs_per_job=3"],
        cwd=marker.parent,
        env=env | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until(lambda: sum(count_starts(tmp_path).values()) >= 1 or sweep.poll() is not None)
    time.sleep(random.Random(repetition).uniform(0.0, 0.5))
    processes = find_job_processes()
    for process in processes[:1]:
        os.kill(process.pid, signal.SIGKILL)
    out, _ = sweep.communicate(timeout=240)
    assert (sweep.returncode, len(find_results(tmp_path))) == (0, len(RUNS)), out
    assert read_executed(marker) == []
    assert processes
