"""Runs as jobs of a Slurm cluster, several in each, submitted as arrays through submitit.

Jobs outlive the sweep. How a run ended is read from its directory, and how a job ended from Slurm; nothing that a job
has pickled is read here. See pack.py for what a job does.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from usaggr.config.executor import SlurmConfig
from usaggr.errors import ConfigError
from usaggr.io.locks import exclusive
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Ended, Job, Outcome
from usaggr.sweep.executors.ray.run_claims import set_free
from usaggr.sweep.executors.slurm.packing import machine_of, packs
from usaggr.sweep.executors.slurm.queue import PREFIX, SlurmQueue, job_of, live_job
from usaggr.sweep.executors.slurm.submit import Submitter

_LOST_JOBS = 3
"""So many losses of its job cost a run no attempt: one that takes its jobs down must come to an end."""
_LOOK_SECONDS = 2.0
"""Between two looks at the run directories."""
_SETTLE_SECONDS = 4.0
"""A run that failed may be tried again by its job within this time; a job that is gone has then written all it will."""
_ACCOUNT_SECONDS = 20.0
"""Accounting tells how a job ended after a while."""
_END_SECONDS = 60.0
"""Beyond the grace of runs: until jobs that were cancelled are gone."""


@dataclass
class _Active:
    """A run that a job has, or that is to be submitted."""

    job: Job
    slurm_id: str | None
    since: float
    """When it was submitted, or taken over; monotonic."""
    failed: float | None = None
    """When it was first seen to have failed."""
    gone: float | None = None
    """When its job was first seen to be gone."""


class SlurmExecutor:
    """Submits runs as jobs, and says how they ended.

    `accelerator` is training.accelerator; `target` names the function that trains a run.
    """

    def __init__(
        self,
        config: SlurmConfig,
        accelerator: str = "auto",
        target: str = EXECUTE_RUN,
        queue: SlurmQueue | None = None,
        submitter: Submitter | None = None,
    ) -> None:
        self._config = config
        self._accelerator = accelerator
        self._target = target
        self._queue = queue or SlurmQueue()
        self._submitter = submitter or Submitter(config, accelerator, target)
        self._active: list[_Active] = []
        self._losses: Counter[str] = Counter()
        """run_id: how often its job was lost."""
        self._looked = -1e9

    @property
    def slots(self) -> int:
        """Runs at once, at the most."""
        return self._config.jobs * (self._machine.workers or 1)

    @property
    def threads(self) -> int:
        """Of a run."""
        return self._machine.threads or 1

    @property
    def free(self) -> bool:
        """Whether a job can be submitted now: always, the queue is Slurm's."""
        return True

    def __enter__(self) -> Self:
        """See that jobs can be submitted.

        Raises:
            ConfigError: submitit or sbatch is missing, or the jobs have no GPU where one is asked for.
        """
        self._machine = machine_of(self._config)
        if self._accelerator == "gpu" and self._config.gpus == 0:
            raise ConfigError("executor.gpus: training.accelerator=gpu needs 1 or more in a job")
        self._submitter.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave jobs as they are: the next sweep takes them over."""
        self._active.clear()

    def adopts(self, directory: Path) -> bool:
        """Whether a job that still lives has the run; `submit` takes it over as it is."""
        return live_job(directory, self._queue) is not None

    def submit(self, job: Job) -> None:
        """Take a run over from the job that has it, or keep it for the next array, which `wait` submits."""
        slurm_id = live_job(job.directory, self._queue)
        self._active.append(_Active(job, slurm_id, time.monotonic()))

    def wait(self, timeout: float) -> list[Ended]:
        """Submit what was collected; jobs that have ended since the last call."""
        self._send()
        if not self._config.wait:
            return self._leave()
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            time.sleep(timeout)
            return []
        self._looked = time.monotonic()
        self._queue.look({active.slurm_id for active in self._active if active.slurm_id is not None})
        ended = [found for active in self._active if (found := self._ended(active)) is not None]
        over = {id(found.job) for found in ended}
        self._active = [active for active in self._active if id(active.job) not in over]
        return ended

    def stop(self) -> list[Job]:
        """Cancel this sweep's jobs, and wait until they are gone; runs have `grace` seconds for a checkpoint."""
        stopped = [active.job for active in self._active]
        jobs = sorted({active.slurm_id for active in self._active if active.slurm_id is not None})
        self._queue.cancel(jobs)
        end = time.monotonic() + self._config.grace + _END_SECONDS
        while any(self._queue.lives(job) for job in jobs) and time.monotonic() < end:
            time.sleep(0.25)
        for active in self._active:
            if active.slurm_id is not None:
                _release(active.job.directory, active.slurm_id)
        self._active.clear()
        return stopped

    def _leave(self) -> list[Ended]:
        """How runs stand that are not waited for."""
        ended = []
        for active in self._active:
            found = self._as_written(active.job)
            ended.append(found or Ended(active.job, "queued", "", 0.0))
        self._active.clear()
        return ended

    def _send(self) -> None:
        """Submit the runs that no job has, as one array, and say so in their directories.

        Raises:
            ConfigError: Slurm refuses them.
        """
        new = [active for active in self._active if active.slurm_id is None]
        if not new:
            return
        folder = new[0].job.directory.parents[1] / "jobs"
        with _alone_in(folder / ".lock"):
            open_ = []
            for active in new:  # another sweep may have submitted it meanwhile
                active.slurm_id = live_job(active.job.directory, self._queue)
                if active.slurm_id is None:
                    # The job would leave a run alone that it finds failed.
                    RunDirectory(active.job.directory).settle("pending", active.job.attempt - 1)
                    open_.append(active)
            if not open_:
                return
            by_job = {id(active.job): active for active in open_}
            groups = packs(self._config, [active.job for active in open_], [active.job.seconds for active in open_])
            for group, slurm_id in zip(groups, self._submitter.send(folder, groups, self._machine), strict=True):
                for job in group:
                    by_job[id(job)].slurm_id = slurm_id
                    RunDirectory(job.directory).enqueue(f"{PREFIX}{slurm_id}")

    def _ended(self, active: _Active) -> Ended | None:
        """How a run ended; None as long as it may go on."""
        if active.slurm_id is None:
            return None
        now = time.monotonic()
        lives = self._queue.lives(active.slurm_id)
        found = self._as_written(active.job)
        if found is not None and found.outcome == "done":
            return found
        if found is not None:
            active.failed = active.failed or now
            return found if not lives or now - active.failed > _SETTLE_SECONDS else None
        active.failed = None
        if lives:
            active.gone = None
            return None
        active.gone = active.gone or now
        return self._of_gone(active, active.slurm_id, now - active.gone)

    def _of_gone(self, active: _Active, slurm_id: str, since: float) -> Ended | None:
        """What has become of a run that its job, which is gone for `since` seconds, has left without an end."""
        if since < _SETTLE_SECONDS:
            return None
        other = live_job(active.job.directory, self._queue)
        if other is not None and other != slurm_id:
            active.slurm_id, active.gone = other, None
            return None
        state = self._queue.ended([slurm_id]).get(slurm_id)
        if state is None and since < _ACCOUNT_SECONDS:
            return None
        directory, job = active.job.directory, active.job
        had = RunDirectory(directory).status()
        began = had is not None and had.attempt >= job.attempt
        if _release(directory, slurm_id) == "running":
            return Ended(job, "elsewhere", "", 0.0)
        self._losses[job.spec.run_id] += 1
        outcome: Outcome = "interrupted"
        if state == "CANCELLED":
            outcome = "cancelled"
        elif (began and state in ("FAILED", "OUT_OF_MEMORY")) or self._losses[job.spec.run_id] > _LOST_JOBS:
            outcome = "died"
        ended = f"ended as {state}" if state else "is gone"
        message = f"its job {PREFIX}{slurm_id} {ended} before it was done; see jobs/{slurm_id}_0_log.out"
        return Ended(job, outcome, message, time.monotonic() - active.since)

    def _as_written(self, job: Job) -> Ended | None:
        """How a run ended by what its directory says; None where it has not."""
        run = RunDirectory(job.directory)
        status, done = run.status(), run.result_path.exists()
        seconds = 0.0
        if status is not None and status.started is not None:
            seconds = max(status.heartbeat - status.started, 0.0)
        if done:
            return Ended(job, "done", "", seconds)
        if status is None or status.state != "failed":
            return None
        return Ended(job, "failed", ((status.error or "").splitlines() or ["failed without a reason"])[0], seconds)


def _release(directory: Path, slurm_id: str) -> str:
    """Give the claim of a run back whose job is gone; its state after that."""
    run = RunDirectory(directory)
    status = run.status()
    if status is not None and status.state == "running" and job_of(status) == slurm_id:
        set_free(directory, status.attempt)
    return run.state()


@contextmanager
def _alone_in(path: Path) -> Iterator[None]:
    """Wait until no other sweep submits runs of the same study."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with exclusive(path, patience=5.0) as locked:
            if locked:
                yield
                return
