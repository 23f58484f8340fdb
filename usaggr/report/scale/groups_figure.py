"""Figures of a mean with its interval for each group of tasks: clinical groups with their spread, and task types."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from usaggr.document.display_names import grouping_label
from usaggr.report.figure_style import (
    GREY,
    draw_grouped_rows,
    grouping_handles,
    legend_columns,
    reference_first,
    scale_title,
    window,
)
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.17
"""Inches of a grouping's line."""
_FAR = 8.0
"""From this ratio of the largest mean to the middle one on, the axis is logarithmic far from nought."""
_WIDTH, _LETTER = 2.05, 0.066
"""Inches of a panel, and of a letter of the names beside."""


@dataclass(frozen=True)
class _Panels:
    """What is the same in all panels of a figure."""

    groupings: tuple[str, ...]
    """Those with something to show; the reference, which has no difference from itself, is not one of them."""
    places: dict[str, int]
    """Grouping: what decides its look."""
    ends: tuple[float, float]
    linear: float | None = None
    """Where the axis turns from linear to logarithmic on either side; None: nowhere."""


def draw_consistency(
    consistency: pd.DataFrame, spread: pd.DataFrame, study: StudyFacts, variant: str
) -> "Figure | None":
    """A row a clinical group, a panel a scale, with how much the groups differ under each grouping below.

    Args:
        consistency: grouping, scale, variant, clinical_group, tasks, delta (mean relative change), low, high.
        spread: grouping, scale, variant, spread (standard deviation over groups of the mean relative change), low,
            high.
        study: order of groupings and scales.
        variant: which one is drawn.

    Returns:
        None where there is nothing to show.
    """
    of = _in_percent(consistency[consistency["variant"] == variant], ("delta", "low", "high"))
    between = _in_percent(spread[spread["variant"] == variant], ("spread", "low", "high"))
    of = of[of["delta"].notna()]
    if of.empty:
        return None
    scales = [scale for scale in study.scales if scale in set(of["scale"])]
    groups = sorted(set(of["clinical_group"]))
    panels = _panels(of, study, of["delta"], least=4.0)
    heights = [len(groups) * _row_height(panels), _row_height(panels)]
    counts = of.groupby("clinical_group")["tasks"].max()
    labels = [f"{group} ({counts[group]})" for group in groups]
    figure, axes = _grid(scales, heights if between["spread"].notna().any() else heights[:1], labels)
    for panel, scale in zip(axes[0], scales, strict=True):
        _draw_panel(panel, of[of["scale"] == scale], "clinical_group", "delta", groups, labels, panels)
        panel.set_title(scale_title(scale))
        panel.set_xlabel("mean relative change (%)")
    if len(axes) > 1:
        known = between[between["spread"].notna()]
        ends = window([0.0, *known["spread"]], [*known["low"], *known["high"]], least=4.0)
        below = _Panels(panels.groupings, panels.places, (0.0, ends[1]))
        for panel, scale in zip(axes[1], scales, strict=True):
            rows = known[known["scale"] == scale].assign(row="all groups")
            _draw_panel(panel, rows, "row", "spread", ["all groups"], ["spread over groups"], below)
            panel.set_xlabel("standard deviation (%)")
    _add_legend(figure, panels, study)
    return figure


def draw_sensitivity(sensitivity: pd.DataFrame, study: StudyFacts, variant: str) -> "Figure | None":
    """A row a task type, a panel a scale.

    Args:
        sensitivity: grouping, scale, variant, task_type, tasks, delta_skill (mean difference in skill), low, high.
        study: order of groupings and scales.
        variant: which one is drawn.

    Returns:
        None where there is nothing to show.
    """
    from usaggr.tasks import TASK_TYPES

    of = sensitivity[(sensitivity["variant"] == variant) & sensitivity["delta_skill"].notna()]
    if of.empty:
        return None
    scales = [scale for scale in study.scales if scale in set(of["scale"])]
    types: list[str] = [name for name in TASK_TYPES if name in set(of["task_type"])]
    panels = _panels(of, study, of["delta_skill"], least=0.04)
    counts = of.groupby("task_type")["tasks"].max()
    labels = [f"{name} ({counts[name]})" for name in types]
    figure, axes = _grid(scales, [len(types) * _row_height(panels)], labels)
    for panel, scale in zip(axes[0], scales, strict=True):
        _draw_panel(panel, of[of["scale"] == scale], "task_type", "delta_skill", types, labels, panels)
        panel.set_title(scale_title(scale))
        panel.set_xlabel("mean difference in skill")
    _add_legend(figure, panels, study)
    return figure


def _in_percent(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return table.assign(**{name: 100 * table[name].astype(float) for name in columns})


def _panels(table: pd.DataFrame, study: StudyFacts, values: "pd.Series[Any]", least: float) -> _Panels:
    ordered = reference_first(study.groupings, study.reference)
    shown = tuple(name for name in ordered if name in set(table["grouping"]))
    ends = window([0.0, *values], [*table["low"], *table["high"]], least)
    # One group far from all others would press them together at nought.
    far = float(values.abs().max()) > _FAR * max(float(values.abs().median()), least)
    return _Panels(shown, {name: place for place, name in enumerate(ordered)}, ends, 2.5 * least if far else None)


def _row_height(panels: _Panels) -> float:
    return _LINE * len(panels.groupings) + 0.12


def _grid(
    scales: Sequence[float | int], heights: Sequence[float], labels: Sequence[str]
) -> "tuple[Figure, list[list[Axes]]]":
    from matplotlib.figure import Figure

    side = _LETTER * max(map(len, labels)) + 0.2
    size = (side + _WIDTH * len(scales), sum(heights) + 0.65 * len(heights) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(
        len(heights), len(scales), squeeze=False, sharex="row", sharey="row", height_ratios=list(heights)
    )
    return figure, axes.tolist()


def _draw_panel(
    panel: "Axes", table: pd.DataFrame, row: str, value: str, rows: Sequence[str], labels: Sequence[str],
    panels: _Panels,
) -> None:  # fmt: skip
    """A line for each grouping within each row; the groupings' order is that of the legend."""
    if panels.linear is None:
        panel.locator_params(axis="x", nbins=5)
    else:
        panel.set_xscale("symlog", linthresh=panels.linear)
    panel.set_xlim(*panels.ends)
    _set_ticks(panel, panels)
    panel.set_yticks(range(len(rows)), labels)
    draw_grouped_rows(panel, table, (row, value), rows, panels.places, panels.groupings)


def _set_ticks(panel: "Axes", panels: _Panels) -> None:
    if panels.linear is None:
        return
    powers = [panels.linear * 10**power for power in range(4)]
    ticks = [t for t in (*(-p for p in reversed(powers)), 0.0, *powers) if panels.ends[0] <= t <= panels.ends[1]]
    panel.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    panel.minorticks_off()


def _add_legend(figure: "Figure", panels: _Panels, study: StudyFacts) -> None:
    ordered = reference_first(study.groupings, study.reference)
    handles = grouping_handles(ordered, study.reference, lines=False)
    shown = [handle for handle, name in zip(handles, ordered, strict=True) if name in panels.groupings]
    columns = legend_columns([str(handle.get_label()) for handle in shown], figure.get_figwidth())
    figure.legend(
        handles=shown, loc="outside upper center", ncols=columns, frameon=False, fontsize=8,
        title=f"difference from {grouping_label(study.reference)}; in brackets the number of tasks",
        title_fontproperties={"size": 7.5}, labelcolor="black", edgecolor=GREY,
    )  # fmt: skip
