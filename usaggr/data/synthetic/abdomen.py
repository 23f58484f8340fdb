"""Drawing of abdominal organs and of liver lesions, under a curved probe."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, place, sign, size
from usaggr.data.synthetic.shapes import Ellipse, bow, to_curve, uneven
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

BACKGROUND = SOFT.brighter(-4)


def draw_organ(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw an abdominal organ.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "bladder", "bowel", "gallbladder", "kidney", "liver" or "spleen".
    """
    {
        "bladder": _bladder,
        "bowel": _bowel,
        "gallbladder": _gallbladder,
        "kidney": _kidney,
        "liver": _liver,
        "spleen": _spleen,
    }[kind](body, rng)
    _wall(body, rng)
    return Drawing()


def draw_liver_lesion(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a liver with a lesion.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "carcinoma" (dark with a halo, heterogeneous) or "haemangioma" (bright, homogeneous, sharp).
    """
    _liver(body, rng)
    a = size(rng, 0.11, 0.22)
    where = (place(rng, -0.8, 0.8) * max(body.side - a - 0.12, 0.05), place(rng, 0.4, 0.6))
    outline = Ellipse(*where, a, a * size(rng, 0.8, 1), rng.uniform(0, 180))
    if kind == "haemangioma":
        radius = uneven(rng, outline, 0.04).radius(body.x, body.y)
        body.fill(radius < 1, Tissue(size(rng, 4, 12) * CONTRAST, attenuation=16, mottle=1.5))
    else:
        radius = uneven(rng, outline, 0.08).radius(body.x, body.y)
        body.fill(radius < 1.15, LIVER.brighter(-size(rng, 5, 20) * CONTRAST))
        body.fill(radius < 1, Tissue(-size(rng, 0, 13) * CONTRAST, attenuation=24, mottle=4))
    _wall(body, rng)
    return Drawing()


def _wall(body: Body, rng: np.random.Generator) -> None:
    """Draw skin, fat and muscle under the probe."""
    depth = body.view.depth
    level = size(rng, 0.07, 0.1)
    body.fill(depth < level, MUSCLE)
    body.fill(depth < 0.6 * level, FAT)
    body.fill(np.abs(depth - level) < 0.007, FIBROUS.brighter(-2))
    body.skin()


def _liver(body: Body, rng: np.random.Generator) -> None:
    """Draw homogeneous liver tissue with vessels, and the bright diaphragm behind it."""
    x, y = body.x, body.y
    body.fill(np.ones_like(x, dtype=np.bool_), LIVER)
    for _ in range(rng.integers(3, 6)):
        start = (rng.uniform(-0.5, 0.5), rng.uniform(0.25, 0.75))
        pull, end = ((start[0] + rng.uniform(-0.3, 0.3), start[1] + rng.uniform(-0.15, 0.15)) for _ in range(2))
        distance, width = to_curve(x, y, bow(start, pull, end)), rng.uniform(0.018, 0.03)
        if rng.random() < 0.5:  # portal veins have bright walls, hepatic veins do not
            body.fill(distance < width + 0.007, FIBROUS.brighter(-6))
        body.fill(distance < width, BLOOD)
    _diaphragm(body, Ellipse(place(rng, -0.15, 0.15), 0.3, 0.75, size(rng, 0.56, 0.62)))


def _diaphragm(body: Body, outline: Ellipse) -> None:
    radius = outline.radius(body.x, body.y)
    body.fill(radius > 1, Tissue(-18, attenuation=30, mottle=3))
    body.fill(np.abs(radius - 1) < 0.02, FIBROUS.brighter(7))


def _spleen(body: Body, rng: np.random.Generator) -> None:
    """Draw a crescent of homogeneous tissue in a dark background, with the shadow of a rib and the diaphragm."""
    side = sign(rng)
    body.fill(np.ones_like(body.x, dtype=np.bool_), Tissue(-20, attenuation=28, mottle=4))
    outer = Ellipse(
        place(rng, -0.06, 0.06), place(rng, 0.44, 0.5), size(rng, 0.4, 0.46), 0.27, side * size(rng, 15, 35)
    )
    inner = Ellipse(*outer.at(0.1, 0.95), 0.3, 0.15, outer.angle)
    radius = outer.radius(body.x, body.y)
    body.fill(radius < 1.07, FIBROUS.brighter(3))
    crescent = (radius < 1) & (inner.radius(body.x, body.y) > 1)
    body.fill(crescent, SPLEEN.brighter(1))
    rib = Ellipse(side * place(rng, 0.25, 0.4), 0.16, 0.05, 0.016)
    body.fill(rib.radius(body.x, body.y) < 1, BONE)


def _bladder(body: Body, rng: np.random.Generator) -> None:
    """Draw a wide black pool in a smooth wall."""
    a = size(rng, 0.34, 0.44)
    outline = Ellipse(place(rng, -0.08, 0.08), place(rng, 0.46, 0.54), a, size(rng, 0.2, 0.27), rng.uniform(-8, 8))
    radius = uneven(rng, outline, 0.05).radius(body.x, body.y)
    body.fill(radius < 1.1, MUSCLE.brighter(4))
    body.fill(radius < 1, FLUID)


def _gallbladder(body: Body, rng: np.random.Generator) -> None:
    """Draw a black pear shape in the liver, with a stone."""
    _liver(body, rng)
    middle, angle = (place(rng, -0.14, 0.14), place(rng, 0.42, 0.52)), sign(rng) * size(rng, 20, 55)
    pear = Ellipse(*middle, size(rng, 0.18, 0.22), size(rng, 0.075, 0.095), angle)
    u, v = pear.local(body.x, body.y)
    radius = np.sqrt(u * u + (v / (1 + 0.35 * np.clip(u, -1, 1))) ** 2)
    body.fill(radius < 1.16, FIBROUS.brighter(-2))
    body.fill(radius < 1, FLUID)
    stone = Ellipse(*pear.at(0.45, 0.3), 0.04, 0.03).radius(body.x, body.y)
    body.fill(stone < 1, BONE)


def _kidney(body: Body, rng: np.random.Generator) -> None:
    """Draw a bean shape of dark cortex and darker pyramids around a bright sinus."""
    body.fill(body.y < 0.25, LIVER)
    bean = Ellipse(
        place(rng, -0.06, 0.06), place(rng, 0.5, 0.56), size(rng, 0.36, 0.42), 0.2, sign(rng) * size(rng, 5, 30)
    )
    radius = bean.radius(body.x, body.y)
    body.fill(radius < 1.1, FIBROUS.brighter(-2))
    body.fill(radius < 1, LIVER.brighter(-9))
    for u in (-0.6, -0.3, 0.0, 0.3, 0.6):
        for v in (-0.6, 0.6):
            pyramid = Ellipse(*bean.at(u, v), 0.035, 0.03, bean.angle).radius(body.x, body.y)
            body.fill((pyramid < 1) & (radius < 0.92), LIVER.brighter(-20))
    sinus = uneven(rng, bean.scaled(0.48), 0.15).radius(body.x, body.y)
    body.fill(sinus < 1, FIBROUS.brighter(0))


def _bowel(body: Body, rng: np.random.Generator) -> None:
    """Draw loops with gas: bright fronts above dirty shadows."""
    for column in (-0.36, 0.0, 0.36):
        for row in (0.28, 0.56):
            loop = Ellipse(
                column + place(rng, -0.05, 0.05), row + place(rng, -0.04, 0.04), 0.15, 0.1, rng.uniform(-15, 15)
            )
            radius = loop.radius(body.x, body.y)
            body.fill(radius < 1.1, MUSCLE.brighter(-4))
            body.fill(radius < 0.8, GAS.brighter(-4) if rng.random() < 0.7 else FLUID)
            body.fill((np.abs(radius - 0.8) < 0.09) & (body.y < loop.y), FIBROUS.brighter(5))
