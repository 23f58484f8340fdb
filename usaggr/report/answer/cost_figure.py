"""Figure: mean change of each grouping over all tasks against its cost in models, parameters and training time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.summary import SummaryLine
from usaggr.report.figure_style import (
    compute_limits,
    count_legend_columns,
    format_scale,
    make_grouping_handles,
    make_style,
    put_reference_first,
)
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COSTS = {
    "models": "models to deploy",
    "parameters": "parameters of all models (millions)",
    "time": "training time",
}
_LOG_RATIO = 4.0
"""Ratio of the largest to the smallest cost from which the axis is logarithmic."""
_LONG_TIME = 7200.0
"""Seconds from which training time is given in hours."""
_MIN_DISTANCE, _SPACING = 0.015, 0.04
"""Fractions of the axis: points closer than the first would hide each other, so they are spaced by the second."""


@dataclass(frozen=True)
class _Point:
    """One grouping at one scale."""

    grouping: str
    scale: float | int
    change: float
    """Mean relative change from the reference in percent; NaN if not available."""
    low: float
    high: float
    costs: dict[str, float]
    """Costs by the names of _COSTS, in the units of the axes; NaN if not available."""


def draw_cost(
    summary: Sequence[SummaryLine], study: StudyFacts, models: Mapping[str, int], variant: str
) -> "Figure | None":
    """Draw a panel for each kind of cost, with a point for each grouping and scale; None if there is no delta_m.

    Args:
        summary: Means of all groupings, scales and variants.
        study: Defines the order of groupings and scales.
        models: Number of models of each grouping.
        variant: The variant to draw.
    """
    from matplotlib.figure import Figure

    lines = [line for line in summary if line.variant == variant]
    if all(math.isnan(line.delta_m) for line in lines):
        return None
    seconds_per_unit, unit = (
        (3600, "hours") if max(line.train_seconds for line in lines) >= _LONG_TIME else (60, "minutes")
    )
    points = [_make_point(line, study.reference, models, seconds_per_unit) for line in lines]
    present = {point.grouping for point in points}
    groupings = put_reference_first((name for name in study.groupings if name in present), study.reference)
    scales = [scale for scale in study.scales if scale in {point.scale for point in points}]
    # A cost that is missing or zero for all groupings gets no panel.
    kinds = [name for name in _COSTS if any(point.costs[name] > 0 for point in points)]
    if not kinds:
        return None
    figure = Figure(figsize=(0.7 + 2.25 * len(kinds), 2.9), layout="constrained")
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True).flatten()
    limits = compute_limits(
        [0.0, *(point.change for point in points)],
        [*(point.low for point in points), *(point.high for point in points)],
        min_width=4.0,
    )
    for panel, kind in zip(axes, kinds, strict=True):
        panel.set_ylim(*limits)
        _draw_panel(panel, points, kind, groupings, scales)
        panel.set_xlabel(_COSTS[kind] + (f" ({unit})" if kind == "time" else ""))
    axes[0].set_ylabel("mean relative change (%) ↑")
    handles = _make_handles(groupings, scales, study)
    columns = count_legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False)
    return figure


def _make_point(line: SummaryLine, reference: str, models: Mapping[str, int], seconds_per_unit: float) -> _Point:
    """Return the point of a grouping at a scale.

    Args:
        line: Means of the grouping.
        reference: Name of the reference grouping.
        models: Number of models of each grouping.
        seconds_per_unit: Seconds in the unit of training time.
    """
    # The reference has no difference from itself, so the summary has NaN; it is drawn at zero, to compare others with.
    is_reference = line.grouping == reference
    change, low, high = (0.0,) * 3 if is_reference else (100 * value for value in (line.delta_m, line.low, line.high))
    parameters = math.nan if line.parameters is None else line.parameters / 1e6
    costs = {
        "models": float(models[line.grouping]),
        "parameters": parameters,
        "time": line.train_seconds / seconds_per_unit,
    }
    return _Point(line.grouping, line.scale, change, low, high, costs)


def _draw_panel(
    panel: "Axes", points: Sequence[_Point], kind: str, groupings: Sequence[str], scales: Sequence[float | int]
) -> None:
    drawable = [point for point in points if point.costs[kind] > 0 and not math.isnan(point.change)]
    costs = np.array([point.costs[kind] for point in drawable], dtype=float)
    is_log = bool(costs.size) and costs.max() / costs.min() >= _LOG_RATIO
    panel.axhline(0, color="black", linewidth=0.8, zorder=1)
    if is_log:
        panel.set_xscale("log")
    for point, x in zip(drawable, _space_out(costs, is_log), strict=True):
        index, rank = groupings.index(point.grouping), scales.index(point.scale)
        style = make_style(index) | _make_scale_style(rank, len(scales))
        panel.vlines(x, point.low, point.high, colors=style["color"], linewidth=1.0, zorder=2)
        panel.plot(x, point.change, zorder=3 + index, label=f"{point.grouping}, {point.scale:g}", **style)
    _set_ticks(panel, costs, is_log)


def _space_out(costs: NDArray[np.float64], is_log: bool) -> NDArray[np.float64]:
    """Return the x of each point: (nearly) equal costs are placed side by side, so that no point hides another."""
    x = np.log(costs) if is_log else costs
    span = (float(np.ptp(x)) if x.size else 0.0) or 1.0
    # A stable sort keeps the order of equal costs, so that the figure is the same in every build.
    order = np.argsort(x, kind="stable")
    # Points form a cluster while each is closer than _MIN_DISTANCE to the one before it.
    starts_cluster = np.diff(x[order], prepend=-np.inf) > _MIN_DISTANCE * span
    moved = x.copy()
    for cluster in np.split(order, np.flatnonzero(starts_cluster)[1:]):
        if cluster.size > 1:
            steps = np.arange(cluster.size) - (cluster.size - 1) / 2
            moved[cluster] = x[cluster].mean() + _SPACING * span * steps
    return np.exp(moved) if is_log else moved


def _make_scale_style(rank: int, scales: int) -> dict[str, Any]:
    """Return a marker whose size grows with the rank of its scale."""
    return {"linestyle": "none", "markersize": 4.0 + 3.5 * ((rank + 1) / scales)}


def _set_ticks(panel: "Axes", costs: NDArray[np.float64], is_log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if not costs.size:
        return
    low, high = float(costs.min()), float(costs.max())
    if is_log:
        margin = (high / low) ** 0.12  # a factor, because the axis is logarithmic
        panel.set_xlim(low / margin, high * margin)
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 100 else (1.0, 3.0)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    else:
        margin = 0.15 * ((high - low) or 1.0)
        panel.set_xlim(low - margin, high + margin)
        panel.locator_params(axis="x", nbins=5)


def _make_handles(groupings: Sequence[str], scales: Sequence[float | int], study: StudyFacts) -> list[Any]:
    """Return legend handles of groupings, and of the marker sizes of scales if there are several."""
    from matplotlib.lines import Line2D

    handles: list[Any] = list(make_grouping_handles(groupings, study.reference, lines=False))
    if len(scales) > 1:
        for rank, scale in enumerate(scales):
            style = (
                make_style(0)
                | _make_scale_style(rank, len(scales))
                | {"color": "#999999", "markerfacecolor": "#999999"}
            )
            handles.append(Line2D([], [], label=format_scale(scale), **style))
    return handles
