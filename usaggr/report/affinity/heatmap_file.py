"""Files with heat maps of affinities, which `usaggr affinity` writes next to its tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from usaggr.affinity.estimate import Affinities
from usaggr.report.affinity.figure import draw_affinity
from usaggr.report.figure_files import use_figure_style
from usaggr.results.affinity import Measure

_DPI = 150


def write_heatmap(affinities: Affinities, measure: Measure, blocks: Mapping[str, Sequence[str]]) -> Path:
    """Write `affinity/<measure>.png` and `.svg`, with a row per source and a column per target task.

    Args:
        affinities: Estimated affinities, with the folder for the files.
        measure: Measure to draw.
        blocks: Tasks of each block, by name; the tasks of a block are adjacent in the figure.

    Returns:
        Path of the PNG.
    """
    order = [task_id for tasks in blocks.values() for task_id in tasks]
    sizes = [len(tasks) for tasks in blocks.values()]
    indices = [list(affinities.tasks).index(task_id) for task_id in order]
    matrix = affinities.compute_mean(measure)[indices][:, indices]
    with use_figure_style():
        figure = draw_affinity(matrix, order, sizes, measure)
        for kind in ("svg", "png"):
            # Without date and software, the same figure gives the same bytes.
            metadata: dict[str, str | None] = {"Date": None} if kind == "svg" else {"Software": None}
            path = affinities.folder / f"{measure}.{kind}"
            figure.savefig(path, format=kind, dpi=_DPI, metadata=metadata)
    return path
