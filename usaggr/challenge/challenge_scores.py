"""The challenge's scores, with its quirks, and ours, with what makes them differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import ConfigError, one_of
from usaggr.metrics.scores import score_task, task_pseudovalues
from usaggr.statistics.score_intervals import score_intervals
from usaggr.tasks import TASK_TYPES, Task, TaskType, has_class_label

Mode = Literal["challenge", "strict"]
MODES: tuple[Mode, ...] = ("challenge", "strict")


def _challenge_metrics(task_type: TaskType) -> tuple[str, ...]:
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


CHALLENGE_METRICS = {task_type: _challenge_metrics(task_type) for task_type in TASK_TYPES}
"""What the challenge scores. The others are ours: HD95 and NSD, balanced accuracy, MRE as a part of the diagonal."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Scored:
    """A task's scores over the samples that have an answer."""

    challenge: dict[str, float]
    strict: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """Metric of `strict`: 95 % interval over components; left out where there are fewer than two, or all are alike."""
    notes: list[str]


def as_mode(text: str) -> Mode:
    """A mode by name.

    Raises:
        ConfigError: no such mode.
    """
    for mode in MODES:
        if mode == text:
            return mode
    raise ConfigError(one_of("--mode", text, MODES))


def score(task: Task, rows: Sequence[Mapping[str, Any]], components: NDArray[np.int64]) -> Scored:
    """Scores of a task from its rows, of which there is at least one.

    Args:
        task: decides the metrics.
        rows: as `results.predictions.prediction_row` makes them, those of a classification with `predicted_class`.
        components: (N,) component of each row.
    """
    places = np.unique(components, return_inverse=True)[1].astype(np.int64)
    strict, notes = score_task(task, rows)
    challenge = {name: strict[name] for name in CHALLENGE_METRICS[task.type] if name in strict}
    if has_class_label(task.type) and len({row["label"] for row in rows}) < task.num_classes:
        challenge["auc"] = 0.0
    intervals = score_intervals(task_pseudovalues(task, rows, places), CONFIDENCE)
    return Scored(challenge, strict, intervals, notes)


def differences(scored: Scored) -> dict[str, tuple[float | None, float | None]]:
    """Metrics that both modes know and score otherwise: challenge's and strict value, None where it is not defined."""
    both = [name for names in CHALLENGE_METRICS.values() for name in names]
    pairs = {name: (scored.challenge.get(name), scored.strict.get(name)) for name in both}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
