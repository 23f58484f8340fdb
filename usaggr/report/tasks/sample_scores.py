"""Scores of single test samples, by which samples are ranked and captioned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.errors import RunError
from usaggr.metrics import score_texts
from usaggr.metrics.names import get_main_metric, get_metric_label
from usaggr.results import contract
from usaggr.results.predictions import read_predictions
from usaggr.tasks import TaskType, has_class_label


@dataclass(frozen=True)
class SampleScore:
    """Score that ranks the samples of a task."""

    name: str
    """Name of a metric of single samples; `probability` for the probability of the true class, in [0, 1]."""
    label: str
    """Name of the score in captions."""
    short_label: str
    """Label above a panel, where only a few letters fit."""
    unit: str
    """Unit with a leading space; empty for scores without a unit."""
    higher_is_better: bool

    def format(self, value: float | None, label: str) -> str:
        """Return a label, a value and its unit; a missing value is a dash."""
        return f"{label} {score_texts.format_score(value, self.name)}{self.unit}"


class SampleScoreReader:
    """Reader of the scores of single samples; each file of predictions is read once."""

    def __init__(self, collection: Collection) -> None:
        self._tasks = {task_id: facts.task for task_id, facts in collection.data.tasks.items()}
        self._scores: dict[str, dict[str, pd.Series[float]]] = {}

    def average(self, runs: Mapping[int, CollectedRun], seeds: Sequence[int], task: str) -> "pd.Series[float]":
        """Return the mean score over seeds of each test sample, sorted by sample id.

        A sample without a score in one of the runs is left out.

        Args:
            runs: Finished runs of the task, by seed.
            seeds: Seeds to average over.
            task: Id of the task.

        Raises:
            RunError: Predictions cannot be read.
        """
        tables = [self._read_run(runs[seed])[task] for seed in seeds]
        return pd.concat(tables, axis=1, join="inner").mean(axis=1, skipna=False).dropna().sort_index()

    def _read_run(self, run: CollectedRun) -> "dict[str, pd.Series[float]]":
        """Return the score of each sample by task; the file is read on the first call."""
        if run.row.fingerprint not in self._scores:
            assert run.path is not None
            tasks = [self._tasks[task_id] for task_id in run.row.tasks]
            columns = _list_columns({task.type for task in tasks})
            table = read_predictions(run.path / contract.PREDICTIONS, ["task_id", "sample_id", *columns])
            tables_by_task = dict(list(table.groupby("task_id")))
            try:
                # A task without predictions has an empty table, so that its scores are empty.
                self._scores[run.row.fingerprint] = {
                    task.id: _compute_scores(tables_by_task.get(task.id, table.iloc[:0]), task.type) for task in tasks
                }
            except (ValueError, TypeError, IndexError) as error:
                raise RunError(f"{run.path}: a prediction is incomplete ({error})") from error
        return self._scores[run.row.fingerprint]


def make_sample_score(task_type: TaskType) -> SampleScore:
    """Return the score by which samples of a task type are ranked.

    It is the main metric, except for classification: AUC has no value for a single sample, so samples are ranked by the
    probability of the true class.
    """
    if has_class_label(task_type):
        return SampleScore("probability", "probability of the true class", "p(true)", "", True)
    metric = get_main_metric(task_type)
    label = get_metric_label(metric.name)
    unit = get_metric_label(metric.name, unit=True).removeprefix(label)
    return SampleScore(metric.name, label, label, unit.replace("(", "").replace(")", ""), metric.higher_is_better)


def _list_columns(task_types: set[TaskType]) -> list[str]:
    """Return the columns of predictions.parquet that the scores of these task types are computed from."""
    metrics = {make_sample_score(task_type).name for task_type in task_types if not has_class_label(task_type)}
    class_columns = ["label", "probs"] if any(map(has_class_label, task_types)) else []
    return [*sorted(metrics), *class_columns]


def _compute_scores(predictions: pd.DataFrame, task_type: TaskType) -> "pd.Series[float]":
    """Return the score of each sample by its id."""
    score = make_sample_score(task_type)
    if has_class_label(task_type):
        labels = predictions["label"].to_numpy(dtype=np.int64)
        values = np.array(
            [probs[label] for probs, label in zip(predictions["probs"], labels, strict=True)], dtype=float
        )
    else:
        values = predictions[score.name].to_numpy(dtype=float)
    return pd.Series(values, index=predictions["sample_id"].to_numpy(dtype=object))
