"""Augmentation of a batch: a small rotation, zoom, shift and change of gray values for each example.

A stream is a task's sequence of samples and augmentations. The augmentation of an example must depend only on its
stream, not on the other samples of the batch. Kornia, torchvision and albumentations draw random numbers per batch, so
this module draws them per example, from a seed that the stream gives. Images and masks are resampled in one call per
batch. Boxes and landmarks are mapped in the same way. Images are not mirrored, because left and right have a meaning
in ultrasound.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from usaggr.config.study import AugmentConfig


@dataclass(frozen=True)
class Transform:
    """Augmentation of one example: an affine map of positions, and a curve of gray values.

    Positions (x, y) are fractions of width and height, so that the image is the unit square. An old position becomes
    `new = matrix @ (old - 1/2) + 1/2 + shift`. A gray value g in [0, 1] becomes `(gain * g + offset) ** gamma`.
    """

    matrix: np.ndarray
    """(2, 2) rotation and zoom about the center of the image."""
    shift: np.ndarray
    """(2,) shift as fractions of width and height."""
    gain: float
    """Factor of contrast; 1 changes nothing."""
    offset: float
    """Change of brightness; 0 changes nothing."""
    gamma: float
    """Exponent; 1 changes nothing."""

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """Map points (N, 2) of the unit square."""
        mapped: np.ndarray = (points - 0.5) @ self.matrix.T + 0.5 + self.shift
        return mapped

    def map_box(self, box: np.ndarray) -> np.ndarray:
        """Map a box (x_min, y_min, x_max, y_max) to the bounding box of its inscribed ellipse, after the map.

        Lesions are round rather than rectangular. A box around the four mapped corners would be too large for them.
        """
        center = self.map_points((box[None, :2] + box[None, 2:]) / 2)[0]
        # Half the width of a mapped ellipse is the Euclidean norm of a row of `matrix` times its two half axes.
        half_size = np.sqrt(((self.matrix * ((box[2:] - box[:2]) / 2)) ** 2).sum(axis=1))
        return np.concatenate([center - half_size, center + half_size])

    def soften(self) -> "Transform":
        """Return a transform with half the movement and the same gray values."""
        return Transform((self.matrix + np.eye(2)) / 2, self.shift / 2, self.gain, self.offset, self.gamma)


_CPU = torch.device("cpu")
IDENTITY = Transform(np.eye(2), np.zeros(2), 1.0, 0.0, 1.0)
"""Transform that changes nothing."""
MAX_SOFTENINGS = 6
"""Number of times that a movement is halved. At 1/64 of it, only points at the border are still outside."""


def draw_transform(config: AugmentConfig, key: int, size: tuple[int, int]) -> Transform:
    """Draw the augmentation of one example; the same key always gives the same augmentation.

    Args:
        config: maximum strength of each change.
        key: seed of the random numbers; the stream has one for each example.
        size: height and width of the images in pixels.
    """
    rng = np.random.default_rng(key)
    # Each value is a fraction in [-1, 1] of its maximum. Their order must not change, because the augmentations of
    # finished runs depend on it.
    angle, zoom, x, y, gain, offset, gamma = rng.uniform(-1, 1, 7)
    radians = np.deg2rad(config.rotate * angle)
    factor = (1 + config.scale) ** zoom
    rotation = factor * np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    # Convert the rotation from pixels to the unit square. A plain rotation of the unit square would shear images that
    # are not square.
    pixels = np.array([size[1], size[0]], dtype=float)
    matrix = rotation * pixels[None, :] / pixels[:, None]
    shift = config.translate * np.array([x, y])
    return Transform(matrix, shift, 1 + config.gain * gain, config.offset * offset, 2.0 ** (config.gamma * gamma))


def soften_until_inside(transform: Transform, points: np.ndarray | None, box: np.ndarray | None) -> Transform:
    """Soften a transform until landmarks and the box's center stay in the image, so that no label vanishes.

    Args:
        transform: the transform as it was drawn.
        points: (P, 2) landmarks in the unit square, or None.
        box: (4,) box in the unit square, or None.
    """
    if points is not None:
        inner_points = points
    elif box is not None:
        inner_points = (box[None, :2] + box[None, 2:]) / 2
    else:
        return transform
    for _ in range(MAX_SOFTENINGS):
        mapped = transform.map_points(inner_points)
        if mapped.min() >= 0 and mapped.max() <= 1:
            return transform
        transform = transform.soften()
    # A point at the border may still be outside: keep only the change of gray values.
    return Transform(IDENTITY.matrix, IDENTITY.shift, transform.gain, transform.offset, transform.gamma)


def make_sampling_grid(transforms: list[Transform], size: tuple[int, int], device: torch.device = _CPU) -> Tensor:
    """Return the position in the original image from which each pixel of the augmented image is read.

    Args:
        transforms: N transforms.
        size: height and width of the images in pixels.
        device: device of the result.

    Returns:
        (N, H, W, 2) grid for `torch.nn.functional.grid_sample` with align_corners=False.
    """
    inverse = np.linalg.inv(np.stack([transform.matrix for transform in transforms]))
    shifts = np.stack([transform.shift for transform in transforms])[:, :, None]
    # Pixels are read from old positions, so the maps are inverted. The coordinates of `grid_sample` are from -1 to 1:
    # the center is 0, and shifts, which are fractions of the unit square, double.
    thetas = np.concatenate([inverse, -2 * inverse @ shifts], axis=2).astype(np.float32)
    affine = copy_to_device(torch.from_numpy(thetas), device)
    y, x = (((2 * torch.arange(side, device=device) + 1) / side - 1)[None, :, None] for side in size)
    # On a regular grid, a position is the sum of a term for the row, (N, H, 2), and one for the column, (N, W, 2). This
    # is far faster than torch's `affine_grid`.
    from_y = affine[:, None, :, 1] * y + affine[:, None, :, 2]
    from_x = affine[:, None, :, 0] * x
    return from_y[:, :, None] + from_x[:, None]


def augment_images(images: Tensor, transforms: list[Transform], grid: Tensor) -> Tensor:
    """Resample images at the positions of a grid and change their gray values.

    Args:
        images: (N, C, H, W) float32 in [0, 1].
        transforms: N transforms, for the curves of gray values.
        grid: (N, H, W, 2) from `make_sampling_grid`.

    Returns:
        (N, C, H, W) images in [0, 1].
    """
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    gray_curves = torch.tensor([(t.gain, t.offset, t.gamma) for t in transforms], dtype=torch.float32)
    gain, offset, gamma = copy_to_device(gray_curves, images.device)[:, :, None, None, None].unbind(dim=1)
    # The power as exp(gamma log(x)), in place, takes a third of the time of `**`. The minimum avoids log(0).
    return moved.mul_(gain).add_(offset).clamp_(1e-6, 1).log_().mul_(gamma).exp_()


def copy_to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the CPU to a device; for a GPU, from pinned memory and without waiting for the copy."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def augment_masks(masks: Tensor, grid: Tensor) -> Tensor:
    """Resample masks (N, H, W) uint8 at the positions of a grid.

    Pixels from outside the image become background (class 0).
    """
    moved = F.grid_sample(masks[:, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved[:, 0].to(masks.dtype)
