"""New processes that need no imports: a server that has imported torch and other packages forks them in milliseconds.

The server runs no torch operation and does not touch a GPU, so that the processes forked from it may do both.

A server that was killed is started again for the next process. The processes that it had forked are ended then, since
nothing would report how they end.
"""

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
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
from usaggr.safe_path import SafeSearch, list_search_folders
from usaggr.sweep.executors.local.socket_folder import use_short_socket_folder

_THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
"""Variables that libraries read once when they are loaded, so they must be set before the server starts."""
_TOKEN_VARIABLE = "USAGGR_SERVER"
"""Environment variable with a random text, by which a process recognizes those that its servers have forked."""
_START_ATTEMPTS = 3
"""Number of times that a process is started if its server is killed each time."""
_RESTART_SECONDS = 0.2
"""Seconds until a process is started again after its server has died."""
_ORPHAN_SECONDS = 10.0
"""Longest wait for the end of killed processes."""
_server_lock = threading.RLock()
"""Held while environment, main module and server are changed, because each slot starts its processes in a thread."""


class _WorkerProcess(ForkServerProcess):
    """A process that does not import the caller's script or notebook; what it runs is imported by name.

    Otherwise each worker would execute the main script again: the console script with all of the command line, and a
    user's script without a main guard would start sweeps in workers.
    """

    def start(self) -> None:
        """Start the process; if the server was killed meanwhile, try again with another one.

        Raises:
            ServerError: The server dies each time.
        """
        for _ in range(_START_ATTEMPTS):
            try:
                with _prepare_server(), _hide_main_module():
                    super().start()
                return
            except (EOFError, ConnectionError) as error:
                failure = error
                time.sleep(_RESTART_SECONDS)  # a dying server still counts as alive for a moment
        raise ServerError(
            "worker processes cannot be started: the server that starts them was killed or ran out of memory; free "
            "memory, then run the same command to continue"
        ) from failure


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


class ServerError(RunError, OSError):
    """The server of worker processes dies each time that it is started; an OSError, which process pools expect."""


_variables: dict[str, str] = {}
"""Environment variables of the server."""
_tokens: list[str] = []
"""Values of `_TOKEN_VARIABLE` of all servers that this process has started; the last one is that of the current one."""
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
    global _prepared, _variables
    requested = (tuple(preload), threads)
    prepared, _prepared = _prepared, requested if ahead else None
    if prepared != requested:
        stop_server(patience=0.0)
        _tokens.append(secrets.token_hex(8))
    variables = dict.fromkeys(_THREADS, str(threads))
    # Makes torch look for a GPU without initializing CUDA, which would not survive a fork.
    variables["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # The server searches for modules in the same folders as this process.
    variables["PYTHONPATH"] = os.pathsep.join(list_search_folders())
    variables[_TOKEN_VARIABLE] = _tokens[-1]
    _variables = variables
    forkserver.set_forkserver_preload(list(preload))
    with _prepare_server():
        pass
    return WorkerContext()


def is_own_process(pid: int) -> bool | None:
    """Return whether a process was forked by a server of this process; None if it is just ending."""
    try:
        environment = psutil.Process(pid).environ()
    except psutil.AccessDenied:  # it belongs to another user
        return False
    except (psutil.Error, OSError):
        return None
    # A killed process has lost its memory, and with it its environment, before its locks are released.
    return environment.get(_TOKEN_VARIABLE) in _tokens if environment else None


def _read_token(pid: int) -> str | None:
    try:
        return psutil.Process(pid).environ().get(_TOKEN_VARIABLE)
    except (psutil.Error, OSError):  # it has ended, or belongs to another user
        return None


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


def end_orphans() -> None:
    """Kill the processes that killed servers have forked, and that would lack the semaphores of their pool from now on.

    While a server runs, this is not needed: `_prepare_server` does it when it starts another one.
    """
    _kill_and_wait(process for process in psutil.process_iter() if _is_orphan(process))


def _is_orphan(process: psutil.Process) -> bool:
    if _read_token(process.pid) not in _tokens:
        return False
    try:
        parent = process.ppid()
    except psutil.Error:
        return False
    return parent != os.getpid() and _read_token(parent) not in _tokens


@contextmanager
def _prepare_server() -> Iterator[None]:
    """Start the server if it does not run, and keep its environment within the context.

    multiprocessing starts a dead server again by itself, at any call, with the environment of that moment.
    """
    with _server_lock, SafeSearch(_variables):
        with _block_signals(signal.SIGHUP):
            # The resource tracker first: the server would start it, and starting it unblocks SIGINT and SIGTERM.
            resource_tracker.ensure_running()
            server: Any = forkserver._forkserver
            if _has_lost_socket(server._forkserver_address):
                stop_server(patience=0.0)
            use_short_socket_folder()
            previous = server._forkserver_pid
            with _block_signals(signal.SIGINT, signal.SIGTERM):
                forkserver.ensure_running()
            if previous is not None and server._forkserver_pid != previous:
                tracker: Any = resource_tracker._resource_tracker
                _end_orphans({os.getpid(), server._forkserver_pid, tracker._pid})
        yield


def _has_lost_socket(address: str | None) -> bool:
    """Return whether the socket of the server was removed, with the temporary folder; its processes still work."""
    return address is not None and not util.is_abstract_socket_namespace(address) and not Path(address).exists()


def _end_orphans(excluded: Collection[int]) -> None:
    """Kill the processes that a killed server has forked, and spare those with the given process ids."""
    _kill_and_wait(
        process
        for process in psutil.process_iter()
        if process.pid not in excluded and _read_token(process.pid) == _tokens[-1]
    )


def _kill_and_wait(processes: Iterable[psutil.Process]) -> None:
    killed = []
    for process in processes:
        killed.append(process)
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(killed, timeout=_ORPHAN_SECONDS)


@contextmanager
def _block_signals(*signals: signal.Signals) -> Iterator[None]:
    """Block signals in processes started here; this process receives them when the context ends.

    Ctrl-C, SIGTERM and the SIGHUP of a closed terminal reach the whole process group. If the server died of one,
    nothing would report how its workers end. Workers unblock SIGTERM for themselves; the sweep stops them at a SIGHUP.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


@contextmanager
def _hide_main_module() -> Iterator[None]:
    """Replace `__main__` by an empty module, so that multiprocessing passes no script on to the new process."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
