"""Scores of samples from prediction and truth, and scores of a fold from its samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.metrics.classification import classification_scores
from usaggr.metrics.detection import iou
from usaggr.metrics.landmarks import mean_radial_error
from usaggr.metrics.names import METRICS
from usaggr.metrics.segmentation import class_scores, mean_dsc
from usaggr.results.predictions import Prediction, Truth
from usaggr.results.run_result import Scores
from usaggr.tasks import Task

Rows = Sequence[Mapping[str, Any]] | pd.DataFrame
"""Rows of predictions.parquet: as they come from `prediction_row`, or as `read_predictions` gives them."""


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
        case "segmentation" if prediction.mask is not None and truth.mask is not None:
            _same_shape(truth, prediction.mask, truth.mask)
            if main_only:
                return {"dsc": mean_dsc(truth.mask, prediction.mask, task.num_classes)}
            return class_scores(truth.mask, prediction.mask, task.num_classes, nsd_tolerance * diagonal)
        case "classification" if prediction.probs is not None and truth.label is not None:
            return {"accuracy": float(prediction.probs.argmax() == truth.label)}
        case "detection" if prediction.box is not None and truth.box is not None:
            _same_shape(truth, prediction.box, truth.box)
            return {"iou": iou(truth.box, prediction.box)}
        case "regression" if prediction.points is not None and truth.points is not None:
            _same_shape(truth, prediction.points, truth.points)
            mre = mean_radial_error(truth.points, prediction.points)
            return {"mre": mre, "mre_relative": mre / diagonal}
    raise ValueError(f"{truth.sample_id}: prediction or truth is not of a {task.type} task")


def score_task(task: Task, rows: Rows) -> tuple[dict[str, float], list[str]]:
    """Scores of a task over a fold, and remarks, from the task's own rows, of which there is at least one.

    DSC and the like are means over images for each class, then over foreground classes: as all images have all
    classes, that is the mean of the samples' scores. A metric that no sample has (distances, under `main_only`) is left
    out; one that some lack is NaN. AUC alone can be left out of a whole fold's classification scores, with a remark.
    """
    if task.type == "classification":
        labels = np.array(_column(rows, "label"), dtype=np.int64)
        return classification_scores(labels, np.stack(_column(rows, "probs")))
    main, *others = [metric.name for metric in METRICS[task.type]]
    values = {name: np.array(_column(rows, name), dtype=float) for name in (main, *others)}
    names = [main, *(name for name in others if not np.isnan(values[name]).all())]
    return {name: float(values[name].mean()) for name in names}, []


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


def _column(rows: Rows, name: str) -> list[Any]:
    """Values of a column; NaN where there is none."""
    if isinstance(rows, pd.DataFrame):
        return list(rows[name]) if name in rows else [np.nan] * len(rows)
    return [row.get(name, np.nan) for row in rows]


def _same_shape(truth: Truth, predicted: NDArray[Any], true: NDArray[Any]) -> None:
    """NumPy would stretch one point, or one row of a mask, to the other's shape without a word."""
    if predicted.shape != true.shape:
        raise ValueError(f"{truth.sample_id}: prediction of shape {predicted.shape}, truth of {true.shape}")
