"""Results of a model for one image, by task type, in pixels of the image as it was given."""

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from usaggr.results.predictions import Prediction
from usaggr.tasks import Task


@dataclass(frozen=True)
class SegmentationResult:
    """Class of each pixel."""

    task: str
    mask: NDArray[np.uint8]
    """(H, W), at the size of the image: indices into `classes`."""
    classes: tuple[str, ...]
    """Names of the classes; the first is the background."""


@dataclass(frozen=True)
class ClassificationResult:
    """Class of the image."""

    task: str
    probabilities: NDArray[np.float64]
    """(K,), which sum to 1; not calibrated."""
    class_index: int
    """Index of the most probable class."""
    class_name: str
    """Name of the most probable class."""
    classes: tuple[str, ...]
    """Names of the K classes."""


@dataclass(frozen=True)
class BoxResult:
    """One box."""

    task: str
    box: NDArray[np.float64]
    """(4,): x_min, y_min, x_max, y_max in pixels of the image."""


@dataclass(frozen=True)
class LandmarksResult:
    """Landmarks, in the order of the task's points."""

    task: str
    points: NDArray[np.float64]
    """(P, 2): x, y in pixels of the image."""
    names: tuple[str, ...]
    """Names of the P points."""


Result = SegmentationResult | ClassificationResult | BoxResult | LandmarksResult
"""Result of any task type."""


def make_result(task: Task, prediction: Prediction) -> Result:
    """Make the result of a prediction, with the names that its task gives to classes and points."""
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
