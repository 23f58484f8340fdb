"""`python -m tests.slurm.sweeps DIR JSON [OVERRIDES]` sweeps a plan of fakes on Slurm, in a process of its own."""

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
from usaggr.stopping import RunInterrupted, asked
from usaggr.sweep.executors.slurm.executor import SlurmExecutor

TARGET = "tests.slurm.sweeps:execute"


def execute(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: object) -> None:
    """As the fakes do, but for runs with steps, each of a tenth of a second: they go on from their checkpoint."""
    if "until" in spec.settings:
        _await(Path(spec.settings["until"]))
    if "swells" in spec.settings:
        _swell(directory, spec.settings["swells"])
    if "steps" not in spec.settings:
        fakes.execute(spec, directory, study, placement, data)
        return
    kept = directory / CHECKPOINT / "step"
    first = int(kept.read_text()) if kept.exists() else 0
    with (directory.parents[1] / "steps.txt").open("a") as file:
        file.write(f"{spec.run_id} {os.getpid()} {first} {os.environ.get('SLURM_JOB_ID')}\n")
    for step in range(first, spec.settings["steps"]):
        if asked():
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(str(step))
            raise RunInterrupted(f"stopped at step {step}")
        time.sleep(0.1)
    RunDirectory(directory).write_result(fakes.RESULT)


def _await(mark: Path) -> None:
    """Wait for a file that the test makes, two minutes at the most."""
    end = time.monotonic() + 120
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.1)


def _swell(directory: Path, attempts: int) -> None:
    """Take more memory than the job may have, in the first attempts, until it is killed for that."""
    status = RunDirectory(directory).status()
    assert status is not None
    if status.attempt <= attempts:
        taken = bytearray(b"1") * (3 * 1024**3)
        time.sleep(60)
        del taken


def executor(study: StudyConfig) -> SlurmExecutor:
    assert isinstance(study.executor, SlurmConfig)
    return SlurmExecutor(study.executor, "cpu", TARGET)


if __name__ == "__main__":
    sys.exit(fakes.sweep(executor, "executor=slurm"))
