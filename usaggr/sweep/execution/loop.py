"""The loop of a sweep, which chooses the next run to start, and decides what follows when a run has ended.

The loop also runs in each job of Slurm, over the runs of that job (`executors/slurm/pack.py`).
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

_MAX_RELEASES = 3
"""Number of times that a sweep takes over a run whose process, of another sweep, has died."""
_WAIT_SECONDS = 0.25
"""Seconds between two updates of the live line, and longest delay after a request to stop."""


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
            runs: all planned runs.
            todo: runs to train.
            states: state of each planned run by run_id; the loop updates it.
            attempts: maximum number of attempts at a run whose process dies.
            fail_fast: Starts no run after the first failure.
            limit: Maximum number of runs to start. Default: no limit.
        """
        self.limit = limit
        self.interrupted = False
        self.failures: dict[str, str] = {}
        """Reasons in one line, by run_id, of the runs that failed in this sweep."""
        self.unwritable = False
        """True if a disk is full, read-only, failing or gone; no further run is started then."""
        self.unstartable = False
        """True if the processes of several runs die repeatedly; no further run is started then."""
        self.trained: list[PlannedRun] = []
        """Runs that this sweep has trained to their end."""
        self.slot_seconds = 0.0
        """Time of all jobs from their start to their end."""
        self._states = states
        self._runs = {run.spec.run_id: run for run in runs}
        self._attempts = attempts
        self._is_adoptable: Callable[[Path], bool] = lambda directory: False
        """Function from a run directory to whether a live job of a cluster trains the run, which is then followed."""
        self._pace: float | None = None
        """Seconds per training example, from which executors of clusters estimate the duration of their jobs."""
        self._fail_fast = fail_fast
        self._ids_to_train = {run.spec.run_id for run in todo}
        self._waiting = deque(sort_longest_first(todo))
        self._running: dict[str, float] = {}
        """Start of each running job on the monotonic clock, by run_id."""
        self._started: set[str] = set()
        """run_id of all runs that this sweep has started, however they ended; `limit` counts them."""
        self._releases: Counter[str] = Counter()
        """Number of times that this sweep has taken over a run from another process, by run_id."""
        self._tries: Counter[str] = Counter()
        """Number of times that this sweep has started a run, by run_id."""
        self._exclusive_scopes: dict[str, ExclusiveScope] = {}
        """Place where no other run may run during the next try, by run_id, for runs that ran out of memory."""
        self._ids_to_retry = {run.spec.run_id for run in todo if states[run.spec.run_id] == "failed"}
        for run_id in self._ids_to_retry:  # pending until this sweep has tried them again
            self._states[run_id] = "pending"

    @property
    def total(self) -> int:
        """Number of planned runs."""
        return len(self._states)

    def count_unfinished(self) -> int:
        """Return the number of runs that are left although this sweep should have finished them.

        Runs beyond the limit are left as requested, and so are those that a cluster has in its queue, with their
        children.
        """
        unfinished = {run_id for run_id, state in self._states.items() if state not in ("done", "failed", "queued")}
        return len(unfinished & self._started if self.is_at_limit or self.count("queued") else unfinished)

    def get_state(self, run_id: str) -> State:
        """Return the state of a planned run as this sweep last saw it."""
        return self._states[run_id]

    def count(self, state: State) -> int:
        """Return the number of planned runs in a state; after the loop, `running` means by another process."""
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
            executor: trains the runs.
            get_data: returns the data of a run.
            line: live line, which also prints messages.
            interruption: set when somebody requests a stop.
            get_study: returns the study with which a run is trained.
        """
        remaining = RemainingTime(executor.slots)
        provenance = collect_provenance()
        if isinstance(executor, AdoptingExecutor):
            self._is_adoptable, self._pace = executor.is_adoptable, estimate_pace(list(self._runs.values()))
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
                if self._reclaim_released():
                    continue
                return
            self._update_line(line, remaining)
            for job_end in executor.wait(_WAIT_SECONDS):
                self._handle_end(job_end, line, remaining)

    def _take_next(self, line: SweepLine) -> PlannedRun | None:
        """Remove the first run that may be started now from the queue, and return it; None if there is none.

        Runs before it leave the queue too if another process has started them, or if their parents have failed.
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

    def _reclaim_released(self) -> bool:
        """Update the states of runs that other processes train; return whether one of them is to be trained here.

        Such a process may have died meanwhile, which released the lock of its run.
        """
        released: list[PlannedRun] = []
        for run_id, run in self._runs.items():
            if self._states[run_id] != "running":
                continue
            state = run.read_state()
            if (
                state in ("pending", "stale")
                and run_id in self._ids_to_train
                and self._releases[run_id] < _MAX_RELEASES
            ):
                self._releases[run_id] += 1
                released.append(run)
            if state != "queued":
                self._states[run_id] = state
        self._waiting.extend(released)
        return bool(released) and not self._is_closed() and not self.is_at_limit

    @property
    def is_at_limit(self) -> bool:
        """True if this sweep has started as many runs as it may."""
        return self.limit is not None and len(self._started) >= self.limit

    def _is_available(self, run: PlannedRun) -> bool:
        """Return whether no other process has started or ended the run since this sweep read its state."""
        run_id = run.spec.run_id
        state = run.read_state()
        if state == "running" and self._is_adoptable(run.directory):
            return True
        if state in ("running", "done") or (state == "failed" and run_id not in self._ids_to_retry):
            self._states[run_id] = state
            return False
        return True

    def _provide_weights(self, run: PlannedRun, line: SweepLine) -> bool:
        """Provide the parent's weights to a run; return whether it has them, and mark it as failed otherwise."""
        parent = self._runs.get(run.spec.parent or "")
        # In a job of a cluster the parent is no run of the loop: its weights were provided before the submission.
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
            run: the run to start.
            study: study with which it is trained.
            data: its data; None if the executor's processes find the data themselves.
            provenance: versions and platform, for run.yaml.
        """
        return Job(
            run.spec,
            run.directory,
            study,
            data,
            self._find_next_attempt(run),
            provenance,
            exclusive_scope=self._exclusive_scopes.get(run.spec.run_id),
            seconds=None if self._pace is None else self._pace * run.examples,
        )

    def _find_next_attempt(self, run: PlannedRun) -> int:
        """Return the number of the next attempt at a run, counted from 1 over all sweeps."""
        status = RunDirectory(run.directory).read_status()
        return 1 if status is None else status.attempt + 1

    def _handle_end(self, job_end: JobEnd, line: SweepLine, remaining: RemainingTime) -> None:
        """Record how a job ended, and put its run back into the queue if it is to be tried again.

        Args:
            job_end: the job and its outcome.
            line: prints messages.
            remaining: estimate that learns from runs trained to their end.
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
            job_end: the job that ran out of memory.
            run: its run.
            exclusive_scope: where no other run may run during the next try.
            line: prints the message.
        """
        run_id = run.spec.run_id
        line.print_message(f"{run_id}: {job_end.message}; it is tried again, alone")
        # Its worker has marked it as failed. If this sweep ends before its turn, it must be pending.
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
            run: the run that cannot be finished; its worker may have marked it already.
            attempt: number of the attempt that failed, from 1.
            reason: reason in one line.
            line: prints the failure.
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
        """Stop all running jobs and release the claims of their runs.

        Args:
            executor: stops the jobs.
            line: shows that the sweep is stopping.
            remaining: estimate for the live line.
        """
        self._update_line(line, remaining, stopping=True)
        self.slot_seconds += sum(time.monotonic() - since for since in self._running.values())
        for job in executor.stop():
            self._record_stop(job, line)
        self._running.clear()
        self.interrupted = True

    def _record_stop(self, job: Job, line: SweepLine) -> None:
        """Release the claim of a stopped job, unless its run ended meanwhile."""
        run, directory = self._runs[job.spec.run_id], RunDirectory(job.directory)
        status = directory.read_status()
        if directory.read_state() != "failed":
            with suppress(WriteError):
                directory.record_end("pending", job.attempt)
        elif status is not None and status.attempt == job.attempt:  # a failure of an earlier attempt was reported then
            self._fail(run, job.attempt, ((status.error or "").splitlines() or ["failed without a reason"])[0], line)
        self._states[job.spec.run_id] = directory.read_state()
        if directory.read_state() == "done":
            self.trained.append(run)

    def _update_line(self, line: SweepLine, remaining: RemainingTime, stopping: bool = False) -> None:
        """Update the live line.

        Args:
            line: the live line.
            remaining: estimate of the remaining seconds.
            stopping: True while running jobs are being stopped.
        """
        now = time.monotonic()
        remaining_seconds = remaining.estimate_seconds(
            [run.examples for run in self._waiting],
            [(self._runs[run_id].examples, now - since) for run_id, since in self._running.items()],
        )
        line.show(self.count("done"), self.count("failed"), len(self._running), remaining_seconds, stopping)
