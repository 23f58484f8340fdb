"""Status line of a running sweep: one live line on a terminal, elsewhere the same text every few minutes."""

import time
from typing import TYPE_CHECKING

from usaggr.progress import start_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as LiveLine

_SECONDS_BETWEEN_LINES = 300.0
"""Seconds between two lines without a terminal; the log of a job of many hours stays short."""


class RemainingTime:
    """Estimates the remaining time of a sweep from the runs that have ended."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._seconds = 0.0
        self._examples = 0

    def add_finished(self, examples: int, seconds: float) -> None:
        """Count a run that was trained to its end, with its training examples and its seconds."""
        self._examples += examples
        self._seconds += seconds

    def estimate_seconds(self, waiting: list[int], running: list[tuple[int, float]]) -> float | None:
        """Return the seconds until all runs are done; None before the first run has ended.

        Args:
            waiting: Training examples of each run that has not started.
            running: Training examples of each run in training, and seconds since its start.
        """
        if not self._examples:
            return None
        seconds_per_example = self._seconds / self._examples
        # A run that exceeds its estimate counts as almost finished, not as negative work.
        seconds_left = [max(examples * seconds_per_example - since, 0.0) for examples, since in running]
        seconds_left += [examples * seconds_per_example for examples in waiting]
        work = sum(seconds_left)
        # A run is never shared between workers, so the sweep takes at least as long as its longest run.
        longest = max(seconds_left, default=0.0)
        return max(work / max(min(self._slots, len(waiting) + len(running)), 1), longest)


class SweepLine:
    """The state of a sweep: a live line on a terminal, elsewhere a line every few minutes."""

    def __init__(self, console: "Console", total: int) -> None:
        self._console = console
        self._total = total
        self._started = self._printed = time.monotonic()
        self._line: LiveLine | None = None

    def start(self) -> None:
        """Show the line on a terminal."""
        if self._console.is_terminal:
            from rich.progress import TextColumn

            status = TextColumn("{task.fields[status]}")
            self._line = start_line(self._console, "sweep", self._total, status, status="")

    def stop(self) -> None:
        """Remove the line; a second call does nothing."""
        if self._line is not None:
            self._line.stop()
            self._line = None

    def show(self, finished: int, failed: int, running: int, remaining: float | None, stopping: bool = False) -> None:
        """Update the line; without a terminal, print it if the last one was printed five minutes ago or earlier.

        Args:
            finished: Number of finished runs.
            failed: Number of failed runs.
            running: Number of runs in training.
            remaining: Estimated seconds until all runs are done; None if there is no estimate yet.
            stopping: True if the sweep has asked its runs to stop.
        """
        now = time.monotonic()
        if self._line is None and now - self._printed < _SECONDS_BETWEEN_LINES:
            return
        text = format_status(finished, self._total, failed, running, now - self._started, remaining, stopping)
        if self._line is not None:
            self._line.update(self._line.task_ids[0], completed=finished, status=text)
        else:
            self._printed = now
            # soft_wrap, because rich assumes 80 columns for a file and would split the line.
            self._console.print(f"sweep {text}", highlight=False, soft_wrap=True)

    def print_message(self, text: str) -> None:
        """Print a message on a separate line, above the live one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def format_status(
    finished: int, total: int, failed: int, running: int, elapsed: float, remaining: float | None, stopping: bool
) -> str:
    """Return the counts and times of a sweep as text with rich's markup.

    Args:
        finished: Number of finished runs.
        total: Number of all runs.
        failed: Number of failed runs.
        running: Number of runs in training.
        elapsed: Seconds since the sweep started.
        remaining: Estimated seconds until all runs are done; None if there is no estimate yet.
        stopping: True if the sweep has asked its runs to stop.
    """
    parts = [f"[bold]{finished}/{total} done[/]"]
    if failed:
        parts.append(f"[red]{failed} failed[/]")
    parts += [f"{running} running", format_duration(elapsed)]
    if stopping:
        parts.append("[yellow]stopping; runs write checkpoints, Ctrl-C again ends at once[/]")
    elif remaining is not None:
        parts.append(f"about {format_duration(remaining)} left")
    return " · ".join(parts)


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as hours and minutes.

    >>> [format_duration(s) for s in (0.4, 59, 61, 3600, 5000, 200000)]
    ['0 s', '59 s', '1 min 1 s', '1 h 0 min', '1 h 23 min', '2 d 7 h']
    """
    # Rounded before it is divided into units: 59.6 s is `1 min 0 s`, never `60 s`.
    total_seconds = round(seconds)
    for unit, small, size in (("d", "h", 86400), ("h", "min", 3600), ("min", "s", 60)):
        if total_seconds >= size:
            small_size = {"h": 3600, "min": 60, "s": 1}[small]
            return f"{total_seconds // size} {unit} {total_seconds % size // small_size} {small}"
    return f"{total_seconds} s"
