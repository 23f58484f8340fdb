"""Files of the report's figures, which are byte for byte the same for the same tables.

Figures are drawn on their own canvases (Agg and SVG), never through pyplot, and do not depend on the user's style.
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
    "text.parse_math": False,  # a name with dollar signs would be parsed as a formula, and may raise
    "svg.hashsalt": "usaggr",  # without it, ids in the SVG are random
}


@contextmanager
def use_figure_style() -> Iterator[None]:
    """Set the style of all figures within the context."""
    from matplotlib import style

    with style.context(["default", _STYLE]):
        yield


def write_figures(tables: Tables, folder: Path) -> tuple[FigureFile, ...]:
    """Draw all figures of the report into a folder; without finished runs there are none.

    With several variants, each variant has its own figures, whose file names end with its name. Figures of all variants
    follow.
    """
    if not (tables.scores["status"] == "done").any():
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    formats, files = tables.comparison.study.formats, []
    with use_figure_style():
        for drawing, name_suffix, title_suffix in _list_drawings(tables):
            if drawing.figure is None:
                continue
            name, title = f"{drawing.name}{name_suffix}", f"{drawing.title}{title_suffix}"
            file = FigureFile(name, title, drawing.description, formats, drawing.slot)
            _save(drawing.figure, folder, file)
            files.append(file)
    return tuple(files)


def _list_drawings(tables: Tables) -> Iterator[tuple[Drawing, str, str]]:
    """Yield each figure with the suffixes of its name and its title, which name the variant if there are several."""
    variants = tables.comparison.study.variants
    for variant in variants:
        name_suffix, title_suffix = ("", "") if len(variants) == 1 else (f"-{variant}", f", variant {variant}")
        for topic in TOPICS:
            for drawing in topic.drawings(tables, variant):
                yield drawing, name_suffix, title_suffix
    for topic in TOPICS:
        for drawing in topic.common_drawings(tables):
            yield drawing, "", ""


def _save(figure: "Figure", folder: Path, file: FigureFile) -> None:
    """Write a figure in each of its formats, on the canvas of the format; `savefig` would draw it twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    _fix_layout(figure)
    for kind in file.formats:
        path = folder / f"{file.name}.{kind}"
        figure.set_dpi(_DPI)  # print_svg leaves another value behind
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})  # type: ignore[no-untyped-call]
        else:
            FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})  # type: ignore[no-untyped-call]


def _fix_layout(figure: "Figure") -> None:
    """Compute the layout once for all formats, with rounded positions.

    The last digits of the solver's positions vary between runs, and an SVG names its clip rectangles after them.
    Rounding to far less than a pixel gives the same file every time.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    figure.set_dpi(_DPI)  # text widths depend on it
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, width, height = (round(float(number), 5) for number in axes.get_position(original=True).bounds)
        axes.set_position((x, y, width, height))
