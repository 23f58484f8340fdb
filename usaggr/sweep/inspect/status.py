"""Status of a study, read from plan.csv and the run directories alone, without data, torch or pandas."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.document.display_names import pluralize
from usaggr.errors import RunError
from usaggr.io.terminal_text import escape_line
from usaggr.metrics.missing_metrics import REMEDY, find_missing_metrics
from usaggr.results import contract
from usaggr.results.contract_sums import has_sum
from usaggr.results.find_runs import find_runs, is_done
from usaggr.results.integrity import REPEAT, read_json
from usaggr.results.plan import read_plan
from usaggr.results.plan_coverage import check_coverage, check_not_empty
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State, Status
from usaggr.results.stored_study import read_source
from usaggr.sweep.execution.status_line import format_duration
from usaggr.sweep.executors.slurm.queue import PREFIX, SlurmQueue, find_slurm_id, make_log_path

if TYPE_CHECKING:
    from rich.console import Console

_STATES: tuple[State, ...] = ("done", "running", "queued", "failed", "stale", "pending")
_UNFINISHED: tuple[State, ...] = ("running", "queued", "stale", "pending")
_MAX_LISTED = 100
"""Largest number of runs in one state that are listed."""
_WATCH_SECONDS = 2.0
"""Seconds between two updates with `--watch`."""
_PATIENCE = 5.0
"""Seconds to wait for an answer of Slurm."""


@dataclass(frozen=True)
class RunState:
    """State of one planned run."""

    run_id: str
    directory: Path
    state: State
    status: Status | None
    """Last written status; None before the first attempt, and for done runs."""

    @property
    def reason(self) -> str:
        """Reason of the failure in one line; empty if there is none."""
        error = (self.status.error or "").strip() if self.status is not None else ""
        return error.splitlines()[0] if error else ""


@dataclass(frozen=True)
class SweepStatus:
    """States of all runs of a study."""

    runs: tuple[RunState, ...]
    """Planned runs in the plan's order."""
    unplanned: tuple[Path, ...]
    """Directories of finished runs that are no longer in the plan."""
    missing_metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Metrics that planned runs do not have because an older version has scored them, by the run's name."""

    def count(self, state: State) -> int:
        """Return the number of planned runs in a state."""
        return sum(run.state == state for run in self.runs)

    def list_runs(self, state: State) -> tuple[RunState, ...]:
        """Return the planned runs in a state, in the plan's order."""
        return tuple(run for run in self.runs if run.state == state)


def read_sweep_status(directory: Path) -> SweepStatus:
    """Read the current status of the study in a directory.

    Raises:
        RunError: there is no readable plan.csv, or it does not list the runs of the study.
    """
    paths = find_runs(directory)
    runs = []
    planned = set()
    for row in read_plan(directory):
        planned.add(row.fingerprint)
        runs.append(_read_state(row.run_id, paths.get(row.fingerprint, directory / "runs" / row.run_id)))
    unplanned = tuple(path for fingerprint, path in paths.items() if fingerprint not in planned and is_done(path))
    _check_plan(directory, bool(unplanned))
    finished = [run.directory for run in runs if run.state == "done"]
    missing = {path.name: metrics for path in finished if (metrics := _find_missing_metrics(path))}
    return SweepStatus(tuple(runs), unplanned, missing)


def _check_plan(directory: Path, has_unplanned: bool) -> None:
    """Check, as `usaggr clean` and the report do, that a plan without a checksum was not cut off between two lines.

    Args:
        directory: directory of the study.
        has_unplanned: True if there are finished runs that the plan does not list.

    Raises:
        RunError: runs of the study are not in the plan.
    """
    if has_sum(directory / contract.PLAN):
        return
    try:
        source = read_source(directory)
    except RunError:
        return  # the status needs no other file than the plan; the report names damaged ones
    if has_unplanned:
        check_not_empty(source)
    check_coverage(source)


def _find_missing_metrics(directory: Path) -> tuple[str, ...]:
    """Return the metrics that a finished run does not have for one of its tasks or more."""
    path = RunDirectory(directory).result_path
    try:
        return _read_missing_metrics(path, path.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=100_000)
def _read_missing_metrics(path: Path, mtime_ns: int) -> tuple[str, ...]:
    """Return the missing metrics of a result; cached while it does not change, for `--watch`."""
    # `mtime_ns` is used by the cache alone: a result that is written again has another key.
    try:
        content = read_json(path, REPEAT)
        missing = find_missing_metrics(content["scores"], content.get("notes", {}))
        return tuple(dict.fromkeys(name for metrics in missing.values() for name in metrics))
    except (RunError, LookupError, TypeError, AttributeError):
        return ()  # a damaged result is named by the report


def print_status(directory: Path, console: "Console", watch: bool = False) -> None:
    """Print the status of a study.

    Args:
        directory: directory of the study.
        console: where to print.
        watch: True updates the display until all runs are done or failed, or until Ctrl-C.

    Raises:
        RunError: there is no readable plan.csv.
    """
    status = read_sweep_status(directory)
    if not watch:
        console.print("\n".join(describe_status(directory, status)), markup=False, highlight=False, soft_wrap=True)
        return
    from rich.live import Live
    from rich.text import Text

    queue = SlurmQueue(patience=_PATIENCE)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            while True:
                live.update(Text("\n".join(describe_status(directory, status, queue))), refresh=True)
                # Checked after the update, so that the final state stays on the screen.
                if not any(status.count(state) for state in _UNFINISHED):
                    return
                time.sleep(_WATCH_SECONDS)
                status = read_sweep_status(directory)
        except KeyboardInterrupt:
            return


def describe_status(directory: Path, status: SweepStatus, queue: SlurmQueue | None = None) -> list[str]:
    """Return the status in lines: counts, running runs, failed runs with their reasons, and what to do.

    Args:
        directory: directory of the study.
        status: status of the study.
        queue: Slurm's queue, for the jobs of queued runs. Default: the queue of this cluster.
    """
    counts = [f"{status.count(state)} {state}" for state in _STATES if status.count(state)]
    counts += [f"{len(status.unplanned)} unplanned"] if status.unplanned else []
    lines = [f"{directory}: {pluralize(len(status.runs), 'run')}: {', '.join(counts) or 'none'}"]
    queued = status.list_runs("queued")
    # Slurm is called only if runs are queued, because an answer can take seconds.
    lines += describe_queue(queued, queue or SlurmQueue(patience=_PATIENCE)) if queued else []
    details: tuple[tuple[State, Callable[[RunState], str]], ...] = (
        ("running", lambda run: _describe_owner(run) + _describe_job(directory, run)),
        ("failed", lambda run: run.reason + _describe_job(directory, run)),
    )
    for state, describe_run in details:
        runs = status.list_runs(state)
        lines += [f"  {state}: {run.directory.name}: {describe_run(run)}" for run in runs[:_MAX_LISTED]]
        lines += [f"  and {len(runs) - _MAX_LISTED} more {state}"] if len(runs) > _MAX_LISTED else []
    if status.count("failed"):
        lines.append(
            f"complete errors: {directory}/runs/<run>/log.txt; `usaggr sweep ... --retry-failed` trains them again"
        )
    if status.count("stale"):
        lines.append("stale: their processes have ended; the next `usaggr sweep` continues them")
    if status.unplanned:
        lines.append(f"unplanned: done, but no longer in the study; `usaggr clean {directory}` lists them")
    if status.missing_metrics:
        lines += _describe_missing_metrics(status.missing_metrics)
    return [escape_line(line) for line in lines]


def _describe_missing_metrics(missing: dict[str, tuple[str, ...]]) -> list[str]:
    """Return a line for each set of metrics that finished runs do not have, and one with the remedy."""
    by_metrics: dict[tuple[str, ...], list[str]] = {}
    for name, metrics in missing.items():
        by_metrics.setdefault(metrics, []).append(name)
    lines = []
    for metrics, names in by_metrics.items():
        more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
        lines.append(f"  scored without {', '.join(metrics)}: {', '.join(names[:_MAX_LISTED])}{more}")
    return [*lines, f"scored without: an older version did not have these metrics; {REMEDY}"]


def describe_queue(runs: Sequence[RunState], queue: SlurmQueue) -> list[str]:
    """Return a line for each job with queued runs and its state in Slurm, if Slurm answers."""
    jobs = Counter(find_slurm_id(run.status) or "?" for run in runs)
    queue.refresh([job for job in jobs if job != "?"])
    lines = []
    n_gone = 0
    for job, count in jobs.items():
        entry = queue.get_job(job) if queue.is_answering else None
        if entry is None:
            state = "gone" if queue.is_answering else ""
            n_gone += count if queue.is_answering else 0
        else:
            # Slurm gives a useful reason only for jobs that wait.
            state = f"{entry.state}, {entry.reason}" if entry.state == "PENDING" else entry.state
        lines.append(f"  queued: {count} in {PREFIX}{job}{f': {state}' if state else ''}")
    if len(lines) > _MAX_LISTED:
        lines = [*lines[:_MAX_LISTED], f"  and {len(lines) - _MAX_LISTED} more jobs"]
    if not queue.is_answering:
        lines.append("Slurm does not answer here: the queue is read from files alone")
    if n_gone:
        lines.append(f"{n_gone} queued in jobs that are gone: the next `usaggr sweep` submits them again")
    return lines


def _describe_owner(run: RunState) -> str:
    """Return the attempt, duration, process and host of a running run."""
    if run.status is None:
        return ""
    since = format_duration(max(0.0, time.time() - (run.status.started or run.status.heartbeat)))
    return f"attempt {run.status.attempt}, for {since}, pid {run.status.pid} on {run.status.host}"


def _describe_job(directory: Path, run: RunState) -> str:
    """Return a run's job of Slurm and the job's log; empty without a job."""
    job = find_slurm_id(run.status)
    return "" if job is None else f"; {PREFIX}{job}, log: {make_log_path(directory, job)}"


def _read_state(run_id: str, path: Path) -> RunState:
    run = RunDirectory(path)
    state = run.read_state()
    return RunState(run_id, path, state, None if state == "done" else run.read_status())
