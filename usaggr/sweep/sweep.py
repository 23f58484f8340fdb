"""The sweep: trains the planned runs that are not done, and builds the report.

All state is on disk, in the run directories. A new sweep, a resumed one, and two sweeps that share a study are
therefore the same operation: train the runs that are not done.
"""

import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.data.batches.run_data import RunData
from usaggr.document.display_names import pluralize
from usaggr.errors import RunError, UsaggrError, WriteError
from usaggr.io.locks import hold_lock
from usaggr.progress import Progress, RichProgress
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.execution.damaged_results import set_damaged_aside
from usaggr.sweep.execution.jobs import Executor
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.execution.parent_weights import set_weightless_aside
from usaggr.sweep.execution.signals import INTERRUPTED, handle_interrupts
from usaggr.sweep.execution.status_line import SweepLine
from usaggr.sweep.execution.timing import SweepClock
from usaggr.sweep.executors.choose_executor import make_executor
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, write_plan, write_states
from usaggr.sweep.queued_runs import describe_assigned_to_jobs, select_runs
from usaggr.sweep.sweep_summary import summarize
from usaggr.sweep.sweep_tracking import GetStudy, track_sweep

if TYPE_CHECKING:
    from rich.console import Console

    from usaggr.sweep.kept_weights import KeptWeights

GetData = Callable[[PlannedRun], RunData | None]
"""Function that returns the data of a run."""
Prepare = Callable[[Plan, Sequence[PlannedRun], Progress], GetData]
"""Function that prepares, once, the image caches that the runs read."""
Check = Callable[[Plan, Sequence[PlannedRun], Progress], "KeptWeights | None"]
"""Function that checks, once, that the runs' networks can be built, and decides whether runs keep their weights.

None: nothing is decided, and runs with training.keep_weights=auto keep none.
"""
BuildReport = Callable[[Sequence[Path]], Path]
"""Function that builds the report of study directories and returns the report's folder."""


@dataclass(frozen=True)
class SweepOutcome:
    """States of the planned runs at the end of a sweep, and what the sweep did."""

    done: int
    failed: int
    """Number of failed runs, including those that failed in an earlier sweep and were not tried again."""
    skipped: int
    """Number of runs that were done before this sweep; part of `done`."""
    remaining: int
    """Number of runs that are neither done nor failed."""
    elsewhere: int
    """Number of runs that another process trains; part of `remaining`."""
    queued: int
    """Number of runs that jobs of a cluster hold, for which this sweep does not wait; part of `remaining`."""
    interrupted: bool
    unfinished: int
    """Number of runs that are left although they should be done now; part of `remaining`.

    Runs beyond `limit` do not count, nor do those that a cluster has in its queue with their children.
    """
    unwritable: bool
    """True if the sweep stopped because a disk was full, read-only, failing or gone."""
    seconds: float
    """Duration of the sweep with its planning."""
    report: Path | None
    """Folder of the report; None if no run is done or failed, the sweep was interrupted, or building failed."""
    errors: tuple[str, ...]
    """Messages about files, or a report, that could not be written; the runs are not affected."""

    @property
    def exit_status(self) -> int:
        """0 if all requested runs are done; 1 if one is not, or the report or a file failed; 130 if interrupted."""
        if self.interrupted:
            return INTERRUPTED
        return int(self.failed > 0 or self.unfinished > 0 or self.unwritable or bool(self.errors))


def run_sweep(
    plan: Plan,
    *,
    retry_failed: bool = False,
    fail_fast: bool = False,
    limit: int | None = None,
    console: "Console | None" = None,
    executor: Executor | None = None,
    prepare: Prepare | None = None,
    check: Check | None = None,
    build_report: BuildReport,
    planning_seconds: float = 0.0,
) -> SweepOutcome:
    """Train the planned runs that are not done, longest first, and build the report.

    A run that another process is training is left to that process. Ctrl-C stops the runs of this sweep and releases
    their claims, so that the next sweep resumes them.

    Args:
        plan: runs of the study.
        retry_failed: Also trains runs that failed in an earlier sweep.
        fail_fast: Starts no run after the first failure; running ones finish.
        limit: Maximum number of runs to start. Default: no limit.
        console: Console for messages. Default: standard error.
        executor: Trains the runs. Default: the executor of the study.
        prepare: Prepares the data of the runs. Default: builds or opens their image caches.
        check: Verifies that every network can be built before training starts. Default: builds them on this machine;
            skipped if `executor` is given.
        build_report: Builds the report.
        planning_seconds: Time that making the plan took, for sweeps.csv.

    Raises:
        ConfigError: the directory holds another data set or split, a requested GPU is not available, or a network
            cannot be built.
        DataError: the data cannot be read.
        RunError: no worker can be started, the file system has no locks, or the directory is not writable.
    """
    clock = SweepClock(planning_seconds)
    console = console or make_sweep_console()
    with clock.step("planning"):
        states = _prepare_directory(plan, console)
    skipped = sum(state == "done" for state in states.values())
    runs_to_train, assigned_to_jobs = select_runs(plan, states, retry_failed)
    if assigned_to_jobs:
        print_line(console, describe_assigned_to_jobs(assigned_to_jobs))

    loop = Loop(plan.runs, runs_to_train, states, plan.study.executor.attempts, fail_fast, limit)
    if runs_to_train:
        check = check or (_check_networks if executor is None else None)
        executor = executor or make_executor(plan.study)
        train_runs(plan, runs_to_train, loop, console, executor, prepare or open_sweep_caches, check, clock)
    for line in summarize(plan, loop, clock.seconds if runs_to_train else None):
        print_line(console, line)

    errors = _try_to_write(lambda: write_states(plan), console) if runs_to_train else []
    report, report_errors = _build_report(plan, loop, build_report, console, clock)
    if loop.trained:
        errors += _try_to_write(lambda: _write_times(plan, loop, clock), console)
    return _make_outcome(loop, skipped, report, [*errors, *report_errors], clock.seconds)


def _prepare_directory(plan: Plan, console: "Console") -> dict[str, State]:
    """Write the plan, set unusable results aside, and return the states of the planned runs by run_id.

    Also remove the checkpoints of finished runs whose process was killed right after it had written the result.
    """
    write_plan(plan)
    with hold_lock(plan.directory / ".lock"):
        pass  # on a file system without locks, fail before anything is trained
    for message in set_damaged_aside(plan.runs):
        print_line(console, message)
    for message in set_weightless_aside(plan.runs):
        print_line(console, message)
    # Only now: runs whose results were set aside are no longer done.
    states = {run.spec.run_id: run.read_state() for run in plan.runs}
    for run in plan.runs:
        if states[run.spec.run_id] == "done":
            RunDirectory(run.directory).remove_resume_files()
    return states


def train_runs(
    plan: Plan,
    runs: Sequence[PlannedRun],
    loop: Loop,
    console: "Console",
    executor: Executor,
    prepare: Prepare,
    check: Check | None,
    clock: SweepClock,
) -> None:
    """Check the networks, prepare the data, start the executor and run the loop.

    Args:
        plan: runs of the study.
        runs: runs to train.
        loop: loop over these runs; it records how they end.
        console: console for messages and the live line.
        executor: trains the runs; it is started and stopped here.
        prepare: prepares the data of the runs.
        check: verifies that every network can be built; None skips it.
        clock: measures the time of each step.
    """
    with track_sweep(plan, loop, runs, lambda text: print_line(console, text)) as get_study:
        # Not yet under `handle_interrupts`: here Ctrl-C raises KeyboardInterrupt, since no run needs a checkpoint.
        try:
            if check is not None:  # before the caches, because these may take long
                with clock.step("networks"):
                    decision = check(plan, runs, RichProgress(console))
                if decision is not None:
                    print_line(console, decision.describe())
                    get_study = _keep_weights(get_study, decision)
            with clock.step("caches"):
                get_data = prepare(plan, runs, RichProgress(console))
        except KeyboardInterrupt:
            loop.interrupted = True
            return
        line = SweepLine(console, len(plan.runs))
        with handle_interrupts(line.stop) as interruption, ExitStack() as stack:
            with clock.step("start"):
                stack.enter_context(executor)
            clock.workers, clock.threads = executor.slots, executor.threads
            limit = f", at most {loop.limit} of them now" if loop.limit is not None and loop.limit < len(runs) else ""
            workers, planned = pluralize(executor.slots, "worker"), pluralize(len(plan.runs), "run")
            print_line(console, f"{plan.study.name}: {planned}, {len(runs)} to train{limit}, {workers}")
            line.start()
            try:
                with clock.step("runs"):
                    loop.run(executor, get_data, line, interruption, get_study)
            finally:
                line.stop()


def _keep_weights(get_study: GetStudy, decision: "KeptWeights") -> GetStudy:
    """Return a function that returns the study of a run with `training.keep_weights=auto` replaced."""
    return lambda run: decision.resolve(get_study(run))


def _try_to_write(write: Callable[[], None], console: "Console") -> list[str]:
    """Write a file; print and return the error if that fails, because the trained runs matter more than the file."""
    try:
        write()
    except WriteError as error:
        print_line(console, str(error))
        return [str(error)]
    return []


def _build_report(
    plan: Plan, loop: Loop, build_report: BuildReport, console: "Console", clock: SweepClock
) -> tuple[Path | None, list[str]]:
    """Build the report and print its folder, or the reason why it failed.

    No report is built if no run has ended, or if the sweep was interrupted. If all runs failed, the report says why.

    Args:
        plan: runs of the study.
        loop: states of the runs after the loop has ended.
        build_report: builds the report.
        console: console for messages.
        clock: measures the time of building.

    Returns:
        The report's folder, None if there is no report, and the errors.
    """
    if loop.interrupted or not (loop.count("done") or loop.count("failed")):
        return None, []
    try:
        with clock.step("report"):
            path = build_report([plan.directory])
    except Exception as error:
        reason = str(error) if isinstance(error, UsaggrError) else traceback.format_exc()
        message = f"the report could not be built (usaggr report {plan.directory} tries again): {reason}"
        print_line(console, message)
        return None, [message]
    print_line(console, f"report: {path}")
    return path, []


def _write_times(plan: Plan, loop: Loop, clock: SweepClock) -> None:
    """Append the times of this sweep to sweeps.csv.

    Args:
        plan: runs of the study.
        loop: loop that has trained at least one run.
        clock: times of the sweep's steps.
    """
    run_seconds = 0.0
    for run in loop.trained:
        with suppress(RunError):  # the result may have been removed meanwhile
            run_seconds += RunDirectory(run.directory).read_result().cost.seconds
    clock.write(plan.directory, len(loop.trained), run_seconds, loop.slot_seconds)


def _make_outcome(loop: Loop, skipped: int, report: Path | None, errors: Sequence[str], seconds: float) -> SweepOutcome:
    """Return the outcome of a sweep whose loop has ended.

    Args:
        loop: states of the runs.
        skipped: number of runs that were done before.
        report: folder of the report.
        errors: messages about files that could not be written.
        seconds: duration of the sweep.
    """
    n_done, n_failed = loop.count("done"), loop.count("failed")
    return SweepOutcome(
        done=n_done,
        failed=n_failed,
        skipped=skipped,
        remaining=loop.total - n_done - n_failed,
        elsewhere=loop.count("running"),
        queued=loop.count("queued"),
        unfinished=loop.count_unfinished(),
        interrupted=loop.interrupted,
        unwritable=loop.unwritable,
        seconds=seconds,
        report=report,
        errors=tuple(errors),
    )


# The imports in these functions take long, and a sweep with nothing to train needs none of them.


def open_sweep_caches(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> GetData:
    """Build or open the image caches of runs, see `open_caches`.

    Args:
        plan: runs of the study and their data.
        runs: runs to train.
        progress: counts the images.
    """
    from usaggr.sweep.execution.image_caches import open_caches

    return open_caches(plan, runs, progress)


def _check_networks(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> "KeptWeights":
    from usaggr.sweep.kept_weights import decide_after_check
    from usaggr.sweep.network_checks import check_networks

    return decide_after_check(plan, runs, check_networks(plan, runs, progress))


def make_sweep_console() -> "Console":
    """Return the console of a sweep, which prints to standard error."""
    from usaggr.io.rich_console import SafeConsole

    return SafeConsole(stderr=True)


def print_line(console: "Console", text: str) -> None:
    """Print a line as it is."""
    # Paths and messages may contain square brackets, which Rich would take for markup.
    console.print(text, highlight=False, markup=False, soft_wrap=True)
