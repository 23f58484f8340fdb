"""What happens in a worker process: a run is claimed, logged, executed, and its failure written down.

The process ends when the one that started it does, so that no orphan trains on.
"""

import contextlib
import faulthandler
import gc
import importlib
import multiprocessing
import multiprocessing.connection
import os
import platform
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from usaggr import stopping
from usaggr.errors import RunError, UsaggrError, WriteError
from usaggr.io.atomic_files import cannot_write, is_disk_full
from usaggr.results import contract
from usaggr.results.run_directory import HEARTBEAT_SECONDS, RunDirectory
from usaggr.results.run_settings import stored_fingerprint
from usaggr.results.spec import Placement
from usaggr.results.versions import check_yaml
from usaggr.stopping import RunInterrupted
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Job, Outcome

SPOILT = 71
"""Exit status of a worker that ends after a failed run: what that left in the process must not touch the next run."""
NO_MEMORY = 72
"""The same where memory was out; it is given back that way."""


def run_in_worker(job: Job, placement: Placement, target: str = EXECUTE_RUN, renew: bool = True) -> tuple[Outcome, str]:
    """Execute a job in this process; how it ended, and why in one line.

    `renew`: this process ends after the job anyway. Else it ends itself after a failure, with the status SPOILT or
    NO_MEMORY.
    """
    stopping.forget()
    if placement.device is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a run that was given no GPU takes none
    _limit_threads(placement.threads)
    run = RunDirectory(job.directory)
    try:
        with _stoppable(), run.claim(job.attempt) as mine:
            if not mine:
                return ("done" if run.result_path.exists() else "elsewhere"), ""
            with _output_to(run.log_path):
                outcome, message = _execute(job, run, placement, target)
    except OSError as error:  # of its claim or its log: nothing has begun
        return _unwritten(run, error)
    if outcome in ("failed", "memory") and not renew and run.state() == "failed":
        os._exit(NO_MEMORY if outcome == "memory" else SPOILT)
    if placement.device is not None and not renew:
        _give_memory_back()
    return outcome, message


def load(target: str) -> Callable[..., None]:
    """The function that `module:function` names."""
    module, _, name = target.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


def end_with_parent() -> None:
    """From now on, end this process as soon as the one that started it is gone, however it went; hear SIGTERM again."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent: this process was not started by multiprocessing")
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # what the server does not hear, see there


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that memory was out: of a GPU, or of the machine."""
    cause = error.__cause__ or error.__context__
    # By name and words, so that nothing here imports torch; its errors are RuntimeErrors with these words.
    said = str(error) if isinstance(error, RuntimeError) else ""
    here = isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said
    return here or (cause is not None and is_out_of_memory(cause))


def _limit_threads(threads: int) -> None:
    """Of the libraries that the server has loaded; it has set those of OpenMP and BLAS, which are read on loading."""
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    if torch is not None:
        torch.set_num_threads(threads)
        with contextlib.suppress(RuntimeError):  # can be set once only: a worker that is kept has it from its first run
            torch.set_num_interop_threads(threads)
    if cv2 is not None:
        cv2.setNumThreads(threads)


def _give_memory_back() -> None:
    """Leave a GPU's memory, which torch keeps for its next use, to the runs beside this worker."""
    torch = sys.modules.get("torch")
    if torch is not None:
        gc.collect()
        torch.cuda.empty_cache()


def _execute(job: Job, run: RunDirectory, placement: Placement, target: str) -> tuple[Outcome, str]:
    """How the run ended, and why it is not done in one line."""
    host, now = socket.gethostname(), time.strftime("%Y-%m-%d %H:%M:%S")
    try:
        print(f"--- attempt {job.attempt}, {now}, {host}, pid {os.getpid()}")
        stored = stored_fingerprint(run.path)
        if stored not in (None, job.spec.fingerprint):
            raise RunError(f"{run.path} holds another run (fingerprint {stored}); move it away")
        check_yaml(run.path / contract.RUN_SETTINGS)
        run.clear()
        run.write_spec(job.spec, **job.provenance, **_where(job, placement))
        execute = load(target)
        with _beating(run):
            execute(job.spec, run.path, job.study, placement, job.data)
        if not run.result_path.exists():
            raise RunError("the run ended without a result")
    except RunInterrupted as stop:
        with contextlib.suppress(OSError):  # a claim that is not given back is stale, which is the same
            print(stop)
            run.give_back(job.attempt)
        return "interrupted", str(stop)
    except BaseException as error:  # whatever it is, it is this run's failure and no other's
        with contextlib.suppress(OSError):
            traceback.print_exc()
        if is_disk_full(error):
            return _unwritten(run, error, job.attempt)
        reason = str(error) if isinstance(error, UsaggrError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(WriteError):
            run.fail(f"{reason.strip()}\n\n{traceback.format_exc()}", job.attempt)
        outcome: Outcome = "memory" if is_out_of_memory(error) else "failed"
        return outcome, (reason.strip().splitlines() or [type(error).__name__])[0]
    return "done", ""


def _unwritten(run: RunDirectory, error: BaseException, attempt: int | None = None) -> tuple[Outcome, str]:
    """How a run ended that could not write a file; where a disk is full, its claim (`attempt`) is given back."""
    if attempt is not None:
        with contextlib.suppress(WriteError):
            run.give_back(attempt)
    message = str(error if isinstance(error, WriteError) else cannot_write(run.path, error))
    return ("full" if is_disk_full(error) else "failed"), message


def _where(job: Job, placement: Placement) -> dict[str, Any]:
    device: str = job.study.training.accelerator
    if placement.device is not None:
        import torch

        device = torch.cuda.get_device_name(placement.device)
    elif device == "auto":
        device = "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"
    return {"host": socket.gethostname(), "device": device, "threads": placement.threads}


@contextlib.contextmanager
def _beating(run: RunDirectory) -> Iterator[None]:
    """Say every HEARTBEAT_SECONDS that the run is alive; silent, for certain, once the context ends."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk is the run's to find
                run.beat()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send all that this process writes on its standard streams, C libraries too, to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    faulthandler.enable()
    try:
        yield
    finally:
        faulthandler.disable()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # what a full disk did not take must not come out elsewhere
            with Path(os.devnull).open("wb", buffering=0) as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            sys.stdout.flush()
            sys.stderr.flush()
        for descriptor, stream in zip(saved, (1, 2), strict=True):
            os.dup2(descriptor, stream)
            os.close(descriptor)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Within, SIGUSR2 and a first SIGTERM ask the run to stop; a second SIGTERM, or one outside, ends the process.

    A SIGTERM within a second of the first is the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asker = stopping.Asker()

    def ask(number: int, frame: object) -> None:
        if asker.again():
            _leave(number, frame)
        stopping.ask()

    signal.signal(signal.SIGUSR2, lambda number, frame: stopping.ask())
    signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _leave(number: int, frame: object) -> None:
    """End at once, without a word: the sweep that ends a run says what becomes of it."""
    os._exit(128 + number)
