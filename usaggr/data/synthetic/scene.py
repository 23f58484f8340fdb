"""A scene: the anatomy that one image shows, from which image, class, mask, box and landmarks all follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usaggr.data.synthetic.shapes import Field, Shape


@dataclass(frozen=True)
class Structure:
    """A piece of anatomy with what sound does in it. Later structures of a scene cover earlier ones."""

    shape: Shape
    echo: float
    """Mean brightness of its speckle in dB: 0 is the brightest tissue, -45 is nearly black."""
    label: int = 0
    """Value in the scene's label map; 0 leaves what is there."""
    edge: float | None = None
    """Brightness of its outline in dB, where the beam meets it at right angles; None: no outline of its own."""
    edge_width: float = 0.008
    """Half the outline's width."""
    attenuation: float = 1.0
    """Relative to soft tissue's 1: 0 is fluid (bright behind it), 10 and more bone or gas (a shadow)."""


@dataclass(frozen=True)
class Probe:
    """How the image is scanned."""

    kind: Literal["linear", "curved"]
    width: int
    height: int
    """Of the image, pixels."""
    radius: float = 0.35
    """Of a curved probe's face."""
    angle: float = 0.6
    """Half the opening of a curved probe, radians."""


@dataclass(frozen=True)
class Scene:
    """All that is in front of the probe."""

    probe: Probe
    background: float
    """dB, as of a structure."""
    structures: Sequence[Structure]
    landmarks: tuple[tuple[float, float], ...] = ()
    """(x, y) in the scene's coordinates."""


@dataclass(frozen=True)
class Motion:
    """How a frame differs from its subject's anatomy: the probe has moved a little."""

    x: float
    y: float
    angle: float

    def to_anatomy(self, px: Field, py: Field) -> tuple[Field, Field]:
        """Places of the image in the coordinates of the anatomy."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        u, v = px - self.x, py - 0.5 - self.y
        return u * cos + v * sin, -u * sin + v * cos + 0.5

    def to_image(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places (P, 2) of the anatomy in the coordinates of the image."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        u, v = points[:, 0], points[:, 1] - 0.5
        return np.stack([u * cos - v * sin + self.x, u * sin + v * cos + 0.5 + self.y], axis=1)
