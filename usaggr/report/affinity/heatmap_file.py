"""Heat maps of affinities as files, written by `usaggr affinity` beside its tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from usaggr.affinity.estimate import Affinities
from usaggr.report.affinity.figure import draw_affinity
from usaggr.report.figure_files import figure_style
from usaggr.results.affinity import Measure

_DPI = 150


def write_heatmap(found: Affinities, measure: Measure, blocks: Mapping[str, Sequence[str]]) -> Path:
    """`affinity/<measure>.png` and `.svg`: a row a source, a column a target, blocks side by side; gives the PNG."""
    order = [task_id for tasks in blocks.values() for task_id in tasks]
    sizes = [len(tasks) for tasks in blocks.values()]
    places = [list(found.tasks).index(task_id) for task_id in order]
    matrix = found.mean(measure)[places][:, places]
    with figure_style():
        figure = draw_affinity(matrix, order, sizes, measure)
        for kind in ("svg", "png"):
            metadata: dict[str, str | None] = {"Date": None} if kind == "svg" else {"Software": None}
            path = found.folder / f"{measure}.{kind}"
            figure.savefig(path, format=kind, dpi=_DPI, metadata=metadata)
    return path
