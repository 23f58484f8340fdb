"""Drawing of the neck in cross-section under a linear probe: muscles, trachea, carotids, and a thyroid nodule."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_side, pick_size
from usaggr.data.synthetic.geometry import Mask
from usaggr.data.synthetic.shapes import Ellipse, distance_to_segment, make_uneven
from usaggr.data.synthetic.tissue import BLOOD, BONE, FIBROUS, GAS, MUSCLE, SOFT, THYROID, Tissue

BACKGROUND = SOFT.brighten(-3)


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a thyroid with a nodule in one lobe, which is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "solid" (dark, with specks of calcium) or "cystic" (black, with enhancement behind it).
    """
    x, y = body.x, body.y
    middle = pick_position(rng, -0.12, 0.12)
    depth = pick_position(rng, 0.46, 0.54)
    straps = pick_size(rng, 0.16, 0.22)
    body.fill(y < straps, MUSCLE)
    body.fill(np.abs(y - straps) < 0.007, FIBROUS.brighten(-3))
    lobes = {side: _draw_lobe(body, rng, middle, depth, side) for side in (-1, 1)}
    body.fill((np.abs(x - middle) < 0.2) & (np.abs(y - depth + 0.17) < 0.035), THYROID)
    for side in (-1, 1):
        _draw_carotid(body, rng, middle + side * pick_size(rng, 0.6, 0.66), depth + 0.08)
    _draw_trachea(body, Ellipse(middle, depth + 0.05, 0.14, 0.15))
    nodule = _draw_nodule(body, rng, lobes[pick_side(rng)], kind)
    body.draw_skin(0.03)
    return Drawing(label_regions(body, nodule))


def _draw_lobe(body: Body, rng: np.random.Generator, middle: float, depth: float, side: int) -> Ellipse:
    """Draw a lobe beside the trachea, and return its outline."""
    lobe = Ellipse(middle + side * 0.34, depth, pick_size(rng, 0.2, 0.23), pick_size(rng, 0.2, 0.25), side * 12)
    radius = make_uneven(rng, lobe, 0.05).get_radius(body.x, body.y)
    body.fill(radius < 1.06, FIBROUS.brighten(-5))
    body.fill(radius < 1, THYROID)
    return lobe


def _draw_carotid(body: Body, rng: np.random.Generator, x: float, y: float) -> None:
    """Draw a carotid artery with its wall in cross-section."""
    vessel = Ellipse(x, y, pick_size(rng, 0.055, 0.07), pick_size(rng, 0.055, 0.07))
    radius = vessel.get_radius(body.x, body.y)
    body.fill(radius < 1.25, FIBROUS.brighten(-2))
    body.fill(radius < 1, BLOOD)


def _draw_trachea(body: Body, outline: Ellipse) -> None:
    """Draw a bright front wall; the air behind it reflects all sound."""
    radius = outline.get_radius(body.x, body.y)
    body.fill(radius < 1, GAS.brighten(-20))
    body.fill((np.abs(radius - 1) < 0.09) & (body.y < outline.y), FIBROUS.brighten(4))


def _draw_nodule(body: Body, rng: np.random.Generator, lobe: Ellipse, kind: str) -> Mask:
    """Draw a nodule near the center of a lobe, and return its pixels.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        lobe: Outline of the lobe.
        kind: "solid" or "cystic".
    """
    a, b = pick_size(rng, 0.11, 0.17), pick_size(rng, 0.10, 0.15)
    limit = body.half_width - 0.9 * a  # at least nine tenths of the half axis stay within the image
    x = float(np.clip(lobe.x + pick_position(rng, -0.08, 0.08), -limit, limit))
    outline = Ellipse(x, lobe.y + pick_position(rng, -0.12, 0.12), a, b, rng.uniform(-30, 30))
    radius = make_uneven(rng, outline, 0.05).get_radius(body.x, body.y)
    if kind == "cystic":
        body.fill(radius < 1.08, FIBROUS.brighten(-4))
        return body.fill(radius < 1, Tissue(-20 - 20 * CONTRAST, attenuation=0, impedance=-0.8))
    inside = body.fill(radius < 1, Tissue(-17 * CONTRAST, attenuation=20, impedance=0.4, mottle=3))
    for _ in range(rng.integers(2, 6)):
        speck = outline.get_point(*rng.uniform(-0.55, 0.55, 2))
        body.fill(distance_to_segment(body.x, body.y, speck, (speck[0] + 0.01, speck[1])) < 0.007, BONE)
    return inside
