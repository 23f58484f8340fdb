"""Drawing of the heart in an apical view under a sector probe, and of a carotid artery in cross-section."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, labeled, place, size
from usaggr.data.synthetic.shapes import Ellipse, to_segment, uneven
from usaggr.data.synthetic.tissue import BLOOD, FAT, FIBROUS, MUSCLE, SOFT, Tissue

BACKGROUND = SOFT.brighter(-8)
_HEART_MUSCLE = Tissue(3, attenuation=18, impedance=0.2, mottle=3)
_LUNG = Tissue(-17, attenuation=24, mottle=4)


def draw_heart(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a heart; the classes are left ventricle, myocardium and left atrium.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "two_chambers" or "four_chambers".
    """
    x, y = body.x, body.y
    body.fill(y > 0.16, _LUNG)
    tilt = place(rng, -20, 20)
    b = size(rng, 0.12, 0.16)
    ventricle = Ellipse(place(rng, -0.05, 0.15), place(rng, 0.4, 0.48), b * size(rng, 1.7, 2.0), b, 90 + tilt)
    wall = size(rng, 0.055, 0.075)
    outer = Ellipse(ventricle.x, ventricle.y, ventricle.a + wall, ventricle.b + wall, ventricle.angle)
    along, _ = ventricle.local(x, y)
    in_ventricles = along < 0.72
    if kind == "four_chambers":
        right = Ellipse(*ventricle.at(0.15, 2.1), 0.75 * ventricle.a, 0.8 * b, 90 + tilt - 8)
        body.fill(right.radius(x, y) < 1.25, _HEART_MUSCLE.brighter(-4))
        body.fill(right.radius(x, y) < 1, BLOOD)
    atrium = Ellipse(*ventricle.at(1.32, 0.0), 0.52 * ventricle.a, size(rng, 0.13, 0.16), 90 + tilt)
    atrium_radius = atrium.radius(x, y)
    body.fill((outer.scaled(1.1).radius(x, y) < 1) & in_ventricles, FIBROUS.brighter(-6))
    body.fill((atrium_radius < 1.2) & ~in_ventricles, _HEART_MUSCLE)
    left_atrium = body.fill((atrium_radius < 1) & (along > 0.76), BLOOD)
    muscle = body.fill((outer.radius(x, y) < 1) & in_ventricles, _HEART_MUSCLE.brighter(5 * (CONTRAST - 1)))
    left_ventricle = body.fill((ventricle.radius(x, y) < 1) & in_ventricles, BLOOD)
    for side in (-1, 1):
        leaflet = to_segment(x, y, ventricle.at(0.74, side * 0.9), ventricle.at(0.62, side * 0.15))
        body.fill(leaflet < 0.008, FIBROUS.brighter(-3))
    return Drawing(labeled(body, left_ventricle, muscle & ~left_ventricle, left_atrium))


def draw_carotid(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a neck with muscle, jugular vein and carotid artery, whose lumen is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    x, y = body.x, body.y
    slope, level = rng.uniform(-0.2, 0.2), size(rng, 0.1, 0.14)
    body.fill(y < level, FAT)
    muscle = (y > level) & (y < level + 0.2 + slope * x)
    body.fill(muscle, MUSCLE)
    body.fill(np.abs(y - level - 0.2 - slope * x) < 0.007, FIBROUS)
    room = body.side - 0.22
    artery = Ellipse(place(rng, -room, room), place(rng, 0.5, 0.66), size(rng, 0.12, 0.18), 0, 0)
    artery = Ellipse(artery.x, artery.y, artery.a, artery.a * size(rng, 0.86, 1.0), rng.uniform(-30, 30))
    aside = 1 if artery.x < 0 else -1
    vein = Ellipse(artery.x + aside * (artery.a + 0.16), artery.y - 0.16, 0.13, 0.045, aside * 25)
    body.fill(uneven(rng, vein, 0.1).radius(x, y) < 1, BLOOD.brighter(8))
    radius = artery.radius(x, y)
    thickness = 0.013 / artery.a
    body.fill(radius < 1 + 2.6 * thickness, FIBROUS.brighter(-5))
    body.fill(radius < 1 + 1.8 * thickness, MUSCLE.brighter(-4))
    body.fill(radius < 1 + 0.8 * thickness, FIBROUS.brighter(-5))
    lumen = body.fill(radius < 1, BLOOD.brighter(-6 * CONTRAST))
    body.skin(0.025)
    return Drawing(labeled(body, lumen))
