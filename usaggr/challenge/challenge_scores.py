"""Scores of one task in both modes: the challenge's metrics with their quirks, and the project's strict metrics."""

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
"""Metrics that the challenge reports. Strict mode adds HD95 and NSD, balanced accuracy, and MRE relative to the
diagonal."""

CONFIDENCE = 0.95
"""Confidence level of all intervals."""


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task over the samples that have a usable prediction."""

    challenge: dict[str, float]
    strict: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 % interval over components for each metric of `strict`.

    Metrics with fewer than two components, or with the same value for every component, have none.
    """
    notes: list[str]


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
        records: Per-sample records as `results.predictions.make_prediction_row` makes them, at least one. Those of a
            classification also have `predicted_class`.
        components: Component of each record, of shape (N,).
    """
    # Pseudovalues are computed per component and need numbers from 0 without gaps; those of a subset have gaps.
    component_indices = np.unique(components, return_inverse=True)[1].astype(np.int64)
    strict, notes = score_task(task, records)
    challenge = {name: strict[name] for name in CHALLENGE_METRICS[task.type] if name in strict}
    if has_class_label(task.type) and len({row["label"] for row in records}) < task.num_classes:
        # The challenge reports an AUC of 0 as soon as one class has no label.
        challenge["auc"] = 0.0
    intervals = score_intervals(compute_task_pseudovalues(task, records, component_indices), CONFIDENCE)
    return TaskScores(challenge, strict, intervals, notes)


def find_mode_differences(scored: TaskScores) -> dict[str, tuple[float | None, float | None]]:
    """Return the challenge and the strict value of each metric in which both modes differ; None if not defined."""
    names = [name for names in CHALLENGE_METRICS.values() for name in names]
    pairs = {name: (scored.challenge.get(name), scored.strict.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
