"""How runs are put into jobs of a cluster: so many that starting a job is shared, so few that its time suffices."""

import math
from collections.abc import Sequence
from typing import TypeVar

from usaggr.config.executor import MachineConfig, SlurmConfig
from usaggr.sweep.executors.local.placement import placements

UNKNOWN = 4
"""Runs of a job for each that it trains at once, as long as no finished run tells what they take."""
WORTHWHILE = 600.0
"""Seconds of work for which a job is worth its start: runs are spread over more jobs only beyond that."""

_Run = TypeVar("_Run")


def machine_of(config: SlurmConfig) -> MachineConfig:
    """What a job is on its node: its cores and GPUs shared out as on a machine that has no more than those.

    Raises:
        ConfigError: executor.devices names a GPU that a job does not get.
    """
    devices = config.devices if config.gpus or config.devices else []
    where = placements(config.model_copy(update={"devices": devices}), config.gpus, config.cpus)
    fields = {name: getattr(config, name) for name in MachineConfig.model_fields}
    return MachineConfig(**{**fields, "devices": devices, "workers": len(where), "threads": where[0].threads})


def packs(config: SlurmConfig, runs: Sequence[_Run], seconds: Sequence[float | None]) -> list[list[_Run]]:
    """Runs, longest first, as one list a job; each keeps that order, and so do the jobs.

    `seconds`: what each run takes, None where that is not known. By `runs_per_job`, or so that a job has half of its
    time to spare; a run that takes longer than that has a job to itself, or nearly so.
    """
    if not runs:
        return []
    workers = machine_of(config).workers or 1
    known = [value for value in seconds if value is not None]
    if config.runs_per_job is not None or len(known) < len(runs):
        most = config.runs_per_job or UNKNOWN * workers
        number = math.ceil(len(runs) / most)
        return [list(runs[i::number]) for i in range(number)]
    total = sum(known)
    half = config.time * 60 / 2 * workers
    room = min(half, max(total / config.jobs, WORTHWHILE * workers))
    number = min(max(1, math.ceil(total / room)), len(runs))
    jobs: list[list[_Run]] = [[] for _ in range(number)]
    loads = [0.0] * number
    for run, takes in zip(runs, known, strict=True):
        i = loads.index(min(loads))
        jobs[i].append(run)
        loads[i] += takes
    return jobs
