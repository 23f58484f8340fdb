"""Pseudo-values of a finished run's scores per test component, from its predictions.parquet."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.subsets import TestFold
from usaggr.errors import RunError
from usaggr.metrics.scores import average_by_subject, compute_task_pseudovalues, score_columns
from usaggr.results.predictions import SAMPLE_METRICS, read_column_names, read_predictions
from usaggr.statistics.minimum_evidence import count_rarer_class
from usaggr.tasks import Task, has_class_label


@dataclass(frozen=True)
class TaskPseudovalues:
    """Pseudo-values of one run on one task."""

    metrics: dict[str, NDArray[np.float64]]
    """(C,) values by metric, one per test component, in the order of `TestFold.components`; their mean is the score.

    The score weights each subject equally if the task is in `Collection.weighted`, and each sample equally otherwise.
    """
    rarer_class_size: int | None
    """Number of independent test subjects (components) in the rarer class; None for tasks without class labels."""
    subject_means: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """(C,) mean score of each component, in the same order, for each per-sample metric; each component counts once."""


def has_sample_scores(path: Path, metrics: Iterable[str]) -> bool:
    """Return whether a run's predictions.parquet exists and has a column for each per-sample metric among these.

    Args:
        path: The run's predictions.parquet.
        metrics: Metrics of the run's result. Metrics of a complete test set (AUC) need no column.

    Raises:
        RunError: The file is damaged.
    """
    return path.exists() and set(metrics).intersection(SAMPLE_METRICS) <= read_column_names(path)


def read_pseudovalues(
    path: Path, tasks: Mapping[str, Task], folds: Mapping[str, TestFold], weighted: Container[str] = frozenset()
) -> dict[str, TaskPseudovalues] | None:
    """Return the pseudo-values of all metrics, by task.

    Args:
        path: The run's predictions.parquet.
        tasks: Tasks of the run, by id.
        folds: Test samples of each task.
        weighted: Tasks scored with the sample weights of their `TestFold`.

    Returns:
        Pseudo-values by task; None if the file does not exist.

    Raises:
        RunError: The predictions cannot be read, or are not those of the test samples.
    """
    if not path.exists():
        return None
    # Older versions stored fewer metrics: a missing column leaves its metric out; this is not an error.
    missing = set(SAMPLE_METRICS) - read_column_names(path)
    columns = dict.fromkeys(name for task in tasks.values() for name in score_columns(task.type))
    table = read_predictions(path, ["task_id", "sample_id", *(name for name in columns if name not in missing)])
    by_task = {}
    for task_id, task in tasks.items():
        predictions, fold = table[table["task_id"] == task_id], folds.get(task_id)
        indices = None if fold is None else fold.component_indices.reindex(predictions["sample_id"])
        if fold is None or indices is None or indices.isna().any() or len(predictions) != len(fold.component_indices):
            # The predictions have been compared with their checksum, so that a changed split.csv is the likely cause.
            count = 0 if fold is None else len(fold.component_indices)
            raise RunError(
                f"{path}: the {len(predictions)} predictions of {task_id} are not those of its {count} test samples in "
                "split.csv; run the same `usaggr sweep`, which writes split.csv again and keeps the run; remove the "
                "run only if this message stays"
            )
        weights: NDArray[np.float64] | None = None
        if task_id in weighted and fold.weights is not None:
            weights = np.asarray(fold.weights.reindex(predictions["sample_id"]), dtype=np.float64)
        try:
            by_task[task_id] = _read_task_pseudovalues(task, predictions, indices.to_numpy().astype(np.int64), weights)
        except (ValueError, TypeError, IndexError) as error:  # a value is missing, or a list has another length
            raise RunError(
                f"{path}: the predictions of {task_id} do not fit a {task.type} task "
                f"({' '.join(str(error).split())}); remove the run to train it again"
            ) from error
    return by_task


def _read_task_pseudovalues(
    task: Task,
    predictions: pd.DataFrame,
    component_indices: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
) -> TaskPseudovalues:
    metrics = compute_task_pseudovalues(task, predictions, component_indices, weights)
    size = None
    if has_class_label(task.type):
        size = count_rarer_class(predictions["label"].to_numpy(dtype=np.int64), component_indices, task.num_classes)
    return TaskPseudovalues(metrics, size, average_by_subject(task, predictions, component_indices))
