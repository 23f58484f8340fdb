"""The work of a job on its node: it trains its runs with the same loop as a sweep on one machine.

submitit pickles a `Pack` at submission, and a `Pack` of the unfinished runs when the job is asked to end.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from rich.console import Console

import usaggr  # before other imports of the package, since it installs the import hook for torchvision
from usaggr.config.executor import MachineConfig
from usaggr.errors import RunError
from usaggr.results.run_directory import JOB_VARIABLE, RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.execution.signals import Interruption
from usaggr.sweep.execution.status_line import SweepLine
from usaggr.sweep.executors.local.executor import LocalExecutor
from usaggr.sweep.executors.slurm.queue import PREFIX
from usaggr.sweep.planning.study_plan import PlannedRun
from usaggr.tracking.record import list_modules_to_preload

_CHECK_SECONDS = 0.1
"""Seconds between two checks whether the thread has ended."""


class _Log(SweepLine):
    """Writes the lines that a sweep prints above its live line to the job's log."""

    def print_message(self, text: str) -> None:
        """Print a line immediately."""
        print(text, flush=True)


@dataclass
class Pack:
    """Runs of one job of Slurm, whose parents are done.

    submitit unpickles it on the job's node and calls it in the main thread.
    """

    jobs: Sequence[Job]
    machine: MachineConfig
    accelerator: str
    target: str
    version: str = usaggr.__version__
    """Version of usaggr on the machine of the sweep."""
    _interruption: Interruption = field(default_factory=Interruption, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def __call__(self) -> None:
        """Train the runs. SIGTERM asks them to write checkpoints, and ends the job.

        Raises:
            RunError: The node has another version of usaggr.
            ConfigError: The node has no usable GPU.
        """
        if self.version != usaggr.__version__:
            raise RunError(
                f"this node has usaggr {usaggr.__version__}, but the sweep has {self.version}; install the same version"
            )
        # Workers inherit the variable and write the job's name into the status of their runs.
        os.environ[JOB_VARIABLE] = name = f"{PREFIX}{read_job_id()}"
        mark_as_queued(self.jobs, name)
        run_pack(self.jobs, self.machine, self.accelerator, self.target, self)

    def checkpoint(self) -> Any:
        """Stop the active runs, and return the submission of the unfinished runs; None if all have ended.

        submitit calls it in a signal handler shortly before the time limit of the job.
        """
        from submitit.helpers import DelayedSubmission

        self._interruption.is_requested = True
        self.join()
        unfinished = self.list_unfinished()
        print(f"stopped with {len(unfinished)} of {len(self.jobs)} runs unfinished", flush=True)
        if not unfinished:
            return None
        mark_as_queued(unfinished, os.environ[JOB_VARIABLE])
        return DelayedSubmission(Pack(unfinished, self.machine, self.accelerator, self.target, self.version))

    def list_unfinished(self) -> list[Job]:
        """Return the jobs whose runs have not ended and are not active in another process."""
        return [job for job in self.jobs if RunDirectory(job.directory).read_state() in ("pending", "queued", "stale")]

    def run_loop(self, loop: Loop, executor: LocalExecutor) -> None:
        """Run a loop to its end in another thread, so that this thread can handle signals.

        A signal handler interrupts the main thread at any point. So it only sets a flag, which the other thread reads
        between two operations on workers.
        """
        data = {job.spec.run_id: job.data for job in self.jobs}
        failure: list[BaseException] = []

        def run() -> None:
            try:
                line = _Log(Console(quiet=True), len(self.jobs))
                loop.run(executor, lambda run: data[run.spec.run_id], line, self._interruption)
            except BaseException as error:
                failure.append(error)

        self._thread = threading.Thread(target=run, name="pack")
        self._thread.start()
        self.join()
        if failure:
            raise failure[0]

    def join(self) -> None:
        """Wait for the thread without a lock, because a signal handler may call this during another call."""
        while self._thread is not None and self._thread.is_alive():
            time.sleep(_CHECK_SECONDS)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Request a stop at SIGTERM: the job was canceled, or preempted by another job."""
        self._interruption.is_requested = True


def run_pack(
    jobs: Sequence[Job], machine: MachineConfig, accelerator: str, target: str, pack: Pack | None = None
) -> Loop:
    """Train runs on this machine, with retries as in a sweep; each run's end is written to its directory.

    Args:
        jobs: Jobs with the runs.
        machine: Workers, devices and limits on this machine.
        accelerator: training.accelerator.
        target: Function that trains a run, as `module:function`.
        pack: Pack that reacts to signals. Default: one of `jobs`.

    Raises:
        RunError: No worker can be started.
        ConfigError: There is no usable GPU.
    """
    pack = pack or Pack(jobs, machine, accelerator, target)
    runs = [PlannedRun(job.spec, (), job.directory, job.study, 1) for job in jobs]
    # Runs are submitted after their parents are done, so parents count as done.
    states: dict[str, State] = {job.spec.parent: "done" for job in jobs if job.spec.parent is not None}
    states |= {run.spec.run_id: run.read_state() for run in runs}
    # Failed runs stay in `runs`, so that the last line counts them.
    remaining = [run for run in runs if states[run.spec.run_id] not in ("done", "running", "failed")]
    loop = Loop(runs, remaining, states, machine.attempts)
    if not remaining:
        return loop
    executor = LocalExecutor(machine, accelerator, target, list_modules_to_preload(jobs[0].study))
    previous = signal.getsignal(signal.SIGTERM)
    with ExitStack() as stack:
        with _ignore_signals_in_children():
            stack.enter_context(executor)
        signal.signal(signal.SIGTERM, pack.stop)
        try:
            pack.run_loop(loop, executor)
        finally:
            signal.signal(signal.SIGTERM, previous)
    ends = [loop.get_state(run.spec.run_id) for run in runs]
    print(f"{ends.count('done')} done, {ends.count('failed')} failed of {len(runs)} runs", flush=True)
    return loop


def read_job_id() -> str:
    """Return the id of the Slurm job of this process, such as 12, or 12_3 in an array.

    Raises:
        RunError: This process does not belong to a job.
    """
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    if job := os.environ.get("SLURM_JOB_ID"):
        return job
    raise RunError("SLURM_JOB_ID is not set: a pack of runs must be executed by a job of Slurm")


def mark_as_queued(jobs: Sequence[Job], name: str) -> None:
    """Mark runs as queued in a job, except those that are active, done or failed."""
    for job in jobs:
        run = RunDirectory(job.directory)
        if run.read_state() in ("pending", "queued", "stale"):
            run.enqueue(name)


@contextmanager
def _ignore_signals_in_children() -> Iterator[None]:
    """Make processes that start here ignore the signals that Slurm sends to all processes of a job.

    Otherwise the server of the workers would die before its workers have written checkpoints. Workers handle these
    signals themselves while they train a run.
    """
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGUSR2, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
