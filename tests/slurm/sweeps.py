"""`python -m tests.slurm.sweeps DIR JSON [OVERRIDES]` sweeps a plan of fakes on Slurm, in a process of its own."""

import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.sweep import fakes
from usaggr.config import StudyConfig
from usaggr.config_executor import SlurmConfig
from usaggr.runs import CHECKPOINT, Placement, RunDirectory, RunSpec
from usaggr.stopping import RunInterrupted, asked
from usaggr.sweep.executors.slurm import SlurmExecutor
from usaggr.sweep.sweep import run_sweep

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


def main() -> int:
    """argv as in tests.sweep.fakes; a run with `child` waits for the one before it."""
    own = fakes.study(Path(sys.argv[1]), "executor=slurm", *sys.argv[3:])
    assert isinstance(own.executor, SlurmConfig)
    runs = []
    for seed, settings in enumerate(json.loads(sys.argv[2])):
        parent = runs[-1].spec.run_id if settings.pop("child", False) else None
        runs.append(fakes.planned(own, seed, parent=parent, **settings))
    return run_sweep(
        fakes.plan(own, *runs),
        console=Console(stderr=True),
        executor=SlurmExecutor(own.executor, "cpu", TARGET),
        prepare=lambda plan, runs, progress: lambda run: None,
        build=lambda directories: directories[0],
    ).exit_status


if __name__ == "__main__":
    sys.exit(main())
