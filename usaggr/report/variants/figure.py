"""Figure of the difference of each variant from the first one, and of the change in the effect of sharing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from usaggr.analysis.capacity import Capacity
from usaggr.document.display_names import grouping_label
from usaggr.report.figure_style import (
    GroupedPoint,
    compute_limits,
    draw_grouped_rows,
    format_scale,
    make_grouping_handles,
    put_reference_first,
)
from usaggr.report.variants.tables import VariantRow
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.verdicts import ALPHA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _ROOM = 0.15, 0.12
"""Height in inches of a grouping's line within a variant's row, and of the gap between rows."""
_WIDTH, _LETTER = 2.6, 0.066
"""Width in inches of a panel, and of a letter of the variants' names."""
_SMALLEST_SPAN = 0.04
"""Smallest range of skill that an axis covers, so that tiny differences do not look large."""
SAME_SIZE = "≈"
"""Follows the name of a variant with as many active parameters as the first one."""
DETECTABLE = "*"
"""Mark at the end of a line whose adjusted p is below .05."""


@dataclass(frozen=True)
class _Column:
    """A column of panels."""

    level: str
    title: str
    axis: str
    groupings: tuple[str, ...]


def draw_variants(
    effects: Sequence[VariantRow], study: StudyFacts, capacities: Mapping[str, Capacity]
) -> "Figure | None":
    """Draw mean differences in skill from the first variant, and changes in the effect of sharing, for each scale.

    Args:
        effects: Effects of all variants, from `Variants.effects`.
        study: The study, for the order of variants, groupings and scales.
        capacities: Sizes by variant; variants with as many active parameters as the first one are marked.

    Returns:
        The figure; None if no effect is estimated.
    """
    from matplotlib.figure import Figure

    shown = [row for row in effects if row.level != "task" and not isnan(row.delta_skill)]
    if not shown:
        return None
    first = shown[0].against
    variants = [name for name in study.variants if name in {row.variant for row in shown}]
    scales = [scale for scale in sorted(study.scales, reverse=True) if scale in {row.scale for row in shown}]
    sides = _make_columns(shown, study, first)
    names = [f"{name} {SAME_SIZE}" if _is_matched(capacities, name) else name for name in variants]
    lines = [_LINE * len(variants) * max(len(side.groupings) for side in sides) + _ROOM * len(variants)] * len(scales)
    # Panels share one width: that of the longest title, with room for six more letters.
    width = max(_WIDTH, *(_LETTER * (len(side.title) + 6) for side in sides))
    size = (_LETTER * max(map(len, names)) + 0.2 + width * len(sides), sum(lines) + 0.35 * len(scales) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(scales), len(sides), squeeze=False, sharex="col", sharey=True)
    for column, side in enumerate(sides):
        drawn = [row for row in shown if row.level == side.level and row.grouping in side.groupings]
        bounds = [end for row in drawn for end in (row.low, row.high)]
        ends = compute_limits([0.0, *(row.delta_skill for row in drawn)], bounds, _SMALLEST_SPAN)
        for panel, scale in zip(axes[:, column], scales, strict=True):
            panel.set_xlim(*ends)
            _draw_panel(panel, [row for row in drawn if row.scale == scale], side, variants, study)
        axes[0, column].set_title(
            side.title, loc="left", fontweight="bold", fontsize=8, pad=14 if len(scales) > 1 else 5
        )
        axes[-1, column].set_xlabel(side.axis)
    for panel, scale in zip(axes[:, 0], scales, strict=True):
        panel.set_yticks(range(len(variants)), names)
        if len(scales) > 1:
            panel.text(0, 1.02, format_scale(scale), transform=panel.transAxes, va="bottom", fontsize=7.5)
    same_size = f";  {SAME_SIZE} as many active parameters as {first}" if names != variants else ""
    _add_legend(figure, study, sides, f"{DETECTABLE} adjusted p below .05{same_size}")
    return figure


def _make_columns(shown: Sequence[VariantRow], study: StudyFacts, first: str) -> list[_Column]:
    reference = grouping_label(study.reference)
    columns = (
        ("all", f"Difference from {first}", "mean difference in skill"),
        ("interaction", f"Change of sharing (from {reference})", "change of mean difference in skill"),
    )
    sides = []
    for level, title, axis in columns:
        present = {row.grouping for row in shown if row.level == level}
        groupings = tuple(name for name in put_reference_first(study.groupings, study.reference) if name in present)
        sides += [_Column(level, title, axis, groupings)] if groupings else []
    return sides


def _draw_panel(
    panel: "Axes", effects: Sequence[VariantRow], side: _Column, variants: Sequence[str], study: StudyFacts
) -> None:
    """Draw a line for each grouping within each variant's row, in the order of the legend.

    Args:
        panel: The panel to draw in.
        effects: Effects of one level and scale.
        side: Column of the panel.
        variants: Names of the variants, from the top row down.
        study: The study, for the order of groupings.
    """
    panel.locator_params(axis="x", nbins=5)
    positions = {name: position for position, name in enumerate(put_reference_first(study.groupings, study.reference))}
    # `draw_grouped_rows` returns heights by point, so p values are found by point too.
    p_values = {
        GroupedPoint(row.variant, row.grouping, row.delta_skill, row.low, row.high): row.p_adjusted for row in effects
    }
    heights = draw_grouped_rows(panel, list(p_values), variants, positions, side.groupings)
    # x in fractions of the panel, y in data: the mark stands right of the panel at the height of its line.
    right_of_panel = panel.get_yaxis_transform()
    for point, height in heights.items():
        if p_values[point] < ALPHA:
            panel.text(1.015, height, DETECTABLE, transform=right_of_panel, ha="left", va="center", fontsize=7.5)


def _add_legend(figure: "Figure", study: StudyFacts, sides: Sequence[_Column], marks: str) -> None:
    ordered = put_reference_first(study.groupings, study.reference)
    handles = make_grouping_handles(ordered, study.reference, lines=False)
    present = {name for side in sides for name in side.groupings}
    shown = [handle for handle, name in zip(handles, ordered, strict=True) if name in present]
    figure.legend(
        handles=shown, loc="outside upper center", ncols=max(1, min(len(shown), 5)), frameon=False,
        title=marks, title_fontproperties={"size": 7.5},
    )  # fmt: skip


def _is_matched(capacities: Mapping[str, Capacity], variant: str) -> bool:
    return variant in capacities and capacities[variant].is_matched is True
