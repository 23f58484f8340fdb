"""Fresh processes that have the heavy imports behind them: a server that imported them forks one in milliseconds.

The server runs no torch operation and does not touch a GPU, so that what is forked from it may do both.
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
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

_THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
"""Read by the libraries when they are loaded, which is in the server: setting threads later comes too late for BLAS."""


class _WorkerProcess(ForkServerProcess):
    """A process that does not import the caller's script or notebook: what it runs is imported by name.

    Without this each worker would execute the main script anew (the console script with all of the command line; a
    user's script without a main guard would start sweeps in workers).
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802
        with _main_hidden():
            return ForkServerProcess._Popen(process_obj)


class WorkerContext(ForkServerContext):
    """A multiprocessing context whose processes come from the server with the heavy imports."""

    Process = _WorkerProcess


_waiting: tuple[tuple[str, ...], int] | None = None
"""Imports and threads of the server that runs, if it waits for the next who asks for the same."""


def start_server(preload: Sequence[str], threads: int, *, ahead: bool = False) -> WorkerContext:
    """Start a server that imports the modules, with `threads` threads for its processes' libraries.

    A server that runs already (of another pool, with other imports and threads) takes no new processes from then on.
    One that was started `ahead`, with the same imports and threads, is taken over by the next who asks.
    """
    global _waiting
    asked = (tuple(preload), threads)
    waits, _waiting = _waiting, asked if ahead else None
    if waits == asked and _runs():
        return WorkerContext()
    stop_server(patience=0.0)
    variables = dict.fromkeys(_THREADS, str(threads))
    # Whether there is a GPU is asked without waking CUDA, which would not survive a fork.
    variables["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # The server looks for modules where this process does.
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    forkserver.set_forkserver_preload(list(preload))
    # First the tracker that it wants beside it: starting that one would let interrupts through again.
    resource_tracker.ensure_running()
    with _environment(variables), _without_interrupts():
        forkserver.ensure_running()
    return WorkerContext()


def stop_server(patience: float = 2.0) -> None:
    """End the server, if one runs; it leaves when the last process that came from it has.

    Where processes of another pool keep it alive for longer than `patience` seconds, it is left to leave by itself.
    """
    # multiprocessing's own way (_stop) is the same, but waits for ever.
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
    with suppress(ChildProcessError, psutil.NoSuchProcess):  # somebody else has seen it leave
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
            if not psutil.Process(pid).children():
                os.kill(pid, signal.SIGKILL)  # taking all its libraries down in order takes seconds
            time.sleep(0.005)


def _runs() -> bool:
    pid: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    with suppress(psutil.NoSuchProcess):
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here never sees Ctrl-C and SIGTERM, which come to a whole group; this process sees them later.

    Without the server nobody would be told how its workers end, which listen to SIGTERM for themselves.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_hiding = threading.Lock()


@contextmanager
def _main_hidden() -> Iterator[None]:
    with _hiding:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
