"""What a sweep says while it runs: one live line on a terminal, elsewhere the same line every few minutes."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_EVERY = 300.0
"""Seconds between two lines where there is no terminal: enough for the log of a long job."""


class RemainingTime:
    """Estimates how long the rest of a sweep takes, from the runs that have ended."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._seconds = 0.0
        self._examples = 0

    def ended(self, examples: int, seconds: float) -> None:
        """Count a run that was trained to its end."""
        self._examples += examples
        self._seconds += seconds

    def seconds(self, waiting: list[int], running: list[tuple[int, float]]) -> float | None:
        """Seconds until all is done; None before the first run has ended.

        `waiting`: examples of runs not yet started; `running`: examples, and seconds since the start.
        """
        if not self._examples:
            return None
        pace = self._seconds / self._examples
        rests = [max(examples * pace - since, 0.0) for examples, since in running]
        work = sum(examples * pace for examples in waiting) + sum(rests)
        # No run is cut in two: the end is never nearer than that of the longest one.
        longest = max([*rests, *(examples * pace for examples in waiting)], default=0.0)
        return max(work / max(min(self._slots, len(waiting) + len(running)), 1), longest)


class SweepLine:
    """The live line; on a console that is no terminal, a line now and then."""

    def __init__(self, console: "Console", total: int) -> None:
        self._console = console
        self._total = total
        self._started = self._shown = time.monotonic()
        self._live: Live | None = None

    def start(self) -> None:
        """Show the line, on a terminal."""
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, transient=True, refresh_per_second=4)
            self._live.start()

    def stop(self) -> None:
        """Take the line away; again, nothing happens."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, done: int, failed: int, running: int, remaining: float | None, stopping: bool = False) -> None:
        """Draw the line anew; where there is no terminal, print it when it is time."""
        now = time.monotonic()
        if self._live is None and now - self._shown < _EVERY:
            return
        text = line(done, self._total, failed, running, now - self._started, remaining, stopping)
        if self._live is not None:
            self._live.update(text)
        else:
            self._shown = now
            self._console.print(text, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line of its own, above the live one where there is one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def line(
    done: int, total: int, failed: int, running: int, elapsed: float, remaining: float | None, stopping: bool
) -> "Text":
    """The text of the live line."""
    from rich.text import Text

    width = 24
    filled = round(width * done / total) if total else width
    text = Text("sweep ")
    text.append("━" * filled, "green")
    text.append("━" * (width - filled), "dim")
    text.append(f" {done}/{total} done", "bold")
    if failed:
        text.append(f" · {failed} failed", "red")
    text.append(f" · {running} running · {duration(elapsed)}")
    if stopping:
        text.append(" · stopping; runs write checkpoints, Ctrl-C again ends at once", "yellow")
    elif remaining is not None:
        text.append(f" · about {duration(remaining)} left")
    text.no_wrap = True
    return text


def duration(seconds: float) -> str:
    """A length of time as people write it.

    >>> [duration(s) for s in (0.4, 59, 61, 3600, 5000, 200000)]
    ['0 s', '59 s', '1 min 1 s', '1 h 0 min', '1 h 23 min', '2 d 7 h']
    """
    whole = round(seconds)
    for unit, small, size in (("d", "h", 86400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= size:
            rest = {"h": 3600, "min": 60, "s": 1}[small]
            return f"{whole // size} {unit} {whole % size // rest} {small}"
    return f"{whole} s"
