"""Figure: what each variant changes, under each grouping and in what sharing a model does, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from usaggr.analysis.capacity import Capacity
from usaggr.document.display_names import grouping_label
from usaggr.report.figure_style import (
    GroupedPoint,
    draw_grouped_rows,
    grouping_handles,
    reference_first,
    scale_title,
    window,
)
from usaggr.report.variants.tables import VariantRow
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.verdicts import ALPHA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _ROOM = 0.15, 0.12
"""Inches of a grouping's line within a variant's row, and between rows."""
_WIDTH, _LETTER = 2.6, 0.066
"""Inches of a panel, and of a letter of the variants' names."""
_LEAST = 0.04
"""Skill that an axis spans at the least."""
SAME_SIZE = "≈"
"""Follows the name of a variant of as many active parameters as the first one."""
CERTAIN = "*"
"""At the end of a line whose adjusted p is under .05."""


@dataclass(frozen=True)
class _Side:
    """A column of panels."""

    level: str
    title: str
    axis: str
    groupings: tuple[str, ...]


def draw_variants(
    effects: Sequence[VariantRow], study: StudyFacts, capacities: Mapping[str, Capacity]
) -> "Figure | None":
    """A row of panels a scale: mean difference of skill from the first variant, and the change of what sharing does.

    Args:
        effects: `Variants.effects`.
        study: order of variants, groupings and scales.
        capacities: by variant; those of as many active parameters as the first one are marked.

    Returns:
        None where there is nothing to show.
    """
    from matplotlib.figure import Figure

    shown = [row for row in effects if row.level != "task" and not isnan(row.delta_skill)]
    if not shown:
        return None
    against = shown[0].against
    variants = [name for name in study.variants if name in {row.variant for row in shown}]
    scales = [scale for scale in sorted(study.scales, reverse=True) if scale in {row.scale for row in shown}]
    sides = _sides(shown, study, against)
    names = [f"{name} {SAME_SIZE}" if _is_matched(capacities, name) else name for name in variants]
    lines = [_LINE * len(variants) * max(len(side.groupings) for side in sides) + _ROOM * len(variants)] * len(scales)
    # A long title, or name of a grouping, decides how wide both panels are.
    width = max(_WIDTH, *(_LETTER * (len(side.title) + 6) for side in sides))
    size = (_LETTER * max(map(len, names)) + 0.2 + width * len(sides), sum(lines) + 0.35 * len(scales) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(scales), len(sides), squeeze=False, sharex="col", sharey=True)
    for column, side in enumerate(sides):
        rows = [row for row in shown if row.level == side.level and row.grouping in side.groupings]
        bounds = [end for row in rows for end in (row.low, row.high)]
        ends = window([0.0, *(row.delta_skill for row in rows)], bounds, _LEAST)
        for panel, scale in zip(axes[:, column], scales, strict=True):
            panel.set_xlim(*ends)
            _draw_panel(panel, [row for row in rows if row.scale == scale], side, variants, study)
        axes[0, column].set_title(
            side.title, loc="left", fontweight="bold", fontsize=8, pad=14 if len(scales) > 1 else 5
        )
        axes[-1, column].set_xlabel(side.axis)
    for panel, scale in zip(axes[:, 0], scales, strict=True):
        panel.set_yticks(range(len(variants)), names)
        if len(scales) > 1:
            panel.text(0, 1.02, scale_title(scale), transform=panel.transAxes, va="bottom", fontsize=7.5)
    same_size = f";  {SAME_SIZE} as many active parameters as {against}" if names != variants else ""
    _add_legend(figure, study, sides, f"{CERTAIN} adjusted p under .05{same_size}")
    return figure


def _sides(shown: Sequence[VariantRow], study: StudyFacts, against: str) -> list[_Side]:
    reference = grouping_label(study.reference)
    told = (
        ("all", f"Difference from {against}", "mean difference in skill"),
        ("interaction", f"Change of sharing, against {reference}", "mean difference in skill"),
    )
    sides = []
    for level, title, axis in told:
        present = {row.grouping for row in shown if row.level == level}
        groupings = tuple(name for name in reference_first(study.groupings, study.reference) if name in present)
        sides += [_Side(level, title, axis, groupings)] if groupings else []
    return sides


def _draw_panel(
    panel: "Axes", rows: Sequence[VariantRow], side: _Side, variants: Sequence[str], study: StudyFacts
) -> None:
    """A line for each grouping within each variant's row, in the order of the legend."""
    panel.locator_params(axis="x", nbins=5)
    places = {name: place for place, name in enumerate(reference_first(study.groupings, study.reference))}
    p_values = {
        GroupedPoint(row.variant, row.grouping, row.delta_skill, row.low, row.high): row.p_adjusted for row in rows
    }
    drawn = draw_grouped_rows(panel, list(p_values), variants, places, side.groupings)
    beside = panel.get_yaxis_transform()
    for point, height in drawn.items():
        if p_values[point] < ALPHA:
            panel.text(1.015, height, CERTAIN, transform=beside, ha="left", va="center", fontsize=7.5)


def _add_legend(figure: "Figure", study: StudyFacts, sides: Sequence[_Side], marks: str) -> None:
    ordered = reference_first(study.groupings, study.reference)
    handles = grouping_handles(ordered, study.reference, lines=False)
    present = {name for side in sides for name in side.groupings}
    shown = [handle for handle, name in zip(handles, ordered, strict=True) if name in present]
    figure.legend(
        handles=shown, loc="outside upper center", ncols=max(1, min(len(shown), 5)), frameon=False,
        title=marks, title_fontproperties={"size": 7.5},
    )  # fmt: skip


def _is_matched(capacities: Mapping[str, Capacity], variant: str) -> bool:
    return variant in capacities and capacities[variant].matched is True
