"""`python -m tests.ray_cluster.sweeps DIR JSON [OVERRIDES]` sweeps a plan of fakes on Ray, in a process of its own."""

import json
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.sweep import fakes
from usaggr.config import StudyConfig
from usaggr.config_executor import RayConfig
from usaggr.runs import CHECKPOINT, Placement, RunDirectory, RunSpec
from usaggr.stopping import RunInterrupted, asked
from usaggr.sweep.executors.ray import RayExecutor
from usaggr.sweep.sweep import run_sweep

TARGET = "tests.ray_cluster.sweeps:execute"


def execute(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: object) -> None:
    """As the fakes do, but for runs that wait until they are asked to stop, and end where they find a checkpoint."""
    if "waits" not in spec.settings:
        fakes.execute(spec, directory, study, placement, data)
        return
    step = directory / CHECKPOINT / "step"
    if step.exists():
        (directory / "predictions.parquet").write_text(step.read_text())
        RunDirectory(directory).write_result(fakes.RESULT)
        return
    Path(spec.settings["waits"]).touch()
    end = time.monotonic() + 60
    while not asked() and time.monotonic() < end:
        time.sleep(0.05)
    step.parent.mkdir()
    step.write_text("from the checkpoint")
    raise RunInterrupted("stopped at a step")


def main() -> int:
    """argv as in tests.sweep.fakes; a run with `child` waits for the one before it."""
    own = fakes.study(Path(sys.argv[1]), "executor=ray", *sys.argv[3:])
    assert isinstance(own.executor, RayConfig)
    runs = []
    for seed, settings in enumerate(json.loads(sys.argv[2])):
        parent = runs[-1].spec.run_id if settings.pop("child", False) else None
        runs.append(fakes.planned(own, seed, parent=parent, **settings))
    return run_sweep(
        fakes.plan(own, *runs),
        console=Console(stderr=True),
        executor=RayExecutor(own.executor, "cpu", TARGET),
        prepare=lambda plan, runs, progress: lambda run: None,
        build=lambda directories: directories[0],
    ).exit_status


if __name__ == "__main__":
    sys.exit(main())
