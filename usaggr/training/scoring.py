"""Scores of a network, or of the trivial predictor, on a validation or test set.

Predictions are collected one by one and the whole set is scored at original resolution; scores are never averaged over
batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, assert_never

import numpy as np
import sklearn.metrics  # noqa: F401  # slow to import: a process does it once, ahead of its runs
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.batches.batches import normalize_box, normalize_points
from usaggr.data.batches.cache import ImageCache
from usaggr.data.samples import Sample
from usaggr.metrics.names import compute_skill, get_main_metric, get_metric
from usaggr.metrics.scores import score_sample, score_tasks, score_tasks_by_subject
from usaggr.metrics.trivial import TrivialPredictor, fit_trivial
from usaggr.results.predictions import Prediction, make_prediction_row
from usaggr.results.run_result import Scores
from usaggr.tasks import Task
from usaggr.training.targets_cache import read_truth


class SubsetScorer:
    """Scores predictions of a validation or test set: each sample as it is added, each task at the end.

    Args:
        tasks: Tasks by id.
        data: Configuration of the data, to read the truth of a sample.
        nsd_tolerance: Tolerance of the normalized surface distance, as a fraction of the image's diagonal.
        main_only: Leave out the surface distances of masks, which take most of the time.
        keep_masks: Encode predicted masks for predictions.parquet.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        data: DataConfig,
        nsd_tolerance: float,
        main_only: bool = False,
        keep_masks: bool = True,
    ) -> None:
        self._tasks = tasks
        self._data = data
        self._nsd_tolerance = nsd_tolerance
        self._main_only = main_only
        self._keep_masks = keep_masks
        self.rows: list[dict[str, Any]] = []
        """One row per sample, as in predictions.parquet; without its mask if masks are not kept."""

    def add(self, predictions: Sequence[Prediction], samples: Sequence[Sample]) -> None:
        """Score predictions, which are in the order of their samples."""
        for prediction, sample in zip(predictions, samples, strict=True):
            truth = read_truth(sample, self._data)
            task = self._tasks[sample.task_id]
            scores = score_sample(task, prediction, truth, self._nsd_tolerance, main_only=self._main_only)
            stored = prediction if self._keep_masks else replace(prediction, mask=None)
            self.rows.append(make_prediction_row(stored, truth, scores))

    def compute_scores(self) -> tuple[Scores, dict[str, list[str]]]:
        """Return the scores of each task over the set, and notes on them by task."""
        return score_tasks(list(self._tasks.values()), self.rows)

    def compute_subject_scores(self) -> Scores:
        """Return the scores of each task over the set, in which each subject counts once."""
        return score_tasks_by_subject(list(self._tasks.values()), self.rows)


def fit_trivial_predictors(
    tasks: Mapping[str, Task], training: Mapping[str, Sequence[Sample]], cache: ImageCache
) -> dict[str, TrivialPredictor]:
    """Fit for each task the predictor that ignores the image.

    Args:
        tasks: Tasks by id.
        training: Training samples of the run by task id.
        cache: Cache that holds the masks of the samples.
    """
    predictors = {}
    targets: NDArray[Any] | list[NDArray[np.uint8]]
    for task_id, samples in training.items():
        task_type = tasks[task_id].type
        match task_type:
            case "segmentation":
                targets = [cache.view_mask(sample) for sample in samples]
            case "classification":
                targets = np.array([s.label for s in samples])
            case "detection":
                targets = np.stack([normalize_box(s) for s in samples])
            case "regression":
                targets = np.stack([normalize_points(s) for s in samples])
            case _:
                assert_never(task_type)
        predictors[task_id] = fit_trivial(tasks[task_id], targets)
    return predictors


def compute_mean_skill(scores: Scores, trivial: Scores, tasks: Iterable[Task]) -> float:
    """Return the mean skill of the main metric over tasks: 0 is as good as the trivial predictor, 1 is perfect.

    Args:
        scores: Scores by task id and metric.
        trivial: Scores of the trivial predictor by task id and metric.
        tasks: Tasks to average over; those without a score are left out.
    """
    values = []
    for task in tasks:
        name = get_main_metric(task.type).name
        if name in scores.get(task.id, {}) and name in trivial.get(task.id, {}):
            values.append(compute_skill(scores[task.id][name], trivial[task.id][name], get_metric(name)))
    return float(np.mean(values)) if values else 0.0
