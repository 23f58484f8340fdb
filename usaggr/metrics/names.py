"""The registry of metrics: what each is called, which way is better, and from what its score is made.

A metric has one definition here. Its value is computed in the module of its task type (`segmentation`,
`classification`, `detection`, `landmarks`), and the pseudo-values of a score over a whole test set in `jackknife`.
This module imports no numpy, since `status` reads it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from usaggr.tasks import TASK_TYPES, TaskType


@dataclass(frozen=True)
class Metric:
    """A score of a task, as tables name it and pages describe it."""

    name: str
    """In tables, keys and columns of files."""
    label: str
    """On pages and in figures."""
    meaning: str
    """An entry of the glossary."""
    higher_is_better: bool
    best: float
    """The best possible value."""
    worst: float
    """The worst possible value; may be infinite."""
    of_samples: bool
    """Whether a single sample has a value. The score is then the mean over samples, and stands in a column of
    predictions.parquet (`results.predictions.SAMPLE_METRICS`). Other scores belong to a test set as a whole, and their
    pseudo-values leave out one component at a time."""
    unit: str = ""
    """Of its values; empty for a number without one."""


def _share(name: str, label: str, meaning: str, of_samples: bool = True, worst: float = 0.0) -> Metric:
    """Define a score whose best value is 1."""
    return Metric(name, label, meaning, higher_is_better=True, best=1.0, worst=worst, of_samples=of_samples)


def _distance(name: str, label: str, meaning: str, unit: str = "px") -> Metric:
    """Define an error, whose best value is 0."""
    return Metric(name, label, meaning, higher_is_better=False, best=0.0, worst=math.inf, of_samples=True, unit=unit)


_SEGMENTATION = (
    _share(
        "dsc", "DSC", "Dice similarity coefficient: overlap of predicted and true region, mean over images and classes"
    ),
    _distance("hd", "HD", "Hausdorff distance between predicted and true region, in pixels of the original image"),
    _distance(
        "hd95", "HD95", "95th percentile of the distances between the two outlines, in pixels of the original image"
    ),
    _share("nsd", "NSD", "normalised surface distance: share of the outlines that agree within a tolerance"),
)
_CLASSIFICATION = (
    _share(
        "auc",
        "AUC",
        "area under the receiver operating characteristic curve; mean one-versus-rest over classes",
        of_samples=False,
    ),
    _share("accuracy", "accuracy", "share of images that are given their true class"),
    _share(
        "balanced_accuracy",
        "balanced accuracy",
        "mean over classes of the share that is recognised",
        of_samples=False,
    ),
    _share("f1_macro", "macro F1", "F1 (harmonic mean of precision and recall), mean over classes", of_samples=False),
    _share("f1_weighted", "weighted F1", "F1, mean over classes weighted by their number of images", of_samples=False),
    _share("mcc", "MCC", "Matthews correlation coefficient", of_samples=False, worst=-1.0),
)
_DETECTION = (_share("iou", "IoU", "intersection over union of predicted and true box"),)
_REGRESSION = (
    _distance(
        "mre", "MRE", "mean radial error: distance of predicted and true landmark, in pixels of the original image"
    ),
    _distance("mre_relative", "MRE/diagonal", "MRE divided by the length of the image's diagonal", unit=""),
)


def _metrics_of(task_type: TaskType) -> tuple[Metric, ...]:
    match task_type:
        case "segmentation":
            return _SEGMENTATION
        case "classification":
            return _CLASSIFICATION
        case "detection":
            return _DETECTION
        case "regression":
            return _REGRESSION
        case _:
            assert_never(task_type)


METRICS: Mapping[TaskType, tuple[Metric, ...]] = {task_type: _metrics_of(task_type) for task_type in TASK_TYPES}
"""The first of each type is the main one: it decides verdicts."""

_BY_NAME = {metric.name: metric for metrics in METRICS.values() for metric in metrics}


def main_metric(task_type: TaskType) -> Metric:
    """The metric that decides for a type of task."""
    return METRICS[task_type][0]


def metric(name: str) -> Metric:
    """A metric by name.

    Raises:
        KeyError: no such metric.
    """
    return _BY_NAME[name]


def metric_label(name: str, unit: bool = False) -> str:
    """Return a metric's label, with its unit if it has one and `unit` is true; any other name as it is."""
    found = _BY_NAME.get(name)
    if found is None:
        return name
    return f"{found.label} ({found.unit})" if unit and found.unit else found.label


def improvement(value: float, reference: float, metric: Metric) -> float:
    """By how much a value is better than a reference: positive is better, whatever the metric's direction."""
    return value - reference if metric.higher_is_better else reference - value


def skill(score: float, trivial: float, metric: Metric) -> float:
    """(score - trivial) / (best - trivial), clipped to [-1, 1]: 0 as good as the trivial predictor, 1 perfect.

    Where the trivial predictor is perfect, an equal score has skill 0 and a worse one -1.
    """
    room = improvement(metric.best, trivial, metric)
    gained = improvement(score, trivial, metric)
    if room <= 0:
        return -1.0 if gained < 0 else 0.0
    return max(-1.0, min(1.0, gained / room))
