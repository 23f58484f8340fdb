"""Sentence on the single grouping that is best on average, over the tasks without a collapsed seed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import Scale
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import ComparedCells, Setting, Weights, list_cells, make_mean_weights
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, pluralize
from usaggr.document.elements import escape_markdown
from usaggr.report.differences_in_means import describe_scarce_tasks
from usaggr.report.material import Material


class _Mean(NamedTuple):
    """Mean relative change of a grouping over tasks, with its interval; bounds are NaN if not estimated."""

    grouping: str
    value: float
    low: float
    high: float
    scarce_tasks: int
    """Number of tasks with too few test subjects."""
    tasks: int


def describe_best_average(material: Material, variant: str, scale: Scale) -> str:
    """Write which single grouping is best on average over all tasks, and if its difference is certain.

    Tasks in which a seed collapsed under any grouping are left out of all groupings, so that these stay comparable.

    Args:
        material: Content of the report.
        variant: The variant of the study.
        scale: The amount of training data.
    """
    cells = material.comparison.get_main_verdicts(variant, scale)
    collapsed = {cell.task for cell in cells if cell.has_collapsed_seeds}
    if collapsed:
        means = _average_other_tasks(material, scale, cells, collapsed)
    else:
        lines = material.comparison.get_summary(variant, scale)
        means = [
            _Mean(line.grouping, line.delta_m, line.low, line.high, line.too_few or 0, line.tasks)
            for line in lines
            if line.grouping != material.study.reference
        ]
    means = [mean for mean in means if not math.isnan(mean.value)]
    if not means:
        return ""
    best = max(means, key=lambda mean: mean.value)
    label, reference = escape_markdown(grouping_label(best.grouping)), escape_markdown(material.reference)
    if math.isnan(best.low):
        certainty = "It has no interval, so the change may be random variation."
    elif best.low > 0:
        certainty = f"On average it is better than {reference}."
    elif best.high < 0:
        certainty = f"On average it is worse than {reference}."
    else:
        certainty = f"On average it does not differ detectably from {reference}."
    left_out = f" This leaves out {pluralize(len(collapsed), 'task')} with collapsed runs." if collapsed else ""
    few = f" {describe_scarce_tasks(best.scarce_tasks, best.tasks)}" if best.scarce_tasks else ""
    change = text.format_percent(best.value, best.low, best.high)
    return (
        f"If all tasks must use one grouping, {label} has the highest mean relative change: {change}. "
        f"{certainty}{few}{left_out}"
    )


def _average_other_tasks(
    material: Material, scale: Scale, cells: Sequence[CellVerdict], left_out: set[str]
) -> list[_Mean]:
    """Return the mean relative change of each grouping over the other tasks.

    Args:
        material: Content of the report.
        scale: The amount of training data.
        cells: Verdicts on main metrics at this scale.
        left_out: Tasks to leave out.
    """
    remaining = [cell for cell in cells if cell.task not in left_out and not math.isnan(cell.relative)]
    compared = ComparedCells(remaining, cells, material.comparison.weighted_sums, material.study.confidence)
    by_grouping = group_rows(remaining, lambda cell: cell.grouping)
    weights: dict[Setting, Weights] = {
        (scale, grouping): make_mean_weights(list_cells(members)) for grouping, members in by_grouping.items()
    }
    quantities = {grouping: mean.quantity for (_, grouping), mean in compared.estimate(weights, "relative").items()}
    return [
        _Mean(
            grouping,
            quantities[grouping].value,
            quantities[grouping].low,
            quantities[grouping].high,
            sum(cell.scarce for cell in members),
            len(members),
        )
        for grouping, members in by_grouping.items()
    ]
