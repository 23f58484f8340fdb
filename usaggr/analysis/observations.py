"""The long table under all others: a row for each planned run, task of it, grouping that holds it, and metric.

A run that several groupings share has rows in each. Runs that are not done keep their rows, without values, so that
holes are seen.
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
"""Of scores.csv."""
OWN_COLUMNS = ("fingerprint", "sign", "main", "trivial", "skill", "remarks")
"""What only this room needs: sign is 1 where higher is better, else -1; main marks a type's main metric; trivial is the
score of the predictor that ignores the image; remarks are a run's notes that concern the metric."""


def observe(collection: Collection) -> pd.DataFrame:
    """The long table, sorted by variant, scale, grouping, task, seed and metric, whatever the order of files and rows.

    Columns: SCORE_COLUMNS and OWN_COLUMNS.
    """
    rows = [row for run in collection.runs for row in _rows_of(run, collection)]
    table = pd.DataFrame(rows, columns=[*SCORE_COLUMNS, *OWN_COLUMNS])
    table = table.astype({"value": float, "trivial": float, "skill": float, "sign": float, "main": bool})
    for name in ("n_train", "n_test", "n_subjects"):
        table[name] = table[name].astype("Int64")
    # The ranking is the same whatever shares the model, so one finished run tells the count for those that are not.
    known = table.groupby(["task", "scale"], observed=True)["n_train"].transform("first")
    table["n_train"] = table["n_train"].fillna(known)
    return _sorted(table, collection)


def _rows_of(run: CollectedRun, collection: Collection) -> Iterator[tuple[Any, ...]]:
    row = run.row
    for task_id in row.tasks:
        facts = collection.data.tasks[task_id]
        task, main = facts.task, main_metric(facts.task.type)
        counts = _counts(run, facts)
        for metric in METRICS[task.type]:
            value, trivial = _score(run, task_id, metric)
            of_skill = None if value is None or trivial is None else skill(value, trivial, metric)
            own = (row.fingerprint, 1.0 if metric.higher_is_better else -1.0, metric == main, trivial, of_skill)
            for grouping in row.groupings:
                yield (
                    row.run_id, grouping, row.block, task_id, task.type, task.clinical_group, row.scale, counts[0],
                    row.seed, row.variant, metric.name, value, metric.higher_is_better, counts[1], counts[2], run.state,
                    *own, _remarks(run, task_id, metric),
                )  # fmt: skip


def _counts(run: CollectedRun, facts: TaskFacts) -> tuple[int | None, int, int]:
    """Training samples (None: not known), test samples and test subjects."""
    if run.result is not None:
        task = facts.task.id
        return run.result.n_train[task], run.result.n_test[task], run.result.n_subjects[task]
    scale = run.row.scale
    whole = scale >= facts.n_train if isinstance(scale, int) else scale == 1.0
    return facts.n_train if whole else None, facts.n_test, facts.n_subjects


def _score(run: CollectedRun, task_id: str, metric: Metric) -> tuple[float | None, float | None]:
    if run.result is None:
        return None, None
    return run.result.scores[task_id].get(metric.name), run.result.trivial[task_id].get(metric.name)


def _remarks(run: CollectedRun, task_id: str, metric: Metric) -> tuple[str, ...]:
    """A note that begins with a metric's name is about that metric alone."""
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

    def place(column: "pd.Series[Any]") -> "pd.Series[Any]":
        order = {name: i for i, name in enumerate(orders.get(str(column.name), ()))}
        return column.map(order) if order else column

    by = ["variant", "scale", "grouping", "task", "seed", "metric"]
    return table.sort_values(by, key=place, kind="stable", ignore_index=True)
