"""How all figures show the same things: groupings, verdicts, scales, and intervals that go past a panel.

Nothing is told by colour alone: groupings differ in marker and dashes as well, verdicts in their mark.
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

# Okabe and Ito's palette (colour-blind safe), the reference in black. Seven colours and eight markers: no pair comes
# twice among the first 56 groupings, and lines are told apart without colour.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), "-.", (0, (3, 1, 1, 1, 1, 1)))
GREY = "#7F7F7F"
"""Of the predictor that ignores the image."""
INK = "#444444"
"""Of lines that part groups of tasks."""
VERDICT_COLOURS = {"gain": "#0072B2", "no_loss": "#009E73", "loss": "#D55E00", "undecided": GREY, "": GREY}
"""Colour-blind safe; a mark stands beside each."""


def reference_first(groupings: Iterable[str], reference: str) -> list[str]:
    """Groupings in their order, but for the reference, which gets the first look: black."""
    return sorted(groupings, key=lambda name: name != reference)


def look(place: int, size: float = 4.5) -> dict[str, Any]:
    """Keywords for a line of the grouping at a place, the reference's is 0; markers of `size` points."""
    colour = _COLOURS[place % len(_COLOURS)]
    return {
        "color": colour,
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _LINES[place % len(_LINES)],
        "linewidth": 1.1,
        "markersize": size,
        "markerfacecolor": colour if place % 2 == 0 else "white",
        "markeredgewidth": 1.0,
    }


def grouping_handles(groupings: Sequence[str], reference: str, lines: bool = True) -> "list[Line2D]":
    """For a legend: a handle for each grouping, in the order that decides its look; markers alone without `lines`."""
    from matplotlib.lines import Line2D

    handles = []
    for place, name in enumerate(groupings):
        label = grouping_label(name) + (" (reference)" if name == reference else "")
        style = look(place) if lines else look(place) | {"linestyle": "none"}
        handles.append(Line2D([], [], label=label, **style))
    return handles


def scale_title(scale: float | int) -> str:
    """A scale above a panel."""
    return f"scale {scale:.4g}" if isinstance(scale, float) else f"scale {scale:,}"


def window(values: Iterable[float], bounds: Iterable[float], least: float, reach: float = 1.0) -> tuple[float, float]:
    """Ends of an axis that shows all values, and of their intervals as much as does not flatten the values.

    Args:
        values: what is always seen; what is not finite is left out.
        bounds: ends of intervals: seen up to `reach` times the values' range past the values.
        least: smallest width of the axis.
        reach: see bounds.
    """
    points, ends = _finite(values), _finite(bounds)
    first, last = (float(points.min()), float(points.max())) if points.size else (0.0, 0.0)
    past = max(reach * (last - first), least)
    low = max(float(ends.min()), first - past) if ends.size else first
    high = min(float(ends.max()), last + past) if ends.size else last
    low, high = min(low, first), max(high, last)
    missing = max(0.0, least - (high - low)) / 2
    room = 0.05 * max(high - low, least)
    return low - missing - room, high + missing + room


def draw_intervals(panel: "Axes", y: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> None:
    """Horizontal intervals; call it after the axis has its limits: an interval that goes past ends in an arrow."""
    left, right = panel.get_xlim()
    lows, highs, places = np.asarray(low, dtype=float), np.asarray(high, dtype=float), np.asarray(y, dtype=float)
    known = np.isfinite(lows) & np.isfinite(highs)
    shown: dict[str, Any] = {"colors": colour, "linewidth": 1.1, "zorder": 3, "clip_on": False}
    panel.hlines(places[known], np.clip(lows, left, right)[known], np.clip(highs, left, right)[known], **shown)
    for past, end, marker in ((lows < left, left, 4), (highs > right, right, 5)):  # carets to the left and right
        cut = places[known & past]
        style: dict[str, Any] = {
            "color": colour,
            "marker": marker,
            "markersize": 4.5,
            "linestyle": "none",
            "clip_on": False,
        }
        if cut.size:
            panel.plot(np.full(cut.size, end), cut, zorder=3, **style)


@dataclass(frozen=True)
class GroupedPoint:
    """A value of a grouping with its interval, in a row of a panel."""

    row: str
    """Its name."""
    grouping: str
    value: float
    low: float
    """NaN without an interval."""
    high: float


def draw_grouped_rows(
    panel: "Axes", points: Sequence[GroupedPoint], rows: Sequence[str], places: Mapping[str, int], lines: Sequence[str]
) -> dict[GroupedPoint, float]:
    """Draw points with their intervals, a line for each grouping within each row, after the axis has its limits.

    Args:
        panel: to draw on.
        points: of all rows.
        rows: from top to bottom.
        places: of the groupings, which decide their looks.
        lines: groupings from top to bottom within a row, which is the order of the legend.

    Returns:
        How high each point stands, grouping by grouping.
    """
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.axvline(0, color="black", linewidth=0.8, zorder=1)
    for between in range(1, len(rows)):
        panel.axhline(between - 0.5, color="#DDDDDD", linewidth=0.6, zorder=0)
    number = {name: y for y, name in enumerate(rows)}
    drawn: dict[GroupedPoint, float] = {}
    for line, grouping in enumerate(lines):
        of_grouping = [point for point in points if point.grouping == grouping]
        if not of_grouping:
            continue
        shift = 0.8 * ((line + 0.5) / len(lines) - 0.5)
        heights = [number[point.row] + shift for point in of_grouping]
        style = look(places[grouping]) | {"linestyle": "none", "zorder": 4, "label": grouping}
        low, high = [point.low for point in of_grouping], [point.high for point in of_grouping]
        draw_intervals(panel, heights, low, high, style["color"])
        panel.plot([point.value for point in of_grouping], heights, clip_on=False, **style)
        drawn |= dict(zip(of_grouping, heights, strict=True))
    return drawn


def _finite(values: Iterable[float]) -> NDArray[np.float64]:
    numbers = np.asarray(list(values), dtype=float)
    known: NDArray[np.float64] = numbers[np.isfinite(numbers)]
    return known


def legend_columns(labels: Iterable[str], width: float, size: float = 8.0) -> int:
    """Columns of a legend in which no label is cut: all as wide as the longest, in a figure of `width` inches.

    Args:
        labels: of the legend.
        width: of the figure in inches.
        size: of the letters in points; they are .6 of it wide, beside a mark and gaps of 4 letters.
    """
    found = list(labels)
    longest = max(map(len, found), default=1)
    return max(1, min(len(found), int(width / ((longest + 6) * 0.6 * size / 72))))
