"""Figure: heat map of tasks and groupings with the difference from the reference and its verdict, at each scale.

A cell's color is the difference in skill, the unit that all task types share. Its text is the verdict's mark and the
difference in the metric's own units. Triangles in the corners mark models that collapsed or did not converge.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.document.display_names import QUALIFIED_MARK, grouping_label, verdict_label, verdict_mark
from usaggr.metrics.score_texts import format_signed
from usaggr.report.figure_style import choose_ink, format_scale
from usaggr.report.task_rows import GROUP_BAR_WIDTH, compute_names_width, label_rows, make_task_rows
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_COLOR_MAP = "RdBu"
"""A map of ColorBrewer: readable with every common color blindness, white at zero."""
_MIN_END, _MAX_END = 0.05, 0.3
"""Smallest and largest end of the color scale in skill, so that neither noise nor a single collapsed run sets it."""
_COLUMN, _MIN_WIDTH, _ROW = 0.72, 1.9, 0.25
"""Inches: width of a column, which fits a mark and a number; width of all columns, which fits the label of the color
bar; height of a row."""
_LONG_NAME = 10
"""Letters of a grouping's name from which names are rotated."""
_SAME, _MISSING = "....", "////"
"""Hatches of cells that use the reference's own run, and of cells without results."""
_NO_SKILL = (0.93, 0.93, 0.93)
"""Color of a cell whose difference is available in the metric's units, but not in skill."""
_CORNER = 0.36
"""Height of the triangle in a corner, as a fraction of a row."""
_UPPER = [(1, 1), (1, -1), (-1, 1), (1, 1)]
_LOWER = [(1, -1), (1, 1), (-1, -1), (1, -1)]
"""Triangles of the corners as legend markers, as points in [-1, 1]."""
_VERDICTS = ("gain", "no_loss", "loss", "undecided", "")
"""Verdicts in the order of the legend; empty: no verdict."""


def draw_heatmap(
    verdicts: Sequence[CellVerdict], study: StudyFacts, tasks: Sequence[str], variant: str
) -> "Figure | None":
    """Draw a panel for each scale; None if the study compares nothing.

    Args:
        verdicts: Verdicts of all cells and metrics.
        study: Defines the order of groupings and scales.
        tasks: Tasks from top to bottom.
        variant: The variant to draw.
    """
    from matplotlib.figure import Figure

    shown = [cell for cell in verdicts if cell.variant == variant and cell.main]
    if not shown:
        return None
    labels = make_task_rows(shown)
    scales = [scale for scale in study.scales if scale in {cell.scale for cell in shown}]
    groupings = [name for name in study.groupings if name in {cell.grouping for cell in shown}]
    width = max(_COLUMN * len(groupings), _MIN_WIDTH / len(scales))
    figure = Figure(
        figsize=(compute_names_width(labels) + width * len(scales), _ROW * len(tasks) + 1.9), layout="constrained"
    )
    axes = figure.subplots(
        1, len(scales) + 1, squeeze=False, sharey=True, width_ratios=[GROUP_BAR_WIDTH, *[width] * len(scales)]
    ).flatten()
    skills = np.array([cell.delta_skill for cell in shown], dtype=float)
    colors = _make_color_map(skills)
    for panel, scale in zip(axes[1:], scales, strict=True):
        _draw_panel(
            panel, [cell for cell in shown if cell.scale == scale], groupings, tasks, colors, width / len(groupings)
        )
        panel.set_title(format_scale(scale))
    label_rows(axes[0], axes[1:].tolist(), labels, tasks)
    # The arrows at the ends of the bar show that values beyond them have the color of the end.
    bar = figure.colorbar(
        colors, ax=axes[1:].tolist(), orientation="horizontal", extend=_choose_extension(skills, colors),
        fraction=0.03, pad=0.02, aspect=45,
    )  # fmt: skip
    few_note = "\n* fewer seeds than planned" if _has_few_seeds(shown) else ""
    bar.set_label(f"difference in skill from {grouping_label(study.reference)}\nblue is better{few_note}")
    figure.supxlabel("     ".join(verdict_label(name) for name in _VERDICTS), fontsize=7.5)
    corners = _make_corner_handles(shown)
    if corners:
        figure.legend(
            handles=corners, loc="outside upper center", ncols=2, frameon=False, fontsize=7.5, handletextpad=0.1,
            columnspacing=1.4, borderaxespad=0.2,
        )  # fmt: skip
    return figure


def _draw_panel(
    panel: "Axes", cells: Sequence[CellVerdict], groupings: Sequence[str], tasks: Sequence[str],
    colors: "ScalarMappable", width: float,
) -> None:  # fmt: skip
    """Draw the cells of one scale.

    Args:
        panel: Axes to draw on.
        cells: Verdicts at this scale.
        groupings: Columns from left to right.
        tasks: Rows from top to bottom.
        colors: Map from a difference in skill to a color.
        width: Width of a column in inches.
    """
    by_cell = {(cell.task, cell.grouping): cell for cell in cells}
    for y, task in enumerate(tasks):
        for x, grouping in enumerate(groupings):
            _draw_cell(panel, x, y, by_cell.get((task, grouping)), colors, width)
    panel.set_xlim(-0.5, len(groupings) - 0.5)
    panel.set_ylim(len(tasks) - 0.5, -0.5)
    labels = [grouping_label(name) for name in groupings]
    panel.set_xticks(range(len(groupings)), labels)
    # Rotated labels of several columns overlap less, but are harder to read, so short names stay horizontal.
    if max(map(len, labels)) > _LONG_NAME:
        for label in panel.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _draw_cell(panel: "Axes", x: int, y: int, cell: CellVerdict | None, colors: "ScalarMappable", width: float) -> None:
    from matplotlib.patches import Rectangle

    if cell is None or cell.is_missing:
        _draw_hatched(panel, x, y, "missing", _MISSING)
        return
    if cell.same:
        _draw_hatched(panel, x, y, "same run", _SAME)
        return
    skill = cell.delta_skill
    face = _NO_SKILL if math.isnan(skill) else tuple(colors.to_rgba(np.array([skill]))[0])
    ink = choose_ink(face)
    # Without clipping: each clip path gets a new name in an SVG, so the same figure would differ between builds.
    panel.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", lw=0.8, clip_on=False))
    # Mark and number start at fixed distances in inches from the center, which is why they are divided by the width.
    number = format_signed(cell.delta, cell.metric) + ("*" if cell.seeds < cell.planned else "")
    mark = verdict_mark(cell.verdict) + (QUALIFIED_MARK if cell.rarer_than is not None else "")
    panel.text(x - 0.31 / width, y, mark, ha="left", va="center", color=ink, fontsize=7.5)
    panel.text(x + 0.27 / width, y, number, ha="right", va="center", color=ink, fontsize=7.5)
    corners = (
        (_has_collapsed(cell), cell.unconverged, True),
        (_has_collapsed_reference(cell), cell.unconverged_reference, False),
    )
    for collapsed, unconverged, is_top in corners:
        if collapsed:
            panel.add_patch(_make_corner(x, y, is_top, width, "black", ink))
        elif unconverged:
            panel.add_patch(_make_corner(x, y, is_top, width, "white", "black"))


def _draw_hatched(panel: "Axes", x: int, y: int, label: str, hatch: str) -> None:
    from matplotlib.patches import Rectangle

    panel.add_patch(
        Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="white", edgecolor="#B0B0B0", hatch=hatch, lw=0.8, clip_on=False)
    )
    # A white box behind the text covers the hatch.
    box = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
    panel.text(x, y, label, ha="center", va="center", color="black", fontsize=7, bbox=box)


def _make_corner(x: int, y: int, is_top: bool, column: float, face: str, edge_color: str) -> "Patch":
    """Return a triangle in the right corner of a cell.

    Args:
        x: Column of the cell.
        y: Row of the cell.
        is_top: True for the upper corner (the grouping's model), False for the lower one (the reference's).
        column: Width of a column in inches, so that the triangle has two equal sides.
        face: Fill color.
        edge_color: Color of the outline.
    """
    from matplotlib.patches import Polygon

    edge, inner = (y - 0.46, y - 0.46 + _CORNER) if is_top else (y + 0.46, y + 0.46 - _CORNER)
    right, width = x + 0.485, _CORNER * _ROW / column
    points = [(right, edge), (right, inner), (right - width, edge)]
    return Polygon(points, closed=True, facecolor=face, edgecolor=edge_color, lw=0.7, clip_on=False, zorder=3)


def _make_corner_handles(cells: Sequence[CellVerdict]) -> list[Any]:
    """Return legend handles for the kinds of triangles that the figure contains."""
    from matplotlib.lines import Line2D

    compared = [cell for cell in cells if not cell.same]
    corners = (
        ("collapsed", "black", _UPPER, [_has_collapsed(cell) for cell in compared]),
        ("reference collapsed", "black", _LOWER, [_has_collapsed_reference(cell) for cell in compared]),
        ("did not converge", "white", _UPPER, [cell.unconverged for cell in compared]),
        ("reference did not converge", "white", _LOWER, [cell.unconverged_reference for cell in compared]),
    )
    style: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.6, "markersize": 6}
    return [
        Line2D([], [], linestyle="none", marker=shape, label=label, markerfacecolor=face, **style)
        for label, face, shape, present in corners
        if any(present)
    ]


def _has_collapsed(cell: CellVerdict) -> bool:
    """Return True if any seed of the cell collapsed; most of them, where single seeds are not counted."""
    return cell.collapsed or cell.collapsed_seeds > 0


def _has_collapsed_reference(cell: CellVerdict) -> bool:
    return cell.collapsed_reference or cell.collapsed_seeds_reference > 0


def _has_few_seeds(cells: Sequence[CellVerdict]) -> bool:
    return any(not math.isnan(cell.delta) and cell.seeds < cell.planned for cell in cells)


def _make_color_map(skill: NDArray[np.float64]) -> "ScalarMappable":
    """Return the map from a difference in skill to a color, symmetric around zero."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    largest = float(np.nanmax(np.abs(skill), initial=0.0))
    end = min(max(largest, _MIN_END), _MAX_END)
    return ScalarMappable(Normalize(-end, end), _COLOR_MAP)


def _choose_extension(skill: NDArray[np.float64], colors: "ScalarMappable") -> str:
    """Return which ends of the color bar are pointed, because values lie beyond them."""
    end = float(np.max(colors.get_clim()[1] or 0.0))
    over, under = bool((skill > end).any()), bool((skill < -end).any())
    return {(True, True): "both", (True, False): "max", (False, True): "min"}.get((over, under), "neither")
