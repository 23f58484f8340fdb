"""The task that Ray runs on a node: it trains a run in a worker process, as on one machine.

Ray's own process only waits. The forkserver next to it has finished the imports and stays for the next runs, so the
imports are paid once per Ray process and not once per run. Ray calls this code; ray itself is not imported here.
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

_LOOK_SECONDS = 0.5
"""Seconds between two checks whether the task was canceled."""


@dataclass(frozen=True)
class Parcel:
    """Data for a node without the sweep's file system, in addition to the job, which is sent without its data."""

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
    """Complete error of a failed run, if the task came with a parcel."""


def execute(task: Task) -> TaskResult:
    """Train a run on this node; errors are part of the result, because Ray may not be able to pickle them."""
    if usaggr.__version__ != task.version:
        return TaskResult(
            "failed",
            f"node {socket.gethostname()} has usaggr {usaggr.__version__}, but this sweep has {task.version}; "
            "install the same version on all nodes",
        )
    with _cancellable() as cancelled:
        try:
            if task.parcel is None:
                return _train(task, task.job, cancelled)
            return _train_in_scratch(task, task.parcel, cancelled)
        except UsaggrError as error:
            return TaskResult("failed", str(error).splitlines()[0], error=str(error))
        except OSError as error:
            return TaskResult("failed", f"node {socket.gethostname()}: {error}", error=str(error))


def _train(task: Task, job: Job, cancelled: list[int]) -> TaskResult:
    executor = _executor(task)
    executor.submit(job)
    while not cancelled:
        for ended in executor.wait(_LOOK_SECONDS):
            return TaskResult(ended.outcome, ended.message)
    # The worker's process has been stopped, so the next task needs a new executor.
    executor.stop()
    _end_executor()
    has_result = RunDirectory(job.directory).result_path.exists()
    return TaskResult("done", "") if has_result else TaskResult("interrupted", "it was asked to stop")


def _train_in_scratch(task: Task, parcel: Parcel, cancelled: list[int]) -> TaskResult:
    scratch = Path(tempfile.mkdtemp(prefix="usaggr-"))
    try:
        directory = scratch / "runs" / task.job.spec.run_id
        directory.mkdir(parents=True)
        extract(parcel.files, directory)
        data = None if parcel.content is None else _data(task.job.study, task.job.spec, parcel.content)
        result = _train(task, replace(task.job, directory=directory, data=data), cancelled)
        status = RunDirectory(directory).status()
        error = status.error if status is not None and result.outcome in ("failed", "memory") else None
        return replace(result, files=pack(directory), error=error)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


_started: tuple[tuple[object, ...], LocalExecutor] | None = None
"""Executor of this process, with the settings that it was started with."""


def _executor(task: Task) -> LocalExecutor:
    """Return this process's executor with one worker; start another one if settings or the assigned GPU changed."""
    global _started
    preload = list_modules_to_preload(task.job.study)
    key = (
        task.machine.model_dump_json(),
        task.accelerator,
        task.target,
        preload,
        os.environ.get("CUDA_VISIBLE_DEVICES"),
    )
    # Ray reuses a process for later tasks, and may assign it another GPU each time.
    if _started is None or _started[0] != key:
        _end_executor()
        _started = (key, LocalExecutor(task.machine, task.accelerator, task.target, preload).__enter__())
    return _started[1]


def _end_executor() -> None:
    global _started
    if _started is not None:
        _started[1].__exit__(None, None, None)
        _started = None


def _data(study: StudyConfig, spec: RunSpec, content: str) -> RunData:
    """Return the run's data, made or opened on this node.

    Raises:
        DataError: The data cannot be read here.
        RunError: The data differ from those of the plan.
    """
    from usaggr.data.batches.cache import build_or_open
    from usaggr.data.batches.run_data import select_run_data

    manifest = _manifest(study)
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


def _manifest(study: StudyConfig) -> "Manifest":
    from usaggr.data.read.load_dataset import load_dataset
    from usaggr.data.split.manifest import make_manifest

    key = (study.data.model_dump_json(), tuple(study.seeds))
    if key not in _manifests:  # kept for later runs of the same study in this process
        _manifests.clear()
        _manifests[key] = make_manifest(load_dataset(study.data), study.data, study.seeds)
    return _manifests[key]


@contextmanager
def _cancellable() -> Iterator[list[int]]:
    """Collect the interrupts by which Ray cancels a task, so that its run can end in order."""
    signals: list[int] = []

    def record(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    before = signal.signal(signal.SIGINT, record)
    try:
        yield signals
    finally:
        signal.signal(signal.SIGINT, before)
