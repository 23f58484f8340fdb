"""A sheet of samples with their labels drawn in: people look at data before they train on them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read.images import read_image, read_mask
from usaggr.data.samples import Dataset, Sample
from usaggr.data.seeds import generator
from usaggr.tasks import Task, has_class_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
"""Okabe and Ito's, told apart by colour-blind people too; they begin anew after the seventh."""

_PANEL, _GAP, _MARGIN = 1.7, 0.07, 0.15
"""Inches: width of an image, space between two, and at the sheet's border."""
_TITLE, _LINE, _SPACE = 0.23, 0.17, 0.16
"""Inches: height of a task's title, of a line (legend, or class over an image), and of the space under a task."""
_DPI = 110


@dataclass(frozen=True)
class _Strip:
    """A task's part of the sheet."""

    task: Task
    samples: list[Sample]
    images: list[NDArray[np.uint8]]
    """(H, W) each."""
    max_pixels: int
    """Of a mask."""
    panel_height: float
    """Inches."""
    per_row: int

    @property
    def rows(self) -> int:
        return -(-len(self.samples) // self.per_row)

    @property
    def legend(self) -> tuple[str, ...]:
        """Names that have colours on the images."""
        match self.task.type:
            case "segmentation":
                return self.task.class_names[1:]
            case "regression":
                return self.task.class_names
            case "classification" | "detection":
                return ()
            case _:
                assert_never(self.task.type)

    @property
    def head(self) -> float:
        """Inches of title and legend."""
        return _TITLE + (_LINE if self.legend else 0)

    @property
    def caption(self) -> float:
        """Inches over an image."""
        return _LINE if has_class_label(self.task.type) else 0

    @property
    def height(self) -> float:
        """Inches."""
        return self.head + self.rows * (self.panel_height + self.caption + _GAP) + _SPACE


def draw_sheet(dataset: Dataset, path: Path, max_pixels: int, per_task: int = 4) -> None:
    """Write a PNG with samples of each task, drawn by lot: `per_task`, or one of each class where that is more.

    Masks are drawn as outlines of their classes, landmarks with their numbers, classes as titles. Many tasks stand in
    two columns. `max_pixels` is data.max_pixels.

    Raises:
        DataError: an image or mask cannot be read.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    strips = [_strip(task, dataset.by_task[task.id], per_task, max_pixels) for task in dataset.tasks.values()]
    columns = _columns(strips, 2 if len(strips) > 4 else 1)
    width = per_task * (_PANEL + _GAP) + _MARGIN
    height = max(sum(strip.height for strip in column) for column in columns) + 2 * _MARGIN
    figure = Figure(figsize=(len(columns) * width + _MARGIN, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    with rc_context({"text.parse_math": False}):  # a name with dollars is no formula
        for number, column in enumerate(columns):
            top = _MARGIN
            for strip in column:
                _draw_strip(figure, strip, _MARGIN + number * width, top)
                top += strip.height
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def choose_samples(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Some samples by lot, the same every time; classes and then subjects take turns."""
    if not samples:
        return []
    rng = generator("sheet", samples[0].task_id)
    shuffled = [samples[i] for i in rng.permutation(len(samples))]
    frames: Counter[str] = Counter()
    by_class: dict[int, list[tuple[int, int]]] = {}
    for place, sample in enumerate(shuffled):
        by_class.setdefault(sample.stratum, []).append((frames[sample.subject_id], place))
        frames[sample.subject_id] += 1
    turns = [
        (turn, label, place) for label, places in by_class.items() for turn, (_, place) in enumerate(sorted(places))
    ]
    return [shuffled[place] for _, _, place in sorted(turns)[:count]]


def draw_sample(axes: "Axes", task: Task, sample: Sample, image: NDArray[np.uint8], max_pixels: int) -> None:
    """Draw one image (H, W) with its label: outlines of classes, class name, box or numbered landmarks."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    if sample.mask_path is not None:
        mask = read_mask(sample.mask_path, True, max_pixels)
        for label in range(1, task.num_classes):
            # A rim of background, so that regions at the image's border have closed outlines.
            region = np.pad(mask == label, 1)
            if region.any():
                columns, rows = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
                axes.contour(columns, rows, region, levels=[0.5], colors=[_colour(label)], linewidths=1.2)
    if sample.label is not None:
        axes.set_title(task.class_names[sample.label], fontsize=7.5, pad=2.5)
    if sample.box is not None:
        x0, y0, x1, y1 = sample.box
        # Pixels have their centres at whole numbers here, and their borders there in the index.
        axes.plot(np.array([x0, x1, x1, x0, x0]) - 0.5, np.array([y0, y0, y1, y1, y0]) - 0.5, color=_colour(1), lw=1.3)
    for number, (x, y) in enumerate(sample.points or (), start=1):
        axes.plot(x - 0.5, y - 0.5, "+", color=_colour(number), markersize=8, markeredgewidth=1.6)
        axes.annotate(
            str(number),
            (x - 0.5, y - 0.5),
            xytext=(4, 4),
            textcoords="offset points",
            color=_colour(number),
            fontsize=8,
            weight="bold",
        )
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(image.shape[0] - 0.5, -0.5)


def _colour(number: int) -> str:
    return COLOURS[(number - 1) % len(COLOURS)]


def _strip(task: Task, samples: Sequence[Sample], per_task: int, max_pixels: int) -> _Strip:
    classes = len({sample.stratum for sample in samples})
    chosen = choose_samples(samples, max(per_task, classes))
    images = [read_image(sample.image_path, 1, max_pixels)[:, :, 0] for sample in chosen]
    tallest = max((image.shape[0] / image.shape[1] for image in images), default=1.0)
    return _Strip(task, chosen, images, max_pixels, _PANEL * min(tallest, 1.5), per_task)


def _columns(strips: Sequence[_Strip], count: int) -> list[list[_Strip]]:
    """Strips in order, in columns of about one height."""
    share = sum(strip.height for strip in strips) / count
    columns: list[list[_Strip]] = [[] for _ in range(count)]
    done = 0.0
    for strip in strips:
        columns[min(int((done + strip.height / 2) / share), count - 1)].append(strip)
        done += strip.height
    return [column for column in columns if column]


def _draw_strip(figure: "Figure", strip: _Strip, left: float, top: float) -> None:
    """Title, legend and images of a task; `left` and `top` in inches from the sheet's upper left corner."""
    width, height = figure.get_size_inches()
    task = strip.task

    def text(x: float, y: float, words: str, **style: object) -> None:
        figure.text(x / width, 1 - y / height, words, va="top", **style)  # type: ignore[arg-type]

    text(left, top, task.id, fontsize=9.5, weight="bold")
    text(left + 0.09 * len(task.id) + 0.1, top + 0.015, f"{task.type}, {task.clinical_group}", fontsize=8, color="#444")
    x = left
    for number, name in enumerate(strip.legend, 1):
        text(x, top + _TITLE - 0.03, "\u25a0", fontsize=9, color=_colour(number))
        text(x + 0.12, top + _TITLE - 0.015, name, fontsize=7.5)
        x += 0.25 + 0.068 * len(name)
    for place, (sample, image) in enumerate(zip(strip.samples, strip.images, strict=True)):
        row, column = divmod(place, strip.per_row)
        y = top + strip.head + row * (strip.panel_height + strip.caption + _GAP) + strip.caption
        x = left + column * (_PANEL + _GAP)
        where = (x / width, 1 - (y + strip.panel_height) / height, _PANEL / width, strip.panel_height / height)
        axes = figure.add_axes(where)
        axes.set_axis_off()
        axes.set_anchor("N")
        draw_sample(axes, task, sample, image, strip.max_pixels)
