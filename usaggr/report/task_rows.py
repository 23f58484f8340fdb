"""Row labels of tasks in figures: task and metric, and clinical groups with a bar along their rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from usaggr.analysis.cell_rows import CellMetric
from usaggr.metrics.names import get_metric_label
from usaggr.report.figure_style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAME_LETTER, _GROUP_LETTER = 0.066, 0.072
"""Inches: width of a letter of a task's name, and of a letter of a clinical group's name, which is bold."""
GROUP_BAR_WIDTH = 0.2
"""Width in inches of the axes with the bars of clinical groups; the names of groups extend to their left."""


@dataclass(frozen=True)
class TaskRow:
    """Label of a task's row."""

    task: str
    clinical_group: str
    metric: str = ""
    """Name of the metric, written after the task; empty if the figure shows no metric."""

    @property
    def name(self) -> str:
        """Task, followed by the metric with its unit."""
        return f"{self.task}  {get_metric_label(self.metric, unit=True)}".rstrip()


def make_task_rows(cells: Iterable[CellMetric]) -> dict[str, TaskRow]:
    """Return the label of each task that has cells, with the metric of its first cell."""
    labels: dict[str, TaskRow] = {}
    for cell in cells:
        labels.setdefault(cell.task, TaskRow(cell.task, cell.clinical_group, cell.metric))
    return labels


def compute_names_width(labels: Mapping[str, TaskRow]) -> float:
    """Return the width in inches of the names of tasks and clinical groups, left of the panels."""
    longest_name = max((len(label.name) for label in labels.values()), default=0)
    longest_group = max((len(label.clinical_group) for label in labels.values()), default=0)
    return _NAME_LETTER * longest_name + _GROUP_LETTER * longest_group + GROUP_BAR_WIDTH + 0.15


def label_rows(
    group_axes: "Axes", panels: Sequence["Axes"], labels: Mapping[str, TaskRow], tasks: Sequence[str]
) -> None:
    """Label the rows of panels that share the y axis, tasks from top to bottom at 0, 1, ...

    Args:
        group_axes: Axes left of the panels, for clinical groups only.
        panels: Panels; the first gets the names of tasks, all get lines between clinical groups.
        labels: Label of each task.
        tasks: Tasks, sorted by clinical group.
    """
    panels[0].set_yticks(range(len(tasks)), [labels[task].name for task in tasks])
    panels[0].tick_params(labelleft=True)
    group_axes.tick_params(left=False, labelleft=False)
    group_axes.set_xlim(0, 1)
    group_axes.set_axis_off()
    start = 0
    for group, members in groupby(tasks, key=lambda task: labels[task].clinical_group):
        end = start + len(list(members))
        # The bar spans the rows start to end - 1, each from 0.38 above to 0.38 below its center.
        group_axes.plot([0.97, 0.97], [start - 0.38, end - 0.62], color=INK, linewidth=1.5, solid_capstyle="butt")
        group_axes.text(0.85, (start + end - 1) / 2, group, ha="right", va="center", fontweight="bold", fontsize=7.5)
        start = end
        if end < len(tasks):
            for panel in panels:
                panel.axhline(end - 0.5, color=INK, linewidth=0.6, zorder=2, clip_on=False)
