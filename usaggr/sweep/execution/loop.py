"""The loop of a sweep: which run is started next, and what becomes of one that has ended."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from usaggr.config.study import StudyConfig
from usaggr.data.batches.run_data import RunData
from usaggr.errors import RunError, WriteError
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.execution.jobs import Adopting, Alone, Ended, Executor, Job
from usaggr.sweep.execution.order import longest_first
from usaggr.sweep.execution.parent_weights import hand_down
from usaggr.sweep.execution.provenance import provenance
from usaggr.sweep.execution.signals import Interruption
from usaggr.sweep.execution.status_line import RemainingTime, SweepLine
from usaggr.sweep.planning.study_plan import PlannedRun
from usaggr.sweep.planning.time_and_disk import estimate_pace

_WAIT = 0.25
"""Seconds between two looks at the live line and at whether to stop."""


class Loop:
    """Keeps the workers busy until nothing is left that may be started."""

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        todo: Sequence[PlannedRun],
        states: dict[str, State],
        attempts: int,
        fail_fast: bool = False,
        limit: int | None = None,
    ) -> None:
        self.limit = limit
        self.interrupted = False
        self.failures: dict[str, str] = {}
        """run_id: reason in one line, of the runs that failed in this sweep."""
        self.full = False
        """Whether a file could not be written because its disk is full: nothing more is started then."""
        self.trained: list[PlannedRun] = []
        """Runs that this sweep has trained to their end."""
        self.slot_seconds = 0.0
        """Sum over all jobs from their start to their end."""
        self.study_of: Callable[[PlannedRun], StudyConfig] = lambda run: run.study
        """What a run is trained by."""
        self._states = states
        self._runs = {run.spec.run_id: run for run in runs}
        self._attempts = attempts
        self._adopts: Callable[[Path], bool] = lambda directory: False
        self._pace: float | None = None
        """Seconds of a training example, where the executor has a use for it."""
        self._fail_fast = fail_fast
        self._waiting = deque(longest_first(todo))
        self._running: dict[str, float] = {}
        """run_id: when it was started."""
        self._begun: set[str] = set()
        """run_id of all runs that this sweep has started, whatever became of them: what `limit` counts."""
        self._tries: Counter[str] = Counter()
        self._alone: dict[str, Alone] = {}
        """run_id: of runs for which memory was out, where nothing else may run when they are tried again."""
        self._retried = {run.spec.run_id for run in todo if states[run.spec.run_id] == "failed"}
        for run_id in self._retried:  # open again until it ends
            self._states[run_id] = "pending"

    @property
    def total(self) -> int:
        """Planned runs."""
        return len(self._states)

    def state_of(self, run_id: str) -> State:
        """State of a planned run, as far as this sweep knows."""
        return self._states[run_id]

    def count(self, state: State) -> int:
        """Planned runs in a state; `running`: by another process, once the loop has ended."""
        return sum(found == state for found in self._states.values())

    def run(
        self,
        executor: Executor,
        data_of: Callable[[PlannedRun], RunData | None],
        line: SweepLine,
        interruption: Interruption,
    ) -> None:
        """Start runs and take in how they end, until none is left that may be started."""
        remaining = RemainingTime(executor.slots)
        tool = provenance()
        if isinstance(executor, Adopting):
            self._adopts, self._pace = executor.adopts, estimate_pace(list(self._runs.values()))
        while True:
            if interruption.asked:
                self._stop(executor, line, remaining)
                return
            while executor.free and (run := self._next(line)) is not None:
                self._submit(run, executor, data_of, tool)
            if not self._running:
                return
            self._show(line, remaining)
            for ended in executor.wait(_WAIT):
                self._take(ended, line, remaining)

    def _next(self, line: SweepLine) -> PlannedRun | None:
        """Return the first run that may be started now; settle those before it that need not or cannot be started."""
        if self._closed():
            return None
        kept: list[PlannedRun] = []
        found: PlannedRun | None = None
        while self._waiting and found is None:
            run = self._waiting.popleft()
            if run.spec.run_id not in self._begun and self._at_limit():
                kept.append(run)
                continue
            parent = run.spec.parent
            above = self._states.get(parent, "failed") if parent is not None else "done"
            if above == "failed":
                self._fail(run, self._attempt(run), f"its parent {parent} failed", line)
            elif above != "done":
                kept.append(run)
            elif self._is_open(run) and self._inherits(run, line):
                found = run
        self._waiting.extendleft(reversed(kept))
        return found

    def _at_limit(self) -> bool:
        return self.limit is not None and len(self._begun) >= self.limit

    def _is_open(self, run: PlannedRun) -> bool:
        """Whether no other process has begun or ended the run since this sweep looked."""
        run_id = run.spec.run_id
        state = run.state()
        if state == "running" and self._adopts(run.directory):
            return True
        if state in ("running", "done") or (state == "failed" and run_id not in self._retried):
            self._states[run_id] = state
            return False
        return True

    def _inherits(self, run: PlannedRun, line: SweepLine) -> bool:
        """Return whether the run has what it starts from; mark it as failed where that cannot be brought."""
        parent = self._runs.get(run.spec.parent or "")
        if parent is None or run.spec.window is None:  # in a cluster's job, it came with the run
            return True
        try:
            hand_down(parent, run)
        except RunError as error:
            self._fail(run, self._attempt(run), str(error), line)
            return False
        return True

    def _submit(
        self,
        run: PlannedRun,
        executor: Executor,
        data_of: Callable[[PlannedRun], RunData | None],
        tool: dict[str, object],
    ) -> None:
        run_id = run.spec.run_id
        alone = self._alone.get(run_id)
        seconds = None if self._pace is None else self._pace * run.examples
        data, attempt = data_of(run), self._attempt(run)
        executor.submit(Job(run.spec, run.directory, self.study_of(run), data, attempt, tool, alone, seconds))
        self._begun.add(run_id)
        self._tries[run_id] += 1
        self._running[run_id] = time.monotonic()

    def _attempt(self, run: PlannedRun) -> int:
        status = RunDirectory(run.directory).status()
        return 1 if status is None else status.attempt + 1

    def _take(self, ended: Ended, line: SweepLine, remaining: RemainingTime) -> None:
        run_id = ended.job.spec.run_id
        run = self._runs[run_id]
        del self._running[run_id]
        self.slot_seconds += ended.seconds
        match ended.outcome:
            case "done":
                self._states[run_id] = "done"
                self.trained.append(run)
                remaining.ended(run.examples, ended.seconds)
            case "elsewhere":
                self._states[run_id] = "running"
            case "queued":
                self._states[run_id] = "queued"
            case "interrupted" if not self._closed():
                self._tries[run_id] -= 1  # it was asked to stop: nothing went wrong with it
                line.say(f"{run_id}: {ended.message}; it goes on")
                self._waiting.appendleft(run)
            case "cancelled":
                line.say(f"{run_id}: {ended.message}; it is left for the next sweep")
                self._states[run_id] = "pending"
            case "interrupted":
                self._states[run_id] = "pending"
            case "full":
                self._states[run_id] = "pending"
                self.full = True
                line.say(f"{run_id}: {ended.message}")
            case "memory" if ended.crowded and not self._closed():
                self._retry_alone(ended, run, "device", line)
            case "killed" if self._may_retry(run_id):
                self._retry_alone(ended, run, "machine", line)
            case "died" if self._may_retry(run_id):
                line.say(f"{run_id}: {ended.message}; it is tried again")
                self._waiting.appendleft(run)
            case _:
                tries = self._tries[run_id]
                times = f" (tried {tries} times)" if ended.outcome in ("died", "killed") and tries > 1 else ""
                self._fail(run, ended.job.attempt, ended.message + times, line)

    def _retry_alone(self, ended: Ended, run: PlannedRun, where: Alone, line: SweepLine) -> None:
        """Put a run first in the queue that may be short of memory because of the others."""
        run_id = run.spec.run_id
        line.say(f"{run_id}: {ended.message}; it is tried again, alone")
        # Its worker has written it down as failed, which it is not yet, should this sweep end before its turn.
        with suppress(WriteError):
            RunDirectory(run.directory).settle("pending", ended.job.attempt)
        self._alone[run_id] = where
        self._waiting.appendleft(run)

    def _may_retry(self, run_id: str) -> bool:
        return self._tries[run_id] < self._attempts and not self._closed()

    def _closed(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.full or (self._fail_fast and bool(self.failures))

    def _fail(self, run: PlannedRun, attempt: int, reason: str, line: SweepLine) -> None:
        """Mark a run as failed and print why, unless another process has taken it meanwhile.

        Args:
            run: The run that cannot be finished; its worker may have marked it already.
            attempt: The attempt that failed, from 1.
            reason: Why, in one line.
            line: Where the failure is printed, once.
        """
        directory = RunDirectory(run.directory)
        state = directory.state()
        if state in ("pending", "queued", "stale"):
            try:
                state = "failed" if directory.settle("failed", attempt, reason) else directory.state()
            except WriteError:  # a failure for this sweep; the next one finds the run as it was
                state = "failed"
        self._states[run.spec.run_id] = state
        if state == "failed":
            self.failures[run.spec.run_id] = reason
            line.say(f"failed: {run.spec.run_id}: {reason}")

    def _stop(self, executor: Executor, line: SweepLine, remaining: RemainingTime) -> None:
        self._show(line, remaining, stopping=True)
        self.slot_seconds += sum(time.monotonic() - since for since in self._running.values())
        for job in executor.stop():
            self._settle_stopped(job, line)
        self._running.clear()
        self.interrupted = True

    def _settle_stopped(self, job: Job, line: SweepLine) -> None:
        """Give the claim of a stopped job back, unless its run came to an end meanwhile."""
        run, directory = self._runs[job.spec.run_id], RunDirectory(job.directory)
        status = directory.status()
        if directory.state() != "failed":
            with suppress(WriteError):
                directory.settle("pending", job.attempt)
        elif status is not None and status.attempt == job.attempt:  # an earlier attempt's failure is no news
            self._fail(run, job.attempt, ((status.error or "").splitlines() or ["failed without a reason"])[0], line)
        self._states[job.spec.run_id] = directory.state()
        if directory.state() == "done":
            self.trained.append(run)

    def _show(self, line: SweepLine, remaining: RemainingTime, stopping: bool = False) -> None:
        now = time.monotonic()
        rest = remaining.seconds(
            [run.examples for run in self._waiting],
            [(self._runs[run_id].examples, now - since) for run_id, since in self._running.items()],
        )
        line.show(self.count("done"), self.count("failed"), len(self._running), rest, stopping)
