"""Scores of one task in two modes.

`challenge` has the metrics of the FM_UIA challenge, with an AUC of 0 if a class is absent from the labels. `strict` has
all metrics of usaggr, with the mean AUC of the classes that have positive and negative samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.metrics.scores import compute_task_pseudovalues, score_task
from usaggr.statistics.score_intervals import score_intervals
from usaggr.tasks import TASK_TYPES, Task, TaskType, has_class_label

Mode = Literal["challenge", "strict"]
MODES: tuple[Mode, ...] = ("challenge", "strict")


def _get_challenge_metrics(task_type: TaskType) -> tuple[str, ...]:
    match task_type:
        case "segmentation":
            return ("dsc", "hd")
        case "classification":
            return ("auc", "accuracy", "f1_macro", "f1_weighted", "mcc")
        case "detection":
            return ("iou",)
        case "regression":
            return ("mre",)
        case _:
            assert_never(task_type)


CHALLENGE_METRICS = {task_type: _get_challenge_metrics(task_type) for task_type in TASK_TYPES}
"""Metrics that the challenge reports. Strict mode adds HD95 and NSD, balanced accuracy, and MRE divided by the image's
diagonal."""

CONFIDENCE = 0.95
"""Confidence level of all intervals."""


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task over the samples that have a usable prediction."""

    challenge: dict[str, float]
    """Scores in challenge mode by metric."""
    strict: dict[str, float]
    """Scores in strict mode by metric."""
    intervals: dict[str, tuple[float, float]]
    """95 % confidence interval of the score, by metric of `strict`, from the jackknife over components.

    A metric has none if the task has a single component, if a sample lacks the metric, or if all pseudo-values are
    equal.
    """
    notes: list[str]
    """Remarks for the user, such as classes that the AUC leaves out."""


def parse_mode(text: str) -> Mode:
    """Return the mode with this name.

    Raises:
        ConfigError: There is no such mode.
    """
    for mode in MODES:
        if mode == text:
            return mode
    raise ConfigError(explain_unknown_name("--mode", text, MODES))


def score_in_both_modes(task: Task, records: Sequence[Mapping[str, Any]], components: NDArray[np.int64]) -> TaskScores:
    """Return the scores of a task in both modes.

    Args:
        task: Task that decides the metrics.
        records: One record per sample, at least one, with its scores by metric. Records of a classification task have
            also `label`, `probs` and `predicted_class`.
        components: Component of each record, of shape (N,).
    """
    # `compute_task_pseudovalues` needs component indices 0..C-1. The numbers of a subset's components have gaps.
    component_indices = np.unique(components, return_inverse=True)[1].astype(np.int64)
    strict, notes = score_task(task, records)
    challenge = {name: strict[name] for name in CHALLENGE_METRICS[task.type] if name in strict}
    if has_class_label(task.type) and len({row["label"] for row in records}) < task.num_classes:
        # The challenge reports an AUC of 0 if a class is absent from the labels.
        challenge["auc"] = 0.0
    intervals = score_intervals(compute_task_pseudovalues(task, records, component_indices), CONFIDENCE)
    return TaskScores(challenge, strict, intervals, notes)


def find_mode_differences(scores: TaskScores) -> dict[str, tuple[float | None, float | None]]:
    """Return the challenge value and the strict value of each metric of the challenge for which they differ.

    A value that is not defined is None.
    """
    names = [name for metrics in CHALLENGE_METRICS.values() for name in metrics]
    pairs = {name: (scores.challenge.get(name), scores.strict.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
