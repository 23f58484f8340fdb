"""Maps of the positions of a task's labels (foreground of masks, boxes or landmarks), averaged over all samples.

Each image is stretched to a square. If a label is always at the same position, it can be predicted without the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.data.check.image_scan import MAP_SIZE, ImageScan
from usaggr.data.samples import Dataset, Sample
from usaggr.tasks import Task, has_mask_label


@dataclass(frozen=True)
class LabelMap:
    """Map of the positions of one label of a task."""

    task: str
    name: str
    """Label on the map: "foreground", "box", or a landmark's name."""
    shares: NDArray[np.float64]
    """(MAP_SIZE, MAP_SIZE): share of samples whose label covers each cell, in [0, 1]; a landmark covers one cell."""


@dataclass(frozen=True)
class ClassShares:
    """Share of pixels of each class over the masks of a segmentation task."""

    task: str
    shares: dict[str, float]
    """Mean share of an image's pixels, in [0, 1], by class name; includes the background."""


def compute_class_shares(dataset: Dataset, scan: ImageScan) -> list[ClassShares]:
    """Return the mean share of pixels of each class, one entry per segmentation task."""
    entries = []
    for task in dataset.tasks.values():
        if has_mask_label(task.type):
            masks = [scan.masks[s.label_hash, task.num_classes].shares for s in dataset.by_task[task.id]]
            means = np.mean(masks, axis=0)
            entries.append(ClassShares(task.id, {name: float(means[i]) for i, name in enumerate(task.class_names)}))
    return entries


def compute_label_maps(dataset: Dataset, scan: ImageScan) -> list[LabelMap]:
    """Return one map per task, in the order of tasks: one per landmark for regression, none for classification."""
    maps: list[LabelMap] = []
    for task in dataset.tasks.values():
        samples = dataset.by_task[task.id]
        match task.type:
            case "segmentation":
                maps.append(LabelMap(task.id, "foreground", _average_foreground(task, samples, scan)))
            case "detection":
                maps.append(LabelMap(task.id, "box", _average_boxes(samples)))
            case "regression":
                for number, name in enumerate(task.class_names):
                    maps.append(LabelMap(task.id, name, _average_landmark(samples, number)))
            case "classification":
                pass
            case _:
                assert_never(task.type)
    return maps


def _average_foreground(task: Task, samples: Sequence[Sample], scan: ImageScan) -> NDArray[np.float64]:
    total = np.zeros((MAP_SIZE, MAP_SIZE))
    for sample in samples:
        total += scan.masks[sample.label_hash, task.num_classes].foreground
    return total / (255 * len(samples))


def _average_boxes(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return the share of boxes that cover each cell's center."""
    total = np.zeros((MAP_SIZE, MAP_SIZE))
    centers = (np.arange(MAP_SIZE) + 0.5) / MAP_SIZE
    for sample in samples:
        if sample.box is not None:
            x_min, y_min, x_max, y_max = sample.box
            covers_y = (centers >= y_min / sample.height) & (centers < y_max / sample.height)
            covers_x = (centers >= x_min / sample.width) & (centers < x_max / sample.width)
            total += covers_y[:, None] & covers_x[None, :]
    return total / len(samples)


def _average_landmark(samples: Sequence[Sample], number: int) -> NDArray[np.float64]:
    total = np.zeros((MAP_SIZE, MAP_SIZE))
    for sample in samples:
        if sample.points is not None:
            x, y = sample.points[number]
            row, column = int(MAP_SIZE * y / sample.height), int(MAP_SIZE * x / sample.width)
            # A landmark on the right or lower border of the image would be in a cell outside the map.
            total[min(max(row, 0), MAP_SIZE - 1), min(max(column, 0), MAP_SIZE - 1)] += 1
    return total / len(samples)
