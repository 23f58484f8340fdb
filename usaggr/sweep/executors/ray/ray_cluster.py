"""Connection to a Ray cluster: starts tasks, counts what its nodes can hold, and explains why a task was lost.

In this file, a task is a task of Ray: a function that a process on a node calls to train one run of the sweep. The
package ray is imported only here, when a sweep starts.
"""

import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from usaggr.errors import ConfigError
from usaggr.safe_path import SafeSearch, list_search_folders
from usaggr.sweep.execution.jobs import ExclusiveScope
from usaggr.sweep.executors.local.placement import count_usable_cores
from usaggr.sweep.executors.ray.task import TaskResult

_LIST_SECONDS = 2.0
"""Seconds between two requests for the list of nodes."""
_LONGEST_FOLDER = 35
"""Bytes of the path of a temporary folder in which Ray can create its sockets, whose paths may have 107 bytes."""
_CONNECT_SECONDS = 10.0
"""Seconds allowed for a connection to a cluster's address; Ray itself would try for five minutes."""
_GIB = 1024**3


@dataclass(frozen=True)
class ResourceRequest:
    """Resources that a run reserves on its node."""

    cpus: int
    """Number of cores."""
    gpus: float
    """Number of GPUs; a fraction below 1 shares a GPU with other runs."""
    memory: float | None
    """Main memory in GiB; None: memory is not reserved."""

    def __str__(self) -> str:
        memory = f", {self.memory:g} GiB" if self.memory else ""
        return f"{self.cpus} cores, {self.gpus:g} GPUs{memory}"


class Cluster:
    """Connection to a running Ray cluster, or to one that it starts on this machine and ends with `close`."""

    def __init__(self, address: str | None) -> None:
        """Connect to the cluster at an address, or start one on this machine if the address is None.

        Raises:
            ConfigError: Ray is not installed, or the cluster cannot be reached or has another version.
        """
        with _keep_signals():
            self._ray = _import_ray()
            # A connection that already exists in this process is used, and is not closed by this object.
            self._owns_connection = not self._ray.is_initialized()
            if self._owns_connection:
                _silence_node_messages(self._ray)
                self._connect(address)
        self._has_one_node = address is None
        self._listed_at = -math.inf
        self._nodes: list[dict[str, float]] = []  # resources of each node by Ray's names, such as CPU; memory in bytes

    def _connect(self, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if address is None:
            options |= {"num_cpus": count_usable_cores(), "include_dashboard": False}
            if len(os.fsencode(os.environ.get("TMPDIR", ""))) > _LONGEST_FOLDER:
                os.environ.setdefault("RAY_TMPDIR", "/tmp")
        try:
            if address is not None:
                _check_reachable(address)
            with SafeSearch():
                self._ray.init(address=address or "local", job_config=_make_job_config(self._ray), **options)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if address is None:
                raise ConfigError(f"executor=ray: Ray cannot be started on this machine: {reason}") from error
            raise ConfigError(
                f"executor.address={address}: {reason}; run `ray status` on a node to see whether the cluster is up, "
                "or set executor.address=null to start one on this machine"
            ) from error

    def close(self) -> None:
        """Close the connection if this object opened it; a cluster that it started ends."""
        if self._owns_connection and self._ray.is_initialized():
            with _keep_signals():
                self._ray.shutdown()

    def count_possible_runs(self, request: ResourceRequest) -> int:
        """Return the number of runs that the current nodes could hold at once if nothing else used them."""
        return sum(_count_fitting_runs(node, request) for node in self._list_node_resources())

    def describe_largest_node(self) -> str:
        """Return the largest amount of each resource on any node, for messages."""
        nodes = self._list_node_resources()
        cpus, gpus, memory = (
            max((node.get(resource, 0.0) for node in nodes), default=0) for resource in ("CPU", "GPU", "memory")
        )
        return f"{cpus:g} cores, {gpus:g} GPUs, {memory / _GIB:.1f} GiB"

    def request_exclusive(self, request: ResourceRequest, scope: ExclusiveScope) -> ResourceRequest:
        """Return the resources to reserve for a run that must not share its GPU or its node with other runs.

        Args:
            request: Resources that the run would reserve otherwise.
            scope: "device" for a GPU of its own, "machine" for a node of its own. A run without a GPU gets a node.
        """
        if scope == "device" and request.gpus:
            return replace(request, gpus=math.ceil(request.gpus))
        # Ray has no exclusive nodes. A run that reserves all cores of the largest node that it fits on is alone there.
        node_cpus = [node["CPU"] for node in self._list_node_resources() if _count_fitting_runs(node, request)]
        return replace(request, cpus=max(request.cpus, int(max(node_cpus, default=0))), gpus=math.ceil(request.gpus))

    def start_task(
        self, function: Callable[[Any], TaskResult], argument: Any, request: ResourceRequest, name: str
    ) -> Any:
        """Start a task on the cluster and return a reference to its result.

        Args:
            function: Function that the cluster calls.
            argument: Argument of the function.
            request: Resources to reserve.
            name: Name of the task in Ray's own lists.
        """
        # With max_calls=1, Ray's default for tasks with a GPU, a process would end after each run, and every run would
        # have to repeat the imports.
        remote = self._ray.remote(max_calls=0, max_retries=0)(function)
        memory = {"memory": int(request.memory * _GIB)} if request.memory else {}
        return remote.options(num_cpus=request.cpus, num_gpus=request.gpus, name=name, **memory).remote(argument)

    def wait_for_tasks(self, tasks: Sequence[Any], timeout: float) -> list[Any]:
        """Wait until a task has ended for any reason, at most `timeout` seconds; return all that have ended."""
        if not tasks:
            time.sleep(timeout)  # Ray refuses to wait for no tasks
            return []
        ended, pending = self._ray.wait(list(tasks), num_returns=1, timeout=timeout)
        if ended and pending:
            # The first call returns one task, even if several have ended.
            also_ended, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
            ended += also_ended
        return list(ended)

    def get_result(self, task: Any) -> tuple[TaskResult, bool]:
        """Return the result of an ended task, and whether the task was lost.

        A lost task has returned no result, for example because its process or node died. Its result here is made from
        the exception that Ray raises instead.
        """
        try:
            result: TaskResult = self._ray.get(task)
            return result, False
        except Exception as error:
            return explain_lost_task(error, self._ray.exceptions, self._has_one_node), True

    def cancel(self, tasks: Sequence[Any], force: bool) -> None:
        """Ask tasks to end by themselves; with `force`, kill their processes."""
        for task in tasks:
            with suppress(Exception):  # the task has ended, or its node is gone
                self._ray.cancel(task, force=force)

    def _list_node_resources(self) -> list[dict[str, float]]:
        """Return the total resources of each living node; the list may be `_LIST_SECONDS` old."""
        now = time.monotonic()
        if now - self._listed_at >= _LIST_SECONDS:
            with suppress(self._ray.exceptions.RayError):  # the previous list is kept
                self._nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
                self._listed_at = now
        return self._nodes


def explain_lost_task(error: Exception, ray_exceptions: Any, has_one_node: bool = False) -> TaskResult:
    """Return the outcome of a run whose task was lost, from the exception that Ray raised.

    Args:
        error: The exception.
        ray_exceptions: The module `ray.exceptions`, which cannot be imported at the top of this file.
        has_one_node: True if Ray runs on this machine alone; without its node, it can start no further run.
    """
    message = (str(error).strip().splitlines() or [""])[0]
    match error:
        case ray_exceptions.TaskCancelledError():
            return TaskResult("interrupted", "it was canceled")
        case ray_exceptions.NodeDiedError() | ray_exceptions.LocalRayletDiedError() if has_one_node:
            return TaskResult("unstartable", "Ray has ended on this machine, killed or out of memory")
        case ray_exceptions.NodeDiedError() | ray_exceptions.LocalRayletDiedError():
            return TaskResult("interrupted", "its node was lost")
        case ray_exceptions.OutOfMemoryError():
            return TaskResult("killed", "Ray ended its worker, because its node ran out of memory")
        case ray_exceptions.WorkerCrashedError():
            return TaskResult("died", "its worker on the cluster died")
        case ray_exceptions.ObjectLostError():
            return TaskResult("interrupted", "its result was lost with its node")
        case ray_exceptions.RayTaskError():  # the function itself raised `cause`
            cause = error.cause
            return TaskResult("failed", f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}")
        case _:
            return TaskResult("failed", f"{type(error).__name__}: {message}")


def _count_fitting_runs(node: dict[str, float], request: ResourceRequest) -> int:
    """Return the number of runs that an empty node can hold at once; its scarcest resource decides."""
    limits = [int(node.get("CPU", 0.0) // request.cpus)]
    if request.gpus:
        # A run cannot be divided between GPUs: with 0.4 each, two runs fit on a GPU, and four on two GPUs, not five.
        # 1e-6 corrects for fractions that binary numbers cannot represent.
        runs_per_gpu = int(1 / request.gpus + 1e-6)
        limits.append(int(node.get("GPU", 0.0)) * runs_per_gpu)
    if request.memory:
        limits.append(int(node.get("memory", 0.0) // (request.memory * _GIB)))
    return min(limits)


def _check_reachable(address: str) -> None:
    """Check that a server accepts connections at an address host:port; other addresses, such as `auto`, pass.

    Raises:
        OSError: No server does, or the host does not exist.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()


def _import_ray() -> Any:
    """Return the module ray.

    Raises:
        ConfigError: It is not installed.
    """
    # Ray reads this variable when it is imported. 0 keeps CUDA_VISIBLE_DEVICES in tasks that request no GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError("executor=ray needs the package ray: pip install usaggr[ray]") from error
    return ray


def _make_job_config(ray: Any) -> Any:
    """Return a description of the job whose workers search for modules only where this process does.

    Ray adds the current folder to the folders in which workers search. It has no setting for that, so the folder is
    removed when Ray sends the description to the cluster.
    """

    class JobConfig(ray.job_config.JobConfig):  # type: ignore[misc]
        _py_driver_sys_path: list[str]

        def _serialize(self) -> Any:
            searched = {os.path.realpath(folder) for folder in list_search_folders()}
            added = self._py_driver_sys_path
            self._py_driver_sys_path = [folder for folder in added if os.path.realpath(folder) in searched]
            return super()._serialize()

    return JobConfig()


def _silence_node_messages(ray: Any) -> None:
    """Replace the function by which Ray prints messages of its node processes, such as their state when one dies."""
    # Ray has no setting for this, so a private function is replaced, if this version of Ray has it.
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *arguments, **named: None


@contextmanager
def _keep_signals() -> Iterator[None]:
    """Restore this process's signal handlers, which Ray replaces, and keep Ctrl-C from the processes that Ray starts.

    Only the main thread can set handlers; in another thread, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Processes that start while SIGINT is blocked inherit the blocking.
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
