"""A PNG of random samples with their labels, which a user looks at before training."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read.images import read_image, read_mask
from usaggr.data.samples import Dataset, Sample
from usaggr.data.seeds import make_generator
from usaggr.tasks import Task, has_class_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
"""Palette of Okabe and Ito, which color-blind people can distinguish; it repeats after the seventh color."""

_PANEL_WIDTH, _GAP, _MARGIN = 1.7, 0.07, 0.15
"""Space for the width of an image, gap between two images, and margin of the sheet, in inches."""
_TITLE_HEIGHT, _LINE_HEIGHT, _STRIP_SPACE = 0.23, 0.17, 0.16
"""Heights in inches: title of a task; line of text (a legend, or the class above an image); space below a task."""
_MAX_ASPECT = 1.5
"""Largest height of an image on the sheet, relative to `_PANEL_WIDTH`; taller images are drawn narrower."""
_DPI = 110
"""Pixels per inch of the PNG."""


@dataclass(frozen=True)
class _Strip:
    """Content and layout of one task on the sheet: title, legend and images; all lengths are in inches."""

    task: Task
    samples: list[Sample]
    images: list[NDArray[np.uint8]]
    """(H, W) image of each sample."""
    max_pixels: int
    """Largest number of pixels of a mask."""
    panel_height: float
    """Space for the height of an image."""
    per_row: int
    """Number of images side by side."""

    @property
    def row_count(self) -> int:
        """Number of rows of images."""
        return -(-len(self.samples) // self.per_row)  # rounded up

    @property
    def legend(self) -> tuple[str, ...]:
        """Names of the classes or landmarks, in the order of their colors."""
        match self.task.type:
            case "segmentation":
                return self.task.class_names[1:]  # without the background
            case "regression":
                return self.task.class_names
            case "classification" | "detection":
                return ()
            case _:
                assert_never(self.task.type)

    @property
    def header_height(self) -> float:
        """Height of title and legend."""
        return _TITLE_HEIGHT + (_LINE_HEIGHT if self.legend else 0)

    @property
    def caption_height(self) -> float:
        """Height of the class name above an image; 0 for tasks whose images have no class."""
        return _LINE_HEIGHT if has_class_label(self.task.type) else 0

    @property
    def height(self) -> float:
        """Height of the strip."""
        return self.header_height + self.row_count * (self.panel_height + self.caption_height + _GAP) + _STRIP_SPACE


def draw_sheet(dataset: Dataset, path: Path, max_pixels: int, per_task: int = 4) -> None:
    """Write a PNG with random samples of each task.

    The outline of each class of a mask, boxes, and numbered crosses for landmarks are drawn on the images; the class of
    an image is its title. More than four tasks are arranged in two columns.

    Args:
        dataset: The valid samples.
        path: The PNG file.
        max_pixels: Largest number of pixels of an image or mask (`data.max_pixels`).
        per_task: Number of samples per task, side by side; a task with more classes has one sample per class, in
            several rows.

    Raises:
        DataError: An image or mask cannot be read.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    strips = [_make_strip(task, dataset.by_task[task.id], per_task, max_pixels) for task in dataset.tasks.values()]
    columns = _arrange_columns(strips, 2 if len(strips) > 4 else 1)
    width = per_task * (_PANEL_WIDTH + _GAP) + _MARGIN
    height = max(sum(strip.height for strip in column) for column in columns) + 2 * _MARGIN
    figure = Figure(figsize=(len(columns) * width + _MARGIN, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    with rc_context({"text.parse_math": False}):  # otherwise a name with dollar signs would be set as a formula
        for column_index, column in enumerate(columns):
            left, top = _MARGIN + column_index * width, _MARGIN
            for strip in column:
                _draw_header(figure, strip, left, top)
                _draw_images(figure, strip, left, top + strip.header_height)
                top += strip.height
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def choose_samples(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Choose samples of a task at random, with as many classes, and as many subjects of a class, as possible.

    Every call with the same samples makes the same choice.

    Args:
        samples: Samples of one task.
        count: Largest number of samples to choose.
    """
    if not samples:
        return []
    rng = make_generator("sheet", samples[0].task_id)
    shuffled = [samples[i] for i in rng.permutation(len(samples))]
    subject_counts: Counter[str] = Counter()
    positions_by_class: dict[int, list[tuple[int, int]]] = {}
    for position, sample in enumerate(shuffled):
        # The first number counts earlier samples of the subject. Sorted by it, the first sample of every subject
        # precedes the second sample of any subject.
        positions_by_class.setdefault(sample.stratum, []).append((subject_counts[sample.subject_id], position))
        subject_counts[sample.subject_id] += 1
    order: list[tuple[int, int, int]] = []
    for label, positions in positions_by_class.items():
        # The rank within the class is the first number, so that the first sample of every class precedes the second
        # sample of any class.
        order += [(rank, label, position) for rank, (_, position) in enumerate(sorted(positions))]
    return [shuffled[position] for _, _, position in sorted(order)[:count]]


def draw_sample(axes: "Axes", task: Task, sample: Sample, image: NDArray[np.uint8], max_pixels: int) -> None:
    """Draw one image with its label: outlines of classes, class name, box or numbered landmarks.

    Args:
        axes: Axes to draw on.
        task: Task of the sample; gives the class names.
        sample: Sample with its label, in pixels of the image.
        image: (H, W) gray values, 0 to 255.
        max_pixels: Largest number of pixels of the mask.
    """
    mask = None if sample.mask_path is None else read_mask(sample.mask_path, True, max_pixels)
    points = None if sample.points is None else np.array(sample.points)
    draw_label(axes, task, image, mask, None if sample.box is None else np.array(sample.box), points)
    if sample.label is not None:
        axes.set_title(task.class_names[sample.label], fontsize=7.5, pad=2.5)


def draw_label(
    axes: "Axes",
    task: Task,
    image: NDArray[np.uint8],
    mask: NDArray[Any] | None,
    box: NDArray[Any] | None,
    points: NDArray[Any] | None,
) -> None:
    """Draw an image with the outlines of classes, a box or numbered landmarks.

    Args:
        axes: Axes to draw on.
        task: Task of the label.
        image: (H, W) gray values, 0 to 255.
        mask: (H, W) class of each pixel, or None.
        box: (4,) x_min, y_min, x_max, y_max in pixels, or None.
        points: (P, 2) x, y of each landmark in pixels, or None.
    """
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    if mask is not None:
        for label in range(1, task.num_classes):
            # A border of background closes the outlines of regions at the image's border.
            region = np.pad(mask == label, 1)
            if region.any():
                grid_x, grid_y = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
                axes.contour(grid_x, grid_y, region, levels=[0.5], colors=[get_color(label)], linewidths=1.2)
    if box is not None:
        x0, y0, x1, y1 = box
        # The center of the first pixel is at 0 in matplotlib, but at 0.5 in boxes and landmarks.
        axes.plot(
            np.array([x0, x1, x1, x0, x0]) - 0.5, np.array([y0, y0, y1, y1, y0]) - 0.5, color=get_color(1), lw=1.3
        )
    for number, (x, y) in enumerate(() if points is None else points, start=1):
        axes.plot(x - 0.5, y - 0.5, "+", color=get_color(number), markersize=8, markeredgewidth=1.6)
        axes.annotate(
            str(number),
            (x - 0.5, y - 0.5),
            xytext=(4, 4),
            textcoords="offset points",
            color=get_color(number),
            fontsize=8,
            weight="bold",
        )
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(image.shape[0] - 0.5, -0.5)


def get_color(number: int) -> str:
    """Return the color of a class or landmark, counted from 1."""
    return COLORS[(number - 1) % len(COLORS)]


def _make_strip(task: Task, samples: Sequence[Sample], per_task: int, max_pixels: int) -> _Strip:
    """Choose samples of a task and read their images.

    Args:
        task: The task.
        samples: All its samples.
        per_task: Number of samples to choose, if the task does not have more classes.
        max_pixels: Largest number of pixels of an image or mask.

    Raises:
        DataError: An image cannot be read.
    """
    class_count = len({sample.stratum for sample in samples})
    chosen = choose_samples(samples, max(per_task, class_count))
    images = [read_image(sample.image_path, 1, max_pixels, sample.reading)[:, :, 0] for sample in chosen]
    largest_aspect = max((image.shape[0] / image.shape[1] for image in images), default=1.0)
    return _Strip(task, chosen, images, max_pixels, _PANEL_WIDTH * min(largest_aspect, _MAX_ASPECT), per_task)


def _arrange_columns(strips: Sequence[_Strip], count: int) -> list[list[_Strip]]:
    """Distribute the strips over columns of similar height; they keep their order."""
    column_height = sum(strip.height for strip in strips) / count
    columns: list[list[_Strip]] = [[] for _ in range(count)]
    # One long column of all strips is cut into equal heights; a strip belongs to the section that has its center.
    top = 0.0
    for strip in strips:
        center = top + strip.height / 2
        columns[min(int(center / column_height), count - 1)].append(strip)
        top += strip.height
    return [column for column in columns if column]


def _draw_header(figure: "Figure", strip: _Strip, left: float, top: float) -> None:
    """Write the title and the legend of a task.

    Args:
        figure: The sheet.
        strip: Samples of the task.
        left: Distance from the sheet's left border, in inches.
        top: Distance from the sheet's upper border, in inches.
    """
    width, height = figure.get_size_inches()
    task = strip.task

    def place_text(x: float, y: float, text: str, **style: object) -> None:
        """Write a text onto the sheet.

        Args:
            x: Distance of its left end from the sheet's left border, in inches.
            y: Distance of its top from the sheet's upper border, in inches.
            text: The text.
            style: Properties of the text, as in matplotlib.
        """
        figure.text(x / width, 1 - y / height, text, va="top", **style)  # type: ignore[arg-type]

    # The width of a text is estimated as inches per character, because matplotlib measures text only when drawing.
    place_text(left, top, task.id, fontsize=9.5, weight="bold")
    place_text(
        left + 0.09 * len(task.id) + 0.1, top + 0.015, f"{task.type}, {task.clinical_group}", fontsize=8, color="#444"
    )
    x = left
    for number, name in enumerate(strip.legend, 1):
        place_text(x, top + _TITLE_HEIGHT - 0.03, "\u25a0", fontsize=9, color=get_color(number))  # a filled square
        place_text(x + 0.12, top + _TITLE_HEIGHT - 0.015, name, fontsize=7.5)
        x += 0.25 + 0.068 * len(name)


def _draw_images(figure: "Figure", strip: _Strip, left: float, top: float) -> None:
    """Draw the images of a task with their labels, in rows.

    Args:
        figure: The sheet.
        strip: Samples of the task.
        left: Distance from the sheet's left border, in inches.
        top: Distance of the first row from the sheet's upper border, in inches.
    """
    width, height = figure.get_size_inches()
    row_height = strip.panel_height + strip.caption_height + _GAP
    for position, (sample, image) in enumerate(zip(strip.samples, strip.images, strict=True)):
        row, column = divmod(position, strip.per_row)
        x = left + column * (_PANEL_WIDTH + _GAP)
        y = top + row * row_height + strip.caption_height
        # matplotlib measures from the lower border, in fractions of the sheet.
        axes = figure.add_axes(
            (x / width, 1 - (y + strip.panel_height) / height, _PANEL_WIDTH / width, strip.panel_height / height)
        )
        axes.set_axis_off()
        axes.set_anchor("N")  # an image that does not fill its space is at the top, below its class
        draw_sample(axes, strip.task, sample, image, strip.max_pixels)
