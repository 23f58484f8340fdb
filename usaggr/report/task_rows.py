"""Rows of tasks beside a figure's panels: task and metric, clinical groups with a bar over their rows."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import pandas as pd

from usaggr.metrics.names import metric_label
from usaggr.report.figure_style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAME, _GROUP = 0.066, 0.072
"""Inches of a letter of a task's row, and of a clinical group."""
BESIDE = 0.2
"""Inches of the axis that the clinical groups stand in, without their names."""


def _row_name(task: str, metric: str) -> str:
    return f"{task}  {metric_label(metric, unit=True)}".rstrip()


def names_width(cells: pd.DataFrame) -> float:
    """Inches that the names take left of the panels, with their own axis.

    `cells` is a row or more for each task, with its clinical_group and metric; "" where no metric is to be told.
    """
    names = [_row_name(str(task), str(metric)) for task, metric in zip(cells["task"], cells["metric"], strict=True)]
    longest, group = max(map(len, names), default=0), int(cells["clinical_group"].str.len().max() or 0)
    return _NAME * longest + _GROUP * group + BESIDE + 0.15


def label_rows(side: "Axes", panels: Sequence["Axes"], cells: pd.DataFrame, tasks: Sequence[str]) -> None:
    """Label the rows of panels that share the y axis, tasks from top to bottom at 0, 1, ...

    Args:
        side: an axis left of the panels, for the clinical groups; nothing else is drawn in it.
        panels: the first gets the tasks' names, all get lines between clinical groups.
        cells: a row or more for each task, with its clinical_group and metric.
        tasks: sorted by clinical group.
    """
    facts = cells.drop_duplicates("task").set_index("task")
    names = [_row_name(task, str(facts.loc[task, "metric"])) for task in tasks]
    panels[0].set_yticks(range(len(tasks)), names)
    panels[0].tick_params(labelleft=True)
    side.tick_params(left=False, labelleft=False)
    side.set_xlim(0, 1)
    side.set_axis_off()
    start = 0
    for group, members in groupby(tasks, key=lambda task: str(facts.loc[task, "clinical_group"])):
        end = start + len(list(members))
        side.plot([0.97, 0.97], [start - 0.38, end - 0.62], color=INK, linewidth=1.5, solid_capstyle="butt")
        side.text(0.85, (start + end - 1) / 2, group, ha="right", va="center", fontweight="bold", fontsize=7.5)
        start = end
        if end < len(tasks):
            for panel in panels:
                panel.axhline(end - 0.5, color=INK, linewidth=0.6, zorder=2, clip_on=False)
