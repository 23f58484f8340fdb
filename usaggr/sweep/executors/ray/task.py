"""The task that Ray runs on a node: it trains a run in a worker process, as on one machine.

Ray's own process only waits. It has a forkserver, which imports torch once for all runs of that Ray process. Ray calls
the functions of this module, which does not import ray.
"""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import usaggr
from usaggr.config.executor import MachineConfig
from usaggr.config.study import StudyConfig
from usaggr.data.batches.run_data import RunData
from usaggr.errors import RunError, UsaggrError
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import RunSpec
from usaggr.sweep.execution.jobs import Job, Outcome
from usaggr.sweep.executors.local.executor import LocalExecutor
from usaggr.sweep.executors.ray.content_hash import hash_content
from usaggr.sweep.executors.ray.parcel import extract, pack
from usaggr.tracking.record import list_modules_to_preload

if TYPE_CHECKING:
    from usaggr.data.split.manifest import Manifest

_CHECK_SECONDS = 0.5
"""Seconds between two checks whether the task was canceled."""


@dataclass(frozen=True)
class Parcel:
    """Files and data check for a node without the sweep's file system; its job is sent without the data."""

    content: str | None
    """Hash of the run's samples and pretrained weights, as in the plan; None: the run reads no data."""
    files: bytes
    """Tar archive of the files of an earlier attempt, such as a checkpoint."""


@dataclass(frozen=True)
class Task:
    """A job, and the settings with which a node trains it."""

    job: Job
    machine: MachineConfig
    accelerator: str
    target: str
    version: str
    """Version of usaggr on the machine of the sweep."""
    parcel: Parcel | None
    """None: the node sees the run's directory."""


@dataclass(frozen=True)
class TaskResult:
    """Outcome of a task."""

    outcome: Outcome
    message: str
    crowded: bool = False
    files: bytes | None = None
    """Tar archive of the run's directory, if the task came with a parcel."""
    error: str | None = None
    """Complete error of a failed run, with its traceback, if the task came with a parcel."""


def execute(task: Task) -> TaskResult:
    """Train a run on this node; errors are part of the result, because Ray may not be able to pickle them."""
    if usaggr.__version__ != task.version:
        return TaskResult(
            "failed",
            f"node {socket.gethostname()} has usaggr {usaggr.__version__}, but this sweep has {task.version}; "
            "install the same version on all nodes",
        )
    with _record_interrupts() as interrupts:
        try:
            if task.parcel is None:
                return _train(task, task.job, interrupts)
            return _train_in_scratch(task, task.parcel, interrupts)
        except UsaggrError as error:
            return TaskResult("failed", str(error).splitlines()[0], error=str(error))
        except OSError as error:
            return TaskResult("failed", f"node {socket.gethostname()}: {error}", error=str(error))


def _train(task: Task, job: Job, interrupts: list[int]) -> TaskResult:
    """Train the run in the worker until it ends, or until Ray cancels the task.

    Args:
        task: settings.
        job: the run, with its directory and data on this node.
        interrupts: signals of Ray, filled by a signal handler.
    """
    executor = _get_executor(task)
    executor.submit(job)
    while not interrupts:
        for ended in executor.wait(_CHECK_SECONDS):
            return TaskResult(ended.outcome, ended.message)
    # The worker's process has been stopped, so the next task needs a new executor.
    executor.stop()
    _end_executor()
    has_result = RunDirectory(job.directory).result_path.exists()
    return TaskResult("done", "") if has_result else TaskResult("interrupted", "it was asked to stop")


def _train_in_scratch(task: Task, parcel: Parcel, interrupts: list[int]) -> TaskResult:
    """Train the run in a temporary folder of this node, and return its files.

    Args:
        task: job and settings.
        parcel: files of an earlier attempt, and the hash of the data.
        interrupts: signals of Ray, filled by a signal handler.
    """
    scratch = Path(tempfile.mkdtemp(prefix="usaggr-"))
    try:
        directory = scratch / "runs" / task.job.spec.run_id
        directory.mkdir(parents=True)
        extract(parcel.files, directory)
        data = None if parcel.content is None else _load_data(task.job.study, task.job.spec, parcel.content)
        result = _train(task, replace(task.job, directory=directory, data=data), interrupts)
        status = RunDirectory(directory).read_status()
        error = status.error if status is not None and result.outcome in ("failed", "memory") else None
        return replace(result, files=pack(directory), error=error)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


_current_executor: tuple[tuple[object, ...], LocalExecutor] | None = None
"""Executor of this process, with the settings that it was started with; it stays for later tasks."""


def _get_executor(task: Task) -> LocalExecutor:
    """Return this process's executor with one worker; start another one if settings or the assigned GPU changed."""
    global _current_executor
    preload = list_modules_to_preload(task.job.study)
    settings = (
        task.machine.model_dump_json(),
        task.accelerator,
        task.target,
        preload,
        os.environ.get("CUDA_VISIBLE_DEVICES"),
    )
    # Ray reuses a process for later tasks, and may assign it another GPU each time.
    if _current_executor is None or _current_executor[0] != settings:
        _end_executor()
        _current_executor = (settings, LocalExecutor(task.machine, task.accelerator, task.target, preload).__enter__())
    return _current_executor[1]


def _end_executor() -> None:
    global _current_executor
    if _current_executor is not None:
        _current_executor[1].__exit__(None, None, None)
        _current_executor = None


def _load_data(study: StudyConfig, spec: RunSpec, content: str) -> RunData:
    """Return the run's data, made or opened on this node.

    Raises:
        DataError: The data cannot be read here.
        RunError: The data differ from those of the plan.
    """
    from usaggr.data.batches.cache import build_or_open
    from usaggr.data.batches.run_data import select_run_data

    manifest = _load_manifest(study)
    message = f"{study.data.root} on node {socket.gethostname()} differs from the data of the plan; copy it there again"
    try:
        data = select_run_data(manifest, spec, build_or_open(manifest.dataset, study.data))
    except KeyError as error:
        raise RunError(f"{message} (no {error})") from error
    if hash_content(data, study) != content:
        raise RunError(message)
    return data


_manifests: dict[tuple[str, tuple[int, ...]], "Manifest"] = {}
"""The last manifest, by its data and seeds."""


def _load_manifest(study: StudyConfig) -> "Manifest":
    from usaggr.data.read.load_dataset import load_dataset
    from usaggr.data.split.manifest import make_manifest

    key = (study.data.model_dump_json(), tuple(study.seeds))
    if key not in _manifests:  # kept for later runs of the same study in this process
        _manifests.clear()
        _manifests[key] = make_manifest(load_dataset(study.data), study.data, study.seeds)
    return _manifests[key]


@contextmanager
def _record_interrupts() -> Iterator[list[int]]:
    """Yield a list of the SIGINTs by which Ray cancels a task, so that its run can write a checkpoint first."""
    signals: list[int] = []

    def record(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    previous = signal.signal(signal.SIGINT, record)
    try:
        yield signals
    finally:
        signal.signal(signal.SIGINT, previous)
