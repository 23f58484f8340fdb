"""Where labels lie in the image, over all samples of a task: a map of foreground, boxes or landmarks.

Each image is stretched to a square. What a map shows without any image is what a trivial predictor can know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.data.check.image_scan import MAP, Looks
from usaggr.data.samples import Dataset, Sample
from usaggr.tasks import Task, has_mask_label


@dataclass(frozen=True)
class LabelMap:
    """Where the labels of a task lie."""

    task: str
    name: str
    """What the map is of: foreground, box, or a landmark's name."""
    shares: NDArray[np.float64]
    """(MAP, MAP): share of samples that have it there, in [0, 1]; of a landmark, share of samples in each cell."""


@dataclass(frozen=True)
class ClassShares:
    """Share of pixels of each class over the masks of a segmentation task."""

    task: str
    shares: dict[str, float]
    """Class: mean share of an image's pixels, in [0, 1]; the background too."""


def class_shares(dataset: Dataset, looks: Looks) -> list[ClassShares]:
    """An entry a segmentation task."""
    found = []
    for task in dataset.tasks.values():
        if has_mask_label(task.type):
            masks = [looks.masks[s.label_hash, task.num_classes].shares for s in dataset.by_task[task.id]]
            means = np.mean(masks, axis=0)
            found.append(ClassShares(task.id, {name: float(means[i]) for i, name in enumerate(task.class_names)}))
    return found


def label_maps(dataset: Dataset, looks: Looks) -> list[LabelMap]:
    """Maps of all tasks but those of classification, in the order of tasks; one for each landmark."""
    found: list[LabelMap] = []
    for task in dataset.tasks.values():
        samples = dataset.by_task[task.id]
        match task.type:
            case "segmentation":
                found.append(LabelMap(task.id, "foreground", _foreground(task, samples, looks)))
            case "detection":
                found.append(LabelMap(task.id, "box", _boxes(samples)))
            case "regression":
                found += [LabelMap(task.id, name, _points(samples, i)) for i, name in enumerate(task.class_names)]
            case "classification":
                pass
            case _:
                assert_never(task.type)
    return found


def _foreground(task: Task, samples: Sequence[Sample], looks: Looks) -> NDArray[np.float64]:
    total = np.zeros((MAP, MAP))
    for sample in samples:
        total += looks.masks[sample.label_hash, task.num_classes].foreground
    return total / (255 * len(samples))


def _boxes(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Share of boxes that cover each cell's centre."""
    total = np.zeros((MAP, MAP))
    centres = (np.arange(MAP) + 0.5) / MAP
    for sample in samples:
        if sample.box is not None:
            x_min, y_min, x_max, y_max = sample.box
            rows = (centres >= y_min / sample.height) & (centres < y_max / sample.height)
            columns = (centres >= x_min / sample.width) & (centres < x_max / sample.width)
            total += rows[:, None] & columns[None, :]
    return total / len(samples)


def _points(samples: Sequence[Sample], number: int) -> NDArray[np.float64]:
    total = np.zeros((MAP, MAP))
    for sample in samples:
        if sample.points is not None:
            x, y = sample.points[number]
            row, column = int(MAP * y / sample.height), int(MAP * x / sample.width)
            total[min(max(row, 0), MAP - 1), min(max(column, 0), MAP - 1)] += 1
    return total / len(samples)
