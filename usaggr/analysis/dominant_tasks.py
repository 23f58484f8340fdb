"""Tasks that dominate the variance of a mean over tasks, so that its interval's width mainly reflects one task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.weighted_sums import Unit, WeightedSums
from usaggr.statistics.two_way_anova import estimate

LEAST_TASKS = 3
"""Smallest number of tasks of which one can stand out; of two tasks, one always has at least half of the variance."""
LARGE_SHARE = 0.5
"""A task is named if its share of the sum of the tasks' variances exceeds this, so that no two tasks are."""


@dataclass(frozen=True)
class DominantTask:
    """Task with more than LARGE_SHARE of the sum of the tasks' variances."""

    task: str
    share: float
    """Its share of the sum of the tasks' variances, in [0, 1]."""


def find_dominant_task(cells: Sequence[CellVerdict], unit: Unit, sums: WeightedSums) -> DominantTask | None:
    """Return the task with more than half of the sum of the tasks' variances, if there is one.

    A relative change has a large variance where the reference's score is near 0. The share describes the variance of
    the mean difference only roughly: covariances between tasks that share runs or subjects are ignored, because they
    belong to no single task, variances are not moderated, and each task uses all its seeds instead of the common ones.

    Args:
        cells: One cell per task, with a difference in the unit.
        unit: Unit of the differences.
        sums: Weighted sums of the study.
    """
    variances: dict[str, float] = {}
    for cell in cells:
        single = sums.sum_differences([{cell.cell: 1.0}], unit)
        variance = np.nan if single is None else float(estimate(single[0].table).se) ** 2
        if np.isfinite(variance):
            variances[cell.task] = variance
    total = sum(variances.values())
    if len(variances) < LEAST_TASKS or total <= 0:
        return None
    task, largest = max(variances.items(), key=lambda item: item[1])
    return DominantTask(task, largest / total) if largest > LARGE_SHARE * total else None
