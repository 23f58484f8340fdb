"""An executor without processes: each job ends as a script says, so that a sweep's loop is tested in milliseconds."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.sweep import fakes
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import Ended, Job, Outcome

Step = Outcome | Callable[[], Outcome]
"""How an attempt at a run ends; a function is called when it does, to change the world beforehand."""


class ScriptedExecutor:
    """Ends jobs one by one, in the order in which they were submitted.

    Args:
        script: By run_id, how its attempts end, first to last. Runs that are not named are done at once.
        slots: Runs at once.
        at_stop: By run_id, how a job ends that still runs when the sweep stops; others are cut off.
        crowded: Whether runs are said to have had others beside them.
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
    def free(self) -> bool:
        return len(self._running) < self.slots

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def submit(self, job: Job) -> None:
        assert self.free
        self.submitted.append(job)
        self._running.append(job)

    def wait(self, timeout: float) -> list[Ended]:
        job = self._running.popleft()
        steps = self._script.get(job.spec.run_id)
        step: Step = steps.popleft() if steps else "done"
        outcome = step() if callable(step) else step
        _leave_behind(job, outcome)
        return [Ended(job, outcome, "" if outcome == "done" else f"it {outcome}", 1.0, self._crowded)]

    def stop(self) -> list[Job]:
        for job in self._running:
            _leave_behind(job, self._at_stop.get(job.spec.run_id, "interrupted"))
        stopped = list(self._running)
        self._running.clear()
        return stopped


def _leave_behind(job: Job, outcome: Outcome) -> None:
    """Leave in the run's directory what a worker leaves there."""
    run = RunDirectory(job.directory)
    if outcome in ("queued", "cancelled", "elsewhere"):
        return  # it was never claimed here
    with run.claim(job.attempt) as mine:
        if not mine:
            return
        match outcome:
            case "done":
                run.write_result(fakes.RESULT)
            case "interrupted" | "full":
                run.give_back(job.attempt)
            case "failed" | "memory":
                run.fail(f"it {outcome}\n\ntraceback", job.attempt)
            case _:  # the process is gone: its claim is stale
                pass
