"""Progress of long work: one line on a terminal that is updated as the work advances, and nothing elsewhere.

Other modules take a `Progress` and do not depend on how it is shown: `RichProgress` shows it with the package rich,
`NoProgress` is for tests and silent callers.
"""

import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as LiveLine
    from rich.progress import ProgressColumn


class Progress(Protocol):
    """Interface for work that reports its progress: pieces of work in sequence, each with a known number of steps."""

    def start(self, description: str, total: int) -> None:
        """Start a piece of work with `total` steps, described by `description` in a few words; end the previous one."""

    def advance(self, n: int = 1) -> None:
        """Count `n` more steps as finished."""

    def finish(self) -> None:
        """End the current piece of work, if there is one."""


class NoProgress:
    """Implementation that shows nothing."""

    def start(self, description: str, total: int) -> None:
        """Do nothing."""

    def advance(self, n: int = 1) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class RichProgress:
    """A live line on standard error: description, finished steps, elapsed time and remaining time.

    It prints nothing if the console is not a terminal. When the work is finished, a summary with its duration replaces
    the live line, so that the output still shows how long a preparation took.

    Args:
        console: Console that shows the line. Default: standard error.
        keep_seconds: Minimum duration of work that leaves a summary, in seconds.
    """

    def __init__(self, console: "Console | None" = None, keep_seconds: float = 1.0) -> None:
        from usaggr.io.rich_console import SafeConsole

        self._console = console or SafeConsole(file=sys.stderr)
        self._keep_seconds = keep_seconds
        self._line: LiveLine | None = None

    def start(self, description: str, total: int) -> None:
        """End the previous piece of work, and show a new line on a terminal."""
        self.finish()
        # rich.progress is imported only if a line is shown, so that quiet commands start faster.
        if self._console.is_terminal:
            from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            time_columns = TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
            self._line = start_line(self._console, description, total, MofNCompleteColumn(), *time_columns)

    def advance(self, n: int = 1) -> None:
        """Advance the line by `n` steps."""
        if self._line is not None:
            # `LiveLine` can show several tasks (pieces of work); a line of this class has one.
            self._line.advance(self._line.task_ids[0], n)

    def finish(self) -> None:
        """Remove the live line, and print a summary if the work took at least `keep_seconds`."""
        if self._line is None:
            return
        task = self._line.tasks[0]
        self._line.stop()
        self._line = None
        seconds = task.elapsed or 0.0
        if seconds >= self._keep_seconds:
            self._console.print(f"{task.description}: {task.completed:.0f} in {seconds:.0f} s", highlight=False)


def start_line(
    console: "Console", description: str, total: int, *columns: "ProgressColumn", **fields: Any
) -> "LiveLine":
    """Show a live line with a description and a bar on a terminal; it disappears when its `stop` is called.

    Args:
        console: Console of the terminal.
        description: Text in front of the bar.
        total: Number of steps.
        columns: Further columns, shown after the bar.
        fields: Named values that `columns` can show; a column reads them from `task.fields`.
    """
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as LiveLine

    line = LiveLine(
        TextColumn("{task.description}"), BarColumn(bar_width=24), *columns, console=console, transient=True
    )
    line.add_task(description, total=total, **fields)
    line.start()
    return line
