"""Runs that jobs of a cluster have: which of them a sweep takes up, and what is said of the others."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from usaggr.config.executor import SlurmConfig
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.executors.slurm.queue import SlurmQueue, has_slurm, job_of, live_job
from usaggr.sweep.planning.study_plan import Plan, PlannedRun


def open_runs(
    plan: Plan, states: dict[str, State], retry_failed: bool, queue: SlurmQueue | None = None
) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """The runs to train or to follow, and those that are left to jobs that this sweep does not follow.

    With executor=slurm those that living jobs have are followed. Any other executor leaves them alone, and where
    Slurm's commands are missing all that are queued, since nobody can say whether their jobs live.
    """
    follows = isinstance(plan.study.executor, SlurmConfig)
    wanted = {"pending", "stale", "queued"} | ({"failed"} if retry_failed else set())
    queue = queue or SlurmQueue()
    if follows:
        running = [run for run in plan.runs if states[run.spec.run_id] in ("running", "stale")]
        followed = {run.spec.run_id for run in running if live_job(run.directory, queue) is not None}
        todo = [run for run in plan.runs if states[run.spec.run_id] in wanted or run.spec.run_id in followed]
        return todo, []
    queued = [run for run in plan.runs if states[run.spec.run_id] == "queued"]
    if queued and has_slurm():
        queue.look({job for run in queued if (job := job_of(RunDirectory(run.directory).status()))})
        queued = [run for run in queued if live_job(run.directory, queue) is not None]
    left = {run.spec.run_id for run in queued}
    todo = [run for run in plan.runs if states[run.spec.run_id] in wanted and run.spec.run_id not in left]
    return todo, queued


def say_left(left: Sequence[PlannedRun]) -> str:
    """That a sweep leaves runs to their jobs, in one line."""
    unknown = "" if has_slurm() else "; whether these live is not known here, where there is no squeue"
    return f"{len(left)} runs are left to jobs of Slurm ({jobs_of([run.directory for run in left])}){unknown}"


def say_queued(directory: Path, runs: Sequence[PlannedRun]) -> str:
    """Which jobs have how many runs, and how to follow them, in one line."""
    jobs = jobs_of([run.directory for run in runs])
    return f"{len(runs)} in the queue ({jobs}); `usaggr status {directory}` follows them, the same command goes on"


def jobs_of(directories: Sequence[Path]) -> str:
    """Arrays and single jobs by name, with how many runs each has.

    Of each array it says in how many of its jobs these runs are.
    """
    runs: Counter[str] = Counter()
    jobs: dict[str, set[str]] = {}
    for directory in directories:
        job = job_of(RunDirectory(directory).status()) or "?"
        array = job.partition("_")[0]
        runs[array] += 1
        jobs.setdefault(array, set()).add(job)
    return ", ".join(
        f"slurm {array}: {_many(count, 'run')} in {_many(len(jobs[array]), 'job')}" for array, count in runs.items()
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
