"""Figure: score against the number of training samples, with a panel per task and a line per grouping."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from usaggr.analysis.cell_rows import CellScore
from usaggr.analysis.row_tables import group_rows
from usaggr.metrics.names import get_metric, get_metric_label
from usaggr.metrics.score_texts import format_score
from usaggr.report.figure_style import (
    GRAY,
    count_legend_columns,
    make_grouping_handles,
    make_style,
    put_reference_first,
)
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 1.85, 1.6
"""Inches of a panel, so that four fit side by side on a page."""
_DIGIT = 0.055
"""Width of a digit of a tick label, as a fraction of the distance from the first tick to the last."""
_MIN_RANGE = 0.04
"""Smallest range of an axis: of scores in [0, 1] absolute, of errors relative to the largest mean."""
_FAR = 1.5
"""Largest distance of the trivial predictor from the points at which the panel includes it, in ranges of the points."""
_LONG_NAME = 18
"""Letters of a name that fit above a panel."""
_LOG_RATIO = 3.0
"""Ratio of the largest to the smallest number of samples from which the axis is logarithmic."""


def draw_curves(cells: Sequence[CellScore], study: StudyFacts, tasks: Sequence[str], variant: str) -> "Figure | None":
    """Draw a panel for each task with its main metric; None if the variant has no value at all.

    Points are means over seeds, bands their intervals. Bars replace bands if there is one scale, and if bands would
    fill the panel. Points are moved slightly to the side, so that none hides another.

    Args:
        cells: Scores of all groupings, scales and metrics.
        study: Defines the order of groupings.
        tasks: Tasks in the order of the panels.
        variant: The variant to draw.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = [cell for cell in cells if cell.variant == variant and cell.main]
    if all(math.isnan(cell.mean) for cell in shown):
        return None
    by_task = group_rows(shown, lambda cell: cell.task)
    present = {cell.grouping for cell in shown}
    n_rows, columns = compute_grid_shape(len(tasks))
    figure = Figure(figsize=(_PANEL[0] * columns + 0.25, _PANEL[1] * n_rows + 0.6), layout="constrained")
    axes = figure.subplots(n_rows, columns, squeeze=False).flatten().tolist()
    # The reference comes first, so that its black line lies under the others.
    groupings = put_reference_first((name for name in study.groupings if name in present), study.reference)
    for panel, task in zip(axes, tasks, strict=False):
        _draw_panel(panel, by_task.get(task, []), groupings, task)
    for panel in axes[len(tasks) :]:
        panel.set_axis_off()
    figure.supxlabel("training samples of the task", fontsize=8.5)
    handles = [
        *make_grouping_handles(groupings, study.reference),
        Line2D([], [], color=GRAY, linestyle="--", linewidth=1, label="trivial predictor"),
    ]
    legend_width = count_legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    figure.legend(handles=handles, loc="outside upper center", ncols=legend_width, frameon=False)
    return figure


def compute_grid_shape(panels: int) -> tuple[int, int]:
    """Return the rows and columns for a number of panels: nearly square, with at most four columns."""
    columns = min(4, math.ceil(math.sqrt(panels)))
    return math.ceil(panels / columns), columns


def _draw_panel(panel: "Axes", cells: Sequence[CellScore], groupings: Sequence[str], task: str) -> None:
    # A long name starts above the axis labels, so that it ends within its panel.
    start, size = (0.0, 8.0) if len(task) <= _LONG_NAME else (-0.24, 7.0)
    panel.set_title(task, loc="left", fontweight="bold", pad=3, x=start, fontsize=size)
    shown = [cell for cell in cells if not math.isnan(cell.mean) and cell.n_train is not None]
    if not shown:
        panel.text(0.5, 0.5, "no finished run", transform=panel.transAxes, ha="center", va="center", color="#555555")
        panel.set_xticks([])
        panel.set_yticks([])
        return
    metric = get_metric(shown[0].metric)
    ticks = sorted(set(map(_get_samples, shown)))
    is_log = ticks[-1] / ticks[0] >= _LOG_RATIO
    if is_log:
        panel.set_xscale("log")
    limits = _compute_score_range(shown, bounded=metric.higher_is_better)
    # Overlapping bands that fill the panel are unreadable, so wide intervals become bars side by side.
    has_bands = len(ticks) > 1 and all(limits[0] <= cell.low and cell.high <= limits[1] for cell in shown)
    for index, grouping in enumerate(groupings):
        line = sorted((cell for cell in shown if cell.grouping == grouping), key=_get_samples)
        if line:
            x = _shift_points(list(map(_get_samples, line)), index, len(groupings), ticks, is_log)
            _draw_line(panel, line, grouping, index, x, has_bands)
    _draw_trivial(panel, shown)
    panel.set_ylabel(
        f"{get_metric_label(metric.name, unit=True)} {'↑' if metric.higher_is_better else '↓'}", labelpad=2
    )
    panel.set_ylim(*limits)
    _write_trivial(panel, shown, *limits)
    _set_ticks(panel, ticks, is_log)


def _draw_line(
    panel: "Axes", line: Sequence[CellScore], grouping: str, index: int, x: Sequence[float], has_band: bool
) -> None:  # fmt: skip
    style = make_style(index, size=4.0) | {"label": grouping, "zorder": 3 + index}
    low, high = [cell.low for cell in line], [cell.high for cell in line]
    panel.plot(x, [cell.mean for cell in line], **style)
    label, color = f"interval of {grouping}", style["color"]
    if has_band:
        panel.fill_between(x, low, high, label=label, color=color, alpha=0.15, linewidth=0, zorder=1)
    else:
        panel.vlines(x, low, high, colors=color, linewidth=1.0, zorder=2, label=label)


def _draw_trivial(panel: "Axes", shown: Sequence[CellScore]) -> None:
    """Draw the trivial predictor, which depends only on the training samples, so that all groupings share it."""
    by_size = sorted(group_rows(_select_with_trivial(shown), _get_samples).items())
    if not by_size:
        return
    x = [float(size) for size, _ in by_size]
    y = [fmean(cell.trivial for cell in cells) for _, cells in by_size]
    if len(x) == 1:
        panel.axhline(y[0], color=GRAY, linestyle="--", linewidth=1, label="trivial", zorder=1)
    else:
        panel.plot(x, y, color=GRAY, linestyle="--", linewidth=1, label="trivial", zorder=1)


def _shift_points(n_train: Sequence[int], index: int, lines: int, ticks: Sequence[int], is_log: bool) -> list[float]:
    """Return the x of a line's points, shifted from those of the other lines by about 2 % of the axis.

    Args:
        n_train: (n,) Training samples of the points.
        index: Index of the line.
        lines: Number of lines in the panel.
        ticks: Training samples of all points of the panel, increasing.
        is_log: True if the axis is logarithmic.
    """
    shift = 0.024 * (index - (lines - 1) / 2)
    if is_log:
        # On a logarithmic axis, a constant distance is a constant factor.
        factor = (ticks[-1] / ticks[0]) ** shift
        return [float(n) * factor for n in n_train]
    width = (ticks[-1] - ticks[0]) or 1.0
    factor = 3 if len(ticks) == 1 else 1  # a panel with one tick has room for wider shifts
    return [float(n) + shift * width * factor for n in n_train]


def _set_ticks(panel: "Axes", ticks: Sequence[int], is_log: bool) -> None:
    panel.set_xticks(ticks, make_tick_labels(ticks, is_log))
    panel.minorticks_off()
    if len(ticks) == 1:
        panel.set_xlim(ticks[0] - 0.5, ticks[0] + 0.5)
    elif is_log:
        margin = (ticks[-1] / ticks[0]) ** 0.12  # a factor, because the axis is logarithmic
        panel.set_xlim(ticks[0] / margin, ticks[-1] * margin)
    else:
        margin = 0.12 * (ticks[-1] - ticks[0])
        panel.set_xlim(ticks[0] - margin, ticks[-1] + margin)


def _compute_score_range(shown: Sequence[CellScore], bounded: bool) -> tuple[float, float]:
    """Return the ends of the score axis, within the possible scores.

    The range includes all points, and bands and the trivial predictor as far as they do not flatten the points.

    Args:
        shown: Cells of the panel.
        bounded: True for scores in [0, 1]; errors have no upper bound.
    """
    means = [cell.mean for cell in shown]
    trivial = np.array([cell.trivial for cell in _select_with_trivial(shown)], dtype=float)
    first, last = min(means), max(means)
    # Without a smallest range, noise of .01 would fill the panel.
    min_range = _MIN_RANGE if bounded else max(_MIN_RANGE * last, 0.2)
    reach = max(last - first, min_range)
    low = max(min(first if math.isnan(cell.low) else cell.low for cell in shown), first - reach)
    high = min(max(last if math.isnan(cell.high) else cell.high for cell in shown), last + reach)
    if trivial.size:
        distance = _FAR * max(high - low, min_range)
        low = min([low, *trivial[trivial >= low - distance]])
        high = max([high, *trivial[trivial <= high + distance]])
    widening = max(0.0, min_range - (high - low)) / 2
    low, high = min(low - widening, first), max(high + widening, last)
    low, high = max(low, 0.0), min(high, 1.0) if bounded else high
    margin = 0.06 * ((high - low) or 1.0)
    # A trivial predictor outside the panel is written as text, which needs space.
    lower_margin = 2.5 * margin if trivial.size and (trivial < low).all() else margin
    upper_margin = 2.5 * margin if trivial.size and (trivial > high).all() else margin
    return low - lower_margin, high + upper_margin


def _write_trivial(panel: "Axes", shown: Sequence[CellScore], low: float, high: float) -> None:
    """Write the score of the trivial predictor at the panel's edge if it lies outside the panel."""
    trivial = np.array([cell.trivial for cell in _select_with_trivial(shown)], dtype=float)
    if not trivial.size or (low <= trivial.max() and trivial.min() <= high):
        return
    is_below = trivial.max() < low
    label = f"{'↓' if is_below else '↑'} trivial {format_score(float(trivial.mean()), shown[0].metric)}"
    y, edge = (0.02, "bottom") if is_below else (0.98, "top")
    panel.text(0.98, y, label, ha="right", va=edge, transform=panel.transAxes, color="#555555", fontsize=7)


def _get_samples(cell: CellScore) -> int:
    """Return the training samples of a cell that has them."""
    assert cell.n_train is not None
    return cell.n_train


def _select_with_trivial(cells: Sequence[CellScore]) -> list[CellScore]:
    return [cell for cell in cells if not math.isnan(cell.trivial)]


def make_tick_labels(ticks: Sequence[int], logarithmic: bool) -> list[str]:
    """Return the labels of increasing ticks; empty where a label would overlap its right neighbor."""
    positions = [math.log(n) if logarithmic else float(n) for n in ticks]
    width = (positions[-1] - positions[0]) or 1.0
    labels: list[str] = []
    right_position, right_length = math.inf, 0
    # From the right, so that the largest number of samples always has its label.
    for n, position in zip(reversed(ticks), reversed(positions), strict=True):
        label = f"{n:,}"
        fraction = (position - positions[0]) / width
        # Half of each label lies between the two ticks, with a digit's width as a gap.
        if right_position - fraction >= _DIGIT * (len(label) + right_length) / 2 + _DIGIT:
            right_position, right_length = fraction, len(label)
            labels.append(label)
        else:
            labels.append("")
    return labels[::-1]
