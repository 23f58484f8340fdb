"""The loop of a sweep: it starts runs while slots are free, and decides after each job if its run is tried again.

Each job of Slurm has such a loop, too, over the runs of that job (`executors/slurm/pack.py`).
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from usaggr.config.study import StudyConfig
from usaggr.data.batches.run_data import RunData
from usaggr.errors import RunError, WriteError
from usaggr.io.atomic_files import is_disk_error
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.execution.jobs import AdoptingExecutor, ExclusiveScope, Executor, Job, JobEnd
from usaggr.sweep.execution.parent_weights import provide_parent_weights
from usaggr.sweep.execution.provenance import collect_provenance
from usaggr.sweep.execution.run_order import sort_longest_first
from usaggr.sweep.execution.signals import Interruption
from usaggr.sweep.execution.status_line import RemainingTime, SweepLine
from usaggr.sweep.planning.study_plan import PlannedRun
from usaggr.sweep.planning.time_and_disk import estimate_pace

_MAX_TAKEOVERS = 3
"""Maximum number of times that a sweep takes over the same run from another sweep's process that has died."""
_WAIT_SECONDS = 0.25
"""Seconds between two updates of the live line, and longest delay between a request to stop and its effect."""


class Loop:
    """Loop that keeps the executor busy until no run is left that may be started."""

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        todo: Sequence[PlannedRun],
        states: dict[str, State],
        attempts: int,
        fail_fast: bool = False,
        limit: int | None = None,
    ) -> None:
        """Make a loop that has not started yet.

        Args:
            runs: All planned runs.
            todo: Those that this sweep is to train.
            states: State of each planned run by run_id; the loop updates it.
            attempts: Maximum number of times that a run is started whose process dies.
            fail_fast: True to start no run after the first failure.
            limit: Maximum number of runs to start. Default: no limit.
        """
        self.limit = limit
        self.interrupted = False
        self.failures: dict[str, str] = {}
        """Reason in one line for each run that failed in this sweep, by run_id."""
        self.unwritable = False
        """True if a disk is full, read-only, failing or gone; no further run is started then."""
        self.unstartable = False
        """True if the processes of several runs died repeatedly; no further run is started then."""
        self.trained: list[PlannedRun] = []
        """Runs that this sweep has trained to their end."""
        self.slot_seconds = 0.0
        """Sum of the seconds of all jobs, each from its start to its end."""
        self._states = states
        self._runs = {run.spec.run_id: run for run in runs}
        self._attempts = attempts
        self._is_adoptable: Callable[[Path], bool] = lambda directory: False
        """Function that returns whether a live job of a cluster trains the run of a directory; set by `run`."""
        self._seconds_per_example: float | None = None
        """Seconds per training example, by which executors of clusters estimate a job's duration; set by `run`."""
        self._fail_fast = fail_fast
        self._ids_to_train = {run.spec.run_id for run in todo}
        self._waiting = deque(sort_longest_first(todo))
        self._running: dict[str, float] = {}
        """Start of each running job on the monotonic clock, by run_id."""
        self._started: set[str] = set()
        """run_id of all runs that this sweep has started, however they ended; `limit` counts them."""
        self._takeovers: Counter[str] = Counter()
        """Number of times that this sweep has taken over a run from another process, by run_id."""
        self._tries: Counter[str] = Counter()
        """Number of times that this sweep has started a run, by run_id; a try that was interrupted does not count."""
        self._exclusive_scopes: dict[str, ExclusiveScope] = {}
        """Scope in which no other run may run during the next try, by run_id, for runs that ran out of memory."""
        self._ids_to_retry = {run.spec.run_id for run in todo if states[run.spec.run_id] == "failed"}
        """run_id of the runs that failed in an earlier sweep and that this sweep tries again."""
        for run_id in self._ids_to_retry:
            self._states[run_id] = "pending"

    @property
    def total(self) -> int:
        """Number of planned runs."""
        return len(self._states)

    def count_unfinished(self) -> int:
        """Return the number of runs that have no end, although this sweep should have trained them.

        At the limit of runs, and with runs in a cluster's queue, whose children must wait, runs that this sweep has
        not started do not count.
        """
        unfinished = {run_id for run_id, state in self._states.items() if state not in ("done", "failed", "queued")}
        is_sweep_partial = self.is_at_limit or self.count("queued") > 0
        return len(unfinished & self._started if is_sweep_partial else unfinished)

    def get_state(self, run_id: str) -> State:
        """Return the state of a planned run as this sweep last saw it."""
        return self._states[run_id]

    def count(self, state: State) -> int:
        """Return the number of planned runs in a state; after the loop, another process trains the `running` ones."""
        return sum(current == state for current in self._states.values())

    def run(
        self,
        executor: Executor,
        get_data: Callable[[PlannedRun], RunData | None],
        line: SweepLine,
        interruption: Interruption,
        get_study: Callable[[PlannedRun], StudyConfig] = lambda run: run.study,
    ) -> None:
        """Start runs and handle their ends, until no run is left that may be started.

        Args:
            executor: Trains the runs.
            get_data: Returns the data of a run; None if the executor's processes read the data themselves.
            line: Live line, which also prints messages.
            interruption: Requested when the sweep is to stop.
            get_study: Returns the study with which a run is trained.
        """
        remaining = RemainingTime(executor.slots)
        provenance = collect_provenance()
        if isinstance(executor, AdoptingExecutor):
            self._is_adoptable = executor.is_adoptable
            self._seconds_per_example = estimate_pace(list(self._runs.values()))
        while True:
            if interruption.is_requested:
                self._stop(executor, line, remaining)
                return
            while executor.has_free_slot and (run := self._take_next(line)) is not None:
                job = self._make_job(run, get_study(run), get_data(run), provenance)
                executor.submit(job)
                self._started.add(run.spec.run_id)
                self._tries[run.spec.run_id] += 1
                self._running[run.spec.run_id] = time.monotonic()
            if not self._running:
                if self._take_over_abandoned_runs():
                    continue
                return
            self._update_line(line, remaining)
            for job_end in executor.wait(_WAIT_SECONDS):
                self._handle_end(job_end, line, remaining)

    def _take_next(self, line: SweepLine) -> PlannedRun | None:
        """Remove the first run that may be started now from the queue, and return it; None if there is none.

        Runs before it leave the queue, too, if another process has started or ended them, or if they failed because
        their parents failed. Runs whose parents are not done yet stay in the queue.
        """
        if self._is_closed():
            return None
        postponed: list[PlannedRun] = []
        startable: PlannedRun | None = None
        while self._waiting and startable is None:
            run = self._waiting.popleft()
            # A run that was started before may be started again at the limit, because it is counted already.
            if run.spec.run_id not in self._started and self.is_at_limit:
                postponed.append(run)
                continue
            parent = run.spec.parent
            parent_state = self._states.get(parent, "failed") if parent is not None else "done"
            if parent_state == "failed":
                self._fail(run, self._find_next_attempt(run), f"its parent {parent} failed", line)
            elif parent_state != "done":
                postponed.append(run)
            elif self._is_available(run) and self._provide_weights(run, line):
                startable = run
        self._waiting.extendleft(reversed(postponed))
        return startable

    def _take_over_abandoned_runs(self) -> bool:
        """Put runs into the queue whose process, of another sweep, has ended before the run; update their states.

        Returns:
            True if this sweep may start such a run.
        """
        abandoned: list[PlannedRun] = []
        for run_id, run in self._runs.items():
            if self._states[run_id] != "running":
                continue
            state = run.read_state()
            may_take_over = run_id in self._ids_to_train and self._takeovers[run_id] < _MAX_TAKEOVERS
            if state in ("pending", "stale") and may_take_over:
                self._takeovers[run_id] += 1
                abandoned.append(run)
            if state != "queued":
                self._states[run_id] = state
        self._waiting.extend(abandoned)
        return bool(abandoned) and not self._is_closed() and not self.is_at_limit

    @property
    def is_at_limit(self) -> bool:
        """True if this sweep has started as many runs as it may."""
        return self.limit is not None and len(self._started) >= self.limit

    def _is_available(self, run: PlannedRun) -> bool:
        """Return whether this sweep may start the run: no other process trains it or has ended it meanwhile."""
        run_id = run.spec.run_id
        state = run.read_state()
        if state == "running" and self._is_adoptable(run.directory):  # `submit` then follows the job of the cluster
            return True
        if state in ("running", "done") or (state == "failed" and run_id not in self._ids_to_retry):
            self._states[run_id] = state
            return False
        return True

    def _provide_weights(self, run: PlannedRun, line: SweepLine) -> bool:
        """Provide the parent's weights to a run; return whether it has them, and mark it as failed otherwise."""
        parent = self._runs.get(run.spec.parent or "")
        # In a job of a cluster, the parent may not be in the loop: its weights were provided before the submission.
        if parent is None or run.spec.window is None:
            return True
        try:
            provide_parent_weights(parent, run)
        except RunError as error:
            if is_disk_error(error):
                self.unwritable = True
                line.print_message(f"{run.spec.run_id}: {error}")
                self._waiting.appendleft(run)
            else:
                self._fail(run, self._find_next_attempt(run), str(error), line)
            return False
        return True

    def _make_job(
        self, run: PlannedRun, study: StudyConfig, data: RunData | None, provenance: dict[str, object]
    ) -> Job:
        """Return the next attempt at a run.

        Args:
            run: The run to start.
            study: Study with which it is trained.
            data: Its data; None if the executor's processes read the data themselves.
            provenance: Versions and platform, for run.yaml.
        """
        return Job(
            run.spec,
            run.directory,
            study,
            data,
            self._find_next_attempt(run),
            provenance,
            exclusive_scope=self._exclusive_scopes.get(run.spec.run_id),
            seconds=None if self._seconds_per_example is None else self._seconds_per_example * run.examples,
        )

    def _find_next_attempt(self, run: PlannedRun) -> int:
        """Return the number of the next attempt at a run, counted from 1 over all sweeps."""
        status = RunDirectory(run.directory).read_status()
        return 1 if status is None else status.attempt + 1

    def _handle_end(self, job_end: JobEnd, line: SweepLine, remaining: RemainingTime) -> None:
        """Record the end of a job, and put its run back into the queue if it is to be tried again.

        Args:
            job_end: The job and its outcome; `Outcome` explains each of them.
            line: Prints messages.
            remaining: Estimate of the remaining time, to which a run that is done is added.
        """
        run_id = job_end.job.spec.run_id
        run = self._runs[run_id]
        del self._running[run_id]
        self.slot_seconds += job_end.seconds
        match job_end.outcome:
            case "done":
                self._states[run_id] = "done"
                self.trained.append(run)
                remaining.add_finished(run.examples, job_end.seconds)
            case "elsewhere":
                self._states[run_id] = "running"
            case "queued":
                self._states[run_id] = "queued"
            case "interrupted" if not self._is_closed():
                self._tries[run_id] -= 1  # it stopped on request, so this try does not count
                line.print_message(f"{run_id}: {job_end.message}; it continues")
                self._waiting.appendleft(run)
            case "cancelled":
                line.print_message(f"{run_id}: {job_end.message}; it is left for the next sweep")
                self._states[run_id] = "pending"
            case "interrupted":
                self._states[run_id] = "pending"
            case "unwritable" | "unstartable":
                self._states[run_id] = "pending"
                self.unwritable |= job_end.outcome == "unwritable"
                self.unstartable |= job_end.outcome == "unstartable"
                line.print_message(f"{run_id}: {job_end.message}")
            # Without other jobs on its device, the run would run out of memory again.
            case "memory" if job_end.crowded and not self._is_closed():
                self._retry_exclusively(job_end, run, "device", line)
            case "killed" if self._may_retry(run_id):
                self._retry_exclusively(job_end, run, "machine", line)
            case "died" if self._may_retry(run_id):
                line.print_message(f"{run_id}: {job_end.message}; it is tried again")
                self._waiting.appendleft(run)
            case _:
                tries = self._tries[run_id]
                times = f" (tried {tries} times)" if job_end.outcome in ("died", "killed") and tries > 1 else ""
                self._fail(run, job_end.job.attempt, job_end.message + times, line)

    def _retry_exclusively(
        self, job_end: JobEnd, run: PlannedRun, exclusive_scope: ExclusiveScope, line: SweepLine
    ) -> None:
        """Put a run at the front of the queue, to be tried alone, because other runs may have taken its memory.

        Args:
            job_end: The job that ran out of memory.
            run: Its run.
            exclusive_scope: Scope in which no other run may run during the next try.
            line: Prints the message.
        """
        run_id = run.spec.run_id
        line.print_message(f"{run_id}: {job_end.message}; it is tried again, alone")
        # Its worker has marked it as failed. If this sweep ends before the next try, it must be pending.
        with suppress(WriteError):
            RunDirectory(run.directory).record_end("pending", job_end.job.attempt)
        self._exclusive_scopes[run_id] = exclusive_scope
        self._waiting.appendleft(run)

    def _may_retry(self, run_id: str) -> bool:
        return self._tries[run_id] < self._attempts and not self._is_closed()

    def _is_closed(self) -> bool:
        """Return whether no further run may be started."""
        return self.unwritable or self.unstartable or (self._fail_fast and bool(self.failures))

    def _fail(self, run: PlannedRun, attempt: int, reason: str, line: SweepLine) -> None:
        """Mark a run as failed and print the reason, unless another process has started it meanwhile.

        Args:
            run: The run that cannot be finished; its worker may have marked it as failed already.
            attempt: Number of the attempt that failed, from 1.
            reason: Reason in one line.
            line: Prints the failure.
        """
        directory = RunDirectory(run.directory)
        state = directory.read_state()
        if state in ("pending", "queued", "stale"):
            try:
                state = "failed" if directory.record_end("failed", attempt, reason) else directory.read_state()
            except WriteError:  # failed for this sweep; the next sweep finds the run as it was
                state = "failed"
        self._states[run.spec.run_id] = state
        if state == "failed":
            self.failures[run.spec.run_id] = reason
            line.print_message(f"failed: {run.spec.run_id}: {reason}")

    def _stop(self, executor: Executor, line: SweepLine, remaining: RemainingTime) -> None:
        """Stop all running jobs, and set their runs back to pending.

        Args:
            executor: Stops the jobs.
            line: Shows that the sweep is stopping.
            remaining: Estimate for the live line.
        """
        self._update_line(line, remaining, stopping=True)
        self.slot_seconds += sum(time.monotonic() - since for since in self._running.values())
        for job in executor.stop():
            self._record_stop(job, line)
        self._running.clear()
        self.interrupted = True

    def _record_stop(self, job: Job, line: SweepLine) -> None:
        """Set the run of a stopped job back to pending, unless the run ended meanwhile."""
        run, directory = self._runs[job.spec.run_id], RunDirectory(job.directory)
        status = directory.read_status()
        if directory.read_state() != "failed":
            with suppress(WriteError):
                directory.record_end("pending", job.attempt)
        # Only a failure of this attempt is new; that of an earlier attempt was reported when it happened.
        elif status is not None and status.attempt == job.attempt:
            self._fail(run, job.attempt, ((status.error or "").splitlines() or ["failed without a reason"])[0], line)
        self._states[job.spec.run_id] = directory.read_state()
        if directory.read_state() == "done":
            self.trained.append(run)

    def _update_line(self, line: SweepLine, remaining: RemainingTime, stopping: bool = False) -> None:
        """Update the live line.

        Args:
            line: The live line.
            remaining: Estimate of the remaining seconds.
            stopping: True while running jobs are being stopped.
        """
        now = time.monotonic()
        remaining_seconds = remaining.estimate_seconds(
            [run.examples for run in self._waiting],
            [(self._runs[run_id].examples, now - since) for run_id, since in self._running.items()],
        )
        line.show(self.count("done"), self.count("failed"), len(self._running), remaining_seconds, stopping)
