"""What an executor is: it takes jobs, runs as many at once as it has slots, and says how each one ended.

Everything that lasts is in run directories; an executor only knows what it started. The order of runs, retries and
what is said of them are the sweep's.
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
"""module:function that trains a run: called with (spec, directory, study, placement, data) in its claimed directory."""

Outcome = Literal[
    "done", "failed", "memory", "full", "died", "killed", "timeout", "elsewhere", "interrupted", "queued", "cancelled"
]
"""memory: it failed since memory was out; full: since a disk was, so that no other run could be written either; died:
its process is gone without a word; killed: so, by signal 9, as the kernel does where memory is out; elsewhere: another
process has the run, which was left alone; interrupted: it was asked to stop, and goes on from where it was when it is
started again; queued: it waits in a cluster's queue, and this sweep does not wait for it; cancelled: somebody took its
job out of the cluster's queue, and the next sweep submits it again.
"""
Alone = Literal["device", "machine"]
"""Where nothing else may run meanwhile: on the GPU (for runs on the CPU, that is all of them), or here at all."""


@dataclass(frozen=True)
class Job:
    """One attempt at a run, as it travels to the process that executes it."""

    spec: RunSpec
    directory: Path
    study: "StudyConfig"
    """With the variant's overrides."""
    data: "RunData | None"
    attempt: int
    """Counts from 1, over all sweeps."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What run.yaml says of the tool that runs it."""
    alone: Alone | None = None
    seconds: float | None = None
    """What it will take on one worker, by the runs that are done; None: not known."""


@dataclass(frozen=True)
class Ended:
    """How a job ended."""

    job: Job
    outcome: Outcome
    message: str
    """Why, in one line, if it is not done; else empty."""
    seconds: float
    """From its start on."""
    crowded: bool = False
    """Whether others were on its device at some time."""


class Executor(Protocol):
    """Starts in `with`, and has no process left when that ends."""

    @property
    def slots(self) -> int:
        """Runs at once, at the most."""

    @property
    def threads(self) -> int:
        """Of a run."""

    @property
    def free(self) -> bool:
        """Whether a job can be submitted now."""

    def __enter__(self) -> Self:
        """Start.

        Raises:
            RunError: no process can be started.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and with it whatever still runs."""

    def submit(self, job: Job) -> None:
        """Start a job, which must be possible; one that is to be alone waits until the others there have ended."""

    def wait(self, timeout: float) -> list[Ended]:
        """Jobs that have ended since the last call; waits until one does, `timeout` seconds at the most."""

    def stop(self) -> list[Job]:
        """End all jobs that run, and wait until their processes are gone; runs may write a checkpoint before."""


@runtime_checkable
class Adopting(Protocol):
    """An executor whose jobs outlive the sweep that submitted them."""

    def adopts(self, directory: Path) -> bool:
        """Whether a job that still lives has the run; `submit` takes it over as it is."""
