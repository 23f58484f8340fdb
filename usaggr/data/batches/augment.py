"""Augmentation of a batch: a small rotation, zoom, shift and change of grey values, keyed by sample.

Written here because each example's draw must depend on the task's stream alone, not on what else is in the batch:
kornia, torchvision and albumentations draw from one generator for a whole batch. Images and masks are resampled in one
call for the batch; boxes and landmarks follow the same map. No mirroring: left and right mean something in ultrasound.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from usaggr.config.study import AugmentConfig


@dataclass(frozen=True)
class Transform:
    """One example's augmentation: an affine map of the unit square, and a curve of grey values.

    The map is `new = matrix @ (old - 1/2) + 1/2 + shift` in (x, y) of [0, 1].
    """

    matrix: np.ndarray
    """(2, 2)"""
    shift: np.ndarray
    """(2,)"""
    gain: float
    offset: float
    gamma: float

    def points(self, points: np.ndarray) -> np.ndarray:
        """Where points (N, 2) of the unit square go."""
        moved: np.ndarray = (points - 0.5) @ self.matrix.T + 0.5 + self.shift
        return moved

    def box(self, box: np.ndarray) -> np.ndarray:
        """Box (4,) around the ellipse that a box holds, after the map: lesions are round rather than square."""
        centre = self.points((box[None, :2] + box[None, 2:]) / 2)[0]
        half = np.sqrt(((self.matrix * ((box[2:] - box[:2]) / 2)) ** 2).sum(axis=1))
        return np.concatenate([centre - half, centre + half])

    def softened(self) -> "Transform":
        """The same with half the movement."""
        return Transform((self.matrix + np.eye(2)) / 2, self.shift / 2, self.gain, self.offset, self.gamma)


_CPU = torch.device("cpu")
IDENTITY = Transform(np.eye(2), np.zeros(2), 1.0, 0.0, 1.0)


def draw_transform(config: AugmentConfig, key: int, size: tuple[int, int]) -> Transform:
    """The augmentation that belongs to a key, for images of (height, width)."""
    rng = np.random.default_rng(key)
    angle, zoom, x, y, gain, offset, gamma = rng.uniform(-1, 1, 7)
    angle = np.deg2rad(config.rotate * angle)
    factor = (1 + config.scale) ** zoom
    rotation = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pixels = np.array([size[1], size[0]], dtype=float)
    matrix = rotation * pixels[None, :] / pixels[:, None]
    shift = config.translate * np.array([x, y])
    return Transform(matrix, shift, 1 + config.gain * gain, config.offset * offset, 2.0 ** (config.gamma * gamma))


def fitting_transform(transform: Transform, points: np.ndarray | None, box: np.ndarray | None) -> Transform:
    """The transform, softened until landmarks and the box's centre stay in the image: a label must not vanish."""
    marks = points if points is not None else (box[None, :2] + box[None, 2:]) / 2 if box is not None else None
    if marks is None:
        return transform
    for _ in range(6):
        moved = transform.points(marks)
        if moved.min() >= 0 and moved.max() <= 1:
            return transform
        transform = transform.softened()
    return Transform(IDENTITY.matrix, IDENTITY.shift, transform.gain, transform.offset, transform.gamma)


def sampling_grid(transforms: list[Transform], size: tuple[int, int], device: torch.device = _CPU) -> Tensor:
    """Where each output pixel is read from: (N, H, W, 2) on a device, for `grid_sample` with align_corners=False."""
    inverse = np.linalg.inv(np.stack([transform.matrix for transform in transforms]))
    shifts = np.stack([transform.shift for transform in transforms])[:, :, None]
    # In grid_sample's coordinates, 2 u - 1, the centre is 0 and shifts count double.
    thetas = np.concatenate([inverse, -2 * inverse @ shifts], axis=2).astype(np.float32)
    moved = on_device(torch.from_numpy(thetas), device)
    y, x = (((2 * torch.arange(side, device=device) + 1) / side - 1)[None, :, None] for side in size)
    # A map of a regular grid is a sum of what rows and columns add: far less work than affine_grid's product.
    rows = moved[:, None, :, 1] * y + moved[:, None, :, 2]
    columns = moved[:, None, :, 0] * x
    return rows[:, :, None] + columns[:, None]


def augment_images(images: Tensor, transforms: list[Transform], grid: Tensor) -> Tensor:
    """Images (N, C, H, W) float32 in [0, 1], moved and with their grey values changed; still in [0, 1]."""
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    greys = torch.tensor([(t.gain, t.offset, t.gamma) for t in transforms], dtype=torch.float32)
    gain, offset, gamma = on_device(greys, images.device)[:, :, None, None, None].unbind(dim=1)
    # A power by its logarithm, in place, takes a third of the time of `**`.
    return moved.mul_(gain).add_(offset).clamp_(1e-6, 1).log_().mul_(gamma).exp_()


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device; a GPU is sent it from pinned memory, without waiting for the copy."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def augment_masks(masks: Tensor, grid: Tensor) -> Tensor:
    """Masks (N, H, W) uint8, moved; what comes from outside the image is background."""
    moved = F.grid_sample(masks[:, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved[:, 0].to(masks.dtype)
