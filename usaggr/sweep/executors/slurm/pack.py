"""What a job of a cluster does on its node: it trains its runs as a sweep on one machine does, with the same loop.

submitit pickles a `Pack` when it is submitted, and again, with what is left, when the job is asked to end.
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

import usaggr  # first of all: torchvision needs it
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
from usaggr.tracking.record import to_preload

_LOOK_SECONDS = 0.1


class _Log(SweepLine):
    """What a sweep says above its live line goes to the job's log."""

    def say(self, text: str) -> None:
        """Write a line."""
        print(text, flush=True)


@dataclass
class Pack:
    """Runs of one job, whose parents are done; called on the job's node, in the main thread."""

    jobs: Sequence[Job]
    machine: MachineConfig
    accelerator: str
    target: str
    version: str = usaggr.__version__
    _interruption: Interruption = field(default_factory=Interruption, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def __call__(self) -> None:
        """Train the runs. SIGTERM asks them to write checkpoints, and ends the job.

        Raises:
            RunError: the node has another version of the tool.
            ConfigError: the node has no GPU that can be used.
        """
        if self.version != usaggr.__version__:
            raise RunError(f"this node has usaggr {usaggr.__version__}, the sweep {self.version}: install the same")
        os.environ[JOB_VARIABLE] = name = f"{PREFIX}{job_id()}"
        enqueue(self.jobs, name)
        run_pack(self.jobs, self.machine, self.accelerator, self.target, self)

    def checkpoint(self) -> Any:
        """For submitit, in a signal handler: stop what runs; the submission of what is left, None if nothing is."""
        from submitit.helpers import DelayedSubmission

        self._interruption.asked = True
        self.join()
        left = self.left()
        print(f"stopped with {len(left)} of {len(self.jobs)} runs left", flush=True)
        if not left:
            return None
        enqueue(left, os.environ[JOB_VARIABLE])
        return DelayedSubmission(Pack(left, self.machine, self.accelerator, self.target, self.version))

    def left(self) -> list[Job]:
        """Jobs whose runs have not come to an end, and that no other process has."""
        return [job for job in self.jobs if RunDirectory(job.directory).state() in ("pending", "queued", "stale")]

    def work(self, loop: Loop, executor: LocalExecutor) -> None:
        """Run a loop to its end in a thread beside this one, which is left to signals.

        A handler that stopped workers itself would do so in the middle of what it interrupts.
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
        """Wait for the thread, without a lock: a handler may do this within another call of it."""
        while self._thread is not None and self._thread.is_alive():
            time.sleep(_LOOK_SECONDS)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGTERM: somebody has cancelled the job, or another takes its place."""
        self._interruption.asked = True


def run_pack(
    jobs: Sequence[Job], machine: MachineConfig, accelerator: str, target: str, pack: Pack | None = None
) -> Loop:
    """Train runs on this machine, with retries as in a sweep; how they ended is in their directories.

    Raises:
        RunError: no worker can be started.
        ConfigError: there is no GPU that can be used.
    """
    pack = pack or Pack(jobs, machine, accelerator, target)
    runs = [PlannedRun(job.spec, (), job.directory, job.study, 1) for job in jobs]
    # A run is submitted once its parent is done. Whoever asked for these runs asked for those that failed, too.
    states: dict[str, State] = {job.spec.parent: "done" for job in jobs if job.spec.parent is not None}
    states |= {run.spec.run_id: run.state() for run in runs}
    todo = [run for run in runs if states[run.spec.run_id] not in ("done", "running", "failed")]
    loop = Loop(runs, todo, states, machine.attempts)
    if not todo:
        return loop
    executor = LocalExecutor(machine, accelerator, target, to_preload(jobs[0].study))
    before = signal.getsignal(signal.SIGTERM)
    with ExitStack() as stack:
        with _deaf_children():
            stack.enter_context(executor)
        signal.signal(signal.SIGTERM, pack.stop)
        try:
            pack.work(loop, executor)
        finally:
            signal.signal(signal.SIGTERM, before)
    ends = [loop.state_of(run.spec.run_id) for run in runs]
    print(f"{ends.count('done')} done, {ends.count('failed')} failed of {len(runs)} runs", flush=True)
    return loop


def job_id() -> str:
    """Of the Slurm job that this process belongs to, such as 12, or 12_3 in an array.

    Raises:
        RunError: it belongs to none.
    """
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    if job := os.environ.get("SLURM_JOB_ID"):
        return job
    raise RunError("SLURM_JOB_ID: not set; a pack of runs is executed by a job of Slurm")


def enqueue(jobs: Sequence[Job], name: str) -> None:
    """Say of runs that a job has them, if no process is at work on them and they are not done or failed."""
    for job in jobs:
        run = RunDirectory(job.directory)
        if run.state() in ("pending", "queued", "stale"):
            run.enqueue(name)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """What is started here ignores the signals that Slurm sends to all processes of a job.

    The server of the workers would die of them, before its workers have written checkpoints; those listen for
    themselves while they have a run.
    """
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGUSR2, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
