"""What a model says of an image, in pixels of that image as it was given."""

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.results.predictions import Prediction
from usaggr.tasks import Task


@dataclass(frozen=True)
class SegmentationResult:
    """A class for each pixel."""

    task: str
    mask: NDArray[np.uint8]
    """(H, W), of the image's size: places in `classes`."""
    classes: tuple[str, ...]
    """Names; the first is the background."""


@dataclass(frozen=True)
class ClassificationResult:
    """A class for the image."""

    task: str
    probabilities: NDArray[np.float64]
    """(K,), sum 1."""
    class_index: int
    """The most probable one."""
    class_name: str
    classes: tuple[str, ...]
    """K names."""


@dataclass(frozen=True)
class BoxResult:
    """One box."""

    task: str
    box: NDArray[np.float64]
    """(4,): x_min, y_min, x_max, y_max in pixels of the image."""


@dataclass(frozen=True)
class LandmarksResult:
    """Landmarks, in their order."""

    task: str
    points: NDArray[np.float64]
    """(P, 2): x, y in pixels of the image."""
    names: tuple[str, ...]
    """P names."""


Result = SegmentationResult | ClassificationResult | BoxResult | LandmarksResult
"""By the task's type."""


def result_of(task: Task, prediction: Prediction) -> Result:
    """A prediction with the names that its task gives to classes and points."""
    match task.type:
        case "segmentation":
            assert prediction.mask is not None
            return SegmentationResult(task.id, prediction.mask, task.class_names)
        case "classification":
            assert prediction.probs is not None
            index = int(prediction.probs.argmax())
            return ClassificationResult(task.id, prediction.probs, index, task.class_names[index], task.class_names)
        case "detection":
            assert prediction.box is not None
            return BoxResult(task.id, prediction.box)
        case "regression":
            assert prediction.points is not None
            return LandmarksResult(task.id, prediction.points, task.class_names)
        case _:
            assert_never(task.type)
