"""Tracking of a sweep: its own run in MLflow, which is the parent of its runs, and a message about incomplete tracking.

Other trackers have no runs of sweeps.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from usaggr.config.logger import MlflowLogger, NoLogger
from usaggr.config.study import StudyConfig, Tracked
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.tracking.record import (
    MLFLOW_STATUS,
    BackgroundCalls,
    End,
    Record,
    check_tracker,
    find_mlflow_location,
    find_or_create_experiment,
    make_mlflow_client,
    read_record,
    remove_passwords,
)

PATIENCE = 30.0
"""Seconds that a sweep waits for MLflow at its start, and at its end."""
_PATIENCE_IF_STOPPED = 3.0
"""Seconds that an interrupted sweep waits for MLflow at its end: the user waits for the prompt."""

GetStudy = Callable[[PlannedRun], StudyConfig]
"""Function that returns the study with which a run is trained, including the location of its tracker."""


@contextmanager
def track_sweep(
    plan: Plan, loop: Loop, runs: Sequence[PlannedRun], print_line: Callable[[str], None]
) -> Iterator[GetStudy]:
    """Track a sweep in MLflow if that is its logger, and print at its end how many runs are not fully tracked.

    Args:
        plan: runs of the study.
        loop: states of the runs, read at the end.
        runs: runs that the sweep trains.
        print_line: prints a line for the user.

    Yields:
        The function with which the loop gets the study of each run.

    Raises:
        ConfigError: a package, a key or a login that the logger needs is missing.
    """
    if isinstance(plan.study.logger, NoLogger):
        yield lambda run: run.study
        return
    check_tracker(plan.study)
    run_ids = {run.spec.run_id for run in runs}
    parent = _SweepInMlflow(plan, print_line)
    end: End = "stopped"  # also if an exception leaves the context
    try:
        yield parent.make_study
        has_failed = loop.count("failed") > 0
        end = "stopped" if loop.interrupted else "failed" if has_failed else "done"
    finally:
        parent.end(end, loop.count("done"), loop.count("failed"))
        _report_untracked([run for run in plan.runs if run.spec.run_id in run_ids], print_line)


def make_tracked_study(plan: Plan, run: PlannedRun) -> StudyConfig:
    """Return the study of a run that is trained without a sweep; an earlier sweep in MLflow becomes its parent.

    Raises:
        ConfigError: a package, a key or a login that the logger needs is missing.
    """
    if isinstance(plan.study.logger, NoLogger):
        return run.study
    check_tracker(plan.study)
    record = read_record(plan.directory)
    return _add_tracker(run, _find_location(plan.study), record.id if record is not None else None)


class _SweepInMlflow:
    """The sweep's own run in MLflow, created in a thread while data and networks are prepared.

    With another logger nothing is created, and `make_study` only adds the groupings of a run.
    """

    def __init__(self, plan: Plan, print_line: Callable[[str], None]) -> None:
        self._plan = plan
        self._print_line = print_line
        self._location = _find_location(plan.study)
        self._id: str | None = None
        self._calls = BackgroundCalls("tracker of the sweep")  # a thread: MLflow may not answer for minutes
        self._has_waited = self._location is None
        if not self._has_waited:
            self._calls.put(self._open)

    def make_study(self, run: PlannedRun) -> StudyConfig:
        """Return a run's study with the location of its tracker; the first call waits for the parent."""
        if not self._has_waited:
            self._has_waited = True
            if not self._calls.wait(PATIENCE):
                self._report_problem(f"no answer within {PATIENCE:g} seconds")
        return _add_tracker(run, self._location, self._id)

    def end(self, end: End, n_done: int, n_failed: int) -> None:
        """Log the end of the sweep with its numbers of runs.

        Args:
            end: how the sweep has ended.
            n_done: number of runs that are done.
            n_failed: number of runs that have failed.
        """
        if self._location is None:
            return
        is_reported = self._calls.problem is not None and self._has_waited
        self._calls.put(lambda: self._close(end, n_done, n_failed))
        self._calls.close(_PATIENCE_IF_STOPPED if end == "stopped" else PATIENCE)
        if self._calls.problem is not None and not is_reported:
            self._report_problem("")

    def _report_problem(self, default: str) -> None:
        location = remove_passwords(self._location or "")
        self._print_line(f"logger=mlflow: the sweep is not tracked at {location}: {self._calls.problem or default}")

    def _open(self) -> None:
        """Continue the run of an earlier sweep in MLflow, or create one; runs in the thread."""
        from mlflow.exceptions import MlflowException

        study, logger = self._plan.study, self._plan.study.logger
        assert self._location is not None
        assert isinstance(logger, MlflowLogger)
        client = make_mlflow_client(self._location)
        experiment = find_or_create_experiment(client, logger.experiment)
        record = read_record(self._plan.directory)
        run_id = record.id if record is not None and record.logger == logger.name else None
        if run_id is not None:
            try:
                client.update_run(run_id, "RUNNING")
            except MlflowException:  # the earlier run was deleted, or is on another server
                run_id = None
        if run_id is None:
            run_id = client.create_run(experiment, run_name=study.name).info.run_id
            Record(logger.name, remove_passwords(self._location), run_id).write(self._plan.directory)
        for name, value in _make_tags(study).items():
            client.set_tag(run_id, f"usaggr.{name}", value)
        self._client, self._id = client, run_id

    def _close(self, end: End, n_done: int, n_failed: int) -> None:
        """Log the end of the sweep; runs in the thread.

        Args:
            end: how the sweep has ended.
            n_done: number of runs that are done.
            n_failed: number of runs that have failed.
        """
        for name, number in (("runs", len(self._plan.runs)), ("runs_done", n_done), ("runs_failed", n_failed)):
            self._client.log_metric(str(self._id), name, number)
        self._client.set_terminated(str(self._id), MLFLOW_STATUS[end])


def _find_location(study: StudyConfig) -> str | None:
    return find_mlflow_location(study) if isinstance(study.logger, MlflowLogger) else None


def _add_tracker(run: PlannedRun, location: str | None, parent: str | None) -> StudyConfig:
    """Return a run's study with what its tracker needs.

    Args:
        run: the run.
        location: address of MLflow; None with other loggers.
        parent: id of the sweep's run in MLflow; None without one.
    """
    return run.study.set_tracked(Tracked(location, parent, run.groupings))


def _make_tags(study: StudyConfig) -> dict[str, str]:
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


def _report_untracked(runs: Sequence[PlannedRun], print_line: Callable[[str], None]) -> None:
    """Print how many of the trained runs are not fully tracked, and the reason of the first one."""
    records = [record for run in runs if (record := read_record(run.directory)) is not None]
    incomplete = [record for record in records if record.problem is not None]
    if incomplete:
        count = f"{len(incomplete)} of {len(records)} runs are not fully tracked"
        print_line(f"logger={incomplete[0].logger}: {count}; reason of the first: {incomplete[0].problem}")
