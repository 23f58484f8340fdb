"""The interface of executors. An executor runs jobs, at most one per slot at a time, and reports how each one ended.

All lasting state is in the run directories. An executor only knows the jobs that it has started. The sweep decides on
the order of runs, on retries and on messages.
"""

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

from usaggr.results.spec import RunSpec

if TYPE_CHECKING:
    from usaggr.config.study import StudyConfig
    from usaggr.data.batches.run_data import RunData

EXECUTE_RUN = "usaggr.training.run:execute_run"
"""module:function that trains a run; called with (spec, directory, study, placement, data) after the run is claimed."""

Outcome = Literal[
    "done",
    "failed",
    "memory",
    "unwritable",
    "unstartable",
    "died",
    "killed",
    "timeout",
    "elsewhere",
    "interrupted",
    "queued",
    "cancelled",
]
"""End of a job.

* done, failed: the run has a result, or an error.
* memory: failed because memory was exhausted.
* unwritable: failed because a disk is full, read-only, failing or gone, so that no other run can be written either.
* unstartable: its processes died several times without its fault, and so did those of other runs, while none finished;
  or what starts the processes has ended.
* died: its process ended without a message.
* killed: its process was ended by signal 9, which the kernel sends if memory is exhausted.
* timeout: it exceeded the time limit of its executor.
* elsewhere: another process trains the run, so this sweep left it alone.
* interrupted: it stopped on request; started again, it resumes at its step.
* queued: it is in a cluster's queue, and this sweep does not wait for it (`executor.wait=false`).
* cancelled: its job was removed from the cluster's queue; the next sweep submits the run again.
"""
ExclusiveScope = Literal["device", "machine"]
"""Scope in which no other run may run at the same time: on the device (the CPU is one device), or on the machine."""


@dataclass(frozen=True)
class Job:
    """One attempt at a run; it is sent to the process that executes it."""

    spec: RunSpec
    directory: Path
    study: "StudyConfig"
    """Study with the variant's overrides."""
    data: "RunData | None"
    attempt: int
    """Number of the attempt, from 1, over all sweeps."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Versions and platform, for run.yaml."""
    exclusive_scope: ExclusiveScope | None = None
    """Place where no other run may run at the same time; set if an earlier attempt ran out of memory."""
    seconds: float | None = None
    """Estimated seconds on one worker, from finished runs; None without such runs."""


@dataclass(frozen=True)
class JobEnd:
    """End of a job."""

    job: Job
    outcome: Outcome
    message: str
    """Reason in one line; empty if the outcome is done."""
    seconds: float
    """Seconds from its start to its end."""
    crowded: bool = False
    """True if other jobs were on its device at some time."""


class Executor(Protocol):
    """Context manager that runs jobs; when it exits, none of its processes is left."""

    @property
    def slots(self) -> int:
        """Maximum number of jobs at the same time."""

    @property
    def threads(self) -> int:
        """Number of threads of a run."""

    @property
    def has_free_slot(self) -> bool:
        """True if a job can be submitted now."""

    def __enter__(self) -> Self:
        """Start.

        Raises:
            RunError: no process can be started.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, together with all jobs that still run.

        Args:
            kind: class of the exception that left the context; None without one.
            error: the exception.
            trace: its traceback.
        """

    def submit(self, job: Job) -> None:
        """Start a job; requires `has_free_slot`.

        A job with an `exclusive_scope` starts once the other jobs there have ended.
        """

    def wait(self, timeout: float) -> list[JobEnd]:
        """Return the jobs that have ended since the last call; wait up to `timeout` seconds for the first one."""

    def stop(self) -> list[Job]:
        """Stop all running jobs, wait until their processes have ended, and return them.

        Runs may write a checkpoint before they end.
        """


@runtime_checkable
class AdoptingExecutor(Protocol):
    """Executor of a cluster, whose jobs may outlive the sweep that submitted them."""

    def is_adoptable(self, directory: Path) -> bool:
        """Return whether a live job has the run; `submit` then follows this job instead of starting another."""
