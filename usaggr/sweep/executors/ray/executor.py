"""Runs on a Ray cluster: one task a run, placed by Ray where cores, a GPU or a part of one, and memory are free.

State is in run directories alone. Where nodes do not share the sweep's file system, this process holds the claims, and
runs come back as tars.
"""

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import usaggr
from usaggr.config.executor import MachineConfig, RayConfig
from usaggr.errors import ConfigError, UsaggrError
from usaggr.io.atomic_files import is_disk_full
from usaggr.results import contract
from usaggr.results.run_directory import HEARTBEAT_SECONDS, RunDirectory
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Ended, Job, Outcome
from usaggr.sweep.executors.ray.parcel import pack, unpack
from usaggr.sweep.executors.ray.ray_cluster import Cluster, Need
from usaggr.sweep.executors.ray.run_claims import free_of_its_owner, set_free
from usaggr.sweep.executors.ray.task import Parcel, Returned, Task, execute

_LOST_NODES = 3
"""So many losses of its node cost a run no attempt: one that takes its nodes down must come to an end."""
_RELEASE_SECONDS = 20.0
"""A process of a lost task is given so long to be gone."""
_REACT_SECONDS = 10.0
"""Beyond the grace of a run: until a task that was cancelled has returned."""


@dataclass
class _Active:
    """A job on its way."""

    job: Job
    started: float
    task: Any = None
    """Ray's reference to what it returns; None once that is there."""
    alone: bool = True
    claim: ExitStack = field(default_factory=ExitStack)
    beaten: float = 0.0
    ended: Ended | None = None
    """How it ended, while its process is not gone yet."""
    lost: float = 0.0
    """When it was found to be lost."""


class RayExecutor:
    """Runs jobs as tasks of a Ray cluster.

    `accelerator` is training.accelerator; `target` names the function that trains a run.
    """

    def __init__(self, config: RayConfig, accelerator: str = "auto", target: str = EXECUTE_RUN) -> None:
        self._config = config
        self._accelerator = accelerator
        self._target = target
        self._active: list[_Active] = []
        self._losses: dict[str, int] = {}
        """run_id: how often its node was lost."""
        self._contents: dict[int, str] = {}

    @property
    def slots(self) -> int:
        """Runs at once, at the most: as configured, or as many as the cluster has room for now."""
        return self._config.workers or self._cluster.room(self._need)

    @property
    def threads(self) -> int:
        """Of a run."""
        return self._config.threads or 1

    @property
    def free(self) -> bool:
        """Whether a job can be submitted now."""
        return len(self._active) < self.slots

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            ConfigError: Ray is not installed, the cluster cannot be reached, or none of its nodes has room for a run.
        """
        if self._accelerator == "gpu" and self._config.gpus == 0:
            raise ConfigError(
                "executor.gpus: training.accelerator=gpu needs more than 0; 1, or a fraction to share one"
            )
        self._cluster = Cluster(self._config.address)
        try:
            self._need = Need(self.threads, self._config.gpus, self._config.memory)
            self._machine = machine_of(self._config)
            if self._config.workers is None and not self._cluster.room(self._need):
                raise ConfigError(
                    f"executor: no node of the cluster has {self._need}; its largest have {self._cluster.largest()}"
                )
        except BaseException:
            self._cluster.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what runs, and the cluster if it was started here."""
        self.stop()
        self._cluster.close()

    def submit(self, job: Job) -> None:
        """Start a job; one that is to be alone asks for a whole GPU, or all cores of a node."""
        active = _Active(job, time.monotonic(), alone=not self._active and job.alone is None)
        for other in self._active:
            other.alone = False
        self._active.append(active)
        try:
            sent, parcel = (job, None) if self._config.shared else (replace(job, data=None), self._parcel(active))
        except UsaggrError as error:
            active.ended = Ended(job, "failed", str(error).splitlines()[0], 0.0)
        if active.ended is None:
            task = Task(sent, self._machine, self._accelerator, self._target, usaggr.__version__, parcel)
            need = self._need if job.alone is None else self._cluster.alone(self._need, job.alone)
            active.task = self._cluster.start(execute, task, need, job.spec.run_id)

    def _parcel(self, active: _Active) -> Parcel:
        """What travels with a job to a node that does not see its directory, which is claimed here."""
        job = active.job
        run = RunDirectory(job.directory)
        if not active.claim.enter_context(run.claim(job.attempt)):
            active.ended = Ended(job, "done" if run.result_path.exists() else "elsewhere", "", 0.0)
            return Parcel(None, b"")
        active.beaten = time.monotonic()
        if job.data is None:
            return Parcel(None, pack(job.directory, without=(contract.LOG,)))
        from usaggr.sweep.executors.ray.content_hash import content_of

        return Parcel(content_of(job.data, job.study), pack(job.directory, without=(contract.LOG,)))

    def wait(self, timeout: float) -> list[Ended]:
        """Jobs that have ended since the last call; waits until one does, `timeout` seconds at the most."""
        now = time.monotonic()
        for active in self._active:
            if active.beaten and now - active.beaten > HEARTBEAT_SECONDS:
                active.beaten = now
                with suppress(OSError):  # a full disk is found where the result is written
                    RunDirectory(active.job.directory).beat()
        waiting = [active.task for active in self._active if active.task is not None]
        if any(active.ended is not None for active in self._active):
            timeout = min(timeout, 0.05)
        ready = self._cluster.ready(waiting, timeout)
        for active in self._active:
            if active.task is not None and active.task in ready:
                self._take(active)
        over = [active for active in self._active if active.ended is not None and self._is_gone(active)]
        for active in over:
            active.claim.close()
            self._active.remove(active)
        return [active.ended for active in over if active.ended is not None]

    def _take(self, active: _Active) -> None:
        """Read what a task returned, or how it was lost."""
        task, active.task = active.task, None
        returned, lost = self._cluster.result(task)
        if lost:
            active.lost = time.monotonic()
            returned = self._of_lost(active.job, returned)
        elif returned.files is not None:
            returned = _brought_in(active.job, returned)
        seconds = time.monotonic() - active.started
        crowded = not active.alone and active.job.alone is None
        active.ended = Ended(active.job, returned.outcome, returned.message, seconds, crowded)

    def _of_lost(self, job: Job, returned: Returned) -> Returned:
        """What has become of a run whose node is gone: nothing that it has to answer for, the first few times."""
        if returned.outcome != "interrupted":
            return returned
        run_id = job.spec.run_id
        self._losses[run_id] = self._losses.get(run_id, 0) + 1
        return returned if self._losses[run_id] <= _LOST_NODES else replace(returned, outcome="died")

    def _is_gone(self, active: _Active) -> bool:
        """Whether nobody trains the run of a lost task any more; its claim is set free."""
        if not active.lost or not self._config.shared:
            return True
        directory = active.job.directory
        if free_of_its_owner(directory):
            set_free(directory, active.job.attempt)
            return True
        return time.monotonic() - active.lost > _RELEASE_SECONDS

    def stop(self) -> list[Job]:
        """End all jobs that run, and wait until they are gone; a run has `grace` seconds for a checkpoint."""
        tasks = [active.task for active in self._active if active.task is not None]
        self._cluster.cancel(tasks, force=False)
        end = time.monotonic() + self._config.grace + _REACT_SECONDS
        stopped = [active.job for active in self._active if active.ended is None]
        while self._active and time.monotonic() < end:
            self.wait(0.25)
        self._cluster.cancel([active.task for active in self._active if active.task is not None], force=True)
        end = time.monotonic() + _RELEASE_SECONDS
        while self._active and time.monotonic() < end:
            self.wait(0.25)
        for active in self._active:
            active.claim.close()
        self._active.clear()
        return stopped


def machine_of(config: RayConfig) -> MachineConfig:
    """What a task gets of its node: one worker, and the GPU that Ray has assigned."""
    return config.machine.model_copy(update={"workers": 1, "devices": None if config.gpus else []})


def _brought_in(job: Job, returned: Returned) -> Returned:
    """Unpack a run's directory into its place, where it is claimed by this process."""
    run = RunDirectory(job.directory)
    try:
        unpack(returned.files or b"", job.directory)
    except (UsaggrError, OSError) as error:
        outcome: Outcome = "full" if is_disk_full(error) else "failed"
        returned = Returned(outcome, str(error).splitlines()[0], error=str(error))
    if returned.outcome == "done" and not run.result_path.exists():
        returned = Returned("failed", "the node returned no result", error="the node returned no result")
    if returned.outcome in ("failed", "memory"):
        run.fail(returned.error or returned.message, job.attempt)
    return returned
