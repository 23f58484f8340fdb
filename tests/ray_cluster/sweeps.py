"""`python -m tests.ray_cluster.sweeps DIR JSON [OVERRIDES]` sweeps a plan of fakes on Ray, in a separate process."""

import sys
import time
from pathlib import Path

from tests.sweep import fakes
from usaggr.config.executor import RayConfig
from usaggr.config.study import StudyConfig
from usaggr.results.contract import CHECKPOINT
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement, RunSpec
from usaggr.stopping import RunInterrupted, is_stop_requested
from usaggr.sweep.executors.ray.executor import RayExecutor

TARGET = "tests.ray_cluster.sweeps:execute"


def execute(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: object) -> None:
    """Execute like the fakes; a run that `waits` trains until it is asked to stop, and ends if it has a checkpoint."""
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
    while not is_stop_requested() and time.monotonic() < end:
        time.sleep(0.05)
    step.parent.mkdir()
    step.write_text("from the checkpoint")
    raise RunInterrupted("stopped at a step")


def executor(study: StudyConfig) -> RayExecutor:
    assert isinstance(study.executor, RayConfig)
    return RayExecutor(study.executor, "cpu", TARGET)


if __name__ == "__main__":
    sys.exit(fakes.sweep(executor, "executor=ray"))
