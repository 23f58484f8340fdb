"""Figures of mean differences with their intervals: by clinical group with the spread over groups, and by task type."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import grouping_label
from usaggr.report.figure_style import (
    GRAY,
    GroupedPoint,
    compute_limits,
    count_legend_columns,
    draw_grouped_rows,
    format_scale,
    make_grouping_handles,
    put_reference_first,
)
from usaggr.report.scale.group_means import GroupMean, GroupSdRow
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.claims import Quantity
from usaggr.statistics.group_sd import GroupSd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.17
"""Inches of height per grouping within a row."""
_LOG_RATIO = 8.0
"""Ratio of the largest mean to the median from which the axis is logarithmic far from zero."""
_WIDTH, _LETTER = 2.05, 0.066
"""Inches: width of a panel, width of a letter of the row names."""
_ALL_GROUPS = "all groups"
"""Name of the row with the spread over all groups."""


@dataclass(frozen=True)
class _Panels:
    """Properties that all panels of a figure share."""

    groupings: tuple[str, ...]
    """Groupings with values; without the reference, which has no difference from itself."""
    indices: dict[str, int]
    """Index of each grouping, which sets its color and marker."""
    limits: tuple[float, float]
    """Ends of the horizontal axis."""
    linear_to: float | None = None
    """Distance from zero beyond which the axis is logarithmic; None: linear everywhere."""


def draw_consistency(
    means: Sequence[GroupMean], group_sds: Sequence[GroupSdRow], study: StudyFacts, variant: str
) -> "Figure | None":
    """Draw a row for each clinical group and a panel for each scale, with the spread over groups below.

    Args:
        means: Means of clinical groups; the figure shows their relative change.
        group_sds: Standard deviations over clinical groups; the figure shows their relative change.
        study: Defines the order of groupings and scales.
        variant: The variant to draw.

    Returns:
        The figure; None if there is nothing to show.
    """
    shown = [row for row in means if row.variant == variant and not math.isnan(row.relative.value)]
    if not shown:
        return None
    points = _group_by_scale(shown, study, lambda row: _make_point(row.group, row.grouping, row.relative, factor=100))
    groups = sorted({row.group for row in shown})
    panels = _make_panels([point for at_scale in points.values() for point in at_scale], study, min_width=4.0)
    shown_sds = [row for row in group_sds if row.variant == variant and not math.isnan(row.relative.value)]
    row_height = _compute_row_height(panels)
    heights = [len(groups) * row_height, row_height] if shown_sds else [len(groups) * row_height]
    labels = _add_counts(groups, shown)
    figure, axes = _make_grid(list(points), heights, labels)
    for panel, (scale, at_scale) in zip(axes[0], points.items(), strict=True):
        _draw_panel(panel, at_scale, groups, labels, panels)
        panel.set_title(format_scale(scale))
        panel.set_xlabel("mean relative change (%)")
    if shown_sds:
        _draw_group_sds(axes[1], list(points), shown_sds, panels)
    _add_legend(figure, panels, study)
    return figure


def draw_sensitivity(means: Sequence[GroupMean], study: StudyFacts, variant: str) -> "Figure | None":
    """Draw a row for each task type and a panel for each scale.

    Args:
        means: Means of task types; the figure shows their difference in skill.
        study: Defines the order of groupings and scales.
        variant: The variant to draw.

    Returns:
        The figure; None if there is nothing to show.
    """
    from usaggr.tasks import TASK_TYPES

    shown = [row for row in means if row.variant == variant and not math.isnan(row.skill.value)]
    if not shown:
        return None
    points = _group_by_scale(shown, study, lambda row: _make_point(row.group, row.grouping, row.skill))
    types: list[str] = [name for name in TASK_TYPES if name in {row.group for row in shown}]
    panels = _make_panels([point for at_scale in points.values() for point in at_scale], study, min_width=0.04)
    labels = _add_counts(types, shown)
    figure, axes = _make_grid(list(points), [len(types) * _compute_row_height(panels)], labels)
    for panel, (scale, at_scale) in zip(axes[0], points.items(), strict=True):
        _draw_panel(panel, at_scale, types, labels, panels)
        panel.set_title(format_scale(scale))
        panel.set_xlabel("mean difference in skill")
    _add_legend(figure, panels, study)
    return figure


def _draw_group_sds(
    axes: "Sequence[Axes]", scales: Sequence[float | int], group_sds: Sequence[GroupSdRow], panels: _Panels
) -> None:
    """Draw the spread over clinical groups, on an axis of its own because a standard deviation starts at zero.

    Args:
        axes: A panel for each scale.
        scales: Scales from left to right.
        group_sds: Standard deviations over clinical groups, of all groupings and scales.
        panels: Properties of the panels of clinical groups.
    """
    points = [_make_point(_ALL_GROUPS, row.grouping, row.relative, factor=100) for row in group_sds]
    _, largest = _include_zero(points, min_width=4.0)
    sd_panels = _Panels(panels.groupings, panels.indices, (0.0, largest))
    for panel, scale in zip(axes, scales, strict=True):
        at_scale = [point for point, row in zip(points, group_sds, strict=True) if row.scale == scale]
        _draw_panel(panel, at_scale, [_ALL_GROUPS], ["spread over groups"], sd_panels)
        panel.set_xlabel("standard deviation (%)")


def _group_by_scale(
    means: Sequence[GroupMean], study: StudyFacts, make_point: Callable[[GroupMean], GroupedPoint]
) -> dict[float | int, list[GroupedPoint]]:
    """Return the points of each scale that has data, in the study's order."""
    by_scale = group_rows(means, lambda row: row.scale)
    return {scale: [make_point(row) for row in by_scale[scale]] for scale in study.scales if scale in by_scale}


def _make_point(row: str, grouping: str, effect: Quantity | GroupSd, factor: float = 1.0) -> GroupedPoint:
    """Return the point of an effect, multiplied by a factor: 100 for percent.

    Args:
        row: Name of the row.
        grouping: Name of the grouping.
        effect: Value with its interval.
        factor: Factor of value and interval.
    """
    return GroupedPoint(row, grouping, factor * effect.value, factor * effect.low, factor * effect.high)


def _add_counts(groups: Sequence[str], means: Sequence[GroupMean]) -> list[str]:
    """Return the names of groups with the number of their tasks."""
    return [f"{name} ({max(row.tasks for row in means if row.group == name)})" for name in groups]


def _include_zero(points: Sequence[GroupedPoint], min_width: float) -> tuple[float, float]:
    """Return the ends of an axis that shows zero and all values, see `compute_limits`."""
    bounds = [*(point.low for point in points), *(point.high for point in points)]
    return compute_limits([0.0, *(point.value for point in points)], bounds, min_width)


def _make_panels(points: Sequence[GroupedPoint], study: StudyFacts, min_width: float) -> _Panels:
    ordered = put_reference_first(study.groupings, study.reference)
    present = {point.grouping for point in points}
    shown = tuple(name for name in ordered if name in present)
    # On a linear axis, one group far from the others would squeeze them together at zero.
    sizes = np.abs([point.value for point in points])
    is_far = float(sizes.max()) > _LOG_RATIO * max(float(np.median(sizes)), min_width)
    indices = {name: index for index, name in enumerate(ordered)}
    return _Panels(shown, indices, _include_zero(points, min_width), 2.5 * min_width if is_far else None)


def _compute_row_height(panels: _Panels) -> float:
    return _LINE * len(panels.groupings) + 0.12


def _make_grid(
    scales: Sequence[float | int], heights: Sequence[float], labels: Sequence[str]
) -> "tuple[Figure, list[list[Axes]]]":
    from matplotlib.figure import Figure

    labels_width = _LETTER * max(map(len, labels)) + 0.2
    size = (labels_width + _WIDTH * len(scales), sum(heights) + 0.65 * len(heights) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(
        len(heights), len(scales), squeeze=False, sharex="row", sharey="row", height_ratios=list(heights)
    )
    return figure, axes.tolist()


def _draw_panel(
    panel: "Axes", points: Sequence[GroupedPoint], names: Sequence[str], labels: Sequence[str], panels: _Panels
) -> None:
    """Draw a line for each grouping within each row, in the order of the legend."""
    if panels.linear_to is None:
        panel.locator_params(axis="x", nbins=5)
    else:
        panel.set_xscale("symlog", linthresh=panels.linear_to)
    panel.set_xlim(*panels.limits)
    _set_ticks(panel, panels)
    panel.set_yticks(range(len(names)), labels)
    draw_grouped_rows(panel, points, names, panels.indices, panels.groupings)


def _set_ticks(panel: "Axes", panels: _Panels) -> None:
    if panels.linear_to is None:
        return
    powers = [panels.linear_to * 10**power for power in range(4)]
    ticks = [t for t in (*(-p for p in reversed(powers)), 0.0, *powers) if panels.limits[0] <= t <= panels.limits[1]]
    panel.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    panel.minorticks_off()


def _add_legend(figure: "Figure", panels: _Panels, study: StudyFacts) -> None:
    ordered = put_reference_first(study.groupings, study.reference)
    handles = make_grouping_handles(ordered, study.reference, lines=False)
    shown = [handle for handle, name in zip(handles, ordered, strict=True) if name in panels.groupings]
    columns = count_legend_columns([str(handle.get_label()) for handle in shown], figure.get_figwidth())
    figure.legend(
        handles=shown, loc="outside upper center", ncols=columns, frameon=False, fontsize=8,
        title=f"difference from {grouping_label(study.reference)}; in brackets the number of tasks",
        title_fontproperties={"size": 7.5}, labelcolor="black", edgecolor=GRAY,
    )  # fmt: skip
