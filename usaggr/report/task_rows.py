"""Rows of tasks beside a figure's panels: task and metric, clinical groups with a bar over their rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from usaggr.analysis.cell_rows import CellMetric
from usaggr.metrics.names import metric_label
from usaggr.report.figure_style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAME, _GROUP = 0.066, 0.072
"""Inches of a letter of a task's row, and of a clinical group."""
BESIDE = 0.2
"""Inches of the axis that the clinical groups stand in, without their names."""


@dataclass(frozen=True)
class TaskRow:
    """What labels the row of a task."""

    task: str
    clinical_group: str
    metric: str = ""
    """Named behind the task; empty if the figure shows no metric."""

    @property
    def name(self) -> str:
        """Task, and metric with its unit."""
        return f"{self.task}  {metric_label(self.metric, unit=True)}".rstrip()


def task_rows(cells: Iterable[CellMetric]) -> dict[str, TaskRow]:
    """Return the label of each task of which there are cells, with the metric of its first one."""
    rows: dict[str, TaskRow] = {}
    for cell in cells:
        rows.setdefault(cell.task, TaskRow(cell.task, cell.clinical_group, cell.metric))
    return rows


def names_width(rows: Mapping[str, TaskRow]) -> float:
    """Return the inches that the names of tasks take left of the panels, with their own axis."""
    longest = max((len(row.name) for row in rows.values()), default=0)
    group = max((len(row.clinical_group) for row in rows.values()), default=0)
    return _NAME * longest + _GROUP * group + BESIDE + 0.15


def label_rows(side: "Axes", panels: Sequence["Axes"], rows: Mapping[str, TaskRow], tasks: Sequence[str]) -> None:
    """Label the rows of panels that share the y axis, tasks from top to bottom at 0, 1, ...

    Args:
        side: an axis left of the panels, for the clinical groups; nothing else is drawn in it.
        panels: the first gets the tasks' names, all get lines between clinical groups.
        rows: Label of each task.
        tasks: sorted by clinical group.
    """
    panels[0].set_yticks(range(len(tasks)), [rows[task].name for task in tasks])
    panels[0].tick_params(labelleft=True)
    side.tick_params(left=False, labelleft=False)
    side.set_xlim(0, 1)
    side.set_axis_off()
    start = 0
    for group, members in groupby(tasks, key=lambda task: rows[task].clinical_group):
        end = start + len(list(members))
        side.plot([0.97, 0.97], [start - 0.38, end - 0.62], color=INK, linewidth=1.5, solid_capstyle="butt")
        side.text(0.85, (start + end - 1) / 2, group, ha="right", va="center", fontweight="bold", fontsize=7.5)
        start = end
        if end < len(tasks):
            for panel in panels:
                panel.axhline(end - 0.5, color=INK, linewidth=0.6, zorder=2, clip_on=False)
