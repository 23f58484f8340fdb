"""Selection of the runs that a sweep trains, and messages about runs that jobs of a cluster hold.

A sweep follows a run if it waits for the run's job instead of starting the run itself.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from usaggr.config.executor import SlurmConfig
from usaggr.document.display_names import pluralize
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.executors.slurm.queue import SlurmQueue, find_live_job, find_slurm_id, has_slurm
from usaggr.sweep.planning.study_plan import Plan, PlannedRun


class RunSelection(NamedTuple):
    """Runs that a sweep trains or follows, and runs that it leaves to jobs of a cluster."""

    to_train: list[PlannedRun]
    assigned_to_jobs: list[PlannedRun]


def select_runs(
    plan: Plan, states: dict[str, State], retry_failed: bool, queue: SlurmQueue | None = None
) -> RunSelection:
    """Select the runs that a sweep trains or follows.

    With executor=slurm the sweep follows the runs of live jobs, which wait in Slurm's queue or run. Other executors
    leave these runs to their jobs. Without Slurm's commands they leave all queued runs, since any job may be live.

    Args:
        plan: runs of the study.
        states: state of each run by run_id.
        retry_failed: True selects failed runs as well.
        queue: Slurm's queue. Default: the queue of this cluster.
    """
    queue = queue or SlurmQueue()
    selected_states = {"pending", "stale", "queued"} | ({"failed"} if retry_failed else set())
    selected = {run.spec.run_id for run in plan.runs if states[run.spec.run_id] in selected_states}
    if isinstance(plan.study.executor, SlurmConfig):
        running = [run for run in plan.runs if states[run.spec.run_id] == "running"]
        selected |= {run.spec.run_id for run in running if find_live_job(run.directory, queue) is not None}
        return RunSelection([run for run in plan.runs if run.spec.run_id in selected], [])
    queued = [run for run in plan.runs if states[run.spec.run_id] == "queued"]
    if queued and has_slurm():
        # One request for all jobs: each call of squeue may take seconds on a busy cluster.
        queue.refresh({job for run in queued if (job := find_slurm_id(RunDirectory(run.directory).read_status()))})
        queued = [run for run in queued if find_live_job(run.directory, queue) is not None]
    selected -= {run.spec.run_id for run in queued}
    return RunSelection([run for run in plan.runs if run.spec.run_id in selected], queued)


def describe_assigned_to_jobs(runs: Sequence[PlannedRun]) -> str:
    """Return one line about the runs that a sweep leaves to their jobs."""
    unknown = "" if has_slurm() else "; this machine has no squeue, so these jobs may have ended"
    jobs = describe_jobs([run.directory for run in runs])
    return f"{pluralize(len(runs), 'run is', 'runs are')} left to jobs of Slurm ({jobs}){unknown}"


def describe_queued(directory: Path, runs: Sequence[PlannedRun]) -> str:
    """Return one line about the jobs that hold queued runs, and the commands to follow and to continue them."""
    jobs = describe_jobs([run.directory for run in runs])
    return (
        f"{len(runs)} in the queue ({jobs}); `usaggr status {directory}` shows their progress; run the same command to "
        "continue"
    )


def describe_jobs(directories: Sequence[Path]) -> str:
    """Return the job arrays and single jobs that hold runs, with the numbers of their runs and jobs.

    An example: "slurm 4711: 8 runs in 2 jobs".
    """
    run_counts: Counter[str] = Counter()
    jobs: dict[str, set[str]] = {}
    for directory in directories:
        job = find_slurm_id(RunDirectory(directory).read_status()) or "?"
        array = job.partition("_")[0]  # Slurm calls the jobs of array 12 by 12_0, 12_1, ...
        run_counts[array] += 1
        jobs.setdefault(array, set()).add(job)
    return ", ".join(
        f"slurm {array}: {_count(count, 'run')} in {_count(len(jobs[array]), 'job')}"
        for array, count in run_counts.items()
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
