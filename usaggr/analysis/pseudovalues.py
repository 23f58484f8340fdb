"""A finished run's scores as pseudo-values of its test components, from its predictions.parquet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.subsets import TestFold
from usaggr.errors import RunError
from usaggr.metrics.scores import score_columns, task_pseudovalues
from usaggr.results.predictions import SAMPLE_METRICS, read_predictions, stored_columns
from usaggr.statistics.minimum_evidence import rarer_class
from usaggr.tasks import Task, has_class_label


@dataclass(frozen=True)
class TaskPseudovalues:
    """Of one run on one task."""

    metrics: dict[str, NDArray[np.float64]]
    """Metric: (C,) a value a component, in the fold's order; their mean is the score."""
    rarer: int | None
    """Components in the rarer class; None where the task has no classes to rank."""


def read_pseudovalues(
    path: Path, tasks: Mapping[str, Task], folds: Mapping[str, TestFold]
) -> dict[str, TaskPseudovalues] | None:
    """Pseudo-values of all metrics of a run's tasks; None where there are no predictions.

    Raises:
        RunError: the predictions cannot be read, or are not those of the test folds.
    """
    if not path.exists():
        return None
    # A metric that the version which wrote the table did not have is left out, not a fault of the run.
    lacking = set(SAMPLE_METRICS) - stored_columns(path)
    columns = dict.fromkeys(name for task in tasks.values() for name in score_columns(task.type))
    table = read_predictions(path, ["task_id", "sample_id", *(name for name in columns if name not in lacking)])
    found = {}
    for task_id, task in tasks.items():
        rows, fold = table[table["task_id"] == task_id], folds.get(task_id)
        places = None if fold is None else fold.places.reindex(rows["sample_id"])
        if fold is None or places is None or places.isna().any() or len(rows) != len(fold.places):
            raise RunError(
                f"{path}: {len(rows)} predictions of {task_id} that are not those of its test fold in split.csv; "
                "remove the run to train it again"
            )
        try:
            found[task_id] = _of_task(task, rows, places.to_numpy().astype(np.int64))
        except (ValueError, TypeError, IndexError) as error:  # a cell that is empty, or a list of another length
            raise RunError(
                f"{path}: predictions of {task_id} that are none of a {task.type} task "
                f"({' '.join(str(error).split())}); remove the run to train it again"
            ) from error
    return found


def _of_task(task: Task, rows: pd.DataFrame, places: NDArray[np.int64]) -> TaskPseudovalues:
    metrics = task_pseudovalues(task, rows, places)
    rarer = None
    if has_class_label(task.type):
        rarer = rarer_class(rows["label"].to_numpy(dtype=np.int64), places, task.num_classes)
    return TaskPseudovalues(metrics, rarer)
