"""Tables seeds x components of the study's cells: what intervals are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.collect import CollectedRun, Collection

Cell = tuple[str, str, float | int, str]
"""task, grouping, scale, variant"""


class Cases:
    """Pseudo-values of the finished runs, by cell and seed.

    Where a run of a cell has no predictions, its table has one column, the score itself: it tells of seeds alone.
    """

    def __init__(self, collection: Collection) -> None:
        self._runs: dict[Cell, dict[int, CollectedRun]] = {}
        self._folds = collection.folds
        for run in collection.runs:
            if run.result is not None:
                for grouping in run.row.groupings:
                    for task in run.row.tasks:
                        cell = (task, grouping, run.row.scale, run.row.variant)
                        self._runs.setdefault(cell, {})[run.row.seed] = run

    def seeds(self, task: str, grouping: str, scale: float | int, variant: str) -> tuple[int, ...]:
        """Seeds of a cell whose run is done, in order."""
        return tuple(sorted(self._runs.get((task, grouping, scale, variant), {})))

    def components(self, task: str) -> NDArray[np.int64]:
        """(C,) ids of the components of a task's test fold; those of several tasks are comparable."""
        fold = self._folds.get(task)
        return np.empty(0, dtype=np.int64) if fold is None else fold.components

    def pseudovalues(
        self, task: str, grouping: str, scale: float | int, variant: str, metric: str, seeds: Sequence[int]
    ) -> NDArray[np.float64]:
        """(K, C) pseudo-values of a cell's runs of these seeds, whose mean over C is the seed's score.

        (K, 1) where a run has no predictions; NaN where a run does not have the metric.

        Raises:
            KeyError: a run that is not done.
        """
        runs = [self._runs[task, grouping, scale, variant][seed] for seed in seeds]
        rows: list[Any] = [_of_run(run, task, metric) for run in runs]
        if any(row is None for row in rows):
            return np.array([[_score(run, task, metric)] for run in runs])
        return np.stack(rows)

    def rarer(self, task: str, grouping: str, scale: float | int, variant: str) -> int | None:
        """Test components in the rarer class of a classification task; None: no classes, or not known."""
        for run in self._runs.get((task, grouping, scale, variant), {}).values():
            if run.pseudovalues is not None:
                return run.pseudovalues[task].rarer
        return None


def _of_run(run: CollectedRun, task: str, metric: str) -> NDArray[np.float64] | None:
    if run.pseudovalues is None:
        return None
    return run.pseudovalues[task].metrics.get(metric)


def _score(run: CollectedRun, task: str, metric: str) -> float:
    assert run.result is not None
    return run.result.scores[task].get(metric, float("nan"))
