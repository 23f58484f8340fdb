"""Verdicts of no loss that hold only apart from failures too rare for the test subjects to show."""

from collections.abc import Mapping, Sequence

import numpy as np

from usaggr.analysis.cell_rows import CellDifference, CellVerdict
from usaggr.metrics.names import get_metric
from usaggr.statistics.holm import holm
from usaggr.statistics.two_way_anova import Estimate, stack_estimates
from usaggr.statistics.unseen_failures import (
    compute_p_with_failures,
    count_subjects_needed,
    find_excluded_rate,
)
from usaggr.statistics.verdicts import ALPHA_NI


def qualify_family(
    cells: Sequence[CellDifference],
    estimates: Mapping[int, Estimate],
    margins: Sequence[float],
    p_ni: Sequence[float],
    verdicts: Sequence[str | None],
) -> list[int | None]:
    """Return N for each no loss of a family that holds only apart from failures rarer than 1 in N; otherwise None.

    Args:
        cells: The family's cells.
        estimates: Estimates of the tested ones, by position.
        margins: Margin of each cell, in the metric's units.
        p_ni: P value of a loss of at least the margin; NaN for a cell that is not tested.
        verdicts: Verdict of each cell.
    """
    costs = [compute_failure_cost(cell) for cell in cells]
    # A no loss is unqualified only if it holds together with all others of its family, as its verdict does.
    p = np.where(np.isfinite(p_ni), 1.0, np.nan)
    no_loss = [i for i, verdict in enumerate(verdicts) if verdict == "no_loss"]
    tested = [i for i in no_loss if cells[i].n_subjects >= count_subjects_needed(costs[i], margins[i])]
    for_failures = [i for i in tested if costs[i] > 0]
    p[tested] = np.asarray(p_ni)[tested]
    if for_failures:
        p[for_failures] = compute_p_with_failures(
            stack_estimates([estimates[i] for i in for_failures]),
            [margins[i] for i in for_failures],
            [costs[i] for i in for_failures],
            [cells[i].n_subjects for i in for_failures],
        )
    adjusted = holm(p)
    qualified = {i for i in no_loss if not adjusted[i] < ALPHA_NI}
    return [find_excluded_rate(cell.n_subjects) if i in qualified else None for i, cell in enumerate(cells)]


def find_rate_not_excluded(cell: CellVerdict) -> int | None:
    """Return N if a cell's test subjects do not exclude failures rarer than 1 in N; None if they exclude enough.

    A no loss has this from its family (`rarer_than`). For other verdicts it tells what a mean over cells leaves open.
    """
    if cell.verdict == "no_loss":
        return cell.rarer_than
    is_enough = cell.n_subjects >= count_subjects_needed(compute_failure_cost(cell), cell.margin)
    return None if is_enough else find_excluded_rate(cell.n_subjects)


def compute_failure_cost(cell: CellDifference) -> float:
    """Return the largest loss of a subject that fails: from the reference's mean to the worst value of the metric.

    It is infinite for distances, which have no worst value. It is 0 for scores of the complete test set (AUC), which
    a failing subject cannot change by more than its share of the pairs.
    """
    metric = get_metric(cell.metric)
    return abs(cell.reference_mean - metric.worst) if metric.is_per_sample else 0.0
