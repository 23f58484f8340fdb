"""Assignment of runs to jobs: enough runs per job to pay for its start, and few enough to finish in its time limit."""

import math
from collections.abc import Sequence
from typing import TypeVar

from usaggr.config.executor import MachineConfig, SlurmConfig
from usaggr.sweep.executors.local.placement import make_placements

UNKNOWN = 4
"""Runs per worker of a job as long as the duration of runs is unknown."""
WORTHWHILE = 600.0
"""Seconds of work per worker that justify the start of a job; with less work, fewer jobs are submitted."""

_Run = TypeVar("_Run")


def make_job_machine(config: SlurmConfig) -> MachineConfig:
    """Return a job's resources as a machine: its cores and GPUs are divided as on a machine with only those.

    Raises:
        ConfigError: executor.devices names a GPU that a job does not have.
    """
    devices = config.devices if config.gpus or config.devices else []
    placements = make_placements(config.model_copy(update={"devices": devices}), config.gpus, config.cpus)
    fields = {name: getattr(config, name) for name in MachineConfig.model_fields}
    return MachineConfig(**{**fields, "devices": devices, "workers": len(placements), "threads": placements[0].threads})


def assign_to_jobs(config: SlurmConfig, runs: Sequence[_Run], seconds: Sequence[float | None]) -> list[list[_Run]]:
    """Return the runs of each job, longest first.

    The number of jobs follows from `executor.runs_per_job` if it is set, or if the duration of a run is unknown.
    Otherwise each job gets work for at most half of its time limit; the other half is a reserve. A longer run is alone
    in its job, or nearly so.

    Args:
        config: Resources per job, time limit, and number of parallel jobs.
        runs: Runs, longest first.
        seconds: Estimated duration of each run; None if unknown.
    """
    if not runs:
        return []
    workers = make_job_machine(config).workers or 1
    estimates = [value for value in seconds if value is not None]
    if config.runs_per_job is not None or len(estimates) < len(runs):
        most_runs = config.runs_per_job or UNKNOWN * workers
        number = math.ceil(len(runs) / most_runs)
        return [list(runs[i::number]) for i in range(number)]
    total = sum(estimates)
    half_time_limit = config.time * 60 / 2 * workers  # executor.time is in minutes
    capacity = min(half_time_limit, max(total / config.jobs, WORTHWHILE * workers))
    number = min(max(1, math.ceil(total / capacity)), len(runs))
    jobs: list[list[_Run]] = [[] for _ in range(number)]
    loads = [0.0] * number
    # Longest first, each run goes to the job with the least work (the LPT rule of scheduling).
    for run, run_seconds in zip(runs, estimates, strict=True):
        i = loads.index(min(loads))
        jobs[i].append(run)
        loads[i] += run_seconds
    return jobs
