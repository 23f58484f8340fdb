"""Saved predictions of single samples, read from the predictions.parquet of each run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
from pyarrow import compute

from usaggr.analysis.collect import CollectedRun
from usaggr.errors import RunError, get_first_line
from usaggr.io.bounded_parquet import read_bounded_table
from usaggr.metrics.names import get_main_metric
from usaggr.results import contract
from usaggr.tasks import TASK_TYPES, has_class_label

_SCORES = tuple(get_main_metric(task_type).name for task_type in TASK_TYPES if not has_class_label(task_type))
"""Metrics of single samples that predictions.parquet has as columns."""


@dataclass(frozen=True)
class SavedPrediction:
    """A row of predictions.parquet: the prediction of one run for one sample."""

    task_id: str
    """Task that the prediction is for."""
    sample_id: str
    """Sample of the task."""
    label: int | None
    """True class; None for other task types."""
    probs: Sequence[float] | None
    """(C,) probability of each class; None for other task types."""
    box: Sequence[float] | None
    """(4,) predicted box; None for other task types."""
    points: Sequence[float] | None
    """(2 P,) coordinates of predicted landmarks; None for other task types."""
    mask: bytes | None
    """PNG of the predicted mask; None for other task types."""
    scores: Mapping[str, float | None]
    """Score of the sample by metric; None for the metrics of other task types."""


_COLUMNS = tuple(column.name for column in fields(SavedPrediction) if column.name != "scores")
"""Columns of predictions.parquet with the name of their field."""


class PredictionReader:
    """Reader of the predictions of chosen samples; each file is read once, for all tasks of its run."""

    def __init__(self, samples_by_run: Mapping[str, Iterable[str]]) -> None:
        """Prepare to read.

        Args:
            samples_by_run: Ids of the samples to read, by fingerprint of the run.
        """
        self._samples_by_run = {fingerprint: set(samples) for fingerprint, samples in samples_by_run.items()}
        self._predictions: dict[str, dict[tuple[str, str], SavedPrediction]] = {}

    def read(self, run: CollectedRun, task_id: str, sample_id: str) -> SavedPrediction:
        """Return the prediction of a sample.

        Args:
            run: Run that made the prediction.
            task_id: Id of the task.
            sample_id: Id of the sample.

        Raises:
            RunError: The prediction is missing, or the file cannot be read.
        """
        fingerprint = run.row.fingerprint
        assert run.path is not None
        path = run.path / contract.PREDICTIONS
        if fingerprint not in self._predictions:
            saved = _read_predictions(path, self._samples_by_run[fingerprint])
            self._predictions[fingerprint] = {(row.task_id, row.sample_id): row for row in saved}
        if (task_id, sample_id) not in self._predictions[fingerprint]:
            raise RunError(f"{path}: no prediction of {sample_id} for {task_id}")
        return self._predictions[fingerprint][task_id, sample_id]


def _read_predictions(path: Path, sample_ids: set[str]) -> list[SavedPrediction]:
    """Return the predictions of some samples in a file of predictions, for all tasks.

    Raises:
        RunError: The file cannot be read.
    """
    is_requested = compute.field("sample_id").isin(sorted(sample_ids))
    try:
        records = read_bounded_table(path, [*_COLUMNS, *_SCORES]).filter(is_requested).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:  # damaged text raises ValueError, as it is not UTF-8
        raise RunError(f"{path}: cannot be read ({get_first_line(error)})") from error
    return [
        SavedPrediction(**{name: row[name] for name in _COLUMNS}, scores={name: row[name] for name in _SCORES})
        for row in records
    ]
