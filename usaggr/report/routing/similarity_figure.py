"""Figure of the similarity of routing between tasks, as a matrix in the order of a dendrogram.

Similar tasks are adjacent, so a block on the diagonal is a set of tasks that use the same experts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from usaggr.report.figure_style import choose_ink
from usaggr.report.routing.tables import Array, RunRouting, average_similarity
from usaggr.statistics.routing_similarity import TaskTree, cluster_tasks
from usaggr.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_COLOR_MAP = "YlGnBu"
"""ColorBrewer map; darker is more similar, also in gray prints."""
_CELL, _LETTER, _TREE = 0.2, 0.058, 1.0
"""Width of a cell, of a letter and of the dendrogram, in inches."""
_MOST_NUMBERED = 14
"""Largest number of tasks for which similarities are written into the cells."""
_SMALLEST_RANGE = 0.2
"""Smallest range of the color scale, so that tiny differences look small."""


def draw_similarity(runs: Sequence[RunRouting], tasks: Sequence[Task]) -> "Figure | None":
    """Draw a matrix of tasks colored by their mean similarity over runs, next to a dendrogram.

    Args:
        runs: Runs of the same tasks that differ by seed.
        tasks: The tasks, with their types and clinical groups.

    Returns:
        The figure; None with fewer than two tasks.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    if not runs or len(runs[0].tasks) < 2:
        return None
    facts = {task.id: task for task in tasks}
    similarity = average_similarity(runs)
    tree = cluster_tasks(similarity)
    names = [runs[0].tasks[index] for index in tree.order]
    labels = [f"{name}   {facts[name].clinical_group}, {facts[name].type}" for name in names]
    matrix = similarity[np.ix_(tree.order, tree.order)]
    side = max(_CELL * len(names), 1.6)
    right, bottom_room = _LETTER * max(map(len, labels)) + 0.15, _LETTER * max(map(len, names)) + 0.73
    figure = Figure(figsize=(_TREE + side + right + 0.15, side + bottom_room + 0.1))
    figure_width, figure_height = figure.get_size_inches()
    bottom, height = bottom_room / figure_height, side / figure_height
    branches = figure.add_axes((0.06 / figure_width, bottom, (_TREE - 0.06) / figure_width, height))
    panel = figure.add_axes(((_TREE + 0.04) / figure_width, bottom, side / figure_width, height))
    norm = _choose_colors(matrix)
    _draw_matrix(panel, matrix, norm)
    panel.set_xticks(range(len(names)), names, rotation=90)
    panel.set_yticks(range(len(names)), labels)
    _draw_tree(branches, tree)
    bar_axes = figure.add_axes(
        ((_TREE + 0.04) / figure_width, 0.41 / figure_height, side / figure_width, 0.09 / figure_height)
    )
    bar = figure.colorbar(ScalarMappable(norm, _COLOR_MAP), cax=bar_axes, orientation="horizontal")
    bar.set_label("similarity of routing")
    return figure


def describe_similarity(runs: Sequence[RunRouting]) -> str:
    """Return a caption of the figure of at least one run of at least two tasks."""
    tasks, matrix = runs[0].tasks, average_similarity(runs)
    # Similarities are at most 1: less 2 on the diagonal, no task is the extreme partner of itself.
    itself = 2 * np.eye(len(tasks))
    ends = []
    for extreme, values in (("most", matrix - itself), ("least", -matrix - itself)):
        a, b = sorted(int(index) for index in np.unravel_index(int(values.argmax()), matrix.shape))
        ends.append(f"the {extreme} similar tasks are {tasks[a]} and {tasks[b]} ({matrix[a, b]:.2f})")
    result = f"The similarity is {matrix[0, 1]:.2f}" if len(tasks) == 2 else f"T{', '.join(ends)[1:]}"
    seeds = f"mean over {len(runs)} seeds" if len(runs) > 1 else f"seed {runs[0].run.row.seed}"
    return (
        "Rows and columns are tasks, in the order of the dendrogram (average linkage). Darker: the routing of two "
        "tasks is more similar. Similarity is 1 minus the Jensen-Shannon distance of their shares of experts within "
        f"one model, mean over transformer blocks, {seeds}. {result}."
    )


def _draw_matrix(panel: "Axes", matrix: Array, norm: "Normalize") -> None:
    from matplotlib.cm import ScalarMappable

    colors = ScalarMappable(norm, _COLOR_MAP)
    tasks = len(matrix)
    edges = np.arange(tasks + 1) - 0.5
    shown = np.ma.masked_array(matrix, np.eye(tasks, dtype=bool))  # the diagonal is always 1
    panel.pcolormesh(edges, edges, shown, cmap=_COLOR_MAP, norm=norm, edgecolors="white", linewidth=0.4)
    panel.set_ylim(tasks - 0.5, -0.5)
    panel.yaxis.tick_right()
    panel.tick_params(length=0, pad=2)
    for spine in panel.spines.values():
        spine.set_visible(False)
    if tasks > _MOST_NUMBERED:
        return
    for (y, x), value in np.ndenumerate(matrix):
        if x != y:
            ink = choose_ink(colors.to_rgba(np.array([value]))[0])
            # Without the leading zero, two digits fit into a cell.
            label = "1" if value > 0.995 else f"{value:.2f}".removeprefix("0")
            panel.text(x, y, label, ha="center", va="center", color=ink, fontsize=6.5)


def _draw_tree(branches: "Axes", tree: TaskTree) -> None:
    """Draw the dendrogram with leaves at the rows of the matrix and joints at 1 - similarity."""
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(tree.merges, no_plot=True)
    # SciPy puts leaves at 5, 15, 25, ...; rows are at 0, 1, 2, ...
    for ends, joints in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        branches.plot(joints, (np.asarray(ends) - 5) / 10, color="black", linewidth=0.8, clip_on=False)
    highest = float(tree.merges[:, 2].max())
    # Reversed, so that the leaves are next to the matrix; a tree of equal tasks has no height.
    branches.set_xlim(max(1.03 * highest, 1e-3), 0)
    branches.set_ylim(len(tree.order) - 0.5, -0.5)
    branches.set_yticks([])
    branches.set_xticks([0, highest], ["0", f"{highest:.2f}"] if highest >= 0.005 else ["", ""])
    branches.get_xticklabels()[-1].set_horizontalalignment("left")
    branches.tick_params(length=2, pad=1)
    branches.set_xlabel("1 − similarity", labelpad=1)
    for name in ("left", "top", "right"):
        branches.spines[name].set_visible(False)


def _choose_colors(matrix: Array) -> "Normalize":
    from matplotlib.colors import Normalize

    least = float(matrix.min())
    return Normalize(max(0.0, min(float(np.floor(20 * least)) / 20, 1 - _SMALLEST_RANGE)), 1.0)
