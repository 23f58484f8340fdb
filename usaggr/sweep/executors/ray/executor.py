"""Runs on a Ray cluster: one task per run, which Ray places where cores, memory and a GPU or a share of one are free.

All state is in run directories. If the nodes do not share the sweep's file system, this process holds the claims, and
finished runs are sent back as tar archives.
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
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Job, JobEnd, Outcome
from usaggr.sweep.executors.ray.parcel import pack, unpack
from usaggr.sweep.executors.ray.ray_cluster import Cluster, ResourceRequest
from usaggr.sweep.executors.ray.run_claims import has_no_owner, release_claim
from usaggr.sweep.executors.ray.task import Parcel, Task, TaskResult, execute

_LOST_NODES = 3
"""Losses of its node that cost a run no attempt. The limit ends a sweep in which a run itself takes its nodes down."""
_RELEASE_SECONDS = 20.0
"""Seconds until the process of a lost task is considered gone."""
_REACT_SECONDS = 10.0
"""Seconds, in addition to the grace of a run, until a canceled task has returned."""


@dataclass
class _Active:
    """A submitted job, until its end is reported."""

    job: Job
    started: float
    task: Any = None
    """Ray's reference to the task; None once its result was taken."""
    alone: bool = True
    """False if another job was active at some time."""
    claim: ExitStack = field(default_factory=ExitStack)
    beaten: float = 0.0
    """Time of the last heartbeat that this process wrote for the run; 0 if it writes none. Monotonic."""
    ended: JobEnd | None = None
    """Result of the job, None until it ends; its process may still be active after that."""
    lost: float = 0.0
    """Time at which the task was found to be lost; 0 if it is not. Monotonic."""


class RayExecutor:
    """Runs jobs as tasks of a Ray cluster.

    Args:
        config: Address of the cluster, resources per run, and limits.
        accelerator: training.accelerator.
        target: Function that trains a run, as `module:function`.
    """

    def __init__(self, config: RayConfig, accelerator: str = "auto", target: str = EXECUTE_RUN) -> None:
        self._config = config
        self._accelerator = accelerator
        self._target = target
        self._active: list[_Active] = []
        self._losses: dict[str, int] = {}
        """Number of lost nodes for each run_id."""
        self._contents: dict[int, str] = {}

    @property
    def slots(self) -> int:
        """Largest number of runs at the same time: as configured, or as many as the cluster can hold now."""
        return self._config.workers or self._cluster.count_possible_runs(self._request)

    @property
    def threads(self) -> int:
        """Threads of each run."""
        return self._config.threads or 1

    @property
    def has_free_slot(self) -> bool:
        """Return whether a job can be submitted now."""
        return len(self._active) < self.slots

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            ConfigError: Ray is not installed, the cluster cannot be reached, or no node can hold a run.
        """
        if self._accelerator == "gpu" and self._config.gpus == 0:
            raise ConfigError(
                "executor.gpus must be above 0 with training.accelerator=gpu: 1, or a fraction to share a GPU"
            )
        self._cluster = Cluster(self._config.address)
        try:
            self._request = ResourceRequest(self.threads, self._config.gpus, self._config.memory)
            self._machine = make_task_machine(self._config)
            if self._config.workers is None and not self._cluster.count_possible_runs(self._request):
                largest = self._cluster.describe_largest()
                raise ConfigError(f"executor: no node of the cluster has {self._request}; the largest have {largest}")
        except BaseException:
            self._cluster.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the active runs, and the cluster if it was started here."""
        self.stop()
        self._cluster.close()

    def submit(self, job: Job) -> None:
        """Start a job; a job that must run alone requests a whole GPU, or all cores of a node."""
        active = _Active(job, time.monotonic(), alone=not self._active and job.alone is None)
        # The nodes of runs are not known here, so every run that overlaps another one counts as crowded.
        for other in self._active:
            other.alone = False
        self._active.append(active)
        try:
            sent, parcel = (job, None) if self._config.shared else (replace(job, data=None), self._parcel(active))
        except UsaggrError as error:
            active.ended = JobEnd(job, "failed", str(error).splitlines()[0], 0.0)
        if active.ended is None:
            task = Task(sent, self._machine, self._accelerator, self._target, usaggr.__version__, parcel)
            request = self._request if job.alone is None else self._cluster.request_alone(self._request, job.alone)
            active.task = self._cluster.start(execute, task, request, job.spec.run_id)

    def _parcel(self, active: _Active) -> Parcel:
        """Return the data that accompany a job to a node without the sweep's files, after claiming the run here."""
        job = active.job
        run = RunDirectory(job.directory)
        if not active.claim.enter_context(run.claim(job.attempt)):
            active.ended = JobEnd(job, "done" if run.result_path.exists() else "elsewhere", "", 0.0)
            return Parcel(None, b"")
        active.beaten = time.monotonic()
        if job.data is None:
            return Parcel(None, pack(job.directory, without=(contract.LOG,)))
        from usaggr.sweep.executors.ray.content_hash import hash_content

        return Parcel(hash_content(job.data, job.study), pack(job.directory, without=(contract.LOG,)))

    def wait(self, timeout: float) -> list[JobEnd]:
        """Return the jobs that have ended since the last call; wait at most `timeout` seconds for one."""
        now = time.monotonic()
        for active in self._active:
            if active.beaten and now - active.beaten > HEARTBEAT_SECONDS:
                active.beaten = now
                with suppress(OSError):  # a full disk is also found when the result is written
                    RunDirectory(active.job.directory).write_heartbeat()
        waiting = [active.task for active in self._active if active.task is not None]
        if any(active.ended is not None for active in self._active):
            timeout = min(timeout, 0.05)  # an ended job only waits until its process is gone; check again soon
        ready = self._cluster.ready(waiting, timeout)
        for active in self._active:
            if active.task is not None and active.task in ready:
                self._take(active)
        finished = [active for active in self._active if active.ended is not None and self._is_gone(active)]
        for active in finished:
            active.claim.close()
            self._active.remove(active)
        return [active.ended for active in finished if active.ended is not None]

    def _take(self, active: _Active) -> None:
        """Read the result of a task, or how the task was lost."""
        task, active.task = active.task, None
        result, lost = self._cluster.result(task)
        if lost:
            active.lost = time.monotonic()
            result = self._count_loss(active.job, result)
        elif result.files is not None:
            result = _unpack_result(active.job, result)
        seconds = time.monotonic() - active.started
        crowded = not active.alone and active.job.alone is None
        active.ended = JobEnd(active.job, result.outcome, result.message, seconds, crowded)

    def _count_loss(self, job: Job, result: TaskResult) -> TaskResult:
        """Return the outcome of a run whose node was lost: no failure of the run for the first few losses."""
        if result.outcome != "interrupted":
            return result
        run_id = job.spec.run_id
        self._losses[run_id] = self._losses.get(run_id, 0) + 1
        return result if self._losses[run_id] <= _LOST_NODES else replace(result, outcome="died")

    def _is_gone(self, active: _Active) -> bool:
        """Return whether no process trains the run of a lost task any longer; if so, its claim is released."""
        if not active.lost or not self._config.shared:
            return True
        directory = active.job.directory
        if has_no_owner(directory):
            release_claim(directory, active.job.attempt)
            return True
        return time.monotonic() - active.lost > _RELEASE_SECONDS

    def stop(self) -> list[Job]:
        """End all active jobs and wait until they are gone; a run has `grace` seconds for a checkpoint."""
        tasks = [active.task for active in self._active if active.task is not None]
        self._cluster.cancel(tasks, force=False)
        end = time.monotonic() + self._config.grace + _REACT_SECONDS
        stopped = [active.job for active in self._active if active.ended is None]
        while self._active and time.monotonic() < end:
            self.wait(0.25)
        # A task that did not react in time is killed together with its process.
        self._cluster.cancel([active.task for active in self._active if active.task is not None], force=True)
        end = time.monotonic() + _RELEASE_SECONDS
        while self._active and time.monotonic() < end:
            self.wait(0.25)
        for active in self._active:
            active.claim.close()
        self._active.clear()
        return stopped


def make_task_machine(config: RayConfig) -> MachineConfig:
    """Return the resources that a task uses on its node: one worker, and the GPU that Ray has assigned."""
    return config.machine.model_copy(update={"workers": 1, "devices": None if config.gpus else []})


def _unpack_result(job: Job, result: TaskResult) -> TaskResult:
    """Unpack the returned files into the run's directory, which this process has claimed."""
    run = RunDirectory(job.directory)
    try:
        unpack(result.files or b"", job.directory)
    except (UsaggrError, OSError) as error:
        outcome: Outcome = "full" if is_disk_full(error) else "failed"
        result = TaskResult(outcome, str(error).splitlines()[0], error=str(error))
    if result.outcome == "done" and not run.result_path.exists():
        result = TaskResult("failed", "the node returned no result", error="the node returned no result")
    if result.outcome in ("failed", "memory"):
        run.fail(result.error or result.message, job.attempt)
    return result
