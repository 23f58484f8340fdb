"""Logger of a run for Lightning, isolated so that no error or delay of a tracker reaches the training.

A tracker is the service or file format that shows runs: CSV, TensorBoard, MLflow or W&B. All calls are made in a
separate thread (`BackgroundCalls`). A tracker that is slow, cannot be reached or is not installed costs a run one line
in log.txt, and at most `CLOSE_SECONDS` at its end.
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

CLOSE_SECONDS: dict[End, float] = {"done": 20.0, "failed": 20.0, "stopped": 10.0}
"""Seconds that a run waits at its end for unsent calls, by outcome; fewer after a stop, because the user is waiting."""


class RunLogger(Logger):
    """Logger of one run for Lightning, which passes every call to the tracker in another thread.

    Args:
        spec: The run.
        study: The study, with its logger.
        directory: Directory of the run.
        step: Training steps finished by earlier attempts, after which this one continues; 0 for a new start.
    """

    def __init__(self, spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> None:
        super().__init__()
        self._directory = directory
        # `track_run` makes no logger with logger=none, but the type checker cannot see this.
        self._log_every_n_steps = 1 if isinstance(study.logger, NoLogger) else study.logger.every
        self._record = Record(study.logger.name, None, None)
        self._calls = BackgroundCalls("tracker")
        self._run: OpenRun | None = None
        self._calls.put(lambda: self._open(spec, study, step))

    @property
    def log_every_n_steps(self) -> int:
        """Number of training steps between two entries (`logger.every`)."""
        return self._log_every_n_steps

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
        """Log metrics by name.

        `epoch` is dropped, because Lightning's epochs are validation intervals of this run, not passes over the data.
        """
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
        """Do nothing: after the training, the test scores are still to be logged; `close` ends the logging."""

    def close(self, outcome: End) -> None:
        """Report the outcome to the tracker, and wait at most `CLOSE_SECONDS` for the remaining calls.

        The first error is printed, and written to `tracking.json`.
        """
        self._put(lambda run: run.end(outcome))
        self._calls.close(CLOSE_SECONDS[outcome])
        if self._calls.problem is not None:
            print(f"logger={self.name}: the run is not fully logged: {self._calls.problem}", flush=True)
            self._write_record(replace(self._record, problem=self._calls.problem))

    def _put(self, call: Callable[[Any], None]) -> None:
        # Opening is the first call, and an error ends all calls. So the run is open when this call is made.
        self._calls.put(lambda: call(self._run))

    def _open(self, spec: RunSpec, study: StudyConfig, step: int) -> None:
        """Open the run in the tracker, and write its record.

        Args:
            spec: The run.
            study: The study, with its logger.
            step: Training steps finished by earlier attempts; 0 for a new start.
        """
        earlier_record = read_record(self._directory)
        earlier_id = None
        if earlier_record is not None and earlier_record.logger == self.name:
            earlier_id = earlier_record.id
        # A run that starts from its first step must not show entries of an earlier attempt.
        if step == 0:
            shutil.rmtree(self._directory / LOGS, ignore_errors=True)
        self._run = open_run(spec, study, self._directory, step, earlier_id)
        self._record = Record(self.name, self._run.location, self._run.id)
        self._write_record(self._record)

    def _write_record(self, record: Record) -> None:
        try:
            record.write(self._directory)
        except Exception as error:  # only printed: if the disk is full, the run itself fails and reports it
            print(f"logger={self.name}: {describe_error(error)}", flush=True)


@contextmanager
def track_run(spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> Iterator[RunLogger | None]:
    """Yield the logger of a run, and report the outcome to its tracker at the end; yield None with logger=none.

    Args:
        spec: The run.
        study: The study, with its logger.
        directory: Directory of the run.
        step: Training steps finished by earlier attempts; 0 for a new start.
    """
    if isinstance(study.logger, NoLogger):
        yield None
        return
    logger = RunLogger(spec, study, directory, step)
    outcome: End = "failed"
    try:
        yield logger
        outcome = "done"
    except RunInterrupted:
        outcome = "stopped"
        raise
    finally:
        with suppress(Exception):
            logger.close(outcome)
