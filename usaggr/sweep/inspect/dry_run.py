"""The line with which a dry run of a sweep ends: the runs that the sweep would train now."""

from datetime import timedelta

from usaggr.sweep.execution.run_order import sort_longest_first
from usaggr.sweep.planning.study_plan import Plan
from usaggr.sweep.planning.time_and_disk import estimate_pace
from usaggr.sweep.queued_runs import select_runs

MAX_NAMED = 10
"""Largest number of runs that are named."""


def describe_dry_run(plan: Plan, retry_failed: bool = False, limit: int | None = None) -> str:
    """Return the number of runs that a sweep would train, the first ones by name, and their estimated time.

    Args:
        plan: Runs of the study.
        retry_failed: True if the sweep trains failed runs again.
        limit: Largest number of runs that the sweep trains; None: all.
    """
    states = {run.spec.run_id: run.read_state() for run in plan.runs}
    requested = sort_longest_first(select_runs(plan, states, retry_failed).to_train)
    runs = requested[:limit]
    if not runs:
        return "this sweep would train no run"
    names = ", ".join(run.directory.name for run in runs[:MAX_NAMED])
    more = f" and {len(runs) - MAX_NAMED} more" if len(runs) > MAX_NAMED else ""
    pace = estimate_pace(plan.runs)
    seconds = 0.0 if pace is None else pace * sum(run.examples for run in runs)
    time = "" if pace is None else f"; about {timedelta(seconds=round(seconds))} of one worker"
    return f"this sweep would train {len(runs)} of {len(requested)} runs now: {names}{more}{time}"
