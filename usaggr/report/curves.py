"""Figure: score against the number of training samples, a panel a task, a line a grouping."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from usaggr.metrics.names import metric as metric_of
from usaggr.report.sources import StudyFacts
from usaggr.report.words import grouping_label, metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (colour-blind safe), the reference in black. Seven colours and eight markers: no pair comes
# twice among the first 56 groupings, and lines are told apart without colour.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), "-.", (0, (3, 1, 1, 1, 1, 1)))
_TRIVIAL = "#7F7F7F"
_DIGIT = 0.045
"""Width of a tick label's digit, as a fraction of the way from the first tick to the last."""
_WIDE = 3.0
"""From this ratio of largest to smallest number of samples on, the axis is logarithmic."""


def draw_curves(cells: pd.DataFrame, study: StudyFacts, tasks: Sequence[str], variant: str) -> "Figure | None":
    """A panel for each task with its main metric; None where the variant has no value at all.

    `cells` is the table of cells. Points are means over seeds, bars their t-intervals, moved a little to the side so
    that none hides another.
    """
    from matplotlib.figure import Figure

    shown = cells[(cells["variant"] == variant) & cells["main"]]
    if shown["mean"].notna().sum() == 0:
        return None
    rows, columns = grid_shape(len(tasks))
    figure = Figure(figsize=(2.55 * columns + 0.3, 2.0 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    groupings = [name for name in study.groupings if name in set(shown["grouping"])]
    # The reference first, so that its black stands under the others.
    groupings.sort(key=lambda name: name != study.reference)
    for panel, task in zip(axes, tasks, strict=False):
        _draw_panel(panel, shown[shown["task"] == task], groupings, task)
    for panel in axes[len(tasks) :]:
        panel.set_axis_off()
    figure.supxlabel("training samples of the task", fontsize=8.5)
    handles = _legend(groupings, study)
    lines = math.ceil(len(handles) / (1 + 1.5 * columns))
    figure.legend(handles=handles, loc="outside upper center", ncols=math.ceil(len(handles) / lines), frameon=False)
    return figure


def grid_shape(panels: int) -> tuple[int, int]:
    """Rows and columns for a number of panels: as many of each, but at most five columns."""
    columns = min(5, math.ceil(math.sqrt(panels)))
    return math.ceil(panels / columns), columns


def _draw_panel(panel: "Axes", cells: pd.DataFrame, groupings: Sequence[str], task: str) -> None:
    panel.set_title(task, loc="left", fontweight="bold", pad=3)
    shown = cells[cells["mean"].notna() & cells["n_train"].notna()]
    if cells.empty or shown.empty:
        panel.text(0.5, 0.5, "no run done", transform=panel.transAxes, ha="center", va="center", color="#555555")
        panel.set_xticks([])
        panel.set_yticks([])
        return
    metric = metric_of(str(cells["metric"].iloc[0]))
    ticks = sorted({int(n) for n in shown["n_train"]})
    wide = ticks[-1] / ticks[0] >= _WIDE
    if wide:
        panel.set_xscale("log")
    for place, grouping in enumerate(groupings):
        line = shown[shown["grouping"] == grouping].sort_values("n_train")
        if not line.empty:
            _draw_line(panel, line, grouping, place, _offsets(line["n_train"], place, len(groupings), ticks, wide))
    _draw_trivial(panel, shown)
    panel.set_ylabel(f"{metric_label(metric.name, unit=True)} {'↑' if metric.higher_is_better else '↓'}", labelpad=2)
    _set_limits(panel, shown, ticks, wide, bounded=metric.higher_is_better)


def _draw_line(panel: "Axes", line: pd.DataFrame, grouping: str, place: int, x: Sequence[float]) -> None:
    half = ((line["high"] - line["low"]) / 2).fillna(0.0).to_numpy(dtype=float)
    panel.errorbar(x, line["mean"].to_numpy(dtype=float), yerr=half, capsize=2, label=grouping, **_look(place))


def _draw_trivial(panel: "Axes", shown: pd.DataFrame) -> None:
    """The predictor that ignores the image depends on the training samples alone, so all groupings share it."""
    trivial = shown.groupby("n_train")["trivial"].mean().dropna()
    if trivial.empty:
        return
    x, y = trivial.index.to_numpy(dtype=float), trivial.to_numpy(dtype=float)
    if len(x) == 1:
        panel.axhline(y[0], color=_TRIVIAL, linestyle="--", linewidth=1, label="trivial", zorder=1)
    else:
        panel.plot(x, y, color=_TRIVIAL, linestyle="--", linewidth=1, label="trivial", zorder=1)


def _offsets(n_train: "pd.Series[Any]", place: int, lines: int, ticks: Sequence[int], wide: bool) -> list[float]:
    """Where a line's points stand: beside those of the other lines, by 2 % of the axis."""
    shift = 0.024 * (place - (lines - 1) / 2)
    if wide:
        factor = (ticks[-1] / ticks[0]) ** shift
        return [float(n) * factor for n in n_train]
    width = (ticks[-1] - ticks[0]) or 1.0
    return [float(n) + shift * width * (3 if len(ticks) == 1 else 1) for n in n_train]


def _set_limits(panel: "Axes", shown: pd.DataFrame, ticks: Sequence[int], wide: bool, bounded: bool) -> None:
    """Room for points and bars, but no score under 0, none of [0, 1] over 1, and no bar that flattens the points."""
    points = pd.concat([shown["mean"], shown["trivial"]]).dropna()
    first, last = float(points.min()), float(points.max())
    reach = (last - first) or abs(last) or 1.0
    low = max(float(shown["low"].fillna(first).min()), first - reach)
    high = min(float(shown["high"].fillna(last).max()), last + reach)
    low, high = min(low, first), max(high, last)
    low, high = max(low, 0.0), min(high, 1.0) if bounded else high
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    panel.set_ylim(low - room, high + room)
    panel.set_xticks(ticks, tick_labels(ticks, wide))
    panel.minorticks_off()
    if len(ticks) == 1:
        panel.set_xlim(ticks[0] - 0.5, ticks[0] + 0.5)
    elif wide:
        reach = (ticks[-1] / ticks[0]) ** 0.12
        panel.set_xlim(ticks[0] / reach, ticks[-1] * reach)
    else:
        reach = 0.12 * (ticks[-1] - ticks[0])
        panel.set_xlim(ticks[0] - reach, ticks[-1] + reach)


def tick_labels(ticks: Sequence[int], logarithmic: bool) -> list[str]:
    """Labels of rising ticks; empty where one would run into its neighbour on the right."""
    places = [math.log(n) if logarithmic else float(n) for n in ticks]
    width = (places[-1] - places[0]) or 1.0
    labels: list[str] = []
    right, needed = math.inf, 0.0
    for n, place in zip(reversed(ticks), reversed(places), strict=True):
        label = f"{n:,}"
        if right - (place - places[0]) / width >= _DIGIT * (len(label) + needed) / 2 + _DIGIT:
            right, needed = (place - places[0]) / width, len(label)
            labels.append(label)
        else:
            labels.append("")
    return labels[::-1]


def _look(place: int) -> dict[str, Any]:
    colour = _COLOURS[place % len(_COLOURS)]
    return {
        "color": colour,
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _LINES[place % len(_LINES)],
        "linewidth": 1.1,
        "elinewidth": 0.8,
        "markersize": 4.5,
        "markerfacecolor": colour if place % 2 == 0 else "white",
        "markeredgewidth": 1.0,
        "zorder": 2 + place,
    }


def _legend(groupings: Sequence[str], study: StudyFacts) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = []
    for place, name in enumerate(groupings):
        look = {key: value for key, value in _look(place).items() if key not in ("elinewidth", "zorder")}
        label = grouping_label(name) + (" (reference)" if name == study.reference else "")
        handles.append(Line2D([], [], label=label, **look))
    return [*handles, Line2D([], [], color=_TRIVIAL, linestyle="--", linewidth=1, label="trivial predictor")]
