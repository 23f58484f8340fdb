"""Drawing of abdominal organs and of liver lesions, under a curved probe."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, pick_position, pick_side, pick_size
from usaggr.data.synthetic.shapes import Ellipse, compute_distance_to_curve, draw_bezier_curve, make_uneven
from usaggr.data.synthetic.tissue import (
    BLOOD,
    BONE,
    FAT,
    FIBROUS,
    FLUID,
    GAS,
    LIVER,
    MUSCLE,
    SOFT,
    SPLEEN,
    Tissue,
)

BACKGROUND = SOFT.brighten(-4)


def draw_organ(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw an abdominal organ.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "bladder", "bowel", "gallbladder", "kidney", "liver" or "spleen".
    """
    {
        "bladder": _draw_bladder,
        "bowel": _draw_bowel,
        "gallbladder": _draw_gallbladder,
        "kidney": _draw_kidney,
        "liver": _draw_liver,
        "spleen": _draw_spleen,
    }[kind](body, rng)
    _draw_wall(body, rng)
    return Drawing()


def draw_liver_lesion(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a liver with a lesion.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "carcinoma" (dark with a halo, heterogeneous) or "haemangioma" (bright, homogeneous, sharp).
    """
    _draw_liver(body, rng)
    a = pick_size(rng, 0.11, 0.22)
    where = (pick_position(rng, -0.8, 0.8) * max(body.half_width - a - 0.12, 0.05), pick_position(rng, 0.4, 0.6))
    outline = Ellipse(*where, a, a * pick_size(rng, 0.8, 1), rng.uniform(0, 180))
    if kind == "haemangioma":
        radius = make_uneven(rng, outline, 0.04).get_radius(body.x, body.y)
        body.fill(radius < 1, Tissue(pick_size(rng, 4, 12) * CONTRAST, attenuation=16, mottle=1.5))
    else:
        radius = make_uneven(rng, outline, 0.08).get_radius(body.x, body.y)
        body.fill(radius < 1.15, LIVER.brighten(-pick_size(rng, 5, 20) * CONTRAST))
        body.fill(radius < 1, Tissue(-pick_size(rng, 0, 13) * CONTRAST, attenuation=24, mottle=4))
    _draw_wall(body, rng)
    return Drawing()


def _draw_wall(body: Body, rng: np.random.Generator) -> None:
    """Draw skin, fat and muscle under the probe."""
    depth = body.view.depth
    level = pick_size(rng, 0.07, 0.1)
    body.fill(depth < level, MUSCLE)
    body.fill(depth < 0.6 * level, FAT)
    body.fill(np.abs(depth - level) < 0.007, FIBROUS.brighten(-2))
    body.draw_skin()


def _draw_liver(body: Body, rng: np.random.Generator) -> None:
    """Draw homogeneous liver tissue with vessels, and the bright diaphragm behind it."""
    x, y = body.x, body.y
    body.fill(np.ones_like(x, dtype=np.bool_), LIVER)
    for _ in range(rng.integers(3, 6)):
        start = (rng.uniform(-0.5, 0.5), rng.uniform(0.25, 0.75))
        pull, end = ((start[0] + rng.uniform(-0.3, 0.3), start[1] + rng.uniform(-0.15, 0.15)) for _ in range(2))
        distance, width = compute_distance_to_curve(x, y, draw_bezier_curve(start, pull, end)), rng.uniform(0.018, 0.03)
        if rng.random() < 0.5:  # portal veins have bright walls, hepatic veins do not
            body.fill(distance < width + 0.007, FIBROUS.brighten(-6))
        body.fill(distance < width, BLOOD)
    _draw_diaphragm(body, Ellipse(pick_position(rng, -0.15, 0.15), 0.3, 0.75, pick_size(rng, 0.56, 0.62)))


def _draw_diaphragm(body: Body, outline: Ellipse) -> None:
    """Draw the bright diaphragm along an outline, and lung outside it."""
    radius = outline.get_radius(body.x, body.y)
    body.fill(radius > 1, Tissue(-18, attenuation=30, mottle=3))
    body.fill(np.abs(radius - 1) < 0.02, FIBROUS.brighten(7))


def _draw_spleen(body: Body, rng: np.random.Generator) -> None:
    """Draw a crescent of homogeneous tissue in a dark background, with the shadow of a rib and the diaphragm."""
    side = pick_side(rng)
    body.fill(np.ones_like(body.x, dtype=np.bool_), Tissue(-20, attenuation=28, mottle=4))
    outer = Ellipse(
        pick_position(rng, -0.06, 0.06),
        pick_position(rng, 0.44, 0.5),
        pick_size(rng, 0.4, 0.46),
        0.27,
        side * pick_size(rng, 15, 35),
    )
    inner = Ellipse(*outer.get_point(0.1, 0.95), 0.3, 0.15, outer.angle)
    radius = outer.get_radius(body.x, body.y)
    body.fill(radius < 1.07, FIBROUS.brighten(3))
    crescent = (radius < 1) & (inner.get_radius(body.x, body.y) > 1)
    body.fill(crescent, SPLEEN.brighten(1))
    rib = Ellipse(side * pick_position(rng, 0.25, 0.4), 0.16, 0.05, 0.016)
    body.fill(rib.get_radius(body.x, body.y) < 1, BONE)


def _draw_bladder(body: Body, rng: np.random.Generator) -> None:
    """Draw a wide black pool in a smooth wall."""
    a = pick_size(rng, 0.34, 0.44)
    outline = Ellipse(
        pick_position(rng, -0.08, 0.08),
        pick_position(rng, 0.46, 0.54),
        a,
        pick_size(rng, 0.2, 0.27),
        rng.uniform(-8, 8),
    )
    radius = make_uneven(rng, outline, 0.05).get_radius(body.x, body.y)
    body.fill(radius < 1.1, MUSCLE.brighten(4))
    body.fill(radius < 1, FLUID)


def _draw_gallbladder(body: Body, rng: np.random.Generator) -> None:
    """Draw a black pear shape in the liver, with a stone."""
    _draw_liver(body, rng)
    middle, angle = (
        (pick_position(rng, -0.14, 0.14), pick_position(rng, 0.42, 0.52)),
        pick_side(rng) * pick_size(rng, 20, 55),
    )
    pear = Ellipse(*middle, pick_size(rng, 0.18, 0.22), pick_size(rng, 0.075, 0.095), angle)
    u, v = pear.to_local(body.x, body.y)
    radius = np.sqrt(u * u + (v / (1 + 0.35 * np.clip(u, -1, 1))) ** 2)
    body.fill(radius < 1.16, FIBROUS.brighten(-2))
    body.fill(radius < 1, FLUID)
    stone = Ellipse(*pear.get_point(0.45, 0.3), 0.04, 0.03).get_radius(body.x, body.y)
    body.fill(stone < 1, BONE)


def _draw_kidney(body: Body, rng: np.random.Generator) -> None:
    """Draw a bean shape of dark cortex and darker pyramids around a bright sinus."""
    body.fill(body.y < 0.25, LIVER)
    bean = Ellipse(
        pick_position(rng, -0.06, 0.06),
        pick_position(rng, 0.5, 0.56),
        pick_size(rng, 0.36, 0.42),
        0.2,
        pick_side(rng) * pick_size(rng, 5, 30),
    )
    radius = bean.get_radius(body.x, body.y)
    body.fill(radius < 1.1, FIBROUS.brighten(-2))
    body.fill(radius < 1, LIVER.brighten(-9))
    for u in (-0.6, -0.3, 0.0, 0.3, 0.6):
        for v in (-0.6, 0.6):
            pyramid = Ellipse(*bean.get_point(u, v), 0.035, 0.03, bean.angle).get_radius(body.x, body.y)
            body.fill((pyramid < 1) & (radius < 0.92), LIVER.brighten(-20))
    sinus = make_uneven(rng, bean.scale(0.48), 0.15).get_radius(body.x, body.y)
    body.fill(sinus < 1, FIBROUS.brighten(0))


def _draw_bowel(body: Body, rng: np.random.Generator) -> None:
    """Draw loops with gas: bright fronts above dirty shadows."""
    for column in (-0.36, 0.0, 0.36):
        for row in (0.28, 0.56):
            loop = Ellipse(
                column + pick_position(rng, -0.05, 0.05),
                row + pick_position(rng, -0.04, 0.04),
                0.15,
                0.1,
                rng.uniform(-15, 15),
            )
            radius = loop.get_radius(body.x, body.y)
            body.fill(radius < 1.1, MUSCLE.brighten(-4))
            body.fill(radius < 0.8, GAS.brighten(-4) if rng.random() < 0.7 else FLUID)
            body.fill((np.abs(radius - 0.8) < 0.09) & (body.y < loop.y), FIBROUS.brighten(5))
