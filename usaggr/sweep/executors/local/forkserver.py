"""New processes that need no imports: a server that has imported torch and other packages forks them in milliseconds.

The server runs no torch operation and does not touch a GPU, so that the processes forked from it may do both.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import RLock
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from usaggr.errors import RunError
from usaggr.io.system_limits import explain_semaphores, explain_system_limit
from usaggr.sweep.executors.local.socket_folder import use_short_socket_folder

_THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
"""Variables that libraries read once when they are loaded, so they must be set before the server starts."""


class _WorkerProcess(ForkServerProcess):
    """A process that does not import the caller's script or notebook; what it runs is imported by name.

    Otherwise each worker would execute the main script again: the console script with all of the command line, and a
    user's script without a main guard would start sweeps in workers.
    """

    def start(self) -> None:
        """Start the process."""
        with _hide_main_module():
            super().start()


class WorkerContext(ForkServerContext):
    """A multiprocessing context whose processes come from the server with the heavy imports."""

    Process = _WorkerProcess

    def RLock(self) -> RLock:  # noqa: N802 - the name that pebble calls
        """Return a lock of several processes.

        Raises:
            RunError: It cannot be created, because /dev/shm is full or not writable.
        """
        try:
            return super().RLock()
        except OSError as error:
            raise RunError(explain_system_limit(error) or explain_semaphores(error)) from error


_prepared: tuple[tuple[str, ...], int] | None = None
"""Imports and threads of a server that was started ahead, until a later call takes it over."""


def start_server(preload: Sequence[str], threads: int, *, ahead: bool = False) -> WorkerContext:
    """Start the server, and return a context whose processes come from it.

    A server that is already running, of another pool, forks no new processes from then on.

    Args:
        preload: Modules that the server imports.
        threads: Threads of each process's libraries.
        ahead: Start the server for a later call with the same imports and threads, which takes it over.
    """
    global _prepared
    requested = (tuple(preload), threads)
    prepared, _prepared = _prepared, requested if ahead else None
    if prepared != requested:
        stop_server(patience=0.0)
    variables = dict.fromkeys(_THREADS, str(threads))
    # Makes torch look for a GPU without initializing CUDA, which would not survive a fork.
    variables["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # The server searches for modules in the same folders as this process.
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    forkserver.set_forkserver_preload(list(preload))
    use_short_socket_folder()
    # The resource tracker first: the server would start it, and starting it unblocks the signals blocked below.
    resource_tracker.ensure_running()
    with _set_environment(variables), _block_interrupts():
        forkserver.ensure_running()
    return WorkerContext()


def stop_server(patience: float = 2.0) -> None:
    """End the server, if one is running; it exits after the last process that it forked.

    If processes of another pool keep it alive for longer than `patience` seconds, it is left to exit by itself.
    """
    # multiprocessing has no public way to do this, and its private `_stop` waits without limit.
    server: Any = forkserver._forkserver
    with server._lock:
        pid, address = server._forkserver_pid, server._forkserver_address
        if pid is None:
            return
        os.close(server._forkserver_alive_fd)
        server._forkserver_pid = server._forkserver_alive_fd = server._forkserver_address = None
    if not util.is_abstract_socket_namespace(address):
        Path(address).unlink(missing_ok=True)
    end = time.monotonic() + patience
    with suppress(ChildProcessError, psutil.NoSuchProcess):  # other code has waited for it already
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
            if not psutil.Process(pid).children():
                os.kill(pid, signal.SIGKILL)  # a regular exit of all its libraries takes seconds
            time.sleep(0.005)


@contextmanager
def _set_environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables within the context, and restore their earlier values after it."""
    previous = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _block_interrupts() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM in processes started here; this process receives them when the context ends.

    Both signals reach the whole process group. If the server died of one, nothing would report how its workers end;
    workers unblock SIGTERM for themselves.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


_main_lock = threading.Lock()
"""Without it, a thread could restore the empty module of another thread that starts a process at the same time."""


@contextmanager
def _hide_main_module() -> Iterator[None]:
    """Replace `__main__` by an empty module, so that multiprocessing passes no script on to the new process."""
    with _main_lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
