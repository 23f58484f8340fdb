"""Scores of samples from prediction and truth, and scores of a fold from its samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from usaggr.metrics.classification import classification_scores
from usaggr.metrics.detection import iou
from usaggr.metrics.landmarks import mean_radial_error
from usaggr.metrics.names import METRICS
from usaggr.metrics.predictions import Prediction, Truth
from usaggr.metrics.segmentation import class_scores, mean_dsc
from usaggr.runs import Scores
from usaggr.tasks import Task


def score_sample(
    task: Task, prediction: Prediction, truth: Truth, nsd_tolerance: float, main_only: bool = False
) -> dict[str, float]:
    """Scores that a single sample has: of its type's metrics, those that are means over samples.

    `nsd_tolerance` is a fraction of the image's diagonal. With `main_only`, distances of masks are not taken.

    Raises:
        ValueError: the prediction is not of the task's type, or a mask has another size than its truth.
    """
    diagonal = float(np.hypot(truth.height, truth.width))
    match task.type:
        case "segmentation" if prediction.mask is not None and truth.mask is not None:
            if prediction.mask.shape != truth.mask.shape:
                raise ValueError(f"{truth.sample_id}: mask of {prediction.mask.shape}, truth of {truth.mask.shape}")
            if main_only:
                return {"dsc": mean_dsc(truth.mask, prediction.mask, task.num_classes)}
            return class_scores(truth.mask, prediction.mask, task.num_classes, nsd_tolerance * diagonal)
        case "classification" if prediction.probs is not None and truth.label is not None:
            return {"accuracy": float(prediction.probs.argmax() == truth.label)}
        case "detection" if prediction.box is not None and truth.box is not None:
            return {"iou": iou(truth.box, prediction.box)}
        case "regression" if prediction.points is not None and truth.points is not None:
            mre = mean_radial_error(truth.points, prediction.points)
            return {"mre": mre, "mre_relative": mre / diagonal}
    raise ValueError(f"{truth.sample_id}: prediction or truth is not of a {task.type} task")


def score_task(task: Task, rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], list[str]]:
    """Scores of a task over a fold, and remarks; `rows` as of predictions.parquet.

    DSC and the like are means over images for each class, then over foreground classes: as all images have all
    classes, that is the mean of the samples' scores.
    """
    if task.type == "classification":
        return classification_scores(
            np.array([row["label"] for row in rows]), np.stack([np.asarray(row["probs"], dtype=float) for row in rows])
        )
    names = [metric.name for metric in METRICS[task.type] if metric.name in rows[0]]
    return {name: float(np.mean([row[name] for row in rows])) for name in names}, []


def score_tasks(tasks: Sequence[Task], rows: Sequence[Mapping[str, Any]]) -> tuple[Scores, dict[str, list[str]]]:
    """Scores and remarks of each task over a fold; a task without rows has no scores."""
    by_task: dict[str, list[Mapping[str, Any]]] = {task.id: [] for task in tasks}
    for row in rows:
        by_task[row["task_id"]].append(row)
    scores: Scores = {}
    notes: dict[str, list[str]] = {}
    for task in tasks:
        if by_task[task.id]:
            scores[task.id], remarks = score_task(task, by_task[task.id])
            if remarks:
                notes[task.id] = remarks
    return scores, notes
