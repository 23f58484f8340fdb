"""Scores of a network, or of the trivial predictor, on a fold: collected prediction by prediction.

The whole fold is scored at original resolution; nothing is averaged over batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, assert_never

import numpy as np
import sklearn.metrics  # noqa: F401  # where this is imported ahead of runs, none of them waits for it
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.batches.batches import relative_box, relative_points
from usaggr.data.batches.cache import ImageCache
from usaggr.data.samples import Sample
from usaggr.metrics.names import main_metric, metric, skill
from usaggr.metrics.scores import score_sample, score_tasks
from usaggr.metrics.trivial import TrivialPredictor, fit_trivial
from usaggr.results.predictions import Prediction, prediction_row
from usaggr.results.run_result import Scores
from usaggr.tasks import Task
from usaggr.training.targets_cache import truth_of


class FoldScorer:
    """Scores predictions against their truth as they come, and the fold once all are there.

    With `main_only`, distances of masks are not taken. Predicted masks are encoded, for predictions.parquet, only with
    `keep_masks`.
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
        """A row a sample, as in predictions.parquet; without its mask where masks are not kept."""

    def add(self, predictions: Sequence[Prediction], samples: Sequence[Sample]) -> None:
        """Score predictions of samples, in the same order."""
        for prediction, sample in zip(predictions, samples, strict=True):
            truth = truth_of(sample, self._data)
            task = self._tasks[sample.task_id]
            scores = score_sample(task, prediction, truth, self._nsd_tolerance, main_only=self._main_only)
            kept = prediction if self._keep_masks else replace(prediction, mask=None)
            self.rows.append(prediction_row(kept, truth, scores))

    def scores(self) -> tuple[Scores, dict[str, list[str]]]:
        """Scores of each task over the fold, with remarks."""
        return score_tasks(list(self._tasks.values()), self.rows)


def trivial_predictors(
    tasks: Mapping[str, Task], training: Mapping[str, Sequence[Sample]], cache: ImageCache
) -> dict[str, TrivialPredictor]:
    """For each task the predictor that ignores the image, from the run's own training samples."""
    predictors = {}
    targets: NDArray[Any] | list[NDArray[np.uint8]]
    for task_id, samples in training.items():
        task_type = tasks[task_id].type
        match task_type:
            case "segmentation":
                targets = [cache.mask(sample) for sample in samples]
            case "classification":
                targets = np.array([s.label for s in samples])
            case "detection":
                targets = np.stack([relative_box(s) for s in samples])
            case "regression":
                targets = np.stack([relative_points(s) for s in samples])
            case _:
                assert_never(task_type)
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
