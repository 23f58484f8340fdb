"""The report's figures as files: which there are, in which formats, byte for byte the same for the same tables.

Figures are drawn on their own canvases (Agg and SVG), never through pyplot, and whatever style the user has set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.report.collect import Collection
from usaggr.report.curves import draw_curves
from usaggr.report.heatmap import draw_heatmap
from usaggr.report.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150
_STYLE = {
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "usaggr",  # otherwise ids in the SVG are drawn at random
}


@dataclass(frozen=True)
class FigureFile:
    """A figure that was written."""

    name: str
    """Without folder and ending."""
    title: str
    description: str
    """What there is to see, for those who cannot see it."""
    formats: tuple[str, ...]


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of all figures, for as long as the context lasts."""
    from matplotlib import style

    with style.context(["default", _STYLE]):
        yield


def write_figures(collection: Collection, tables: Tables, folder: Path) -> tuple[FigureFile, ...]:
    """Draw all figures of the report into a folder: none where no run is done."""
    if not (tables.scores["status"] == "done").any():
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    study, written = collection.study, []
    with figure_style():
        for variant in study.variants:
            suffix, said = ("", "") if len(study.variants) == 1 else (f"-{variant}", f", variant {variant}")
            curves = draw_curves(tables.cells, study, collection.tasks, variant)
            if curves is not None:
                description = (
                    "A panel a task: mean score over seeds with its interval against the number of training "
                    "samples, a line a grouping; the dashed line is the predictor that ignores the image. "
                    "A bar without an end goes on past the panel."
                )
                title = f"Score against training samples{said}"
                written.append(FigureFile(f"score_against_scale{suffix}", title, description, study.formats))
                _save(curves, folder, written[-1])
            heatmap = draw_heatmap(tables.comparison, study, collection.tasks, variant)
            if heatmap is not None:
                description = (
                    "A row a task, a column a grouping and scale: the difference from the reference in the metric's "
                    "own units, coloured by the difference in skill; blue is better, red is worse."
                )
                title = f"Difference from the reference{said}"
                written.append(FigureFile(f"delta_heatmap{suffix}", title, description, study.formats))
                _save(heatmap, folder, written[-1])
    return tuple(written)


def _save(figure: "Figure", folder: Path, file: FigureFile) -> None:
    for kind in file.formats:
        metadata: dict[str, str | None] = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(folder / f"{file.name}.{kind}", format=kind, dpi=_DPI, metadata=metadata)
        # The layout stands after the first format: it need not be found anew for the next one.
        figure.set_layout_engine("none")
