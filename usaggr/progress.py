"""What long work says while it lasts: one live line on a terminal, nothing elsewhere.

Rooms take a `Progress` and do not know what shows it; `NoProgress` is for tests and for callers that need silence.
"""

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress(Protocol):
    """One piece of work after another, each with a known number of steps."""

    def start(self, what: str, total: int) -> None:
        """Begin a piece of work of `total` steps; `what` says it in a few words. Ends the one before."""

    def advance(self, n: int = 1) -> None:
        """Say that `n` more steps are done."""

    def finish(self) -> None:
        """End the piece of work; without one, nothing happens."""


class NoProgress:
    """Says nothing."""

    def start(self, what: str, total: int) -> None:
        """Say nothing."""

    def advance(self, n: int = 1) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class RichProgress:
    """A live line on standard error: what is done, counts, time spent and time remaining.

    Silent where the console is no terminal. A finished line is replaced by a short one that says how long it took, so
    that a long preparation can be read back; work of less than `keep_seconds` leaves no trace.
    """

    def __init__(self, console: "Console | None" = None, keep_seconds: float = 1.0) -> None:
        from rich.console import Console

        self._console = console or Console(file=sys.stderr)
        self._keep_seconds = keep_seconds
        self._bar: Bar | None = None

    def start(self, what: str, total: int) -> None:
        """Show a new line; without a terminal, nothing."""
        self.finish()
        if self._console.is_terminal:
            self._bar = _live_line(self._console)
            self._bar.add_task(what, total=total)
            self._bar.start()

    def advance(self, n: int = 1) -> None:
        """Move the line on."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], n)

    def finish(self) -> None:
        """End the live line, and leave one that says how long it took, if it was worth saying."""
        if self._bar is None:
            return
        task = self._bar.tasks[0]
        self._bar.stop()
        self._bar = None
        seconds = task.elapsed or 0.0
        if seconds >= self._keep_seconds:
            self._console.print(f"{task.description}: {task.completed:.0f} in {seconds:.0f} s", highlight=False)


def _live_line(console: "Console") -> "Bar":
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
