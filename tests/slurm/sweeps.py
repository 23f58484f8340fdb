"""`python -m tests.slurm.sweeps DIR JSON [OVERRIDES]` sweeps a plan of fakes on Slurm, in a separate process."""

import os
import sys
import time
from pathlib import Path

from tests.sweep import fakes
from usaggr.config.executor import SlurmConfig
from usaggr.config.study import StudyConfig
from usaggr.results.contract import CHECKPOINT
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement, RunSpec
from usaggr.stopping import RunInterrupted, is_stop_requested
from usaggr.sweep.executors.slurm.executor import SlurmExecutor

TARGET = "tests.slurm.sweeps:execute"


def execute(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: object) -> None:
    """Execute like the fakes; runs with steps of 0.1 seconds also continue from their checkpoint."""
    if "until" in spec.settings:
        _await(Path(spec.settings["until"]))
    if "swells" in spec.settings:
        _swell(directory, spec.settings["swells"])
    if "steps" not in spec.settings:
        fakes.execute(spec, directory, study, placement, data)
        return
    checkpoint = directory / CHECKPOINT / "step"
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    with (directory.parents[1] / "steps.txt").open("a") as file:
        file.write(f"{spec.run_id} {os.getpid()} {first} {os.environ.get('SLURM_JOB_ID')}\n")
    for step in range(first, spec.settings["steps"]):
        if is_stop_requested():
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.write_text(str(step))
            raise RunInterrupted(f"stopped at step {step}")
        time.sleep(0.1)
    RunDirectory(directory).write_result(fakes.RESULT)


def _await(mark: Path) -> None:
    """Wait at most two minutes for a file that the test creates."""
    end = time.monotonic() + 120
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.1)


def _swell(directory: Path, attempts: int) -> None:
    """In the first attempts, use more memory than the job may have, until the job is killed."""
    status = RunDirectory(directory).read_status()
    assert status is not None
    if status.attempt <= attempts:
        memory = bytearray(b"1") * (3 * 1024**3)
        time.sleep(60)
        del memory


def executor(study: StudyConfig) -> SlurmExecutor:
    assert isinstance(study.executor, SlurmConfig)
    return SlurmExecutor(study.executor, "cpu", TARGET)


if __name__ == "__main__":
    sys.exit(fakes.sweep(executor, "executor=slurm"))
