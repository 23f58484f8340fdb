"""Figure: task x grouping, the difference from the reference at each scale, with its verdict.

Cells are coloured by the difference in skill, which task types share, say the difference in the metric's units, and
bear the verdict's mark; corners say where a model is collapsed or had not converged.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.document.display_names import grouping_label, verdict_label, verdict_mark
from usaggr.document.numbers import signed
from usaggr.report.figure_style import scale_title
from usaggr.report.task_rows import BESIDE, label_rows, names_width, task_rows
from usaggr.results.stored_study import StudyFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_COLOUR_MAP = "RdBu"
"""ColorBrewer's: told apart with every common colour blindness, white where nothing differs."""
_LEAST, _MOST = 0.05, 0.3
"""Ends of the colour scale in skill: noise of a hundredth is not blown up, one collapsed run does not pale the rest."""
_COLUMN, _LEAST_WIDTH = 0.72, 1.9
"""Inches: a column holds a mark and a number, all columns together the label of the colour bar."""
_ROW = 0.25
_LONG = 10
"""Longer names of groupings stand aslant."""
_SAME, _MISSING = "....", "////"
_NO_SKILL = (0.93, 0.93, 0.93)
"""Of a cell whose difference is known, but not in skill."""
_CORNER = 0.36
"""Height of the triangle in a corner, in rows."""
_VERDICTS = ("gain", "no_loss", "loss", "undecided", "")


def draw_heatmap(
    verdicts: Sequence[CellVerdict], study: StudyFacts, tasks: Sequence[str], variant: str
) -> "Figure | None":
    """Draw a panel for each scale; None if the study compares nothing.

    Args:
        verdicts: Of all cells and metrics.
        study: Order of groupings and scales.
        tasks: The rows from top to bottom.
        variant: Which one is drawn.
    """
    from matplotlib.figure import Figure

    shown = [cell for cell in verdicts if cell.variant == variant and cell.main]
    if not shown:
        return None
    rows = task_rows(shown)
    scales = [scale for scale in study.scales if scale in {cell.scale for cell in shown}]
    groupings = [name for name in study.groupings if name in {cell.grouping for cell in shown}]
    width = max(_COLUMN * len(groupings), _LEAST_WIDTH / len(scales))
    figure = Figure(figsize=(names_width(rows) + width * len(scales), _ROW * len(tasks) + 1.9), layout="constrained")
    axes = figure.subplots(
        1, len(scales) + 1, squeeze=False, sharey=True, width_ratios=[BESIDE, *[width] * len(scales)]
    ).flatten()
    skills = np.array([cell.delta_skill for cell in shown], dtype=float)
    colours = _colours(skills)
    for panel, scale in zip(axes[1:], scales, strict=True):
        _draw_panel(
            panel, [cell for cell in shown if cell.scale == scale], groupings, tasks, colours, width / len(groupings)
        )
        panel.set_title(scale_title(scale))
    label_rows(axes[0], axes[1:].tolist(), rows, tasks)
    bar = figure.colorbar(
        colours, ax=axes[1:].tolist(), orientation="horizontal", extend=_extend(skills, colours),
        fraction=0.03, pad=0.02, aspect=45,
    )  # fmt: skip
    few = "\n* over fewer seeds than planned" if _has_few_seeds(shown) else ""
    bar.set_label(f"difference in skill from {grouping_label(study.reference)}\nblue is better{few}")
    figure.supxlabel("     ".join(verdict_label(name) for name in _VERDICTS), fontsize=7.5)
    corners = _corner_handles(shown)
    if corners:
        figure.legend(
            handles=corners, loc="outside upper center", ncols=2, frameon=False, fontsize=7.5, handletextpad=0.1,
            columnspacing=1.4, borderaxespad=0.2,
        )  # fmt: skip
    return figure


def _draw_panel(
    panel: "Axes", cells: Sequence[CellVerdict], groupings: Sequence[str], tasks: Sequence[str],
    colours: "ScalarMappable", width: float,
) -> None:  # fmt: skip
    """`width` is that of a column in inches."""
    found = {(cell.task, cell.grouping): cell for cell in cells}
    for y, task in enumerate(tasks):
        for x, grouping in enumerate(groupings):
            _draw_cell(panel, x, y, found.get((task, grouping)), colours, width)
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


def _draw_cell(
    panel: "Axes", x: int, y: int, cell: CellVerdict | None, colours: "ScalarMappable", width: float
) -> None:
    from matplotlib.patches import Rectangle

    if cell is None or cell.is_missing:
        _draw_hatched(panel, x, y, "missing", _MISSING)
        return
    if cell.same:
        _draw_hatched(panel, x, y, "same run", _SAME)
        return
    skill = cell.delta_skill
    face = _NO_SKILL if math.isnan(skill) else tuple(colours.to_rgba(np.array([skill]))[0])
    # The eye's weights of red, green and blue: white ink where the cell is dark.
    ink = "white" if 0.299 * face[0] + 0.587 * face[1] + 0.114 * face[2] < 0.5 else "black"
    # A cell needs no clipping, and the name of a clip path in an SVG is another one each time.
    panel.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", lw=0.8, clip_on=False))
    said = signed(cell.delta, cell.metric) + ("*" if cell.seeds < cell.planned else "")
    panel.text(x - 0.31 / width, y, verdict_mark(cell.verdict), ha="left", va="center", color=ink, fontsize=7.5)
    panel.text(x + 0.27 / width, y, said, ha="right", va="center", color=ink, fontsize=7.5)
    sides = ((cell.collapsed, cell.unconverged, True), (cell.collapsed_reference, cell.unconverged_reference, False))
    for collapsed, unconverged, top in sides:
        if collapsed:
            panel.add_patch(_corner(x, y, top, width, "black", ink))
        elif unconverged:
            panel.add_patch(_corner(x, y, top, width, "white", "black"))


def _draw_hatched(panel: "Axes", x: int, y: int, said: str, hatch: str) -> None:
    from matplotlib.patches import Rectangle

    panel.add_patch(
        Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="white", edgecolor="#B0B0B0", hatch=hatch, lw=0.8, clip_on=False)
    )
    behind = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
    panel.text(x, y, said, ha="center", va="center", color="black", fontsize=7, bbox=behind)


def _corner(x: int, y: int, top: bool, column: float, face: str, edge_colour: str) -> "Patch":
    """The grouping's own models are spoken of in the upper right corner, the reference's in the lower one."""
    from matplotlib.patches import Polygon

    edge, inner = (y - 0.46, y - 0.46 + _CORNER) if top else (y + 0.46, y + 0.46 - _CORNER)
    right, width = x + 0.485, _CORNER * _ROW / column
    places = [(right, edge), (right, inner), (right - width, edge)]
    return Polygon(places, closed=True, facecolor=face, edgecolor=edge_colour, lw=0.7, clip_on=False, zorder=3)


def _corner_handles(cells: Sequence[CellVerdict]) -> list[Any]:
    """Return handles of a legend for the corners that are there."""
    from matplotlib.lines import Line2D

    compared = [cell for cell in cells if not cell.same]
    corners = (
        ("collapsed", "black", _UPPER, [cell.collapsed for cell in compared]),
        ("reference collapsed", "black", _LOWER, [cell.collapsed_reference for cell in compared]),
        ("did not converge", "white", _UPPER, [cell.unconverged for cell in compared]),
        ("reference did not converge", "white", _LOWER, [cell.unconverged_reference for cell in compared]),
    )
    style: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.6, "markersize": 6}
    return [
        Line2D([], [], linestyle="none", marker=shape, label=label, markerfacecolor=face, **style)
        for label, face, shape, present in corners
        if any(present)
    ]


_UPPER = [(1, 1), (1, -1), (-1, 1), (1, 1)]
_LOWER = [(1, -1), (1, 1), (-1, -1), (1, -1)]
"""The corners as markers of the legend."""


def _has_few_seeds(cells: Sequence[CellVerdict]) -> bool:
    return any(not math.isnan(cell.delta) and cell.seeds < cell.planned for cell in cells)


def _colours(skill: NDArray[np.float64]) -> "ScalarMappable":
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    largest = float(np.nanmax(np.abs(skill), initial=0.0))
    end = min(max(largest, _LEAST), _MOST)
    return ScalarMappable(Normalize(-end, end), _COLOUR_MAP)


def _extend(skill: NDArray[np.float64], colours: "ScalarMappable") -> str:
    """Which ends of the colour bar are pointed, because there are values past them."""
    end = float(np.max(colours.get_clim()[1] or 0.0))
    over, under = bool((skill > end).any()), bool((skill < -end).any())
    return {(True, True): "both", (True, False): "max", (False, True): "min"}.get((over, under), "neither")
