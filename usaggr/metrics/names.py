"""The registry of metrics: their names, labels, ranges and directions.

Each metric is defined here once. Its value is computed in the module of its task type (`segmentation`,
`classification`, `detection`, `landmarks`), and the pseudo-values of a score over a test set in `jackknife`.
This module imports no numpy, because `status` uses it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from usaggr.tasks import TASK_TYPES, TaskType

DECIMALS = 3
"""Decimals of numbers in [0, 1]: of most scores, and of skill."""


@dataclass(frozen=True)
class Metric:
    """Definition of a metric."""

    name: str
    """Name in tables, keys and columns of files."""
    label: str
    """Label in reports and figures."""
    meaning: str
    """Description in the glossary."""
    higher_is_better: bool
    """True if a higher value is better (DSC), False for errors (MRE)."""
    best: float
    """Best possible value."""
    worst: float
    """Worst possible value; may be infinite."""
    is_per_sample: bool
    """True if each sample has a value.

    The score is then the mean over samples, and the values are in a column of predictions.parquet
    (`results.predictions.SAMPLE_METRICS`). Other scores are defined only for a complete test set; their pseudo-values
    leave out one component at a time."""
    unit: str = ""
    """Unit of the values; empty for a number without a unit."""
    decimals: int = DECIMALS
    """Decimals of the values in tables, figures and sentences."""

    @property
    def is_score(self) -> bool:
        """True for a score, whose best value is 1; False for an error or distance, whose best value is 0."""
        return self.best == 1.0


def _define_score(name: str, label: str, meaning: str, is_per_sample: bool = True, worst: float = 0.0) -> Metric:
    """Define a score whose best value is 1.

    Args:
        name: Name in files.
        label: Label on pages.
        meaning: Description in the glossary.
        is_per_sample: Whether each sample has a value.
        worst: Worst possible value.
    """
    return Metric(name, label, meaning, higher_is_better=True, best=1.0, worst=worst, is_per_sample=is_per_sample)


def _define_error(name: str, label: str, meaning: str, unit: str = "px", decimals: int = 1) -> Metric:
    """Define an error, whose best value is 0.

    Args:
        name: Name in files.
        label: Label on pages.
        meaning: Description in the glossary.
        unit: Unit of the values.
        decimals: Decimals of the values on pages.
    """
    return Metric(
        name, label, meaning, higher_is_better=False, best=0.0, worst=math.inf, is_per_sample=True, unit=unit,
        decimals=decimals,
    )  # fmt: skip


_SEGMENTATION = (
    _define_score("dsc", "DSC", "Dice similarity coefficient: overlap of predicted and true region, mean over classes"),
    _define_error("hd", "HD", "Hausdorff distance between predicted and true region, in pixels of the original image"),
    _define_error(
        "hd95", "HD95", "95th percentile of the distances between the two outlines, in pixels of the original image"
    ),
    _define_score("nsd", "NSD", "normalized surface distance: fraction of the outlines that agree within a tolerance"),
)
_CLASSIFICATION = (
    _define_score(
        "auc",
        "AUC",
        "area under the receiver operating characteristic curve; mean one-versus-rest over classes",
        is_per_sample=False,
    ),
    _define_score("accuracy", "accuracy", "fraction of images that are classified correctly"),
    _define_score(
        "balanced_accuracy",
        "balanced accuracy",
        "recall, mean over classes",
        is_per_sample=False,
    ),
    _define_score(
        "f1_macro", "macro F1", "F1 (harmonic mean of precision and recall), mean over classes", is_per_sample=False
    ),
    _define_score(
        "f1_weighted", "weighted F1", "F1, mean over classes weighted by their number of images", is_per_sample=False
    ),
    _define_score("mcc", "MCC", "Matthews correlation coefficient", is_per_sample=False, worst=-1.0),
)
_DETECTION = (_define_score("iou", "IoU", "intersection over union of predicted and true box"),)
_REGRESSION = (
    _define_error(
        "mre", "MRE", "mean radial error: distance of predicted and true landmark, in pixels of the original image"
    ),
    _define_error(
        "mre_relative", "MRE/diagonal", "MRE divided by the length of the image's diagonal", unit="", decimals=4
    ),
)


def _list_metrics(task_type: TaskType) -> tuple[Metric, ...]:
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


METRICS: Mapping[TaskType, tuple[Metric, ...]] = {task_type: _list_metrics(task_type) for task_type in TASK_TYPES}
"""Metrics by type of task; the first of each type is the main metric, on which verdicts are based."""

_BY_NAME = {metric.name: metric for metrics in METRICS.values() for metric in metrics}


def get_main_metric(task_type: TaskType) -> Metric:
    """Return the main metric of a type of task, which verdicts are about."""
    return METRICS[task_type][0]


def get_metric(name: str) -> Metric:
    """Return a metric by its name.

    Raises:
        KeyError: There is no metric of this name.
    """
    return _BY_NAME[name]


def get_metric_label(name: str, unit: bool = False) -> str:
    """Return a metric's label, with its unit if `unit` is true; a name that is not a metric is returned unchanged."""
    named = _BY_NAME.get(name)
    if named is None:
        return name
    return f"{named.label} ({named.unit})" if unit and named.unit else named.label


def get_metric_decimals(name: str) -> int:
    """Return the decimals of a metric's values; those of a number in [0, 1] for a name that is not a metric (skill)."""
    named = _BY_NAME.get(name)
    return DECIMALS if named is None else named.decimals


def compute_improvement(value: float, reference: float, metric: Metric) -> float:
    """Return the difference between a value and a reference, with a positive sign if the value is better.

    Args:
        value: Value of the metric.
        reference: Value to compare with.
        metric: Definition of the metric, which gives the direction.
    """
    return value - reference if metric.higher_is_better else reference - value


def compute_skill(score: float, trivial: float, metric: Metric) -> float:
    """Return the skill of a score: (score - trivial) / (best - trivial), clipped to [-1, 1].

    A skill of 0 is as good as the trivial predictor, 1 is perfect. If the trivial predictor is perfect, an equal score
    has a skill of 0 and a worse one of -1. The skill is NaN if a value is not finite.

    Args:
        score: Value of the metric.
        trivial: Value of the trivial predictor.
        metric: Definition of the metric.
    """
    if not (math.isfinite(score) and math.isfinite(trivial)):
        return math.nan  # min and max below would turn NaN into a skill of 1
    possible = compute_improvement(metric.best, trivial, metric)
    achieved = compute_improvement(score, trivial, metric)
    if possible <= 0:
        return -1.0 if achieved < 0 else 0.0
    return max(-1.0, min(1.0, achieved / possible))
