"""Runs on this machine: a worker process a slot, renewed every so many runs by a server with the imports done.

Each slot has a pool of its own (pebble's), so that a worker that dies, whenever it does, takes down its own run only,
and a slot's worker stays with the slot's GPU.
"""

import multiprocessing.connection
import os
import platform
import queue
import signal
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

import pebble

from usaggr.config.executor import MachineConfig
from usaggr.errors import ConfigError, RunError
from usaggr.io.locks import is_held
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import EXECUTE_RUN, Ended, Job, Outcome
from usaggr.sweep.executors.local.forkserver import WorkerContext, start_server, stop_server
from usaggr.sweep.executors.local.placement import placements, usable_cores
from usaggr.sweep.executors.local.shutdown import ask_to_stop, end_if_overdue, owner_here
from usaggr.sweep.executors.local.slots import Future, Slot, beside, may_begin, next_free
from usaggr.sweep.executors.local.worker import NO_MEMORY, SPOILT, end_with_parent, load, run_in_worker

RUNS_PER_WORKER = 16
"""Unless configured: so many runs share what was imported, allocated and compiled by the first, and a leak is forgotten
in the end."""
_LOOK_SECONDS = 5.0
"""How often a slot is looked at whose process may be gone without its pool having noticed."""
_LIMIT_SECONDS = 0.25
"""How often runs are looked at that may take only so long, at the least."""


class LocalExecutor:
    """Runs jobs in worker processes of this machine.

    `accelerator` is training.accelerator; `target` names the function that trains a run, and `preload` further modules
    that runs need and that take long to import; those that are missing are left out.
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
        self._ended: queue.SimpleQueue[tuple[Slot, Future]] = queue.SimpleQueue()
        self._slots: list[Slot] = []

    @property
    def slots(self) -> int:
        """Runs at once, at the most."""
        return len(self._slots)

    @property
    def threads(self) -> int:
        """Of a run."""
        return self._slots[0].placement.threads

    @property
    def free(self) -> bool:
        """Whether a job can be submitted now."""
        return next_free(self._slots) is not None

    def __enter__(self) -> Self:
        """Start the server, let it count GPUs, and make the slots.

        Raises:
            RunError: the server, or the target in a worker, cannot be imported.
            ConfigError: a GPU is asked for that is not there.
        """
        self._context = server_for(self._config, self._target, self._preload)
        try:
            gpus = _ask_worker(self._context, self._target, count=self._accelerator in ("auto", "gpu"))
            if self._accelerator == "gpu" and gpus == 0 and platform.system() != "Darwin":
                raise ConfigError("training.accelerator: no GPU can be used here; auto or cpu does without")
            where = placements(self._config, gpus, usable_cores())
            self._renewed_after = self._config.runs_per_worker or RUNS_PER_WORKER
            self._slots = [Slot(placement, self._pool()) for placement in where]
        except BaseException:
            stop_server()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers and the server."""
        self.stop()
        stop_server()
        self._slots = []  # only now: with the pools go semaphores, which a worker that is just starting looks for

    def submit(self, job: Job) -> None:
        """Start a job, which must be possible; one that is to be alone waits until the others there have ended."""
        slot = next_free(self._slots)
        if slot is None:
            raise RuntimeError("submit: no slot takes a job now")
        slot.take(job)
        self._begin_what_may()

    def _begin_what_may(self) -> None:
        for slot in self._slots:
            if may_begin(slot, self._slots):
                self._begin(slot)

    def _begin(self, slot: Slot) -> None:
        arguments = (slot.job, slot.placement, self._target, self._renewed_after == 1)
        try:
            future: Future = slot.pool.schedule(run_in_worker, args=arguments)
        except RuntimeError:  # its idle worker was killed, and took the pool along
            _end(slot.pool)
            slot.pool = self._pool()
            future = slot.pool.schedule(run_in_worker, args=arguments)
        slot.begin(future)
        for other in beside(slot, self._slots, "device"):
            if other.future is not None:
                slot.crowded = other.crowded = True
        future.add_done_callback(lambda _: self._ended.put((slot, future)))

    def wait(self, timeout: float) -> list[Ended]:
        """Jobs that have ended since the last call; waits until one does, `timeout` seconds at the most."""
        notices: list[tuple[Slot, Future | None]] = []
        limit = self._config.timeout
        if limit is not None:
            timeout = min(timeout, _LIMIT_SECONDS)
            for slot in self._slots:
                end_if_overdue(slot, limit)
        try:
            notices.append(self._ended.get(timeout=timeout))
            while not self._ended.empty():
                notices.append(self._ended.get())
        except queue.Empty:
            pass
        notices += [(slot, slot.future) for slot in self._slots if self._is_lost(slot)]
        ended: list[Ended] = []
        for slot, future in notices:
            if slot.job is not None and future is not None and slot.future is future:
                outcome, message = self._outcome(slot, slot.job, future)
                if slot.overdue and outcome in ("died", "killed"):
                    outcome, message = "timeout", f"ended after executor.timeout={limit:g} seconds"
                seconds = time.monotonic() - slot.started
                ended.append(Ended(slot.job, outcome, message, seconds, slot.crowded))
                slot.clear()
        self._begin_what_may()
        return ended

    def stop(self) -> list[Job]:
        """End all jobs that run, and wait until their processes are gone; they have `grace` for a checkpoint."""
        stopped = [slot.job for slot in self._slots if slot.job is not None]
        if self._config.grace:
            ask_to_stop(self._slots, self._config.grace)
        for slot in self._slots:
            if slot.future is not None and not slot.future.done() and slot.job and (pid := owner_here(slot.job)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._slots:
            with ThreadPoolExecutor(len(self._slots)) as threads:
                list(threads.map(_end, [slot.pool for slot in self._slots]))
        for slot in self._slots:
            slot.clear()
        return stopped

    def _pool(self) -> pebble.ProcessPool:
        # Where each run has a process of its own, the next one waits ready while a run is on.
        workers = 2 if self._renewed_after == 1 else 1
        return pebble.ProcessPool(
            max_workers=workers, max_tasks=self._renewed_after, initializer=end_with_parent, context=self._context
        )

    def _outcome(self, slot: Slot, job: Job, future: Future) -> tuple[Outcome, str]:
        try:
            return future.result(timeout=0)
        except pebble.ProcessExpired as error:
            if error.exitcode in (SPOILT, NO_MEMORY):
                return "memory" if error.exitcode == NO_MEMORY else "failed", _stored_reason(job)
            _end_survivor(job, error.pid)
            return "killed" if error.exitcode == -signal.SIGKILL else "died", died_message(error.exitcode)
        except CancelledError:
            return "died", "worker died without a trace"
        except BrokenExecutor:
            _end(slot.pool)
            slot.pool = self._pool()
            return "died", "worker died before its run began"
        except Exception as error:
            return "failed", (str(error).splitlines() or [type(error).__name__])[0]

    def _is_lost(self, slot: Slot) -> bool:
        """Whether a job has long begun and nobody holds its run: its process left in a way that its pool overlooks."""
        now = time.monotonic()
        if slot.job is None or slot.future is None or now - slot.looked < _LOOK_SECONDS or slot.future.done():
            return False
        slot.looked = now
        held = not slot.future.running() or is_held(slot.job.directory / ".lock")
        slot.unowned = 0 if held else slot.unowned + 1
        return slot.unowned >= 2 and bool(slot.future.cancel())  # type: ignore[no-untyped-call]


def server_for(
    config: MachineConfig, target: str = EXECUTE_RUN, preload: Sequence[str] = (), *, ahead: bool = False
) -> WorkerContext:
    """Start the server of an executor's workers; `ahead`: for an executor that is started later."""
    threads = placements(config.model_copy(update={"devices": []}), 0, usable_cores())[0].threads
    return start_server([target.partition(":")[0], *preload], threads, ahead=ahead)


def died_message(exitcode: int) -> str:
    """Why a worker that left with this status did so, as far as one can know."""
    if exitcode >= 0:
        return f"worker died (exit status {exitcode})"
    number = -exitcode
    guesses: dict[int, str] = {signal.SIGKILL: "; out of memory?", signal.SIGSEGV: ": a library crashed, see log.txt"}
    return f"worker died (signal {number}){guesses.get(number, '')}"


def _stored_reason(job: Job) -> str:
    status = RunDirectory(job.directory).status()
    reason = (status.error or "") if status is not None else ""
    return (reason.splitlines() or ["failed without a reason"])[0]


def _end_survivor(job: Job, pid: int | None) -> None:
    """End a worker that is taken for dead, because the server that would tell was killed, and still holds its run."""
    owner = owner_here(job)
    if owner is not None and owner == pid:
        with suppress(ProcessLookupError):
            os.kill(owner, signal.SIGKILL)


def _end(pool: pebble.ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _ask_worker(context: WorkerContext, target: str, count: bool) -> int:
    """Start one process to see that runs can be started; the number of GPUs it can use, 0 if not to be counted."""
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, target, count), daemon=True)
    try:
        process.start()
        there.close()
        found = here.recv()
    except (OSError, EOFError) as error:
        raise RunError("worker processes cannot be started here; what they said of it stands above") from error
    finally:
        here.close()
    process.join()
    if isinstance(found, str):
        raise RunError(f"{target} cannot be loaded in a worker process:\n{found}")
    return int(found)


def _answer(pipe: multiprocessing.connection.Connection, target: str, count: bool) -> None:
    try:
        load(target)
        gpus = 0
        if count:
            import torch

            gpus = torch.cuda.device_count()
        pipe.send(gpus)
    except BaseException:
        pipe.send(traceback.format_exc())
