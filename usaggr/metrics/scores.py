"""Scores of samples from prediction and truth, and scores of a subset from the scores of its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.metrics.classification import compute_classification_scores
from usaggr.metrics.detection import iou
from usaggr.metrics.jackknife import compute_auc_pseudovalues, compute_confusion_pseudovalues, mean_pseudovalues
from usaggr.metrics.landmarks import mean_radial_error
from usaggr.metrics.names import METRICS
from usaggr.metrics.segmentation import mean_dsc, score_classes
from usaggr.results.predictions import Prediction, Truth
from usaggr.results.run_result import Scores
from usaggr.tasks import Task, TaskType, has_class_label

Rows = Sequence[Mapping[str, Any]] | pd.DataFrame
"""Rows of predictions.parquet, from `make_prediction_row` or from `read_predictions`.

Rows of a classification task may have the additional column `predicted_class`; without it, the most probable class is
the predicted one.
"""


def score_sample(
    task: Task, prediction: Prediction, truth: Truth, nsd_tolerance: float, main_only: bool = False
) -> dict[str, float]:
    """Return the scores of one sample, for all metrics of its type that are defined for single samples.

    Args:
        task: Task of the sample.
        prediction: Prediction for the sample.
        truth: True label of the sample.
        nsd_tolerance: Tolerance of the normalized surface distance, as a fraction of the image's diagonal.
        main_only: True to compute only the DSC of masks, which is much faster than the distances.

    Raises:
        ValueError: The prediction is not of the task's type, or its shape differs from the true label's.
    """
    diagonal = float(np.hypot(truth.height, truth.width))
    match task.type:
        case "segmentation":
            if prediction.mask is not None and truth.mask is not None:
                _check_shape(truth, prediction.mask, truth.mask)
                if main_only:
                    return {"dsc": mean_dsc(truth.mask, prediction.mask, task.num_classes)}
                return score_classes(truth.mask, prediction.mask, task.num_classes, nsd_tolerance * diagonal)
        case "classification":
            if prediction.probs is not None and truth.label is not None:
                return {"accuracy": float(prediction.probs.argmax() == truth.label)}
        case "detection":
            if prediction.box is not None and truth.box is not None:
                _check_shape(truth, prediction.box, truth.box)
                return {"iou": iou(truth.box, prediction.box)}
        case "regression":
            if prediction.points is not None and truth.points is not None:
                _check_shape(truth, prediction.points, truth.points)
                mre = mean_radial_error(truth.points, prediction.points)
                return {"mre": mre, "mre_relative": mre / diagonal}
        case _:
            assert_never(task.type)
    raise ValueError(f"{truth.sample_id}: prediction or truth is not of a {task.type} task")


def score_columns(task_type: TaskType) -> tuple[str, ...]:
    """Return the columns of predictions.parquet that `score_task` and `compute_task_pseudovalues` use."""
    if has_class_label(task_type):
        return ("label", "probs")
    return tuple(metric.name for metric in METRICS[task_type])


def score_task(task: Task, predictions: Rows) -> tuple[dict[str, float], list[str]]:
    """Return the scores of a task over a subset, and remarks, from at least one row of this task.

    Scores of masks are means over images for each class, then over foreground classes. All images have all classes, so
    this is the mean of the samples' scores. A metric that no sample has (distances, with `main_only`) is left out; a
    metric that some samples do not have is NaN. Of the classification scores, only AUC can be left out, with a remark.
    """
    if has_class_label(task.type):
        classes = _make_class_arrays(predictions)
        return compute_classification_scores(classes.labels, classes.probabilities, classes.predicted)
    main, *further = [metric.name for metric in METRICS[task.type]]
    values = {name: _get_values(predictions, name) for name in (main, *further)}
    names = [main, *(name for name in further if not np.isnan(values[name]).all())]
    return {name: float(values[name].mean()) for name in names}, []


def compute_task_pseudovalues(
    task: Task, predictions: Rows, components: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return the pseudo-values of a task's scores over a test set: one value per component, whose mean is the score.

    A metric that some samples do not have is left out, and so is an AUC that is not defined.

    Args:
        task: The task, whose type determines the metrics.
        predictions: At least one row of the task.
        components: (N,) index of each row's component, with all of 0..C-1.
        weights: (N,) weight of each row in the scores, above 0, as `sample_weight` of scikit-learn. Default: equal
            weights, as in `score_task`. With 1 / number of the subject's rows, a mean over rows becomes a mean over
            subjects of the means of their rows.

    Returns:
        (C,) pseudo-values by metric.
    """
    if has_class_label(task.type):
        classes = _make_class_arrays(predictions)
        labels, probabilities = classes.labels, classes.probabilities
        pseudovalues = compute_confusion_pseudovalues(labels, probabilities, components, classes.predicted, weights)
        auc = compute_auc_pseudovalues(labels, probabilities, components, weights)
        return pseudovalues if auc is None else {**pseudovalues, "auc": auc}
    values = {metric.name: _get_values(predictions, metric.name) for metric in METRICS[task.type]}
    return {
        name: mean_pseudovalues(sample_values, components, weights)
        for name, sample_values in values.items()
        if not np.isnan(sample_values).any()
    }


def average_by_subject(
    task: Task, predictions: Rows, subjects: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """Return the mean score of each subject for the metrics of single samples; each subject counts once.

    A metric that some samples do not have is left out.

    Args:
        task: The task, whose type determines the metrics.
        predictions: At least one row of the task.
        subjects: (N,) index of each row's subject, with all of 0..C-1.

    Returns:
        (C,) means by metric.
    """
    if has_class_label(task.type):
        classes = _make_class_arrays(predictions)
        predicted = classes.probabilities.argmax(axis=1) if classes.predicted is None else classes.predicted
        values = {"accuracy": (predicted == classes.labels).astype(float)}
    else:
        values = {metric.name: _get_values(predictions, metric.name) for metric in METRICS[task.type]}
    counts = np.bincount(subjects)
    return {
        name: np.bincount(subjects, sample_values) / counts
        for name, sample_values in values.items()
        if not np.isnan(sample_values).any()
    }


def score_tasks_by_subject(tasks: Sequence[Task], predictions: Rows) -> Scores:
    """Return the scores of each task over a subset, in which each subject counts once, however many rows it has.

    A metric that some samples do not have is left out, and so is a task without rows.
    """
    scores: Scores = {}
    by_task = _group_by_task(predictions)
    for task in tasks:
        if task.id in by_task:
            task_rows = by_task[task.id]
            if isinstance(task_rows, pd.DataFrame):
                ids = task_rows["subject_id"].tolist()
            else:
                ids = [row["subject_id"] for row in task_rows]
            subjects, counts = np.unique(ids, return_inverse=True, return_counts=True)[1:]
            # Pseudo-values are not needed here, but their mean is the weighted score of every metric.
            values = compute_task_pseudovalues(task, task_rows, subjects, 1 / counts[subjects])
            scores[task.id] = {name: float(value.mean()) for name, value in values.items()}
    return scores


def score_tasks(tasks: Sequence[Task], predictions: Rows) -> tuple[Scores, dict[str, list[str]]]:
    """Return the scores and remarks of each task over a subset.

    A task without rows has no scores, and a task without remarks no entry in the notes. Rows of other tasks are
    ignored.
    """
    scores: Scores = {}
    notes: dict[str, list[str]] = {}
    by_task = _group_by_task(predictions)
    for task in tasks:
        if task.id in by_task:
            scores[task.id], remarks = score_task(task, by_task[task.id])
            if remarks:
                notes[task.id] = remarks
    return scores, notes


def _group_by_task(predictions: Rows) -> dict[str, Rows]:
    """Return the rows of each task that has rows."""
    if isinstance(predictions, pd.DataFrame):
        return {str(task_id): group for task_id, group in predictions.groupby("task_id")} if len(predictions) else {}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in predictions:  # converting the rows to a table would take longer than scoring a small subset
        groups.setdefault(row["task_id"], []).append(row)
    return dict(groups)


@dataclass(frozen=True)
class _ClassPredictions:
    """True classes, probabilities and predicted classes of N samples."""

    labels: NDArray[np.int64]
    """(N,) true classes."""
    probabilities: NDArray[np.float64]
    """(N, K) class probabilities."""
    predicted: NDArray[np.int64] | None
    """(N,) predicted classes; None for the most probable ones."""


def _make_class_arrays(predictions: Rows) -> _ClassPredictions:
    """Convert the rows of a classification task to arrays."""
    if isinstance(predictions, pd.DataFrame):
        probabilities, names = list(predictions["probs"]), set(predictions.columns)
    else:
        probabilities, names = [row["probs"] for row in predictions], set(predictions[0])
    predicted = _get_column(predictions, "predicted_class", np.int64) if "predicted_class" in names else None
    return _ClassPredictions(_get_column(predictions, "label", np.int64), np.stack(probabilities), predicted)


def _get_values(predictions: Rows, name: str) -> NDArray[np.float64]:
    """Return a metric of each sample (N,), NaN for samples without it."""
    return _get_column(predictions, name, np.float64)


def _get_column(predictions: Rows, name: str, dtype: type[Any]) -> NDArray[Any]:
    """Return a column (N,), with NaN for rows without it.

    Args:
        predictions: Rows of predictions.
        name: Name of the column.
        dtype: Type of the returned array.
    """
    if isinstance(predictions, pd.DataFrame):
        if name not in predictions:
            return np.full(len(predictions), np.nan, dtype)
        return predictions[name].to_numpy(dtype=dtype)
    return np.array([row.get(name, np.nan) for row in predictions], dtype=dtype)


def _check_shape(truth: Truth, predicted: NDArray[Any], true: NDArray[Any]) -> None:
    """Check that a prediction has the shape of the true label: numpy would broadcast another shape without an error.

    Args:
        truth: Names the sample in messages.
        predicted: Predicted mask, box or points.
        true: True mask, box or points.

    Raises:
        ValueError: The shapes differ.
    """
    if predicted.shape != true.shape:
        raise ValueError(
            f"{truth.sample_id}: the prediction has the shape {predicted.shape}, but the true label has {true.shape}"
        )
