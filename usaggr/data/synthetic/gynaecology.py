"""Drawing of a uterus with a fibroid, and of an ovary with a tumor, under a curved probe with a small radius."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, labeled, place, size
from usaggr.data.synthetic.shapes import Ellipse, to_segment, uneven
from usaggr.data.synthetic.tissue import FIBROUS, FLUID, SOFT, Tissue

BACKGROUND = Tissue(0, mottle=3, fibres=4)
_MYOMETRIUM = Tissue(-6, attenuation=21, impedance=0.2, mottle=1.5, fibres=1)
_STROMA = Tissue(-5, attenuation=20, impedance=0.1, mottle=2)


def draw_uterus(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a uterus with its bright lining, and a dark, whorled fibroid with a shadow, which is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    x, y = body.x, body.y
    uterus = Ellipse(place(rng, -0.1, 0.1), place(rng, 0.48, 0.56), size(rng, 0.4, 0.46), 0.29, rng.uniform(-25, 25))
    outline = uneven(rng, uterus, 0.05).radius(x, y)
    body.fill(outline < 1.05, FIBROUS.brighter(-6))
    body.fill(outline < 1, _MYOMETRIUM)
    lining = uneven(rng, Ellipse(*uterus.at(0.05, 0), 0.24, size(rng, 0.025, 0.045), uterus.angle), 0.1)
    body.fill(lining.radius(x, y) < 1.3, _MYOMETRIUM.brighter(-6))
    body.fill(lining.radius(x, y) < 1, FIBROUS.brighter(-3))
    a = size(rng, 0.12, 0.19)
    fibroid = Ellipse(*uterus.at(place(rng, -0.75, 0.75), place(rng, -0.5, 0.5)), a, a * size(rng, 0.8, 1), 0)
    radius = uneven(rng, fibroid, 0.03).radius(x, y)
    body.fill(radius < 1.09, FIBROUS.brighter(-6))
    inside = body.fill(radius < 1, Tissue(-16 * CONTRAST, attenuation=48, impedance=0.5, mottle=2))
    rings = np.cos(radius * 16) * (radius < 1) * 3
    body.brighten(rings.astype(np.float32))
    body.skin()
    return Drawing(labeled(body, inside))


def draw_ovary(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw an ovary with a tumor, which is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "cyst" (with septa) or "solid" (with bright tissue and fluid).
    """
    a = size(rng, 0.18, 0.29)
    where = (place(rng, -0.85, 0.85) * max(body.side - a - 0.1, 0.03), place(rng, 0.36, 0.62))
    tumour = Ellipse(*where, a, a * size(rng, 0.68, 0.95), rng.uniform(-40, 40))
    _ovary_round(body, rng, tumour)
    shape = uneven(rng, tumour, 0.06)
    radius = shape.radius(body.x, body.y)
    body.fill(radius < 1.1, FIBROUS.brighter(-4))
    inside = body.fill(radius < 1, Tissue(-20 - 24 * CONTRAST, attenuation=0, impedance=-0.8))
    if kind == "cyst":
        for _ in range(rng.integers(1, 4)):
            start, end = (tumour.at(np.cos(t), np.sin(t)) for t in rng.uniform(0, 2 * np.pi, 2))
            body.fill((to_segment(body.x, body.y, start, end) < 0.008) & inside, FIBROUS.brighter(-4))
    else:
        solid_tissue = Ellipse(
            *tumour.at(*rng.uniform(-0.35, 0.35, 2)), 0.55 * tumour.a, 0.6 * tumour.b, rng.uniform(0, 90)
        )
        body.fill((uneven(rng, solid_tissue, 0.12).radius(body.x, body.y) < 1) & inside, SOFT.brighter(-4))
    body.skin()
    return Drawing(labeled(body, inside))


def _ovary_round(body: Body, rng: np.random.Generator, tumour: Ellipse) -> None:
    """Draw the ovary around the tumor, with small follicles in it."""
    body.fill(uneven(rng, tumour.scaled(1.35), 0.06).radius(body.x, body.y) < 1, _STROMA)
    for angle in rng.uniform(0, 2 * np.pi, 3):
        follicle = Ellipse(*tumour.at(1.2 * np.cos(angle), 1.2 * np.sin(angle)), *rng.uniform(0.018, 0.03, 2))
        body.fill(follicle.radius(body.x, body.y) < 1, FLUID)
