"""Geometry of probes: conversion between pixels of an image and beams and depths.

Lengths are in image heights: x runs from -width / (2 height) to its opposite, y from 0 at the top to 1.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Map = NDArray[np.float32]
"""A float32 value for each pixel, (H, W), or for each depth and beam, (D, B)."""
Mask = NDArray[np.bool_]
"""A set of pixels, (H, W)."""

BEAMS_PER_PIXEL = 0.66
"""Simulated beams per pixel of the width: beams are wider than a pixel, so that fewer suffice."""
DEPTHS_PER_PIXEL = 1.6
"""Simulated depths per pixel of the height: more than one, because they sample the oscillation of the pulse."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A transducer, whose beams leave its surface at right angles."""

    radius: float = 0.0
    """Radius of curvature, in image heights; 0 for a linear probe."""
    half_angle: float = 0.0
    """Half the angle of a curved probe's sector, in degrees."""
    top: float = 0.03
    """Position of the top of a curved probe's surface, in image heights."""


@dataclass(frozen=True)
class View:
    """The image of a probe: a linear probe fills it, a curved probe shows a sector on black."""

    probe: Probe
    height: int
    width: int

    @property
    def half_width(self) -> float:
        """Half the width of the image, in image heights."""
        return self.width / (2 * self.height)

    @cached_property
    def x(self) -> Map:
        """Coordinate x of each pixel's center, (H, W)."""
        row = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.height
        return convert_to_map(np.broadcast_to(row, (self.height, self.width)))

    @cached_property
    def y(self) -> Map:
        """Coordinate y of each pixel's center, (H, W)."""
        column = (np.arange(self.height, dtype=np.float32) + 0.5) / self.height
        return convert_to_map(np.broadcast_to(column[:, None], (self.height, self.width)))

    @cached_property
    def beam(self) -> Map:
        """Position of the beam through each pixel, (H, W): 0 to 1 from left to right; other values outside beams."""
        if not self.probe.radius:
            return convert_to_map((self.x / self.half_width + 1) / 2)
        return convert_to_map((np.degrees(np.arctan2(self.x, self.y - self._apex)) / self.probe.half_angle + 1) / 2)

    @cached_property
    def depth(self) -> Map:
        """Depth of each pixel below the probe's surface, (H, W): 0 to 1; other values outside the visible range."""
        if not self.probe.radius:
            return self.y
        distance = np.hypot(self.x, self.y - np.float32(self._apex))
        return convert_to_map((distance - self.probe.radius) / self.reach)

    @cached_property
    def visible(self) -> Mask:
        """Pixels that a beam reaches, (H, W)."""
        return (self.beam >= 0) & (self.beam <= 1) & (self.depth >= 0) & (self.depth <= 1)

    @property
    def reach(self) -> float:
        """Length of the beams, in image heights."""
        # 0.98: a curved probe's sector ends just above the lower border of the image.
        return 0.98 - self.probe.top if self.probe.radius else 1.0

    @property
    def _apex(self) -> float:
        """Coordinate y of the point where the beams of a curved probe intersect."""
        return self.probe.top - self.probe.radius

    @property
    def grid(self) -> tuple[int, int]:
        """Number of simulated depths and beams."""
        return round(self.height * DEPTHS_PER_PIXEL), round(self.width * BEAMS_PER_PIXEL)

    def to_beams(self, pixels: Map) -> Map:
        """Sample an image (H, W) along the beams, (D, B); outside the image, its border is replicated."""
        x, y = self._beam_positions
        return _sample(pixels, x, y, cv2.BORDER_REPLICATE)

    def to_image(self, beams: Map) -> Map:
        """Convert values along the beams (D, B) to an image (H, W), which is 0 outside all beams (scan conversion)."""
        depths, lines = beams.shape
        image = _sample(beams, self.beam * (lines - 1), self.depth * (depths - 1), cv2.BORDER_REPLICATE)
        return convert_to_map(np.where(self.visible, image, 0))

    @cached_property
    def _beam_positions(self) -> tuple[Map, Map]:
        """Column and row of the image at each depth of each beam, each (D, B)."""
        depths, lines = self.grid
        depth = np.linspace(0, 1, depths, dtype=np.float32)[:, None]
        beam = np.linspace(-1, 1, lines, dtype=np.float32)[None, :]
        if self.probe.radius:
            angle = np.radians(beam * self.probe.half_angle)
            distance = self.probe.radius + depth * self.reach
            x, y = distance * np.sin(angle), distance * np.cos(angle) + self._apex
        else:
            x, y = np.broadcast_arrays(beam * self.half_width, depth)
        # - 0.5: OpenCV counts positions from the center of the first pixel, and `x` and `y` from the image's border.
        return convert_to_map(x * self.height + self.width / 2 - 0.5), convert_to_map(y * self.height - 0.5)


def _sample(values: Map, x: Map, y: Map, border: int) -> Map:
    """Sample a map at positions x, y with linear interpolation; `border` is OpenCV's mode outside the map."""
    return convert_to_map(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=border))


def convert_to_map(values: npt.ArrayLike) -> Map:
    """Convert numbers to an array of float32."""
    return np.asarray(values, dtype=np.float32)
