"""The body that anatomy is drawn into: maps of acoustic properties over an image, in the anatomy's coordinates.

Frames of one subject show the same anatomy, slightly moved and bent. Drawing functions fill shapes in the anatomy's
coordinates; pixels, masks and landmarks follow from them.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from usaggr.data.synthetic.difficulty import CLUTTER, MOTION
from usaggr.data.synthetic.geometry import Map, Mask, View, convert_to_map
from usaggr.data.synthetic.shapes import Point
from usaggr.data.synthetic.tissue import SKIN, Tissue


@dataclass(frozen=True, slots=True)
class Motion:
    """Position of the anatomy in one frame: rotated about the center, scaled, shifted and bent."""

    angle: float = 0.0
    """Rotation in degrees."""
    scale: float = 1.0
    shift: Point = (0.0, 0.0)
    bend: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Amplitudes of the waves in x and y, in image heights, and their phases in radians."""

    def to_anatomy(self, x: Map, y: Map) -> tuple[Map, Map]:
        """Convert image coordinates to the anatomy's coordinates."""
        cos, sin = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        dx, dy = x - self.shift[0], y - 0.5 - self.shift[1]
        ax = (dx * cos + dy * sin) / self.scale
        ay = (dy * cos - dx * sin) / self.scale + 0.5
        high_x, high_y, phase_x, phase_y = self.bend
        return (
            convert_to_map(ax + high_x * np.sin(5 * y + phase_x)),
            convert_to_map(ay + high_y * np.sin(5 * x + phase_y)),
        )

    def to_image(self, point: Point) -> Point:
        """Convert the anatomy's coordinates to image coordinates, by fixed-point iteration on `anatomy`."""
        x, y = point
        for _ in range(30):
            ax, ay = self.to_anatomy(convert_to_map(x), convert_to_map(y))
            x, y = x + (point[0] - float(ax)) * self.scale, y + (point[1] - float(ay)) * self.scale
        return x, y


def draw_motion(rng: np.random.Generator) -> Motion:
    """Draw the motion of a frame: a few degrees and hundredths of the image."""
    angle, scale, dx, dy = rng.uniform(-1, 1, 4) * MOTION
    high_x, high_y = map(float, rng.uniform(-0.006, 0.006, 2) * MOTION)
    phase_x, phase_y = map(float, rng.uniform(0, 2 * np.pi, 2))
    return Motion(4 * angle, 1 + 0.03 * scale, (0.025 * dx, 0.02 * dy), (high_x, high_y, phase_x, phase_y))


class Body:
    """The acoustic properties of each pixel of an image."""

    def __init__(self, view: View, motion: Motion, background: Tissue, rng: np.random.Generator) -> None:
        """Fill the body with background.

        Args:
            view: Geometry of the image.
            motion: Motion of the frame.
            background: Tissue of all pixels.
            rng: Generator of the subject, for the texture of its tissues.
        """
        self.view = view
        self._motion = motion
        self.x, self.y = motion.to_anatomy(view.x, view.y)
        # Two textures per subject for all tissues: `fill` makes no random draws, so that its calls do not change them.
        self._mottle = CLUTTER * self._make_texture(rng, 18, 18)
        self._fibres = CLUTTER * self._make_texture(rng, 7, 44)
        shape = (view.height, view.width)
        self.echo = np.zeros(shape, np.float32)
        self.attenuation = np.zeros(shape, np.float32)
        self.impedance = np.zeros(shape, np.float32)
        self.fill(np.ones(shape, np.bool_), background)

    @property
    def half_width(self) -> float:
        """Half the width of the image, in image heights."""
        return self.view.half_width

    def fill(self, where: Mask, tissue: Tissue) -> Mask:
        """Replace the tissue of the pixels `where` (H, W); return `where`, so that a call can define a label."""
        texture = tissue.mottle * self._mottle[where] + tissue.fibres * self._fibres[where]
        self.echo[where] = tissue.echo + texture
        self.attenuation[where] = tissue.attenuation
        self.impedance[where] = tissue.impedance
        return where

    def brighten(self, decibels: Map) -> None:
        """Add decibels to the echo of each pixel."""
        self.echo += decibels

    def draw_skin(self, thickness: float = 0.02) -> None:
        """Fill the layer under the probe, which does not depend on the motion."""
        self.fill(self.view.depth < thickness, SKIN)

    def to_pixels(self, point: Point) -> Point:
        """Return the pixel coordinates x, y of a point of the anatomy."""
        x, y = self._motion.to_image(point)
        return x * self.view.height + self.view.width / 2, y * self.view.height

    def _make_texture(self, rng: np.random.Generator, across: int, along: int) -> Map:
        """Return smooth noise (H, W) of a standard deviation of about 1.3, which moves with the anatomy.

        Args:
            rng: Generator of the subject.
            across: Cells per image height across the beams.
            along: Cells per image height along the beams.
        """
        cells = rng.standard_normal((round(1.4 * along), round(2.4 * across)), dtype=np.float32)
        # The offsets make the coordinates of the grid positive, also for anatomy outside the image.
        cell_x, cell_y = (self.x + 1.2) * np.float32(across), (self.y + 0.2) * np.float32(along)
        field = cv2.remap(cells, cell_x, cell_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        return convert_to_map(1.5 * field)
