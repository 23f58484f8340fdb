"""The work of a worker process: it claims a run, redirects its output to a log, trains it, and records a failure.

The process ends together with the one that started it, so that no orphan continues to train.
"""

import contextlib
import errno
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
from usaggr.io.atomic_files import find_disk_error, is_writable, make_write_error
from usaggr.results import contract
from usaggr.results.run_directory import HEARTBEAT_SECONDS, RunDirectory
from usaggr.results.run_settings import read_fingerprint
from usaggr.results.spec import Placement
from usaggr.results.versions import check_yaml
from usaggr.stopping import RunInterrupted
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Job, Outcome

AFTER_FAILURE = 71
"""Exit status of a worker that ends after a failed run, whose leftovers must not affect the next run."""
OUT_OF_MEMORY = 72
"""Exit status of a worker that ends to free its memory, after a run that ran out of memory."""


def run_in_worker(
    job: Job, placement: Placement, target: str = EXECUTE_RUN, ends_after_job: bool = True
) -> tuple[Outcome, str]:
    """Execute a job in this process; return how it ended, and why in one line.

    Args:
        job: The job, with its run.
        placement: Threads and device of the run.
        target: Function that trains a run, as `module:function`.
        ends_after_job: True if the pool ends this process after each job. Otherwise the process itself ends after a
            failure, with the exit status AFTER_FAILURE or OUT_OF_MEMORY.
    """
    stopping.withdraw_request()
    if placement.device is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a run without a GPU in its placement uses none
    _limit_threads(placement.threads)
    run = RunDirectory(job.directory)
    try:
        with _handle_stop_signals(), run.claim(job.attempt) as has_claim:
            if not has_claim:
                return ("done" if run.result_path.exists() else "elsewhere"), ""
            with _redirect_output(run.log_path):
                outcome, message = _execute(job, run, placement, target)
    except OSError as error:  # the claim or the log cannot be written; nothing was trained
        return _end_unwritten(run, error)
    if outcome in ("failed", "memory") and not ends_after_job and run.read_state() == "failed":
        os._exit(OUT_OF_MEMORY if outcome == "memory" else AFTER_FAILURE)
    if placement.device is not None and not ends_after_job:
        _free_gpu_memory()
    return outcome, message


def import_target(target: str) -> Callable[..., None]:
    """Import the function that `module:function` names."""
    module, _, name = target.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, for any reason; unblock SIGTERM."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent: this process was not started by multiprocessing")
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # blocked in the server, see forkserver.py


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or its cause, means that a GPU or the machine was out of memory."""
    cause = error.__cause__ or error.__context__
    # Errors are recognized by their messages, so that this module does not import torch: its errors are RuntimeErrors.
    message = str(error) if isinstance(error, RuntimeError) else ""
    is_memory = isinstance(error, MemoryError) or "out of memory" in message or "can't allocate memory" in message
    return is_memory or (cause is not None and is_out_of_memory(cause))


def _limit_threads(threads: int) -> None:
    """Limit the threads of torch and OpenCV; those of OpenMP and BLAS were set when the server loaded them."""
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    if torch is not None:
        torch.set_num_threads(threads)
        with contextlib.suppress(RuntimeError):  # it can be set only once: by the first run of a worker
            torch.set_num_interop_threads(threads)
    if cv2 is not None:
        cv2.setNumThreads(threads)


def _free_gpu_memory() -> None:
    """Free the GPU memory that torch keeps for later, for the runs of other workers."""
    torch = sys.modules.get("torch")
    if torch is not None:
        gc.collect()
        torch.cuda.empty_cache()


def _execute(job: Job, run: RunDirectory, placement: Placement, target: str) -> tuple[Outcome, str]:
    """Train the claimed run; return how it ended, and in one line why it is not done."""
    host, now = socket.gethostname(), time.strftime("%Y-%m-%d %H:%M:%S")
    try:
        print(f"--- attempt {job.attempt}, {now}, {host}, pid {os.getpid()}")
        stored = read_fingerprint(run.path)
        if stored not in (None, job.spec.fingerprint):
            raise RunError(f"{run.path} holds another run (fingerprint {stored}); move it away")
        check_yaml(run.path / contract.RUN_SETTINGS)
        run.clear()
        run.write_spec(job.spec, **job.provenance, **_describe_machine(job, placement))
        execute = import_target(target)
        with _write_heartbeats(run):
            execute(job.spec, run.path, job.study, placement, job.data)
        if not run.result_path.exists():
            raise RunError("the run ended without a result")
    except RunInterrupted as stop:
        with contextlib.suppress(OSError):  # a claim that is not released becomes stale, with the same effect
            print(stop)
            run.release(job.attempt)
        return "interrupted", str(stop)
    except BaseException as error:  # any error fails this run and no other
        with contextlib.suppress(OSError):
            traceback.print_exc()
        if _is_disk_failure(error, run):
            return _end_unwritten(run, error, job.attempt)
        reason = str(error) if isinstance(error, UsaggrError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(WriteError):
            run.mark_failed(f"{reason.strip()}\n\n{traceback.format_exc()}", job.attempt)
        outcome: Outcome = "memory" if is_out_of_memory(error) else "failed"
        return outcome, (reason.strip().splitlines() or [type(error).__name__])[0]
    return "done", ""


def _end_unwritten(run: RunDirectory, error: BaseException, attempt: int | None = None) -> tuple[Outcome, str]:
    """Release the claim of a run that could not write a file, if it has one (`attempt`), and return how it ended."""
    if attempt is not None:
        with contextlib.suppress(WriteError):
            run.release(attempt)
    path = Path(error.filename) if isinstance(error, OSError) and isinstance(error.filename, str) else run.path
    message = str(error if isinstance(error, WriteError) else make_write_error(path, error))
    return ("unwritable" if _is_disk_failure(error, run) else "failed"), message


def _is_disk_failure(error: BaseException, run: RunDirectory) -> bool:
    """Return whether an error says that a disk cannot be used, so that all other runs would fail too."""
    number = find_disk_error(error)
    # A folder that was mounted read-only in the place of one run affects no other run.
    return number is not None and not (number == errno.EROFS and is_writable(run.path.parent))


def _describe_machine(job: Job, placement: Placement) -> dict[str, Any]:
    """Return host, device and threads of a run, for run.yaml."""
    device: str = job.study.training.accelerator
    if placement.device is not None:
        import torch

        device = torch.cuda.get_device_name(placement.device)
    elif device == "auto":
        device = "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"
    return {"host": socket.gethostname(), "device": device, "threads": placement.threads}


@contextlib.contextmanager
def _write_heartbeats(run: RunDirectory) -> Iterator[None]:
    """Write a heartbeat of the run every HEARTBEAT_SECONDS, and none after the context has ended."""
    has_ended = threading.Event()

    def beat() -> None:
        while not has_ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk is also found by the run itself
                run.write_heartbeat()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


@contextlib.contextmanager
def _redirect_output(path: Path) -> Iterator[None]:
    """Append to a file all that this process and its C libraries write to the standard streams."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved_descriptors = os.dup(1), os.dup(2)
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
        except OSError:
            # The disk is full. What is still in the buffers must not appear on the terminal.
            with Path(os.devnull).open("wb", buffering=0) as null_device:
                os.dup2(null_device.fileno(), 1)
                os.dup2(null_device.fileno(), 2)
            sys.stdout.flush()
            sys.stderr.flush()
        for descriptor, stream in zip(saved_descriptors, (1, 2), strict=True):
            os.dup2(descriptor, stream)
            os.close(descriptor)


@contextlib.contextmanager
def _handle_stop_signals() -> Iterator[None]:
    """Let SIGUSR2 and a first SIGTERM request a stop of the run within the context; a second SIGTERM ends the process.

    A SIGTERM within a second of the first one counts as the first. After the context, every SIGTERM ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    stop_signals = stopping.StopSignals()

    def handle(number: int, frame: object) -> None:
        if stop_signals.is_second_request():
            _exit_silently(number, frame)
        stopping.request_stop()

    signal.signal(signal.SIGUSR2, lambda number, frame: stopping.request_stop())
    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _exit_silently)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _exit_silently(number: int, frame: object) -> None:
    """End the process at once without a message, because the sweep that ends a run reports it."""
    os._exit(128 + number)
