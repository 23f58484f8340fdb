"""The predictor that ignores the image: what a score is worth is told against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.results.predictions import Prediction
from usaggr.tasks import Task

LEVELS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Of the mean mask: the constant mask is one of its level sets."""


@dataclass(frozen=True)
class TrivialPredictor:
    """Gives every image of a task the same answer, at the image's own size."""

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
            case _:
                assert_never(self.task.type)


def fit_trivial(task: Task, targets: NDArray[Any] | Sequence[NDArray[np.uint8]]) -> TrivialPredictor:
    """The best-known constant answer for a task's training labels.

    Args:
        task: decides what the targets are.
        targets: masks, N times (h, w) uint8, read one after another; classes (N,), boxes (N, 4) or points (N, P, 2) as
            fractions of the sides.

    Raises:
        ValueError: no targets.
    """
    if len(targets) == 0:
        raise ValueError(f"{task.id}: no training label to learn a constant answer from")
    match task.type:
        case "segmentation":
            return TrivialPredictor(task, constant_mask(targets, task.num_classes))
        case "classification":
            return TrivialPredictor(task, np.bincount(targets, minlength=task.num_classes) / len(targets))
        case "detection" | "regression":
            return TrivialPredictor(task, np.mean(targets, axis=0))
        case _:
            assert_never(task.type)


def constant_mask(masks: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], num_classes: int) -> NDArray[np.uint8]:
    """The level set of the mean mask that has the highest mean DSC with the masks, N times (h, w), it comes from.

    A pixel has its most frequent foreground class where that class's share of the masks reaches the level. Thresholding
    at one half alone would leave no foreground where lesions wander, and any blob would beat it. Of equally good levels
    the highest is taken.
    """
    shares = _shares(masks, num_classes)[1:]
    foreground = (shares.argmax(axis=0) + 1).astype(np.uint8)
    highest = shares.max(axis=0)
    reached = np.sum([highest >= level for level in LEVELS], axis=0)
    quality = _mean_dsc_by_level(masks, foreground, reached, num_classes).round(12)  # a tie stays a tie
    inside = reached >= len(LEVELS) - int(quality.argmax())
    return np.where(inside, foreground, 0).astype(np.uint8)


def _shares(masks: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], num_classes: int) -> NDArray[np.float64]:
    """How often each pixel has each class: (K, h, w)."""
    counts = np.zeros((num_classes, *masks[0].shape), np.int32)
    for mask in masks:  # one by one: the masks of a task can fill a good part of the memory as they are
        for label in range(num_classes):
            counts[label] += mask == label
    return counts / len(masks)


def _mean_dsc_by_level(
    masks: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    foreground: NDArray[np.uint8],
    reached: NDArray[np.integer],
    num_classes: int,
) -> NDArray[np.float64]:
    """Mean DSC over masks and foreground classes of the constant mask at each of LEVELS: (L,).

    Level sets lie in one another. So each pixel is in one cell, of its class and how many levels it reaches, and all
    levels' overlaps with a mask are running sums over the cells' counts.
    """
    cells = foreground.astype(np.intp) * (len(LEVELS) + 1) + reached
    shape = (num_classes, len(LEVELS) + 1)

    def within(chosen: NDArray[np.intp]) -> NDArray[np.intp]:
        """Pixels of each foreground class within each level, the highest first: (K - 1, L)."""
        by_cell = np.bincount(chosen, minlength=shape[0] * shape[1]).reshape(shape)
        return by_cell[1:, :0:-1].cumsum(axis=1)

    constant = within(cells.ravel())
    total = np.zeros(len(LEVELS))
    for mask in masks:
        size = np.bincount(mask.ravel(), minlength=num_classes)[1:num_classes, None] + constant
        shared = within(cells[mask == foreground])
        total += np.where(size > 0, 2 * shared / np.maximum(size, 1), 1.0).mean(axis=0)
    return total / len(masks)
