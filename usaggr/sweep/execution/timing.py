"""Times of the steps of a sweep: a row in the study's sweeps.csv for each invocation that trained at least one run.

The row includes planning, preparation and the report. The training time of each run is in its own result.json.
"""

import csv
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from usaggr.io.atomic_files import make_write_error
from usaggr.io.locks import hold_lock
from usaggr.results import contract

FILE = contract.SWEEPS
"""Name of the file in a study's directory."""
Step = Literal["planning", "networks", "caches", "start", "runs", "report"]
COLUMNS = ("started", "seconds", *get_args(Step), "workers", "threads", "trained", "run_seconds", "slot_seconds")
_PATIENCE = 5.0
"""Seconds to wait for another sweep that is writing its row."""


@dataclass
class SweepClock:
    """Times of one invocation of a sweep."""

    planning_seconds: float = 0.0
    """Seconds that making the plan took, before this clock was started."""
    workers: int = 0
    threads: int = 0
    """Number of threads of a run."""
    _step_seconds: dict[Step, float] = field(default_factory=dict)
    _start: float = field(default_factory=time.monotonic)
    _started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Add the context's time to a step."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._step_seconds[name] = self._step_seconds.get(name, 0.0) + time.monotonic() - start

    @property
    def seconds(self) -> float:
        """Seconds since the invocation started, with its planning."""
        return self.planning_seconds + time.monotonic() - self._start

    def write(self, directory: Path, trained: int, run_seconds: float, slot_seconds: float) -> None:
        """Append this invocation's row to sweeps.csv.

        Args:
            directory: directory of the study.
            trained: number of runs that this sweep has trained to their end.
            run_seconds: their training time, as their results state it.
            slot_seconds: time of all jobs from their start to their end, as the sweep measured it; it includes failed
                jobs and the start of processes.

        Raises:
            WriteError: the file cannot be written.
        """
        steps = dict.fromkeys(get_args(Step), 0.0) | self._step_seconds
        steps["planning"] += self.planning_seconds
        row: dict[str, object] = {
            "started": self._started_at.isoformat(timespec="seconds"),
            "seconds": f"{self.seconds:.3f}",
            **{name: f"{seconds:.3f}" for name, seconds in steps.items()},
            "workers": self.workers,
            "threads": self.threads,
            "trained": trained,
            "run_seconds": f"{run_seconds:.3f}",
            "slot_seconds": f"{slot_seconds:.3f}",
        }
        with hold_lock(directory / ".lock", _PATIENCE):
            _append(directory / FILE, row)


def _append(path: Path, row: dict[str, object]) -> None:
    # Complete lines in one write, so that a sweep that is killed leaves no partial row.
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    try:
        with path.open("a", newline="", encoding="utf-8") as file:
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
            file.write(text.getvalue())
    except OSError as error:
        raise make_write_error(path, error) from error
