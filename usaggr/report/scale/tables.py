"""Effect of sharing by amount of training data, task type and clinical group; and the paper's claims.

The tasks of a mean are fixed. Intervals account for seeds and test subjects (with one seed, for subjects only).
Both are varied jointly over all tasks and scales of a row, on the seeds that they have in common.
"""

import math
from dataclasses import dataclass

from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.weighted_sums import ComparedCells
from usaggr.report.claims.tables import make_claims
from usaggr.report.scale.group_means import GroupMean, GroupSpread, consistency, sensitivity, spreads
from usaggr.report.scale.slopes import Between, ScaleCrossing, Slope, between, crossings, slopes
from usaggr.statistics.claims import Claim


@dataclass(frozen=True)
class Interplay:
    """Results for the chapters on data scale, task types, clinical groups and the paper's claims.

    They use the main metric of the cells that differ from the reference, as relative change or in skill.
    """

    slopes: tuple[Slope, ...]
    """Change of the difference per tenfold training samples, within tasks."""
    crossings: tuple[ScaleCrossing, ...]
    """Numbers of training samples at which the difference is zero."""
    between: tuple[Between, ...]
    """Association of the difference with training samples at the largest scale, over tasks and over clinical groups."""
    sensitivity: tuple[GroupMean, ...]
    """Mean difference of each task type."""
    consistency: tuple[GroupMean, ...]
    """Mean difference of each clinical group."""
    spread: tuple[GroupSpread, ...]
    """Spread of the mean differences over clinical groups, under each grouping."""
    claims: dict[str, tuple[Claim, ...]]
    """The paper's claims (a) to (d), by variant."""


def make_interplay(comparison: StudyComparison, valid_only: bool = False) -> Interplay:
    """Estimate all results from the verdicts of a study and the pseudo-values behind them.

    Args:
        comparison: The compared study.
        valid_only: Leave out cells where a model collapsed or did not converge.
    """
    planned = [cell for cell in comparison.verdicts if cell.main]
    cells = [cell for cell in planned if not math.isnan(cell.delta) and (cell.valid or not valid_only)]
    compared = ComparedCells(cells, planned, comparison.weighted_sums, comparison.study.confidence)
    by_scale, over_tasks = slopes(compared), between(compared)
    return Interplay(
        by_scale,
        crossings(compared),
        over_tasks,
        sensitivity(compared),
        consistency(compared),
        spreads(compared),
        make_claims(comparison.study, compared, by_scale, over_tasks),
    )
