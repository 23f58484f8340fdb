"""No-loss verdicts that do not exclude failures too rare to appear among the test subjects.

For means over subjects (DSC, IoU), a no loss is unqualified if there are enough subjects. For distances and for scores
of a complete test set (AUC, F1, MCC, balanced accuracy) it is always qualified:

* A distance has no worst value, so one failure may cost any amount.
* In a score of a complete test set, a failing subject of the rarer class costs more than its share of all subjects: of
  P positives, one that is ranked last costs the reference's AUC / P. Failures are therefore counted among the
  subjects of the rarer class. No number of them is enough, because the rule for means needs that studies with one to
  nine failures get no verdict, which `is_driven_by_few` cannot decide for these scores. With 6.8 expected failures that
  cost just the margin, up to 5.9 % of the simulated studies had a no loss on AUC (docs/too_few.md), which exceeds the
  level of 2.5 %.

Only main metrics have verdicts; of the scores of a complete test set, this is AUC alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CellDifference, CellMetric, CellVerdict
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
    subjects: Sequence[int],
) -> list[int | None]:
    """Return the limit of each no loss of a family.

    Args:
        cells: The family's cells.
        estimates: Estimates of the tested ones, by position.
        margins: Margin of each cell, in the metric's units.
        p_ni: P value of a loss of at least the margin; NaN for a cell that is not tested.
        verdicts: Verdict of each cell.
        subjects: Subjects of each cell among whom failures would be seen, from `count_failure_subjects`.

    Returns:
        N for each cell whose no loss does not exclude failures rarer than 1 in N. None for a no loss without this
        limit, and for other verdicts.
    """
    costs = [compute_failure_cost(cell) for cell in cells]
    # The p values are adjusted by Holm over the whole family, as for the verdict. Tested cells that cannot be an
    # unqualified no loss count with p = 1.
    p = np.where(np.isfinite(p_ni), 1.0, np.nan)
    no_loss = [i for i, verdict in enumerate(verdicts) if verdict == "no_loss"]
    has_enough_subjects = [i for i in no_loss if subjects[i] >= count_subjects_needed(costs[i], margins[i])]
    can_fail = [i for i in has_enough_subjects if costs[i] > 0]
    p[has_enough_subjects] = np.asarray(p_ni)[has_enough_subjects]
    if can_fail:
        p[can_fail] = compute_p_with_failures(
            stack_estimates([estimates[i] for i in can_fail]),
            [margins[i] for i in can_fail],
            [costs[i] for i in can_fail],
            [subjects[i] for i in can_fail],
        )
    adjusted = holm(p)
    qualified = {i for i in no_loss if not adjusted[i] < ALPHA_NI}
    return [find_excluded_rate(subjects[i]) if i in qualified else None for i in range(len(cells))]


def find_rate_not_excluded(cell: CellVerdict) -> int | None:
    """Return N if failures rarer than 1 in N, unseen in the test set, could cost the margin.

    None if there are enough test subjects. A no loss has N from its family (`rarer_than`). For other verdicts it is
    used where cells are averaged (`usaggr advise`).
    """
    if cell.verdict == "no_loss":
        return cell.rarer_than
    is_enough = cell.failure_subjects >= count_subjects_needed(compute_failure_cost(cell), cell.margin)
    return None if is_enough else find_excluded_rate(cell.failure_subjects)


def count_failure_subjects(cell: CellMetric, pseudovalues: CellPseudovalues) -> int:
    """Return the number of independent test subjects among whom failures would be seen.

    They are the components of the test set; for scores of a complete test set, those in the rarer class.

    Args:
        cell: The cell and its metric.
        pseudovalues: Pseudo-values of the same runs.
    """
    independent = pseudovalues.count_independent(cell.task, cell.n_subjects)
    if get_metric(cell.metric).is_per_sample:
        return independent
    size = pseudovalues.count_rarer_class(cell.cell)
    return independent if size is None else size


def compute_failure_cost(cell: CellDifference) -> float:
    """Return the mean loss of subjects that fail completely: from the reference's mean to the metric's worst value.

    It is that of subjects as good as the others under the reference. It is infinite if no number of subjects excludes a
    loss of the margin: for distances, and for scores of a complete test set (see the module's docstring).
    """
    metric = get_metric(cell.metric)
    return abs(cell.reference_mean - metric.worst) if metric.is_per_sample else float("inf")
