"""Ray itself: a cluster to which tasks are given, what its nodes have, and how it says that something was lost.

The package is imported here, when a sweep starts, and nowhere else.
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
from usaggr.sweep.execution.jobs import Alone
from usaggr.sweep.executors.local.placement import usable_cores
from usaggr.sweep.executors.ray.task import Returned

_LOOK_SECONDS = 2.0
"""How often the cluster is asked which nodes it has."""
_REACH_SECONDS = 10.0
"""For a connection to a cluster's address, before Ray tries it over and over for five minutes."""
_GIB = 1024**3


@dataclass(frozen=True)
class Need:
    """What a run takes of its node."""

    cpus: int
    gpus: float
    memory: float | None
    """GiB; None: not counted."""

    def __str__(self) -> str:
        memory = f", {self.memory:g} GiB" if self.memory else ""
        return f"{self.cpus} cores, {self.gpus:g} GPUs{memory}"


class Cluster:
    """A connection to a Ray cluster, or one started on this machine that ends with it."""

    def __init__(self, address: str | None) -> None:
        """Connect or start.

        Raises:
            ConfigError: Ray is not installed, or the cluster cannot be reached or is of another version.
        """
        with _own_signals():
            self._ray = _imported()
            self._own = not self._ray.is_initialized()
            if self._own:
                _silence(self._ray)
                self._connect(address)
        self._looked = -math.inf
        self._nodes: list[dict[str, float]] = []

    def _connect(self, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if address is None:
            options |= {"num_cpus": usable_cores(), "include_dashboard": False}
        try:
            if address is not None:
                _reach(address)
            self._ray.init(address=address or "local", **options)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if address is None:
                raise ConfigError(f"executor=ray: Ray cannot be started on this machine: {reason}") from error
            raise ConfigError(
                f"executor.address={address}: {reason}; `ray status` on a node says whether the cluster is up, and "
                "executor.address=null starts one on this machine"
            ) from error

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._own and self._ray.is_initialized():
            with _own_signals():
                self._ray.shutdown()

    def room(self, need: Need) -> int:
        """Runs that the nodes which are there now can have at once, were nothing else on them."""
        return sum(_room(node, need) for node in self._resources())

    def largest(self) -> str:
        """The most that a node has, kind by kind, for messages."""
        nodes = self._resources()
        cpus, gpus, memory = (max((node.get(k, 0.0) for node in nodes), default=0) for k in ("CPU", "GPU", "memory"))
        return f"{cpus:g} cores, {gpus:g} GPUs, {memory / _GIB:.1f} GiB"

    def alone(self, need: Need, where: Alone) -> Need:
        """What a run asks for that is to have its GPU, or its whole node, for itself."""
        if where == "device" and need.gpus:
            return replace(need, gpus=math.ceil(need.gpus))
        fitting = [node["CPU"] for node in self._resources() if _room(node, need)]
        return replace(need, cpus=max(need.cpus, int(max(fitting, default=0))), gpus=math.ceil(need.gpus))

    def start(self, function: Callable[[Any], Returned], argument: Any, need: Need, name: str) -> Any:
        """Give a task to the cluster; a reference to what it will return."""
        # max_calls=0: Ray would end a process with a GPU after each run, and each run would pay the imports.
        remote = self._ray.remote(max_calls=0, max_retries=0)(function)
        memory = {"memory": int(need.memory * _GIB)} if need.memory else {}
        return remote.options(num_cpus=need.cpus, num_gpus=need.gpus, name=name, **memory).remote(argument)

    def ready(self, tasks: Sequence[Any], timeout: float) -> list[Any]:
        """Those that have ended, one way or another; waits for one, `timeout` seconds at the most."""
        if not tasks:
            time.sleep(timeout)
            return []
        found, rest = self._ray.wait(list(tasks), num_returns=1, timeout=timeout)
        if found and rest:
            more, _ = self._ray.wait(rest, num_returns=len(rest), timeout=0)
            found += more
        return list(found)

    def result(self, task: Any) -> tuple[Returned, bool]:
        """What a task returned, and whether its process was lost with it."""
        try:
            returned: Returned = self._ray.get(task)
            return returned, False
        except Exception as error:
            return of_error(error, self._ray.exceptions)

    def cancel(self, tasks: Sequence[Any], force: bool) -> None:
        """Ask tasks to end, or end their processes by `force`."""
        for task in tasks:
            with suppress(Exception):  # it has ended, or its node is gone
                self._ray.cancel(task, force=force)

    def _resources(self) -> list[dict[str, float]]:
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            with suppress(self._ray.exceptions.RayError):
                self._nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
                self._looked = now
        return self._nodes


def of_error(error: Exception, known: Any) -> tuple[Returned, bool]:
    """What an exception of Ray's (`known` is its module of them) says of a run; whether its process is lost."""
    said = (str(error).strip().splitlines() or [""])[0]
    match error:
        case known.TaskCancelledError():
            return Returned("interrupted", "it was cancelled"), True
        case known.NodeDiedError() | known.LocalRayletDiedError():
            return Returned("interrupted", "its node was lost"), True
        case known.OutOfMemoryError():
            return Returned("killed", "its worker was ended by Ray, for want of memory on its node"), True
        case known.WorkerCrashedError():
            return Returned("died", "its worker on the cluster died"), True
        case known.ObjectLostError():
            return Returned("interrupted", "what it returned was lost with its node"), True
        case known.RayTaskError():
            cause = error.cause
            return Returned("failed", f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}"), True
        case _:
            return Returned("failed", f"{type(error).__name__}: {said}"), True


def _room(node: dict[str, float], need: Need) -> int:
    rooms = [int(node.get("CPU", 0.0) // need.cpus)]
    if need.gpus:
        # A share is of one GPU: three thirds fit, and what is left over of each is of no use.
        shares = int(1 / need.gpus + 1e-6)
        rooms.append(int(node.get("GPU", 0.0)) * shares)
    if need.memory:
        rooms.append(int(node.get("memory", 0.0) // (need.memory * _GIB)))
    return min(rooms)


def _reach(address: str) -> None:
    """See that something listens at host:port; names such as `auto` are Ray's own matter.

    Raises:
        OSError: nothing does, or there is no such host.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS).close()


def _imported() -> Any:
    # Read when Ray is loaded.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError("executor=ray needs the package ray: pip install usaggr[ray]") from error
    return ray


def _silence(ray: Any) -> None:
    """Keep pages of a raylet's state off the terminal, which Ray prints when one dies and has no setting for."""
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *arguments, **named: None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's ways with signals, which Ray would change, and Ctrl-C from the processes that it starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
