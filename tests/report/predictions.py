"""Made-up predictions of a test set whose scores equal, or nearly equal, the requested ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from usaggr.metrics.names import METRICS
from usaggr.results.predictions import SAMPLE_METRICS
from usaggr.tasks import Task


def prediction_rows(
    task: Task, scores: Mapping[str, float], subjects: int, frames: int, spread: float, rng: np.random.Generator,
    mask: bytes | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return one row per sample, with `frames` samples per subject.

    Scores of samples have exactly the requested means, and vary by subject with the relative standard deviation
    `spread`. For classification, the AUC is near the requested one, and all other scores follow from the predictions.
    """
    count = subjects * frames
    columns: dict[str, Any] = {"label": [None] * count, "probs": [None] * count}
    if task.type == "classification":
        labels = np.arange(count) // frames % task.num_classes
        separation = np.sqrt(2) * norm.ppf(np.clip(scores["auc"], 0.02, 0.98))
        logits = rng.normal(size=(count, task.num_classes)) + separation * np.eye(task.num_classes)[labels]
        probabilities = softmax(logits, axis=1)
        columns = {"label": labels.tolist(), "probs": probabilities.tolist()}
        columns["accuracy"] = (probabilities.argmax(axis=1) == labels).astype(float).tolist()
    else:
        for metric in METRICS[task.type]:
            by_subject = np.repeat(rng.normal(size=subjects), frames)
            away = by_subject + 0.3 * rng.normal(size=count)
            values = scores[metric.name] * (1 + spread * (away - away.mean()))
            columns[metric.name] = values.tolist()
    predictions = []
    for i in range(count):
        row = {name: values[i] for name, values in columns.items()}
        assert set(row) <= {*SAMPLE_METRICS, "label", "probs"}
        names = {"task_id": task.id, "sample_id": sample_id(task, i), "subject_id": f"{task.id}-{i // frames}"}
        predictions.append(
            names | row | {"box": None, "points": None, "mask": mask if task.type == "segmentation" else None}
        )
    return predictions


def sample_id(task: Task, i: int) -> str:
    return f"{task.id}/{i:05}.png"


def split_rows(tasks: list[Task], subjects: int, frames: int) -> list[str]:
    """Return the lines of split.csv for the test subsets; each subject of a task is its own component."""
    return [
        f"{task.id},{sample_id(task, i)},x.png,{task.id}-{i // frames},{t * subjects + i // frames},test,"
        for t, task in enumerate(tasks)
        for i in range(subjects * frames)
    ]
