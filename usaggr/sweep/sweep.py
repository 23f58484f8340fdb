"""The sweep: executes what is planned and not done yet, and says how it went.

All state is on disk, in the run directories, so that starting, going on, retrying and sharing a study between several
sweeps are the same: do what is not done yet.
"""

import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.data.batches.run_data import RunData
from usaggr.errors import RunError, UsaggrError, WriteError
from usaggr.io.locks import exclusive
from usaggr.progress import Progress, RichProgress
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.execution.damaged_results import put_aside_damaged
from usaggr.sweep.execution.jobs import Executor
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.execution.parent_weights import put_aside_weightless
from usaggr.sweep.execution.signals import INTERRUPTED, interruptible
from usaggr.sweep.execution.status_line import SweepLine, duration
from usaggr.sweep.execution.timing import SweepClock
from usaggr.sweep.executors.choose_executor import executor_for
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, write_plan, write_states
from usaggr.sweep.queued_runs import open_runs, say_left, say_queued
from usaggr.sweep.sweep_tracking import followed

if TYPE_CHECKING:
    from rich.console import Console

DataOf = Callable[[PlannedRun], RunData | None]
Prepare = Callable[[Plan, Sequence[PlannedRun], Progress], DataOf]
"""Makes ready, once, what the runs read; gives each run its data."""
Check = Callable[[Plan, Sequence[PlannedRun], Progress], None]
"""Sees, once, that the runs' networks can be built."""
Report = Callable[[Sequence[Path]], Path]
"""Builds the report of the directories; gives its folder."""
_LISTED = 10
"""Failures named at the end."""


@dataclass(frozen=True)
class SweepOutcome:
    """How many of the planned runs are what, at the end of a sweep, and what it did."""

    done: int
    failed: int
    """Also those that failed in an earlier sweep and were not tried again."""
    skipped: int
    """Of those done: the ones that were done before."""
    remaining: int
    """Neither done nor failed."""
    elsewhere: int
    """Of those remaining: the ones that another process has."""
    queued: int
    """Of those remaining: the ones that a cluster's jobs have, which this sweep does not wait for."""
    interrupted: bool
    seconds: float
    report: Path | None
    """Its folder; None where it was not built: nothing is done, the sweep was interrupted, or it failed."""
    exit_status: int
    """0: all that was asked for is done; 1: runs or the report failed, or a disk was full; 130: interrupted."""


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
    build: Report,
    planned: float = 0.0,
) -> SweepOutcome:
    """Execute the planned runs that are not done, longest first, and build the report.

    Failed runs are left alone unless `retry_failed`; runs that another living process has, always. After the first
    failure `fail_fast` starts nothing more, and lets what runs end. `limit` is the most runs to start. Ctrl-C ends what
    runs and gives its claims back, so that the same sweep goes on later. Networks are checked by `check`; unless given,
    as they are trained on this machine, or not at all with an executor that is given. `planned` is how many seconds the
    plan took to make, for sweeps.csv.

    Raises:
        ConfigError: the directory holds another data set or split; a GPU is asked for that is not there; a network
            cannot be built.
        DataError: the data cannot be read.
        RunError: no worker can be started, the file system has no locks, or the directory cannot be written to.
    """
    clock = SweepClock(planned)
    console = console or _standard_error()
    with clock.part("planning"):
        write_plan(plan)
        with exclusive(plan.directory / ".lock"):
            pass  # says so, before anything is trained, where there are no locks
        for damage in put_aside_damaged(plan.runs):
            _say(console, damage)
        for lack in put_aside_weightless(plan.runs):
            _say(console, lack)
        states: dict[str, State] = {run.spec.run_id: run.state() for run in plan.runs}
    skipped = sum(state == "done" for state in states.values())
    todo, left = open_runs(plan, states, retry_failed)
    _say_left(console, left)
    loop = Loop(plan.runs, todo, states, plan.study.executor.attempts, fail_fast, limit)
    if todo:
        check = check or (_networks if executor is None else None)
        _execute(plan, todo, loop, console, executor or executor_for(plan.study), prepare or _caches, check, clock)
    _say_end(console, plan, loop, nothing=not todo, seconds=clock.seconds)
    done = loop.count("done")
    written = _wrote(console, lambda: write_states(plan)) if todo else True
    with clock.part("report"):
        report, reported = (None, True) if loop.interrupted or not done else _report(plan, console, build)
    if loop.trained:
        trained, seconds = len(loop.trained), _seconds_of(loop.trained)
        written &= _wrote(console, lambda: clock.write(plan.directory, trained, seconds, loop.slot_seconds))
    return _outcome(loop, skipped, report, reported and written, clock.seconds)


def _outcome(loop: Loop, skipped: int, report: Path | None, good: bool, seconds: float) -> SweepOutcome:
    """`good`: what was to be written is written."""
    done, failed = loop.count("done"), loop.count("failed")
    whole = good and failed == 0 and not loop.full
    return SweepOutcome(
        done=done,
        failed=failed,
        skipped=skipped,
        remaining=loop.total - done - failed,
        elsewhere=loop.count("running"),
        queued=loop.count("queued"),
        interrupted=loop.interrupted,
        seconds=seconds,
        report=report,
        exit_status=INTERRUPTED if loop.interrupted else int(not whole),
    )


def _execute(
    plan: Plan,
    todo: Sequence[PlannedRun],
    loop: Loop,
    console: "Console",
    executor: Executor,
    prepare: Prepare,
    check: Check | None,
    clock: SweepClock,
) -> None:
    with followed(plan, loop, todo, lambda text: _say(console, text)):
        try:
            if check is not None:  # before the caches, which may take long
                with clock.part("networks"):
                    check(plan, todo, RichProgress(console))
            with clock.part("caches"):
                data_of = prepare(plan, todo, RichProgress(console))
        except KeyboardInterrupt:
            loop.interrupted = True
            return
        line = SweepLine(console, len(plan.runs))
        with interruptible(line.stop) as interruption, ExitStack() as stack:
            with clock.part("start"):
                stack.enter_context(executor)
            clock.workers, clock.threads = executor.slots, executor.threads
            most = f", at most {loop.limit} of them now" if loop.limit is not None and loop.limit < len(todo) else ""
            workers = f"{executor.slots} worker{'s' if executor.slots > 1 else ''}"
            _say(console, f"{plan.study.name}: {len(plan.runs)} runs, {len(todo)} to train{most}, {workers}")
            line.start()
            try:
                with clock.part("runs"):
                    loop.run(executor, data_of, line, interruption)
            finally:
                line.stop()


def _wrote(console: "Console", write: Callable[[], None]) -> bool:
    """Whether a file could be written; why not is said, for the runs are what counts."""
    try:
        write()
    except WriteError as error:
        _say(console, str(error))
        return False
    return True


def _seconds_of(runs: Sequence[PlannedRun]) -> float:
    """What finished runs say that they took; one whose result is gone again says nothing."""
    total = 0.0
    for run in runs:
        with suppress(RunError):
            total += RunDirectory(run.directory).result().cost.seconds
    return total


def _say_left(console: "Console", left: Sequence[PlannedRun]) -> None:
    if left:
        _say(console, say_left(left))


def _say_end(console: "Console", plan: Plan, loop: Loop, nothing: bool, seconds: float) -> None:
    done, failed, elsewhere, total = loop.count("done"), loop.count("failed"), loop.count("running"), loop.total
    if loop.interrupted:
        _say(console, f"{done} of {total} runs are done; stopped; the same command goes on")
        return
    head = "nothing to train: " if nothing else ""
    took = "" if nothing else f", after {duration(seconds)}"
    _say(console, f"{head}{done} of {total} runs are done{took}")
    if loop.failures:
        _say(console, _list_failures(plan, list(loop.failures)))
    if earlier := failed - len(loop.failures):
        _say(console, f"{earlier} failed in an earlier sweep; --retry-failed tries again")
    if loop.full:
        _say(console, "stopped: the disk is full; the same command goes on once there is room")
    if elsewhere:
        _say(console, f"{elsewhere} left to another process, which is at work on them")
    queued = [run for run in plan.runs if loop.state_of(run.spec.run_id) == "queued"]
    if queued:
        _say(console, say_queued(plan.directory, queued))
    if rest := total - done - failed - elsewhere - len(queued):
        waits = "; those whose parents are in the queue are submitted by the same command, later" if queued else ""
        _say(console, f"{rest} left to train{waits}")


def _list_failures(plan: Plan, run_ids: Sequence[str]) -> str:
    """Return one line that names the runs that failed in this sweep; each reason was printed when it happened."""
    names = ", ".join(run_ids[:_LISTED])
    more = f" and {len(run_ids) - _LISTED} more" if len(run_ids) > _LISTED else ""
    return f"{len(run_ids)} failed: {names}{more}; `usaggr status {plan.directory}` gives the reasons"


def _report(plan: Plan, console: "Console", build: Report) -> tuple[Path | None, bool]:
    """The report's folder, and whether all went well. What goes wrong here must not hide the runs."""
    try:
        path = build([plan.directory])
    except Exception as error:
        reason = str(error) if isinstance(error, UsaggrError) else traceback.format_exc()
        _say(console, f"the report could not be built (usaggr report {plan.directory} tries again): {reason}")
        return None, False
    _say(console, f"report: {path}")
    return path, True


def _caches(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> DataOf:
    from usaggr.sweep.execution.image_caches import open_caches

    return open_caches(plan, runs, progress)


def _networks(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> None:
    from usaggr.sweep.network_checks import check_networks

    check_networks(plan, runs, progress)


def _standard_error() -> "Console":
    from rich.console import Console

    return Console(stderr=True)


def _say(console: "Console", text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
