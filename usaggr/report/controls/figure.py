"""Figure: groupings compared with random groupings whose blocks have the same sizes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import grouping_label
from usaggr.report.controls.tables import Control
from usaggr.report.figure_style import (
    GRAY,
    compute_limits,
    count_legend_columns,
    draw_intervals,
    format_scale,
    make_style,
    put_reference_first,
)
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.42
"""Inches of a row, which shows a grouping above its random groupings."""
_WIDTH, _LETTER = 2.4, 0.075
"""Inches: width of a panel, width of a letter of the names."""
_MIN_RANGE = 0.04
"""Smallest range of skill of an axis."""
_STROKE: dict[str, Any] = {
    "color": GRAY,
    "marker": "|",
    "linestyle": "none",
    "markersize": 9,
    "markeredgewidth": 1.4,
}
"""Style of a random grouping."""


def draw_controls(controls: Sequence[Control], study: StudyFacts, variant: str) -> "Figure | None":
    """Draw a row for each grouping and a panel for each scale: its mean difference in skill above its random groupings.

    Args:
        controls: Result of `make_controls`.
        study: Defines the order of groupings and scales.
        variant: The variant to draw.

    Returns:
        The figure; None if there is nothing to show.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = [row for row in controls if row.variant == variant and not row.task and not math.isnan(row.delta_skill)]
    drawn = {row.like for row in shown if row.drawn}
    names = [name for name in study.groupings if name in drawn]
    if not names:
        return None
    by_scale = group_rows(shown, lambda row: row.scale)
    scales = [scale for scale in sorted(study.scales) if scale in by_scale]
    size = (
        _LETTER * max(len(grouping_label(name)) for name in names) + 0.3 + _WIDTH * len(scales),
        1.3 + _ROW * len(names),
    )
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(scales), squeeze=False, sharex=True, sharey=True)[0]
    bounds = [*(row.low for row in shown), *(row.high for row in shown)]
    # With 0, which stands for the reference, in every panel.
    limits = compute_limits([0.0, *(row.delta_skill for row in shown)], bounds, _MIN_RANGE)
    indices = {name: index for index, name in enumerate(put_reference_first(study.groupings, study.reference))}
    for panel, scale in zip(axes, scales, strict=True):
        panel.set_xlim(*limits)
        _draw_panel(panel, by_scale[scale], names, indices)
        panel.set_title(format_scale(scale))
        panel.set_xlabel("mean difference in skill")
    axes[0].set_yticks(range(len(names)), [grouping_label(name) for name in names])
    draws = Line2D([], [], **_STROKE)
    grouping = Line2D([], [], **(make_style(indices[names[0]]) | {"linestyle": "none"}))
    labels = ["the grouping", "random, blocks of the same sizes"]
    figure.legend(
        handles=[grouping, draws], labels=labels, loc="outside upper center",
        ncols=count_legend_columns(labels, figure.get_figwidth()), frameon=False,
        title=f"difference from {grouping_label(study.reference)}", title_fontproperties={"size": 7.5},
    )  # fmt: skip
    return figure


def _draw_panel(panel: "Axes", controls: Sequence[Control], names: Sequence[str], indices: dict[str, int]) -> None:
    panel.locator_params(axis="x", nbins=5)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.axvline(0, color="black", linewidth=0.8, zorder=1)
    for y, name in enumerate(names):
        # The y axis points down: the grouping is drawn above the center of its row, its random groupings below it.
        random_rows = [row for row in controls if row.like == name and row.drawn]
        grouping_rows = [row for row in controls if row.like == name and not row.drawn]
        panel.plot([row.delta_skill for row in random_rows], [y + 0.18] * len(random_rows), zorder=3, **_STROKE)
        style = make_style(indices[name]) | {"linestyle": "none", "zorder": 4}
        heights = [y - 0.18] * len(grouping_rows)
        lows, highs = [row.low for row in grouping_rows], [row.high for row in grouping_rows]
        draw_intervals(panel, heights, lows, highs, style["color"])
        panel.plot([row.delta_skill for row in grouping_rows], heights, clip_on=False, **style)
