"""Lightning's logger of a run, isolated so that no error or delay of a tracker reaches the training.

All calls are made in a separate thread (`BackgroundCalls`). A tracker that is slow, cannot be reached or is not
installed costs a run one line in log.txt.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

from usaggr.config.logger import NoLogger
from usaggr.config.study import StudyConfig
from usaggr.results.contract import LOGS
from usaggr.results.run_result import Scores
from usaggr.results.spec import RunSpec
from usaggr.stopping import RunInterrupted
from usaggr.tracking.backends import OpenRun, open_run
from usaggr.tracking.record import BackgroundCalls, End, Record, describe_error, read_record

PATIENCE: dict[End, float] = {"done": 20.0, "failed": 20.0, "stopped": 10.0}
"""Seconds that a run waits at its end for the remaining calls; fewer after a stop, because the user waits too."""


class Tracker(Logger):
    """Lightning's logger of one run, which passes every call on to the tracker's logger in another thread.

    Args:
        spec: The run.
        study: The study, with its logger.
        directory: Directory of the run.
        step: Training steps finished by earlier attempts, after which this one continues; 0 for a new start.
    """

    def __init__(self, spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> None:
        super().__init__()
        self._directory = directory
        self._every = 1 if isinstance(study.logger, NoLogger) else study.logger.every
        self._record = Record(study.logger.name, None, None)
        self._calls = BackgroundCalls("tracker")
        self._run: OpenRun | None = None
        self._calls.put(lambda: self._open(spec, study, step))

    @property
    def every(self) -> int:
        """Number of training steps between two entries."""
        return self._every

    @property
    def name(self) -> str:
        """Name of the tracker."""
        return self._record.logger

    @property
    def version(self) -> str:
        """Empty: Lightning asks for a version, but a run has none."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: hyperparameters are logged when the run is opened, or together with its scores."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers by name, without `epoch`: Lightning counts intervals between validations as epochs."""
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        if values:
            self._put(lambda run: run.logger.log_metrics(values, step))

    def log_scores(self, scores: Scores, step: int) -> None:
        """Log the scores on the test set, as `test/<task>/<metric>`."""
        values = {f"test/{task}/{name}": value for task, metrics in scores.items() for name, value in metrics.items()}
        self._put(lambda run: run.log_scores(values, step))

    def save(self) -> None:
        """Write to disk what has been logged."""
        self._put(lambda run: run.logger.save())

    def finalize(self, status: str) -> None:
        """Do nothing: a run continues after Lightning has trained it."""

    def close(self, end: End) -> None:
        """Report to the tracker how the run ended, wait for the remaining calls, and print the first error."""
        self._put(lambda run: run.end(end))
        self._calls.close(PATIENCE[end])
        if self._calls.problem is not None:
            print(f"logger={self.name}: the run is not fully logged: {self._calls.problem}", flush=True)
            self._write_record(replace(self._record, problem=self._calls.problem))

    def _put(self, call: Callable[[Any], None]) -> None:
        # Opening is the first call, and an error ends all calls. So the run is open when this call is made.
        self._calls.put(lambda: call(self._run))

    def _open(self, spec: RunSpec, study: StudyConfig, step: int) -> None:
        earlier = read_record(self._directory)
        earlier_id = earlier.id if earlier is not None and earlier.logger == self.name else None
        if step == 0:
            shutil.rmtree(self._directory / LOGS, ignore_errors=True)
        self._run = open_run(spec, study, self._directory, step, earlier_id)
        self._record = Record(self.name, self._run.location, self._run.id)
        self._write_record(self._record)

    def _write_record(self, record: Record) -> None:
        try:
            record.write(self._directory)
        except Exception as error:  # a full disk is also found by the run itself, which reports it
            print(f"logger={self.name}: {describe_error(error)}", flush=True)


@contextmanager
def track_run(spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> Iterator[Tracker | None]:
    """Yield the tracker of a run, and report to it at the end how the run ended; yield None with logger=none.

    Args:
        spec: The run.
        study: The study, with its logger.
        directory: Directory of the run.
        step: Training steps finished by earlier attempts; 0 for a new start.
    """
    if isinstance(study.logger, NoLogger):
        yield None
        return
    tracker = Tracker(spec, study, directory, step)
    end: End = "failed"
    try:
        yield tracker
        end = "done"
    except RunInterrupted:
        end = "stopped"
        raise
    finally:
        with suppress(Exception):
            tracker.close(end)
