"""Figures of affinities: the matrix between tasks, and measured against predicted changes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from usaggr.document.display_names import grouping_label
from usaggr.report.affinity.tables import AffinityPoint
from usaggr.report.figure_style import choose_ink, make_style
from usaggr.results.affinity import SIMILARITIES, Array, Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_CELL, _LETTER = 0.27, 0.058
"""Size of a cell, and width of a letter, in inches."""
_MOST_NUMBERED = 14
"""Largest number of tasks for which values are written into the cells."""
_QUANTILE = 0.98
"""Quantile of the absolute values where the color scale ends, so that one extreme pair does not hide the others."""
_SMALLEST_RANGE = 0.2
"""Smallest range of the color scale of similarities, so that tiny differences look small."""
LABELS: dict[Measure, str] = {
    "lookahead": "lookahead affinity",
    "gradient": "cosine of gradients",
    "routing": "similarity of routing",
    "features": "similarity of features",
}


def draw_affinity(matrix: Array, tasks: Sequence[str], sizes: Sequence[int], measure: Measure) -> "Figure":
    """Draw affinities with a row per source and a column per target task; blocks are framed.

    Args:
        matrix: (T, T) mean affinity over seeds; NaN without an estimate.
        tasks: Names of the T tasks in the order of the matrix, block by block.
        sizes: Number of tasks of each block, in this order.
        measure: Measure of affinity, which determines the colors.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    side = max(_CELL * len(tasks), 1.8)
    text = _LETTER * max(map(len, tasks)) + 0.3
    figure = Figure(figsize=(side + text + 0.2, side + text + 0.75))
    width, height = figure.get_size_inches()
    panel = figure.add_axes((text / width, (text + 0.6) / height, side / width, side / height))
    norm, colors, power = _choose_colors(matrix, measure)
    edges = np.arange(len(tasks) + 1) - 0.5
    shown = np.ma.masked_invalid(matrix)
    panel.pcolormesh(edges, edges, shown, cmap=colors, norm=norm, edgecolors="white", linewidth=0.4)
    start = 0.0
    for size in sizes:
        panel.add_patch(Rectangle((start - 0.5, start - 0.5), size, size, fill=False, linewidth=1.3, clip_on=False))
        start += size
    panel.set_ylim(len(tasks) - 0.5, -0.5)  # the first task on top
    panel.set_xticks(range(len(tasks)), tasks, rotation=90)
    panel.set_yticks(range(len(tasks)), tasks)
    panel.tick_params(length=0, pad=2)
    if measure == "lookahead":
        panel.set_ylabel("a step on this task ...", labelpad=2)
        panel.set_title("... lowers the loss of that task", pad=3)
    for spine in panel.spines.values():
        spine.set_visible(False)
    if len(tasks) <= _MOST_NUMBERED:
        _write_values(panel, matrix, ScalarMappable(norm, colors), power)
    bar_axes = figure.add_axes((text / width, 0.4 / height, side / width, 0.09 / height))
    bar = figure.colorbar(ScalarMappable(norm, colors), cax=bar_axes, orientation="horizontal", extend="both")
    bar.ax.locator_params(nbins=5)
    bar.ax.xaxis.set_major_formatter(lambda value, _: f"{value * 10.0**power:g}")
    bar.set_label(LABELS[measure] + _describe_unit(power))
    return figure


def draw_predictions(points: Sequence[AffinityPoint], groupings: Sequence[str]) -> "Figure | None":
    """Draw measured against predicted changes, with a panel per measure and a mark per task of a block.

    Args:
        points: Points of one scale.
        groupings: All groupings, in the order that determines their markers and colors.

    Returns:
        The figure; None without a point.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    measures = [measure for measure in LABELS if measure in {point.measure for point in points}]
    if not measures:
        return None
    figure = Figure(figsize=(0.5 + 2.3 * len(measures), 2.9), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    handles: dict[str, Line2D] = {}
    for panel, measure in zip(panels, measures, strict=True):
        panel.axhline(0, color="black", linewidth=0.8, zorder=1)
        for position, grouping in enumerate(groupings):
            marks = [point for point in points if point.measure == measure and point.grouping == grouping]
            if marks:
                style = make_style(position) | {"linestyle": "none", "zorder": 3}
                (mark,) = panel.plot(
                    [point.predicted for point in marks], [100 * point.relative for point in marks], **style
                )
                # Several panels draw the same grouping, which has one entry in the legend.
                handles[grouping_label(grouping)] = mark
        panel.set_title(LABELS[measure])
        panel.set_xlabel("predicted: mean affinity of the block's other tasks")
        panel.locator_params(axis="x", nbins=4)
    panels[0].set_ylabel("measured: relative change, %")
    figure.legend(
        handles=list(handles.values()), labels=list(handles), loc="outside lower center", ncols=4, frameon=False
    )
    return figure


def _choose_colors(matrix: Array, measure: Measure) -> "tuple[Normalize, str, int]":
    """Return the range and map of colors, and the power of ten that makes values readable."""
    from matplotlib.colors import Normalize

    values = matrix[np.isfinite(matrix)]
    if measure in SIMILARITIES:
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        return Normalize(low, max(high, low + _SMALLEST_RANGE)), "YlGnBu", 0
    largest = float(np.quantile(np.abs(values), _QUANTILE)) if values.size else 0.0
    largest = largest or 1.0  # a range of 0 would give every value the same extreme color
    power = 0 if measure == "gradient" or largest >= 0.1 else -math.floor(math.log10(largest))
    return Normalize(-largest, largest), "RdBu", power


def _describe_unit(power: int) -> str:
    return f", in units of 1e-{power}" if power else ""


def _write_values(panel: "Axes", matrix: Array, colors: "ScalarMappable", power: int) -> None:
    """Write each value into its cell, in white on dark colors.

    Args:
        panel: Panel with the matrix.
        matrix: (T, T) affinities; NaN without an estimate.
        colors: Colors of the cells.
        power: Power of ten that values are multiplied by.
    """
    for (y, x), value in np.ndenumerate(matrix):
        if x == y or not np.isfinite(value):
            continue
        ink = choose_ink(colors.to_rgba(np.array([value]))[0])
        # The axes write a minus sign too, where Python writes a hyphen.
        label = f"{value * 10.0**power:.{1 if power else 2}f}".replace("-", "−")
        # Without the zero before the point, more digits fit into a small cell.
        panel.text(x, y, label.replace("0.", ".", 1), ha="center", va="center", color=ink, fontsize=5.5)
