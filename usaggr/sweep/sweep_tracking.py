"""Tracking of a sweep: the parent of its runs in MLflow, and the message about runs that could not be tracked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from usaggr.config.logger import MlflowLogger, NoLogger
from usaggr.config.study import StudyConfig, Tracked
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.tracking.record import (
    MLFLOW_STATUS,
    Aside,
    End,
    Record,
    check_logger,
    mlflow_client,
    mlflow_experiment,
    mlflow_location,
    read_record,
    without_password,
)

PATIENCE = 30.0
"""Seconds that a sweep waits for MLflow at its start and at its end."""
_PATIENCE_INTERRUPTED = 3.0
"""The same at the end of an interrupted sweep, where somebody waits."""


@contextmanager
def followed(plan: Plan, loop: Loop, todo: Sequence[PlannedRun], say: Callable[[str], None]) -> Iterator[None]:
    """Give the loop's runs their tracking settings, and track the sweep itself in MLflow, while the context lasts.

    Args:
        plan: The plan of the sweep.
        loop: The loop that trains the runs.
        todo: Runs to be trained now.
        say: Prints a line for the user.

    Raises:
        ConfigError: the logger cannot be used: a package is missing.
    """
    if isinstance(plan.study.logger, NoLogger):
        yield
        return
    check_logger(plan.study)
    started = {run.spec.run_id for run in todo}
    parent = _Parent(plan, say)
    loop.study_of = parent.study_of
    end: End = "stopped"
    try:
        yield
        failed = loop.count("failed") > 0
        end = "stopped" if loop.interrupted else "failed" if failed else "done"
    finally:
        parent.end(end, loop.count("done"), loop.count("failed"))
        _say_untracked([run for run in plan.runs if run.spec.run_id in started], say)


def tracked_run(plan: Plan, run: PlannedRun) -> StudyConfig:
    """Return the study of a run that is trained without a sweep, with the parent of an earlier sweep if there was one.

    Raises:
        ConfigError: the logger cannot be used: a package is missing.
    """
    if isinstance(plan.study.logger, NoLogger):
        return run.study
    check_logger(plan.study)
    record = read_record(plan.directory)
    return _with_tracking(run, _location(plan.study), record.id if record is not None else None)


class _Parent:
    """The sweep's run in MLflow, created or opened in another thread while data and networks are prepared."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._location = _location(plan.study)
        self._id: str | None = None
        self._aside = Aside("tracker of the sweep")
        self._waited = self._location is None
        if not self._waited:
            self._aside.put(self._begin)

    def study_of(self, run: PlannedRun) -> StudyConfig:
        """Return the study of a run with its tracking settings; the first call waits for the parent."""
        if not self._waited:
            self._waited = True
            if not self._aside.wait(PATIENCE):
                self._say_problem(f"no answer within {PATIENCE:g} seconds")
        return _with_tracking(run, self._location, self._id)

    def end(self, end: End, done: int, failed: int) -> None:
        """Log how many runs are done and failed, and that the sweep has ended."""
        if self._location is None:
            return
        reported = self._aside.problem is not None and self._waited
        self._aside.put(lambda: self._finish(end, done, failed))
        self._aside.close(_PATIENCE_INTERRUPTED if end == "stopped" else PATIENCE)
        if self._aside.problem is not None and not reported:
            self._say_problem("")

    def _say_problem(self, otherwise: str) -> None:
        where = without_password(self._location or "")
        self._say(f"logger=mlflow: the sweep is not tracked at {where}: {self._aside.problem or otherwise}")

    def _begin(self) -> None:
        from mlflow.exceptions import MlflowException

        study, logger = self._plan.study, self._plan.study.logger
        assert self._location is not None
        assert isinstance(logger, MlflowLogger)
        client = mlflow_client(self._location)
        experiment = mlflow_experiment(client, logger.experiment)
        record = read_record(self._plan.directory)
        parent_id = record.id if record is not None and record.logger == logger.name else None
        if parent_id is not None:
            try:
                client.update_run(parent_id, "RUNNING")
            except MlflowException:  # it was deleted, or is in another location
                parent_id = None
        if parent_id is None:
            parent_id = client.create_run(experiment, run_name=study.name).info.run_id
            Record(logger.name, without_password(self._location), parent_id).write(self._plan.directory)
        for name, value in _tags(study).items():
            client.set_tag(parent_id, f"usaggr.{name}", value)
        self._client, self._id = client, parent_id

    def _finish(self, end: End, done: int, failed: int) -> None:
        for name, number in (("runs", len(self._plan.runs)), ("runs_done", done), ("runs_failed", failed)):
            self._client.log_metric(str(self._id), name, number)
        self._client.set_terminated(str(self._id), MLFLOW_STATUS[end])


def _location(study: StudyConfig) -> str | None:
    return mlflow_location(study) if isinstance(study.logger, MlflowLogger) else None


def _with_tracking(run: PlannedRun, location: str | None, parent: str | None) -> StudyConfig:
    return run.study.tracked_as(Tracked(location, parent, run.groupings))


def _tags(study: StudyConfig) -> dict[str, str]:
    lists: dict[str, Iterable[object]] = {
        "groupings": study.groupings,
        "scales": study.scales,
        "seeds": study.seeds,
        "variants": study.variants,
    }
    return {
        "study": study.name,
        "directory": str(study.directory.resolve()),
        "reference": study.reference,
        **{name: ", ".join(map(str, values)) for name, values in lists.items()},
    }


def _say_untracked(runs: Sequence[PlannedRun], say: Callable[[str], None]) -> None:
    """Print in one line how many of the trained runs are not tracked, and the reason of the first."""
    records = [record for run in runs if (record := read_record(run.directory)) is not None]
    wrong = [record for record in records if record.problem is not None]
    if wrong:
        many = f"{len(wrong)} of {len(records)} runs are not, or not wholly, tracked"
        say(f"logger={wrong[0].logger}: {many}; the first: {wrong[0].problem}")
