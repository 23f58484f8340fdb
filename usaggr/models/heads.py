"""Heads, one per task, from a map of the network to the output of the task.

In mh_mtl, as in the benchmark's baseline, heads for segmentation, detection and heat-map landmarks read the decoder's
map; heads for classification and direct landmarks read the encoder's last map. In m2dino all heads read the decoder's.
"""

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_head  # type: ignore[import-untyped]
from torch import Tensor, nn

from usaggr.config.model import ModelConfig
from usaggr.tasks import Task

Source = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class HeadMaps:
    """Maps that a network offers its heads."""

    decoder_channels: int
    decoder_stride: float
    """Input pixels per pixel of the decoder's map, in each direction."""
    pooled: Source
    """Map for heads whose output has no position in the image, which average it."""
    pooled_channels: int


class Head(nn.Module):
    """Base class of all heads; `reads` names the map that is passed to `forward`."""

    def __init__(self, reads: Source = "decoder") -> None:
        super().__init__()
        self.reads: Source = reads


class SegmentationHead(Head):
    """Head from the decoder's map (n, C, H / stride, W / stride) to logits (n, K, H, W).

    Args:
        channels: C, the channels of the map.
        classes: K, the number of classes including the background.
        stride: Input pixels per pixel of the map.
    """

    def __init__(self, channels: int, classes: int, stride: float) -> None:
        super().__init__()
        self.stride = stride
        self.logits = nn.Conv2d(channels, classes, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits at the size of the input."""
        return F.interpolate(self.logits(maps), scale_factor=self.stride, mode="bilinear", align_corners=False)


class ClassificationHead(Head):
    """Head from a map (n, C, h, w) to logits (n, K), through the mean over positions.

    Args:
        channels: C, the channels of the map.
        classes: K, the number of classes.
        dropout: Probability that a channel of the mean is set to 0 in training.
        reads: Map that the head reads.
    """

    def __init__(self, channels: int, classes: int, dropout: float, reads: Source) -> None:
        super().__init__(reads)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(channels, classes)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the logits of the classes."""
        logits: Tensor = self.logits(self.dropout(maps.mean(dim=(2, 3))))
        return logits


class HeatmapHead(Head):
    """Head from the decoder's map (n, C, h, w) to landmarks (n, P, 2), the centers of mass of P heat maps.

    Coordinates are x, y in [0, 1].

    Nibali et al., Numerical Coordinate Regression with Convolutional Neural Networks, 2018.
    """

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.heatmaps = nn.Conv2d(channels, points, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the landmarks of each sample."""
        return compute_center_of_mass(spatial_softmax(self.heatmaps(maps)))


class DirectHead(Head):
    """Head from a map (n, C, h, w) to landmarks (n, P, 2) by a linear layer; x, y in [0, 1].

    The map is pooled to a coarse grid instead of one mean, which would lose positions.

    Args:
        channels: C, the channels of the map.
        points: P, the number of landmarks.
        reads: Map that the head reads.
    """

    GRID = 4
    """Cells per side of the grid."""

    def __init__(self, channels: int, points: int, reads: Source) -> None:
        super().__init__(reads)
        self.coordinates = nn.Linear(channels * self.GRID**2, 2 * points)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the landmarks of each sample."""
        pooled = F.adaptive_avg_pool2d(maps, self.GRID).flatten(1)
        coordinates: Tensor = self.coordinates(pooled)
        return coordinates.sigmoid().reshape(len(maps), -1, 2)


class DetectionHead(Head):
    """Head from the decoder's map (n, C, h, w) to one box (n, 4): x_min y_min x_max y_max in [0, 1], min <= max.

    Each edge of the box is the center of mass of its own heat map, in x or in y. In a comparison this was learned
    faster than center and size from pooled features, because the map shows an edge where it is.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.Conv2d(channels, 4, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the box of each sample."""
        centers = compute_center_of_mass(spatial_softmax(self.edges(maps)))
        # The first two heat maps are of the vertical edges, the others of the horizontal ones, in no order.
        x, y = centers[:, :2, 0], centers[:, 2:, 1]
        return torch.stack([x.amin(dim=1), y.amin(dim=1), x.amax(dim=1), y.amax(dim=1)], dim=1)


def build_head(task: Task, model: ModelConfig, maps: HeadMaps) -> Head:
    """Build the head of a task, with initial weights from torch's global generator.

    Args:
        task: Task of the head.
        model: Configuration of the network.
        maps: Maps that the network offers its heads.
    """
    match task.type:
        case "segmentation":
            return SegmentationHead(maps.decoder_channels, task.num_classes, maps.decoder_stride)
        case "classification":
            return ClassificationHead(maps.pooled_channels, task.num_classes, model.dropout, maps.pooled)
        case "detection":
            return DetectionHead(maps.decoder_channels)
        case "regression":
            if model.landmarks == "direct":
                return DirectHead(maps.pooled_channels, task.num_classes, maps.pooled)
            return HeatmapHead(maps.decoder_channels, task.num_classes)
        case _:
            assert_never(task.type)


def spatial_softmax(logits: Tensor) -> Tensor:
    """Return the softmax over positions of logits (n, P, h, w): probabilities that sum to 1 over each map."""
    # Half precision has too few digits for sums over all positions.
    precision = torch.promote_types(logits.dtype, torch.float32)
    return logits.flatten(2).softmax(dim=2, dtype=precision).view_as(logits)


def compute_center_of_mass(maps: Tensor) -> Tensor:
    """Return the mean positions (n, P, 2), x, y in [0, 1], of distributions (n, P, h, w) over pixels."""
    height, width = maps.shape[-2:]
    # + 0.5: a pixel stands for its center.
    x = (torch.arange(width, device=maps.device, dtype=maps.dtype) + 0.5) / width
    y = (torch.arange(height, device=maps.device, dtype=maps.dtype) + 0.5) / height
    return torch.stack([(maps.sum(dim=2) * x).sum(dim=2), (maps.sum(dim=3) * y).sum(dim=2)], dim=2)
