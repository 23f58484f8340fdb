"""Where the beams of a probe go: from pixels of an image to beams and depths, and back.

Lengths are in image heights: x runs from -width / (2 height) to its opposite, y from 0 at the top to 1.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Map = NDArray[np.float32]
"""A value for each pixel, (H, W), or for each depth and beam, (D, B)."""
Mask = NDArray[np.bool_]

BEAMS_PER_PIXEL = 0.66
DEPTHS_PER_PIXEL = 1.6


@dataclass(frozen=True, slots=True)
class Probe:
    """A transducer: beams leave its surface at right angles."""

    radius: float = 0.0
    """Of its curvature, in image heights; 0 is a linear probe."""
    half_angle: float = 0.0
    """Of the sector, in degrees; of curved probes."""
    top: float = 0.03
    """Where a curved probe's surface begins, in image heights."""


@dataclass(frozen=True)
class View:
    """What a probe shows on an image of a size: a linear one all of it, a curved one a sector on black."""

    probe: Probe
    height: int
    width: int

    @property
    def side(self) -> float:
        """Half the width."""
        return self.width / (2 * self.height)

    @cached_property
    def x(self) -> Map:
        """Of each pixel's centre, (H, W)."""
        row = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.height
        return as_map(np.broadcast_to(row, (self.height, self.width)))

    @cached_property
    def y(self) -> Map:
        """Of each pixel's centre, (H, W)."""
        column = (np.arange(self.height, dtype=np.float32) + 0.5) / self.height
        return as_map(np.broadcast_to(column[:, None], (self.height, self.width)))

    @cached_property
    def beam(self) -> Map:
        """Which beam passes through each pixel, (H, W): 0 to 1 from left to right, beyond where there is none."""
        if not self.probe.radius:
            return as_map((self.x / self.side + 1) / 2)
        return as_map((np.degrees(np.arctan2(self.x, self.y - self._apex)) / self.probe.half_angle + 1) / 2)

    @cached_property
    def depth(self) -> Map:
        """How deep each pixel lies under the probe's surface, (H, W): 0 to 1, beyond where nothing is shown."""
        if not self.probe.radius:
            return self.y
        distance = np.hypot(self.x, self.y - np.float32(self._apex))
        return as_map((distance - self.probe.radius) / self.reach)

    @cached_property
    def visible(self) -> Mask:
        """Pixels that a beam reaches, (H, W)."""
        return (self.beam >= 0) & (self.beam <= 1) & (self.depth >= 0) & (self.depth <= 1)

    @property
    def reach(self) -> float:
        """How deep the beams go."""
        return 0.98 - self.probe.top if self.probe.radius else 1.0

    @property
    def _apex(self) -> float:
        """Where all beams of a curved probe would meet, y."""
        return self.probe.top - self.probe.radius

    @property
    def grid(self) -> tuple[int, int]:
        """How many depths and beams are simulated."""
        return round(self.height * DEPTHS_PER_PIXEL), round(self.width * BEAMS_PER_PIXEL)

    def to_beams(self, pixels: Map) -> Map:
        """What lies along the beams: an image's values (H, W) to (D, B). Outside the image its border goes on."""
        columns, rows = self._beam_positions
        return _sampled(pixels, columns, rows, cv2.BORDER_REPLICATE)

    def to_image(self, beams: Map) -> Map:
        """Scan conversion: values along the beams (D, B) to an image (H, W), 0 where no beam passes."""
        depths, lines = beams.shape
        image = _sampled(beams, self.beam * (lines - 1), self.depth * (depths - 1), cv2.BORDER_REPLICATE)
        return as_map(np.where(self.visible, image, 0))

    @cached_property
    def _beam_positions(self) -> tuple[Map, Map]:
        """Column and row of the image at each depth of each beam, (D, B)."""
        depths, lines = self.grid
        depth = np.linspace(0, 1, depths, dtype=np.float32)[:, None]
        beam = np.linspace(-1, 1, lines, dtype=np.float32)[None, :]
        if self.probe.radius:
            angle = np.radians(beam * self.probe.half_angle)
            distance = self.probe.radius + depth * self.reach
            x, y = distance * np.sin(angle), distance * np.cos(angle) + self._apex
        else:
            x, y = np.broadcast_arrays(beam * self.side, depth)
        return as_map(x * self.height + self.width / 2 - 0.5), as_map(y * self.height - 0.5)


def _sampled(values: Map, columns: Map, rows: Map, border: int) -> Map:
    return as_map(cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=border))


def as_map(values: npt.ArrayLike) -> Map:
    """Any numbers as a map."""
    return np.asarray(values, dtype=np.float32)
