"""The lines that a sweep prints at its end: its numbers of done, failed and remaining runs, and what to do next."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.execution.status_line import format_duration
from usaggr.sweep.planning.study_plan import Plan
from usaggr.sweep.queued_runs import describe_queued

MAX_LISTED_FAILURES = 10
"""Number of failed runs that the summary names."""


def summarize(plan: Plan, loop: Loop, seconds: float | None) -> Iterator[str]:
    """Yield the lines about the end of a sweep.

    Args:
        plan: runs of the study.
        loop: states of the runs after the loop has ended.
        seconds: duration of the sweep; None if there was nothing to train.
    """
    n_done, n_failed, n_elsewhere, total = loop.count("done"), loop.count("failed"), loop.count("running"), loop.total
    if loop.interrupted:
        yield f"{n_done} of {total} runs are done; stopped; run the same command to continue"
        return
    if seconds is None:
        yield f"nothing to train: {n_done} of {total} runs are done"
    else:
        yield f"{n_done} of {total} runs are done, after {format_duration(seconds)}"
    if loop.failures:
        yield _list_failures(plan.directory, list(loop.failures))
    if n_earlier := n_failed - len(loop.failures):
        yield f"{n_earlier} failed in an earlier sweep; --retry-failed trains them again"
    if loop.unwritable:
        yield "stopped: a disk cannot be used, see above; once that is fixed, run the same command to continue"
    if loop.unstartable:
        yield (
            "stopped: the worker processes of several runs die repeatedly, or Ray has ended, see above; free memory or "
            "use fewer executor.workers, then run the same command to continue"
        )
    if n_elsewhere:
        yield f"{n_elsewhere} left to another process, which is training them; once it has ended, check `usaggr status`"
    queued = [run for run in plan.runs if loop.get_state(run.spec.run_id) == "queued"]
    if queued:
        yield describe_queued(plan.directory, queued)
    if n_remaining := total - n_done - n_failed - n_elsewhere - len(queued):
        later = "; those that wait for queued parents are submitted by the same command, later" if queued else ""
        yield f"{n_remaining} left to train{later}"


def _list_failures(directory: Path, run_ids: Sequence[str]) -> str:
    """Return one line that names the runs that failed in this sweep; each reason was printed when it happened."""
    names = ", ".join(run_ids[:MAX_LISTED_FAILURES])
    more = f" and {len(run_ids) - MAX_LISTED_FAILURES} more" if len(run_ids) > MAX_LISTED_FAILURES else ""
    return f"{len(run_ids)} failed: {names}{more}; `usaggr status {directory}` gives the reasons"
