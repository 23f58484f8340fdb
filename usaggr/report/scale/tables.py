"""What aggregation does, by the amount of training data, by task type and by clinical group; and the paper's claims.

Means over tasks keep these fixed; intervals cover seeds and test subjects (subjects alone, with one seed), taken
jointly over all tasks and scales of a row, on the seeds that they have in common.
"""

import math
from dataclasses import dataclass

from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.weighted_sums import Compared
from usaggr.report.claims.tables import make_claims
from usaggr.report.scale.group_means import GroupMean, GroupSpread, consistency, sensitivity, spreads
from usaggr.report.scale.slopes import Between, ScaleCrossing, Slope, between, crossings, slopes
from usaggr.statistics.claims import Claim


@dataclass(frozen=True)
class Interplay:
    """What the report's chapters on data scale, task type, clinical groups and the paper's claims are made of.

    Made of the main metric of the cells that differ from the reference. Units: relative change, or skill.
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
    """How much the clinical groups differ under each grouping."""
    claims: dict[str, tuple[Claim, ...]]
    """The paper's claims (a) to (d), by variant."""


def make_interplay(comparison: StudyComparison, valid_only: bool = False) -> Interplay:
    """Return all rows, from the verdicts of a study and the pseudo-values under them.

    Args:
        comparison: The study.
        valid_only: Whether to leave out cells of which either side is collapsed or unconverged.
    """
    planned = [cell for cell in comparison.verdicts if cell.main]
    known = [cell for cell in planned if not math.isnan(cell.delta) and (cell.valid or not valid_only)]
    compared = Compared(known, planned, comparison.weighted_sums, comparison.study.confidence)
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
