"""When a soak kills what: SIGKILL for main processes and workers, at times drawn by a seed."""

import random
import signal
from collections import Counter
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Pace:
    """Seconds between kills: from the least to the most, evenly distributed."""

    worker: tuple[float, float] = (1.0, 3.0)
    """From one kill of a worker to the next, once the invocation has done a run."""
    late: tuple[float, float] = (2.0, 20.0)
    """From the first run that an invocation has done to a kill of its main process, so that each gets on."""
    early: tuple[float, float] = (0.0, 8.0)
    """From the start of the command to that kill, in some invocations: planning, imports and caches are hit."""
    share_early: float = 0.25
    """How many those are."""
    most: int | None = None
    """Kills of each kind; then what is left may end. None: no end."""


class Kills:
    """Kills for one sweep after another."""

    def __init__(self, seed: int, pace: Pace) -> None:
        self.done: Counter[str] = Counter()
        """By kind."""
        self._random = random.Random(seed)
        self._pace = pace
        self._main: float | None = None
        self._late = 0.0
        self._worker = 0.0

    def begin(self, now: float) -> None:
        """Draw the times for an invocation that has just begun."""
        early = self._random.random() < self._pace.share_early
        self._main = now + self._random.uniform(*self._pace.early) if early else None
        self._late = self._random.uniform(*self._pace.late)
        self._worker = now + self._random.uniform(*self._pace.worker)

    def look(self, process: psutil.Process, now: float, gets_on: bool) -> None:
        """Kill what is due; `gets_on`: this invocation has done a run."""
        if self._main is None and gets_on:
            self._main = now + self._late
        if self._main is not None and now >= self._main and self._may("main"):
            _kill(process)
        elif gets_on and now >= self._worker and self._may("worker"):  # before, there are helpers, and no runs
            self._worker = now + self._random.uniform(*self._pace.worker)
            if workers := _workers(process):
                self.done["worker"] += _kill(self._random.choice(workers))

    def ended(self, status: int) -> bool:
        """Whether the invocation ended by a kill; its main process may have been faster."""
        killed = status == -signal.SIGKILL
        self.done["main"] += killed
        return killed

    def _may(self, kind: str) -> bool:
        return self._pace.most is None or self.done[kind] < self._pace.most


def _kill(process: psutil.Process) -> bool:
    """Whether there was something to kill."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _workers(process: psutil.Process) -> list[psutil.Process]:
    """By age, so that a seed means something."""
    found = []
    try:
        for child in process.children():
            found += child.children()
    except psutil.NoSuchProcess:
        return []
    return sorted(found, key=lambda worker: worker.pid)
