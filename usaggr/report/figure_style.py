"""Common style of all figures: groupings, verdicts, scales, and intervals that extend beyond a panel.

Color is never the only sign: groupings also differ in marker and dashes, verdicts in their mark.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.document.display_names import grouping_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito's palette (safe for color blindness), with black for the reference. Seven colors and eight markers have
# no common divisor: no pair repeats among the first 56 groupings, and lines can be distinguished without color.
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), "-.", (0, (3, 1, 1, 1, 1, 1)))
GRAY = "#7F7F7F"
"""Color of the predictor that ignores the image."""
INK = "#444444"
"""Color of lines that separate groups of tasks."""
VERDICT_COLORS = {"gain": "#0072B2", "no_loss": "#009E73", "loss": "#D55E00", "undecided": GRAY, "": GRAY}
"""Colors of verdicts, safe for color blindness; a mark is always shown too."""


def choose_ink(background: Sequence[float]) -> str:
    """Return white for text on a dark color, else black; the color is red, green and blue in [0, 1]."""
    red, green, blue = (float(channel) for channel in background[:3])
    # Weights of the channels in perceived brightness (ITU-R BT.601).
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"


def put_reference_first(groupings: Iterable[str], reference: str) -> list[str]:
    """Return the groupings in their order, with the reference first, so that it gets the first color: black."""
    return sorted(groupings, key=lambda name: name != reference)


def make_style(index: int, size: float = 4.5) -> dict[str, Any]:
    """Return the style of a grouping's line by its index (0 for the reference), with markers of `size` points."""
    color = _COLORS[index % len(_COLORS)]
    return {
        "color": color,
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _LINES[index % len(_LINES)],
        "linewidth": 1.1,
        "markersize": size,
        # Every other grouping has hollow markers, which can be distinguished without color.
        "markerfacecolor": color if index % 2 == 0 else "white",
        "markeredgewidth": 1.0,
    }


def make_grouping_handles(groupings: Sequence[str], reference: str, lines: bool = True) -> "list[Line2D]":
    """Return the legend handles of groupings.

    Args:
        groupings: Groupings in the order that sets their colors and markers.
        reference: Name of the reference grouping.
        lines: Show a line through the marker.
    """
    from matplotlib.lines import Line2D

    handles = []
    for index, name in enumerate(groupings):
        label = grouping_label(name) + (" (reference)" if name == reference else "")
        style = make_style(index) if lines else make_style(index) | {"linestyle": "none"}
        handles.append(Line2D([], [], label=label, **style))
    return handles


def format_scale(scale: float | int) -> str:
    """Return a short title for a panel of one scale: a share of the data, or the largest number of samples per task."""
    if isinstance(scale, int):
        return f"≤ {scale:,} samples"
    return "all data" if scale == 1 else f"{100 * scale:.4g} % of data"


def compute_limits(
    values: Iterable[float], bounds: Iterable[float], min_width: float, reach: float = 1.0
) -> tuple[float, float]:
    """Return the ends of an axis that shows all values, and intervals as far as they do not flatten the values.

    Args:
        values: Values that are always visible; those that are not finite are ignored.
        bounds: Ends of intervals, visible up to `reach` times the range of the values beyond them.
        min_width: Smallest width of the axis, in the unit of the values.
        reach: Multiple of the range of the values, at least 0.
    """
    points, ends = _select_finite(values), _select_finite(bounds)
    first, last = (float(points.min()), float(points.max())) if points.size else (0.0, 0.0)
    distance = max(reach * (last - first), min_width)
    low = max(float(ends.min()), first - distance) if ends.size else first
    high = min(float(ends.max()), last + distance) if ends.size else last
    low, high = min(low, first), max(high, last)
    widening = max(0.0, min_width - (high - low)) / 2
    padding = 0.05 * max(high - low, min_width)
    return low - widening - padding, high + widening + padding


def draw_intervals(panel: "Axes", y: Sequence[float], low: Sequence[float], high: Sequence[float], color: str) -> None:
    """Draw horizontal intervals; one that extends beyond the axis ends in an arrow, so set the limits before.

    Args:
        panel: Axes to draw on, with their final limits.
        y: (n,) Heights.
        low: (n,) Lower bounds; intervals with a bound that is not finite are skipped.
        high: (n,) Upper bounds.
        color: Color of all intervals.
    """
    left, right = panel.get_xlim()
    lows, highs, heights = np.asarray(low, dtype=float), np.asarray(high, dtype=float), np.asarray(y, dtype=float)
    finite = np.isfinite(lows) & np.isfinite(highs)
    panel.hlines(
        heights[finite], np.clip(lows, left, right)[finite], np.clip(highs, left, right)[finite],
        colors=color, linewidth=1.1, zorder=3, clip_on=False,
    )  # fmt: skip
    caret_left, caret_right = 4, 5  # matplotlib's numbers of these markers
    for is_beyond, end, marker in ((lows < left, left, caret_left), (highs > right, right, caret_right)):
        cut_heights = heights[finite & is_beyond]
        if cut_heights.size:
            # Not clipped: an arrow at the edge of the panel would be cut in half.
            panel.plot(
                np.full(cut_heights.size, end), cut_heights,
                color=color, marker=marker, markersize=4.5, linestyle="none", zorder=3, clip_on=False,
            )  # fmt: skip


@dataclass(frozen=True)
class GroupedPoint:
    """Value of a grouping with its interval, in a row of a panel."""

    row: str
    """Name of the row."""
    grouping: str
    value: float
    low: float
    """NaN without an interval."""
    high: float


def draw_grouped_rows(
    panel: "Axes", points: Sequence[GroupedPoint], names: Sequence[str], ranks: Mapping[str, int], lines: Sequence[str]
) -> dict[GroupedPoint, float]:
    """Draw points with their intervals, a line for each grouping within each row, after the axis has its limits.

    Args:
        panel: Axes to draw on, with their final x limits.
        points: Points of all rows.
        names: Names of the rows from top to bottom.
        ranks: Index of each grouping, which sets its color and marker.
        lines: Groupings from top to bottom within a row, in the order of the legend.

    Returns:
        The y of each point, grouping by grouping.
    """
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.axvline(0, color="black", linewidth=0.8, zorder=1)
    for row in range(1, len(names)):
        panel.axhline(row - 0.5, color="#DDDDDD", linewidth=0.6, zorder=0)
    row_heights = {name: y for y, name in enumerate(names)}
    drawn: dict[GroupedPoint, float] = {}
    for line, grouping in enumerate(lines):
        grouping_points = [point for point in points if point.grouping == grouping]
        if not grouping_points:
            continue
        shift = 0.8 * ((line + 0.5) / len(lines) - 0.5)  # lines share the middle 80 % of a row
        heights = [row_heights[point.row] + shift for point in grouping_points]
        style = make_style(ranks[grouping]) | {"linestyle": "none", "zorder": 4, "label": grouping}
        low, high = [point.low for point in grouping_points], [point.high for point in grouping_points]
        draw_intervals(panel, heights, low, high, style["color"])
        panel.plot([point.value for point in grouping_points], heights, clip_on=False, **style)
        drawn |= dict(zip(grouping_points, heights, strict=True))
    return drawn


def _select_finite(values: Iterable[float]) -> NDArray[np.float64]:
    numbers = np.asarray(list(values), dtype=float)
    finite: NDArray[np.float64] = numbers[np.isfinite(numbers)]
    return finite


def count_legend_columns(labels: Iterable[str], width: float, size: float = 8.0) -> int:
    """Return the largest number of legend columns without cut labels; all are as wide as the longest label.

    Args:
        labels: Labels of the legend.
        width: Width of the figure in inches.
        size: Font size in points.
    """
    names = list(labels)
    longest = max(map(len, names), default=1)
    # A letter is about 0.6 of the font size wide; the marker and the gaps take 6 letters. An inch has 72 points.
    label_width = (longest + 6) * 0.6 * size / 72
    return max(1, min(len(names), int(width / label_width)))
