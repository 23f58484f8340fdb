"""The long table from which all others are computed: one row per planned run, task, grouping and metric.

A run that several groupings share has rows in each of them. Unfinished runs have rows without values, so that missing
results stay visible.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.metrics.missing_metrics import noted_metric
from usaggr.metrics.names import METRICS, Metric, main_metric, skill
from usaggr.results.data_description import TaskFacts

SCORE_COLUMNS = (
    "run_id", "grouping", "block", "task", "task_type", "clinical_group", "scale", "n_train", "seed", "variant",
    "metric", "value", "higher_is_better", "n_test", "n_subjects", "status",
)  # fmt: skip
"""Columns of scores.csv."""
OWN_COLUMNS = ("fingerprint", "sign", "main", "trivial", "skill", "remarks")
"""Columns that only the analysis uses.

`sign` is 1 if higher is better, otherwise -1. `main` marks the main metric of a task type. `trivial` is the score of
the predictor that ignores the image. `remarks` are the run's notes on the metric.
"""


def observe(collection: Collection) -> pd.DataFrame:
    """Return the long table, sorted by variant, scale, grouping, task, seed and metric.

    The order does not depend on that of folders and files. The columns are SCORE_COLUMNS and OWN_COLUMNS.
    """
    scores = [row for run in collection.runs for row in _rows_of_run(run, collection)]
    table = pd.DataFrame(scores, columns=[*SCORE_COLUMNS, *OWN_COLUMNS])
    table = table.astype({"value": float, "trivial": float, "skill": float, "sign": float, "main": bool})
    for name in ("n_train", "n_test", "n_subjects"):
        table[name] = table[name].astype("Int64")
    # A scale selects the same samples under every grouping, so one finished run gives the count of unfinished ones.
    counts = table.groupby(["task", "scale"], observed=True)["n_train"].transform("first")
    table["n_train"] = table["n_train"].fillna(counts)
    return _sorted(table, collection)


def _rows_of_run(run: CollectedRun, collection: Collection) -> Iterator[tuple[Any, ...]]:
    row = run.row
    for task_id in row.tasks:
        facts = collection.data.tasks[task_id]
        task, main = facts.task, main_metric(facts.task.type)
        counts = _counts(run, facts)
        for metric in METRICS[task.type]:
            value, trivial = _score(run, task_id, metric)
            of_skill = None if value is None or trivial is None else skill(value, trivial, metric)
            analysis_values = (
                row.fingerprint,
                1.0 if metric.higher_is_better else -1.0,
                metric == main,
                trivial,
                of_skill,
            )
            for grouping in row.groupings:
                yield (
                    row.run_id, grouping, row.block, task_id, task.type, task.clinical_group, row.scale, counts[0],
                    row.seed, row.variant, metric.name, value, metric.higher_is_better, counts[1], counts[2], run.state,
                    *analysis_values, _remarks(run, task_id, metric),
                )  # fmt: skip


def _counts(run: CollectedRun, facts: TaskFacts) -> tuple[int | None, int, int]:
    """Return the training samples (None if not counted yet), test samples and test subjects of a task."""
    if run.result is not None:
        task = facts.task.id
        return run.result.n_train[task], run.result.n_test[task], run.result.n_subjects[task]
    scale = run.row.scale
    # Only the full training set has a size that is known before training; smaller scales keep classes in proportion.
    is_full = scale >= facts.n_train if isinstance(scale, int) else scale == 1.0
    return facts.n_train if is_full else None, facts.n_test, facts.n_subjects


def _score(run: CollectedRun, task_id: str, metric: Metric) -> tuple[float | None, float | None]:
    if run.result is None:
        return None, None
    return run.result.scores[task_id].get(metric.name), run.result.trivial[task_id].get(metric.name)


def _remarks(run: CollectedRun, task_id: str, metric: Metric) -> tuple[str, ...]:
    """Return the notes of a run on a task that concern a metric.

    A note that starts with the name of a metric concerns only that metric.
    """
    if run.result is None:
        return ()
    notes = run.result.notes.get(task_id, [])
    return tuple(note for note in notes if noted_metric(note) in (None, metric.name))


def _sorted(table: pd.DataFrame, collection: Collection) -> pd.DataFrame:
    metrics = [metric.name for metrics in METRICS.values() for metric in metrics]
    orders: dict[str, tuple[str, ...]] = {
        "variant": tuple(collection.study.variants),
        "grouping": collection.study.groupings,
        "task": collection.tasks,
        "metric": tuple(metrics),
    }

    def rank(column: "pd.Series[Any]") -> "pd.Series[Any]":
        order = {name: i for i, name in enumerate(orders.get(str(column.name), ()))}
        return column.map(order) if order else column

    by = ["variant", "scale", "grouping", "task", "seed", "metric"]
    # pandas calls `rank` once for each column.
    return table.sort_values(by, key=rank, kind="stable", ignore_index=True)
