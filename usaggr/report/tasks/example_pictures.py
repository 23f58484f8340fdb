"""Picture of one test sample as a strip of panels: the image, its truth, and the prediction of each grouping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.read.images import read_image, read_mask
from usaggr.data.samples import Sample
from usaggr.report.tasks.overlays import WHITE, Canvas, Marks, draw_marks, get_color
from usaggr.report.tasks.strips import (
    LegendEntry,
    Panel,
    compute_bars_height,
    compute_panel_size,
    draw_bars,
    draw_class_names,
    draw_strip,
    encode_strip,
)
from usaggr.tasks import Task, has_class_label

MAX_CLASSES = 8
"""Maximum number of classes that have a bar."""


@dataclass(frozen=True)
class DrawnPrediction:
    """Prediction of one predictor for a sample, in pixels of the original image."""

    label: str
    """Labels of the predictor's groupings."""
    note: str
    """Score of the sample as text."""
    marks: Marks
    """Predicted mask, box or landmarks."""
    probabilities: NDArray[np.float64] | None = None
    """(K,) probability of each class of a classification task."""


def draw_picture(task: Task, sample: Sample, predictions: Sequence[DrawnPrediction], data: DataConfig) -> bytes:
    """Return the strip of a sample as a JPEG.

    Args:
        task: Task of the sample.
        sample: The sample.
        predictions: Predictions of the sample, one per predictor.
        data: Settings for reading images.

    Raises:
        DataError: The image or the mask cannot be read.
    """
    image = read_image(sample.image_path, 3, data.max_pixels, sample.reading)
    if has_class_label(task.type):
        panels, legend = _make_class_panels(task, sample, predictions, image), []
    else:
        panels, legend = _make_overlay_panels(task, sample, predictions, image, data), _make_legend(task)
    return encode_strip(draw_strip(panels, legend))


def _make_overlay_panels(
    task: Task, sample: Sample, predictions: Sequence[DrawnPrediction], image: Canvas, data: DataConfig
) -> list[Panel]:
    """Return the panels of a task whose labels are positions in the image.

    Args:
        task: Task of the sample.
        sample: The sample.
        predictions: Predictions of the sample, one per predictor.
        image: The image.
        data: Settings for reading masks.
    """
    truth = Marks(
        mask=None if sample.mask_path is None else read_mask(sample.mask_path, data.foreground_255, data.max_pixels),
        box=None if sample.box is None else np.array(sample.box),
        points=None if sample.points is None else np.array(sample.points),
    )
    size = compute_panel_size(2 + len(predictions), sample.height, sample.width)
    panels = [
        _make_image_panel(sample, image, size),
        Panel("truth", _describe_truth(task, truth), draw_marks(image, size, truth, None)),
    ]
    for prediction in predictions:
        panels.append(Panel(prediction.label, prediction.note, draw_marks(image, size, truth, prediction.marks)))
    return panels


def _make_class_panels(
    task: Task, sample: Sample, predictions: Sequence[DrawnPrediction], image: Canvas
) -> list[Panel]:
    """Return panels of the image, the names of classes, and bars of their probabilities for each predictor.

    Args:
        task: Task of the sample.
        sample: The sample.
        predictions: Predictions of the sample, one per predictor.
        image: The image.
    """
    assert sample.label is not None
    classes = select_classes(
        [prediction.probabilities for prediction in predictions if prediction.probabilities is not None], sample.label
    )
    size = compute_panel_size(2 + len(predictions), sample.height, sample.width)
    _, largest_width = compute_panel_size(2 + len(predictions), 1, 1)  # bars need not be as narrow as a tall image
    bars_size = (compute_bars_height(len(classes)), largest_width)
    true = classes.index(sample.label)
    names = [task.class_names[label] for label in classes]
    panels = [
        _make_image_panel(sample, image, size),
        Panel("truth", task.class_names[sample.label], draw_class_names(names, true, bars_size)),
    ]
    for prediction in predictions:
        assert prediction.probabilities is not None
        predicted = int(prediction.probabilities.argmax())
        index = classes.index(predicted) if predicted in classes else None
        pixels = draw_bars(prediction.probabilities[list(classes)], true, index, bars_size)
        panels.append(Panel(prediction.label, prediction.note, pixels))
    return panels


def select_classes(probabilities: Sequence[NDArray[np.float64]], true: int) -> tuple[int, ...]:
    """Return up to MAX_CLASSES classes in order: the true one, and the most probable ones of any predictor."""
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


def _make_legend(task: Task) -> list[LegendEntry]:
    """Return the entries of the legend; classification has none, because its bars have labels."""
    match task.type:
        case "segmentation":
            areas = [LegendEntry("area", get_color(i), name) for i, name in enumerate(task.class_names) if i > 0]
            return [LegendEntry("dashes", WHITE, "truth"), *areas]
        case "detection":
            return [LegendEntry("dashes", WHITE, "truth"), LegendEntry("line", get_color(1), "prediction")]
        case "regression":
            areas = [LegendEntry("area", get_color(i), name) for i, name in enumerate(task.class_names, start=1)]
            return [LegendEntry("circle", WHITE, "truth"), LegendEntry("cross", WHITE, "prediction"), *areas]
        case "classification":
            return []
        case _:
            assert_never(task.type)
