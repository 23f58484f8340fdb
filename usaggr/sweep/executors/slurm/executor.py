"""Executor that submits runs as jobs of a Slurm cluster, several runs per job, as arrays through submitit.

Jobs outlive the sweep. The end of a run is read from its directory, and the end of a job from Slurm. For security, this
module never reads a file that a job has pickled. See pack.py for the work of a job.
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
from usaggr.io.locks import hold_lock
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Job, JobEnd, Outcome
from usaggr.sweep.executors.ray.run_claims import release_claim
from usaggr.sweep.executors.slurm.packing import assign_to_jobs, make_job_machine
from usaggr.sweep.executors.slurm.queue import PREFIX, SlurmQueue, find_live_job, find_slurm_id
from usaggr.sweep.executors.slurm.submit import Submitter

_LOST_JOBS = 3
"""Number of times that a run may lose its job without using an attempt.

The limit ends a sweep in which the run itself makes its jobs or nodes fail.
"""
_CHECK_SECONDS = 2.0
"""Seconds between two checks of the run directories."""
_LAST_WRITE_SECONDS = 4.0
"""Seconds after which a job has started its retry of a failed run, and a lost job has written its last files."""
_ACCOUNT_SECONDS = 20.0
"""Seconds after which sacct should know how a job ended."""
_END_SECONDS = 60.0
"""Seconds, in addition to the grace of runs, until canceled jobs are gone."""


@dataclass
class _ActiveRun:
    """A run that is in a job, or that is to be submitted. Times are monotonic."""

    job: Job
    slurm_id: str | None
    """Id of its job, such as 12_3; None until it is submitted."""
    submitted_at: float
    """Time at which the run was submitted or taken over."""
    failed_at: float | None = None
    """Time at which the run was first seen to have failed; None while it has not."""
    missing_since: float | None = None
    """Time at which its job was first seen to be gone; None while it is live."""


class SlurmExecutor:
    """Submits runs as jobs of Slurm, and reports how they ended.

    Args:
        config: Resources per job, limits, and whether the sweep waits.
        accelerator: training.accelerator.
        target: Function that trains a run, as `module:function`.
        queue: Interface to squeue, sacct and scancel.
        submitter: Interface to sbatch.
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
        self._active: list[_ActiveRun] = []
        self._lost_jobs: Counter[str] = Counter()
        """Number of lost jobs for each run_id."""
        self._checked_at = -1e9

    @property
    def slots(self) -> int:
        """Largest number of runs at the same time."""
        return self._config.jobs * (self._machine.workers or 1)

    @property
    def threads(self) -> int:
        """Threads of each run."""
        return self._machine.threads or 1

    @property
    def has_free_slot(self) -> bool:
        """Return True: any number of jobs can be submitted, because Slurm queues them."""
        return True

    def __enter__(self) -> Self:
        """Check that jobs can be submitted.

        Raises:
            ConfigError: submitit or sbatch is missing, or the study needs a GPU and its jobs request none.
        """
        self._machine = make_job_machine(self._config)
        if self._accelerator == "gpu" and self._config.gpus == 0:
            raise ConfigError("executor.gpus must be at least 1 with training.accelerator=gpu; got 0")
        self._submitter.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave jobs in the queue; the next sweep takes them over."""
        self._active.clear()

    def is_adoptable(self, directory: Path) -> bool:
        """Return whether the run is in a live job; then `submit` takes it over without submitting it again."""
        return find_live_job(directory, self._queue) is not None

    def submit(self, job: Job) -> None:
        """Take a run over from its live job, or collect it for the next array, which `wait` submits."""
        slurm_id = find_live_job(job.directory, self._queue)
        self._active.append(_ActiveRun(job, slurm_id, time.monotonic()))

    def wait(self, timeout: float) -> list[JobEnd]:
        """Submit the collected runs, and return the runs that have ended since the last call."""
        self._submit_new()
        if not self._config.wait:
            return self._take_current_states()
        if time.monotonic() - self._checked_at < _CHECK_SECONDS:
            time.sleep(timeout)
            return []
        self._checked_at = time.monotonic()
        self._queue.refresh({active.slurm_id for active in self._active if active.slurm_id is not None})
        job_ends: list[JobEnd] = []
        still_active: list[_ActiveRun] = []
        for active in self._active:
            job_end = self._find_end(active)
            if job_end is None:
                still_active.append(active)
            else:
                job_ends.append(job_end)
        self._active = still_active
        return job_ends

    def stop(self) -> list[Job]:
        """Cancel this sweep's jobs, and wait until they are gone; runs have `grace` seconds for a checkpoint."""
        # Jobs of an earlier sweep that were taken over are canceled too.
        stopped = [active.job for active in self._active]
        jobs = sorted({active.slurm_id for active in self._active if active.slurm_id is not None})
        self._queue.cancel(jobs)
        end = time.monotonic() + self._config.grace + _END_SECONDS
        while any(self._queue.is_live(job) for job in jobs) and time.monotonic() < end:
            time.sleep(0.25)
        for active in self._active:
            if active.slurm_id is not None:
                _release_claim(active.job.directory, active.slurm_id)
        self._active.clear()
        return stopped

    def _take_current_states(self) -> list[JobEnd]:
        """Return the end or the place in the queue of all runs, for a sweep that does not wait; forget the runs."""
        jobs = [active.job for active in self._active]
        self._active.clear()
        return [self._read_end(job) or JobEnd(job, "queued", "", 0.0) for job in jobs]

    def _submit_new(self) -> None:
        """Submit all runs without a job as one array, and write the jobs into their directories.

        Raises:
            ConfigError: Slurm refuses the array.
        """
        collected = [active for active in self._active if active.slurm_id is None]
        if not collected:
            return
        folder = collected[0].job.directory.parents[1] / "jobs"
        with _lock_submission(folder / ".lock"):
            unsubmitted = []
            for active in collected:
                # Another sweep may have submitted the run meanwhile.
                active.slurm_id = find_live_job(active.job.directory, self._queue)
                if active.slurm_id is None:
                    # A job skips runs that have failed, so the failure of an earlier attempt is cleared here.
                    RunDirectory(active.job.directory).record_end("pending", active.job.attempt - 1)
                    unsubmitted.append(active)
            if not unsubmitted:
                return
            by_job = {id(active.job): active for active in unsubmitted}
            groups = assign_to_jobs(
                self._config, [active.job for active in unsubmitted], [active.job.seconds for active in unsubmitted]
            )
            for group, slurm_id in zip(groups, self._submitter.send(folder, groups, self._machine), strict=True):
                for job in group:
                    by_job[id(job)].slurm_id = slurm_id
                    RunDirectory(job.directory).enqueue(f"{PREFIX}{slurm_id}")

    def _find_end(self, active: _ActiveRun) -> JobEnd | None:
        """Return how a run ended; None while it may continue."""
        if active.slurm_id is None:
            return None
        now = time.monotonic()
        is_live = self._queue.is_live(active.slurm_id)
        job_end = self._read_end(active.job)
        if job_end is not None and job_end.outcome == "done":
            return job_end
        if job_end is not None:
            active.failed_at = active.failed_at or now
            # The job may still try the run again, so a failure counts only after a while or without the job.
            return job_end if not is_live or now - active.failed_at > _LAST_WRITE_SECONDS else None
        active.failed_at = None
        if is_live:
            active.missing_since = None
            return None
        active.missing_since = active.missing_since or now
        return self._classify_lost_job(active, active.slurm_id, now - active.missing_since)

    def _classify_lost_job(self, active: _ActiveRun, slurm_id: str, seconds_missing: float) -> JobEnd | None:
        """Return the outcome of a run that is neither done nor failed, although its job is gone.

        Args:
            active: The run.
            slurm_id: Id of the lost job.
            seconds_missing: Seconds since the job was first seen to be gone.

        Returns:
            The outcome; None if another job has the run, or if it is too early to know.
        """
        if seconds_missing < _LAST_WRITE_SECONDS:
            return None
        other = find_live_job(active.job.directory, self._queue)
        if other is not None and other != slurm_id:
            active.slurm_id, active.missing_since = other, None
            return None
        state = self._queue.read_end_states([slurm_id]).get(slurm_id)
        if state is None and seconds_missing < _ACCOUNT_SECONDS:
            return None
        directory, job = active.job.directory, active.job
        status = RunDirectory(directory).read_status()
        has_started = status is not None and status.attempt >= job.attempt
        # If another process has claimed the run meanwhile, it is no longer a run of this sweep.
        if _release_claim(directory, slurm_id) == "running":
            return JobEnd(job, "elsewhere", "", 0.0)
        self._lost_jobs[job.spec.run_id] += 1
        outcome: Outcome = "interrupted"
        if state == "CANCELLED":
            outcome = "cancelled"
        elif (has_started and state in ("FAILED", "OUT_OF_MEMORY")) or self._lost_jobs[job.spec.run_id] > _LOST_JOBS:
            outcome = "died"
        reason = f"ended as {state}" if state else "is gone"
        message = f"its job {PREFIX}{slurm_id} {reason} before the run was done; see jobs/{slurm_id}_0_log.out"
        return JobEnd(job, outcome, message, time.monotonic() - active.submitted_at)

    def _read_end(self, job: Job) -> JobEnd | None:
        """Return how a run ended according to its directory; None if it has not ended."""
        run = RunDirectory(job.directory)
        status, has_result = run.read_status(), run.result_path.exists()
        seconds = 0.0
        if status is not None and status.started is not None:
            seconds = max(status.heartbeat - status.started, 0.0)
        if has_result:
            return JobEnd(job, "done", "", seconds)
        if status is None or status.state != "failed":
            return None
        return JobEnd(job, "failed", ((status.error or "").splitlines() or ["failed without a reason"])[0], seconds)


def _release_claim(directory: Path, slurm_id: str) -> str:
    """Release the claim of a run whose job is gone, and return the run's state after that."""
    run = RunDirectory(directory)
    status = run.read_status()
    if status is not None and status.state == "running" and find_slurm_id(status) == slurm_id:
        release_claim(directory, status.attempt)
    return run.read_state()


@contextmanager
def _lock_submission(path: Path) -> Iterator[None]:
    """Wait until no other sweep submits runs of the same study, and exclude others meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with hold_lock(path, patience=5.0) as locked:
            if locked:
                yield
                return
