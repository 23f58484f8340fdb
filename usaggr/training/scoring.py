"""Scores of a network, or of the trivial predictor, on a fold: collected prediction by prediction.

The whole fold is scored at original resolution; nothing is averaged over batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from usaggr.config import DataConfig
from usaggr.data.batches import relative_box, relative_points
from usaggr.data.cache import ImageCache
from usaggr.data.images import read_mask
from usaggr.data.samples import Sample
from usaggr.metrics.names import main_metric, metric, skill
from usaggr.metrics.predictions import Prediction, Truth, prediction_row
from usaggr.metrics.scores import score_sample, score_tasks
from usaggr.metrics.trivial import TrivialPredictor, fit_trivial
from usaggr.runs import Scores
from usaggr.tasks import Task


def truth_of(sample: Sample, data: DataConfig) -> Truth:
    """A sample's label in pixels of the original image; masks are read from their file."""
    mask = read_mask(sample.mask_path, data.foreground_255) if sample.mask_path is not None else None
    return Truth(
        task_id=sample.task_id,
        sample_id=sample.sample_id,
        height=sample.height,
        width=sample.width,
        label=sample.label,
        box=None if sample.box is None else np.asarray(sample.box, dtype=float),
        points=None if sample.points is None else np.asarray(sample.points, dtype=float),
        mask=mask,
    )


class FoldScorer:
    """Scores predictions against their truth as they come, and the fold once all are there."""

    def __init__(
        self, tasks: Mapping[str, Task], data: DataConfig, nsd_tolerance: float, main_only: bool = False
    ) -> None:
        self._tasks = tasks
        self._data = data
        self._nsd_tolerance = nsd_tolerance
        self._main_only = main_only
        self.rows: list[dict[str, Any]] = []
        """A row a sample, as in predictions.parquet."""

    def add(self, predictions: Sequence[Prediction], samples: Sequence[Sample]) -> None:
        """Score predictions of samples, in the same order."""
        for prediction, sample in zip(predictions, samples, strict=True):
            truth = truth_of(sample, self._data)
            task = self._tasks[sample.task_id]
            scores = score_sample(task, prediction, truth, self._nsd_tolerance, main_only=self._main_only)
            self.rows.append(prediction_row(prediction, truth, scores))

    def scores(self) -> tuple[Scores, dict[str, list[str]]]:
        """Scores of each task over the fold, with remarks."""
        return score_tasks(list(self._tasks.values()), self.rows)


def trivial_predictors(
    tasks: Mapping[str, Task], training: Mapping[str, Sequence[Sample]], cache: ImageCache
) -> dict[str, TrivialPredictor]:
    """For each task the predictor that ignores the image, from the run's own training samples."""
    predictors = {}
    for task_id, samples in training.items():
        match tasks[task_id].type:
            case "segmentation":
                targets = cache.masks_of(samples)
            case "classification":
                targets = np.array([s.label for s in samples])
            case "detection":
                targets = np.stack([relative_box(s) for s in samples])
            case "regression":
                targets = np.stack([relative_points(s) for s in samples])
        predictors[task_id] = fit_trivial(tasks[task_id], targets)
    return predictors


def mean_skill(scores: Scores, trivial: Scores, tasks: Iterable[Task]) -> float:
    """Mean over tasks of the main metric's skill: 0 as good as the trivial predictor, 1 perfect."""
    values = []
    for task in tasks:
        name = main_metric(task.type).name
        if name in scores.get(task.id, {}) and name in trivial.get(task.id, {}):
            values.append(skill(scores[task.id][name], trivial[task.id][name], metric(name)))
    return float(np.mean(values)) if values else 0.0
