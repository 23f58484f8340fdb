"""A run: its specification, its result, and its directory on disk, which is the only state there is.

`result.json` appears by atomic rename, last: a run is done where it is there. `status.json` tells people and other
processes what goes on; a lock held by the process that trains tells whether it is still there. No torch here.
"""

import json
import math
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from usaggr.errors import RunError
from usaggr.io.atomic_files import write_atomic
from usaggr.io.heartbeats import is_recent, stays_silent
from usaggr.io.locks import exclusive, is_held
from usaggr.results import contract
from usaggr.results.integrity import REPEAT, DamagedError, read_json, seal, typed, unseal
from usaggr.results.run_result import RunResult, State, Status
from usaggr.results.run_settings import write_run_settings
from usaggr.results.spec import RunSpec

HEARTBEAT_SECONDS = 10.0
"""How often a running run says that it is alive."""
STALE_SECONDS = 120.0
"""A claim of another host is stale after so long without a heartbeat; one of this host as soon as its process ends.

Time is the file server's. Before a stale claim of another host is taken over, it is watched for two heartbeats more.
"""

JOB_VARIABLE = "USAGGR_JOB"
"""In the environment of a cluster's job: its name, for `Status.job`."""

_STATUS = threading.Lock()
"""A heartbeat reads status.json and writes it again in a thread of its own: it must not undo what the run says."""


class RunDirectory:
    """`runs/<run_id>/`: reads and writes what is stored of one run."""

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

    def state(self) -> State:
        """What the run is now: done beats everything, then what the status says, if its owner still lives."""
        if self.result_path.exists():
            return "done"
        status = self.status()
        if status is None or status.state == "done":  # then its result is gone
            return "pending"
        if status.state != "running":
            return status.state
        return "running" if is_held(self._lock_path) or self._beats_elsewhere(status) else "stale"

    def status(self) -> Status | None:
        """What `status.json` holds; None where it is missing or not whole."""
        try:
            return typed(self._status_path, read_json(self._status_path, REPEAT), Status, REPEAT)
        except RunError:
            return None

    def write_status(self, status: Status) -> None:
        write_atomic(self._status_path, json.dumps(asdict(status), indent=1))

    @contextmanager
    def claim(self, attempt: int) -> Iterator[bool]:
        """Make the run this process's own for as long as the context lasts.

        Yields False, and does nothing, where another process has it or it is done. The claim is a lock on a file, so
        that the operating system gives it back when its owner dies, however it dies.

        Raises:
            RunError: the file system has no locks.
        """
        with self._free() as free:
            if free:
                now, job = time.time(), os.environ.get(JOB_VARIABLE)
                status = Status("running", os.getpid(), socket.gethostname(), now, attempt, started=now, job=job)
                self.write_status(status)
            yield free

    def settle(self, state: Literal["pending", "failed"], attempt: int, error: str | None = None) -> bool:
        """Say for an owner that is gone what its run is now; False, and nothing, if it is done or has a new owner."""
        with self._free() as free:
            if free:
                self._mark(state, attempt, error)
            return free

    def enqueue(self, job: str) -> bool:
        """Say that a job of a cluster has the run, and will begin it; False, and nothing, as for `settle`."""
        with self._free() as free:
            if free:
                status = self.status()
                self._mark("queued", 0 if status is None else status.attempt, None, job)
            return free

    def fail(self, error: str, attempt: int) -> None:
        """Mark the run, which is this process's own, as failed: its reason in the first line, then its traceback."""
        self._mark("failed", attempt, error)

    def give_back(self, attempt: int) -> None:
        """Say that the run, which is this process's own, waits to be continued."""
        self._mark("pending", attempt, None)

    def beat(self) -> None:
        """Say that this run's owner is alive."""
        with _STATUS:
            status = self.status()
            if status is not None and status.state == "running":
                self.write_status(replace(status, heartbeat=time.time()))

    def write_spec(self, spec: RunSpec, **provenance: Any) -> None:
        """Write `run.yaml`: the resolved specification, and where and with what it is run."""
        write_run_settings(self.path, spec, **provenance)

    def write_result(self, result: RunResult) -> None:
        """Make the run done. Everything else of it must be written before; its checkpoint and its parent's weights go.

        Raises:
            RunError: a score is not a finite number.
        """
        for task, metrics in result.scores.items():
            for metric, value in metrics.items():
                if not math.isfinite(value):
                    raise RunError(f"{self.path.name}: {metric} of {task} is {value}, not a number")
        # Before the result: a kill in between costs a training, and leaves no checkpoint of a run that is done.
        for name in (contract.CHECKPOINT, contract.PARENT):
            shutil.rmtree(self.path / name, ignore_errors=True)
        _flush(self.path)
        write_atomic(self.result_path, json.dumps(seal(asdict(result), self.predictions_path), indent=1))
        with _STATUS:
            status = self.status()
            if status is not None:
                self.write_status(replace(status, state="done", heartbeat=time.time()))

    def result(self) -> RunResult:
        """The finished run's result.

        Raises:
            RunError: not there, not readable, not what was written, or of a newer version of the tool.
        """
        content = unseal(self.result_path, read_json(self.result_path, REPEAT, DamagedError))
        return typed(self.result_path, content, RunResult, REPEAT, DamagedError)

    def clear(self) -> None:
        """Remove what an earlier, unfinished attempt left, but for what the next one needs or goes on with."""
        for path in self.path.iterdir():
            if path.name in (
                ".lock",
                contract.STATUS,
                contract.LOG,
                contract.RUN_SETTINGS,
                contract.CHECKPOINT,
                contract.PARENT,
                contract.LOGS,
                contract.TRACKING,
            ):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextmanager
    def _free(self) -> Iterator[bool]:
        """Hold the lock; yields whether the run is neither done nor another process's."""
        with exclusive(self._lock_path) as locked:
            if not locked or self.result_path.exists():
                yield False
                return
            status = self.status()
            yield status is None or status.state != "running" or not self._beats_elsewhere(status, certain=True)

    def _mark(self, state: State, attempt: int, error: str | None, job: str | None = None) -> None:
        with _STATUS:
            before = self.status()
            started, had = (before.started, before.job) if before is not None else (None, None)
            status = Status(state, os.getpid(), socket.gethostname(), time.time(), attempt, error, started, job or had)
            self.write_status(status)

    def _beats_elsewhere(self, status: Status, certain: bool = False) -> bool:
        """Whether a process of another host has given a sign of life lately.

        `certain`: look twice before saying no, as the file server's clock may have been set a moment ago.
        """
        if status.host == socket.gethostname():
            return False
        if is_recent(self._status_path, STALE_SECONDS):
            return True
        return certain and not stays_silent(self._status_path, 2 * HEARTBEAT_SECONDS)

    @property
    def _lock_path(self) -> Path:
        return self.path / ".lock"

    @property
    def _status_path(self) -> Path:
        return self.path / contract.STATUS


def _flush(directory: Path) -> None:
    """Bring all files under a directory to the disk, so that a result never outlives what it speaks of."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
