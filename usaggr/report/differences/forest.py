"""Figure: the difference of each task from the reference, with its interval and the margin of no loss.

Differences are divided by the task's margin, so that all metrics share an axis. The numbers next to the plot are in the
metric's own units.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import QUALIFIED_MARK, grouping_label, verdict_label, verdict_mark
from usaggr.metrics.score_texts import format_difference
from usaggr.report.figure_style import GRAY, VERDICT_COLORS, draw_intervals
from usaggr.report.task_rows import GROUP_BAR_WIDTH, compute_names_width, label_rows, make_task_rows
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = {"gain": "^", "no_loss": "s", "loss": "v", "undecided": "o", "": "D"}
_COLUMNS = 2
"""Largest number of panels side by side; further groupings are drawn below."""
_PANEL, _LETTER, _ROW = 1.3, 0.054, 0.2
"""Inches: width of a panel, width of a letter of the numbers next to it, height of a row."""
_LINEAR = 2.0
"""Distance from zero, in margins, up to which the axis is linear; beyond, it is logarithmic."""
_MIN_END, _MAX_END = 3.0, 100.0
"""Smallest and largest end of the axis, in margins."""
_TICKS = (1, 3, 10, 30, 100)
"""Ticks on each side of zero, in margins."""
_BAND = "#E4E4E4"
"""Color of differences that are worse by less than the margin."""


def draw_forest(
    verdicts: Sequence[CellVerdict], study: StudyFacts, tasks: Sequence[str], variant: str, scale: float | int
) -> "Figure | None":
    """Draw a panel for each grouping at one scale; None if nothing is compared there.

    Args:
        verdicts: Verdicts of all cells and metrics.
        study: Defines the order of groupings.
        tasks: Tasks from top to bottom.
        variant: The variant to draw.
        scale: The scale to draw.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shown = [cell for cell in verdicts if cell.main and (cell.variant, cell.scale) == (variant, scale)]
    if all(math.isnan(cell.delta) for cell in shown):
        return None
    labels, by_grouping = make_task_rows(shown), group_rows(shown, lambda cell: cell.grouping)
    groupings = [name for name in study.groupings if name in by_grouping]
    columns = min(_COLUMNS, len(groupings))
    n_rows = math.ceil(len(groupings) / columns)
    numbers_width = _LETTER * max(len(_format_number(cell)[1]) for cell in shown) + 0.25
    size = (compute_names_width(labels) + columns * (_PANEL + numbers_width), n_rows * (_ROW * len(tasks) + 0.6) + 0.85)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.0, w_pad=0.03))
    ratios = [GROUP_BAR_WIDTH, *[_PANEL, numbers_width] * columns]
    axes = figure.subplots(n_rows, 1 + 2 * columns, squeeze=False, sharey=True, width_ratios=ratios)
    end = _compute_axis_end(shown)
    for index, grouping in enumerate(groupings):
        # Each grouping has two axes: its panel, and the space for numbers next to it.
        row, column = divmod(index, columns)
        panel, numbers_axes = axes[row, 1 + 2 * column], axes[row, 2 + 2 * column]
        _draw_panel(panel, numbers_axes, by_grouping[grouping], tasks, end, numbers_width)
        panel.set_title(
            f"{grouping_label(grouping)} − {grouping_label(study.reference)}", loc="left", fontweight="bold"
        )
    # The grid may have more panels than groupings; the last ones stay empty.
    for row in range(n_rows):
        used = 2 * min(columns, len(groupings) - row * columns)
        label_rows(axes[row, 0], axes[row, 1 : 1 + used].tolist(), labels, tasks)
        for unused in axes[row, 1 + used :]:
            unused.set_axis_off()
    figure.supxlabel(
        "difference divided by the task's margin; right is better\n"
        f"numbers: difference in the metric's own units, with its {100 * study.confidence:g} % interval",
        fontsize=8,
    )
    handles = _make_handles(shown)
    figure.legend(
        handles=handles, loc="outside upper center", ncols=min(len(handles), 2 * columns), frameon=False, fontsize=7.5,
        handletextpad=0.5, columnspacing=1.4,
    )  # fmt: skip
    return figure


def _draw_panel(
    panel: "Axes", numbers_axes: "Axes", cells: Sequence[CellVerdict], tasks: Sequence[str], end: float, width: float
) -> None:
    """Draw the differences of a grouping.

    Args:
        panel: Axes of the differences.
        numbers_axes: Axes of the numbers next to the panel.
        cells: Verdicts of the grouping.
        tasks: Tasks from top to bottom.
        end: End of the axis on either side, in margins.
        width: Width of `numbers_axes` in inches.
    """
    # Linear near the margin, where verdicts are decided; logarithmic beyond, so that outliers stay on the page.
    panel.set_xscale("symlog", linthresh=_LINEAR, linscale=1.2)
    panel.set_xlim(-end, end)
    panel.set_ylim(len(tasks) - 0.5, -0.5)
    ticks = [tick for tick in _TICKS if tick <= end]
    ticks = [*(-tick for tick in reversed(ticks)), 0, *ticks]
    panel.set_xticks(ticks, [_label_tick(tick, end) for tick in ticks])
    panel.minorticks_off()
    panel.tick_params(axis="y", length=0)
    panel.axvspan(-1, 0, color=_BAND, linewidth=0, zorder=0)
    panel.axvline(-1, color=GRAY, linewidth=0.8, linestyle="--", zorder=1)
    panel.axvline(0, color="black", linewidth=0.8, zorder=1)
    heights = {task: y for y, task in enumerate(tasks)}
    for verdict, verdict_cells in group_rows(_select_drawable(cells), lambda cell: cell.verdict).items():
        color = VERDICT_COLORS[verdict]
        _, lows, highs = _divide_by_margins(verdict_cells)
        draw_intervals(panel, [heights[cell.task] for cell in verdict_cells], lows.tolist(), highs.tolist(), color)
        for is_valid, points in sorted(group_rows(verdict_cells, lambda cell: cell.valid).items()):
            values, _, _ = _divide_by_margins(points)
            panel.plot(
                values.clip(-end, end), [heights[cell.task] for cell in points], linestyle="none",
                marker=_MARKERS[verdict], markersize=4.6, color=color,
                markerfacecolor=color if is_valid else "white", zorder=4, clip_on=False,
            )  # fmt: skip
    _write_numbers(numbers_axes, cells, tasks, width)


def _label_tick(tick: int, end: float) -> str:
    """Return the label of a tick; empty for every other tick of a long axis, where labels would overlap."""
    return "" if abs(tick) in (3, 30) and end > _TICKS[2] else str(tick).replace("-", "−")


def _write_numbers(numbers_axes: "Axes", cells: Sequence[CellVerdict], tasks: Sequence[str], width: float) -> None:
    # One unit of the axis is one inch.
    numbers_axes.set_xlim(0, width)
    numbers_axes.set_axis_off()
    by_task = {cell.task: cell for cell in cells}
    for y, task in enumerate(tasks):
        mark, number = _format_number(by_task.get(task))
        numbers_axes.text(0.02, y, mark, ha="left", va="center", fontsize=7.5)
        numbers_axes.text(0.16, y, number, ha="left", va="center", fontsize=7, color="black" if mark else "#555555")


def _format_number(cell: CellVerdict | None) -> tuple[str, str]:
    """Return the mark of the verdict and the difference; the mark is empty if there is no difference."""
    if cell is None or cell.is_missing:
        return "", "missing"
    if cell.same:
        return "", "same run"
    number = format_difference(cell.delta, cell.delta_low, cell.delta_high, cell.metric)
    qualified = "" if cell.rarer_than is None else f" {QUALIFIED_MARK}{cell.rarer_than}"
    return verdict_mark(cell.verdict), number + qualified


def _select_drawable(cells: Sequence[CellVerdict]) -> list[CellVerdict]:
    """Return the cells that have a difference and a margin."""
    return [cell for cell in cells if not math.isnan(cell.delta) and cell.margin > 0]


def _divide_by_margins(cells: Sequence[CellVerdict]) -> NDArray[np.float64]:
    """Return (3, n) differences of cells, lower bounds and upper bounds, each divided by the cell's margin."""
    numbers = [(cell.delta, cell.delta_low, cell.delta_high) for cell in cells]
    margins = np.array([cell.margin for cell in cells], dtype=float)
    return np.asarray(np.array(numbers, dtype=float).reshape(-1, 3).T / margins)


def _compute_axis_end(cells: Sequence[CellVerdict]) -> float:
    """Return the end of the axis on either side in margins, so that all differences and most intervals are visible."""
    # The widest intervals may be arrows, so only 90 % of the bounds count.
    values, *bounds = np.abs(_divide_by_margins(_select_drawable(cells)))
    most_bounds = np.nanquantile(bounds, 0.9) if np.isfinite(bounds).any() else 0.0
    return float(min(max(values.max(initial=_MIN_END), most_bounds) * 1.25, _MAX_END))


def _make_handles(cells: Sequence[CellVerdict]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    compared = [cell for cell in cells if not math.isnan(cell.delta)]
    verdicts = {cell.verdict for cell in compared}
    handles: list[Any] = [
        Line2D([], [], linestyle="none", marker=marker, color=VERDICT_COLORS[name], label=verdict_label(name))
        for name, marker in _MARKERS.items()
        if name in verdicts
    ]
    handles.append(Patch(facecolor=_BAND, edgecolor=GRAY, linestyle="--", label="worse by less than the margin"))
    if not all(cell.valid for cell in compared):
        label = "hollow: a model collapsed or did not converge"
        handles.append(Line2D([], [], linestyle="none", marker="o", color=GRAY, markerfacecolor="white", label=label))
    return handles
