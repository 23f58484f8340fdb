"""Drawing of a uterus with a fibroid, and of an ovary with a tumor, under a curved probe with a small radius."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.shapes import Ellipse, distance_to_segment, make_uneven
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
    uterus = Ellipse(
        pick_position(rng, -0.1, 0.1),
        pick_position(rng, 0.48, 0.56),
        pick_size(rng, 0.4, 0.46),
        0.29,
        rng.uniform(-25, 25),
    )
    outline = make_uneven(rng, uterus, 0.05).get_radius(x, y)
    body.fill(outline < 1.05, FIBROUS.brighten(-6))
    body.fill(outline < 1, _MYOMETRIUM)
    lining = make_uneven(
        rng, Ellipse(*uterus.get_point(0.05, 0), 0.24, pick_size(rng, 0.025, 0.045), uterus.angle), 0.1
    )
    body.fill(lining.get_radius(x, y) < 1.3, _MYOMETRIUM.brighten(-6))
    body.fill(lining.get_radius(x, y) < 1, FIBROUS.brighten(-3))
    a = pick_size(rng, 0.12, 0.19)
    fibroid = Ellipse(
        *uterus.get_point(pick_position(rng, -0.75, 0.75), pick_position(rng, -0.5, 0.5)),
        a,
        a * pick_size(rng, 0.8, 1),
        0,
    )
    radius = make_uneven(rng, fibroid, 0.03).get_radius(x, y)
    body.fill(radius < 1.09, FIBROUS.brighten(-6))
    inside = body.fill(radius < 1, Tissue(-16 * CONTRAST, attenuation=48, impedance=0.5, mottle=2))
    # Whorls: the echo varies by 3 dB with the distance from the center.
    rings = np.cos(radius * 16) * (radius < 1) * 3
    body.brighten(rings.astype(np.float32))
    body.draw_skin()
    return Drawing(label_regions(body, inside))


def draw_ovary(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw an ovary with a tumor, which is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "cyst" (with septa) or "solid" (with bright tissue and fluid).
    """
    a = pick_size(rng, 0.18, 0.29)
    where = (pick_position(rng, -0.85, 0.85) * max(body.half_width - a - 0.1, 0.03), pick_position(rng, 0.36, 0.62))
    tumour = Ellipse(*where, a, a * pick_size(rng, 0.68, 0.95), rng.uniform(-40, 40))
    _draw_ovary_around(body, rng, tumour)
    shape = make_uneven(rng, tumour, 0.06)
    radius = shape.get_radius(body.x, body.y)
    body.fill(radius < 1.1, FIBROUS.brighten(-4))
    inside = body.fill(radius < 1, Tissue(-20 - 24 * CONTRAST, attenuation=0, impedance=-0.8))
    if kind == "cyst":
        for _ in range(rng.integers(1, 4)):
            start, end = (tumour.get_point(np.cos(t), np.sin(t)) for t in rng.uniform(0, 2 * np.pi, 2))
            body.fill((distance_to_segment(body.x, body.y, start, end) < 0.008) & inside, FIBROUS.brighten(-4))
    else:
        solid_tissue = Ellipse(
            *tumour.get_point(*rng.uniform(-0.35, 0.35, 2)), 0.55 * tumour.a, 0.6 * tumour.b, rng.uniform(0, 90)
        )
        body.fill((make_uneven(rng, solid_tissue, 0.12).get_radius(body.x, body.y) < 1) & inside, SOFT.brighten(-4))
    body.draw_skin()
    return Drawing(label_regions(body, inside))


def _draw_ovary_around(body: Body, rng: np.random.Generator, tumour: Ellipse) -> None:
    """Draw the ovary around the tumor, with small follicles in it."""
    body.fill(make_uneven(rng, tumour.scale(1.35), 0.06).get_radius(body.x, body.y) < 1, _STROMA)
    for angle in rng.uniform(0, 2 * np.pi, 3):
        follicle = Ellipse(*tumour.get_point(1.2 * np.cos(angle), 1.2 * np.sin(angle)), *rng.uniform(0.018, 0.03, 2))
        body.fill(follicle.get_radius(body.x, body.y) < 1, FLUID)
