"""Figure: groupings among those drawn by lot with blocks of the same sizes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from usaggr.document.display_names import grouping_label
from usaggr.report.figure_style import GREY, draw_intervals, legend_columns, look, reference_first, scale_title, window
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.42
"""Inches of a row: a grouping above its draws."""
_WIDTH, _LETTER = 2.4, 0.075
"""Inches of a panel, and of a letter of the names."""
_LEAST = 0.04
"""Skill that an axis spans at the least."""


def draw_controls(controls: pd.DataFrame, study: StudyFacts, variant: str) -> "Figure | None":
    """A panel a scale, a row a grouping: its mean difference in skill with its interval above those of its draws.

    Args:
        controls: from `make_controls`.
        study: order of groupings and scales.
        variant: which one is drawn.

    Returns:
        None where there is nothing to show.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = controls[(controls["variant"] == variant) & (controls["task"] == "") & controls["delta_skill"].notna()]
    names = [name for name in study.groupings if name in set(shown.loc[shown["drawn"].astype(bool), "like"])]
    if not names:
        return None
    scales = [scale for scale in sorted(study.scales) if scale in set(shown["scale"])]
    size = (
        _LETTER * max(len(grouping_label(name)) for name in names) + 0.3 + _WIDTH * len(scales),
        1.3 + _ROW * len(names),
    )
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(scales), squeeze=False, sharex=True, sharey=True)[0]
    ends = window([0.0, *shown["delta_skill"]], [*shown["low"], *shown["high"]], _LEAST)
    places = {name: place for place, name in enumerate(reference_first(study.groupings, study.reference))}
    for panel, scale in zip(axes, scales, strict=True):
        panel.set_xlim(*ends)
        _draw_panel(panel, shown[shown["scale"] == scale], names, places)
        panel.set_title(scale_title(scale))
        panel.set_xlabel("mean difference in skill")
    axes[0].set_yticks(range(len(names)), [grouping_label(name) for name in names])
    draws = Line2D([], [], color=GREY, marker="|", linestyle="none", markersize=9, markeredgewidth=1.4)
    real = Line2D([], [], **(look(places[names[0]]) | {"linestyle": "none"}))
    labels = ["the grouping", "drawn by lot, blocks of the same sizes"]
    figure.legend(
        handles=[real, draws], labels=labels, loc="outside upper center",
        ncols=legend_columns(labels, figure.get_figwidth()), frameon=False,
        title=f"difference from {grouping_label(study.reference)}", title_fontproperties={"size": 7.5},
    )  # fmt: skip
    return figure


def _draw_panel(panel: "Axes", table: pd.DataFrame, names: Sequence[str], places: dict[str, int]) -> None:
    panel.locator_params(axis="x", nbins=5)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.axvline(0, color="black", linewidth=0.8, zorder=1)
    for row, name in enumerate(names):
        of = table[table["like"] == name]
        drawn, real = of[of["drawn"].astype(bool)], of[~of["drawn"].astype(bool)]
        style: dict[str, Any] = {
            "color": GREY,
            "marker": "|",
            "linestyle": "none",
            "markersize": 9,
            "markeredgewidth": 1.4,
        }
        panel.plot(drawn["delta_skill"], [row + 0.18] * len(drawn), zorder=3, **style)
        of_real = look(places[name]) | {"linestyle": "none", "zorder": 4}
        heights = [row - 0.18] * len(real)
        draw_intervals(panel, heights, real["low"].tolist(), real["high"].tolist(), of_real["color"])
        panel.plot(real["delta_skill"], heights, clip_on=False, **of_real)
