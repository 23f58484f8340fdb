"""Worker processes from multiprocessing's fork server, which has imported torch and other packages in advance.

A process forked from the server has these imports already, so that it starts within milliseconds. The server itself
runs no torch operation and does not touch a GPU; both would break the processes that are forked from it afterwards.

If the server was killed, another one is started for the next process. The processes of the killed server are killed
then, because only their server could report how they end.
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

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
"""Environment variables with the number of threads of a library, which reads its variable once, when it is loaded.

They must therefore be set before the server starts."""
_TOKEN_VARIABLE = "USAGGR_SERVER"
"""Environment variable with a random token. A server passes it on to the processes that it forks.

By the token, this process recognizes them among all processes of the machine."""
_START_ATTEMPTS = 3
"""Number of attempts to start a process; an attempt fails if the server is killed meanwhile."""
_RESTART_SECONDS = 0.2
"""Seconds between two attempts."""
_ORPHAN_SECONDS = 10.0
"""Longest wait for the end of killed processes, in seconds."""

_server_lock = threading.RLock()
"""Held while environment, main module and server are changed, because each slot starts its processes in a thread."""
_variables: dict[str, str] = {}
"""Environment variables of the current server."""
_tokens: list[str] = []
"""Values of `_TOKEN_VARIABLE` of all servers that this process has started; the last one is the current server's."""
_started_ahead: tuple[tuple[str, ...], int] | None = None
"""Imports and threads of a server that was started ahead of its use; None if there is none, or it is in use."""


class _WorkerProcess(ForkServerProcess):
    """A process that does not execute the caller's script or notebook again; it imports its target function by name.

    multiprocessing would execute the main script in each worker: the console script would import the whole command
    line there, and a user's script without a main guard would start further sweeps.
    """

    def start(self) -> None:
        """Start the process; if the server was killed meanwhile, try again with another one.

        Raises:
            ServerError: The server was killed at each attempt.
        """
        for _ in range(_START_ATTEMPTS):
            try:
                with _prepare_server(), _hide_main_module():
                    super().start()
                return
            except (EOFError, ConnectionError) as error:
                failure = error  # Python deletes `error` at the end of the block
                # A dying server counts as alive for a moment, during which no other one would be started.
                time.sleep(_RESTART_SECONDS)
        raise ServerError(
            "worker processes cannot be started: the server that starts them was killed or ran out of memory; free "
            "memory, then run the same command to continue"
        ) from failure


class WorkerContext(ForkServerContext):
    """A multiprocessing context whose processes come from the server with the heavy imports."""

    Process = _WorkerProcess

    def RLock(self) -> RLock:  # noqa: N802 - the name that pebble calls
        """Return a reentrant lock that several processes share.

        Raises:
            RunError: It cannot be created, because /dev/shm is full or not writable.
        """
        try:
            return super().RLock()
        except OSError as error:
            raise RunError(explain_system_limit(error) or explain_semaphores(error)) from error


class ServerError(RunError, OSError):
    """A process could not be started, because its server was killed at each attempt.

    It is an OSError, too, because process pools expect one if a process cannot be started.
    """


def start_server(preload: Sequence[str], threads: int, *, ahead: bool = False) -> WorkerContext:
    """Start the server, and return a context whose processes come from it.

    There is one server at a time. The server of an earlier call forks no new processes from then on, and exits after
    the last of its processes. If it was started ahead with the same imports and threads, it stays and is used.

    Args:
        preload: Modules that the server imports.
        threads: Number of threads that each library may use in a process.
        ahead: Start the server before it is needed, for the next call with the same imports and threads.
    """
    global _started_ahead, _variables
    requested = (tuple(preload), threads)
    is_started = _started_ahead == requested
    _started_ahead = requested if ahead else None
    if not is_started:
        stop_server(patience=0.0)
        _tokens.append(secrets.token_hex(8))
    variables = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    # Makes torch look for a GPU without initializing CUDA, which would not survive a fork.
    variables["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # The server searches for modules in the same folders as this process.
    variables["PYTHONPATH"] = os.pathsep.join(list_search_folders())
    variables[_TOKEN_VARIABLE] = _tokens[-1]
    _variables = variables
    forkserver.set_forkserver_preload(list(preload))
    with _prepare_server():
        pass  # starts the server; no process is started yet
    return WorkerContext()


def is_own_process(pid: int) -> bool | None:
    """Return whether a server of this process has forked a process.

    Returns:
        None if the process is ending, so that its environment cannot be read any more.
    """
    try:
        environment = psutil.Process(pid).environ()
    except psutil.AccessDenied:  # it belongs to another user
        return False
    except (psutil.Error, OSError):
        return None
    # A killed process has lost its memory, and with it its environment, before its locks are released.
    return environment.get(_TOKEN_VARIABLE) in _tokens if environment else None


def _read_token(pid: int) -> str | None:
    """Return the token in the environment of a process; None if it has none, has ended or belongs to another user."""
    try:
        return psutil.Process(pid).environ().get(_TOKEN_VARIABLE)
    except (psutil.Error, OSError):
        return None


def stop_server(patience: float = 2.0) -> None:
    """Make the server exit, if one is running, and wait for its end.

    It exits after the last process that it has forked. If processes of another pool keep it alive for longer than
    `patience` seconds, this function returns, and the server exits later by itself.
    """
    # multiprocessing has no public way to do this, and its private `_stop` waits without limit.
    server: Any = forkserver._forkserver
    with server._lock:
        pid, address = server._forkserver_pid, server._forkserver_address
        if pid is None:
            return
        os.close(server._forkserver_alive_fd)  # the server exits when this end of its pipe is closed
        server._forkserver_pid = server._forkserver_alive_fd = server._forkserver_address = None
    if not util.is_abstract_socket_namespace(address):
        Path(address).unlink(missing_ok=True)
    end = time.monotonic() + patience
    with suppress(ChildProcessError, psutil.NoSuchProcess):  # other code has already collected its exit status
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
            if not psutil.Process(pid).children():
                # Nothing is lost, and the libraries' regular exit would take seconds.
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)


def end_orphans() -> None:
    """Kill the processes of killed servers at the end of a pool, before its semaphores are removed.

    Without the semaphores, these processes could not continue. Earlier, this is not needed: `_prepare_server` kills
    them when it starts another server.
    """
    _kill_and_wait(process for process in psutil.process_iter() if _is_orphan(process))


def _is_orphan(process: psutil.Process) -> bool:
    """Return whether a server of this process has forked a process and was killed since.

    Servers have the token, too, but their parent is this process. A process of a running server has a parent with the
    token. The system gives a process another parent, such as init, when its server is killed.
    """
    if _read_token(process.pid) not in _tokens:
        return False
    try:
        parent = process.ppid()
    except psutil.Error:
        return False
    return parent != os.getpid() and _read_token(parent) not in _tokens


@contextmanager
def _prepare_server() -> Iterator[None]:
    """Start the server if it does not run, and keep its environment variables set within the context.

    multiprocessing starts a dead server again by itself, whenever it starts a process, with the environment of that
    moment. Processes must therefore be started within this context.
    """
    with _server_lock, SafeSearch(_variables):
        with _block_signals(signal.SIGHUP):
            # Start the resource tracker before SIGINT and SIGTERM are blocked, because starting it unblocks them.
            # Otherwise `forkserver.ensure_running` would start it.
            resource_tracker.ensure_running()
            server: Any = forkserver._forkserver
            if _has_lost_socket(server._forkserver_address):
                stop_server(patience=0.0)
            use_short_socket_folder()
            previous_pid = server._forkserver_pid
            with _block_signals(signal.SIGINT, signal.SIGTERM):
                forkserver.ensure_running()
            was_killed = previous_pid is not None and server._forkserver_pid != previous_pid
            if was_killed:
                # The new server and the resource tracker have the token of the killed server, too.
                tracker: Any = resource_tracker._resource_tracker
                _kill_forked_processes({os.getpid(), server._forkserver_pid, tracker._pid})
        yield


def _has_lost_socket(address: str | None) -> bool:
    """Return whether the server's socket was removed, for example with the temporary folder.

    Such a server receives no further requests for processes, but those that it has forked still work.
    """
    return address is not None and not util.is_abstract_socket_namespace(address) and not Path(address).exists()


def _kill_forked_processes(excluded: Collection[int]) -> None:
    """Kill the processes with the current token, except those with the given process ids."""
    _kill_and_wait(
        process
        for process in psutil.process_iter()
        if process.pid not in excluded and _read_token(process.pid) == _tokens[-1]
    )


def _kill_and_wait(processes: Iterable[psutil.Process]) -> None:
    """Kill processes, and wait up to `_ORPHAN_SECONDS` until they have ended and released their locks and GPUs."""
    killed = []
    for process in processes:
        killed.append(process)
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(killed, timeout=_ORPHAN_SECONDS)


@contextmanager
def _block_signals(*signals: signal.Signals) -> Iterator[None]:
    """Block signals within the context, in this thread and for good in the processes that it starts.

    Ctrl-C, SIGTERM and the SIGHUP of a closed terminal reach the whole process group. If the server died of one of
    them, nothing would report how its workers end. Workers unblock SIGTERM for themselves, and the sweep stops them at
    a SIGHUP. This thread receives the blocked signals when the context ends.
    """
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


@contextmanager
def _hide_main_module() -> Iterator[None]:
    """Replace `__main__` by an empty module, so that multiprocessing passes no script on to the new process."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
