"""Training losses per sample; nothing here averages over a batch, because the objective weighs samples.

Each loss is about 1 for a prediction that ignores the image and 0 for a perfect one. In a batch that mixes tasks, no
task type then dominates the others.
"""

import math
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from usaggr.config.study import TrainingConfig
from usaggr.tasks import Task

DICE_SMOOTH = 1.0
"""Pixels added to both sides of the Dice ratio, so that a class that is absent and not predicted has loss 0."""
BOX_L1_WEIGHT = 2.0
"""Weight of the mean distance of a box's edges, relative to the GIoU term."""
LANDMARK_SCALE = 5.0
"""Factor on the distance of landmarks: predictions that ignore the image are typically off by 1/5 of its size."""


def sample_losses(task: Task, outputs: Tensor, targets: Tensor, training: TrainingConfig) -> Tensor:
    """Return the training loss of each of n samples of a task: (n,).

    Args:
        task: Task of all samples.
        outputs: Outputs of the network: logits (n, K, H, W) or (n, K), boxes (n, 4) or points (n, P, 2) in [0, 1].
        targets: Masks (n, H, W) int64, classes (n,) int64, boxes (n, 4) or points (n, P, 2) in [0, 1].
        training: Configuration; `compute_segmentation_loss` selects the loss of masks.
    """
    # Half precision has too few digits for sums over pixels.
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    match task.type:
        case "segmentation":
            return compute_segmentation_loss(outputs, targets, cross_entropy=training.segmentation_loss == "dice_ce")
        case "classification":
            return F.cross_entropy(outputs, targets, reduction="none") / math.log(task.num_classes)
        case "detection":
            return box_loss(outputs, targets)
        case "regression":
            return landmark_loss(outputs, targets)
        case _:
            assert_never(task.type)


def compute_segmentation_loss(logits: Tensor, masks: Tensor, cross_entropy: bool) -> Tensor:
    """Return the Dice loss (n,), or its mean with the cross-entropy.

    The cross-entropy is divided by log K, so that it is 1 for equal probabilities, as the Dice loss is about 1.

    Args:
        logits: (n, K, H, W).
        masks: (n, H, W) int64 in [0, K).
        cross_entropy: Include the cross-entropy, with weight 0.5.
    """
    dice = dice_loss(logits.softmax(dim=1), masks)
    if not cross_entropy:
        return dice
    entropy = F.cross_entropy(logits, masks, reduction="none").mean(dim=(1, 2)) / math.log(logits.shape[1])
    return 0.5 * (dice + entropy)


def dice_loss(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Return 1 - soft Dice of each sample (n,), the mean over foreground classes.

    Milletari et al., V-Net, 3DV 2016, with sums instead of squares in the denominator.

    Args:
        probabilities: (n, K, H, W); class 0 is the background.
        masks: (n, H, W) int64 in [0, K).
    """
    truth = F.one_hot(masks, probabilities.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(probabilities.dtype)
    foreground = probabilities[:, 1:]
    overlap = (foreground * truth).sum(dim=(2, 3))
    total = foreground.sum(dim=(2, 3)) + truth.sum(dim=(2, 3))
    return (1 - (2 * overlap + DICE_SMOOTH) / (total + DICE_SMOOTH)).mean(dim=1)


def box_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - GIoU + weighted mean distance of the four edges (n,), for pairs of boxes (n, 4) in [0, 1]."""
    return 1 - generalized_iou(predicted, truth) + BOX_L1_WEIGHT * (predicted - truth).abs().mean(dim=1)


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the GIoU in [-1, 1] of pairs of boxes (n, 4) x_min y_min x_max y_max: (n,).

    It is 0 for two boxes that are the same point, where the formula would divide by 0.

    Rezatofighi et al., Generalized Intersection over Union, CVPR 2019.
    """
    overlap = _compute_areas(torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:]))
    union = _compute_areas(a[:, :2], a[:, 2:]) + _compute_areas(b[:, :2], b[:, 2:]) - overlap
    hull = _compute_areas(torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:]))
    tiny = torch.finfo(a.dtype).tiny  # smallest divisor; changes no box of positive area
    return overlap / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def landmark_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the scaled mean distance over points (n,), for pairs of landmark sets (n, P, 2) in [0, 1]."""
    squares = (predicted - truth).square().sum(dim=2)
    # The square root has an infinite slope at 0, which would give NaN for a point that is exactly right.
    return LANDMARK_SCALE * (squares + 1e-12).sqrt().mean(dim=1)


def _compute_areas(low: Tensor, high: Tensor) -> Tensor:
    """Return the areas (n,) of boxes from their corners (n, 2); 0 if a corner `high` is below `low`."""
    return (high - low).clamp(min=0).prod(dim=1)
