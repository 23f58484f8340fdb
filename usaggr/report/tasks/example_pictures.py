"""Picture of one test sample as a strip of panels: the image, its truth, and the prediction of each grouping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.read.images import read_image, read_mask
from usaggr.data.samples import Sample
from usaggr.report.tasks.overlays import WHITE, Canvas, Marks, color_of, draw_marks
from usaggr.report.tasks.strips import (
    Key,
    Panel,
    bars_height,
    draw_bars,
    draw_class_names,
    draw_strip,
    encode_strip,
    panel_size,
)
from usaggr.tasks import Task, has_class_label

MAX_CLASSES = 8
"""Maximum number of classes that have a bar."""


@dataclass(frozen=True)
class Shown:
    """Prediction of one side for a sample, in pixels of the original image."""

    label: str
    """Label of the groupings of the side."""
    note: str
    """Score of the sample as text."""
    marks: Marks
    """Predicted mask, box or landmarks."""
    probabilities: NDArray[np.float64] | None = None
    """(K,) probability of each class of a classification task."""


def draw_picture(task: Task, sample: Sample, shown: Sequence[Shown], data: DataConfig) -> bytes:
    """Return the strip of a sample as a JPEG.

    Args:
        task: Task of the sample.
        sample: The sample.
        shown: Predictions, one per side.
        data: Settings for reading images.

    Raises:
        DataError: The image or the mask cannot be read.
    """
    image = read_image(sample.image_path, 3, data.max_pixels)
    if has_class_label(task.type):
        panels, legend = _make_class_panels(task, sample, shown, image), []
    else:
        panels, legend = _make_located_panels(task, sample, shown, image, data), _make_legend(task)
    return encode_strip(draw_strip(panels, legend))


def _make_located_panels(
    task: Task, sample: Sample, shown: Sequence[Shown], image: Canvas, data: DataConfig
) -> list[Panel]:
    """Return the panels of a task whose labels are positions in the image.

    Args:
        task: Task of the sample.
        sample: The sample.
        shown: Predictions, one per side.
        image: The image.
        data: Settings for reading masks.
    """
    truth = Marks(
        mask=None if sample.mask_path is None else read_mask(sample.mask_path, data.foreground_255, data.max_pixels),
        box=None if sample.box is None else np.array(sample.box),
        points=None if sample.points is None else np.array(sample.points),
    )
    size = panel_size(2 + len(shown), sample.height, sample.width)
    return [
        _make_image_panel(sample, image, size),
        Panel("truth", _describe_truth(task, truth), draw_marks(image, size, truth, None)),
        *(Panel(side.label, side.note, draw_marks(image, size, truth, side.marks)) for side in shown),
    ]


def _make_class_panels(task: Task, sample: Sample, shown: Sequence[Shown], image: Canvas) -> list[Panel]:
    """Return panels of the image, the names of classes, and bars of their probabilities for each side.

    Args:
        task: Task of the sample.
        sample: The sample.
        shown: Predictions, one per side.
        image: The image.
    """
    assert sample.label is not None
    classes = select_classes([side.probabilities for side in shown if side.probabilities is not None], sample.label)
    size = panel_size(2 + len(shown), sample.height, sample.width)
    width = panel_size(2 + len(shown), 1, 1)[1]
    bars = (bars_height(len(classes)), width)
    true = classes.index(sample.label)
    names = [task.class_names[label] for label in classes]
    panels = [
        _make_image_panel(sample, image, size),
        Panel("truth", task.class_names[sample.label], draw_class_names(names, true, bars)),
    ]
    for side in shown:
        assert side.probabilities is not None
        predicted = int(side.probabilities.argmax())
        index = classes.index(predicted) if predicted in classes else None
        panels.append(Panel(side.label, side.note, draw_bars(side.probabilities[list(classes)], true, index, bars)))
    return panels


def select_classes(probabilities: Sequence[NDArray[np.float64]], true: int) -> tuple[int, ...]:
    """Return up to MAX_CLASSES classes in order: the true one, and the most probable ones of any side."""
    highest = np.max(np.stack(probabilities), axis=0)
    highest[true] = np.inf  # the true class is always shown
    return tuple(sorted(int(label) for label in np.argsort(-highest, kind="stable")[:MAX_CLASSES]))


def _make_image_panel(sample: Sample, image: Canvas, size: tuple[int, int]) -> Panel:
    """Return the panel of the image without marks.

    Args:
        sample: The sample.
        image: Its image.
        size: Height and width of the panel in pixels.
    """
    return Panel("image", f"{sample.width} \u00d7 {sample.height} pixels", draw_marks(image, size, None, None))


def _describe_truth(task: Task, truth: Marks) -> str:
    """Describe the true label: area of the mask, size of the box, or number of landmarks."""
    if truth.mask is not None:
        percent = 100 * float((truth.mask > 0).mean())
        return f"{percent:.2g} % of the image" if percent < 10 else f"{percent:.0f} % of the image"
    if truth.box is not None:
        x0, y0, x1, y1 = truth.box
        return f"{x1 - x0:.0f} \u00d7 {y1 - y0:.0f} pixels"
    return f"{task.num_classes} landmark{'s' * (task.num_classes > 1)}"


def _make_legend(task: Task) -> list[Key]:
    """Return the entries of the legend; classification has none, because its bars have labels."""
    match task.type:
        case "segmentation":
            areas = [Key("area", color_of(i), name) for i, name in enumerate(task.class_names) if i > 0]
            return [Key("dashes", WHITE, "truth"), *areas]
        case "detection":
            return [Key("dashes", WHITE, "truth"), Key("line", color_of(1), "prediction")]
        case "regression":
            areas = [Key("area", color_of(i), name) for i, name in enumerate(task.class_names, start=1)]
            return [Key("circle", WHITE, "truth"), Key("cross", WHITE, "prediction"), *areas]
        case "classification":
            return []
        case _:
            assert_never(task.type)
