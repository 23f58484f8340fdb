"""Pseudo-values of the study's cells as tables (seeds x test components), from which intervals are computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.collect import CollectedRun, Collection

Cell = tuple[str, str, float | int, str]
"""Task, grouping, scale and variant. `cell_rows.CellKey` has another order, and the metric."""


class CellPseudovalues:
    """Pseudo-values of the finished runs, by cell and seed.

    If any run of a cell has no predictions, its table has a single column with the scores. Such a table shows only the
    variance between seeds.
    """

    def __init__(self, collection: Collection) -> None:
        """Index the finished runs of a collection by cell and seed."""
        self._runs: dict[Cell, dict[int, CollectedRun]] = {}
        self._folds = collection.folds
        for run in collection.runs:
            if run.result is not None:
                for grouping in run.row.groupings:
                    for task in run.row.tasks:
                        cell = (task, grouping, run.row.scale, run.row.variant)
                        self._runs.setdefault(cell, {})[run.row.seed] = run

    def get_components(self, task: str) -> NDArray[np.int64]:
        """Return the (C,) ids of the components in a task's test set; a component has the same id in every task."""
        fold = self._folds.get(task)
        return np.empty(0, dtype=np.int64) if fold is None else fold.components

    def count_independent(self, task: str, subjects: int) -> int:
        """Return the number of independent subjects in a task's test set, which are its components.

        Args:
            task: Id of the task.
            subjects: Number of test subjects, which is returned if split.csv has no test samples of the task.
        """
        return int(self.get_components(task).size) or subjects

    def get_table(self, cell: Cell, metric: str, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Return the pseudo-values of a cell's runs; the mean of a row is the score of its seed.

        Args:
            cell: Task, grouping, scale and variant.
            metric: Name of the metric.
            seeds: K seeds whose runs are finished.

        Returns:
            (K, C) array by seed and component; (K, 1) with the scores if a run has no predictions or no pseudo-values
            of the metric, with NaN for a run that has no such score.

        Raises:
            KeyError: The run of a seed is not finished.
        """
        task, runs = cell[0], [self._runs[cell][seed] for seed in seeds]
        tables: list[Any] = [_get_run_pseudovalues(run, task, metric) for run in runs]
        if any(table is None for table in tables):
            # All rows of a table need the same columns: if one run has no predictions, every row is its score alone.
            return np.array([[_get_score(run, task, metric)] for run in runs])
        return np.stack(tables)

    def get_subject_means(self, cell: Cell, metric: str, seeds: Sequence[int]) -> NDArray[np.float64] | None:
        """Return the mean scores of a cell's test subjects, in which each subject counts once.

        For a run without mean scores, its pseudo-values are returned. They are the same if all subjects have the same
        number of samples; otherwise subjects with many samples weigh more.

        Args:
            cell: Task, grouping, scale and variant.
            metric: Name of a metric of single samples.
            seeds: K seeds whose runs are finished.

        Returns:
            (K, C) array by seed and component; None if a run has neither mean scores nor pseudo-values of the
            metric.

        Raises:
            KeyError: The run of a seed is not finished.
        """
        means = []
        for seed in seeds:
            values = self._runs[cell][seed].pseudovalues
            task = None if values is None else values[cell[0]]
            mean = None if task is None else task.subject_means.get(metric, task.metrics.get(metric))
            if mean is None:
                return None
            means.append(mean)
        return np.stack(means)

    def count_rarer_class(self, cell: Cell) -> int | None:
        """Return the number of independent test subjects in the rarer class of a cell's classification task.

        They are components. The number is None for other task types, and if no run of the cell has predictions.
        """
        # All runs of a cell are scored on the same test set, so that the first one with predictions is enough.
        for run in self._runs.get(cell, {}).values():
            if run.pseudovalues is not None:
                return run.pseudovalues[cell[0]].rarer_class_size
        return None


def _get_run_pseudovalues(run: CollectedRun, task: str, metric: str) -> NDArray[np.float64] | None:
    if run.pseudovalues is None:
        return None
    return run.pseudovalues[task].metrics.get(metric)


def _get_score(run: CollectedRun, task: str, metric: str) -> float:
    assert run.result is not None
    return run.result.scores[task].get(metric, float("nan"))
