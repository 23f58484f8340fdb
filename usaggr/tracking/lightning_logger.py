"""A run in its tracker: what Lightning logs while it is trained, and its scores on the test fold.

All calls are made aside (tracking.py): a tracker that is slow, cannot be reached or is not installed here costs a run a
line in log.txt, and no more.
"""

import shutil
from collections.abc import Iterator, Mapping
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
from usaggr.tracking.backends import Backend, open_backend
from usaggr.tracking.record import Aside, End, Record, one_line, read_record

PATIENCE: dict[End, float] = {"done": 20.0, "failed": 20.0, "stopped": 10.0}
"""Seconds that a run waits, at its end, for a tracker to take what is left; less where somebody waits for the run."""


class Tracker(Logger):
    """Lightning's logger of a run, which hands everything on to a backend aside.

    `step`: training steps that earlier attempts at the run have done and this one goes on from; 0: it begins anew.
    """

    def __init__(self, spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> None:
        super().__init__()
        self._directory = directory
        self._every = 1 if isinstance(study.logger, NoLogger) else study.logger.every
        self._record = Record(study.logger.name, None, None)
        self._aside = Aside("tracker")
        self._backend: Backend | None = None
        self._aside.put(lambda: self._open(spec, study, step))

    @property
    def every(self) -> int:
        """Training steps between two entries."""
        return self._every

    @property
    def name(self) -> str:
        """Of the tracker."""
        return self._record.logger

    @property
    def version(self) -> str:
        """Lightning asks for one; a run has none."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: those of the run are logged when it begins."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hand on numbers by name. Lightning counts parts of a run as epochs, which says nothing."""
        found = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        if found:
            self._put(lambda backend: backend.log(found, step))

    def log_scores(self, scores: Scores, step: int) -> None:
        """Hand on the scores on the test fold, as `test/<task>/<metric>`."""
        found = {f"test/{task}/{metric}": value for task, of in scores.items() for metric, value in of.items()}
        self._put(lambda backend: backend.log_scores(found, step))

    def save(self) -> None:
        """Bring to disk what was logged up to now."""
        self._put(lambda backend: backend.save())

    def finalize(self, status: str) -> None:
        """Nothing: a run goes on when Lightning has trained it."""

    def close(self, end: End) -> None:
        """Say how the run has ended, wait for what is left for a while, and say what went wrong."""
        self._put(lambda backend: backend.end(end))
        self._aside.close(PATIENCE[end])
        if self._aside.problem is not None:
            print(f"logger={self.name}: not tracked, or not wholly: {self._aside.problem}", flush=True)
            self._write(replace(self._record, problem=self._aside.problem))

    def _put(self, call: Any) -> None:
        self._aside.put(lambda: call(self._backend))

    def _open(self, spec: RunSpec, study: StudyConfig, step: int) -> None:
        earlier = read_record(self._directory)
        known = earlier.id if earlier is not None and earlier.logger == self.name else None
        if step == 0:
            shutil.rmtree(self._directory / LOGS, ignore_errors=True)
        self._backend = open_backend(spec, study, self._directory, step, known)
        self._record = Record(self.name, self._backend.location, self._backend.id)
        self._write(self._record)

    def _write(self, record: Record) -> None:
        try:
            record.write(self._directory)
        except Exception as error:  # the run itself finds a full disk, and says so
            print(f"logger={self.name}: {one_line(error)}", flush=True)


@contextmanager
def tracked(spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> Iterator[Tracker | None]:
    """The run's tracker for as long as the context lasts, which it is told the end of; None with logger=none."""
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
