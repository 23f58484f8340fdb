"""What Slurm says of jobs: one call of squeue for all of them, every few seconds at the most. No submitit here."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Status

PREFIX = "slurm "
"""Of a job's name in `Status.job`."""
_SECONDS = 5.0
"""Between two calls."""
_PATIENCE = 30.0
"""Seconds that a call may take."""

Call = Callable[[Sequence[str]], "str | None"]


@dataclass(frozen=True)
class QueuedJob:
    """A job that Slurm has not ended yet."""

    state: str
    """As Slurm calls it: PENDING, RUNNING, ..."""
    reason: str
    """Why it waits; `None` where it does not."""


def job_of(status: Status | None) -> str | None:
    """Slurm's id, such as 12 or 12_3, of the job that has or had a run; None: none had."""
    if status is None or status.job is None or not status.job.startswith(PREFIX):
        return None
    return status.job.removeprefix(PREFIX)


def log_of(directory: Path, job: str) -> Path:
    """The log of a job of the study in a directory."""
    return directory / "jobs" / f"{job}_0_log.out"


class SlurmQueue:
    """Which of the jobs that it is asked about still live.

    While Slurm does not answer, what it said last holds; jobs of which nothing is known yet are taken to live.
    """

    def __init__(self, call: Call | None = None, seconds: float = _SECONDS, patience: float = _PATIENCE) -> None:
        self._call = call or (lambda command: run_command(command, patience))
        self._seconds = seconds
        self._new: set[str] = set()
        """Jobs about which it has not answered yet."""
        self._asked: set[str] = set()
        """Jobs about which it has: one that is not among the live ones is gone."""
        self._live: dict[str, QueuedJob] = {}
        self._last = -1e9
        self.answers = True
        """Whether the last call was answered."""

    def lives(self, job: str) -> bool:
        """Whether a job waits or runs, or may well do."""
        self.look([job])
        return job not in self._asked or job in self._live

    def found(self, job: str) -> QueuedJob | None:
        """What is known of a job that lives; None where it is gone, or nothing is known."""
        self.look([job])
        return self._live.get(job)

    def look(self, jobs: Iterable[str]) -> None:
        """Ask about jobs, together with all before, if the last time is long enough ago or some are new."""
        new = set(jobs) - self._asked
        if (not new or new <= self._new) and time.monotonic() - self._last < self._seconds:
            return
        self._new |= new
        open_ = self._new | set(self._live)
        if not open_:
            return
        self._last = time.monotonic()
        arrays = sorted({job.partition("_")[0] for job in open_})
        said = self._call(["squeue", "--noheader", "--array", "--format=%i|%T|%r", f"--jobs={','.join(arrays)}"])
        self.answers = said is not None
        if said is None:
            return
        lines = [line.strip().split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
        self._live = {name: QueuedJob(state, reason) for name, state, reason in lines}
        self._asked |= self._new
        self._new = set()

    def ended(self, jobs: Sequence[str]) -> dict[str, str]:
        """How jobs that are gone ended, as accounting calls it: CANCELLED, NODE_FAIL, ...; without it, nothing."""
        if not jobs:
            return {}
        command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State", "-j", ",".join(jobs)]
        states = {}
        for line in (self._call(command) or "").splitlines():
            name, _, state = line.partition("|")
            states[name.partition("_[")[0]] = state.split(" ")[0]  # tasks that never began stand together: 12_[0-3]
        found = {job: states.get(job, states.get(job.partition("_")[0], "")) for job in jobs}
        return {job: state for job, state in found.items() if state not in ("", "PENDING", "RUNNING", "REQUEUED")}

    def cancel(self, jobs: Sequence[str]) -> bool:
        """Take jobs out of the queue, or ask those that run to end; False where Slurm does not answer."""
        return not jobs or self._call(["scancel", *jobs]) is not None


def has_slurm() -> bool:
    """Whether Slurm's commands are here."""
    return shutil.which("squeue") is not None


def live_job(directory: Path, queue: SlurmQueue) -> str | None:
    """The job that has a run and still lives; None where none does, or the run is neither queued nor at work."""
    run = RunDirectory(directory)
    status = run.status()
    job = job_of(status)
    if status is None or job is None or status.state not in ("queued", "running") or run.result_path.exists():
        return None
    return job if queue.lives(job) else None


def run_command(command: Sequence[str], patience: float = _PATIENCE) -> str | None:
    """What one of Slurm's commands says; None where it is missing, fails or does not answer in time.

    squeue fails where it is asked about jobs that are all long gone: then it says nothing.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return "" if "Invalid job id" in done.stderr else None
    return done.stdout
