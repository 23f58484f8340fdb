"""The directory of a run, which contains its complete state: specification, status and result.

`result.json` is written last, by an atomic rename: a run is done if it exists. `status.json` shows people and other
processes the state of an unfinished run. The training process holds a lock, which shows whether it is alive. This
module does not import torch.
"""

import errno
import json
import math
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from usaggr.errors import RunError
from usaggr.io.atomic_files import write_atomic
from usaggr.io.heartbeats import is_recent, watch_for_silence
from usaggr.io.locks import hold_lock, is_held
from usaggr.results import contract
from usaggr.results.integrity import REPEAT, DamagedError, add_checksums, parse_content, read_json, verify_checksums
from usaggr.results.run_result import RunResult, State, Status
from usaggr.results.run_settings import write_run_settings
from usaggr.results.spec import RunSpec

HEARTBEAT_SECONDS = 10.0
"""Seconds between two heartbeats of a run in state `running`."""
STALE_SECONDS = 120.0
"""Seconds without a heartbeat after which a claim of another host is stale.

A claim of this host is stale as soon as its process ends. Time is the file server's. Before a stale claim of another
host is taken over, it is watched for two more heartbeats.
"""

JOB_VARIABLE = "USAGGR_JOB"
"""Environment variable with the name of a cluster's job, for `Status.job`."""

_STATUS_LOCK = threading.Lock()
"""Lock of status.json: the heartbeat's thread reads and rewrites it, and must not undo changes of the run."""
_LOCK_FILE = ".lock"
_FILES_OF_ALL_ATTEMPTS = (
    # This process holds the lock file; after its removal, another process could lock a new file of that name.
    _LOCK_FILE,
    contract.STATUS,
    contract.LOG,
    contract.RUN_SETTINGS,
    contract.CHECKPOINT,
    contract.PARENT,
    contract.LOGS,
    contract.TRACKING,
)
"""Files and folders of an unfinished attempt that the next one reads, replaces or appends to."""


class RunDirectory:
    """The files of one run in `runs/<run_id>/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def result_path(self) -> Path:
        return self.path / contract.RESULT

    @property
    def predictions_path(self) -> Path:
        return self.path / contract.PREDICTIONS

    @property
    def log_path(self) -> Path:
        return self.path / contract.LOG

    def read_state(self) -> State:
        """Return the run's current state: done if it has a result, else that of the status, if its process is alive."""
        # The result is written last, so it counts even if status.json still has an earlier state.
        if self.result_path.exists():
            return "done"
        status = self.read_status()
        if status is None or status.state == "done":  # then its result is gone
            return "pending"
        if status.state != "running":
            return status.state
        return "running" if is_held(self._lock_path) or self._has_remote_heartbeat(status) else "stale"

    def read_status(self) -> Status | None:
        """Read `status.json`; None if it is missing or damaged."""
        try:
            return parse_content(self._status_path, read_json(self._status_path, REPEAT), Status, REPEAT)
        except RunError:
            return None

    def write_status(self, status: Status) -> None:
        write_atomic(self._status_path, json.dumps(asdict(status), indent=1))

    @contextmanager
    def claim(self, attempt: int) -> Iterator[bool]:
        """Claim the run for this process within the context.

        Yields False, and does nothing, if another process has the run or it is done. The claim is a lock on a file, so
        that the operating system releases it when its process ends for any reason.

        Raises:
            RunError: the file system has no locks.
        """
        with self._lock_if_free() as is_free:
            if is_free:
                now, job = time.time(), os.environ.get(JOB_VARIABLE)
                status = Status("running", os.getpid(), socket.gethostname(), now, attempt, started=now, job=job)
                self.write_status(status)
            yield is_free

    def record_end(self, state: Literal["pending", "failed"], attempt: int, error: str | None = None) -> bool:
        """Record the final state of a run whose process has ended.

        Args:
            state: the new state.
            attempt: number of the attempt that has ended.
            error: reason of a failure.

        Returns:
            False, without any change, if the run is done or another process has it.
        """
        with self._lock_if_free() as is_free:
            if is_free:
                self._change_status(state, attempt, error)
            return is_free

    def enqueue(self, job: str) -> bool:
        """Record that a job of a cluster has the run and will start it; return False as `record_end` does."""
        with self._lock_if_free() as is_free:
            if is_free:
                status = self.read_status()
                self._change_status("queued", 0 if status is None else status.attempt, None, job)
            return is_free

    def mark_failed(self, error: str, attempt: int) -> None:
        """Mark this process's run as failed; `error` has the reason in its first line, then the traceback."""
        self._change_status("failed", attempt, error)

    def release(self, attempt: int) -> None:
        """Release this process's run, so that it can be continued later."""
        self._change_status("pending", attempt, None)

    def write_heartbeat(self) -> None:
        """Write a heartbeat: the run's process is alive."""
        with _STATUS_LOCK:
            status = self.read_status()
            if status is not None and status.state == "running":
                self.write_status(replace(status, heartbeat=time.time()))

    def write_spec(self, spec: RunSpec, **provenance: Any) -> None:
        """Write `run.yaml`: the resolved specification, versions and machine."""
        write_run_settings(self.path, spec, **provenance)

    def write_result(self, result: RunResult) -> None:
        """Write the result, which marks the run as done; all other files must be written before.

        The checkpoint and the parent's weights are removed once the result is on disk. Thus a kill, a crash of the
        machine or a full disk never costs a training that has ended.

        Raises:
            RunError: a score is not a finite number.
            WriteError: the result cannot be written; the run can continue from its checkpoint.
        """
        for task, metrics in result.scores.items():
            for metric, value in metrics.items():
                if not math.isfinite(value):
                    raise RunError(f"{self.path.name}: {metric} of {task} is {value}, which is not finite")
        _sync_tree(self.path)
        write_atomic(self.result_path, json.dumps(add_checksums(asdict(result), self.predictions_path), indent=1))
        _sync(self.path)
        self.remove_resume_files()
        with _STATUS_LOCK:
            status = self.read_status()
            if status is not None:
                self.write_status(replace(status, state="done", heartbeat=time.time()))

    def remove_resume_files(self) -> None:
        """Remove the checkpoint and the parent's weights, which a finished run no longer needs."""
        for name in (contract.CHECKPOINT, contract.PARENT):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def read_result(self) -> RunResult:
        """Read the result of a finished run.

        Raises:
            RunError: the result is missing, unreadable or changed, or a newer version of usaggr wrote it.
        """
        content = verify_checksums(self.result_path, read_json(self.result_path, REPEAT, DamagedError))
        return parse_content(self.result_path, content, RunResult, REPEAT, DamagedError)

    def clear(self) -> None:
        """Remove the files of an earlier, unfinished attempt, except those that the next attempt uses or appends to."""
        for path in self.path.iterdir():
            if path.name in _FILES_OF_ALL_ATTEMPTS:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextmanager
    def _lock_if_free(self) -> Iterator[bool]:
        """Hold the lock within the context; yield whether the run is neither done nor claimed by another process."""
        with hold_lock(self._lock_path) as locked:
            if not locked or self.result_path.exists():
                yield False
                return
            status = self.read_status()
            # Some file systems do not share locks between hosts, so another host's heartbeat counts too.
            yield status is None or status.state != "running" or not self._has_remote_heartbeat(status, must_watch=True)

    def _change_status(self, state: State, attempt: int, error: str | None, job: str | None = None) -> None:
        """Write a new status that keeps the start and the job of the previous one.

        Args:
            state: the new state.
            attempt: number of the attempt.
            error: reason of a failure.
            job: job of a cluster. Default: the previous one.
        """
        with _STATUS_LOCK:
            previous = self.read_status()
            started = None if previous is None else previous.started
            if job is None and previous is not None:
                job = previous.job
            if error is not None:
                error = error.encode("utf-8", "replace").decode("utf-8")  # a file name in it may not be Unicode
            status = Status(state, os.getpid(), socket.gethostname(), time.time(), attempt, error, started, job)
            self.write_status(status)

    def _has_remote_heartbeat(self, status: Status, must_watch: bool = False) -> bool:
        """Return whether a process of another host has written a heartbeat recently.

        `must_watch` watches the file before it returns False, because the file server's clock may have just been set.
        """
        if status.host == socket.gethostname():
            return False
        if is_recent(self._status_path, STALE_SECONDS):
            return True
        return must_watch and not watch_for_silence(self._status_path, 2 * HEARTBEAT_SECONDS)

    @property
    def _lock_path(self) -> Path:
        return self.path / _LOCK_FILE

    @property
    def _status_path(self) -> Path:
        return self.path / contract.STATUS


def _sync_tree(directory: Path) -> None:
    """Write all files under a directory to disk, so that after a crash no result exists without its files."""
    # A folder holds the names of its files, so that a file is lost if only its content is on disk.
    for path in (directory.parent, directory, *directory.rglob("*")):
        if (path.is_file() or path.is_dir()) and not path.is_symlink():
            # The thread of the heartbeat may rename its temporary file at this moment.
            with suppress(FileNotFoundError):
                _sync(path)


def _sync(path: Path) -> None:
    """Write a file's content, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder, because they do so on their own.
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
