"""Executor that trains each run as a task of a Ray cluster, on a node with free cores, memory and a share of a GPU.

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
from usaggr.io.atomic_files import is_disk_error
from usaggr.results import contract
from usaggr.results.run_directory import HEARTBEAT_SECONDS, RunDirectory
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Job, JobEnd, Outcome
from usaggr.sweep.executors.ray.parcel import pack, unpack
from usaggr.sweep.executors.ray.ray_cluster import Cluster, ResourceRequest
from usaggr.sweep.executors.ray.run_claims import has_no_owner, release_claim
from usaggr.sweep.executors.ray.task import Parcel, Task, TaskResult, execute

_LOST_NODES = 3
"""Number of times that a run may lose its node without using an attempt.

The limit ends a sweep in which the run itself makes its nodes fail.
"""
_RELEASE_SECONDS = 20.0
"""Seconds after which the process of a lost task is considered gone."""
_CANCEL_SECONDS = 10.0
"""Seconds, in addition to the grace of a run, until a canceled task has returned."""


@dataclass
class _ActiveRun:
    """A submitted job, until its end is reported."""

    job: Job
    started: float
    task: Any = None
    """Ray's reference to the task; None once its result was taken."""
    ran_alone: bool = True
    """False if another job was active at some time."""
    claim: ExitStack = field(default_factory=ExitStack)
    """Holds the claim of the run in this process, if the nodes do not see its directory."""
    heartbeat_at: float = 0.0
    """Time of the last heartbeat that this process wrote for the run; 0 if it writes none. Monotonic."""
    end: JobEnd | None = None
    """End of the job; None until then. Its process may be active for some time after that."""
    lost_since: float = 0.0
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
        self._active: list[_ActiveRun] = []
        self._lost_nodes: dict[str, int] = {}
        """Number of lost nodes for each run_id."""

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
                largest = self._cluster.describe_largest_node()
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
        active = _ActiveRun(job, time.monotonic(), ran_alone=not self._active and job.exclusive_scope is None)
        # Ray does not say on which nodes runs are, so every run that overlaps another one counts as crowded.
        for other in self._active:
            other.ran_alone = False
        self._active.append(active)
        try:
            parcel = None if self._config.shared else self._make_parcel(active)
        except UsaggrError as error:
            active.end = JobEnd(job, "failed", str(error).splitlines()[0], 0.0)
        if active.end is None:
            job_to_send = job if parcel is None else replace(job, data=None)
            task = Task(job_to_send, self._machine, self._accelerator, self._target, usaggr.__version__, parcel)
            request = (
                self._request
                if job.exclusive_scope is None
                else self._cluster.request_exclusive(self._request, job.exclusive_scope)
            )
            active.task = self._cluster.start_task(execute, task, request, job.spec.run_id)

    def _make_parcel(self, active: _ActiveRun) -> Parcel:
        """Claim a run in this process, and return the parcel for a node that does not see the run's directory.

        If the run cannot be claimed, its end is recorded in `active`, and the parcel is empty.
        """
        job = active.job
        run = RunDirectory(job.directory)
        if not active.claim.enter_context(run.claim(job.attempt)):
            active.end = JobEnd(job, "done" if run.result_path.exists() else "elsewhere", "", 0.0)
            return Parcel(None, b"")
        active.heartbeat_at = time.monotonic()
        if job.data is None:
            return Parcel(None, pack(job.directory, without=(contract.LOG,)))
        from usaggr.sweep.executors.ray.content_hash import hash_content

        return Parcel(hash_content(job.data, job.study), pack(job.directory, without=(contract.LOG,)))

    def wait(self, timeout: float) -> list[JobEnd]:
        """Return the jobs that have ended since the last call; wait at most `timeout` seconds for one."""
        now = time.monotonic()
        for active in self._active:
            if active.heartbeat_at and now - active.heartbeat_at > HEARTBEAT_SECONDS:
                active.heartbeat_at = now
                with suppress(OSError):  # a full disk is also found when the result is written
                    RunDirectory(active.job.directory).write_heartbeat()
        waiting = [active.task for active in self._active if active.task is not None]
        if any(active.end is not None for active in self._active):
            timeout = min(timeout, 0.05)  # an ended job only waits until its process is gone; check again soon
        ready = self._cluster.wait_for_tasks(waiting, timeout)
        for active in self._active:
            if active.task is not None and active.task in ready:
                self._read_result(active)
        finished = [active for active in self._active if active.end is not None and self._is_gone(active)]
        for active in finished:
            active.claim.close()
            self._active.remove(active)
        return [active.end for active in finished if active.end is not None]

    def _read_result(self, active: _ActiveRun) -> None:
        """Record the end of a run from the result or the loss of its task."""
        task, active.task = active.task, None
        result, is_lost = self._cluster.get_result(task)
        if is_lost:
            active.lost_since = time.monotonic()
            result = self._count_loss(active.job, result)
        elif result.files is not None:
            result = _unpack_result(active.job, result)
        seconds = time.monotonic() - active.started
        crowded = not active.ran_alone and active.job.exclusive_scope is None
        active.end = JobEnd(active.job, result.outcome, result.message, seconds, crowded)

    def _count_loss(self, job: Job, result: TaskResult) -> TaskResult:
        """Return the outcome of a run whose node was lost: no failure of the run for the first few losses."""
        if result.outcome != "interrupted":
            return result
        run_id = job.spec.run_id
        self._lost_nodes[run_id] = self._lost_nodes.get(run_id, 0) + 1
        return result if self._lost_nodes[run_id] <= _LOST_NODES else replace(result, outcome="died")

    def _is_gone(self, active: _ActiveRun) -> bool:
        """Return whether no process trains the run of a lost task any longer; if so, its claim is released."""
        if not active.lost_since or not self._config.shared:
            return True
        directory = active.job.directory
        if has_no_owner(directory):
            release_claim(directory, active.job.attempt)
            return True
        return time.monotonic() - active.lost_since > _RELEASE_SECONDS

    def stop(self) -> list[Job]:
        """End all active jobs and wait until they are gone; a run has `grace` seconds for a checkpoint."""
        tasks = [active.task for active in self._active if active.task is not None]
        self._cluster.cancel(tasks, force=False)
        deadline = time.monotonic() + self._config.grace + _CANCEL_SECONDS
        stopped = [active.job for active in self._active if active.end is None]
        while self._active and time.monotonic() < deadline:
            self.wait(0.25)
        # A task that did not react in time is killed together with its process.
        self._cluster.cancel([active.task for active in self._active if active.task is not None], force=True)
        deadline = time.monotonic() + _RELEASE_SECONDS
        while self._active and time.monotonic() < deadline:
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
        outcome: Outcome = "unwritable" if is_disk_error(error) else "failed"
        result = TaskResult(outcome, str(error).splitlines()[0], error=str(error))
    if result.outcome == "done" and not run.result_path.exists():
        result = TaskResult("failed", "the node returned no result", error="the node returned no result")
    if result.outcome in ("failed", "memory"):
        run.mark_failed(result.error or result.message, job.attempt)
    return result
