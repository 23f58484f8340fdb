"""Shapes of anatomy: functions of place that are negative inside, zero on the edge and near to a distance around it.

Places are (x, y) in units of the image's height: x to the right from the middle, y down from the probe.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Shape = Callable[[Field, Field], Field]


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> Shape:
    """An ellipse with radii rx, ry, turned by an angle (radians, clockwise on the image)."""
    return blob(x, y, rx, ry, angle, ())


def blob(x: float, y: float, rx: float, ry: float, angle: float, waves: Sequence[tuple[int, float, float]]) -> Shape:
    """An ellipse with a wavy edge: each wave is (number around the edge, height relative to the radius, phase)."""
    cos, sin = np.cos(angle), np.sin(angle)

    def distance(px: Field, py: Field) -> Field:
        u = ((px - x) * cos + (py - y) * sin) / rx
        v = (-(px - x) * sin + (py - y) * cos) / ry
        edge = 1.0
        if waves:
            around = np.arctan2(v, u)
            edge = 1.0 + sum(height * np.cos(number * around + phase) for number, height, phase in waves)
        found: Field = (np.hypot(u, v) - edge) * min(rx, ry)
        return found

    return distance


def capsule(start: tuple[float, float], end: tuple[float, float], radius: float) -> Shape:
    """A straight bar with round ends."""
    (x0, y0), (x1, y1) = start, end
    length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)

    def distance(px: Field, py: Field) -> Field:
        along = np.clip(((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / length, 0, 1)
        found: Field = np.hypot(px - x0 - along * (x1 - x0), py - y0 - along * (y1 - y0)) - radius
        return found

    return distance


def layer(top: float, bottom: float, slope: float = 0.0, wave: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> Shape:
    """A band of tissue across the image between two depths; wave is (height, wavelength, phase)."""
    height, wavelength, phase = wave

    def distance(px: Field, py: Field) -> Field:
        bent = py - slope * px - height * np.sin(2 * np.pi * px / wavelength + phase)
        found: Field = np.maximum(top - bent, bent - bottom)
        return found

    return distance


def both(first: Shape, second: Shape) -> Shape:
    """What lies in two shapes at once."""
    return lambda px, py: np.maximum(first(px, py), second(px, py))


def without(first: Shape, second: Shape) -> Shape:
    """What lies in the first shape and not in the second."""
    return lambda px, py: np.maximum(first(px, py), -second(px, py))
