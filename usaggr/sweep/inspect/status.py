"""How a study stands, read from plan.csv and the run directories alone: no data, no torch, no pandas."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.errors import RunError
from usaggr.metrics.missing_metrics import REMEDY, missing_metrics
from usaggr.results.find_runs import find_runs, is_done
from usaggr.results.integrity import REPEAT, read_json
from usaggr.results.plan import read_plan
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State, Status
from usaggr.sweep.execution.status_line import duration
from usaggr.sweep.executors.slurm.queue import PREFIX, SlurmQueue, job_of, log_of

if TYPE_CHECKING:
    from rich.console import Console

_STATES: tuple[State, ...] = ("done", "running", "queued", "failed", "stale", "pending")
_OPEN: tuple[State, ...] = ("running", "queued", "stale", "pending")
_LISTED = 100
"""Runs named of one state."""
_WATCH_SECONDS = 2.0
_PATIENCE = 5.0
"""Seconds that Slurm has for an answer."""


@dataclass(frozen=True)
class RunState:
    """One planned run."""

    run_id: str
    directory: Path
    state: State
    status: Status | None
    """As written last; None before the first attempt, and of done runs."""

    @property
    def reason(self) -> str:
        """Why it failed, in one line; empty where it did not say."""
        error = (self.status.error or "").strip() if self.status is not None else ""
        return error.splitlines()[0] if error else ""


@dataclass(frozen=True)
class SweepStatus:
    """All runs of a study."""

    runs: tuple[RunState, ...]
    """In the plan's order."""
    unplanned: tuple[Path, ...]
    """Directories of finished runs that the plan no longer asks for."""
    lacking: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Planned runs that an older version has scored, by name: metrics of this version that they lack."""

    def count(self, state: State) -> int:
        """Planned runs in a state."""
        return sum(run.state == state for run in self.runs)

    def those(self, state: State) -> tuple[RunState, ...]:
        """Planned runs in a state, in the plan's order."""
        return tuple(run for run in self.runs if run.state == state)


def status_of(directory: Path) -> SweepStatus:
    """How the study in a directory stands now.

    Raises:
        RunError: no plan.csv, or one that cannot be read.
    """
    found = find_runs(directory)
    runs = []
    planned = set()
    for row in read_plan(directory):
        planned.add(row.fingerprint)
        runs.append(_run_state(row.run_id, found.get(row.fingerprint, directory / "runs" / row.run_id)))
    unplanned = tuple(path for fingerprint, path in found.items() if fingerprint not in planned and is_done(path))
    lacking = {
        run.directory.name: absent for run in runs if run.state == "done" and (absent := _lacking(run.directory))
    }
    return SweepStatus(tuple(runs), unplanned, lacking)


def _lacking(directory: Path) -> tuple[str, ...]:
    """Return the metrics that a finished run lacks for any of its tasks."""
    path = RunDirectory(directory).result_path
    try:
        return _lacking_in(path, path.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=100_000)
def _lacking_in(path: Path, mtime_ns: int) -> tuple[str, ...]:
    """Read a result once while it does not change; with `--watch`, all are asked for every two seconds."""
    try:
        content = read_json(path, REPEAT)
        missing = missing_metrics(content["scores"], content.get("notes", {}))
        return tuple(dict.fromkeys(name for absent in missing.values() for name in absent))
    except (RunError, LookupError, TypeError, AttributeError):
        return ()  # a damaged result is named by the report


def print_status(directory: Path, console: "Console", watch: bool = False) -> None:
    """Print how a study stands; with `watch`, again and again until nothing runs or waits, or Ctrl-C.

    Raises:
        RunError: no plan.csv, or one that cannot be read.
    """
    status = status_of(directory)
    if not watch:
        console.print("\n".join(describe(directory, status)), markup=False, highlight=False, soft_wrap=True)
        return
    from rich.live import Live
    from rich.text import Text

    queue = SlurmQueue(patience=_PATIENCE)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            while True:
                live.update(Text("\n".join(describe(directory, status, queue))), refresh=True)
                if not any(status.count(state) for state in _OPEN):
                    return
                time.sleep(_WATCH_SECONDS)
                status = status_of(directory)
        except KeyboardInterrupt:
            return


def describe(directory: Path, status: SweepStatus, queue: SlurmQueue | None = None) -> list[str]:
    """How a study stands, in lines: counts first, then what runs, what failed and why, and what can be done.

    Slurm is asked, through `queue`, about the jobs of queued runs, if there are any.
    """
    counts = [f"{status.count(state)} {state}" for state in _STATES if status.count(state)]
    counts += [f"{len(status.unplanned)} unplanned"] if status.unplanned else []
    lines = [f"{directory}: {len(status.runs)} runs: {', '.join(counts) or 'none'}"]
    queued = status.those("queued")
    lines += queue_lines(queued, queue or SlurmQueue(patience=_PATIENCE)) if queued else []
    details: tuple[tuple[State, Callable[[RunState], str]], ...] = (
        ("running", lambda run: _owner(run) + _job_and_log(directory, run)),
        ("failed", lambda run: run.reason + _job_and_log(directory, run)),
    )
    for state, what in details:
        runs = status.those(state)
        lines += [f"  {state}: {run.directory.name}: {what(run)}" for run in runs[:_LISTED]]
        lines += [f"  and {len(runs) - _LISTED} more {state}"] if len(runs) > _LISTED else []
    if status.count("failed"):
        lines.append(f"whole errors: {directory}/runs/<run>/log.txt; `usaggr sweep ... --retry-failed` tries again")
    if status.count("stale"):
        lines.append("stale: their processes are gone; the next `usaggr sweep` takes them up again")
    if status.unplanned:
        lines.append(f"unplanned: done, but no longer asked for; `usaggr clean {directory}` lists them")
    if status.lacking:
        lines += _lacking_lines(status.lacking)
    return lines


def _lacking_lines(lacking: dict[str, tuple[str, ...]]) -> list[str]:
    """Return a line for each set of metrics that finished runs lack, and one that says what to do."""
    by_metrics: dict[tuple[str, ...], list[str]] = {}
    for name, metrics in lacking.items():
        by_metrics.setdefault(metrics, []).append(name)
    lines = []
    for metrics, names in by_metrics.items():
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        lines.append(f"  scored without {', '.join(metrics)}: {', '.join(names[:_LISTED])}{more}")
    return [*lines, f"scored without: an older version did not have these metrics; {REMEDY}"]


def queue_lines(runs: Sequence[RunState], queue: SlurmQueue) -> list[str]:
    """A line for each job with queued runs, with what Slurm says of it, or that nobody can say it here."""
    jobs = Counter(job_of(run.status) or "?" for run in runs)
    queue.look([job for job in jobs if job != "?"])
    lines = []
    gone = 0
    for job, count in jobs.items():
        found = queue.found(job) if queue.answers else None
        said = f"{found.state}, {found.reason}" if found is not None and found.state == "PENDING" else ""
        said = said or (found.state if found is not None else "")
        if queue.answers and found is None:
            gone += count
            said = "gone"
        lines.append(f"  queued: {count} in {PREFIX}{job}{f': {said}' if said else ''}")
    if len(lines) > _LISTED:
        lines = [*lines[:_LISTED], f"  and {len(lines) - _LISTED} more jobs"]
    if not queue.answers:
        lines.append("Slurm does not answer here: what is queued is told from files alone")
    if gone:
        lines.append(f"{gone} queued in jobs that are gone: the next `usaggr sweep` submits them anew")
    return lines


def _owner(run: RunState) -> str:
    if run.status is None:
        return ""
    since = duration(max(0.0, time.time() - (run.status.started or run.status.heartbeat)))
    return f"attempt {run.status.attempt}, for {since}, pid {run.status.pid} on {run.status.host}"


def _job_and_log(directory: Path, run: RunState) -> str:
    job = job_of(run.status)
    return "" if job is None else f"; {PREFIX}{job}, log: {log_of(directory, job)}"


def _run_state(run_id: str, path: Path) -> RunState:
    run = RunDirectory(path)
    state = run.state()
    return RunState(run_id, path, state, None if state == "done" else run.status())
