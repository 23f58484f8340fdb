"""The metrics by task type, which way is better, and what their best and worst values are."""

import math
from dataclasses import dataclass

from usaggr.tasks import TaskType


@dataclass(frozen=True)
class Metric:
    """A score as tables name it."""

    name: str
    higher_is_better: bool
    best: float
    """The best possible value."""
    worst: float
    """The worst possible value; may be infinite."""


def _up(name: str, worst: float = 0.0) -> Metric:
    return Metric(name, True, 1.0, worst)


def _down(name: str) -> Metric:
    return Metric(name, False, 0.0, math.inf)


METRICS: dict[TaskType, tuple[Metric, ...]] = {
    "segmentation": (_up("dsc"), _down("hd"), _down("hd95"), _up("nsd")),
    "classification": (
        _up("auc"),
        _up("accuracy"),
        _up("balanced_accuracy"),
        _up("f1_macro"),
        _up("f1_weighted"),
        _up("mcc", worst=-1.0),
    ),
    "detection": (_up("iou"),),
    "regression": (_down("mre"), _down("mre_relative")),
}
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
