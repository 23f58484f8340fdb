"""What the parts of a sweep took: a row in the study's sweeps.csv for each invocation that trained something.

Seconds of a run are in its own result.json; these are of what stands around the runs.
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

from usaggr.io.atomic_files import cannot_write
from usaggr.io.locks import exclusive
from usaggr.results import contract

FILE = contract.SWEEPS
"""In a study's directory."""
Part = Literal["planning", "networks", "caches", "start", "runs", "report"]
COLUMNS = ("started", "seconds", *get_args(Part), "workers", "threads", "trained", "run_seconds", "slot_seconds")
_PATIENCE = 5.0
"""Seconds to wait for another sweep that writes its row."""


@dataclass
class SweepClock:
    """Times one invocation; `planned` is what making its plan took, before this clock was there."""

    planned: float = 0.0
    workers: int = 0
    threads: int = 0
    """Of a run."""
    _parts: dict[Part, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        """Count the context's time for a part."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._parts[name] = self._parts.get(name, 0.0) + time.monotonic() - began

    @property
    def seconds(self) -> float:
        """Since the invocation began, its planning too."""
        return self.planned + time.monotonic() - self._began

    def write(self, directory: Path, trained: int, run_seconds: float, slot_seconds: float) -> None:
        """Add this invocation's row.

        `trained` runs have ended with a result, which say that they took `run_seconds` in all; `slot_seconds` is the
        sum over all jobs from their start to their end, as the sweep saw them.

        Raises:
            WriteError: it cannot be written.
        """
        parts = dict.fromkeys(get_args(Part), 0.0) | self._parts
        parts["planning"] += self.planned
        row: dict[str, object] = {
            "started": self._now.isoformat(timespec="seconds"),
            "seconds": f"{self.seconds:.3f}",
            **{name: f"{took:.3f}" for name, took in parts.items()},
            "workers": self.workers,
            "threads": self.threads,
            "trained": trained,
            "run_seconds": f"{run_seconds:.3f}",
            "slot_seconds": f"{slot_seconds:.3f}",
        }
        with exclusive(directory / ".lock", _PATIENCE):
            _append(directory / FILE, row)


def _append(path: Path, row: dict[str, object]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    try:
        with path.open("a", newline="") as file:
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
            file.write(text.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from error
