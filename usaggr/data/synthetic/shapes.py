"""Shapes of anatomy as fields over coordinates: a field says how far out a pixel lies, so that borders have a width.

Coordinates x, y are maps (H, W) in image heights; angles are in degrees, clockwise on the image.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from usaggr.data.synthetic.geometry import Map, as_map

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse; `a` is the half axis in the direction of `angle`, `b` the one across."""

    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0

    def local(self, x: Map, y: Map) -> tuple[Map, Map]:
        """Coordinates along the two half axes, in units of them."""
        cos, sin = _direction(self.angle)
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        return as_map((dx * cos + dy * sin) / self.a), as_map((dy * cos - dx * sin) / self.b)

    def radius(self, x: Map, y: Map) -> Map:
        """0 in the centre, 1 on the ellipse."""
        u, v = self.local(x, y)
        return np.sqrt(u * u + v * v)

    def at(self, u: float, v: float) -> Point:
        """The point with these coordinates along the two half axes, in units of them."""
        cos, sin = _direction(self.angle)
        u, v = u * self.a, v * self.b
        return float(self.x + u * cos - v * sin), float(self.y + u * sin + v * cos)

    def scaled(self, factor: float) -> "Ellipse":
        """The same with longer or shorter axes."""
        return Ellipse(self.x, self.y, self.a * factor, self.b * factor, self.angle)

    def tangents(self, point: Point) -> tuple[Point, Point]:
        """Where the two tangents from a point outside touch.

        Raises:
            ValueError: the point lies inside.
        """
        u, v = map(float, self.local(as_map(point[0]), as_map(point[1])))
        # On the unit circle that the local coordinates make of the ellipse, a touching point lies acos(1 / distance)
        # to either side of the direction of the point.
        distance = np.hypot(u, v)
        if distance <= 1:
            raise ValueError("a point inside an ellipse has no tangent")
        middle, half = np.arctan2(v, u), np.arccos(1 / distance)
        first, second = (self.at(float(np.cos(t)), float(np.sin(t))) for t in (middle - half, middle + half))
        return first, second


@dataclass(frozen=True, slots=True)
class Blob:
    """An ellipse with an uneven border: `waves` are (how many round the border, height, phase in radians)."""

    ellipse: Ellipse
    waves: tuple[tuple[int, float, float], ...]

    def radius(self, x: Map, y: Map) -> Map:
        """0 in the centre, 1 on the border."""
        u, v = self.ellipse.local(x, y)
        angle = np.arctan2(v, u)
        border = np.ones_like(angle)
        for number, height, phase in self.waves:
            border += np.float32(height) * np.cos(np.float32(number) * angle + np.float32(phase))
        return as_map(np.sqrt(u * u + v * v) / border)


def uneven(rng: np.random.Generator, ellipse: Ellipse, height: float) -> Blob:
    """An ellipse with gentle dents, as organs have."""
    return Blob(ellipse, tuple((k, height / (k - 1), float(rng.uniform(0, 2 * np.pi))) for k in (2, 3, 4)))


def spiculated(rng: np.random.Generator, ellipse: Ellipse, height: float) -> Blob:
    """An ellipse with spikes."""
    waves = ((3, 0.6), (5, 0.6), (9, 1.0), (13, 0.8))
    return Blob(ellipse, tuple((k, height * h, float(rng.uniform(0, 2 * np.pi))) for k, h in waves))


def to_segment(x: Map, y: Map, start: Point, end: Point) -> Map:
    """Distance to a straight line between two points."""
    dx, dy = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    return as_map(np.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2))


def to_curve(x: Map, y: Map, points: list[Point]) -> Map:
    """Distance to a line through several points."""
    distance = to_segment(x, y, points[0], points[1])
    for start, end in pairwise(points[1:]):
        distance = np.minimum(distance, to_segment(x, y, start, end))
    return distance


def bow(start: Point, pull: Point, end: Point) -> list[Point]:
    """Points on a smooth line between two, drawn towards a third (a quadratic Bézier curve)."""
    steps = [i / 6 for i in range(7)]
    weights = [((1 - t) ** 2, 2 * t * (1 - t), t * t) for t in steps]
    return [(a * start[0] + b * pull[0] + c * end[0], a * start[1] + b * pull[1] + c * end[1]) for a, b, c in weights]


def turned(point: Point, angle: float, about: Point = (0.0, 0.0)) -> Point:
    """A point, turned by an angle about another."""
    cos, sin = _direction(angle)
    dx, dy = point[0] - about[0], point[1] - about[1]
    return float(about[0] + dx * cos - dy * sin), float(about[1] + dx * sin + dy * cos)


def _direction(angle: float) -> tuple[np.float32, np.float32]:
    return np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
