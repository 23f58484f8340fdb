"""Training losses, one a sample, each of order one at the start, so that no task type outweighs the others."""

import torch
from torch import Tensor
from torch.nn import functional as F

from usaggr.config import TrainingConfig
from usaggr.tasks import Task

BOX_WEIGHT = 5.0
"""Of the L1 distance of boxes beside their GIoU, as in DETR (Carion et al. 2020)."""
LANDMARK_WEIGHT = 5.0
"""Landmarks are off by a fifth of the image at the start."""


def sample_losses(task: Task, outputs: Tensor, targets: Tensor, training: TrainingConfig) -> Tensor:
    """Training loss of each sample: (n,).

    Args:
        task: decides which loss.
        outputs: of the task's head: logits (n, K, H, W) or (n, K), boxes (n, 4) or points (n, P, 2) in [0, 1].
        targets: masks (n, H, W) or classes (n,) int64, boxes (n, 4) or points (n, P, 2) in [0, 1].
        training: says which loss segmentation takes.
    """
    outputs = outputs.float()
    match task.type:
        case "segmentation":
            losses = dice_losses(outputs, targets)
            if training.segmentation_loss == "dice_ce":
                losses = losses + F.cross_entropy(outputs, targets, reduction="none").mean(dim=(1, 2))
            return losses
        case "classification":
            return F.cross_entropy(outputs, targets, reduction="none")
        case "detection":
            distance = (outputs - targets).abs().mean(dim=1)
            return BOX_WEIGHT * distance + 1 - generalized_iou(outputs, targets)
        case "regression":
            # The square root's slope has no limit at 0, so a little is added under it.
            distance = ((outputs - targets).square().sum(dim=2) + 1e-8).sqrt()
            return LANDMARK_WEIGHT * distance.mean(dim=1)


def dice_losses(logits: Tensor, targets: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - soft Dice (Milletari et al. 2016, with sums for squares), a mean over foreground classes: (n,).

    Logits (n, K, H, W), targets (n, H, W). `smooth` makes an empty class that is predicted empty a perfect one.
    """
    probabilities = logits.softmax(dim=1)[:, 1:].flatten(2)
    truth = F.one_hot(targets, logits.shape[1]).permute(0, 3, 1, 2)[:, 1:].flatten(2).to(probabilities.dtype)
    shared = (probabilities * truth).sum(dim=2)
    total = probabilities.sum(dim=2) + truth.sum(dim=2)
    return (1 - (2 * shared + smooth) / (total + smooth)).mean(dim=1)


def generalized_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """GIoU (Rezatofighi et al. 2019) of boxes (n, 4), pair by pair: (n,) in [-1, 1]."""
    shared = _area(torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:]))
    hull = _area(torch.minimum(boxes[:, :2], others[:, :2]), torch.maximum(boxes[:, 2:], others[:, 2:]))
    union = _area(boxes[:, :2], boxes[:, 2:]) + _area(others[:, :2], others[:, 2:]) - shared
    tiny = torch.finfo(boxes.dtype).eps
    return shared / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(dim=1)
