"""States of Slurm's jobs, from one call of squeue for all of them, at most every few seconds, without submitit."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Status

PREFIX = "slurm "
"""Prefix of a job's name in `Status.job`."""
_SECONDS = 5.0
"""Seconds between two calls of squeue."""
_PATIENCE = 30.0
"""Seconds after which a command without an answer is killed."""

Call = Callable[[Sequence[str]], "str | None"]
"""Function that runs a command and returns its output, or None without an answer."""


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs."""

    state: str
    """State in Slurm's words, such as PENDING or RUNNING."""
    reason: str
    """Reason why the job waits; the text `None` if it does not."""


def find_slurm_id(status: Status | None) -> str | None:
    """Return Slurm's id of the job that has or had a run, such as 12 or 12_3; None if no job had it."""
    if status is None or status.job is None or not status.job.startswith(PREFIX):
        return None
    return status.job.removeprefix(PREFIX)


def make_log_path(directory: Path, job: str) -> Path:
    """Return the path of a job's log; `directory` is the study's folder."""
    return directory / "jobs" / f"{job}_0_log.out"


class SlurmQueue:
    """States of requested jobs.

    While Slurm does not answer, its last answer holds. A job that no answer covers yet counts as live.
    """

    def __init__(self, call: Call | None = None, seconds: float = _SECONDS, patience: float = _PATIENCE) -> None:
        self._call = call or (lambda command: run_command(command, patience))
        self._min_seconds = seconds
        self._new: set[str] = set()
        """Jobs that no answer covers yet."""
        self._answered: set[str] = set()
        """Jobs that an answer covers: those that are not live are gone."""
        self._live: dict[str, QueuedJob] = {}
        self._called_at = -1e9
        self.is_answering = True
        """False if the last call was not answered."""

    def is_live(self, job: str) -> bool:
        """Return whether a job waits or runs; True also if its state is not known yet."""
        self.refresh([job])
        return job not in self._answered or job in self._live

    def get_job(self, job: str) -> QueuedJob | None:
        """Return what is known about a live job; None if it is gone or nothing is known."""
        self.refresh([job])
        return self._live.get(job)

    def refresh(self, jobs: Iterable[str]) -> None:
        """Request the states of jobs and of all earlier live jobs.

        Slurm is called only if its last answer is old, or if a job was not requested before.
        """
        new = set(jobs) - self._answered
        if (not new or new <= self._new) and time.monotonic() - self._called_at < self._min_seconds:
            return
        self._new |= new
        unfinished = self._new | set(self._live)
        if not unfinished:
            return
        self._called_at = time.monotonic()
        # The id of an array stands for all its jobs, which keeps the command short.
        arrays = sorted({job.partition("_")[0] for job in unfinished})
        output = self._call(["squeue", "--noheader", "--array", "--format=%i|%T|%r", f"--jobs={','.join(arrays)}"])
        self.is_answering = output is not None
        if output is None:
            return
        lines = [line.strip().split("|", 2) for line in output.splitlines() if line.count("|") >= 2]
        self._live = {name: QueuedJob(state, reason) for name, state, reason in lines}
        self._answered |= self._new
        self._new = set()

    def read_end_states(self, jobs: Sequence[str]) -> dict[str, str]:
        """Return the final states of lost jobs by id, in sacct's words, such as NODE_FAIL; empty without sacct."""
        if not jobs:
            return {}
        command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State", "-j", ",".join(jobs)]
        states = {}
        for line in (self._call(command) or "").splitlines():
            name, _, state = line.partition("|")
            states[name.partition("_[")[0]] = state.split(" ")[0]  # tasks that never started share a line: 12_[0-3]
        end_states = {}
        for job in jobs:
            state = states.get(job, states.get(job.partition("_")[0], ""))
            if state not in ("", "PENDING", "RUNNING", "REQUEUED"):
                end_states[job] = state
        return end_states

    def cancel(self, jobs: Sequence[str]) -> bool:
        """Remove jobs from the queue, and ask active ones to end; return False if Slurm does not answer."""
        return not jobs or self._call(["scancel", *jobs]) is not None


def has_slurm() -> bool:
    """Return whether Slurm's commands are installed."""
    return shutil.which("squeue") is not None


def find_live_job(directory: Path, queue: SlurmQueue) -> str | None:
    """Return the live job of a run; None if there is none, or if the run is neither queued nor active."""
    run = RunDirectory(directory)
    status = run.read_status()
    job = find_slurm_id(status)
    if status is None or job is None or status.state not in ("queued", "running") or run.result_path.exists():
        return None
    return job if queue.is_live(job) else None


def run_command(command: Sequence[str], patience: float = _PATIENCE) -> str | None:
    """Return the output of one of Slurm's commands; None if it is missing, fails or does not answer in time.

    squeue fails if all requested jobs ended long ago; that counts as an empty answer.
    """
    try:
        completed = subprocess.run(command, capture_output=True, timeout=patience, encoding="utf-8", errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    if completed.returncode != 0:
        return "" if "Invalid job id" in completed.stderr else None
    return completed.stdout
