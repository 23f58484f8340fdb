"""Analysis of the effect of sharing by amount of training data, task type and clinical group; and the paper's claims.

The tasks of a mean are fixed. Intervals account for seeds and test subjects (with one seed, for subjects only).
Both are varied jointly over all tasks and scales of a row, on the seeds that they have in common.
"""

import math
from dataclasses import dataclass, replace

from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.weighted_sums import ComparedCells
from usaggr.report.claims.tables import make_claims
from usaggr.report.scale.group_means import (
    GroupMean,
    GroupSdRow,
    average_groups,
    average_types,
    estimate_group_sds,
)
from usaggr.report.scale.slopes import (
    BetweenTrend,
    ScaleCrossing,
    Slope,
    estimate_between,
    estimate_crossings,
    estimate_slopes,
)
from usaggr.statistics.claims import Claim


@dataclass(frozen=True)
class EffectAnalysis:
    """Effect of sharing by amount of training data, task type and clinical group, and the paper's claims.

    They use the main metric of the cells that differ from the reference, as relative change or in skill.
    """

    slopes: tuple[Slope, ...]
    """Change of the difference per tenfold training samples, within tasks."""
    crossings: tuple[ScaleCrossing, ...]
    """Numbers of training samples at which the difference is zero."""
    between: tuple[BetweenTrend, ...]
    """Association of the difference with training samples at the largest scale, over tasks and over clinical groups."""
    type_means: tuple[GroupMean, ...]
    """Mean difference of each task type."""
    group_means: tuple[GroupMean, ...]
    """Mean difference of each clinical group."""
    group_sds: tuple[GroupSdRow, ...]
    """Spread of the mean differences over clinical groups, under each grouping."""
    claims: dict[str, tuple[Claim, ...]]
    """The paper's claims (a) to (d), by variant."""


def analyze_effects(comparison: StudyComparison, valid_only: bool = False) -> EffectAnalysis:
    """Estimate all results from the verdicts of a study and the pseudo-values behind them.

    Args:
        comparison: The compared study.
        valid_only: Leave out cells where a model collapsed or did not converge.
    """
    planned = [cell for cell in comparison.verdicts if cell.main]
    cells = [cell for cell in planned if not math.isnan(cell.delta) and (cell.valid or not valid_only)]
    compared = ComparedCells(cells, planned, comparison.weighted_sums, comparison.study.confidence)
    slopes, between = estimate_slopes(compared), estimate_between(compared)
    # No claim rests on a cell with a collapsed seed.
    steady = replace(compared, cells=[cell for cell in cells if not cell.has_collapsed_seeds])
    are_all_steady = len(steady.cells) == len(cells)
    return EffectAnalysis(
        slopes=slopes,
        crossings=estimate_crossings(compared),
        between=between,
        type_means=average_types(compared),
        group_means=average_groups(compared),
        group_sds=estimate_group_sds(compared),
        claims=make_claims(
            comparison.study,
            steady,
            slopes if are_all_steady else estimate_slopes(steady),
            between if are_all_steady else estimate_between(steady),
        ),
    )
