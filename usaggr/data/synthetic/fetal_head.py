"""Drawing of the fetal head in cross-section, under a curved probe: skull and brain, in fluid and uterine wall."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.geometry import Mask
from usaggr.data.synthetic.shapes import Ellipse, distance_to_segment, make_uneven
from usaggr.data.synthetic.tissue import BRAIN, FIBROUS, FLUID, MUSCLE, PLACENTA, SOFT, THIN_BONE

BACKGROUND = PLACENTA

DIRECTIONS = {"NOA": -90, "LOA": -45, "LOT": 0, "LOP": 45, "NOP": 90, "ROP": 135, "ROT": 180, "ROA": -135}
"""Direction of the back of the head, in degrees clockwise from the right of the image, which is the mother's left."""


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw the plane in which the head is measured; the class is the head.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    draw_womb(body, rng)
    a = pick_size(rng, 0.26, 0.36)
    head = Ellipse(0, 0, a, a * pick_size(rng, 0.74, 0.84), rng.uniform(-60, 60))
    head = _move(
        head, pick_position(rng, -0.6, 0.6) * max(body.half_width - a, 0.05), pick_position(rng, 0.5 - 0.1, 0.5 + 0.12)
    )
    inside = draw_skull(body, rng, head)
    draw_brain(body, rng, head)
    body.draw_skin()
    return Drawing(label_regions(body, inside))


def draw_position(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a head during labor; the class is the head.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Key of DIRECTIONS, the direction of the back of the head.
    """
    draw_womb(body, rng, pool=False)
    a = pick_size(rng, 0.33, 0.38)
    angle = DIRECTIONS[kind] + float(rng.uniform(-10, 10))
    head = Ellipse(
        pick_position(rng, -0.12, 0.12), pick_position(rng, 0.5, 0.56), a, a * pick_size(rng, 0.8, 0.86), angle
    )
    inside = draw_skull(body, rng, head)
    u, v = head.to_local(body.x, body.y)
    radius = np.sqrt(u * u + v * v)
    # The back of the head (cerebellum) is bright, and the face (orbits) is dark.
    body.fill((u > 0.3 + 0.25 * v * v) & (radius < 0.9), FIBROUS.brighten(-6 + 6 * (CONTRAST - 1)))
    body.fill(distance_to_segment(body.x, body.y, head.get_point(-0.2, 0), head.get_point(0.4, 0)) < 0.009, FIBROUS)
    for side in (-1, 1):
        orbit = Ellipse(*head.get_point(-0.5, 0.4 * side), 0.27 * a, 0.24 * a).get_radius(body.x, body.y)
        body.fill((orbit < 1.2) & (radius < 1), FIBROUS.brighten(-3))
        body.fill((orbit < 1) & (radius < 0.97), FLUID)
    body.draw_skin()
    return Drawing(label_regions(body, inside))


def draw_womb(body: Body, rng: np.random.Generator, pool: bool = True) -> None:
    """Draw the walls of abdomen and uterus, and a pool of fluid.

    Args:
        body: body to draw into.
        rng: random generator of the picture.
        pool: whether there is a pool of amniotic fluid.
    """
    wall = pick_size(rng, 0.08, 0.15) + 0.03 * np.sin(5 * body.x + rng.uniform(0, 6))
    body.fill(body.y < wall, MUSCLE)
    body.fill(np.abs(body.y - wall) < 0.006, FIBROUS.brighten(-3))
    if pool:
        outline = Ellipse(
            pick_position(rng, -0.2, 0.2),
            pick_position(rng, 0.48, 0.56),
            0.5,
            pick_size(rng, 0.3, 0.38),
            rng.uniform(-15, 15),
        )
        body.fill(make_uneven(rng, outline, 0.08).get_radius(body.x, body.y) < 1, FLUID)


def draw_skull(body: Body, rng: np.random.Generator, head: Ellipse) -> Mask:
    """Draw a skull filled with brain; it is brightest where beams are perpendicular to it.

    Args:
        body: body to draw into.
        rng: random generator of the picture.
        head: outer contour of the skull.

    Returns:
        (H, W) True inside the contour.
    """
    radius = head.get_radius(body.x, body.y)
    body.fill(radius < 1.09, SOFT.brighten(-3))
    thickness = pick_size(rng, 0.015, 0.022) / head.b
    inside = body.fill(radius < 1, THIN_BONE)
    body.fill(radius < 1 - thickness, BRAIN)
    return inside


def draw_brain(body: Body, rng: np.random.Generator, head: Ellipse) -> None:
    """Draw the midline with the cavum, and the choroid plexus on both sides.

    Args:
        body: body to draw into.
        rng: random generator of the picture.
        head: outer contour of the skull.
    """
    body.fill(distance_to_segment(body.x, body.y, head.get_point(-0.8, 0), head.get_point(0.8, 0)) < 0.008, FIBROUS)
    cavum = Ellipse(*head.get_point(0.45, 0), 0.14 * head.a, 0.07 * head.a, head.angle).get_radius(body.x, body.y)
    body.fill(cavum < 1.4, FIBROUS)
    body.fill(cavum < 1, FLUID)
    for side in (-1, 1):
        plexus = Ellipse(*head.get_point(-0.35, 0.42 * side), 0.2 * head.a, 0.1 * head.a, head.angle + 20 * side)
        body.fill(make_uneven(rng, plexus, 0.1).get_radius(body.x, body.y) < 1, FIBROUS.brighten(-3))


def _move(ellipse: Ellipse, x: float, y: float) -> Ellipse:
    """Return an ellipse with another center."""
    return Ellipse(x, y, ellipse.a, ellipse.b, ellipse.angle)
