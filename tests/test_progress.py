"""Progress is a live line on a terminal, and prints nothing elsewhere."""

import io

from rich.console import Console

from usaggr.progress import NoProgress, Progress, RichProgress


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def work(progress: Progress) -> None:
    progress.start("drawing phantoms", 4)
    progress.advance()
    progress.advance(3)
    progress.finish()


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_is_printed_if_the_console_is_no_terminal() -> None:
    quiet = console(terminal=False)
    work(RichProgress(quiet, keep_seconds=0))
    assert written(quiet) == ""


def test_a_terminal_shows_counts_and_a_line_that_stays() -> None:
    live = console(terminal=True)
    work(RichProgress(live, keep_seconds=0))
    assert "4/4" in written(live)
    assert written(live).endswith("drawing phantoms: 4 in 0 s\n")


def test_short_work_leaves_no_line() -> None:
    live = console(terminal=True)
    work(RichProgress(live, keep_seconds=60))
    assert "in 0 s" not in written(live)


def test_starting_again_ends_the_previous_work() -> None:
    live = console(terminal=True)
    progress = RichProgress(live, keep_seconds=0)
    progress.start("first", 2)
    progress.start("second", 3)
    progress.finish()
    assert "first: 0 in 0 s" in written(live)
    assert written(live).endswith("second: 0 in 0 s\n")


def test_finishing_or_advancing_before_a_start_prints_nothing_and_does_not_count() -> None:
    live = console(terminal=True)
    for progress in (NoProgress(), RichProgress(live, keep_seconds=0)):
        progress.advance()
        progress.finish()
    assert written(live) == ""
    progress.start("drawing", 1)
    progress.finish()
    assert "drawing: 0 in 0 s" in written(live)
