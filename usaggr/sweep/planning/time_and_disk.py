"""Estimated time and disk space of the remaining runs of a study, from its finished runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from usaggr.errors import RunError
from usaggr.results.contract import WEIGHTS
from usaggr.results.find_runs import is_done
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.study_plan import PlannedRun

MAX_SAMPLED_RUNS = 60
"""Approximate number of finished runs that an estimate reads: more would change it little and take longer."""


@dataclass(frozen=True)
class Estimate:
    """Estimated time and disk space; None if no run is finished."""

    seconds: float | None
    """Training time of the unfinished runs on one worker; two workers take half."""
    bytes: int | None
    """Disk space of all runs of the study together, finished or not, without weights, whose size is known exactly."""


def estimate_pace(runs: Sequence[PlannedRun]) -> float | None:
    """Return the median seconds of one worker per training example in finished runs; None if no run is finished."""
    paces = []
    for run in _sample_runs([run for run in runs if is_done(run.directory)]):
        with suppress(RunError):
            paces.append(RunDirectory(run.directory).read_result().cost.seconds / run.examples)
    return median(paces) if paces else None


def _sample_runs(finished: Sequence[PlannedRun]) -> Sequence[PlannedRun]:
    """Return finished runs at equal distances in the plan, so that all groupings and scales are among them."""
    return finished[:: max(1, len(finished) // MAX_SAMPLED_RUNS)]


def estimate_time_and_disk(runs: Sequence[PlannedRun]) -> Estimate:
    """Estimate the time of the unfinished runs by their training examples, and the disk space of all runs."""
    finished = [run for run in runs if is_done(run.directory)]
    paces, bytes_per_task = [], []
    for run in _sample_runs(finished):
        try:
            paces.append(RunDirectory(run.directory).read_result().cost.seconds / run.examples)
        except RunError:
            continue
        weights = run.directory / WEIGHTS.parent
        files = (file for file in run.directory.rglob("*") if weights not in file.parents and file.is_file())
        size = sum(file.stat().st_size for file in files)
        bytes_per_task.append(size / len(run.spec.tasks))
    if not paces:
        return Estimate(None, None)
    remaining = sum(run.examples for run in runs) - sum(run.examples for run in finished)
    # Predictions and scores make up most of a run's directory, and they grow with the number of tasks.
    n_tasks = sum(len(run.spec.tasks) for run in runs)
    return Estimate(median(paces) * remaining, round(median(bytes_per_task) * n_tasks))
