"""Figure: what each grouping gains over all tasks against what it costs: models, parameters, training time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.report.figure_style import grouping_handles, legend_columns, look, reference_first, scale_title, window
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COSTS = {
    "models": "models to deploy",
    "parameters": "parameters of all models (millions)",
    "time": "training time",
}
_WIDE = 4.0
"""From this ratio of the largest to the smallest cost on, the axis is logarithmic."""
_LONG_TIME = 7200.0
"""From as many seconds on, training time is told in hours."""
_NEAR, _STEP = 0.015, 0.04
"""Parts of the axis: points that are nearer than the first would hide each other, and stand apart by the second."""


def draw_cost(summary: pd.DataFrame, study: StudyFacts, models: Mapping[str, int], variant: str) -> "Figure | None":
    """A panel a kind of cost, a point a grouping and scale; None where there is no delta_m.

    Args:
        summary: grouping, scale, variant, delta_m, low, high, parameters, train_seconds.
        study: order of groupings and scales.
        models: how many models each grouping makes.
        variant: which one is drawn.
    """
    from matplotlib.figure import Figure

    shown = summary[summary["variant"] == variant]
    if shown["delta_m"].notna().sum() == 0:
        return None
    # The reference has no difference from itself: it stands at nought, as what the others are to be seen against.
    own = shown["grouping"] == study.reference
    percent = {name: 100 * shown[name].astype(float).mask(own, 0.0) for name in ("delta_m", "low", "high")}
    seconds, unit = (3600, "hours") if shown["train_seconds"].max() >= _LONG_TIME else (60, "minutes")
    points = shown.assign(
        **percent,
        models=shown["grouping"].map(dict(models)).astype(float),
        parameters=shown["parameters"].astype(float) / 1e6,
        time=shown["train_seconds"].astype(float) / seconds,
    )
    groupings = reference_first((name for name in study.groupings if name in set(points["grouping"])), study.reference)
    scales = [scale for scale in study.scales if scale in set(points["scale"])]
    kinds = [name for name in _COSTS if points[name].notna().any() and (points[name] > 0).any()]
    if not kinds:
        return None
    figure = Figure(figsize=(0.7 + 2.25 * len(kinds), 2.9), layout="constrained")
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True).flatten()
    ends = window([0.0, *points["delta_m"]], [*points["low"], *points["high"]], least=4.0)
    for panel, kind in zip(axes, kinds, strict=True):
        panel.set_ylim(*ends)
        _draw_panel(panel, points, kind, groupings, scales)
        panel.set_xlabel(_COSTS[kind] + (f" ({unit})" if kind == "time" else ""))
    axes[0].set_ylabel("mean relative change (%) ↑")
    handles = _legend(groupings, scales, study)
    columns = legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False)
    return figure


def _draw_panel(
    panel: "Axes", points: pd.DataFrame, kind: str, groupings: Sequence[str], scales: Sequence[float | int]
) -> None:
    known = points[(points[kind] > 0) & points["delta_m"].notna()]
    costs = known[kind].to_numpy(dtype=float)
    wide = bool(costs.size) and costs.max() / costs.min() >= _WIDE
    panel.axhline(0, color="black", linewidth=0.8, zorder=1)
    if wide:
        panel.set_xscale("log")
    for row, x in zip(known.to_dict("records"), _apart(costs, wide), strict=True):
        place, rank = groupings.index(row["grouping"]), scales.index(row["scale"])
        style = look(place) | _scale_look(rank, len(scales))
        panel.vlines(x, row["low"], row["high"], colors=style["color"], linewidth=1.0, zorder=2)
        panel.plot(x, row["delta_m"], zorder=3 + place, label=f"{row['grouping']}, {row['scale']:g}", **style)
    _set_ticks(panel, costs, wide)


def _apart(costs: NDArray[np.float64], wide: bool) -> NDArray[np.float64]:
    """Where points of these costs stand: those of (nearly) the same cost side by side, so that none hides another."""
    places = np.log(costs) if wide else costs
    reach = (float(np.ptp(places)) if places.size else 0.0) or 1.0
    order = np.argsort(places, kind="stable")
    starts = np.diff(places[order], prepend=-np.inf) > _NEAR * reach
    moved = places.copy()
    for together in np.split(order, np.flatnonzero(starts)[1:]):
        steps = np.arange(together.size) - (together.size - 1) / 2
        moved[together] = places[together].mean() + _STEP * reach * steps if together.size > 1 else places[together]
    return np.exp(moved) if wide else moved


def _scale_look(rank: int, scales: int) -> dict[str, Any]:
    """The larger the scale, the larger the marker."""
    return {"linestyle": "none", "markersize": 4.0 + 3.5 * ((rank + 1) / scales)}


def _set_ticks(panel: "Axes", costs: NDArray[np.float64], wide: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if not costs.size:
        return
    low, high = float(costs.min()), float(costs.max())
    if wide:
        reach = (high / low) ** 0.12
        panel.set_xlim(low / reach, high * reach)
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 100 else (1.0, 3.0)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    else:
        reach = 0.15 * ((high - low) or 1.0)
        panel.set_xlim(low - reach, high + reach)
        panel.locator_params(axis="x", nbins=5)


def _legend(groupings: Sequence[str], scales: Sequence[float | int], study: StudyFacts) -> list[Any]:
    from matplotlib.lines import Line2D

    handles: list[Any] = list(grouping_handles(groupings, study.reference, lines=False))
    if len(scales) > 1:
        for rank, scale in enumerate(scales):
            style = look(0) | _scale_look(rank, len(scales)) | {"color": "#999999", "markerfacecolor": "#999999"}
            handles.append(Line2D([], [], label=scale_title(scale), **style))
    return handles
