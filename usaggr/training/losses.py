"""Training losses, one a sample: the objective weighs samples, so nothing here averages over a batch.

Each is about 1 for a prediction that ignores the image and 0 for a perfect one, so that in a batch that mixes tasks no
task type drowns the others.
"""

import math
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from usaggr.config.study import TrainingConfig
from usaggr.tasks import Task

DICE_SMOOTH = 1.0
"""Pixels added to both sides of the Dice ratio: a class that is absent and not predicted costs nothing."""
BOX_L1_WEIGHT = 2.0
"""Of the mean distance of a box's edges, beside its GIoU."""
LANDMARK_SCALE = 5.0
"""Landmarks that ignore the image are typically off by a fifth of the image."""


def sample_losses(task: Task, outputs: Tensor, targets: Tensor, training: TrainingConfig) -> Tensor:
    """Training losses (n,) of n samples of a task.

    Args:
        task: whose samples they are.
        outputs: of the network: logits (n, K, H, W) or (n, K), boxes (n, 4) or points (n, P, 2) in [0, 1].
        targets: masks (n, H, W) int64, classes (n,) int64, boxes (n, 4) or points (n, P, 2) in [0, 1].
        training: says which segmentation loss.
    """
    # Half precision has too few digits for sums over pixels.
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    match task.type:
        case "segmentation":
            return segmentation_loss(outputs, targets, cross_entropy=training.segmentation_loss == "dice_ce")
        case "classification":
            return F.cross_entropy(outputs, targets, reduction="none") / math.log(task.num_classes)
        case "detection":
            return box_loss(outputs, targets)
        case "regression":
            return landmark_loss(outputs, targets)
        case _:
            assert_never(task.type)


def segmentation_loss(logits: Tensor, masks: Tensor, cross_entropy: bool) -> Tensor:
    """Dice loss, or the mean of Dice loss and cross-entropy in units of that of equal probabilities.

    Args:
        logits: (n, K, H, W).
        masks: (n, H, W) int64 in [0, K).
        cross_entropy: whether it has a share.
    """
    dice = dice_loss(logits.softmax(dim=1), masks)
    if not cross_entropy:
        return dice
    entropy = F.cross_entropy(logits, masks, reduction="none").mean(dim=(1, 2)) / math.log(logits.shape[1])
    return 0.5 * (dice + entropy)


def dice_loss(probabilities: Tensor, masks: Tensor) -> Tensor:
    """1 - soft Dice of each sample (n,), mean over the foreground classes.

    Milletari et al., V-Net, 3DV 2016, with sums and not squares below the line.

    Args:
        probabilities: (n, K, H, W), class 0 is the background.
        masks: (n, H, W) int64 in [0, K).
    """
    truth = F.one_hot(masks, probabilities.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(probabilities.dtype)
    found = probabilities[:, 1:]
    overlap = (found * truth).sum(dim=(2, 3))
    total = found.sum(dim=(2, 3)) + truth.sum(dim=(2, 3))
    return (1 - (2 * overlap + DICE_SMOOTH) / (total + DICE_SMOOTH)).mean(dim=1)


def box_loss(found: Tensor, truth: Tensor) -> Tensor:
    """1 - GIoU plus the weighted mean distance of the four edges, of pairs of boxes (n, 4) in [0, 1]."""
    return 1 - generalised_iou(found, truth) + BOX_L1_WEIGHT * (found - truth).abs().mean(dim=1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """GIoU in [-1, 1] of pairs of boxes (n, 4) x_min y_min x_max y_max; 0 for two boxes that are the same point.

    Rezatofighi et al., Generalized Intersection over Union, CVPR 2019.
    """
    overlap = _area(torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:]))
    union = _area(a[:, :2], a[:, 2:]) + _area(b[:, :2], b[:, 2:]) - overlap
    hull = _area(torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:]))
    tiny = torch.finfo(a.dtype).tiny
    return overlap / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def landmark_loss(found: Tensor, truth: Tensor) -> Tensor:
    """Mean distance over points, scaled, of pairs of landmark sets (n, P, 2) in [0, 1]."""
    squares = (found - truth).square().sum(dim=2)
    # The root has no slope at 0: a point that is exactly right must not yield NaN.
    return LANDMARK_SCALE * (squares + 1e-12).sqrt().mean(dim=1)


def _area(low: Tensor, high: Tensor) -> Tensor:
    """Areas (n,) of boxes from their corners (n, 2); 0 where they are inside out."""
    return (high - low).clamp(min=0).prod(dim=1)
