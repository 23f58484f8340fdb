"""The report's figures as files: which there are, in which formats, byte for byte the same for the same tables.

Figures are drawn on their own canvases (Agg and SVG), never through pyplot, and whatever style the user has set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.report.figures import Drawing, FigureFile
from usaggr.report.tables import Tables
from usaggr.report.topics import TOPICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150
_STYLE = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8.0,
    "hatch.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a name with dollars is no formula, and must not end the report
    "svg.hashsalt": "usaggr",  # otherwise ids in the SVG are drawn at random
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of all figures, for as long as the context lasts."""
    from matplotlib import style

    with style.context(["default", _STYLE]):
        yield


def write_figures(tables: Tables, folder: Path) -> tuple[FigureFile, ...]:
    """Draw all figures of the report into a folder: none where no run is done.

    Where there are several variants, each has its own, with its name at the end of theirs; then there is one of all.
    """
    if not (tables.scores["status"] == "done").any():
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    formats, written = tables.comparison.study.formats, []
    with figure_style():
        for drawing, suffix, variant in _drawings(tables):
            if drawing.figure is None:
                continue
            name, title = f"{drawing.name}{suffix}", f"{drawing.title}{variant}"
            file = FigureFile(name, title, drawing.description, formats, drawing.place)
            _save(drawing.figure, folder, file)
            written.append(file)
    return tuple(written)


def _drawings(tables: Tables) -> Iterator[tuple[Drawing, str, str]]:
    """Yield each figure with what its name and its title end in: the variant, where there are several."""
    variants = tables.comparison.study.variants
    for variant in variants:
        suffix, named = ("", "") if len(variants) == 1 else (f"-{variant}", f", variant {variant}")
        for topic in TOPICS:
            for drawing in topic.drawings(tables, variant):
                yield drawing, suffix, named
    for topic in TOPICS:
        for drawing in topic.drawings_of_all(tables):
            yield drawing, "", ""


def _save(figure: "Figure", folder: Path, file: FigureFile) -> None:
    """Write a figure in each of its formats, on the canvas of the format: `savefig` would draw it twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    _settle(figure)
    for kind in file.formats:
        path = folder / f"{file.name}.{kind}"
        figure.set_dpi(_DPI)  # printing an SVG leaves another
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})  # type: ignore[no-untyped-call]
        else:
            FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})  # type: ignore[no-untyped-call]


def _settle(figure: "Figure") -> None:
    """Find the layout once for all formats.

    The solver's last digits are not always the same, and an SVG names its clip rectangles after them: places are
    rounded to far less than a pixel.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    figure.set_dpi(_DPI)  # at which texts are as wide as they will be
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, width, height = (round(float(number), 5) for number in axes.get_position(original=True).bounds)
        axes.set_position((x, y, width, height))
