"""Differences from the reference that are significantly better at one scale and significantly worse at another.

A dependence on scale whose difference keeps its sign may come from the scale of measurement: a monotone transformation
of the score can remove it (Loftus, Mem Cognit 1978; Wagenmakers et al., Mem Cognit 2012). A change of sign remains
under every such transformation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import (
    ComparedCells,
    Setting,
    SumEstimate,
    Unit,
    Weights,
    list_cells,
    make_mean_weights,
)
from usaggr.report.scale.slopes import TRANSFORMED
from usaggr.statistics.scale_trend import SignChange, find_sign_change

_TESTED_UNITS: tuple[Unit, ...] = ("skill", *TRANSFORMED)
"""Units in which a mean over tasks must have the sign. Tasks with opposite signs may weigh differently in each unit."""


@dataclass(frozen=True)
class GroupingSignChange:
    """Change of sign of the mean difference over tasks under one grouping."""

    variant: str
    grouping: str
    change: SignChange


def estimate_sign_changes(compared: ComparedCells) -> tuple[GroupingSignChange, ...]:
    """Return the groupings whose mean difference over tasks significantly changes its sign with scale.

    The means at all scales are over the same tasks: those that are compared at every scale. The intervals are wider the
    more scales there are, see `find_sign_change`.
    """
    changes = []
    for variant, cells in group_rows(compared.select("log_error"), lambda cell: cell.variant).items():
        sums: dict[Setting, Weights] = {}
        for grouping, members in group_rows(cells, lambda cell: cell.grouping).items():
            for scale, at_scale in _select_common_tasks(members).items():
                sums[scale, grouping] = make_mean_weights(list_cells(at_scale))
        by_grouping = group_rows(sums, lambda setting: setting[1])
        for grouping, settings in by_grouping.items():
            change = _find_change(compared, {setting: sums[setting] for setting in settings})
            if change is not None:
                changes.append(GroupingSignChange(variant, grouping, change))
    return tuple(changes)


def _select_common_tasks(cells: Sequence[CellVerdict]) -> dict[float | int, list[CellVerdict]]:
    """Return the cells of one grouping by scale, of the tasks that have a cell at every scale."""
    by_scale = group_rows(cells, lambda cell: cell.scale)
    common = set.intersection(*({cell.task for cell in members} for members in by_scale.values()))
    return {scale: [cell for cell in members if cell.task in common] for scale, members in sorted(by_scale.items())}


def _find_change(compared: ComparedCells, sums: dict[Setting, Weights]) -> SignChange | None:
    """Return the change of sign of a grouping's means over scales, if there is one.

    Args:
        compared: All compared cells.
        sums: Mean over the same tasks at each scale of the grouping.
    """
    if len(sums) < 2 or not all(sums.values()):
        return None
    # One side of the change is given; the other may be at any of the remaining scales (Bonferroni).
    confidence = 1 - (1 - compared.confidence) / (len(sums) - 1)
    stricter = replace(compared, confidence=confidence)
    estimates: list[dict[Setting, SumEstimate]] = [stricter.estimate(sums, unit) for unit in _TESTED_UNITS]
    if not all(estimate.has_predictions for by_unit in estimates for estimate in by_unit.values()):
        return None
    intervals = {}
    for scale, grouping in sums:
        if scale is not None:
            quantities = [by_unit[scale, grouping].quantity for by_unit in estimates]
            intervals[scale] = [(quantity.low, quantity.high) for quantity in quantities]
    return find_sign_change(intervals)
