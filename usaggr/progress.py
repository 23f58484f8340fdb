"""Progress of long work: one live line on a terminal, and nothing elsewhere.

Other modules take a `Progress` and do not depend on how it is shown. `NoProgress` is for tests and silent callers.
"""

import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as LiveLine
    from rich.progress import ProgressColumn


class Progress(Protocol):
    """Pieces of work one after another, each with a given number of steps."""

    def start(self, what: str, total: int) -> None:
        """Start a piece of work with `total` steps, described by `what` in a few words; end the previous one."""

    def advance(self, n: int = 1) -> None:
        """Count `n` more steps as finished."""

    def finish(self) -> None:
        """End the current piece of work, if there is one."""


class NoProgress:
    """A progress that prints nothing."""

    def start(self, what: str, total: int) -> None:
        """Do nothing."""

    def advance(self, n: int = 1) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class RichProgress:
    """A live line on standard error: description, finished steps, elapsed time and remaining time.

    It prints nothing if the console is no terminal. A finished line is replaced by a short one with its duration, so
    that the output still shows how long a preparation took.

    Args:
        console: Where the line is shown. Default: standard error.
        keep_seconds: Work that took less time leaves no line.
    """

    def __init__(self, console: "Console | None" = None, keep_seconds: float = 1.0) -> None:
        from rich.console import Console

        self._console = console or Console(file=sys.stderr)
        self._keep_seconds = keep_seconds
        self._line: LiveLine | None = None

    def start(self, what: str, total: int) -> None:
        """Show a new line on a terminal."""
        self.finish()
        # rich.progress is imported only if a line is shown, so that quiet commands start faster.
        if self._console.is_terminal:
            from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            times = TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
            self._line = start_line(self._console, what, total, MofNCompleteColumn(), *times)

    def advance(self, n: int = 1) -> None:
        """Advance the line by `n` steps."""
        if self._line is not None:
            self._line.advance(self._line.task_ids[0], n)

    def finish(self) -> None:
        """Remove the live line, and print its duration if it was at least `keep_seconds`."""
        if self._line is None:
            return
        task = self._line.tasks[0]
        self._line.stop()
        self._line = None
        seconds = task.elapsed or 0.0
        if seconds >= self._keep_seconds:
            self._console.print(f"{task.description}: {task.completed:.0f} in {seconds:.0f} s", highlight=False)


def start_line(console: "Console", what: str, total: int, *columns: "ProgressColumn", **fields: Any) -> "LiveLine":
    """Show a live line with a description and a bar on a terminal; it disappears when it is stopped.

    Args:
        console: The terminal.
        what: Description in front of the bar.
        total: Number of steps.
        columns: Further columns, shown after the bar.
        fields: Values that columns show as `task.fields[name]`.
    """
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as LiveLine

    description = TextColumn("{task.description}")
    line = LiveLine(description, BarColumn(bar_width=24), *columns, console=console, transient=True)
    line.add_task(what, total=total, **fields)
    line.start()
    return line
