"""Schedule of a soak test's kills: SIGKILL for main processes and workers, at random times with a seed."""

import random
import signal
from collections import Counter
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Pace:
    """Smallest and largest seconds between kills, uniformly distributed."""

    worker: tuple[float, float] = (1.0, 3.0)
    """Time from one kill of a worker to the next, once the invocation has finished a run."""
    late: tuple[float, float] = (2.0, 20.0)
    """Time from an invocation's first finished run to the kill of its main process, so that each makes progress."""
    early: tuple[float, float] = (0.0, 8.0)
    """Time from the start to that kill in early-killed invocations, which hits planning, imports and caches."""
    share_early: float = 0.25
    """Share of early-killed invocations."""
    most: int | None = None
    """Largest number of kills of each kind, after which the sweep may finish; None: no limit."""


class Kills:
    """Random kills of one invocation after another."""

    def __init__(self, seed: int, pace: Pace) -> None:
        self.counts: Counter[str] = Counter()
        """Number of kills by kind, "main" or "worker"."""
        self._random = random.Random(seed)
        self._pace = pace
        self._main: float | None = None
        self._late = 0.0
        self._worker = 0.0

    def begin(self, now: float) -> None:
        """Draw the times of kills for an invocation that has just started."""
        early = self._random.random() < self._pace.share_early
        self._main = now + self._random.uniform(*self._pace.early) if early else None
        self._late = self._random.uniform(*self._pace.late)
        self._worker = now + self._random.uniform(*self._pace.worker)

    def look(self, process: psutil.Process, now: float, gets_on: bool) -> None:
        """Kill the processes that are due.

        Args:
            process: Main process of the invocation.
            now: Current time, in seconds.
            gets_on: True if this invocation has finished a run.
        """
        if self._main is None and gets_on:
            self._main = now + self._late
        if self._main is not None and now >= self._main and self._may("main"):
            _kill(process)
        elif gets_on and now >= self._worker and self._may("worker"):  # before, its processes train no runs
            self._worker = now + self._random.uniform(*self._pace.worker)
            if workers := _workers(process):
                self.counts["worker"] += _kill(self._random.choice(workers))

    def ended(self, status: int) -> bool:
        """Return True if a kill ended the invocation; its main process may have ended by itself before."""
        killed = status == -signal.SIGKILL
        self.counts["main"] += killed
        return killed

    def _may(self, kind: str) -> bool:
        return self._pace.most is None or self.counts[kind] < self._pace.most


def _kill(process: psutil.Process) -> bool:
    """Kill a process, and return True if it was still running."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _workers(process: psutil.Process) -> list[psutil.Process]:
    """Return the workers of a main process, sorted by age so that a seed selects the same ones."""
    workers = []
    try:
        for child in process.children():
            workers += child.children()
    except psutil.NoSuchProcess:
        return []
    return sorted(workers, key=lambda worker: worker.pid)
