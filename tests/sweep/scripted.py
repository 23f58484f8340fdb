"""An executor without processes: each job ends as a script says, so that tests of the loop take milliseconds."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.sweep import fakes
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import Job, JobEnd, Outcome

Step = Outcome | Callable[[], Outcome]
"""End of an attempt at a run, or a function that changes files first and then returns the end."""


class ScriptedExecutor:
    """Ends jobs one by one, in the order in which they were submitted.

    Args:
        script: Ends of each run's attempts in order, by run_id. Other runs are done at once.
        slots: Number of runs at the same time.
        at_stop: By run_id, the end of a job that still runs when the sweep stops; other jobs are interrupted.
        crowded: Whether each job reports that other runs shared the machine.
    """

    threads = 1

    def __init__(
        self,
        script: Mapping[str, Sequence[Step]] | None = None,
        slots: int = 1,
        at_stop: Mapping[str, Outcome] | None = None,
        crowded: bool = False,
    ) -> None:
        self.slots = slots
        self.submitted: list[Job] = []
        self._script = {run_id: deque(steps) for run_id, steps in (script or {}).items()}
        self._at_stop = at_stop or {}
        self._crowded = crowded
        self._running: deque[Job] = deque()

    @property
    def order(self) -> list[str]:
        """run_id of each submitted job."""
        return [job.spec.run_id for job in self.submitted]

    @property
    def has_free_slot(self) -> bool:
        return len(self._running) < self.slots

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def submit(self, job: Job) -> None:
        assert self.has_free_slot
        self.submitted.append(job)
        self._running.append(job)

    def wait(self, timeout: float) -> list[JobEnd]:
        job = self._running.popleft()
        steps = self._script.get(job.spec.run_id)
        step: Step = steps.popleft() if steps else "done"
        outcome = step() if callable(step) else step
        _leave_behind(job, outcome)
        return [JobEnd(job, outcome, "" if outcome == "done" else f"it {outcome}", 1.0, self._crowded)]

    def stop(self) -> list[Job]:
        for job in self._running:
            _leave_behind(job, self._at_stop.get(job.spec.run_id, "interrupted"))
        stopped = list(self._running)
        self._running.clear()
        return stopped


def _leave_behind(job: Job, outcome: Outcome) -> None:
    """Write the files that a worker would leave in the run's directory."""
    run = RunDirectory(job.directory)
    if outcome in ("queued", "cancelled", "elsewhere"):
        return  # it was never claimed here
    with run.claim(job.attempt) as mine:
        if not mine:
            return
        match outcome:
            case "done":
                run.write_result(fakes.RESULT)
            case "interrupted" | "unwritable" | "unstartable":
                run.release(job.attempt)
            case "failed" | "memory":
                run.mark_failed(f"it {outcome}\n\ntraceback", job.attempt)
            case _:  # the process is gone: its claim is stale
                pass
