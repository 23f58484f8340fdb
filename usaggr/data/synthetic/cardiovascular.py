"""Drawing of the heart in an apical view under a sector probe, and of a carotid artery in cross-section."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.shapes import Ellipse, distance_to_segment, make_uneven
from usaggr.data.synthetic.tissue import BLOOD, FAT, FIBROUS, MUSCLE, SOFT, Tissue

BACKGROUND = SOFT.brighten(-8)
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
    tilt = pick_position(rng, -20, 20)
    b = pick_size(rng, 0.12, 0.16)
    ventricle = Ellipse(
        pick_position(rng, -0.05, 0.15), pick_position(rng, 0.4, 0.48), b * pick_size(rng, 1.7, 2.0), b, 90 + tilt
    )
    wall = pick_size(rng, 0.055, 0.075)
    outer = Ellipse(ventricle.x, ventricle.y, ventricle.a + wall, ventricle.b + wall, ventricle.angle)
    along, _ = ventricle.to_local(x, y)
    in_ventricles = along < 0.72  # the plane of the valves; the atrium begins at 0.76
    if kind == "four_chambers":
        right = Ellipse(*ventricle.get_point(0.15, 2.1), 0.75 * ventricle.a, 0.8 * b, 90 + tilt - 8)
        body.fill(right.get_radius(x, y) < 1.25, _HEART_MUSCLE.brighten(-4))
        body.fill(right.get_radius(x, y) < 1, BLOOD)
    atrium = Ellipse(*ventricle.get_point(1.32, 0.0), 0.52 * ventricle.a, pick_size(rng, 0.13, 0.16), 90 + tilt)
    atrium_radius = atrium.get_radius(x, y)
    body.fill((outer.scale(1.1).get_radius(x, y) < 1) & in_ventricles, FIBROUS.brighten(-6))
    body.fill((atrium_radius < 1.2) & ~in_ventricles, _HEART_MUSCLE)
    left_atrium = body.fill((atrium_radius < 1) & (along > 0.76), BLOOD)
    muscle = body.fill((outer.get_radius(x, y) < 1) & in_ventricles, _HEART_MUSCLE.brighten(5 * (CONTRAST - 1)))
    left_ventricle = body.fill((ventricle.get_radius(x, y) < 1) & in_ventricles, BLOOD)
    for side in (-1, 1):
        leaflet = distance_to_segment(
            x, y, ventricle.get_point(0.74, side * 0.9), ventricle.get_point(0.62, side * 0.15)
        )
        body.fill(leaflet < 0.008, FIBROUS.brighten(-3))
    return Drawing(label_regions(body, left_ventricle, muscle & ~left_ventricle, left_atrium))


def draw_carotid(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a neck with muscle, jugular vein and carotid artery, whose lumen is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    x, y = body.x, body.y
    slope, level = rng.uniform(-0.2, 0.2), pick_size(rng, 0.1, 0.14)
    body.fill(y < level, FAT)
    muscle = (y > level) & (y < level + 0.2 + slope * x)
    body.fill(muscle, MUSCLE)
    body.fill(np.abs(y - level - 0.2 - slope * x) < 0.007, FIBROUS)
    room = body.half_width - 0.22
    artery = Ellipse(pick_position(rng, -room, room), pick_position(rng, 0.5, 0.66), pick_size(rng, 0.12, 0.18), 0, 0)
    artery = Ellipse(artery.x, artery.y, artery.a, artery.a * pick_size(rng, 0.86, 1.0), rng.uniform(-30, 30))
    aside = 1 if artery.x < 0 else -1
    vein = Ellipse(artery.x + aside * (artery.a + 0.16), artery.y - 0.16, 0.13, 0.045, aside * 25)
    body.fill(make_uneven(rng, vein, 0.1).get_radius(x, y) < 1, BLOOD.brighten(8))
    radius = artery.get_radius(x, y)
    thickness = 0.013 / artery.a
    body.fill(radius < 1 + 2.6 * thickness, FIBROUS.brighten(-5))
    body.fill(radius < 1 + 1.8 * thickness, MUSCLE.brighten(-4))
    body.fill(radius < 1 + 0.8 * thickness, FIBROUS.brighten(-5))
    lumen = body.fill(radius < 1, BLOOD.brighten(-6 * CONTRAST))
    body.draw_skin(0.025)
    return Drawing(label_regions(body, lumen))
