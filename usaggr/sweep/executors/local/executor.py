"""Executor that trains runs on this machine: one worker process per slot, forked from a server with the slow imports.

Each slot has its own pebble pool. So a dying worker affects only its own run, and a worker keeps the GPU of its slot. A
worker is replaced after `RUNS_PER_WORKER` runs, or after a failed one.
"""

import multiprocessing.connection
import os
import platform
import queue
import signal
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

import pebble

from usaggr.config.executor import MachineConfig
from usaggr.errors import ConfigError, RunError
from usaggr.io.locks import is_held
from usaggr.io.system_limits import explain_system_limit
from usaggr.results.run_directory import RunDirectory
from usaggr.safe_path import SafeSearch
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Job, JobEnd, Outcome
from usaggr.sweep.executors.local.forkserver import ServerError, WorkerContext, end_orphans, start_server, stop_server
from usaggr.sweep.executors.local.placement import count_usable_cores, make_placements
from usaggr.sweep.executors.local.shutdown import ask_to_stop, end_survivor, find_local_owner, kill_if_overdue
from usaggr.sweep.executors.local.slots import Future, Slot, can_start, find_free_slot, list_neighbors
from usaggr.sweep.executors.local.worker import (
    AFTER_FAILURE,
    OUT_OF_MEMORY,
    end_with_parent,
    import_target,
    run_in_worker,
)

RUNS_PER_WORKER = 16
"""Default of executor.runs_per_worker.

Later runs reuse what the first has imported, allocated and compiled. A memory leak ends with the worker.
"""
_LOST_WORKERS = 3
"""Number of times that a run may lose its worker without using an attempt: with its server, or before it began.

The limit ends a sweep in which no worker can start, or in which each server is killed for its memory.
"""
_SERVER_DIED = 255
"""Exit status that multiprocessing reports for a process whose server was killed."""
_OWNER_CHECK_SECONDS = 5.0
"""Seconds between two checks of a slot whose process may have ended unnoticed by its pool."""
_TIMEOUT_CHECK_SECONDS = 0.25
"""Longest time between two checks of runs that have a time limit."""


class LocalExecutor:
    """Runs jobs in worker processes of this machine.

    Args:
        config: Workers, devices and limits.
        accelerator: training.accelerator.
        target: Function that trains a run, as `module:function`.
        preload: Further modules that take long to import and that runs need. Missing modules are ignored.
    """

    def __init__(
        self,
        config: MachineConfig,
        accelerator: str = "auto",
        target: str = EXECUTE_RUN,
        preload: Sequence[str] = (),
    ) -> None:
        self._config = config
        self._accelerator = accelerator
        self._target = target
        self._preload = preload
        self._finished: queue.SimpleQueue[tuple[Slot, Future]] = queue.SimpleQueue()
        self._slots: list[Slot] = []
        self._safe_search = SafeSearch()
        self._lost_workers: Counter[str] = Counter()
        """Number of workers that each run has lost by no fault of its own, by run_id."""
        self._lost_in_a_row: set[str] = set()
        """run_id of the runs that have lost a worker in this way since a worker last ended its run by itself."""

    @property
    def slots(self) -> int:
        """Largest number of runs at the same time."""
        return len(self._slots)

    @property
    def threads(self) -> int:
        """Threads of each run."""
        return self._slots[0].placement.threads

    @property
    def has_free_slot(self) -> bool:
        """Return whether a job can be submitted now."""
        return find_free_slot(self._slots) is not None

    def __enter__(self) -> Self:
        """Start the server, count the GPUs in a worker, and create the slots.

        Raises:
            RunError: The server, or the target in a worker, cannot be imported.
            ConfigError: A requested GPU does not exist.
        """
        # The resource tracker of multiprocessing, if it is killed, is started again at any time.
        self._safe_search.__enter__()
        try:
            self._context = start_worker_server(self._config, self._target, self._preload)
            gpus = _count_gpus_in_worker(self._context, self._target, count=self._accelerator in ("auto", "gpu"))
            if self._accelerator == "gpu" and gpus == 0 and platform.system() != "Darwin":
                raise ConfigError("training.accelerator=gpu: this machine has no usable GPU; use auto or cpu")
            slot_placements = make_placements(self._config, gpus, count_usable_cores())
            self._runs_per_worker = self._config.runs_per_worker or RUNS_PER_WORKER
            self._slots = [Slot(placement, self._make_pool()) for placement in slot_placements]
        except BaseException:
            stop_server()
            self._safe_search.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers and the server."""
        self.stop()
        stop_server()
        if self._lost_workers:
            end_orphans()
        self._slots = []  # only now: a worker that is just starting still needs the semaphores of its pool
        self._safe_search.__exit__()

    def submit(self, job: Job) -> None:
        """Assign a job to a free slot and start it; a job that must run alone waits there for the other runs."""
        slot = find_free_slot(self._slots)
        if slot is None:
            raise RuntimeError("submit: no slot takes a job now")
        slot.take(job)
        self._start_waiting_jobs()

    def _start_waiting_jobs(self) -> None:
        """Start each job that waits in its slot, unless a run that must be alone prevents it."""
        for slot in self._slots:
            if can_start(slot, self._slots):
                self._start_job(slot)

    def _start_job(self, slot: Slot) -> None:
        """Pass the job of a slot to its worker, and mark runs that share a device as crowded."""
        arguments = (slot.job, slot.placement, self._target, self._runs_per_worker == 1)
        try:
            future: Future = slot.pool.schedule(run_in_worker, args=arguments)
        except RuntimeError:  # its idle worker was killed, which broke the pool
            _end_pool(slot.pool)
            slot.pool = self._make_pool()
            future = slot.pool.schedule(run_in_worker, args=arguments)
        slot.record_start(future)
        for other in list_neighbors(slot, self._slots, "device"):
            if other.future is not None:
                # Both runs are marked: either may need more memory than is left next to the other.
                slot.crowded = other.crowded = True
        future.add_done_callback(lambda _: self._finished.put((slot, future)))

    def wait(self, timeout: float) -> list[JobEnd]:
        """Return the jobs that have ended since the last call; wait at most `timeout` seconds for one."""
        limit = self._config.timeout
        if limit is not None:
            timeout = min(timeout, _TIMEOUT_CHECK_SECONDS)
            for slot in self._slots:
                kill_if_overdue(slot, limit)
        finished: list[tuple[Slot, Future | None]] = []
        try:
            finished.append(self._finished.get(timeout=timeout))
            while not self._finished.empty():
                finished.append(self._finished.get())
        except queue.Empty:
            pass
        finished += [(slot, slot.future) for slot in self._slots if self._is_lost(slot)]
        job_ends: list[JobEnd] = []
        for slot, future in finished:
            # A future that is no longer the slot's was reported before, as lost.
            if slot.job is None or future is None or slot.future is not future:
                continue
            outcome, message = self._read_outcome(slot, slot.job, future)
            if slot.overdue and outcome in ("died", "killed"):
                outcome, message = "timeout", f"ended after executor.timeout={limit:g} seconds"
            seconds = time.monotonic() - slot.started_at
            job_ends.append(JobEnd(slot.job, outcome, message, seconds, slot.crowded))
            slot.clear()
        self._start_waiting_jobs()
        return job_ends

    def stop(self) -> list[Job]:
        """End all jobs, and wait until their processes are gone; runs have `grace` seconds for a checkpoint."""
        stopped = [slot.job for slot in self._slots if slot.job is not None]
        if self._config.grace:
            ask_to_stop(self._slots, self._config.grace)
        for slot in self._slots:
            if slot.job is None or slot.future is None or slot.future.done():
                continue
            pid = find_local_owner(slot.job)
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._slots:
            with ThreadPoolExecutor(len(self._slots)) as threads:
                list(threads.map(_end_pool, [slot.pool for slot in self._slots]))
        for slot in self._slots:
            slot.clear()
        return stopped

    def _make_pool(self) -> pebble.ProcessPool:
        # If each run has its own process, a second one starts ahead while a run is active.
        workers = 2 if self._runs_per_worker == 1 else 1
        return pebble.ProcessPool(
            max_workers=workers, max_tasks=self._runs_per_worker, initializer=end_with_parent, context=self._context
        )

    def _read_outcome(self, slot: Slot, job: Job, future: Future) -> tuple[Outcome, str]:
        """Return how a job ended, and the reason in one line; replace the slot's pool if it is broken.

        Args:
            slot: Slot of the job.
            job: Job that has ended.
            future: Result of its worker.
        """
        try:
            ending = future.result(timeout=0)
            self._lost_in_a_row.clear()
            return ending
        except pebble.ProcessExpired as error:
            if error.exitcode in (AFTER_FAILURE, OUT_OF_MEMORY):
                self._lost_in_a_row.clear()
                return "memory" if error.exitcode == OUT_OF_MEMORY else "failed", _read_stored_reason(job)
            end_survivor(job)
            if error.exitcode == _SERVER_DIED:
                return self._count_loss(job, "worker died with the server that had started it; out of memory?")
            if not _has_begun(job):
                return self._count_loss(job, "worker died before its run began")
            return "killed" if error.exitcode == -signal.SIGKILL else "died", explain_worker_exit(error.exitcode)
        except CancelledError:
            return "died", "worker died without a trace"
        except BrokenExecutor:
            end_survivor(job)
            _end_pool(slot.pool)
            slot.pool = self._make_pool()
            return self._count_loss(job, "worker died before its run began")
        except Exception as error:
            return "failed", (str(error).splitlines() or [type(error).__name__])[0]

    def _count_loss(self, job: Job, message: str) -> tuple[Outcome, str]:
        """Return the outcome of a run that lost its worker by no fault of its own: no failure for the first losses.

        If other runs lose their workers too and none ends, the machine is at fault, and the sweep stops. Otherwise, all
        runs would fail one after the other.
        """
        self._lost_workers[job.spec.run_id] += 1
        self._lost_in_a_row.add(job.spec.run_id)
        if self._lost_workers[job.spec.run_id] <= _LOST_WORKERS:
            return "interrupted", message
        return ("unstartable" if len(self._lost_in_a_row) > 1 else "died"), message

    def _is_lost(self, slot: Slot) -> bool:
        """Return whether the process of a slot's job has ended unnoticed by its pool; if so, the job is canceled.

        That is so if two checks in a row find no owner of the run.
        """
        now = time.monotonic()
        if slot.job is None or slot.future is None or slot.future.done():
            return False
        if now - slot.checked_at < _OWNER_CHECK_SECONDS:
            return False
        slot.checked_at = now
        is_owned = not slot.future.running() or is_held(slot.job.directory / ".lock")
        slot.unowned_checks = 0 if is_owned else slot.unowned_checks + 1
        return slot.unowned_checks >= 2 and bool(slot.future.cancel())  # type: ignore[no-untyped-call]


def start_worker_server(
    config: MachineConfig, target: str = EXECUTE_RUN, preload: Sequence[str] = (), *, ahead: bool = False
) -> WorkerContext:
    """Start the server of an executor's workers.

    Args:
        config: Workers and threads.
        target: Function that trains a run, as `module:function`.
        preload: Further modules to import.
        ahead: Start the server for an executor that is started later.
    """
    threads = make_placements(config.model_copy(update={"devices": []}), 0, count_usable_cores())[0].threads
    return start_server([target.partition(":")[0], *preload], threads, ahead=ahead)


def explain_worker_exit(exitcode: int) -> str:
    """Return a message about a worker that ended with an exit status, with the likely reason."""
    if exitcode >= 0:
        return f"worker died (exit status {exitcode})"
    number = -exitcode
    guesses: dict[int, str] = {signal.SIGKILL: "; out of memory?", signal.SIGSEGV: ": a library crashed, see log.txt"}
    return f"worker died (signal {number}){guesses.get(number, '')}"


def _read_stored_reason(job: Job) -> str:
    """Return the first line of the error that a worker has written into the status of its run."""
    status = RunDirectory(job.directory).read_status()
    reason = (status.error or "") if status is not None else ""
    return (reason.splitlines() or ["failed without a reason"])[0]


def _has_begun(job: Job) -> bool:
    """Return whether a worker has claimed the run for this attempt."""
    status = RunDirectory(job.directory).read_status()
    return status is not None and status.attempt >= job.attempt


def _end_pool(pool: pebble.ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _count_gpus_in_worker(context: WorkerContext, target: str, count: bool) -> int:
    """Start one process to check that runs can be started; return its number of GPUs, or 0 without `count`."""
    try:
        answer = _ask_worker(context, target, count)
    except EOFError:  # it was killed: it gets a second chance, as a run would
        try:
            answer = _ask_worker(context, target, count)
        except EOFError as error:
            raise RunError("worker processes cannot be started; their messages are above") from error
    if isinstance(answer, str):
        raise RunError(f"{target} cannot be loaded in a worker process: {answer}")
    return answer


def _ask_worker(context: WorkerContext, target: str, count: bool) -> int | str:
    """Return the number of GPUs that a new process counts, or why it cannot load the target.

    Raises:
        RunError: The process cannot be started.
        EOFError: The process was killed.
    """
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_gpu_count, args=(sender, target, count), daemon=True)
    try:
        process.start()
        sender.close()
        answer: int | str = receiver.recv()
    except ServerError:
        raise
    except OSError as error:
        raise RunError("worker processes cannot be started; their messages are above") from error
    finally:
        receiver.close()
    process.join()
    return answer


def _send_gpu_count(pipe: multiprocessing.connection.Connection, target: str, count: bool) -> None:
    try:
        import_target(target)
        gpus = 0
        if count:
            import torch

            gpus = torch.cuda.device_count()
        pipe.send(gpus)
    except BaseException as error:
        pipe.send(explain_system_limit(error) or traceback.format_exc())
