"""Scores of samples from prediction and truth, and scores of a fold from its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.metrics.classification import classification_scores
from usaggr.metrics.detection import iou
from usaggr.metrics.jackknife import auc_pseudovalues, confusion_pseudovalues, mean_pseudovalues
from usaggr.metrics.landmarks import mean_radial_error
from usaggr.metrics.names import METRICS
from usaggr.metrics.segmentation import class_scores, mean_dsc
from usaggr.results.predictions import Prediction, Truth
from usaggr.results.run_result import Scores
from usaggr.tasks import Task, TaskType, has_class_label

Rows = Sequence[Mapping[str, Any]] | pd.DataFrame
"""Rows of predictions.parquet: as they come from `prediction_row`, or as `read_predictions` gives them.

Those of a classification may have a column more, `predicted_class`; without it the most probable class is predicted.
"""


def score_sample(
    task: Task, prediction: Prediction, truth: Truth, nsd_tolerance: float, main_only: bool = False
) -> dict[str, float]:
    """Scores that a single sample has: of its type's metrics, those that are means over samples.

    `nsd_tolerance` is a fraction of the image's diagonal. With `main_only`, distances of masks are not taken.

    Raises:
        ValueError: the prediction is not of the task's type, or has another size than its truth.
    """
    diagonal = float(np.hypot(truth.height, truth.width))
    match task.type:
        case "segmentation":
            if prediction.mask is not None and truth.mask is not None:
                _same_shape(truth, prediction.mask, truth.mask)
                if main_only:
                    return {"dsc": mean_dsc(truth.mask, prediction.mask, task.num_classes)}
                return class_scores(truth.mask, prediction.mask, task.num_classes, nsd_tolerance * diagonal)
        case "classification":
            if prediction.probs is not None and truth.label is not None:
                return {"accuracy": float(prediction.probs.argmax() == truth.label)}
        case "detection":
            if prediction.box is not None and truth.box is not None:
                _same_shape(truth, prediction.box, truth.box)
                return {"iou": iou(truth.box, prediction.box)}
        case "regression":
            if prediction.points is not None and truth.points is not None:
                _same_shape(truth, prediction.points, truth.points)
                mre = mean_radial_error(truth.points, prediction.points)
                return {"mre": mre, "mre_relative": mre / diagonal}
        case _:
            assert_never(task.type)
    raise ValueError(f"{truth.sample_id}: prediction or truth is not of a {task.type} task")


def score_columns(task_type: TaskType) -> tuple[str, ...]:
    """Return the columns of predictions.parquet from which `score_task` and `task_pseudovalues` take the scores."""
    if has_class_label(task_type):
        return ("label", "probs")
    return tuple(metric.name for metric in METRICS[task_type])


def score_task(task: Task, rows: Rows) -> tuple[dict[str, float], list[str]]:
    """Scores of a task over a fold, and remarks, from the task's own rows, of which there is at least one.

    DSC and the like are means over images for each class, then over foreground classes: as all images have all
    classes, that is the mean of the samples' scores. A metric that no sample has (distances, under `main_only`) is left
    out; one that some lack is NaN. AUC alone can be left out of a whole fold's classification scores, with a remark.
    """
    if has_class_label(task.type):
        classes = _class_predictions(rows)
        return classification_scores(classes.labels, classes.probabilities, classes.predicted)
    main, *others = [metric.name for metric in METRICS[task.type]]
    values = {name: _values(rows, name) for name in (main, *others)}
    names = [main, *(name for name in others if not np.isnan(values[name]).all())]
    return {name: float(values[name].mean()) for name in names}, []


def task_pseudovalues(task: Task, rows: Rows, components: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the pseudo-values of a task's scores over a test set: a value for each component, whose mean is the score.

    A metric that some samples lack is left out, and so is an AUC that is not defined.

    Args:
        task: Decides the metrics.
        rows: The task's own, at least one.
        components: (N,) index of each row's component, all of 0..C-1.

    Returns:
        Metric: (C,) values.
    """
    if has_class_label(task.type):
        classes = _class_predictions(rows)
        labels, probabilities = classes.labels, classes.probabilities
        found = confusion_pseudovalues(labels, probabilities, components, classes.predicted)
        auc = auc_pseudovalues(labels, probabilities, components)
        return found if auc is None else {**found, "auc": auc}
    values = {metric.name: _values(rows, metric.name) for metric in METRICS[task.type]}
    return {
        name: mean_pseudovalues(of_samples, components)
        for name, of_samples in values.items()
        if not np.isnan(of_samples).any()
    }


def score_tasks(tasks: Sequence[Task], rows: Rows) -> tuple[Scores, dict[str, list[str]]]:
    """Scores and remarks of each task over a fold; a task without rows has no scores, one without remarks no note.

    Rows of other tasks are not looked at.
    """
    scores: Scores = {}
    notes: dict[str, list[str]] = {}
    by_task = _by_task(rows)
    for task in tasks:
        if task.id in by_task:
            scores[task.id], remarks = score_task(task, by_task[task.id])
            if remarks:
                notes[task.id] = remarks
    return scores, notes


def _by_task(rows: Rows) -> dict[str, Rows]:
    """The rows of each task that has any."""
    if isinstance(rows, pd.DataFrame):
        return {str(task_id): own for task_id, own in rows.groupby("task_id")} if len(rows) else {}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:  # a table of them would cost more than all scores of a small fold
        found.setdefault(row["task_id"], []).append(row)
    return dict(found)


@dataclass(frozen=True)
class _ClassPredictions:
    """True classes, probabilities and predicted classes of N samples."""

    labels: NDArray[np.int64]
    """(N,)"""
    probabilities: NDArray[np.float64]
    """(N, K)"""
    predicted: NDArray[np.int64] | None
    """(N,); None: the most probable ones."""


def _class_predictions(rows: Rows) -> _ClassPredictions:
    """Return what the rows of a classification task say."""
    if isinstance(rows, pd.DataFrame):
        probabilities, names = list(rows["probs"]), set(rows.columns)
    else:
        probabilities, names = [row["probs"] for row in rows], set(rows[0])
    predicted = _column(rows, "predicted_class", np.int64) if "predicted_class" in names else None
    return _ClassPredictions(_column(rows, "label", np.int64), np.stack(probabilities), predicted)


def _values(rows: Rows, name: str) -> NDArray[np.float64]:
    """Return a metric of each sample (N,); NaN where a sample lacks it."""
    return _column(rows, name, np.float64)


def _column(rows: Rows, name: str, dtype: type[Any]) -> NDArray[Any]:
    """Return a column (N,), with NaN where a row lacks it."""
    if isinstance(rows, pd.DataFrame):
        return rows[name].to_numpy(dtype=dtype) if name in rows else np.full(len(rows), np.nan, dtype)
    return np.array([row.get(name, np.nan) for row in rows], dtype=dtype)


def _same_shape(truth: Truth, predicted: NDArray[Any], true: NDArray[Any]) -> None:
    """NumPy would stretch one point, or one row of a mask, to the other's shape without a word."""
    if predicted.shape != true.shape:
        raise ValueError(f"{truth.sample_id}: prediction of shape {predicted.shape}, truth of {true.shape}")
