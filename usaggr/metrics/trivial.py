"""The predictor that ignores the image: what a score is worth is told against it."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.metrics.predictions import Prediction
from usaggr.tasks import Task

LEVELS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Of the mean mask: the constant mask is one of its level sets."""


@dataclass(frozen=True)
class TrivialPredictor:
    """Gives every image of a task the same answer."""

    task: Task
    answer: NDArray[Any]
    """Class frequencies (K,), a mask (h, w) uint8, a box (4,) or points (P, 2) as fractions of the image's sides."""

    def predict(self, sample_id: str, subject_id: str, height: int, width: int) -> Prediction:
        """The answer in pixels of an image of this size."""
        sides = np.array([width, height], dtype=float)
        match self.task.type:
            case "segmentation":
                mask = cv2.resize(self.answer, (width, height), interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint8)
                return Prediction(self.task.id, sample_id, subject_id, mask=mask)
            case "classification":
                return Prediction(self.task.id, sample_id, subject_id, probs=self.answer)
            case "detection":
                return Prediction(self.task.id, sample_id, subject_id, box=self.answer * np.tile(sides, 2))
            case "regression":
                return Prediction(self.task.id, sample_id, subject_id, points=self.answer * sides)


def fit_trivial(task: Task, targets: NDArray[Any]) -> TrivialPredictor:
    """The best-known constant answer for a task's training labels.

    Args:
        task: decides what the targets are.
        targets: masks (N, h, w) uint8, classes (N,), boxes (N, 4) or points (N, P, 2) as fractions of the sides.
    """
    match task.type:
        case "segmentation":
            return TrivialPredictor(task, constant_mask(targets, task.num_classes))
        case "classification":
            return TrivialPredictor(task, np.bincount(targets, minlength=task.num_classes) / len(targets))
        case "detection" | "regression":
            return TrivialPredictor(task, targets.mean(axis=0))


def constant_mask(masks: NDArray[np.uint8], num_classes: int) -> NDArray[np.uint8]:
    """The level set of the mean mask that has the highest mean DSC with the masks it comes from.

    Thresholding at one half alone would leave no foreground where lesions wander, and any blob would beat it.
    """
    shares = np.stack([(masks == label).mean(axis=0) for label in range(num_classes)])
    foreground = (shares[1:].argmax(axis=0) + 1).astype(np.uint8)
    height = shares[1:].max(axis=0)
    candidates = [np.where(height >= level, foreground, 0).astype(np.uint8) for level in LEVELS]
    return max(candidates, key=lambda candidate: _mean_dsc(masks, candidate, num_classes))


def _mean_dsc(masks: NDArray[np.uint8], constant: NDArray[np.uint8], num_classes: int) -> float:
    values = []
    for label in range(1, num_classes):
        truth, predicted = masks == label, constant == label
        total = truth.sum(axis=(1, 2)) + predicted.sum()
        shared = (truth & predicted).sum(axis=(1, 2))
        values.append(np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0).mean())
    return float(np.mean(values))
