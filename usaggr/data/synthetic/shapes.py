"""Shapes of anatomy as fields: a field gives each pixel's distance from a shape's center, so that borders have a width.

Coordinates x, y are maps (H, W) in image heights; angles are in degrees, clockwise on the image.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from usaggr.data.synthetic.geometry import Map, convert_to_map

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse with the half axes `a`, in the direction of `angle`, and `b`, perpendicular to it."""

    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0

    def to_local(self, x: Map, y: Map) -> tuple[Map, Map]:
        """Return the coordinates along the two half axes, in units of the half axes."""
        cos, sin = _get_direction(self.angle)
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        return convert_to_map((dx * cos + dy * sin) / self.a), convert_to_map((dy * cos - dx * sin) / self.b)

    def get_radius(self, x: Map, y: Map) -> Map:
        """Return the relative distance from the center: 0 in the center, 1 on the ellipse."""
        u, v = self.to_local(x, y)
        return np.sqrt(u * u + v * v)

    def get_point(self, u: float, v: float) -> Point:
        """Return the point with these coordinates along the two half axes, in units of the half axes."""
        cos, sin = _get_direction(self.angle)
        u, v = u * self.a, v * self.b
        return float(self.x + u * cos - v * sin), float(self.y + u * sin + v * cos)

    def scale(self, factor: float) -> "Ellipse":
        """Return the ellipse with axes multiplied by a factor."""
        return Ellipse(self.x, self.y, self.a * factor, self.b * factor, self.angle)

    def find_tangents(self, point: Point) -> tuple[Point, Point]:
        """Return the points where the two tangents from an outside point touch the ellipse.

        Raises:
            ValueError: The point is inside the ellipse.
        """
        u, v = map(float, self.to_local(convert_to_map(point[0]), convert_to_map(point[1])))
        # In local coordinates the ellipse is the unit circle, where the angle between the direction of the point and a
        # tangent point is acos(1 / distance).
        distance = np.hypot(u, v)
        if distance <= 1:
            raise ValueError("a point inside an ellipse has no tangent")
        middle, half = np.arctan2(v, u), np.arccos(1 / distance)
        first, second = (self.get_point(float(np.cos(t)), float(np.sin(t))) for t in (middle - half, middle + half))
        return first, second


@dataclass(frozen=True, slots=True)
class Blob:
    """An ellipse with an uneven border; each of `waves` has a number of periods, a height and a phase in radians."""

    ellipse: Ellipse
    waves: tuple[tuple[int, float, float], ...]

    def get_radius(self, x: Map, y: Map) -> Map:
        """Return the relative distance from the center: 0 in the center, 1 on the border."""
        u, v = self.ellipse.to_local(x, y)
        angle = np.arctan2(v, u)
        border = np.ones_like(angle)
        for number, height, phase in self.waves:
            border += np.float32(height) * np.cos(np.float32(number) * angle + np.float32(phase))
        return convert_to_map(np.sqrt(u * u + v * v) / border)


def make_uneven(rng: np.random.Generator, ellipse: Ellipse, height: float) -> Blob:
    """Make an ellipse with a smooth uneven border, as of organs.

    Args:
        rng: Generator of the subject, for the phases.
        ellipse: The even shape.
        height: Height of the largest wave, relative to the radius.
    """
    # One period (k = 1) would only shift the border. Waves with more periods are lower, which keeps it smooth.
    return Blob(ellipse, tuple((k, height / (k - 1), float(rng.uniform(0, 2 * np.pi))) for k in (2, 3, 4)))


def make_spiculated(rng: np.random.Generator, ellipse: Ellipse, height: float) -> Blob:
    """Make an ellipse with spikes.

    Args:
        rng: Generator of the subject, for the phases.
        ellipse: The even shape.
        height: Height of the largest wave, relative to the radius.
    """
    # Periods and heights: the first two bend the outline, the last two are the spikes. Only odd numbers: no symmetry.
    waves = ((3, 0.6), (5, 0.6), (9, 1.0), (13, 0.8))
    return Blob(ellipse, tuple((k, height * h, float(rng.uniform(0, 2 * np.pi))) for k, h in waves))


def distance_to_segment(x: Map, y: Map, start: Point, end: Point) -> Map:
    """Return the distance of each pixel to the straight line between two points.

    Args:
        x: (H, W) coordinates x.
        y: (H, W) coordinates y.
        start: First point.
        end: Second point.
    """
    dx, dy = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    return convert_to_map(np.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2))


def compute_distance_to_curve(x: Map, y: Map, points: list[Point]) -> Map:
    """Return the distance of each pixel to a line through several points.

    Args:
        x: (H, W) coordinates x.
        y: (H, W) coordinates y.
        points: At least two points.
    """
    distance = distance_to_segment(x, y, points[0], points[1])
    for start, end in pairwise(points[1:]):
        distance = np.minimum(distance, distance_to_segment(x, y, start, end))
    return distance


def draw_bezier_curve(start: Point, pull: Point, end: Point) -> list[Point]:
    """Return points on a quadratic Bézier curve.

    Args:
        start: First point of the curve.
        pull: Control point, towards which the curve is bent.
        end: Last point of the curve.
    """
    steps = [i / 6 for i in range(7)]
    weights = [((1 - t) ** 2, 2 * t * (1 - t), t * t) for t in steps]
    return [(a * start[0] + b * pull[0] + c * end[0], a * start[1] + b * pull[1] + c * end[1]) for a, b, c in weights]


def rotate(point: Point, angle: float, about: Point = (0.0, 0.0)) -> Point:
    """Rotate a point.

    Args:
        point: The point.
        angle: Angle in degrees, clockwise on the image.
        about: Center of the rotation.
    """
    cos, sin = _get_direction(angle)
    dx, dy = point[0] - about[0], point[1] - about[1]
    return float(about[0] + dx * cos - dy * sin), float(about[1] + dx * sin + dy * cos)


def _get_direction(angle: float) -> tuple[np.float32, np.float32]:
    """Return cosine and sine of an angle in degrees; in single precision, or numpy would convert maps to double."""
    return np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
