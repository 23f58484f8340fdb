"""Figure: task x grouping, the difference from the reference at each scale.

Cells are coloured by the difference in skill, which task types share, and say the difference in the metric's units.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from usaggr.report.formatting import signed
from usaggr.report.sources import StudyFacts
from usaggr.report.words import grouping_label, metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_COLOUR_MAP = "RdBu"
"""ColorBrewer's: told apart with every common colour blindness, white where nothing differs."""
_LEAST, _MOST = 0.05, 0.5
"""Ends of the colour scale in skill: noise of a hundredth is not blown up, one collapsed run does not pale the rest."""
_COLUMN, _LEAST_WIDTH = 0.75, 2.2
"""Inches: a column holds `same run`, all columns together the label of the colour bar."""
_LONG = 10
"""Longer names of groupings stand aslant."""
_SAME, _MISSING = "....", "////"
_NO_SKILL = (0.93, 0.93, 0.93)
"""Of a cell whose difference is known, but not in skill."""


def draw_heatmap(comparison: pd.DataFrame, study: StudyFacts, tasks: Sequence[str], variant: str) -> "Figure | None":
    """A panel a scale; None where the study compares nothing.

    `comparison` is the table of differences, `tasks` the rows from top to bottom.
    """
    from matplotlib.figure import Figure

    shown = comparison[(comparison["variant"] == variant) & comparison["main"]]
    if shown.empty:
        return None
    scales = [scale for scale in study.scales if scale in set(shown["scale"])]
    groupings = [name for name in study.groupings if name in set(shown["grouping"])]
    width = max(_COLUMN * len(groupings), _LEAST_WIDTH / len(scales))
    figure = Figure(figsize=(2.9 + width * len(scales), 0.26 * len(tasks) + 1.5), layout="constrained")
    axes = figure.subplots(
        1, len(scales) + 1, squeeze=False, sharey=True, width_ratios=[1.0, *[width] * len(scales)]
    ).flatten()
    colours = _colours(shown["delta_skill"])
    for panel, scale in zip(axes[1:], scales, strict=True):
        _draw_panel(panel, shown[shown["scale"] == scale], groupings, tasks, colours)
        panel.set_title(f"scale {scale:.4g}" if isinstance(scale, float) else f"scale {scale:,}")
    _label_rows(axes[0], axes[1], shown, tasks)
    bar = figure.colorbar(
        colours, ax=axes[1:].tolist(), orientation="horizontal", extend=_extend(shown["delta_skill"], colours),
        fraction=0.04, pad=0.02, aspect=40,
    )  # fmt: skip
    few = "\n* over fewer seeds than planned" if _has_few_seeds(shown) else ""
    bar.set_label(f"difference in skill from {grouping_label(study.reference)}\nblue is better{few}")
    return figure


def _draw_panel(
    panel: "Axes", cells: pd.DataFrame, groupings: Sequence[str], tasks: Sequence[str], colours: "ScalarMappable"
) -> None:
    found = {(row["task"], row["grouping"]): row for row in cells.to_dict("records")}
    for y, task in enumerate(tasks):
        for x, grouping in enumerate(groupings):
            _draw_cell(panel, x, y, found.get((task, grouping)), colours)
    panel.set_xlim(-0.5, len(groupings) - 0.5)
    panel.set_ylim(len(tasks) - 0.5, -0.5)
    labels = [grouping_label(name) for name in groupings]
    panel.set_xticks(range(len(groupings)), labels)
    if max(map(len, labels)) > _LONG:
        for label in panel.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _draw_cell(panel: "Axes", x: int, y: int, cell: dict[Any, Any] | None, colours: "ScalarMappable") -> None:
    from matplotlib.patches import Rectangle

    face: tuple[float, ...] = (1.0, 1.0, 1.0)
    hatch = None
    if cell is None or (pd.isna(cell["delta"]) and not cell["same"]):
        said, hatch = "missing", _MISSING
    elif cell["same"]:
        said, hatch = "same run", _SAME
    else:
        said = signed(float(cell["delta"]), str(cell["metric"])) + ("*" if cell["seeds"] < cell["planned"] else "")
        skill = cell["delta_skill"]
        face = _NO_SKILL if pd.isna(skill) else tuple(colours.to_rgba(np.array([skill]))[0])
    # The eye's weights of red, green and blue: white ink where the cell is dark.
    ink = "white" if 0.299 * face[0] + 0.587 * face[1] + 0.114 * face[2] < 0.5 else "black"
    edge = "#B0B0B0" if hatch else "white"
    panel.add_patch(
        # A cell needs no clipping, and the name of a clip path in an SVG is another one each time.
        Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor=edge, hatch=hatch, lw=0.8, clip_on=False)
    )
    behind = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"} if hatch else None
    panel.text(x, y, said, ha="center", va="center", color=ink, fontsize=7 if hatch else 7.5, bbox=behind)


def _label_rows(side: "Axes", panel: "Axes", cells: pd.DataFrame, tasks: Sequence[str]) -> None:
    """Task and metric at each row, clinical groups with a bar over their rows, and lines between groups."""
    facts = {str(cell["task"]): cell for cell in cells.to_dict("records")}
    panel.set_yticks(range(len(tasks)), [f"{t}  {metric_label(str(facts[t]['metric']), unit=True)}" for t in tasks])
    panel.tick_params(labelleft=True)
    side.tick_params(left=False, labelleft=False)
    side.set_xlim(0, 1)
    side.set_axis_off()
    start = 0
    for group, members in groupby(tasks, key=lambda task: str(facts[task]["clinical_group"])):
        end = start + len(list(members))
        side.plot([0.97, 0.97], [start - 0.38, end - 0.62], color="#444444", linewidth=1.5, solid_capstyle="butt")
        side.text(0.9, (start + end - 1) / 2, group, ha="right", va="center", fontweight="bold", fontsize=7.5)
        start = end
        if end < len(tasks):
            for axes in panel.figure.axes[1:]:
                axes.axhline(end - 0.5, color="#444444", linewidth=0.8)


def _has_few_seeds(cells: pd.DataFrame) -> bool:
    return bool((cells["delta"].notna() & (cells["seeds"] < cells["planned"])).any())


def _colours(skill: "pd.Series[Any]") -> "ScalarMappable":
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    largest = float(np.nanmax(np.abs(skill.to_numpy(dtype=float)), initial=0.0))
    end = min(max(largest, _LEAST), _MOST)
    return ScalarMappable(Normalize(-end, end), _COLOUR_MAP)


def _extend(skill: "pd.Series[Any]", colours: "ScalarMappable") -> str:
    """Which ends of the colour bar are pointed, because there are values past them."""
    end = float(np.max(colours.get_clim()[1] or 0.0))
    over, under = bool((skill > end).any()), bool((skill < -end).any())
    return {(True, True): "both", (True, False): "max", (False, True): "min"}.get((over, under), "neither")
